"""The product as its users see it, for programs that try to break it without knowing what it is made of.

Trackers and the dashboard in processes of their own, ledgers read plainly (nothing of the product's own
reading is used), and the files of a cost storage, whatever they are called.
"""

from __future__ import annotations

import atexit
import importlib
import io
import json
import logging
import os
import pickle
import random
import runpy
import select
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar
from zlib import crc32

from scripts.faults.common import ROOT
from shared.cost_tracker import CostTracker

LEDGER = "cost_ledger.jsonl"
MODEL = ("openai", "gpt-4o")
NANOS = 10**9
PATIENCE_S = 120.0
"""After how long a process that was asked something counts as stuck, in seconds."""

PROGRAM = ROOT / "tools" / "cost-dashboard.py"
NOT_LOST = ("spool", "unassigned")
"""Folders of a storage whose files are the only place where a call is written down: as ledgers are."""

T = TypeVar("T")


def cost_of(tokens_input: int, tokens_output: int) -> int:
    """Return what a call of ``MODEL`` costs in nano-dollars: $2.50 and $10 a million tokens."""
    return tokens_input * 2_500 + tokens_output * 10_000


# --- ledgers, read plainly


class Line(NamedTuple):
    """What a sum needs of one entry. ``cost`` in nano-dollars, 0 where it is unpriced."""

    id: str
    kind: str
    job: str
    cost: int
    metadata: dict[str, Any]
    reservation: str | None


def plain(*ledgers: Path) -> dict[str, Line]:
    """Return the entries of ledgers by id, the first of each; lines that are damaged are passed over."""
    found: dict[str, Line] = {}
    for ledger in ledgers:
        with suppress(FileNotFoundError):
            for raw in ledger.read_bytes().split(b"\n"):
                line = _line(raw)
                if line is not None:
                    found.setdefault(line.id, line)
    return found


def _line(raw: bytes) -> Line | None:
    body, mark, seal = raw.rpartition(b',"crc":"')
    if not mark or seal != b'%08x"}' % crc32(body):
        return None
    said = json.loads(raw, parse_float=Decimal)
    cost = 0 if said["cost_usd"] is None else int(Decimal(said["cost_usd"]) * NANOS)
    return Line(
        said["id"], said["kind"], said["job_id"], cost, said.get("metadata") or {}, said.get("reservation_id")
        or said.get("reservation"),
    )  # fmt: skip


def paid(lines: dict[str, Line]) -> int:
    """Return what entries cost together, in nano-dollars."""
    return sum(line.cost for line in lines.values())


# --- the dashboard


class Answer(NamedTuple):
    """What a command of the dashboard said."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        """Its JSON, numbers exact; empty where it gave none."""
        found: dict[str, Any] = json.loads(self.out, parse_float=Decimal) if self.out.strip() else {}
        return found


def dashboard(home: Path, *arguments: str, profile: Path | None = None) -> Answer:
    """Run ``cost-dashboard`` in a forked process, in which its modules are loaded already."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            _be_the_dashboard(home, arguments, profile)
        code = os.waitstatus_to_exitcode(_ended(child, PATIENCE_S))
        return Answer(code, _read(out), _read(err))


def _be_the_dashboard(home: Path, arguments: Iterable[str], profile: Path | None) -> None:
    atexit._clear()  # the folders of the process that forked are not ours to remove
    os.environ["COST_TRACKER_HOME"] = str(home)
    os.environ["COST_TRACKER_PROFILE"] = str(profile or no_limits(home))
    sys.argv = [str(PROGRAM), *arguments]
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8")
    code: object = 0
    try:
        runpy.run_path(str(PROGRAM), run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 70
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(bool(code)))


def _read(file: Any) -> str:
    file.seek(0)
    text: str = file.read().decode(errors="replace")
    return text


def no_limits(home: Path) -> Path:
    """Return a profile that says nothing, beside the storage; the checkout's own is not to be used."""
    path = home.parent / f"{home.name}.no-limits.yaml"
    if not path.exists():
        path.write_text("budget: {}\n")
    return path


class Month(NamedTuple):
    """What the month came to by ``show-monthly``: nano-dollars and calls; or why it did not say."""

    cost: int
    calls: int
    refused: str = ""


def month(home: Path, profile: Path | None = None) -> Month:
    """Return this month's sum over all users."""
    answer = dashboard(home, "show-monthly", "--json", profile=profile)
    if answer.code or not answer.out.strip():
        return Month(0, 0, f"exit {answer.code}: {answer.err.strip()[-300:]}")
    facts = answer.facts
    return Month(int(Decimal(facts["total_cost"]) * NANOS), facts["total_calls"])


