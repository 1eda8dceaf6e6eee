"""The import of agents' logs: reads on where the last one came to, and says what it did.

How far each log was read is in a file of the cost storage. Without it all is read again, and known.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import CostError
from ...pricing.catalogue import Catalogue
from ...storage import CostStorage
from ...store.database import Database
from ...store.store import Store
from ..imports import CannotRead
from . import ProgramLog
from .calls import CrossCheck, ModelCall, Program, Remarks
from .files import LogFile, marks_of, opened_log, plain_path
from .recording import SessionRecorder, SessionTotals

FORMAT: Final = 1
FILE_NAME: Final = "sessions.db"

SCHEMA: Final = (
    f"PRAGMA user_version={FORMAT}",
    """CREATE TABLE logs (path TEXT PRIMARY KEY, program TEXT NOT NULL, session TEXT NOT NULL,
        device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
        offset INTEGER NOT NULL, head INTEGER NOT NULL, tail INTEGER NOT NULL,
        state TEXT NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX logs_by_session ON logs (program, session)",
)


class LogPosition(NamedTuple):
    """How far a log was read, what its file looked like then, and what its reader has to remember.

    ``head`` and ``tail`` are the CRC-32 of the first bytes and of the last ones before ``offset``. ``mtime``
    is when it last changed, in nanoseconds. ``session`` is whose sums the state belongs to.
    """

    path: str
    program: str
    session: str
    device: int
    inode: int
    size: int
    mtime: int
    offset: int
    head: int
    tail: int
    state: str

    @property
    def remembered(self) -> dict[str, Any]:
        """What the reader has to remember."""
        found: dict[str, Any] = json.loads(self.state)
        return found


_FIND: Final = """SELECT path, program, session, device, inode, size, mtime, offset, head, tail, state
    FROM logs WHERE path = ?"""
_PUT: Final = "REPLACE INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Positions:
    """The places of all logs of one cost storage."""

    def __init__(self, storage: CostStorage) -> None:
        self._db = Database(storage.root / FILE_NAME, SCHEMA, FORMAT)

    def of(self, path: str) -> LogPosition | None:
        """Return how far a log was read; ``None`` where it was not."""
        query = _FIND

        def ask(db: sqlite3.Connection) -> LogPosition | None:
            row = db.execute(query, (path,)).fetchone()
            return LogPosition(*row) if row else None

        return self._db.statement(ask)

    def save(self, positions: Iterable[LogPosition]) -> None:
        """Keep how far some logs were read."""
        rows = list(positions)
        if rows:
            self._db.write(lambda db: db.executemany(_PUT, rows))

    def states(self, program: str, session: str) -> Mapping[Path, Mapping[str, object]]:
        """Return what the readers of all logs of a session remember."""
        query = "SELECT path, state FROM logs WHERE program = ? AND session = ?"
        rows = self._db.statement(lambda db: db.execute(query, (program, session)).fetchall())
        return {Path(path): json.loads(state) for path, state in rows}

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._db.close()


QUIET_S: Final = 60.0
"""A log that nobody wrote to for so many seconds is taken as it is, with what is open in it."""


@dataclass(slots=True)
class ProgramImport:
    """What an import did with the logs of one program."""

    program: Program
    added: SessionTotals
    files: int = 0
    read: int = 0
    again: int = 0
    """Logs that were shorter than before or other files, and so were read from their beginning."""
    remarks: Remarks = field(default_factory=Remarks)
    checks: list[CrossCheck] = field(default_factory=list)


