"""A real PostgreSQL on a loopback port, started once for all workers of a test run and stopped with the last.

Without the server's programs the tests that need it are skipped, and say how to get them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.elapsed import PATIENCE_S

HOW_TO_GET = "needs a PostgreSQL server: apt-get install postgresql, and pip install '.[shared]'"
PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; ``None`` where they are not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(
        (path.parent for place in PLACES for path in Path(place).glob("**/bin/initdb")), reverse=True
    )
    return next((each for each in folders if (each / "postgres").exists()), None)


class Server:
    """One server with its own data folder. It runs as ``nobody`` where the tests run as root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = 0
        self._used = ""
        found = programs()
        assert found is not None
        self._programs = found

    def make(self) -> None:
        """Lay the data folder; nothing needs to outlive a power cut here but what is tested with a kill."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            os.chown(self.folder, *_nobody())
        self.run(
            "initdb", "-D", str(self.data), "-U", "costs", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"
        )

    def start(self, **settings: str) -> None:
        """Start it on the port that it had, or on a free one: another where somebody took that meanwhile."""
        ports = [self.port] if self.port else [_free_port() for _ in range(3)]
        for number, self.port in enumerate(ports, 1):
            given = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
            given |= {"max_connections": "200", "shared_buffers": "64MB"} | settings
            options = " ".join(f"-c {name}='{value}'" for name, value in given.items())
            log = self.folder / "log"
            try:
                self.run(
                    "pg_ctl",
                    "-D",
                    str(self.data),
                    "-l",
                    str(log),
                    "-w",
                    "-t",
                    str(int(PATIENCE_S)),
                    "-o",
                    options,
                    "start",
                )
            except subprocess.CalledProcessError:
                if number == len(ports):
                    raise
            else:
                return

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; ``immediate`` is as good as a kill."""
        with suppress(subprocess.CalledProcessError):
            self.run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    @property
    def pid(self) -> int:
        """The process of the postmaster."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """Kill the server and all that it started, as a power cut would."""
        os.kill(self.pid, signal.SIGQUIT)
        deadline = time.monotonic() + PATIENCE_S
        while (self.data / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def url(self, database: str = "postgres") -> str:
        """The address of a database in it."""
        return f"postgresql://costs@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database; return its address."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def fresh(self, database: str) -> str:
        """Return the address of an empty database: the one of the test before, which then has another name.

        Making one takes longer than most tests, and what has the old address does not find it any more.
        """
        import psycopg

        used, self._used = self._used, database
        if not used:
            return self.create(database)
        try:
            with psycopg.connect(self.url(), autocommit=True) as admin:
                leave = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
                admin.execute(leave, (used,))
                admin.execute(f'ALTER DATABASE "{used}" RENAME TO "{database}"'.encode())
        except (psycopg.errors.InvalidCatalogName, psycopg.errors.ObjectInUse):
            return self.create(database)  # the test dropped it, or somebody came back to it
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            own = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'"
            for (schema,) in connection.execute(own).fetchall():
                connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())
            connection.execute("CREATE SCHEMA public")
        return self.url(database)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs, as the server itself runs."""
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **user,  # type: ignore[call-overload]
        )


def _nobody() -> tuple[int, int]:
    import grp
    import pwd

    return pwd.getpwnam("nobody").pw_uid, grp.getgrnam("nogroup").gr_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path | None = None, **settings: str) -> Iterator[Server]:
    """A server of one's own, for those who kill it; gone at the end."""
    place = folder or Path(tempfile.mkdtemp(prefix="costs-pg-", dir="/tmp"))
    server = Server(place)
    try:
        server.make()
        server.start(**settings)
        yield server
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


def require() -> None:
    """Skip where a server, or the package that speaks to it, is missing."""
    pytest.importorskip("psycopg", reason=HOW_TO_GET)
    if programs() is None:
        pytest.skip(HOW_TO_GET)


@contextmanager
def shared_by_workers(run_folder: Path) -> Iterator[Server]:
    """The server of this test run: the first worker starts it, the last one stops it."""
    users, known = run_folder / "postgres-users", run_folder / "postgres-place"
    with FileLock(run_folder / "postgres.lock"):
        if not known.exists():
            place = Path(tempfile.mkdtemp(prefix="costs-pg-", dir="/tmp"))
            server = Server(place)
            server.make()
            server.start(fsync="off", full_page_writes="off")
            known.write_text(f"{place}\n{server.port}")
        place_text, port = known.read_text().split("\n")
        server = Server(Path(place_text))
        server.port = int(port)
        users.write_text(str(_users(users) + 1))
    try:
        yield server
    finally:
        with FileLock(run_folder / "postgres.lock"):
            left = _users(users) - 1
            users.write_text(str(left))
            if not left:
                server.stop()
                known.unlink()
                shutil.rmtree(server.folder, ignore_errors=True)


def _users(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0
