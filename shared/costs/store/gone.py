"""Ledgers that are no longer what they were: what was counted of them stays, and is kept a second time.

A ledger is recognised by its length and two CRC-32 (:class:`CountedExtent`). One that is deleted, cut or
replaced keeps its row, its sums and its ids, first written to a journal of their own (:class:`KeptJournal`):
neither the loss of the ledger nor that of ``sums.db`` takes the money out of sight.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from ..errors import StorageUnavailable, UnsafePath
from ..ledger.counted import CountedEntry, counted, key_of
from ..ledger.lines import DamagedLine, line_at
from ..platform import SecureFile
from ..storage import CostStorage, job_id_of
from . import tables
from .journal import Journal, JournalPosition, opened, size_of
from .tables import Adder, LedgerRow, Problem, Reserved

FINGERPRINT_BYTES: Final = 256

NOT_KEPT, OUTDATED, KEPT = 0, 1, 2
"""Whether the counts of a ledger that is gone were written to the :class:`KeptJournal`, or more of them."""

NOTES: Final = "ledgers.journal"
"""The file of the notes that make ledgers known (:mod:`.catchup`)."""

GONE: Final = "deleted or moved away"
WAITING: Final = "left without lines that waited for it"
"""In place of why a ledger is gone: lines that it does not have yet. They are in the spool, so not kept."""
REPLACED: Final = "cut or replaced"
KEPT_ROWS: Final = f"gone IS NOT NULL AND gone != '{WAITING}'"


def uid() -> int:
    """Return 62 random bits. ``secrets`` would say it shorter, and costs 10 ms to import."""
    return int.from_bytes(os.urandom(8)) >> 2


def fingerprint(file: SecureFile, offset: int) -> tuple[int, int]:
    """Return the CRC-32 of a file's first bytes and of those before ``offset``, at most 256 each."""
    length = min(offset, FINGERPRINT_BYTES)
    descriptor = file.fileno()
    return crc32(os.pread(descriptor, length, 0)), crc32(os.pread(descriptor, length, offset - length))


def recognised(row: LedgerRow | CountedExtent, file: SecureFile) -> bool:
    """Tell whether a file still begins with what was read from it."""
    return size_of(file) >= row.offset and fingerprint(file, row.offset) == (row.head, row.tail)


