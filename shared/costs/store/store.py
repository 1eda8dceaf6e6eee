"""The sums of all known ledgers, complete or saying that they are not.

>>> import tempfile
>>> from datetime import UTC, datetime
>>> from ..ledger.line import encode
>>> from ..model import Entry
>>> folder = tempfile.TemporaryDirectory()
>>> ledger = Path(folder.name).resolve() / "job-1" / "cost_ledger.jsonl"
>>> ledger.parent.mkdir()
>>> at = datetime(2026, 11, 22, tzinfo=UTC)
>>> entry = Entry(id="1", timestamp=at, job_id="job-1", user_id="u", service="local", model="m")
>>> store = Store.of(CostStorage(Path(folder.name).resolve()))
>>> store.note(ledger)
True
>>> _ = ledger.write_bytes(encode(entry)); ledger.chmod(0o600)
>>> store.groups(("user_id",), Query())[0].totals.calls
1
>>> store.close(); folder.cleanup()
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from ..errors import CostError, StorageUnavailable, UnsafePath
from ..importing import import_safely
from ..ledger import spool
from ..ledger.counted import counted, key_of
from ..ledger.lines import AppendedLine, DamagedLine, LedgerProblem, Location, pieces, split
from ..money import Nanos
from ..patience import at_most, remaining
from ..platform import Wait
from ..rollup import Dimension, Group, JobOrder, JobPage, JobRef, Query
from ..storage import LEDGER_NAME, CostStorage
from . import queries, tables
from .catchup import CatchUp, NotedLedgers
from .database import WAIT_S, Database, DatabaseBusy, DatabaseDamaged, SealedDatabase
from .gone import GONE, WAITING, KeptJournal, NotKept, recognised, retire
from .intake import ReadLine, read_counted
from .journal import WriterLines, WriterLinesReader, opened
from .packed import PackedLedgers, lines_of
from .presence import presence_in
from .queries import BucketSpan, GoneLedger, ReadableLedger
from .recent import Recent
from .tables import LedgerRow, Mark, Reserved
from .windows import Windows

if TYPE_CHECKING:
    from logging import Logger

    from ..archive.restoring import Content
    from ..model import Entry
    from .build import Progress, RebuildResult
    from .state import StateDb

T = TypeVar("T")
Missed = Callable[[Path, OSError], None]
"""Called with each ledger whose entries cannot be read, and the reason."""

RECENT_LINES: Final = 1024
"""How many lines this process keeps beside the sums before it takes them in."""

TAKE_IN_S: Final = 1.0
"""How old such lines may become, in seconds: what a ledger said that is deleted before is in no sum."""

RETRY_S: Final = 5.0
"""After how long sums that could not be used are tried again."""

TURN_AT_ONCE_S: Final = 0.000_5
"""A look at ledgers to which nobody writes that takes no longer, of CPU, is made each time."""

_HOT_WAIT_S: Final = 1.0
"""How long a call waits for others that make or open the sums, within its own time."""

_TRIES: Final = 3

LOOK_SHARE: Final = 20
"""A look at ledgers is believed for so many times as long as it took, by who has just logged a call."""

LOOK_S: Final = 0.005
"""And for this long at least, in seconds: what others spent meanwhile, the next call tells."""


class Store:
    """Sums, ids and problems of all known ledgers: one object a process and storage. Thread-safe.

    Where ``sums.db`` is locked, damaged, deleted or cannot be written, the ledgers are added up in memory,
    and :attr:`degraded` says why. Within :func:`.patience.at_most` an answer may be of a part of the ledgers,
    and :attr:`degraded` says so; elsewhere reading goes on to the end.

    Raises ``StorageUnavailable`` where sums are too large for 64 bits: 9.2 billion USD.
    """

    def __init__(self, storage: CostStorage) -> None:
        self.storage = storage
        self.presence = presence_in(storage.writers_dir)
        self._file = SealedDatabase(storage.sums_path, tables.SCHEMA, tables.FORMAT)
        self._memory: Database | None = None
        self._known = NotedLedgers(storage, self.presence)
        self._recent = Recent()
        self._feed = WriterLines(self.presence)
        self._feeds = WriterLinesReader(storage.writers_dir)
        self._expected = list[str]()
        """The ids of lines that processes keep beside their ledgers and that were not found yet."""
        self._unreadable = set[str]()
        """Those that are in no sum after all ledgers were read: of lines of a newer version, maybe."""
        self._windows = Windows()
        self._packed = PackedLedgers(storage)
        self._version: int | None = None
        self._look_again_at = self._turn_at = self._retry_at = self._take_in_at = 0.0
        self._why: str | None = None
        self._unnoted: str | None = None
        self._behind: str | None = None
        self._state: StateDb | None = None
        self._ends_in = 0
        self._lock = threading.RLock()
        self._looked = _ThreadLooks()

    @classmethod
    def of(cls, storage: CostStorage) -> Store:
        """Return this process's store of a cost storage. Nothing is opened before it is needed."""
        known = _STORES.get(storage.root)
        return _STORES.setdefault(storage.root, cls(storage)) if known is None else known

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take in what is beside the sums, and close the files of this process; the next use opens them."""
        self._take_in(WAIT_S)
        self._forget()
        self._leave_memory()
        self._file.close()
        if self._state is not None:
            self._state.close()

    @property
    def degraded(self) -> str | None:
        """Why answers are slow or may be incomplete; ``None`` when all is well."""
        return self._why or self._unnoted or self._behind

    # --- recording

    def note(self, ledger: Path) -> bool:
        """Make a ledger known, durably, before this process first appends to it.

        Needs no database and no other process. ``False`` where the note cannot be made: the call may be
        recorded all the same, but holds must not be settled by it. It is tried again at the next call.
        """
        try:
            self._known.note(os.fsencode(ledger))
        except (OSError, CostError) as fault:
            self._unnoted = f"{ledger} could not be made known to the cost storage: {fault}"
            return False
        self._unnoted = None
        return True

    def appended(
        self,
        ledger: Path,
        entry: Entry,
        place: AppendedLine,
        line: bytes,
        asked: Sequence[Query] = (),
    ) -> list[int] | None:
        """Count an entry that this process has just appended and synced, and answer what was asked of it.

        ``line`` is what was appended. ``None`` where the sums cannot be had now: the entry is counted at the
        next look.
        """
        path = os.fsencode(ledger)
        try:
            if self._ends_in != os.getpid():
                from ..ledger.recorder import at_exit  # only who appends ends like this; a prompt waits

                self._ends_in = os.getpid()
                at_exit(self._take_in_at_exit)
            is_new = entry.request_id is None and entry.kind == "usage"  # else its id may be known already
            new = counted(entry) if is_new else None
            with self._lock:
                try:
                    self._feed.add(path, place.offset, line, entry.id)
                    is_in = new is not None and self._recent.appended(path, place.offset, place.length, new)
                    at_hand = self._at_hand(asked) if is_in else None
                except BaseException:
                    self._forget()  # something may have come in between
                    raise
            if at_hand is not None:
                return at_hand
            spends = self._on_the_way(lambda db, recent: self._spent(db, recent, asked), fresh=not is_in)
            if self._memory is None and path not in self._recent.tails:  # new, or the storage was emptied
                self._known.note(path, again=True)
                spends = self._on_the_way(lambda db, recent: self._spent(db, recent, asked))
        except (CostError, OSError) as fault:
            _log().debug("the sums stay behind: %s", fault)
            return None
        return spends

    def arrived(self, ledger: Path, lines: Sequence[bytes], offset: int) -> None:
        """Keep lines that waited outside their ledger and stand in it now, until the sums have them."""
        from ..ledger.line import decode  # with the types of entries, which a prompt need not wait for

        path = os.fsencode(ledger)
        for line in lines:
            with suppress(DamagedLine), self._lock:
                self._feed.add(path, offset, line, decode(line).id)
            offset += len(line)

    def waits(self, ledger: Path, line: bytes) -> None:
        """Count a line that could not be appended, until it stands in its ledger.

        Raises:
            StorageUnavailable: the sums cannot be had now; the next view finds it in the spool.

        """
        from ..ledger.line import decode

        catch_up = CatchUp(self._known)
        read = os.fsencode(ledger), ReadLine(0, len(line), counted(decode(line)))
        self._use(partial(self._bring_up, rescue=True))  # the ledger may have gone with lines beside the sums
        self._use(lambda sums: catch_up.count_waiting(sums, [read]))

    # --- what a call asks on its way

    def spends(self, asked: Sequence[Query]) -> list[int]:
        """Return what the entries that match each query come to, in nano-dollars or what it measures.

        Raises:
            StorageUnavailable: the sums cannot be had now.

        """
        return self._on_the_way(lambda db, recent: self._spent(db, recent, asked), whole=True)

    def _at_hand(self, asked: Sequence[Query]) -> list[int] | None:
        """Return the answers while the last look at the ledgers is believed, and nothing must be done."""
        recent = self._recent
        is_idle = (
            self._memory is None
            and len(recent.lines) < RECENT_LINES
            and not recent.is_stale
            and time.monotonic() < min(self._look_again_at, self._take_in_at)
        )
        return recent.at_hand(asked) if is_idle else None

    def _spent(self, db: sqlite3.Connection, recent: Recent, asked: Sequence[Query]) -> list[int]:
        in_sums = partial(self._windows.spent, db)
        return [recent.spent(query, in_sums) for query in asked]

    def spend(self, start: datetime, end: datetime, *, user_id: str | None = None) -> Nanos:
        """Return what one user, or everyone, spent in ``[start, end)``, in nano-dollars."""
        return Nanos(self.spends([Query(start=start, end=end, user_id=user_id)])[0])

    def logged(self, reservations: Collection[str]) -> dict[str, tuple[int, Nanos, int]]:
        """Return what the ledgers have under each reservation: calls, cost, calls without a whole price."""
        asked = list(reservations)

        def sums(db: sqlite3.Connection, recent: Recent) -> dict[str, Reserved]:
            spends = queries.reserved(db, asked)
            for name, more in recent.reserved(asked).items():
                calls, cost, unpriced = map(int.__add__, spends.get(name, (0, 0, 0)), more)
                spends[name] = calls, cost, unpriced
            return spends

        return {name: (n, Nanos(cost), un) for name, (n, cost, un) in self._on_the_way(sums).items()}

    def find(self, entry_id: str) -> Location | None:
        """Return where the entry with this id stands; ``None`` when no known ledger has it."""

        def look(db: sqlite3.Connection, recent: Recent) -> Location | None:
            line = recent.find(entry_id)
            if line is not None:
                return Location(Path(os.fsdecode(line.path)), line.offset)
            return _locations(db, [entry_id]).get(entry_id)

        return self._on_the_way(look)

    def find_many(self, entry_ids: Sequence[str]) -> dict[str, Location]:
        """Return where those of many entries stand that a known ledger has, after one look at the ledgers."""
        return self._ask(lambda db: _locations(db, entry_ids))

    def _on_the_way(
        self,
        question: Callable[[sqlite3.Connection, Recent], T],
        *,
        fresh: bool = True,
        whole: bool = False,
    ) -> T:
        """Answer from the sums and the ends of the ledgers, after a look at those.

        With ``whole`` also after a look at what processes keep beside them, which ledgers may have lost.

        Waits for others outside the lock, so that many threads wait at the same time.
        """
        wait, stale = None, 0
        while self._memory is None and stale < _TRIES:
            try:
                answered = self._with_recent(question, fresh=fresh, whole=whole)
            except _SumsStale as fault:
                stale += 1
                self._use(partial(self._bring_up, rescue=True))
                if stale == _TRIES and self._behind is None:
                    self._unreadable.update(fault.missing)
                continue
            except DatabaseBusy:
                wait = wait or Wait(_HOT_WAIT_S)
                if not wait.nap():
                    raise
                continue
            except (StorageUnavailable, UnsafePath):
                break  # the sums are begun anew, or added up in memory
            if len(self._recent.lines) >= RECENT_LINES or (
                (self._recent.lines or self._feed) and time.monotonic() >= self._take_in_at
            ):
                self._take_in(0.0)  # somebody else may be at it: a later call tries again
            return answered
        return self._ask(lambda db: question(db, Recent()))

    def _take_in(self, wait_s: float) -> None:
        """Take the lines that are beside the sums into them."""
        if (self._recent.lines or self._feed) and self._memory is None:
            with suppress(CostError, OSError, sqlite3.Error, OverflowError):
                self._take_in_all(wait_s)
            self._take_in_at = time.monotonic() + TAKE_IN_S

    def _take_in_all(self, wait_s: float) -> None:
        lines = dict(self._feed.lines)
        self._bring_up(self._file, wait_s=wait_s)
        if missing := self._file.read(lambda db: lines.keys() - tables.find_all_seen(db, [*lines]), wait_s):
            for path in {lines[each] for each in missing}:  # the storage may have been deleted since
                self._known.note(path, again=True)
            self._bring_up(self._file, rescue=True, wait_s=wait_s)
        with self._lock:
            if self._behind is None and self._feed.lines == lines:
                self._feed.clear()

    def _take_in_at_exit(self) -> None:
        if not os.path.isdir(self.storage.root):
            return  # a folder that was deleted does not come back as the process ends
        with at_most(TAKE_IN_S):
            self._take_in(TAKE_IN_S)

    def _with_recent(
        self, question: Callable[[sqlite3.Connection, Recent], T], *, fresh: bool, whole: bool
    ) -> T:
        def answer(db: sqlite3.Connection) -> T:
            if whole:  # first: what is kept there was in its ledger before
                self._expected += [each.entry_id for each in self._feeds.news()]
            self._bring_recent_up(db, fresh=fresh)
            self._expected = [
                each
                for each in self._expected
                if each not in self._unreadable and not self._recent.has(db, each)
            ]
            if self._expected:
                raise _SumsStale(self._expected)
            return question(db, self._recent)

        try:
            with self._lock:
                return self._file.read(answer, 0.0)
        except (sqlite3.IntegrityError, OverflowError) as fault:
            raise _too_large(fault) from fault
        except StorageUnavailable:
            raise
        except BaseException:
            self._forget()  # something may have come in between
            raise

    def _bring_recent_up(self, db: sqlite3.Connection, *, fresh: bool) -> None:
        version, is_begun = db.execute("SELECT version, is_begun FROM meta").fetchone()
        if not is_begun:
            raise _SumsStale
        if self._version != version:
            # What was seen beside them must be in them now, or still be there: its ledger may have gone.
            self._expected += [each.line.id for each in self._recent.lines]
            self._recent = Recent(tables.ledgers(db, f"gone IS NULL AND {tables.MAY_CHANGE}"))
            self._known.read_to = tables.position(db, "notes")
            self._version, self._look_again_at = version, 0.0
        began = time.monotonic()
        if fresh or began >= self._look_again_at:
            for path in self._known.new_paths():
                self._recent.know(path)
            self._recent.look(db)
            now = time.monotonic()
            self._look_again_at = now + max(LOOK_SHARE * (now - began), LOOK_S)
        if self._recent.is_stale:
            raise _SumsStale

    def _forget(self) -> None:
        """Begin anew with what was appended."""
        with self._lock:
            self._recent, self._version, self._look_again_at = Recent(), None, 0.0
            self._feeds, self._expected = WriterLinesReader(self.storage.writers_dir), []

    # --- what views ask

    def catch_up(self, ledger: Path) -> None:
        """Read what was appended to one known ledger, whoever wrote it, and to those with a writer."""
        self._use(lambda sums: self._bring_up(sums, also=os.fsencode(os.path.realpath(ledger))))

    def catch_up_all(self) -> bool:
        """Read what was appended to any ledger; ``False`` when the time of the call ran out."""
        self._use(self._look)
        return self._behind is None

    def spend_by_bucket(
        self, start: datetime, end: datetime, *, user_id: str | None = None
    ) -> dict[int, Nanos]:
        """Return what was spent in each 15-minute bucket of ``[start, end)`` that has any cost.

        Keys are starts in seconds since 1970. The days of a month are best had from here.
        """
        return self._ask(lambda db: queries.spend_by_bucket(db, BucketSpan.of(start, end), user_id))

    def groups(self, by: Sequence[Dimension], query: Query, *, at_once: bool = False) -> list[Group]:
        """Return the sums of the entries that match, by the dimensions asked for; largest cost first.

        The number of jobs is counted where nothing or only the user is asked by. Groups whose sums
        are all zero are left out. ``at_once`` takes nothing into the sums first, as on the way of a call.
        """
        if at_once or remaining() is not None:  # beside the sums, which stay as they are
            return self._on_the_way(lambda db, recent: recent.groups(db, by, query), whole=True)
        return self._ask(lambda db: queries.groups(db, by, query))

    def groups_by_part(
        self, by: Sequence[Dimension], query: Query, parts: Sequence[tuple[datetime, datetime]]
    ) -> list[list[Group]]:
        """Return what :meth:`groups` would for each part of a period, from start to before end.

        The days of a month or the months of a year come from one statement. Jobs are not counted.
        """
        return self._ask(lambda db: queries.groups_by_part(db, by, query, parts))

    def job_page(
        self, query: Query, order: JobOrder = "newest", first: int = 0, count: int = 100, named: str = ""
    ) -> JobPage:
        """Return ``count`` of the jobs with entries that match, in an order, from the ``first`` (0) on.

        ``named`` is a text that their ids contain, in small or capital letters. Ledgers that are gone are
        among them: what was counted of them counts.
        """
        return self._ask(lambda db: queries.job_page(db, query, order, first, count, named))

    def jobs(self, query: Query) -> list[JobRef]:
        """Return the jobs with entries that match, by id and path; every known one for an empty query."""
        return list(dict.fromkeys(each.job for each in self._ask(lambda db: queries.jobs(db, query))))

    def readable(self, query: Query) -> list[ReadableLedger]:
        """Return each ledger with entries that match, in a fixed order, and which of its lines count."""
        return self._ask(lambda db: queries.jobs(db, query))

    def problems(self) -> list[LedgerProblem]:
        """Return lines that do not count and should, and ledgers that cannot be read."""
        return self._ask(queries.problems)

    def gone(self) -> list[GoneLedger]:
        """Return the ledgers that are not what they were, or not there; what was counted of them counts.

        Those that an archive of this storage holds whole are not among them, nor are lines that wait.
        """
        ledgers = self._ask(queries.gone)
        if any(ledger.why == WAITING for ledger in ledgers):
            waiting = spool.grouped(spool.listed(self.storage))
            ledgers = [
                ledger
                for ledger in ledgers
                if ledger.why != WAITING or not spool.names_for(ledger.path, waiting)
            ]
        return self._packed.without(ledgers) if ledgers else ledgers

    def unread(self) -> list[Path]:
        """Return the files of lines that wait in the spool and cannot be read, so that they do not count."""
        names = spool.by_entry(spool.listed(self.storage))
        if not names:
            return []
        seen = self._ask(lambda db: tables.find_all_seen(db, list(names)))
        paths = sorted(self.storage.spool_dir / names[each] for each in names.keys() - seen.keys())
        return [line.path for line in spool.read_waiting(paths) if not _is_entry(line.line)]

    def ledgers(self) -> list[Path]:
        """Return every known ledger that is there or in an archive, as they became known."""
        return list(self.looked_at())

    def looked_at(self) -> dict[Path, LedgerRow]:
        """Return the same ledgers, and what was known of each at the last look; no file is opened."""
        rows = self._ask(lambda db: tables.ledgers(db, "inode != 0 OR is_read = 0 ORDER BY id"))
        return {row.file: row for row in rows if row.gone is None or self._is_packed(row)}

    def _is_packed(self, row: LedgerRow) -> bool:
        with suppress(CostError):
            return self._packed.holds(row.file, row.mark) is not None
        return False

    def packed_away(self) -> list[tuple[Path, Mark]]:
        """Return the ledgers that are gone and that an archive holds whole, and by what each is known."""
        if not self.storage.archives_dir.is_dir():
            return []
        rows = self._ask(lambda db: tables.ledgers(db, "gone IS NOT NULL ORDER BY id"))
        return [(row.file, row.mark) for row in rows if self._is_packed(row)]

    def packed(self, ledgers: Sequence[Path]) -> Iterator[tuple[Path, Content]]:
        """Return the content of those ledgers that were packed away, in the order given.

        Several may have lain at the same path, one after the other. In place of what cannot be read
        back stands the reason.
        """
        if not self.storage.archives_dir.is_dir():
            return
        place = {ledger: number for number, ledger in enumerate(ledgers)}
        query = Query(ledger=ledgers[0]) if len(ledgers) == 1 else Query()
        gone = [each for each in self.readable(query) if each.gone and each.job.ledger in place]
        gone.sort(key=lambda each: (place[each.job.ledger], each.number))
        for ledger, content in self._packed.read_back(gone):
            if content is not None:
                yield ledger.job.ledger, content

    def entries_in(self, ledger: Path) -> list[Entry]:
        """Return all entries of a ledger, also those of one that lay there and was packed away.

        Raises:
            OSError: it is not there, or cannot be read; ``FileNotFoundError`` where nothing is.

        """
        from ..ledger.reader import read
        from ..model import Entry

        entries = list[Entry]()
        for _, content in self.packed([ledger]):
            if isinstance(content, CostError):
                raise OSError(5, str(content), str(ledger))
            entries += _entries_in(lines_of(content, lambda _: True), lambda _: True)
        if not entries or ledger.exists():
            entries += [e for each in read(ledger) if isinstance(e := each.content, Entry)]
        return entries

    def entry(self, entry_id: str) -> Entry | None:
        """Return the entry with this id, wherever its ledger lies; ``None`` where another call stands there.

        Raises:
            OSError: its ledger is not there, or cannot be read.
            DamagedLine: what stands there now is no entry.

        """
        location = self.find(entry_id)
        if location is None:
            return None
        for _, content in self.packed([location.ledger]):
            if isinstance(content, bytes):
                lines = lines_of(content, location.offset.__eq__)
                for entry in _entries_in(lines, lambda entry: entry.id == entry_id):
                    return entry
        import_safely("shared.costs.ledger.reader")
        from ..ledger.reader import read_at

        entry = read_at(location)
        return entry if entry.id == entry_id else None

    @property
    def version(self) -> int:
        """A number that is another one after every change of the sums."""
        return self._ask(_standing)[0]

    def entries(self, query: Query, missed: Missed | None = None) -> Iterator[Entry]:
        """Return every entry that counts and matches, read from the ledgers, job by job.

        Ledgers that are gone and that no archive holds are passed over, and ``missed`` is told: their sums
        are kept, their entries are not.
        """
        for _, entries in self.entries_by_job(query, missed):
            yield from entries

    def entries_by_job(
        self, query: Query, missed: Missed | None = None, *, whole: bool = False
    ) -> Iterator[tuple[JobRef, Iterator[Entry]]]:
        """As :meth:`entries`, with the job that each ledger is of; read each job before the next one.

        ``whole`` gives also what jobs that match have from before ``query.start``.
        """
        is_meant = (query._replace(start=None) if whole else query).matcher()
        for ledger, lines in self._read(self.readable(query), missed or _warn):
            yield ledger.job, _entries_in(lines, is_meant)

    def lines(self, query: Query, missed: Missed | None = None, text: bytes = b"") -> Iterator[bytes]:
        """Return every line that counts, of the ledgers that a query means.

        Its other conditions are not applied, and the seals are still to be checked: for those who
        need no entries, since a line is several times cheaper. Those with a ``text`` in them are found
        quicker than lines are.
        """
        for _, lines in self._read(self.readable(query), missed or _warn, text):
            yield from lines

    def lines_of_ledger(self, ledger: ReadableLedger, missed: Missed) -> Iterator[bytes]:
        """Return every line of one ledger that counts, be it packed away."""
        return (line for _, lines in self._read([ledger], missed) for line in lines)

    def _read(
        self, ledgers: Sequence[ReadableLedger], missed: Missed, text: bytes = b""
    ) -> Iterator[tuple[ReadableLedger, Iterator[bytes]]]:
        for ledger, content in self._packed.read_back(ledgers):
            if content is None and ledger.gone == WAITING:
                yield ledger, (raw for raw in self._waiting_in(ledger, missed) if text in raw)
            elif content is None:
                yield ledger, _lines_in(ledger, missed, text)
            elif isinstance(content, CostError):
                missed(ledger.job.ledger, OSError(5, str(content)))
            else:
                counted = self._use(
                    lambda sums, number=ledger.number: sums.read(  # type: ignore[misc]
                        lambda db: queries.counted_offsets(db, number)
                    )
                )
                yield ledger, (raw for raw in lines_of(content, counted.__contains__) if text in raw)

    def _waiting_in(self, ledger: ReadableLedger, missed: Missed) -> Iterator[bytes]:
        """Return the lines that a ledger does not have yet; ``missed`` is told of those not in the spool."""
        from ..ledger.line import decode

        left = self._use(lambda sums: sums.read(lambda db: queries.ids_in(db, ledger.number)))
        try:
            names = spool.names_for(ledger.job.ledger, spool.grouped(spool.listed(self.storage)))
            for waiting in spool.read_waiting(self.storage.spool_dir / name for name in sorted(names)):
                with suppress(DamagedLine):
                    key = key_of(decode(waiting.line).id)
                    if key in left:
                        left.remove(key)
                        yield waiting.line
            if left:
                raise FileNotFoundError(2, f"{len(left)} of its lines were in the spool; ask again")
        except OSError as fault:
            missed(ledger.job.ledger, fault)

    # --- upkeep

    def damaged_notes(self) -> int:
        """Return how many notes of ledgers cannot be read: of torn ones nothing was written to the ledger."""
        return self._known.damaged()

    def add(self, ledgers: Iterable[Path]) -> None:
        """Make ledgers known that were found somewhere; those that are known already are looked at again.

        Raises:
            StorageUnavailable: the cost storage cannot be written.

        """
        try:
            self._known.add(os.fsencode(os.path.realpath(ledger)) for ledger in ledgers)
        except OSError as fault:
            raise StorageUnavailable(f"{self.storage.root}: {fault}; see cost-dashboard doctor") from fault

    def add_under(self, root: Path) -> int:
        """Make every ledger under a directory known; return how many were not. Links are not followed.

        Raises:
            StorageUnavailable: the cost storage cannot be written.

        """
        before = set(self.ledgers())
        new = [ledger for ledger in ledgers_under(root) if ledger not in before]
        self.add(new)
        return len(new)

    def unknown(self) -> list[Path]:
        """Return ledgers in the folders of known jobs and beside them with calls that are not counted."""
        known = set(self.ledgers())
        beside = dict.fromkeys(ledger.parent.parent for ledger in known)
        inside = dict.fromkeys(folder for parent in beside for folder in (parent, *_folders(parent)))
        found = dict.fromkeys(
            ledger for folder in inside for ledger in _ledgers_in(folder) if ledger not in known
        )
        return [path for path in found if self._ask(lambda db, path=path: _is_uncounted(db, path))]  # type: ignore[misc]

    def let_go(self, ledgers: Mapping[Path, Mark]) -> set[Path]:
        """Let ledgers count as gone, durably, that somebody is about to remove; return those that may go.

        Those are left alone that are not as they are known by, to which somebody may write, or with lines
        that do not count. One that is not removed after all is found again at the next look.

        Raises:
            StorageUnavailable: what was counted cannot be written down. Nothing may be removed then.

        """

        def retired(intake: CatchUp, db: sqlite3.Connection) -> set[Path]:
            done = set[Path]()
            for path, mark in ledgers.items():
                where = f"path = ? AND gone IS NULL AND NOT {tables.MAY_CHANGE}"
                for row in tables.ledgers(db, where, os.fsencode(path)):
                    if row.mark == mark and not queries.uncounted(db, row.id):
                        retire(db, row, GONE)
                        done.add(path)
            intake.take_in(db, ())
            return done

        self.catch_up_all()
        return self._change(retired)

    def _change(self, action: Callable[[CatchUp, sqlite3.Connection], T]) -> T:
        """Change what the sums have of ledgers, in one transaction."""

        def change(db: sqlite3.Connection) -> T:
            tables.is_changed(db)
            return action(CatchUp(self._known), db)

        return self._use(lambda sums: sums.write(change))

    def rebuild(self, progress: Progress | None = None) -> RebuildResult:
        """Add all ledgers up anew, beside the present sums, then put the new ones in their place.

        Raises:
            StorageUnavailable: the new file cannot be written.

        """
        from .build import rebuild  # what it needs takes long to import

        self._forget()
        if self._use(lambda sums: sums.read(tables.is_begun)):
            self._use(self._bring_up)
        return rebuild(self._file, self._known, progress)

    def rebuild_ledger(self, ledger: Path) -> None:
        """Take one ledger out and in again from its first byte.

        An unknown one is left alone, and one that cannot be read or is not what it was.
        """
        path = os.fsencode(os.path.realpath(ledger))

        def anew(intake: CatchUp, db: sqlite3.Connection) -> None:
            for row in tables.ledgers(db, "path = ? AND gone IS NULL", path):
                with suppress(OSError), opened(path) as file:
                    if recognised(row, file):
                        tables.take_out(db, row.id)
                        tables.put_ledger(db, LedgerRow(row.id, row.path, row.job_id, row.uid))
                        intake.take_in(db, [path])

        self._change(anew)

    # --- what others of this storage need

    @property
    def state(self) -> StateDb:
        """What no ledger tells: holds, alerts that were told, notices that wait."""
        if self._state is None:
            import_safely("shared.costs.store.state")
            from .state import StateDb

            self._state = StateDb(self.storage.state_path)
        return self._state

    # --- which sums

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Bring the sums up and ask them."""

        def answer(sums: Database) -> T:
            self._look(sums)
            return sums.read(question)

        return self._use(answer)

    def _look(self, sums: Database) -> None:
        """Bring the sums up, once within :meth:`one_look`."""
        if not self._has_looked(sums):
            self._bring_up(sums)
            if self._looked.within:
                self._looked.at = sums, sums.read(_standing)

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """Let the questions of this thread within share the first one's look at the ledgers.

        A page asks several, and its figures belong together. Where the sums change meanwhile, whoever changed
        them, the next question looks again.
        """
        before = self._looked.within
        self._looked.within = True
        try:
            yield
        finally:
            self._looked.within, self._looked.at = before, None

    def _has_looked(self, sums: Database) -> bool:
        looked = self._looked.at
        if looked is None or looked[0] is not sums:
            return False
        standing = sums.read(_standing)
        return standing == looked[1] and standing[1]

    def _bring_up(
        self, sums: Database, *, also: bytes | None = None, rescue: bool = False, wait_s: float = WAIT_S
    ) -> None:
        """Read what was appended, within the time of the call if there is one."""
        now, left_s = time.monotonic(), remaining()
        turn = left_s is None and now >= self._turn_at
        catch_up = CatchUp(self._known)
        left = catch_up.bring_up(
            sums,
            None if left_s is None else now + left_s,
            also=also,
            settled="in turn" if turn else "none",
            rescue=rescue,
            wait_s=wait_s,
        )
        if turn and catch_up.turn_s > TURN_AT_ONCE_S:
            self._turn_at = now + LOOK_SHARE * catch_up.turn_s
        self._behind = f"{left} ledgers are still to be read for the first time" if left else None

    def _use(self, action: Callable[[Database], T]) -> T:
        """Do something with the sums; where their file is damaged begin anew, and else go on in memory."""
        try:
            memory = self._memory
            if memory is None or time.monotonic() >= self._retry_at:
                try:
                    return self._with_file(action)
                except (StorageUnavailable, UnsafePath) as fault:
                    if isinstance(fault, NotKept) or (isinstance(fault, DatabaseBusy) and remaining()):
                        raise  # a call that has no time does not read everything
                    memory = self._enter_memory(fault)
            return action(memory)
        except (sqlite3.IntegrityError, OverflowError) as fault:
            raise _too_large(fault) from fault
        except OSError as fault:
            raise StorageUnavailable(f"{self.storage.root}: {fault}; see cost-dashboard doctor") from fault

    def _with_file(self, action: Callable[[Database], T]) -> T:
        try:
            result = action(self._file)
        except DatabaseDamaged as fault:
            _log().warning("the sums are read anew from the ledgers: %s", fault)
            self._forget()
            if (left := self._file.left_behind()) is not None:
                with closing(left):
                    KeptJournal(self.storage).save(left)
            self._file.replace(None)
            result = action(self._file)
        self._leave_memory()
        return result

    def _enter_memory(self, fault: CostError) -> Database:
        with self._lock:
            self._retry_at = time.monotonic() + RETRY_S
            if self._memory is None:
                self._memory = Database(None, tables.SCHEMA, tables.FORMAT)
                self._why = f"the sums cannot be used, the ledgers are added up in memory: {fault}"
                _log().warning("%s", self._why)
            return self._memory

    def _leave_memory(self) -> None:
        with self._lock:  # another thread may be reading them: they are closed with their last user
            self._memory = self._why = None


