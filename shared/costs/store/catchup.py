"""Which ledgers there are, and bringing the sums up to all of them.

A process *notes* a ledger before it first appends to it: one record, durable, in a journal that needs no
database, no lock and no other process. From the note on the ledger is known, and looked at as long as its
writer lives. It is left alone only when, in this order, its writer was found dead (the kernel unlocked its
file in ``writers/``), it was read to its end, it was synced (its writer may not have come to it), and the
sums were committed. Whatever of that is lost, the ledger is looked at again.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Literal

from .. import platform
from ..errors import CostError, StorageUnavailable
from ..ledger import spool
from ..ledger.counted import counted, key_of
from ..ledger.lines import DamagedLine
from ..storage import CostStorage
from . import tables
from .database import WAIT_S, Database
from .gone import KEPT_ROWS, NOTES, KeptJournal, is_there, new_row, vouched
from .intake import Intake, ReadLine
from .journal import NO_FILE, FedLine, Journal, JournalPosition, WriterLinesReader, look_at, opened
from .presence import Presence
from .tables import LedgerRow

NOBODY: Final = b"-"
"""In place of the writer: the ledger is known, and nobody says that he writes to it."""

LOOK_S: Final = 1.0
"""How long this process believes that its notes and its file in ``writers/`` are there, in seconds."""

TURN_S: Final = 0.005
"""How long each look may take over ledgers that nobody writes to, one after the other, in seconds."""

AT_ONCE: Final = 2000
"""How many of those one look takes at most."""

STEP_S: Final = 0.02
"""How long one transaction may go on to the next ledger, in seconds."""


class NotedLedgers:
    """The notes of ledgers. Thread-safe; a forked child notes for itself."""

    def __init__(self, storage: CostStorage, presence: Presence) -> None:
        self.storage, self.presence = storage, presence
        self._journal = Journal(storage.root / NOTES)
        self.read_to = JournalPosition()
        """How far the notes were read."""
        self._noted: set[bytes] = set()
        self._noted_in: object = None
        """Where they were noted, and as whose: once that is another one, nothing is noted."""
        self._noted_until, self._owner = 0.0, 0
        self._unnoted: set[bytes] = set()
        """Ledgers of this process that could not be noted: no other process knows them."""

    def note(self, path: bytes, *, again: bool = False) -> None:
        """Make a ledger known, and known as written to by this process; durable, done once.

        Done again after a fork, and when the notes or this process's file were deleted; that is looked for
        now and then, or where a ledger shall be noted ``again`` that the sums do not know.

        Raises:
            OSError: it cannot be written; the next call tries again.

        """
        now = time.monotonic()
        if not again and now < self._noted_until and path in self._noted and self._owner == os.getpid():
            return
        try:
            writer = self.presence.name()
            if path not in self._noted or self._noted_in != (writer, self._journal.look()[:2]):
                self._journal.append(writer.encode() + b" " + path)
                self._unnoted.discard(path)
                if self._noted_in != (noted_in := (writer, self._journal.look()[:2])):
                    self._noted, self._noted_in = set(), noted_in  # the others are in another file
                self._noted.add(path)
            self._noted_until, self._owner = now + LOOK_S, os.getpid()
        except (OSError, CostError):
            self._unnoted.add(path)
            raise

    def add(self, paths: Iterable[bytes]) -> None:
        """Make ledgers known that were found somewhere.

        Raises:
            OSError: it cannot be written.

        """
        if records := [NOBODY + b" " + path for path in paths]:
            self._journal.append(*records)

    def all(self) -> set[bytes]:
        """Return every ledger that was ever noted.

        Raises:
            OSError: the notes cannot be read.

        """
        return {path for _, path in _parsed(self._journal.news().records)}

    def new_paths(self) -> list[bytes]:
        """Return the ledgers noted since the last time.

        Raises:
            OSError: the notes cannot be read.

        """
        records: list[bytes] = []
        if self._journal.is_changed(self.read_to):
            records, _, _, self.read_to = self._journal.news(self.read_to, trusting=True)
        return [path for _, path in _parsed(records)] + list(self._unnoted)

    def learn(self, db: sqlite3.Connection) -> None:
        """Bring the notes into the sums, within a write transaction; put back what the notes have lost.

        Raises:
            OSError: the notes cannot be read.

        """
        news = self._journal.news(tables.position(db, "notes"))
        if news.is_lost:
            self._note_again(db, news.records)
            news = self._journal.news()
        records = [*news.records, *(NOBODY + b" " + path for path in list(self._unnoted))]
        for writer, path in dict.fromkeys(_parsed(records)):
            row = tables.ledger_at(db, path) or new_row(db, path)
            if writer == NOBODY:
                db.execute("UPDATE ledgers SET is_read = 0 WHERE id = ?", (row.id,))
            else:
                db.execute("INSERT OR IGNORE INTO writers VALUES (?, ?)", (row.id, writer.decode()))
        tables.set_position(db, "notes", news.position)

    def _note_again(self, db: sqlite3.Connection, records: Sequence[bytes]) -> None:
        """Note again what the sums know and the notes have lost."""
        of = "ledgers LEFT JOIN writers ON ledger = id WHERE gone IS NULL"
        rows = db.execute(f"SELECT CAST(coalesce(writer, '-') AS BLOB), path FROM {of}")
        noted = set(_parsed(records))
        lost = [writer + b" " + path for writer, path in rows if (writer, path) not in noted]
        lost += [vouched(row) for row in tables.ledgers(db, KEPT_ROWS)]
        if lost:
            self._journal.append(*lost)

    def damaged(self) -> int:
        """Return how many notes cannot be read."""
        with suppress(OSError):
            return self._journal.news().damaged
        return 0

    def has_news(self, db: sqlite3.Connection) -> bool:
        """Tell whether the notes are not as the sums read them."""
        is_unlearnt = any(tables.ledger_at(db, path) is None for path in list(self._unnoted))
        return is_unlearnt or self._journal.is_changed(tables.position(db, "notes"))


def _parsed(records: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Return writer and path of each note; what is none is passed over."""
    matches = filter(None, map(_NOTE, records))
    return [(match[1], match[2]) for match in matches if os.path.isabs(match[2])]


