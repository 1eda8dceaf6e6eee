"""Many hosts on one limit, while hosts are killed and their database is killed, frozen and started again.

Each host is a cost storage of its own with several processes, which reserve, are billed (a line in a file
that plays the provider), and log. Hosts are killed with SIGKILL, all their processes at once; some come
back. The server is killed and started again, and frozen for a while, so that no answer comes. Then all is
quiet, every host publishes what it has, and this must hold to the nano-dollar:

    billed <= limit                          no overshoot
    billed <= published + held               nothing that was billed is not counted
    published = what the ledgers have        nothing lost, nothing doubled
    spent + orphaned >= 99 % of the limit    leases keep little from being used

    python scripts/faults/fleet_storm.py [--hosts 8] [--processes 4] [--seconds 60] [--limit 20] [--seed 1]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scripts.faults.command_line import command_line
from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker
from shared.costs.fleet.database import Transaction
from shared.costs.money import NANOS_PER_USD, Nanos, format_usd
from shared.costs.workspace import Workspace
from tests.support.postgres import Server, running

USER: Final = "ana"
MODEL: Final = ("openai", "gpt-4o")
LEASE_S: Final = 10
START_S: Final = 60
"""How long all hosts are waited for in the beginning, in seconds."""
ALWAYS: Final = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
PROFILE: Final = """
shared: {{url: env:COST_TRACKER_SHARED, lease_s: {lease_s}}}
budget: {{monthly_limit_usd: {limit}, block_at_limit: true}}
"""
CLOCK_VARIABLE: Final = "FLEET_STORM_CLOCK"
"""By how many seconds the clock of a worker is ahead."""

PAUSE_VARIABLE: Final = "FLEET_STORM_PAUSE"
"""How long a worker waits between calls, in seconds."""

USED: Final = 0.99
"""How much of the limit must be spent, or orphaned, in the end."""


# --- one process of a host


def work(host: Path, number: int, seed: int) -> int:
    """Make calls until the file ``stop`` is there, or for as long as nothing is granted any more."""
    rng = random.Random(seed)
    bill = os.open(host / "bill", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    job = host / f"job-{number}"
    with CostTracker(job, USER, host / "storage", profile_path=host / "profile.yaml") as tracker:
        set_clock(tracker, float(os.environ.get(CLOCK_VARIABLE, "0")))
        pause_s = float(os.environ.get(PAUSE_VARIABLE, "0"))
        while not (host.parent / "stop").exists():
            time.sleep(pause_s)
            tokens, most = rng.randint(100, 2000), rng.randint(200, 2500)
            try:
                with tracker.reserve(*MODEL, tokens_input=tokens, max_tokens_output=most) as hold:
                    output = rng.randint(1, most)
                    os.write(bill, b"%d\n" % (tokens * 2_500 + output * 10_000))
                    tracker.log_usage(*MODEL, tokens, output, reservation=hold)
            except BudgetExceeded:
                time.sleep(0.1)
            except BudgetGateUnavailable:
                time.sleep(0.3)
    return 0


def set_clock(tracker: CostTracker, ahead_s: float) -> None:
    """Let this process believe that it is this many seconds later."""
    if ahead_s:
        real, workspace = time.time, tracker._session.workspace
        time.time = lambda: real() + ahead_s
        workspace.clock = lambda: datetime.fromtimestamp(time.time(), UTC)


# --- the storm


@dataclass
class Host:
    """One host and its processes."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kills: int = 0
    clock_s: float = 0.0
    """By how many seconds its clock is ahead."""
    pause_s: float = 0.0
    """How long its processes wait between calls, in seconds."""

    def start(self, count: int, rng: random.Random) -> None:
        """Start its processes."""
        for number in range(count):
            words = [str(self.folder), str(self.kills * 100 + number), str(rng.randrange(1 << 30))]
            command = [sys.executable, "-m", "scripts.faults.fleet_storm", "--worker", *words]
            own = {CLOCK_VARIABLE: str(self.clock_s), PAUSE_VARIABLE: str(self.pause_s)}
            environ = {**os.environ, **own}
            self.processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environ))

    def kill(self) -> None:
        """Kill all its processes at once, as if the machine were gone."""
        for process in self.processes:
            process.kill()
        self.wait()
        self.kills += 1

    def wait(self) -> None:
        """Wait until its processes have ended."""
        for process in self.processes:
            process.wait()
        self.processes.clear()