def _too_large(fault: Exception) -> StorageUnavailable:
    return StorageUnavailable(f"the sums are too large, above 9 billion USD: {fault}")


class _SumsStale(Exception):
    """The ends of the ledgers do not say it all: the sums have to be brought up.

    ``missing`` are the ids of lines that were not found.
    """

    def __init__(self, missing: Collection[str] = ()) -> None:
        super().__init__()
        self.missing = missing


_STORES: Final[dict[Path, Store]] = {}
"""One a storage for as long as the process lives: a tracker that is dropped leaves nothing open."""


def _in_child() -> None:
    for store in _STORES.values():  # another thread of the parent may have been at work there
        store._lock, store._windows = threading.RLock(), Windows()
        store._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def ledgers_under(root: Path) -> Iterator[Path]:
    """Return every ledger under a directory, in a fixed order. Links are not followed."""
    for folder, inner, files in os.walk(os.path.realpath(root)):
        inner.sort()
        path = Path(folder, LEDGER_NAME)
        if LEDGER_NAME in files and not path.is_symlink():
            yield path


def _folders(root: Path) -> list[Path]:
    with suppress(OSError), os.scandir(root) as folders:
        return sorted(Path(folder.path) for folder in folders if folder.is_dir(follow_symlinks=False))
    return []