def live_holds(home: Path, profile: Path | None = None) -> tuple[int, int]:
    """Return how many holds are live, and the nano-dollars of all that are held, orphans among them."""
    answer = dashboard(home, "reservations", "list", "--json", profile=profile)
    if answer.code:
        raise Raised(f"reservations list ended with {answer.code}: {answer.err.strip()}")
    facts = answer.facts
    live = sum(
        one["state"] == "live" if "state" in one else not one["orphaned"] for one in facts["reservations"]
    )
    return live, int(Decimal(facts["held_usd"]) * NANOS)


# --- the files of a storage


def storage_files(home: Path) -> list[Path]:
    """Return the files of a storage but those that are the only place of a call."""
    found = []
    for folder, _, names in os.walk(home):
        if Path(folder).relative_to(home).parts[:1] not in {(name,) for name in NOT_LOST}:
            found += [Path(folder, name) for name in names]
    return sorted(path for path in found if path.is_file())


SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database: one file with it, for who deletes it."""


def choose_file(home: Path, rng: random.Random, side_files: bool = False) -> Path | None:
    """Return one of them; folders of many files have no more weight than a file beside them."""
    files = [path for path in storage_files(home) if side_files or not path.name.endswith(SIDE_FILES)]
    tops = sorted({path.relative_to(home).parts[0] for path in files})
    if not tops:
        return None
    top = rng.choice(tops)
    return rng.choice([path for path in files if path.relative_to(home).parts[0] == top])


def lose(path: Path, _: random.Random) -> None:
    """Delete a file; a database with what lies beside it."""
    path.unlink()
    for suffix in SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def garble(path: Path, rng: random.Random) -> None:
    """Fill a file with noise, in place."""
    path.write_bytes(rng.randbytes(max(16, min(path.stat().st_size, 1 << 16))))


def cut(path: Path, rng: random.Random) -> None:
    """Cut a file anywhere, also down to nothing."""
    os.truncate(path, rng.choice([0, rng.randrange(path.stat().st_size + 1)]))


def scratch(path: Path, rng: random.Random) -> None:
    """Overwrite a stretch of a file."""
    data = bytearray(path.read_bytes())
    if data:
        at = rng.randrange(len(data))
        stretch = rng.randbytes(rng.choice([1, 64, 4096]))
        data[at : at + len(stretch)] = stretch
        path.write_bytes(data)


def make_newer(path: Path, _: random.Random) -> bool:
    """Have a database say that a later version wrote it; return whether the file is one."""
    if path.read_bytes()[:15] != b"SQLite format 3":
        return False
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + 1000}")
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            columns = {row[1] for row in db.execute(f'PRAGMA table_info("{table}")')}
            if "version" in columns:
                db.execute(f'UPDATE "{table}" SET version = version + 1000')
    return True


HURTS: tuple[Callable[[Path, random.Random], object], ...] = (lose, garble, cut, scratch)


# --- other processes


class Raised(Exception):
    """What was asked of another process raised; the text is its traceback."""


def in_child(work: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Return what ``work`` gives in a forked process.

    Raises:
        Raised: it raised, or its process died or hung.

    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer_and_end(work, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = _all_of(pipe.fileno(), patience_s)
    status = _ended(child, 5.0)
    if not said:
        raise Raised(f"the process gave no answer (status {status})")
    good, value = pickle.loads(said)
    if not good:
        raise Raised(value)
    result: T = value
    return result


def _answer_and_end(work: Callable[[], object], writing: int) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        answer = pickle.dumps((True, work()))
    except BaseException:
        answer = pickle.dumps((False, traceback.format_exc()))
    with suppress(OSError), open(writing, "wb") as pipe:
        pipe.write(answer)
    os._exit(0)


def _all_of(pipe: int, patience_s: float) -> bytes:
    said, end = b"", time.monotonic() + patience_s
    while (left := end - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            step = os.read(pipe, 1 << 16)
            if not step:
                break
            said += step
    return said


def _ended(child: int, patience_s: float) -> int:
    """Wait for a process, and kill it when it takes too long; return its status."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