@dataclass(slots=True)
class SessionImport:
    """Imports logs of agents into one cost storage.

    Args:
        storage, index, catalogue: where to, what is known there, and what a call costs.
        user_id: who paid.
        positions: how far each log was read before.
        dry_run: whether nothing is written.
        is_watching: whether the logs are being written: a last line without its end is then left for later.
        progress: called with how many files were looked at.

    """

    storage: CostStorage
    index: Store
    catalogue: Catalogue
    user_id: str
    positions: Positions
    dry_run: bool = False
    is_watching: bool = False
    progress: Callable[[int], None] = lambda _files: None
    taken: dict[str, ProgramImport] = field(default_factory=dict)
    _recorders: dict[str, SessionRecorder] = field(default_factory=dict)
    _done: list[LogPosition] = field(default_factory=list)
    _sessions: dict[tuple[str, str], None] = field(default_factory=dict)
    _looked_at: int = 0

    def run(self, found: Iterable[ProgramLog]) -> list[ProgramImport]:
        """Import every log, and return what was done by program.

        Interrupted or failing, it has imported a part of them; running it again adds the rest.

        Raises:
            NotWritten: a ledger cannot be written to.
            StorageUnavailable: the cost storage cannot be used.

        """
        self.taken, self._recorders, self._sessions, self._looked_at = {}, {}, {}, 0
        current: Program | None = None
        for program, path in found:
            if program is not current:
                self._flush()
                current = program
            self._take(program, path)
            self._looked_at += 1
            if self._looked_at % 20 == 0:
                self.progress(self._looked_at)
        self._flush()
        self._check()
        self.progress(self._looked_at)
        return [*self.taken.values()]

    # --- one log

    def _take(self, program: Program, path: Path) -> None:
        taken = self._of(program)
        taken.files += 1
        real = os.path.realpath(path)
        name = _text(str(plain_path(Path(real))))  # packed since, it is the same log
        before = self.positions.of(name)
        try:
            facts = _facts(real, program.beside)
            if before is not None and facts == _facts_of(before):
                return
            with opened_log(path) as (file, found):
                log = LogFile(plain_path(path), file, os.fstat(file.fileno()).st_size)
                log.is_quiet = not self.is_watching or time.time() - found.st_mtime > QUIET_S
                if before is not None and _goes_on(program, before, log, found):
                    log.offset, log.state = before.offset, before.remembered
                elif before is not None:
                    taken.again += 1
                self._read(program, log, taken)
                head, tail = log.marks()
                if not log.is_quiet and log.offset < log.size:
                    facts = (*facts[:3], _LEFT_OPEN)
        except CannotRead as fault:
            taken.remarks.refuse(str(path), str(fault).removeprefix(f"{path}: "))
            return
        session = _text(str(log.state.get("session") or ""))
        self._sessions[program.name, session] = None
        state = json.dumps(log.state, separators=(",", ":"))
        self._done.append(LogPosition(name, program.name, session, *facts, log.offset, head, tail, state))

    def _read(self, program: Program, log: LogFile, taken: ProgramImport) -> None:
        recorder = self._recorders[program.name]
        taken.read += 1
        for call in self._understood(program, log, taken.remarks):
            if recorder.take(call) and self._done:
                self._keep_places()  # all calls of the logs before this one are on the disk
        taken.remarks.lines += log.lines
        if log.is_cut:
            taken.remarks.unknown["last lines that are cut off: they are read once they are whole"] += 1
        if log.too_long:
            taken.remarks.refuse(str(log.path), f"{log.too_long} lines are too long to be read")

    def _understood(self, program: Program, log: LogFile, remarks: Remarks) -> Iterable[ModelCall]:
        try:
            yield from program.read(log, remarks)
        except CostError:
            raise
        except (ValueError, TypeError, LookupError) as fault:
            remarks.refuse(str(log.path), f"is not as expected: {fault}")

    def _of(self, program: Program) -> ProgramImport:
        if program.name not in self.taken:
            recorder = SessionRecorder(
                program, self.storage, self.index, self.catalogue, self.user_id, dry_run=self.dry_run
            )
            self._recorders[program.name] = recorder
            self.taken[program.name] = ProgramImport(program, recorder.added)
        return self.taken[program.name]

    # --- what is kept

    def _flush(self) -> None:
        """Bring all calls to the disk, then keep how far the logs were read: never the other way round."""
        for recorder in self._recorders.values():
            recorder.flush()
        self._keep_places()

    def _keep_places(self) -> None:
        if not self.dry_run:
            self.positions.save(self._done)
            self._done.clear()

    def _check(self) -> None:
        for name, session in self._sessions:
            taken = self.taken[name]
            states = dict(self.positions.states(name, session)) if session else {}
            if self.dry_run:
                states |= {Path(each.path): each.remembered for each in self._done if each.session == session}
            taken.checks += taken.program.check(states)


def _text(name: str) -> str:
    """Return a name as text that a database takes, whatever bytes it has; other names stay others."""
    return name.encode("utf-8", "surrogatepass").decode("utf-8", "backslashreplace")


def _facts(path: str, beside: Iterable[str]) -> tuple[int, int, int, int]:
    """Return device, inode, size and time of change of a log; the size and time with what stands beside it.

    The time is the later one of what the log says and what the file system says, which nobody can set.

    Raises:
        CannotRead: it is not there.

    """
    try:
        found = os.stat(path)
    except OSError as fault:
        raise CannotRead(f"{path}: cannot be read: {fault.strerror or fault}") from fault
    size, changed = found.st_size, _changed(found)
    for suffix in beside:
        with suppress(OSError):
            more = os.stat(path + suffix)
            size, changed = size + more.st_size, max(changed, _changed(more))
    return found.st_dev, found.st_ino, size, changed


_LEFT_OPEN: Final = 0
"""When a log changed whose last line was left for later, so that it is looked at again."""


def _changed(found: os.stat_result) -> int:
    return max(found.st_mtime_ns, found.st_ctime_ns)


def _facts_of(before: LogPosition) -> tuple[int, int, int, int]:
    return before.device, before.inode, before.size, before.mtime


def _goes_on(program: Program, before: LogPosition, log: LogFile, found: os.stat_result) -> bool:
    """Tell whether a log is the one that was read, and only grew; a database is, until it is replaced.

    One that changed and has the length that it had was written over.
    """
    if (found.st_dev, found.st_ino) != (before.device, before.inode):
        return False
    if program.beside:
        return True
    marks = (before.head, before.tail)
    least = before.size + (before.mtime != _LEFT_OPEN)
    return found.st_size >= least and marks_of(log.file, before.offset) == marks
