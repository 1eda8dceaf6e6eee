"""Hosts on one limit while something is wrong with the database that they share, one fault after the other.

    connections   others have taken all of the server's connections
    disk          the server's disk is full, until it dies (on a small file system of its own: needs root)
    clocks        the hosts' clocks are 10 minutes apart, five on either side of the server's
    restore       the server dies, and comes back from a physical copy of its data that is 60 s old
    joined        the same, and half of the hosts join after the copy was made
    cut           nothing passes between hosts and server for 30 s, and no connection breaks
    slow          every packet takes 0.2 s
    dying         clocks are 10 minutes apart; hosts die while they publish, and come back with another clock
    stopped       half of the hosts stand still for longer than their leases, and go on as if nothing had been

Hosts make calls all the while, as in ``fleet_storm.py``; then what is wrong ends, all is quiet, every host
publishes what it has, and the same must hold to the nano-dollar: nothing above the limit, nothing that was
billed not counted, nothing published that is not in a ledger or twice, and 99 % of the limit used. After the
restore the fleet must say that its database went back, and grant nothing before its hosts have reported.

    python scripts/faults/fleet_faults.py [--hosts 4] [--processes 2] [--limit 15] [--seconds N] [--only cut]
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude
from scripts.faults.fleet_storm import LEASE_S, PROFILE, START_S, USED, Accounts, Host, settle
from shared.costs.fleet.fleet import close_all
from shared.costs.money import NANOS_PER_USD
from shared.costs.workspace import Workspace
from tests.support.postgres import Server, programs

CLOCK_S: Final = 300.0
APART: Final = ("clocks", "dying")
"""Faults at which the hosts' clocks are so far from the server's."""

SLOW_S: Final = 0.2
PAUSE_S: Final = 0.3
"""How long a process waits between calls: so that the limit lasts for as long as what is wrong."""

DISK: Final = "128m"
CALM_S: Final = 2.0
"""How long hosts work before and after a fault, in seconds."""


# --- what stands between hosts and server


class Line:
    """A line to the server that can be cut or slow. Listens on a loopback port; ``close`` ends all."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.is_cut = threading.Event()
        self.delay_s = 0.0
        self._closed = False
        threading.Thread(target=self._serve, daemon=True).start()

    def url(self, database: str) -> str:
        """The address of a database at the other end."""
        return f"postgresql://costs@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        """Accept nothing any more."""
        self._closed = True
        self._listener.close()

    def _serve(self) -> None:
        while not self._closed:
            with suppress(OSError):
                near, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        """Pass on what comes from either side until one of them ends."""
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._server.port)) as far:
            other = {near: far, far: near}
            while not self._closed:
                for ready in select.select(list(other), (), (), 0.1)[0]:
                    data = ready.recv(65_536)
                    time.sleep(self.delay_s)
                    while self.is_cut.is_set() and not self._closed:
                        time.sleep(0.02)
                    if not data:
                        return
                    other[ready].sendall(data)


# --- what goes wrong


@dataclass
class Trouble:
    """One fault at work: the server, the hosts, and for how long."""

    server: Server
    line: Line
    hosts: list[Host]
    seconds: float
    join: Callable[[], None]
    """Starts the hosts that were not there before."""
    start: Callable[[Host], None]
    """Starts a host again that was killed."""
    said: list[str] = field(default_factory=list)
    """What should have been said, and was not."""


def connections(trouble: Trouble) -> None:
    """Take all connections, and keep them."""
    import psycopg

    with ExitStack() as taken:
        end = time.monotonic() + trouble.seconds
        while time.monotonic() < end:  # those of hosts are free for a moment now and then
            with suppress(psycopg.OperationalError):
                taken.enter_context(psycopg.connect(trouble.server.url()))
            time.sleep(0.01)


def disk(trouble: Trouble) -> None:
    """Fill the disk, and start the server again once there is room: it may have died of it."""
    filler = trouble.server.folder / "filler"
    with filler.open("wb") as file, suppress(OSError):
        while True:
            file.write(b"x" * 65_536)
            file.flush()
    time.sleep(trouble.seconds)
    filler.unlink()
    with suppress(subprocess.CalledProcessError):
        trouble.server.start()


def clocks(trouble: Trouble) -> None:
    """Let the hosts work on; their clocks were set when they began."""
    time.sleep(trouble.seconds)


def restore(trouble: Trouble) -> None:
    """Copy the data, let time pass, and put the copy in its place."""
    server = trouble.server
    backup = server.folder / "backup"
    place = ("-h", "127.0.0.1", "-p", str(server.port), "-U", "costs")
    server.run("pg_basebackup", "-D", str(backup), *place, "-c", "fast")
    trouble.join()
    exchanged = _exchanges(server)
    time.sleep(trouble.seconds)
    is_older = _exchanges(server) > exchanged
    server.kill()
    shutil.rmtree(server.data)
    backup.rename(server.data)
    server.start()
    if not is_older:  # nothing was traded meanwhile, as on a busy machine: it is as it was
        return
    host = trouble.hosts[0].folder
    with Workspace(host / "storage", host / "profile.yaml") as here:
        assert here.fleet is not None
        deadline = time.monotonic() + LEASE_S + START_S
        while not (went_back := here.fleet.standing().went_back) and time.monotonic() < deadline:
            time.sleep(0.1)
    if not went_back:
        trouble.said.append("nobody said that the database went back")


def _exchanges(server: Server) -> int:
    """Return how often hosts have traded with the database."""
    import psycopg

    with psycopg.connect(server.url()) as db:
        row = db.execute("SELECT sum(version)::bigint FROM cost_ledger.hosts").fetchone()
    assert row is not None  # a sum has one row
    return int(row[0] or 0)


def cut(trouble: Trouble) -> None:
    """Let nothing pass."""
    trouble.line.is_cut.set()
    time.sleep(trouble.seconds)
    trouble.line.is_cut.clear()


def slow(trouble: Trouble) -> None:
    """Let everything take its time."""
    trouble.line.delay_s = SLOW_S
    time.sleep(trouble.seconds)
    trouble.line.delay_s = 0.0


def dying(trouble: Trouble) -> None:
    """Kill one host after the other while what it publishes is under way, and set its clock anew."""
    trouble.line.delay_s = SLOW_S
    end, number = time.monotonic() + trouble.seconds, 0
    while time.monotonic() < end:
        host = trouble.hosts[number % len(trouble.hosts)]
        time.sleep(PAUSE_S)
        host.kill()
        host.clock_s = -host.clock_s if number % 3 else 0.0
        trouble.start(host)
        number += 1
    trouble.line.delay_s = 0.0


def stopped(trouble: Trouble) -> None:
    """Let half of the hosts stand still, and go on."""
    still = [process for host in trouble.hosts[::2] for process in host.processes]
    for process in still:
        process.send_signal(signal.SIGSTOP)
    time.sleep(trouble.seconds)
    for process in still:
        process.send_signal(signal.SIGCONT)


FAULTS: Final[dict[str, tuple[Callable[[Trouble], None], float]]] = {
    "connections": (connections, 10),
    "disk": (disk, 10),
    "clocks": (clocks, 10),
    "restore": (restore, 60),
    "joined": (restore, 60),
    "cut": (cut, 30),
    "slow": (slow, 15),
    "dying": (dying, 30),
    "stopped": (stopped, 2.5 * LEASE_S),
}
"""What goes wrong, and for how many seconds."""


# --- one run


@contextmanager
def server_for(fault: str, folder: Path) -> Iterator[Server]:
    """A server of its own; for the disk that runs full, on a file system of its own."""
    place = folder / "server"
    place.mkdir()
    server = Server(place)
    if is_mounted := fault == "disk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", place], check=True)
    try:
        server.make()
        few = {"max_connections": "40"} if fault == "connections" else {}
        server.start(**few)
        yield server
    finally:
        server.stop()
        if is_mounted:
            subprocess.run(["umount", place], check=True)


def run(fault: str, options: argparse.Namespace) -> tuple[Accounts, list[str]]:
    """Let hosts work through one fault; return the accounts, and what was not said."""
    action, seconds = FAULTS[fault]
    seconds = options.seconds or seconds
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="costs-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server runs as nobody where this runs as root
        with server_for(fault, folder) as server:
            line = Line(server)
            os.environ["COST_TRACKER_SHARED"] = line.url("postgres")
            hosts = [Host(folder / f"host-{number}") for number in range(options.hosts)]
            for number, host in enumerate(hosts):
                host.folder.mkdir()
                (host.folder / "profile.yaml").write_text(
                    PROFILE.format(limit=options.limit, lease_s=options.lease)
                )
                host.pause_s = PAUSE_S
                host.clock_s = CLOCK_S * (-1) ** number if fault in APART else 0.0
            with Workspace(hosts[0].folder / "storage", hosts[0].folder / "profile.yaml") as first:
                assert first.fleet is not None
                first.fleet.init()
            there = hosts[: len(hosts) // 2] if fault == "joined" else hosts

            def start(host: Host) -> None:
                host.start(options.processes, rng)

            def begin(some: Sequence[Host]) -> None:
                for host in some:
                    start(host)
                deadline = time.monotonic() + START_S
                while not all(map(_has_called, some)) and time.monotonic() < deadline:
                    time.sleep(0.1)

            begin(there)
            trouble = Trouble(server, line, hosts, seconds, lambda: begin(hosts[len(there) :]), start)
            time.sleep(CALM_S)
            action(trouble)
            time.sleep(CALM_S)
            (folder / "stop").touch()
            for host in hosts:
                host.wait()
            accounts = settle(hosts, round(options.limit * NANOS_PER_USD))
            close_all()
            line.close()
    return accounts, trouble.said


def _has_called(host: Host) -> bool:
    """Tell whether a host has made a call: then the database knows it."""
    bill = host.folder / "bill"
    return bill.exists() and bill.stat().st_size > 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the faults; the exit code is 1 where anything did not hold."""
    parser = command_line(__doc__, hosts=4, processes=2, seed=1)
    parser.add_argument("--seconds", type=float, default=0, help="how long each fault lasts; its own time")
    parser.add_argument("--limit", type=float, default=15, help="in USD")
    parser.add_argument("--lease", type=int, default=LEASE_S, help="for how many seconds leases hold")
    parser.add_argument("--only", default=",".join(FAULTS), help="faults, with commas between")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # alerts of the limit, again and again
    if programs() is None:
        print("needs a PostgreSQL server: apt-get install postgresql")
        return 3
    good = True
    for fault in options.only.split(","):
        if fault == "disk" and (os.getuid() or shutil.which("mount") is None):
            print("disk: not tried: a file system of its own needs root")
            continue
        accounts, said = run(fault, options)
        for each in (*accounts.faults, *said):
            print(f"FAULT: {fault}: {each}")
        good &= not (accounts.faults or said)
        print(
            f"{fault}: {accounts.calls} calls billed at ${accounts.billed / NANOS_PER_USD:.4f} of "
            f"${options.limit:.4f}, {accounts.used:.2%} of it used (at least {USED:.0%})",
            flush=True,
        )
    return conclude("fleet faults", good, hosts=options.hosts, faults=len(options.only.split(",")))


if __name__ == "__main__":
    sys.exit(main())