_NOTE: Final = re.compile(rb"(-|\d+-[0-9a-f]+) ([^\0]+)", re.DOTALL).fullmatch


Settled = Literal["none", "in turn", "all"]


class CatchUp:
    """Brings one database of sums up to the ledgers."""

    def __init__(self, known: NotedLedgers) -> None:
        self._known = known
        self._storage, self._presence = known.storage, known.presence
        self._kept = KeptJournal(known.storage)
        self._intake = Intake(self._kept)
        self._turn: int | None = None
        """Which ledger was looked at last in its turn, where the time did not last for all."""
        self._unknown = list[bytes]()
        """Ledgers of living writers whose notes were lost before anybody read them."""
        self.turn_s = 0.0
        """How long the look at those to which nobody writes took, in seconds of CPU."""

    def bring_up(
        self,
        sums: Database,
        end: float | None,
        *,
        also: bytes | None = None,
        settled: Settled = "in turn",
        rescue: bool = False,
        wait_s: float = WAIT_S,
    ) -> int:
        """Read what was appended to any ledger; return how many are left when the time is over.

        Args:
            sums: where it is added up.
            end: an instant of ``time.monotonic``; ``None`` for reading to the end.
            also: a ledger to look at whoever writes to it.
            settled: which of the ledgers are looked at to which nobody writes.
            rescue: whether lines that processes keep beside their ledgers may have gone with those.
            wait_s: how long each transaction waits for another process's.

        Raises:
            StorageUnavailable: the sums cannot be used.

        """
        dead = self._dead(sums)
        turn = settled == "in turn"
        left = sums.read(
            # An empty path stands for notes to be learnt.
            lambda db: [b""] if self._has_news(db) else self._unread(db, also, turn=turn)
        )
        if settled == "all":
            others = f"gone IS NULL AND NOT {tables.MAY_CHANGE}"
            left += sums.read(lambda db: [path for _, path, is_new in _looks(db, others) if is_new])
        if left:
            while left := sums.write(lambda db, left=left: self._step(db, left, turn=turn), wait_s):  # type: ignore[misc]
                if end is not None and time.monotonic() > end:
                    return len(left)
        elif self._turn is not None:
            with suppress(StorageUnavailable):  # the next look begins where this one did
                sums.write(lambda db: db.execute("UPDATE meta SET turn = ?", (self._turn,)))
        self._unknown.clear()
        if dead or end is None or rescue:
            self._count_elsewhere(sums, waiting=end is None)
        if self._unknown:
            with suppress(OSError):
                self._known.add(self._unknown)
                return self.bring_up(sums, end, settled="none", rescue=rescue, wait_s=wait_s)
        for start in range(0, len(dead), 400):
            sums.write(lambda db, some=dead[start : start + 400]: _sweep(db, some))  # type: ignore[misc]
        for writer in dead:
            with suppress(OSError):
                self._presence.remove(writer)
        return 0

    # --- what is to be read

    def _has_news(self, db: sqlite3.Connection) -> bool:
        return not tables.is_begun(db) or self._known.has_news(db) or self._kept.has_news(db)

    def _unread(self, db: sqlite3.Connection, also: bytes | None, *, turn: bool) -> list[bytes]:
        looks = _looks(db, f"gone IS NULL AND {tables.MAY_CHANGE}")
        paths = [path for _, path, is_to_be_read in looks if is_to_be_read]
        if also is not None and also not in paths and tables.ledger_at(db, also):
            paths.append(also)
        return paths + (self._in_turn(db) if turn else [])

    def _in_turn(self, db: sqlite3.Connection) -> list[bytes]:
        """Look at ledgers to which nobody writes, for some milliseconds, from where the last look came to."""
        began, paths, self._turn = time.thread_time(), list[bytes](), None
        [turn] = db.execute("SELECT turn FROM meta").fetchone()
        for place in ("id > ?", "id <= ?"):
            where = f"gone IS NULL AND NOT {tables.MAY_CHANGE} AND {place} ORDER BY id LIMIT {AT_ONCE}"
            for number, (ledger, path, is_to_be_read) in enumerate(_looks(db, where, turn), 1):
                if is_to_be_read:
                    paths.append(path)
                self.turn_s = time.thread_time() - began
                if number == AT_ONCE or self.turn_s > TURN_S:
                    self._turn = ledger
                    return paths
        return paths

    # --- reading

    def _step(self, db: sqlite3.Connection, left: Sequence[bytes], *, turn: bool) -> list[bytes]:
        """Take in some ledgers in one transaction; return those that are left."""
        todo = list(left)
        if b"" in todo or self._has_news(db):
            self.begin(db)
            todo = self._unread(db, None, turn=turn) + [each for each in todo if each]
        until, is_over = time.monotonic() + STEP_S, False
        while todo and not is_over:  # once at least, however long it took to come here
            if not self._intake.look(db, todo[0]):
                del todo[0]
            is_over = time.monotonic() >= until
        self._intake.finish(db, is_whole=not todo)
        db.execute("UPDATE meta SET version = version + 1, turn = coalesce(?, turn)", (self._turn,))
        return todo

    def take_in(self, db: sqlite3.Connection, paths: Iterable[bytes]) -> None:
        """Read ledgers to their ends, within one transaction."""
        for path in paths:
            while self._intake.look(db, path):
                pass
        self._intake.finish(db)

    def begin(self, db: sqlite3.Connection) -> None:
        """Put what outlived older sums into new ones; learn what was noted; write again what was lost."""
        self._kept.learn(db)
        is_new = not tables.is_begun(db)
        if is_new:
            if self._storage.index_path.exists() or self._storage.state_path.exists():
                from .upgrade import bring_over

                bring_over(self._storage, db, self._known)
            db.execute("UPDATE meta SET is_begun = 1")
        self._known.learn(db)
        if is_new:
            self._kept.say_what_is_lost(db)

    # --- lines that went with their ledgers, or did not come there yet

    def _count_elsewhere(self, sums: Database, *, waiting: bool) -> None:
        if fed := self._fed(sums):
            sums.write(lambda db: self._count(db, fed, self._intake.count_gone))
        if waiting and (lines := self._waiting(sums)):
            self.count_waiting(sums, lines)

    def _fed(self, sums: Database) -> list[Elsewhere]:
        """Return what processes keep of ledgers that have it no more, and that nobody counted."""
        if lines := WriterLinesReader(self._presence.folder).news():
            lines = sums.read(lambda db: [each for each in lines if not tables.find_seen(db, each.entry_id)])
            known = sums.read(lambda db: {row.path for row in tables.ledgers(db, "gone IS NULL")})
            gone = [each for each in lines if not is_there(each.path, each.offset, key_of(each.entry_id))]
            self._unknown = sorted({each.path for each in lines} - {each.path for each in gone} - known)
            return list(_readable(gone))
        return []

    def _waiting(self, sums: Database) -> list[Elsewhere]:
        """Return what waits in the spool and counts nowhere."""
        with suppress(OSError):  # it cannot be listed or read now: the next look tries again
            if names := spool.by_entry(spool.listed(self._storage)):
                seen = sums.read(lambda db: tables.find_all_seen(db, list(names)))
                paths = [self._storage.spool_dir / names[each] for each in names.keys() - seen.keys()]
                lines = [line for line in spool.read_waiting(sorted(paths)) if not line.is_damaged]
                lines_read = list(
                    _readable(FedLine(os.fsencode(line.ledger), 0, "", line.line) for line in lines)
                )
                seen = sums.read(
                    lambda db: tables.find_all_seen(db, [read.line.id for _, read in lines_read])
                )
                return [each for each in lines_read if each[1].line.id not in seen]
        return []

    def count_waiting(self, sums: Database, lines: Sequence[Elsewhere]) -> None:
        """Count lines that their ledgers do not have yet."""
        sums.write(lambda db: self._count(db, lines, self._intake.count_waiting))

    def _count(self, db: sqlite3.Connection, lines: Sequence[Elsewhere], count: Count) -> None:
        for path in dict.fromkeys(path for path, _ in lines):
            count(db, path, [read for its, read in lines if its == path])
        self._intake.finish(db)
        tables.is_changed(db)

    # --- writers that are gone

    def _dead(self, sums: Database) -> list[str]:
        writers = sums.read(lambda db: [row[0] for row in db.execute("SELECT DISTINCT writer FROM writers")])
        with suppress(OSError):
            return [writer for writer in writers if not self._presence.alive(writer)]
        return []  # not known: nobody is taken for dead