def _ledgers_in(root: Path) -> list[Path]:
    """Return the ledgers in the folders of a folder."""
    ledgers = [folder / LEDGER_NAME for folder in _folders(root)]
    return [path for path in ledgers if path.is_file() and not path.is_symlink()]


def _locations(db: sqlite3.Connection, entry_ids: Sequence[str]) -> dict[str, Location]:
    """Return where those of some entries stand that the sums have, and a ledger."""
    seen = tables.find_all_seen(db, entry_ids)
    paths = {
        number: row.file
        for number in {ledger for ledger, _ in seen.values()}
        for row in tables.ledgers(db, "id = ?", number)
        if row.gone != WAITING
    }
    places = ((each, paths.get(ledger), offset) for each, (ledger, offset) in seen.items())
    return {each: Location(path, offset) for each, path, offset in places if path is not None}


class _ThreadLooks(threading.local):
    """Whether a thread shares its looks, and what the last one was at: the sums, and how they stood."""

    within = False
    at: tuple[Database, tuple[int, bool]] | None = None


def _standing(db: sqlite3.Connection) -> tuple[int, bool]:
    """Return the version of the sums, and whether they know something: not those of a file begun anew."""
    version, is_begun = db.execute("SELECT version, is_begun FROM meta").fetchone()
    return int(version), bool(is_begun)


