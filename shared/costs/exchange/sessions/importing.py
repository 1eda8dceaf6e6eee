"""Imports agents' logs: reads on from where the last import stopped, and returns what it did.

How far each log was read is in a file of the cost storage. Without it, all logs are read again, and their
calls are recognised.
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
    """How far a log was read, the status of its file then, and the state of its reader.

    ``head`` and ``tail`` are the CRC-32 of the first bytes and of the last ones before ``offset``. ``mtime``
    is when it last changed, in nanoseconds. ``session`` is the session that the sums in ``state`` belong to.
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
        """The state of the reader, decoded."""
        state: dict[str, Any] = json.loads(self.state)
        return state


_FIND: Final = """SELECT path, program, session, device, inode, size, mtime, offset, head, tail, state
    FROM logs WHERE path = ?"""
_PUT: Final = "REPLACE INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class LogPositions:
    """The positions of all logs of one cost storage."""

    def __init__(self, storage: CostStorage) -> None:
        self._db = Database(storage.root / FILE_NAME, SCHEMA, FORMAT)

    def of(self, path: str) -> LogPosition | None:
        """Return how far a log was read; ``None`` if it was not."""
        query = _FIND

        def ask(db: sqlite3.Connection) -> LogPosition | None:
            row = db.execute(query, (path,)).fetchone()
            return LogPosition(*row) if row else None

        return self._db.statement(ask)

    def save(self, positions: Iterable[LogPosition]) -> None:
        """Store how far some logs were read."""
        rows = list(positions)
        if rows:
            self._db.write(lambda db: db.executemany(_PUT, rows))

    def states(self, program: str, session: str) -> Mapping[Path, Mapping[str, object]]:
        """Return the states of the readers of all logs of a session, by path."""
        query = "SELECT path, state FROM logs WHERE program = ? AND session = ?"
        rows = self._db.statement(lambda db: db.execute(query, (program, session)).fetchall())
        return {Path(path): json.loads(state) for path, state in rows}

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._db.close()


QUIET_S: Final = 60.0
"""After this many seconds without a write, a log is read to its end, with an unfinished last line."""


@dataclass(slots=True)
class ProgramImport:
    """What an import did with the logs of one program."""

    program: Program
    added: SessionTotals
    files: int = 0
    read: int = 0
    again: int = 0
    """Logs that were read from their beginning, because they had become shorter or other files."""
    remarks: Remarks = field(default_factory=Remarks)
    checks: list[CrossCheck] = field(default_factory=list)