Elsewhere = tuple[bytes, ReadLine]
"""A ledger, and a line that does not stand in it."""

Count = Callable[[sqlite3.Connection, bytes, Sequence[ReadLine]], None]


def _readable(lines: Iterable[FedLine]) -> Iterator[Elsewhere]:
    from ..ledger.line import decode

    for each in lines:
        with suppress(DamagedLine):  # `verify` tells of it, where it stands in its ledger
            yield each.path, ReadLine(each.offset, len(each.line), counted(decode(each.line)))


def _sweep(db: sqlite3.Connection, dead: Sequence[str]) -> None:
    """Leave alone what dead processes wrote to: it was read to its end after they were found dead."""
    marks = ", ".join("?" * len(dead))
    rows = tables.ledgers(
        db, f"is_read = 1 AND id IN (SELECT ledger FROM writers WHERE writer IN ({marks}))", *dead
    )
    if synced := [row.id for row in rows if _is_synced(row)]:
        db.executemany(
            "DELETE FROM writers WHERE ledger = ? AND writer = ?",
            [(number, writer) for number in synced for writer in dead],
        )
        tables.is_changed(db)


def _looks(db: sqlite3.Connection, where: str, *values: object) -> Iterator[tuple[int, bytes, bool]]:
    """Look at ledgers one after the other; give number and path of each, and whether it is to be read.

    One that is not asked for is not looked at. Rows of ledgers are not made: a page looks at thousands.
    """
    columns = "id, path, is_read, device, inode, size, mtime"
    for number, path, is_read, *before in db.execute(f"SELECT {columns} FROM ledgers WHERE {where}", values):
        look = look_at(path)
        is_as_before = look == tuple(before) if look != NO_FILE else not any(before[1:3])
        yield number, path, not (is_read and is_as_before)


def _is_synced(row: LedgerRow) -> bool:
    """Bring a ledger to the disk: a process that died between its write and its sync did not."""
    try:
        with opened(row.path) as file:
            platform.sync(file.fileno())
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