def storm(options: argparse.Namespace, folder: Path, server: Server) -> list[Host]:
    """Let all hosts work while they and the server are killed; return them when all is quiet."""
    rng = random.Random(options.seed)
    hosts = []
    for number in range(options.hosts):
        host = Host(folder / f"host-{number}")
        host.folder.mkdir()
        (host.folder / "profile.yaml").write_text(PROFILE.format(limit=options.limit, lease_s=LEASE_S))
        hosts.append(host)
        host.start(options.processes, rng)
    part = options.seconds / 6
    deadline = time.monotonic() + START_S
    while not all((host.folder / "bill").exists() for host in hosts) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(part)
    for host in hosts[: max(1, len(hosts) // 4)]:
        host.kill()
    time.sleep(part)
    server.kill()
    time.sleep(min(2.0, part))
    server.start()
    hosts[0].start(options.processes, rng)  # one comes back, others do not
    time.sleep(part)
    freeze(server, part)
    hosts[-1].kill()
    hosts[-1].start(options.processes, rng)
    time.sleep(2 * part)
    (folder / "stop").touch()
    for host in hosts:
        host.wait()
    return hosts


def freeze(server: Server, seconds: float) -> None:
    """Stop the server and all its processes for a while: nobody gets an answer, and no connection breaks."""
    family = [server.pid, *children(server.pid)]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in reversed(family):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in listed.split()]


# --- the accounts


@dataclass(frozen=True)
class Accounts:
    """What is known in the end, in nano-dollars."""

    limit: int
    billed: int
    calls: int
    in_ledgers: int
    published: int
    held: int
    open: int

    @property
    def faults(self) -> list[str]:
        """What must hold and does not."""
        said = {
            f"overshoot of {_usd(self.billed - self.limit)}": self.billed > self.limit,
            f"{_usd(self.billed - self.published - self.held)} was billed and is not counted": self.billed
            > self.published + self.held,
            f"published {_usd(self.published)}, in ledgers {_usd(self.in_ledgers)}": self.published
            != self.in_ledgers,
            f"{self.used:.2%} of the limit is used": self.used < USED,
        }
        return [text for text, wrong in said.items() if wrong]

    @property
    def used(self) -> float:
        """How much of the limit is spent, or kept for what may have been spent."""
        return (self.published + self.open) / self.limit


def settle(hosts: Sequence[Host], limit: int) -> Accounts:
    """Publish what every host has, use up what is left, and add up."""
    for host in hosts:
        with Workspace(host.folder / "storage", host.folder / "profile.yaml") as here:
            assert here.fleet is not None
            here.fleet.renew()
    for host in hosts:  # what was given back since may be used
        spend_the_rest(host)
    in_ledgers = held = 0
    for host in hosts:
        with Workspace(host.folder / "storage", host.folder / "profile.yaml") as here:
            assert here.fleet is not None
            here.fleet.publish()
            in_ledgers += here.index.spend(*ALWAYS, user_id=USER)
            held += sum(each.amount for each in here.gate.holds())
            published = here.fleet.sums.spend(*ALWAYS, user_id=USER)
            open_ = here.fleet.database.run(_open, 10)
    billed = [int(line) for host in hosts for line in (host.folder / "bill").read_text().split()]
    return Accounts(limit, sum(billed), len(billed), in_ledgers, published, held, open_)


def spend_the_rest(host: Host) -> None:
    """Make calls on a host, ever smaller ones, until none is allowed."""
    bill = os.open(host.folder / "bill", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with CostTracker(
        host.folder / "job-rest", USER, host.folder / "storage", profile_path=host.folder / "profile.yaml"
    ) as tracker:
        sizes, deadline = [40, 400, 4000, 40_000], time.monotonic() + 5 * LEASE_S
        while sizes:
            try:
                with tracker.reserve(*MODEL, tokens_input=sizes[-1], max_tokens_output=1) as hold:
                    os.write(bill, b"%d\n" % (sizes[-1] * 2_500 + 10_000))
                    tracker.log_usage(*MODEL, sizes[-1], 1, reservation=hold)
            except BudgetExceeded:
                sizes.pop()
                time.sleep(0.3)
            except BudgetGateUnavailable:  # after a restart it waits for all hosts
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
    os.close(bill)


def _open(db: Transaction) -> int:
    """Return how much all leases are above what their hosts published."""
    row = db.execute(
        """SELECT coalesce(sum(greatest(0, l.granted - coalesce(d.cost, 0))), 0)::bigint FROM leases l
        LEFT JOIN (SELECT host, sum(cost) AS cost FROM days GROUP BY host) d ON d.host = l.host"""
    ).fetchone()
    assert row is not None
    return int(row[0])


def _usd(amount: int) -> str:
    return format_usd(Nanos(amount), 4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the storm; the exit code is 1 where anything did not hold."""
    parser = command_line(__doc__, hosts=8, processes=4, seconds=60.0, seed=1)
    parser.add_argument("--limit", type=float, default=20, help="in USD")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        host, number, seed = options.worker
        return work(Path(host), int(number), int(seed))
    from shared.costs.fleet.fleet import close_all

    with tempfile.TemporaryDirectory() as folder, running() as server:
        os.environ["COST_TRACKER_SHARED"] = server.url()
        place = Path(folder)
        (place / "profile.yaml").write_text(PROFILE.format(limit=options.limit, lease_s=LEASE_S))
        with Workspace(place / "storage", place / "profile.yaml") as first:
            assert first.fleet is not None
            first.fleet.init()
        began = time.monotonic()
        hosts = storm(options, place, server)
        took = time.monotonic() - began
        accounts = settle(hosts, round(options.limit * NANOS_PER_USD))
        close_all()
    for fault in accounts.faults:
        print(f"FAULT: {fault}")
    print(
        f"{'did not hold' if accounts.faults else 'held'}: {options.hosts} hosts x {options.processes} "
        f"processes, {took:.0f} s, {accounts.calls} calls billed at {_usd(accounts.billed)} of "
        f"{_usd(accounts.limit)}: published {_usd(accounts.published)}, "
        f"on hold {_usd(accounts.held)}, leases open {_usd(accounts.open)}, {accounts.used:.2%} of it used"
    )
    return int(bool(accounts.faults))


if __name__ == "__main__":
    sys.exit(main())