def _is_as_read(path: bytes, read: LedgerRow | CountedExtent) -> bool | None:
    """Tell whether what was read of a ledger is still there; ``None`` where it cannot be opened now."""
    try:
        with opened(path) as file:
            return recognised(read, file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None


def _is_lost(path: bytes, read: LedgerRow | CountedExtent) -> bool:
    return _is_as_read(path, read) is False


def retire(db: sqlite3.Connection, row: LedgerRow, why: str) -> LedgerRow:
    """Let what was counted of a ledger stay that is another one now, or none; return its path's new row."""
    db.execute("UPDATE ledgers SET gone = ?, is_read = 1 WHERE id = ?", (why, row.id))
    there = new_row(db, row.path)
    db.execute("UPDATE OR REPLACE writers SET ledger = ? WHERE ledger = ?", (there.id, row.id))
    db.execute("UPDATE problems SET ledger = ? WHERE ledger = ? AND offset = ?", (there.id, row.id, LOST_AT))
    return there


def new_row(db: sqlite3.Connection, path: bytes) -> LedgerRow:
    """Add the row of a ledger of which nothing was read yet."""
    row = LedgerRow(next_number(db), path, job_of(path), uid())
    tables.put_ledger(db, row)
    return row


def next_number(db: sqlite3.Connection) -> int:
    """Return a number that no ledger has."""
    return int(db.execute("SELECT coalesce(max(id), 0) + 1 FROM ledgers").fetchone()[0])


def job_of(path: bytes) -> str:
    """Return the id of the job whose ledger lies at a path."""
    folder = Path(os.fsdecode(path)).parent
    return job_id_of(folder) if folder.name else os.fsdecode(path)


def is_there(path: bytes, offset: int, key: tuple[int, int]) -> bool:
    """Tell whether the line of a key (:func:`.key_of`) still stands in a ledger where it was appended."""
    return (line := _line_at(path, offset)) is not None and key_of(line.id) == key


def _line_at(path: bytes, offset: int) -> CountedEntry | None:
    with suppress(OSError), opened(path) as file:
        return line_in(file, offset)
    return None


def line_in(file: SecureFile, offset: int) -> CountedEntry | None:
    """Return the line that begins at an offset; ``None`` where there is none that can be trusted."""
    from ..ledger.line import decode

    with suppress(OSError, DamagedLine):
        return counted(decode(line_at(file.fileno(), offset)))
    return None


Id = tuple[int, int, int]
"""An id that counts: its key, the rest of it, and where its line begins."""


def put_back(db: sqlite3.Connection, row: LedgerRow, fold: Adder, ids: Sequence[Id]) -> None:
    """Put in what other sums have of a ledger, as far as it does not count here already.

    Lines that count in a ledger that is there are taken off one by one. What counts here of a ledger that is
    gone, and is only a part of this, gives way to it.
    """
    owners = _owners(db, ids)
    if len(owners) == len(ids):
        return
    for ledger, count in Counter(number for _, number, _ in owners).items():
        [owner] = tables.ledgers(db, "id = ?", ledger)
        is_gone = owner.gone is not None
        if not is_gone and not _is_as_read(owner.path, owner):
            is_gone = bool(retire(db, owner, REPLACED))
        [whole] = db.execute("SELECT count(*) FROM seen WHERE ledger = ?", (ledger,)).fetchone()
        if is_gone and whole == count:
            tables.take_out(db, ledger)
            db.execute("DELETE FROM ledgers WHERE id = ?", (ledger,))
    owners = _owners(db, ids)
    known = {each for each, _, _ in owners}
    if owners:
        row = row._replace(uid=uid(), is_kept=NOT_KEPT)
    tables.put_ledger(db, row)
    tables.put_fold(db, row.id, fold)
    tables.put_seen(db, [(*each[:2], row.id, each[2]) for each in ids if each not in known])
    for (key, more, _), number, offset in owners:
        line = _line_at(tables.ledgers(db, "id = ?", number)[0].path, offset)
        if line is not None and key_of(line.id) == (key, more):
            tables.put_fold(db, row.id, Adder([line]).negated())


def _owners(db: sqlite3.Connection, ids: Sequence[Id]) -> list[tuple[Id, int, int]]:
    """Return those ids that count already, each with its ledger and where it stands there."""
    return [(each, *found) for each in ids if (found := tables.seen_at(db, each[:2]))]


class CountedExtent(NamedTuple):
    """How much of a ledger was counted, and by what that is known again."""

    offset: int = 0
    head: int = 0
    tail: int = 0


class KeptRecords(NamedTuple):
    """What a journal of ledgers that are gone says.

    ``kept`` is what was counted of each ledger that is gone, by its uid. ``read`` is how much was counted of
    each ledger, by path (nothing where all of that is kept), ``lost`` the same of ledgers that went together
    with their sums. ``over`` are the uids of ledgers of which nothing is left to be kept: all of it counts
    elsewhere.
    """

    kept: dict[int, dict[str, Any]]
    read: dict[bytes, CountedExtent]
    lost: dict[bytes, CountedExtent]
    over: set[int]

    @classmethod
    def of(cls, records: Iterable[bytes]) -> KeptRecords:
        """Return what records say, the later ones over the earlier."""
        said = cls({}, {}, {}, set())
        for record in map(json.loads, records):
            if "row" in record:
                path, _, uid = record["row"][:3]
                said.kept.pop(uid, None)
                if record["seen"]:
                    said.kept[uid] = record
                else:
                    said.over.add(uid)
                said.read[base64.b64decode(path)] = CountedExtent()
            for name, known in (("read", said.read), ("lost", said.lost)):
                known |= {
                    base64.b64decode(path): CountedExtent(*rest) for path, *rest in record.get(name, ())
                }
            for path in record.get("found", ()):
                said.lost.pop(base64.b64decode(path), None)
            said.over.update(record.get("over", ()))
        said.over.difference_update(said.kept)
        return said

    def has(self, other: KeptRecords) -> bool:
        """Tell whether this says all that another says, and of ledgers that are gone nothing else."""
        mine, theirs = ({n: len(r["seen"]) for n, r in each.kept.items()} for each in (self, other))
        return (
            mine == theirs
            and self.read.items() >= other.read.items()
            and self.lost.keys() >= other.lost.keys()
            and self.over >= other.over
        )

    def records(self) -> list[bytes]:
        """Return records that say the same."""
        rows = [_json(record) for record in (*self.kept.values(), {"over": sorted(self.over)})]
        return [*rows, _extents("read", self.read), _extents("lost", self.lost)]


class KeptJournal:
    """What cannot be derived any more, a second time: a journal that outlives ``sums.db``.

    It has what was counted of ledgers that are gone, and of all others how much was counted: so new sums
    can tell whether anything is lost. All sums of a storage read it, also those that a process keeps in
    memory: what one of them has counted of a ledger that is gone now, the others count too. That there is
    something to be kept stands among the notes of ledgers too, so that the loss of both is told.
    """

    def __init__(self, storage: CostStorage) -> None:
        self._journal = Journal(storage.root / "kept.journal")
        self._notes = Journal(storage.root / NOTES)

    def add(self, db: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """Write down the sums and the ids of ledgers, durably.

        Raises:
            NotKept: they cannot be written.

        """
        self._vouch(row for row in rows if row.is_kept == NOT_KEPT)
        self._append(db, *(_record(db, row) for row in rows if row.gone != WAITING))
        db.executemany(f"UPDATE ledgers SET is_kept = {KEPT} WHERE id = ?", [(row.id,) for row in rows])

    def add_read(self, db: sqlite3.Connection, read: Mapping[bytes, CountedExtent]) -> None:
        """Write down how much of ledgers was counted. Not synced: where it is lost, a loss is not told."""
        if read:
            with suppress(NotKept):
                self._append(db, _extents("read", read), durable=False)

    def add_all_read(self, db: sqlite3.Connection) -> None:
        """Write down how much of all ledgers was counted, and nothing twice.

        Raises:
            NotKept: it cannot be written.

        """
        with self._telling():
            said = KeptRecords.of(self._journal.news().records).read
        read = _read_of(tables.ledgers(db, "gone IS NULL"))
        self.add_read(db, {path: extent for path, extent in read.items() if said.get(path) != extent})
        self.shorten(db)

    def save(self, db: sqlite3.Connection) -> None:
        """Write down what only sums that are about to be thrown away have: of ledgers that are not as they
        were or cannot be read now, and of those that went before where the journal was lost.

        Raises:
            NotKept: it cannot be written.

        """
        rows = tables.ledgers(db, "gone IS NULL")
        lost = [row._replace(gone=GONE) for row in rows if row.offset and not _is_as_read(row.path, row)]
        with self._telling():
            known = KeptRecords.of(self._journal.news().records).kept  # what is there is newer, or the same
            lost = [row for row in (*lost, *tables.ledgers(db, KEPT_ROWS)) if row.uid not in known]
            self._vouch(lost)
            self._journal.append(_extents("read", _read_of(rows)), *(_record(db, row) for row in lost))

    def _vouch(self, rows: Iterable[LedgerRow]) -> None:
        """Note that something is kept of these ledgers."""
        if notes := list(map(vouched, rows)):
            with self._telling():
                self._notes.append(*notes)

    def _vouched(self) -> dict[int, tuple[bytes, CountedExtent]]:
        """Return of what the notes say that it is kept: path and extent by uid."""
        records = [match.groups() for match in map(_VOUCHED, self._notes.news().records) if match]
        return {int(number): (path, CountedExtent(*map(int, extent))) for number, *extent, path in records}

    def _append(self, db: sqlite3.Connection, *records: bytes, durable: bool = True) -> None:
        """Append records; those are no news then to these sums."""
        if not records:
            return
        position, is_known = tables.position(db, "kept"), not self.has_news(db)
        with self._telling():
            after = self._journal.after(position, self._journal.append(*records, durable=durable))
        if is_known and after is not None:
            tables.set_position(db, "kept", after)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        path = self._journal.path
        try:
            yield
        except OSError as fault:
            is_named = isinstance(fault, UnsafePath)
            raise NotKept(
                str(fault) if is_named else f"{path}: {fault}; see cost-dashboard doctor"
            ) from fault
        except _NOT_UNDERSTOOD as fault:
            raise NotKept(f"{path}: was written by a newer version of this program ({fault!r})") from fault

    def has_news(self, db: sqlite3.Connection) -> bool:
        """Tell whether the journal is not as these sums read it."""
        return self._journal.is_changed(tables.position(db, "kept"))

    def learn(self, db: sqlite3.Connection) -> None:
        """Bring what was kept into the sums; write down again what was lost.

        Raises:
            NotKept: it cannot be read or written.

        """
        with self._telling():
            news = self._journal.news(tables.position(db, "kept"))
            _restore_all(db, KeptRecords.of(news.records))
            if news.is_lost and not KeptRecords.of(news.records).has(
                KeptRecords.of(self._known_to(db, news.records))
            ):
                self._journal.rewrite(lambda records: self._known_to(db, records))
                news = self._journal.news()
            tables.set_position(db, "kept", news.position)

    def _known_to(self, db: sqlite3.Connection, records: Sequence[bytes]) -> list[bytes]:
        """Return all that these sums know: what is left of a damaged journal may be over since."""
        said = KeptRecords.of(records)
        _restore_all(db, said)
        lost = db.execute(
            "SELECT path, length FROM problems JOIN ledgers ON id = ledger WHERE problems.offset = ?",
            (LOST_AT,),
        )
        lost_here = {path: CountedExtent(max(length, 1), -1, -1) for path, length in lost}
        gone = tables.ledgers(db, KEPT_ROWS)
        db.executemany(f"UPDATE ledgers SET is_kept = {KEPT} WHERE id = ?", [(row.id,) for row in gone])
        over = set(self._vouched()) - {row.uid for row in gone}
        now = KeptRecords({}, _read_of(tables.ledgers(db, "gone IS NULL")), lost_here | said.lost, over)
        return [*(_record(db, row) for row in gone), *now.records()]

    def shorten(self, db: sqlite3.Connection) -> None:
        """Write the journal anew where most of it is over.

        Raises:
            NotKept: it cannot be read or written.

        """
        position, [size] = tables.position(db, "kept"), db.execute("SELECT kept_size FROM meta").fetchone()
        if position.read_to > 2 * size + SHORTEN_BYTES:
            with self._telling():
                self._journal.rewrite(lambda records: KeptRecords.of(records).records())
                tables.set_position(db, "kept", JournalPosition())
                self.learn(db)
                position = tables.position(db, "kept")
            db.execute("UPDATE meta SET kept_size = ?", (position.read_to,))

    def say_what_is_lost(self, db: sqlite3.Connection) -> None:
        """Note in new sums which ledgers are not what was counted of them, and left nothing behind.

        So are those that were written to and are not there, of which nobody ever counted anything, and those
        of which something was kept that is lost. Ledgers that are there and whose notes were lost become
        known by this.

        Raises:
            NotKept: the journal cannot be read or written.

        """
        with self._telling():
            said = KeptRecords.of(self._journal.news().records)
            vouched = self._vouched()
        known = {row.path for row in tables.ledgers(db, "gone IS NULL")}
        for path in filter(os.path.lexists, said.read.keys() - known):
            new_row(db, path)  # its note was lost
        kept = {path: e for n, (path, e) in vouched.items() if n not in said.kept.keys() | said.over}
        written = tables.ledgers(db, "gone IS NULL AND id IN (SELECT ledger FROM writers)")
        unread = {row.path: CountedExtent() for row in written if row.path not in said.read}
        read = {path: extent for path, extent in said.read.items() if extent.offset}
        candidates = unread | read | {path: e for path, e in kept.items() if _is_lost(path, e)} | said.lost
        lost = _not_moved(db, {path: extent for path, extent in candidates.items() if _is_lost(path, extent)})
        for path, extent in lost.items():
            row = tables.ledger_at(db, path) or new_row(db, path)
            tables.put_problems(db, row.id, [Problem(LOST_AT, extent.offset, "lost", LOST)])
        if new := {path: extent for path, extent in lost.items() if path not in said.lost}:
            self._append(db, _extents("lost", new))

    def is_found(self, db: sqlite3.Connection, path: bytes, file: SecureFile) -> bool:
        """Tell whether a ledger that was lost is there again, and write down then that it is not lost.

        Raises:
            NotKept: the journal cannot be read or written.

        """
        with self._telling():
            extent = KeptRecords.of(self._journal.news().records).lost.get(path)
        is_same = extent is not None and recognised(extent, file)
        if is_same:
            self._append(db, _json({"found": [base64.b64encode(path).decode()]}))
        return is_same


def _not_moved(db: sqlite3.Connection, lost: dict[bytes, CountedExtent]) -> dict[bytes, CountedExtent]:
    """Return those of which no other known ledger begins with what was counted."""
    heads = dict[int, list[bytes]]()
    for row in tables.ledgers(db, "gone IS NULL") if any(extent.offset for extent in lost.values()) else ():
        with suppress(OSError), opened(row.path) as file:
            heads.setdefault(fingerprint(file, FINGERPRINT_BYTES)[0], []).append(row.path)
    return {
        path: extent
        for path, extent in lost.items()
        if not extent.offset or all(_is_lost(other, extent) for other in heads.get(extent.head, ()))
    }


def _read_of(rows: Iterable[LedgerRow]) -> dict[bytes, CountedExtent]:
    return {row.path: CountedExtent(*row.mark) for row in rows}


def _extents(name: str, extents: Mapping[bytes, CountedExtent]) -> bytes:
    return _json({name: [(base64.b64encode(path).decode(), *extent) for path, extent in extents.items()]})


def vouched(row: LedgerRow) -> bytes:
    """Return the note that something is kept of a ledger that is gone, and how much it was."""
    return b"! %d %d %d %d %b" % (row.uid, max(row.offset, 1), row.head, row.tail, row.path)


_VOUCHED: Final = re.compile(rb"! (\d+) (\d+) (\d+) (\d+) ([^\0]+)", re.DOTALL).fullmatch


def _json(record: object) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


LOST: Final = "is not there, or not what it was, and what was counted of it is lost"

LOST_AT: Final = -2
"""The offset of the problem that says so."""

SHORTEN_BYTES: Final = 256 << 10
"""The journal is written anew when it is more than twice as long as after the last time, and this."""


_NOT_UNDERSTOOD: Final = (ValueError, LookupError, TypeError, AttributeError, sqlite3.ProgrammingError)
"""What records of another version come to, here or where their values are put into tables."""


class NotKept(StorageUnavailable):
    """What was counted of a ledger that is gone could not be written down or read: no sum is complete."""


def _record(db: sqlite3.Connection, row: LedgerRow) -> bytes:
    fold, row = tables.fold_of(db, row.id), row._replace(is_kept=KEPT)
    ids = db.execute("SELECT key, more, offset FROM seen WHERE ledger = ? ORDER BY offset", (row.id,))
    record = {
        "row": [base64.b64encode(row.path).decode(), *row[2:]],
        "cells": [[bucket, dim, values] for (bucket, dim), values in fold.cells.items()],
        "units": [[bucket, dim, unit, n] for (bucket, dim, unit), n in fold.units.items()],
        "reserved": fold.reserved,
        "seen": ids.fetchall(),
    }
    return _json(record)


def _restore_all(db: sqlite3.Connection, said: KeptRecords) -> None:
    """Put what was kept of ledgers that these sums do not know into them."""
    known = {row.uid for row in tables.ledgers(db, KEPT_ROWS)}
    for number, record in said.kept.items():
        if number not in known:
            _restore(db, record)


def _restore(db: sqlite3.Connection, record: dict[str, Any]) -> None:
    place, *rest = record["row"]
    fold = Adder()
    fold.cells = {(bucket, tuple(dim)): values for bucket, dim, values in record["cells"]}
    fold.units = {(bucket, tuple(dim), unit): amount for bucket, dim, unit, amount in record["units"]}
    fold.reserved = {name: _reserved(*sums) for name, sums in record["reserved"].items()}
    row = LedgerRow(next_number(db), base64.b64decode(place), *rest)
    put_back(db, row, fold, [tuple(each) for each in record["seen"]])


def _reserved(calls: int, cost: int, unpriced: int = 0) -> Reserved:
    """Return what there is under a reservation; earlier versions did not count calls without a price."""
    return calls, cost, unpriced
