"""The index: sums of all registered ledgers, always the exact sum of a beginning of each of them.

>>> import tempfile
>>> from datetime import UTC, datetime
>>> from ..ledger.line import encode
>>> from ..model import Entry
>>> folder = tempfile.TemporaryDirectory()
>>> ledger = Path(folder.name) / "job-1" / "cost_ledger.jsonl"
>>> ledger.parent.mkdir()
>>> at = datetime(2026, 11, 22, tzinfo=UTC)
>>> entry = Entry(id="1", timestamp=at, job_id="job-1", user_id="u", service="local", model="m")
>>> index = Index.open(CostStorage(Path(folder.name)))
>>> _ = index.register(ledger, "job-1")
>>> _ = ledger.write_bytes(encode(entry)); ledger.chmod(0o600)
>>> index.catch_up_all()
True
>>> index.groups(("user_id",), Query())[0].totals.calls
1
>>> index.close(); folder.cleanup()
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from ..errors import CostError, StorageUnavailable, UnsafePath
from ..forks import lock_of
from ..ledger.places import Appended, LedgerProblem, Location
from ..money import Nanos
from ..patience import allowed
from ..rollup import Dimension, Group, JobRef, Query
from ..storage import CostStorage
from . import queries, spends
from .backend import Backend, MemoryIndex
from .catchup import CatchUp
from .indexfile import IndexFile
from .intake import entries_of
from .keys import key_of
from .ledgerfile import LedgerFile, opened
from .registry import Registry
from .span import Span
from .spends import Asked
from .sqlite_faults import DatabaseDamaged
from .staging import find_staged
from .state import StateDb
from .store import find_reserved, find_seen, ledger_row

if TYPE_CHECKING:
    from logging import Logger

    from ..model import Entry
    from .rebuild import Progress, Rebuilt

NOTE_WAIT_S: Final = 0.1
"""How long an append waits for its turn at the index. Then the index stays behind, and is caught up later."""

FRESH_S: Final = 1.0
"""How long ago the last look at the ledgers may be when sums are asked for."""

RETRY_S: Final = 5.0
"""After how long an index that could not be used is tried again."""

REBUILD_BYTES: Final = 64 << 20
"""From how many bytes of ledgers on a new index is built by :mod:`.rebuild`, which takes some processes."""

T = TypeVar("T")


def _log() -> Logger:
    import logging  # 3 ms that a view without a fault to tell does not pay

    return logging.getLogger("shared.cost_tracker")


Missed = Callable[[Path, OSError], None]
"""Is told of a ledger whose entries are asked for and cannot be read, and why."""


def _warn(ledger: Path, fault: OSError) -> None:
    _log().warning("%s cannot be read: %s", ledger, fault)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class Index:
    """Sums, ids and problems of all registered ledgers. Thread-safe; usable after a fork.

    Raises ``StorageUnavailable`` where sums are too large for 64 bits: 9.2 billion USD.

    Nothing here raises because ``index.db`` is locked, damaged, deleted or cannot be written: the
    ledgers are then folded in memory, and :attr:`degraded` says why.
    """

    def __init__(self, storage: CostStorage, *, patience_s: float | None = None) -> None:
        self.storage = storage
        self.patience_s = patience_s
        """How long one look at the ledgers may take; ``None``: until all are taken in."""
        self.state = StateDb(storage.state_path)
        self.registry = Registry(storage, self.state)
        self._file = IndexFile(storage.index_path)
        self._memory: MemoryIndex | None = None
        self._why: str | None = None
        self._unregistered: str | None = None
        self._retry_at = 0.0
        self._looked_at = 0.0
        self._behind: str | None = None
        self._asked: tuple[Sequence[Query], Asked] | None = None
        self._lock = lock_of(self, "_lock")

    @classmethod
    def open(cls, storage: CostStorage, *, patience_s: float | None = None) -> Index:
        """Return the index of a cost storage. Nothing is opened before it is needed."""
        return cls(storage, patience_s=patience_s)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files of this process; they open again at the next use."""
        with self._lock:
            self._file.close()
            self._leave_memory()
            self.registry.close()
            self.state.close()

    @property
    def degraded(self) -> str | None:
        """Why answers are slow or may be incomplete; ``None`` when all is well."""
        return self._why or self._unregistered or self._behind

    # --- taking in ---------------------------------------------------------------------------------

    def register(self, ledger: Path, job_id: str) -> bool:
        """Make a ledger known, and known as written to, before this process first appends to it.

        Durable at the first call for a ledger (about 0.4 ms), nearly free at the next. ``False``
        when ``state.db`` cannot be used: appending may go on, and it is tried again at the next call.
        """
        try:
            self.registry.mark(ledger, job_id)
        except (StorageUnavailable, OSError) as fault:
            self._unregistered = f"the ledger could not be registered: {fault}"
            return False
        self._unregistered = None
        return True

    def note_appended(self, ledger: Path, entry: Entry, place: Appended, line: bytes = b"") -> bool:
        """Take an entry in that this process has just appended and synced.

        ``line`` is what was written, which saves reading it again. ``False`` when the index is busy
        or cannot be used: it stays behind and is caught up later. Never raises for storage failures.
        """
        return self._noted(ledger, entry, place, line, ()) is not None

    def note_and_ask(
        self, ledger: Path, entry: Entry, place: Appended, line: bytes, asked: Sequence[Query]
    ) -> list[Nanos] | None:
        """As :meth:`note_appended`, and return what :meth:`spends` would, in one turn at the index.

        ``None`` when the index stays behind, or it is time to look at the other ledgers again: then
        whoever wants answers asks for them.
        """
        found = self._noted(ledger, entry, place, line, asked)
        is_fresh = time.monotonic() - self._looked_at <= FRESH_S
        return found if is_fresh and self._memory is None else None

    def _noted(
        self, ledger: Path, entry: Entry, place: Appended, line: bytes, asked: Sequence[Query]
    ) -> list[Nanos] | None:
        question = self._question(asked)
        try:
            registered = self.registry.mark(ledger, entry.job_id)
            with self._lock:
                catch_up = CatchUp(self._file, self.registry)
                return catch_up.note(registered, entry, place, line, NOTE_WAIT_S, question)
        except (CostError, OSError, sqlite3.Error, OverflowError) as fault:
            _log().debug("the index stays behind: %s", fault)
            self._looked_at = 0.0  # whoever asks for sums next looks at the ledgers again
            return None

    def catch_up(self, ledger: Path) -> None:
        """Take in what was appended to one ledger. An unregistered one is left alone."""
        self._do(lambda backend: self._catch_up_one(backend, ledger))

    def _catch_up_one(self, backend: Backend, ledger: Path) -> None:
        registered = self.registry.known(ledger)
        if registered is not None:
            CatchUp(backend, self.registry).one(registered, self.patience_s)

    def catch_up_all(self) -> bool:
        """Take in everything that was appended to any ledger; ``False`` when patience ran out."""
        return self._do(self._look)

    def _look(self, backend: Backend) -> bool:
        with self._lock:
            self._begin_fast(backend)
            patience_s = None if self.patience_s is None else allowed(self.patience_s)
            left = CatchUp(backend, self.registry).all(patience_s)
            self._looked_at = time.monotonic()
            self._behind = f"the index is being built: {left} ledgers are not taken in yet" if left else None
            return not left

    def _begin_fast(self, backend: Backend) -> None:
        """Build a new index the fast way, where there is much to take in and the time for it."""
        if self._looked_at or self.patience_s is not None or backend is not self._file:
            return
        if CatchUp(backend, self.registry).is_new():
            sizes = (_size(ledger.path) for ledger in self.registry.all())
            if sum(sizes) > REBUILD_BYTES:
                from .rebuild import rebuild  # what it needs takes long to import

                rebuild(self.registry, self._file)

    @contextmanager
    def holding_state(self, wait_s: float) -> Iterator[sqlite3.Connection]:
        """Hold the write lock of ``state`` and look at the ledgers meanwhile.

        This process's turn at the index comes first: the order in which everything here takes locks.
        """
        with self._lock, self.state.transaction(wait_s) as db:
            yield db

    # --- asking --------------------------------------------------------------------------------------

    def spend(self, start: datetime, end: datetime, *, user_id: str | None = None) -> Nanos:
        """Return what one user, or everyone, spent in ``[start, end)``, in nano-dollars.

        Costs the same whatever the history. The instants should be edges of days.
        """
        return self.spends([Query(start=start, end=end, user_id=user_id)])[0]

    def spends(self, asked: Sequence[Query]) -> list[Nanos]:
        """Return what was spent in each period and by each user asked for, in nano-dollars.

        As :meth:`spend`; a query's other conditions are not looked at.
        """
        question = self._question(asked)
        return self._ask(lambda db: spends.spends(db, question).spends, settled=False)

    def _question(self, asked: Sequence[Query]) -> Asked:
        """Return what a budget check asks; each one of a process asks the same for a long time."""
        known = self._asked  # once: another thread may put its own there
        if known is None or known[0] is not asked:
            known = self._asked = asked, Asked.of(asked)
        return known[1]

    def spend_by_bucket(
        self, start: datetime, end: datetime, *, user_id: str | None = None
    ) -> dict[int, Nanos]:
        """Return what was spent in each 15-minute bucket of ``[start, end)`` that has any cost.

        Keys are starts in seconds since 1970. Like :meth:`spend` it costs the same whatever the
        history, so the days of a month are best had from here.
        """
        span = Span.of(start, end)
        return self._ask(lambda db: spends.spend_by_bucket(db, span, user_id))

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        """Return the sums of the entries that match, by the dimensions asked for; largest cost first.

        The number of jobs is counted where nothing or only the user is asked by. Groups whose sums
        are all zero are left out.
        """
        return self._ask(lambda db: queries.groups(db, by, query, self._numbers(query)))

    def jobs(self, query: Query) -> list[JobRef]:
        """Return the jobs with entries that match, by id and path; every known one for an empty query."""
        return [job for _, job in self._ask(lambda db: queries.jobs(db, query, self._numbers(query)))]

    def find(self, entry_id: str) -> Location | None:
        """Return where the entry with this id stands; ``None`` when no registered ledger has it."""
        key = key_of(entry_id)

        def look(db: sqlite3.Connection) -> Location | None:
            seen = find_seen(db, *key) or find_staged(db, *key)
            row = ledger_row(db, seen.ledger) if seen else None
            return Location(Path(row.path), seen.offset) if seen and row else None

        return self._ask(look, settled=False)

    def logged(self, reservations: Collection[str]) -> dict[str, tuple[int, Nanos]]:
        """Return how many calls, at what cost, the ledgers have under each reservation that has any."""
        found = self._ask(lambda db: find_reserved(db, list(reservations)))
        return {one: (calls, Nanos(cost)) for one, (calls, cost) in found.items() if calls or cost}

    def entries(self, query: Query, missed: Missed = _warn) -> Iterator[Entry]:
        """Return every entry that counts and matches, read from the ledgers, job by job.

        Ledgers that are gone are passed over, and ``missed`` is told: their sums are kept, their
        entries are not.
        """
        return self._of_each(
            query,
            lambda file, skipped: (e for e in entries_of(file, skipped) if queries.matches(e, query)),
            missed,
        )

    def lines(self, query: Query, missed: Missed = _warn) -> Iterator[bytes]:
        """Return every line that counts, of the ledgers that a query means.

        Its other conditions are not applied, and the seals are still to be checked: for those who
        need no entries, since a line is several times cheaper.
        """
        return self._of_each(
            query,
            lambda file, skipped: (line.raw for line in file.lines(0) if line.offset not in skipped),
            missed,
        )

    def _of_each(
        self, query: Query, read: Callable[[LedgerFile, frozenset[int]], Iterable[T]], missed: Missed
    ) -> Iterator[T]:
        """Read one ledger after the other that can match, given where the lines begin that do not count."""
        for number, job in self._ask(lambda db: queries.jobs(db, query, self._numbers(query))):
            skipped = self._ask(partial(queries.uncounted, ledger=number))
            try:
                with opened(job.ledger) as file:
                    yield from read(file, skipped)
            except OSError as fault:
                missed(job.ledger, fault)

    def problems(self) -> list[LedgerProblem]:
        """Return lines that do not count (damaged, in conflict), and ledgers that are gone or unreadable."""
        return self._ask(queries.problems)

    def _numbers(self, query: Query) -> list[int] | None:
        """Return the numbers of the ledgers that a query's job or ledger means; ``None`` for all."""
        if query.ledger is None and query.job_id is None:
            return None
        if query.ledger is not None:
            known = self.registry.known(query.ledger)
            found = [known] if known else []
        else:
            found = self.registry.of_job(query.job_id or "")
        return [each.id for each in found if query.job_id in (None, each.job_id)]

    # --- building anew ---------------------------------------------------------------------------------

    def rebuild(self, progress: Progress | None = None) -> Rebuilt:
        """Build the index anew from all registered ledgers; ``progress`` is told bytes done and in all.

        Other processes go on with the old one meanwhile.

        Raises:
            StorageUnavailable: the new index cannot be written.

        """
        # What reads a million lines fast costs a stage process too much to import.
        from .rebuild import rebuild

        with self._lock:
            found = rebuild(self.registry, self._file, progress)
            self._leave_memory()
        self.catch_up_all()
        return found

    def rebuild_ledger(self, ledger: Path) -> None:
        """Take one ledger out and in again from its first byte. An unregistered one is left alone."""

        def anew(backend: Backend) -> None:
            registered = self.registry.known(ledger)
            if registered is not None:
                CatchUp(backend, self.registry).anew(registered)

        self._do(anew)

    def add_ledgers_under(self, root: Path) -> int:
        """Register every ledger under a directory, and return how many were new: mends a lost ``state.db``.

        Links are not followed. The job's id is the name of the directory.

        Raises:
            StorageUnavailable: ``state.db`` cannot be written.

        """
        from .finding import ledgers_under

        before = len(self.registry.all())
        self.registry.add((path, path.parent.name) for path in ledgers_under(root, self.storage))
        self._looked_at = 0.0
        return len(self.registry.all()) - before

    # --- when the index cannot be used -----------------------------------------------------------------

    def _ask(self, question: Callable[[sqlite3.Connection], T], *, settled: bool = True) -> T:
        """Answer from the tables, after a look at the ledgers unless there was one a moment ago.

        ``settled`` is for questions that do not look at what is staged.
        """

        def answer(backend: Backend) -> T:
            if time.monotonic() - self._looked_at > FRESH_S or backend is self._memory:
                self._look(backend)
            if settled:
                CatchUp(backend, self.registry).settle()
            with backend.snapshot() as db:
                return question(db)

        return self._do(answer)

    def _do(self, action: Callable[[Backend], T]) -> T:
        """Do something with the index; where its file fails, begin anew, and else go on in memory."""
        with self._lock:
            try:
                return self._done(action)
            except (sqlite3.IntegrityError, OverflowError) as fault:
                raise StorageUnavailable(f"the sums are too large, above 9 billion USD: {fault}") from fault

    def _done(self, action: Callable[[Backend], T]) -> T:
        if self._memory is None or time.monotonic() >= self._retry_at:
            try:
                return self._with_file(action)
            except (StorageUnavailable, UnsafePath) as fault:
                self._enter_memory(fault)
        assert self._memory is not None
        return action(self._memory)

    def _with_file(self, action: Callable[[Backend], T]) -> T:
        try:
            found = action(self._file)
        except DatabaseDamaged as fault:
            _log().warning("the index is built anew from the ledgers: %s", fault)
            self._file.start_anew()
            self._looked_at = 0.0
            found = action(self._file)
        self._leave_memory()
        return found

    def _enter_memory(self, fault: CostError) -> None:
        self._retry_at = time.monotonic() + RETRY_S
        if self._memory is None:
            self._memory = MemoryIndex(self.storage.index_path)
            self._why = f"the index cannot be used, sums are taken from the ledgers: {fault}"
            _log().warning("%s", self._why)

    def _leave_memory(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None
            self._why = None