@dataclass(slots=True)
class SessionImport:
    """Imports logs of agents into one cost storage.

    Args:
        storage, index, catalogue: the cost storage, its recorded calls, and the prices.
        user_id: the user that entries are recorded for.
        positions: how far each log was read before.
        dry_run: whether nothing is written.
        is_watching: whether the logs are being written: a last line without its end is then left for later.
        progress: called with the number of files that were processed.

    """

    storage: CostStorage
    index: Store
    catalogue: Catalogue
    user_id: str
    positions: LogPositions
    dry_run: bool = False
    is_watching: bool = False
    progress: Callable[[int], None] = lambda _files: None
    imports: dict[str, ProgramImport] = field(default_factory=dict)
    _recorders: dict[str, SessionRecorder] = field(default_factory=dict)
    _read_positions: list[LogPosition] = field(default_factory=list)
    _sessions: dict[tuple[str, str], None] = field(default_factory=dict)
    _processed: int = 0

    def run(self, logs: Iterable[ProgramLog]) -> list[ProgramImport]:
        """Import every log, and return what was done by program.

        If it is interrupted or fails, some logs are imported; running it again adds the rest.

        Raises:
            NotWritten: a ledger cannot be written to.
            StorageUnavailable: the cost storage cannot be used.

        """
        self.imports, self._recorders, self._sessions, self._processed = {}, {}, {}, 0
        current: Program | None = None
        for program, path in logs:
            if program is not current:
                self._flush()
                current = program
            self._import_log(program, path)
            self._processed += 1
            if self._processed % 20 == 0:
                self.progress(self._processed)
        self._flush()
        self._check()
        self.progress(self._processed)
        return [*self.imports.values()]

    # --- one log

    def _import_log(self, program: Program, path: Path) -> None:
        result = self._result_of(program)
        result.files += 1
        real = os.path.realpath(path)
        name = _text(str(plain_path(Path(real))))  # a log that was compressed since is the same log
        earlier = self.positions.of(name)
        try:
            status = _file_status(real, program.companions)
            if earlier is not None and status == _status_of(earlier):
                return
            with opened_log(path) as (file, file_status):
                log = LogFile(plain_path(path), file, os.fstat(file.fileno()).st_size)
                log.is_quiet = not self.is_watching or time.time() - file_status.st_mtime > QUIET_S
                if earlier is not None and _is_continued(program, earlier, log, file_status):
                    log.offset, log.state = earlier.offset, earlier.remembered
                elif earlier is not None:
                    result.again += 1
                self._read(program, log, result)
                head, tail = log.marks()
                if not log.is_quiet and log.offset < log.size:
                    status = (*status[:3], _UNFINISHED)
        except CannotRead as fault:
            result.remarks.refuse(str(path), str(fault).removeprefix(f"{path}: "))
            return
        session = _text(str(log.state.get("session") or ""))
        self._sessions[program.name, session] = None
        state = json.dumps(log.state, separators=(",", ":"))
        self._read_positions.append(
            LogPosition(name, program.name, session, *status, log.offset, head, tail, state)
        )

    def _read(self, program: Program, log: LogFile, result: ProgramImport) -> None:
        recorder = self._recorders[program.name]
        result.read += 1
        for call in self._read_calls(program, log, result.remarks):
            if recorder.add_call(call) and self._read_positions:
                self._save_positions()  # all calls of the logs before this one are on disk
        result.remarks.lines += log.lines
        if log.is_cut:
            result.remarks.unknown["last lines that are cut off: they are read once they are whole"] += 1
        if log.too_long:
            result.remarks.refuse(str(log.path), f"{log.too_long} lines are too long to be read")

    def _read_calls(self, program: Program, log: LogFile, remarks: Remarks) -> Iterable[ModelCall]:
        try:
            yield from program.read(log, remarks)
        except CostError:
            raise
        except (ValueError, TypeError, LookupError) as fault:
            remarks.refuse(str(log.path), f"is not as expected: {fault}")

    def _result_of(self, program: Program) -> ProgramImport:
        if program.name not in self.imports:
            recorder = SessionRecorder(
                program, self.storage, self.index, self.catalogue, self.user_id, dry_run=self.dry_run
            )
            self._recorders[program.name] = recorder
            self.imports[program.name] = ProgramImport(program, recorder.added)
        return self.imports[program.name]

    # --- writing

    def _flush(self) -> None:
        """Write all calls, then store how far the logs were read: in this order, so that no call is lost."""
        for recorder in self._recorders.values():
            recorder.flush()
        self._save_positions()

    def _save_positions(self) -> None:
        if not self.dry_run:
            self.positions.save(self._read_positions)
            self._read_positions.clear()

    def _check(self) -> None:
        for name, session in self._sessions:
            result = self.imports[name]
            states = dict(self.positions.states(name, session)) if session else {}
            if self.dry_run:
                states |= {
                    Path(position.path): position.remembered
                    for position in self._read_positions
                    if position.session == session
                }
            result.checks += result.program.check(states)


def _text(name: str) -> str:
    """Return a name as text that a database accepts; different names stay different."""
    return name.encode("utf-8", "surrogatepass").decode("utf-8", "backslashreplace")


def _file_status(path: str, companions: Iterable[str]) -> tuple[int, int, int, int]:
    """Return device, inode, size and time of change of a log, the last two including its companion files.

    The time is the later of the modification time and the change time, which nobody can set.

    Raises:
        CannotRead: it is missing.

    """
    try:
        status = os.stat(path)
    except OSError as fault:
        raise CannotRead(f"{path}: cannot be read: {fault.strerror or fault}") from fault
    size, changed = status.st_size, _changed(status)
    for suffix in companions:
        with suppress(OSError):
            companion = os.stat(path + suffix)
            size, changed = size + companion.st_size, max(changed, _changed(companion))
    return status.st_dev, status.st_ino, size, changed


_UNFINISHED: Final = 0
"""Stored as the time of change of a log whose last line was left for later, so that it is read again."""


def _changed(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _status_of(position: LogPosition) -> tuple[int, int, int, int]:
    return position.device, position.inode, position.size, position.mtime


def _is_continued(program: Program, earlier: LogPosition, log: LogFile, status: os.stat_result) -> bool:
    """Tell whether a log is the file that was read before and only grew; a database is, until it is replaced.

    A log that changed and has the same length was overwritten.
    """
    if (status.st_dev, status.st_ino) != (earlier.device, earlier.inode):
        return False
    if program.companions:
        return True
    marks = (earlier.head, earlier.tail)
    min_size = earlier.size + (earlier.mtime != _UNFINISHED)
    return status.st_size >= min_size and marks_of(log.file, earlier.offset) == marks