def _is_uncounted(db: sqlite3.Connection, ledger: Path) -> bool:
    """Tell whether a ledger has a call that counts nowhere."""
    with suppress(OSError), opened(os.fsencode(ledger)) as file:
        lines = (line for _, _, line in read_counted(file, 0) if not isinstance(line, DamagedLine))
        return any(tables.find_seen(db, line.id) is None for line in lines)
    return False


def _is_entry(line: bytes) -> bool:
    from ..ledger.line import decode

    try:
        decode(line)
    except DamagedLine:
        return False
    return True


def _log() -> Logger:
    import logging  # 3 ms that a view without a fault to tell does not pay

    return logging.getLogger("shared.cost_tracker")


def _lines_in(ledger: ReadableLedger, missed: Missed, text: bytes = b"") -> Iterator[bytes]:
    """Return every line of a ledger that counts and has ``text`` in it; ``missed`` is told of a fault."""
    try:
        if ledger.gone is not None:
            raise FileNotFoundError(2, f"{ledger.gone}; its sums are kept, its entries cannot be shown")
        with opened(os.fsencode(ledger.job.ledger)) as file:
            if ledger.read_to is not None and not ledger.uncounted:  # as it is read without a look at each
                for piece in pieces(file.fileno(), ledger.read_to):
                    if text in piece:
                        yield from (raw for raw in BytesIO(piece) if text in raw) if text else BytesIO(piece)
                return
            for offset, _, raw in split(file.fileno(), 0, ledger.read_to):
                if offset not in ledger.uncounted and raw[-1:] == b"\n" and text in raw:
                    yield raw
    except OSError as fault:
        missed(ledger.job.ledger, fault)


def _entries_in(lines: Iterable[bytes], is_meant: Callable[[Entry], bool]) -> Iterator[Entry]:
    """Return the entries that are meant; damaged lines were reported when they were read for the sums."""
    from ..ledger.entries import entry_of  # what it needs takes long to import

    for raw in lines:
        try:
            entry = entry_of(raw)
        except DamagedLine:
            continue
        if is_meant(entry):
            yield entry


def _warn(ledger: Path, fault: OSError) -> None:
    _log().warning("%s cannot be read: %s", ledger, fault)