class Helper:
    """A forked process that does its tasks one after another."""

    def __init__(self) -> None:
        self._mine, theirs = os.pipe(), os.pipe()
        self._theirs = theirs
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._mine[1])
            os.close(theirs[0])
            self._serve(self._mine[0], theirs[1])
        os.close(self._mine[0])
        os.close(theirs[1])

    def start(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Ask for something; the answer comes from :meth:`result`."""
        _send(self._mine[1], (work, arguments))

    def result(self) -> Any:
        """Return the answer to what was asked last.

        Raises:
            Raised: it raised, or the process died or hung.

        """
        good, value = _receive(self._theirs[0], PATIENCE_S)
        if not good:
            raise Raised(value)
        return value

    def ask(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Ask for something and wait for it."""
        self.start(work, *arguments)
        return self.result()

    def kill(self) -> None:
        """End the process at once."""
        for fd in (self._mine[1], self._theirs[0]):
            with suppress(OSError):
                os.close(fd)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _serve(self, reading: int, writing: int) -> None:
        with suppress(BaseException):
            while True:
                work, arguments = _receive(reading, 3600.0)
                try:
                    answer: tuple[bool, Any] = (True, work(*arguments))
                except BaseException:
                    answer = (False, traceback.format_exc())
                _send(writing, answer)
        os._exit(0)


def _send(fd: int, value: object) -> None:
    data = pickle.dumps(value)
    data = len(data).to_bytes(8, "big") + data
    while data:
        data = data[os.write(fd, data) :]


def _receive(fd: int, patience_s: float) -> Any:
    return pickle.loads(_exactly(fd, int.from_bytes(_exactly(fd, 8, patience_s), "big"), patience_s))


def _exactly(fd: int, length: int, patience_s: float) -> bytes:
    data, end = b"", time.monotonic() + patience_s
    while len(data) < length:
        if not select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
            raise Raised(f"no answer within {patience_s:g} s")
        step = os.read(fd, length - len(data))
        if not step:
            raise Raised("the process has died")
        data += step
    return data


def hold_everything(home: Path, seconds: float) -> int:
    """Take the lock of every file of a storage, keep them, and give them up; return of how many."""
    import fcntl

    held: list[Any] = []
    for path in storage_files(home):
        if path.name.endswith(("-wal", "-shm")):
            continue
        with suppress(OSError, sqlite3.Error):
            file = path.open("rb")
            if file.read(15) == b"SQLite format 3":
                file.close()
                db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
                db.execute("BEGIN EXCLUSIVE")
                held.append(db)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.append(file)
    time.sleep(seconds)
    for one in held:
        one.close()
    return len(held)


# --- a place to try things in


@dataclass(frozen=True)
class Place:
    """A folder with a storage and the folders of jobs."""

    folder: Path

    @property
    def home(self) -> Path:
        """The cost storage."""
        return self.folder / "storage"

    def job(self, name: str) -> Path:
        """The folder of a job."""
        return self.folder / "jobs" / name

    def tracker(self, job: str, profile: Path | None = None, user: str = "1") -> CostTracker:
        """Return a tracker of a job."""
        self.home.parent.mkdir(parents=True, exist_ok=True)
        return CostTracker(
            self.job(job), user, self.home, profile_path=profile or no_limits(self.home)
        )  # fmt: skip

    def ledgers(self) -> list[Path]:
        """Return the ledgers that there are."""
        return sorted((self.folder / "jobs").glob(f"**/{LEDGER}"))


def places(prefix: str, dir_: Path | None = None) -> Generator[Place, None, None]:
    """Give one new place after another; each is removed when the next one is asked for."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=dir_))
        try:
            yield Place(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def warm_up() -> None:
    """Load the product's modules in this process, so that forked ones need not, and show no log."""
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.pop("COST_TRACKER_ALLOW_OVER_BUDGET", None)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        with place.tracker("warm") as tracker:
            with tracker.reserve(*MODEL, tokens_input=10, max_tokens_output=10) as hold:
                tracker.log_usage(*MODEL, 10, 1, reservation=hold)
            tracker.get_monthly_cost()
            tracker.check_budget_alerts()
        for command in ("show-monthly", "show-budget", "verify"):
            for name in in_child(lambda command=command: _modules_of(place.home, command)):  # type: ignore[misc]
                with suppress(Exception):
                    importlib.import_module(name)


def _modules_of(home: Path, command: str) -> list[str]:
    """Return the modules that a command of the dashboard loads, which would end its process."""
    end = os._exit
    loaded: list[str] = []

    class Ended(BaseException):
        pass

    def instead(code: int) -> NoReturn:
        loaded.extend(sys.modules)
        raise Ended(code)

    os._exit = instead  # type: ignore[assignment]
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        _be_the_dashboard(home, (command, "--json"), None)
    except Ended:
        pass
    finally:
        os._exit = end
    return [name for name in loaded if name != "__main__"]
