"""Takes ledgers into the sums, and keeps what was counted when a ledger is no longer what it was.

One transaction leads from one offset of a ledger to the next, so the sums are at any moment those of a
beginning of each ledger. What was counted stays counted: a ledger that is deleted, cut or replaced keeps its
row, its sums and its ids, first written to a journal of their own (:class:`Kept`), so that neither the
loss of the ledger nor that of ``sums.db`` takes the money out of sight. Lines that turn up elsewhere, or come
back, are known by their ids and go over to the ledger where they are now.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from ..errors import StorageUnavailable
from ..ledger.counted import Counted, counted, same_call
from ..ledger.line import DamagedLine, decode
from ..ledger.lines import line_at, split
from ..platform import SecureFile
from ..storage import CostStorage, job_id_of
from . import tables
from .journal import Journal, opened, size_of
from .keys import key_of, keys_of
from .tables import Fold, LedgerRow, Problem

BATCH_LINES: Final = 2000
"""How many lines one transaction takes in: bounds how long others wait, and the memory."""

FAST_BYTES: Final = 128 << 10
"""From how many bytes on that a process reads the fast reader is worth its import, which takes 30 ms."""

FINGERPRINT_BYTES: Final = 256

NOT_KEPT, OUTDATED, KEPT = 0, 1, 2
"""Whether what is counted of a ledger that is gone was written down (:class:`Kept`), or more than that."""

GONE: Final = "deleted or moved away"
REPLACED: Final = "cut or replaced"
UNREADABLE: Final = -1
"""The offset of the problem that says why a ledger could not be read."""


def uid() -> int:
    """Return 62 random bits. ``secrets`` would say it shorter, and costs 10 ms to import."""
    return int.from_bytes(os.urandom(8)) >> 2


def fingerprint(file: SecureFile, offset: int) -> tuple[int, int]:
    """Return the CRC-32 of a file's first bytes and of those before ``offset``, at most 256 each."""
    length = min(offset, FINGERPRINT_BYTES)
    descriptor = file.fileno()
    return crc32(os.pread(descriptor, length, 0)), crc32(os.pread(descriptor, length, offset - length))


def recognised(row: LedgerRow, file: SecureFile) -> bool:
    """Tell whether a file still begins with what was read from it."""
    return size_of(file) >= row.offset and fingerprint(file, row.offset) == (row.head, row.tail)


def _is_as_read(row: LedgerRow) -> bool | None:
    """Tell whether what was read of a ledger is still there; ``None`` where it cannot be opened now."""
    try:
        with opened(row.path) as file:
            return recognised(row, file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None


class Intake:
    """Takes ledgers in, within write transactions of the sums."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def finish(self, db: sqlite3.Connection, *, is_whole: bool = True) -> None:
        """See to ledgers that are gone or replaced; to be called before the transaction is committed.

        Those that lost lines to a ledger that is still being read can wait: more of them is kept than counts.

        Raises:
            NotKept: what was counted of them cannot be kept.

        """
        changed = f"gone IS NOT NULL AND is_kept {'<' if is_whole else '='} {KEPT if is_whole else NOT_KEPT}"
        if not tables.ledgers(db, changed):
            return
        copies = "gone IS NULL AND id IN (SELECT ledger FROM problems WHERE kind = 'duplicate')"
        for copy in tables.ledgers(db, copies):
            _take_over(db, copy)
        rows = tables.ledgers(db, changed)
        for row in rows:
            tables.clear_zeros(db, row.id)
        self._kept.add(db, rows)
        self._kept.learn(db, is_known=True)
        for row in rows:
            if not db.execute("SELECT EXISTS (SELECT 1 FROM seen WHERE ledger = ?)", (row.id,)).fetchone()[0]:
                tables.take_out(db, row.id)  # nothing is left of it
                db.execute("DELETE FROM ledgers WHERE id = ?", (row.id,))

    def look(self, db: sqlite3.Connection, path: bytes) -> bool:
        """Bring the sums nearer to a ledger, by one batch; return whether there is more to read."""
        row = next(iter(tables.ledgers(db, "path = ? AND gone IS NULL", path)), None)
        try:
            file = opened(path)
        except (FileNotFoundError, NotADirectoryError):
            self._missing(db, row)
            return False
        except OSError as fault:
            _unreadable(db, row, fault)
            return False
        with file:
            return self._look_into(db, path, row, file)

    def _look_into(
        self, db: sqlite3.Connection, path: bytes, row: LedgerRow | None, file: SecureFile
    ) -> bool:
        if row is not None and not recognised(row, file):
            row = retire(db, row, REPLACED)
        found = os.fstat(file.fileno())
        row, more = self._read_on(db, row or new_row(db, path), file)
        db.execute("DELETE FROM problems WHERE ledger = ? AND offset = ?", (row.id, UNREADABLE))
        head, tail = fingerprint(file, row.offset)
        tables.put_ledger(
            db,
            row._replace(
                is_read=int(not more),
                device=found.st_dev,
                inode=found.st_ino,
                size=found.st_size,
                mtime=found.st_mtime_ns,
                head=head,
                tail=tail,
            ),
        )
        return more

    # --- reading

    def _read_on(self, db: sqlite3.Connection, row: LedgerRow, file: SecureFile) -> tuple[LedgerRow, bool]:
        """Count the next lines; return the row after them, and whether there are more."""
        end, lines, problems = row.offset, list[Read](), list[Problem]()
        for offset, length, line in islice(read_counted(file, row.offset), BATCH_LINES):
            end = offset + length
            if isinstance(line, DamagedLine):
                problems.append(Problem(offset, length, "damaged", str(line)))
            else:
                lines.append(Read(offset, length, line))
        fold = Fold()
        for each in self._countable(db, row, lines, problems):
            fold.add(each.line)
        tables.put_fold(db, row.id, fold)
        tables.put_problems(db, row.id, problems)
        return row._replace(offset=end), len(lines) + len(problems) >= BATCH_LINES

    def _countable(
        self, db: sqlite3.Connection, row: LedgerRow, lines: Sequence[Read], problems: list[Problem]
    ) -> list[Read]:
        """Return the lines that count here, and note the others as problems."""
        keys, more = keys_of([each.line.id for each in lines])
        rows = [(key, rest, row.id, each.offset) for key, rest, each in zip(keys, more, lines, strict=True)]
        if tables.put_seen(db, rows):
            return list(lines)
        counting, others = _claimed(db, row, lines)
        problems.extend(_repeated(db, row, others))
        return counting

    # --- ledgers that are no longer what they were

    def _missing(self, db: sqlite3.Connection, row: LedgerRow | None) -> None:
        if row is not None and row.offset:
            row = retire(db, row, GONE)
        if row is not None:
            db.execute(
                "UPDATE ledgers SET is_read = 1, size = 0, mtime = 0, inode = 0 WHERE id = ?", (row.id,)
            )


def _take_over(db: sqlite3.Connection, copy: LedgerRow) -> None:
    """Count lines of a copy now that they are gone elsewhere."""
    repeated = "SELECT offset, length FROM problems WHERE ledger = ? AND kind = 'duplicate'"
    with suppress(OSError), opened(copy.path) as file:
        lines = [
            Read(offset, length, line)
            for offset, length in db.execute(repeated, (copy.id,)).fetchall()
            if (line := _line_in(file, offset)) is not None
        ]
        fold = Fold()
        for each in _claimed(db, copy, lines)[0]:
            fold.add(each.line)
            db.execute("DELETE FROM problems WHERE ledger = ? AND offset = ?", (copy.id, each.offset))
        tables.put_fold(db, copy.id, fold)


def _claimed(db: sqlite3.Connection, row: LedgerRow, lines: Iterable[Read]) -> tuple[list[Read], list[Read]]:
    """Let lines count in a ledger that counted nowhere, or in one that is gone; return them, and the rest."""
    counting, others, leaving = list[Read](), list[Read](), dict[int, Fold | None]()
    for each in lines:
        owner, _ = tables.find_seen(db, each.line.id) or (None, 0)
        if owner is None:
            tables.put_seen(db, [(*key_of(each.line.id), row.id, each.offset)])
        else:
            if owner not in leaving:
                leaving[owner] = Fold() if owner != row.id and _is_gone(db, owner) else None
            fold = leaving[owner]
            if fold is None:
                others.append(each)
                continue
            fold.add(each.line)
            tables.move_seen(db, each.line.id, row.id, each.offset)
        counting.append(each)
    for owner, fold in leaving.items():
        if fold is not None:
            tables.put_fold(db, owner, fold.negated())
            db.execute("UPDATE ledgers SET is_kept = ? WHERE id = ? AND is_kept = ?", (OUTDATED, owner, KEPT))
    return counting, others


def _is_gone(db: sqlite3.Connection, ledger: int) -> bool:
    [owner] = tables.ledgers(db, "id = ?", ledger)
    if owner.gone is None and not os.path.lexists(owner.path):
        retire(db, owner, GONE)
        return True
    return owner.gone is not None


class Read(NamedTuple):
    """A line that was read, and where it stands."""

    offset: int
    length: int
    line: Counted


_read: Final = [0]
"""How many bytes this process has read so far."""


def read_counted(file: SecureFile, start: int) -> Iterator[tuple[int, int, Counted | DamagedLine]]:
    """Return the complete lines from ``start`` on, as what they count as."""
    _read[0] += size_of(file) - start
    if _read[0] > FAST_BYTES:
        from ..ledger.batch import read_counted as read_fast

        yield from read_fast(file.fileno(), start)
        return
    for offset, length, raw in split(file.fileno(), start):
        if raw[-1:] != b"\n":
            return
        try:
            yield offset, length, counted(decode(raw))
        except DamagedLine as damage:
            yield offset, length, damage


def retire(db: sqlite3.Connection, row: LedgerRow, why: str) -> LedgerRow:
    """Let what was counted of a ledger stay that is another one now, or none; return its path's new row."""
    db.execute("UPDATE ledgers SET gone = ?, is_read = 1 WHERE id = ?", (why, row.id))
    there = new_row(db, row.path)
    db.execute("UPDATE OR REPLACE writers SET ledger = ? WHERE ledger = ?", (there.id, row.id))
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


def _unreadable(db: sqlite3.Connection, row: LedgerRow | None, fault: OSError) -> None:
    if row is not None:
        tables.put_problems(db, row.id, [unreadable(fault)])
        db.execute("UPDATE ledgers SET is_read = 0 WHERE id = ?", (row.id,))


def unreadable(fault: OSError) -> Problem:
    """Return the problem of a ledger that cannot be read."""
    return Problem(UNREADABLE, 0, "unreadable", f"cannot be read: {fault.strerror or fault}")


def _repeated(db: sqlite3.Connection, row: LedgerRow, lines: Iterable[Read]) -> Iterator[Problem]:
    """Say of lines whose ids were seen before where that was, and whether they say the same."""
    with ExitStack() as stack:
        files = dict[int, tuple[bytes, SecureFile | None]]()
        for offset, length, line in lines:
            ledger, at = tables.find_seen(db, line.id) or (row.id, offset)
            if ledger not in files:
                path, file = tables.ledgers(db, "id = ?", ledger)[0].path, None
                with suppress(OSError):
                    file = stack.enter_context(opened(path))
                files[ledger] = path, file
            path, file = files[ledger]
            first = _line_in(file, at) if file else None
            same = first is None or first.id != line.id or same_call(first, line)
            kind, why = ("duplicate", "id seen before") if same else ("conflict", _OTHER_CONTENT)
            where = "" if ledger == row.id else f" in {os.fsdecode(path)}"
            yield Problem(offset, length, kind, f"{why}, at offset {at}{where}")


_OTHER_CONTENT: Final = "id seen before with other content"


def _line_at(row: LedgerRow, offset: int) -> Counted | None:
    with suppress(OSError), opened(row.path) as file:
        return _line_in(file, offset)
    return None


def _line_in(file: SecureFile, offset: int) -> Counted | None:
    with suppress(OSError, DamagedLine):
        return counted(decode(line_at(file.fileno(), offset)))
    return None


Id = tuple[int, int, int]
"""An id that counts: its key, the rest of it, and where its line begins."""


def put_back(db: sqlite3.Connection, row: LedgerRow, fold: Fold, ids: Sequence[Id]) -> None:
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
        if not is_gone and not _is_as_read(owner):
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
        line = _line_at(tables.ledgers(db, "id = ?", number)[0], offset)
        if line is not None and key_of(line.id) == (key, more):
            off = Fold()
            off.add(line)
            tables.put_fold(db, row.id, off.negated())


def _owners(db: sqlite3.Connection, ids: Sequence[Id]) -> list[tuple[Id, int, int]]:
    """Return those ids that count already, each with its ledger and where it stands there."""
    find = "SELECT ledger, offset FROM seen WHERE key = ? AND more = ?"
    return [(each, *found) for each in ids if (found := db.execute(find, each[:2]).fetchone())]


class Kept:
    """What was counted of ledgers that are gone, a second time: a journal that outlives ``sums.db``.

    All sums of a storage read it, also those that a process keeps in memory: what one of them has
    counted of a ledger that is gone now, the others count too.
    """

    def __init__(self, storage: CostStorage) -> None:
        self._path = storage.root / "kept.journal"

    def add(self, db: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """Write down the sums and the ids of ledgers, durably.

        Raises:
            NotKept: they cannot be written.

        """
        self._append(_record(db, row) for row in rows)
        db.executemany(f"UPDATE ledgers SET is_kept = {KEPT} WHERE id = ?", [(row.id,) for row in rows])

    def save(self, db: sqlite3.Connection) -> None:
        """Write down what sums that are about to be thrown away have of ledgers that are not as they were.

        Raises:
            NotKept: it cannot be written.

        """
        rows = [row for row in tables.ledgers(db, "gone IS NULL AND offset > 0") if _is_as_read(row) is False]
        self._append(_record(db, row._replace(gone=GONE)) for row in rows)

    def _append(self, records: Iterable[bytes]) -> None:
        try:
            if texts := list(records):
                Journal(self._path).append(*texts)
        except OSError as fault:
            raise NotKept(f"{self._path}: {fault}; see cost-dashboard doctor") from fault

    def has_news(self, db: sqlite3.Connection) -> bool:
        """Tell whether something was kept that these sums do not know, or what was kept is lost."""
        return any(self._read(db, Journal(self._path))) or self._mtime() != _kept_mtime(db)

    def _mtime(self) -> int:
        try:
            return os.stat(self._path).st_mtime_ns
        except OSError:
            return 0

    def _read(self, db: sqlite3.Connection, journal: Journal) -> tuple[list[bytes], bool]:
        try:
            return journal.read_after(_position(db))
        except OSError as fault:
            raise NotKept(f"{self._path}: {fault}; see cost-dashboard doctor") from fault

    def learn(self, db: sqlite3.Connection, *, is_known: bool = False) -> None:
        """Bring what was kept into the sums; write down again what was lost.

        With ``is_known`` only these sums can have changed the journal, so that nothing is lost.

        Raises:
            NotKept: it cannot be read or written.

        """
        journal = Journal(self._path)
        records, is_lost = self._read(db, journal)
        gone = tables.ledgers(db, "gone IS NOT NULL")
        ours, latest = {row.uid for row in gone}, dict[int, dict[str, Any]]()
        try:
            for record in map(json.loads, records):
                latest.pop(record["row"][2], None)
                latest[record["row"][2]] = record
            for number, record in latest.items():
                if number not in ours:
                    _restore(db, record)
            is_lost = is_lost or not (is_known or self._has_all(db, gone))
        except (ValueError, LookupError, TypeError) as fault:
            raise NotKept(
                f"{self._path}: was written by a newer version of this program ({fault!r})"
            ) from fault
        if is_lost:
            self.add(db, gone)
            self._append(_record(db, row) for row in _moved(db))
            journal.read()
        query = "UPDATE meta SET kept_device = ?, kept_inode = ?, kept_offset = ?, kept_mtime = ?"
        db.execute(query, (*journal.position, self._mtime()))

    def say_what_is_lost(self, db: sqlite3.Connection, lost: Set[bytes] | None) -> None:
        """Note in new sums which ledgers were written to, are not there, and left nothing behind.

        ``lost`` are those of which older sums say so: they know what was counted elsewhere since.
        """
        left = {base64.b64decode(json.loads(text)["row"][0]) for text in Journal(self._path).read()}
        for row in tables.ledgers(db, "gone IS NULL AND id IN (SELECT ledger FROM writers)"):
            is_lost = row.path not in left if lost is None else row.path in lost
            if is_lost and not os.path.lexists(row.path):
                tables.put_problems(db, row.id, [Problem(UNREADABLE, 0, "unreadable", LOST)])

    def _has_all(self, db: sqlite3.Connection, gone: Sequence[LedgerRow]) -> bool:
        """Tell whether the journal has each ledger that is gone, with as many ids as count of it."""
        kept = {}
        for record in map(json.loads, Journal(self._path).read()):
            kept[record["row"][2]] = len(record["seen"])
        count = "SELECT count(*) FROM seen WHERE ledger = ?"
        return all(kept.get(row.uid) == db.execute(count, (row.id,)).fetchone()[0] for row in gone)


def _moved(db: sqlite3.Connection) -> list[LedgerRow]:
    """Return rows, with names of their own, for ledgers that are not there and of which nothing is lost."""
    settled = "gone IS NULL AND offset = 0 AND id NOT IN (SELECT ledger FROM problems)"
    rows = [row for row in tables.ledgers(db, settled) if not os.path.lexists(row.path)]
    return [row._replace(gone=GONE, uid=uid()) for row in rows]


LOST: Final = "is not there, and what was counted of it is lost"


class NotKept(StorageUnavailable):
    """What was counted of a ledger that is gone could not be written down or read: no sum is complete."""


def _position(db: sqlite3.Connection) -> tuple[int, int, int]:
    row = db.execute("SELECT kept_device, kept_inode, kept_offset FROM meta").fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def _kept_mtime(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT kept_mtime FROM meta").fetchone()[0])


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
    return json.dumps(record, separators=(",", ":")).encode()


def _restore(db: sqlite3.Connection, record: dict[str, Any]) -> None:
    place, *rest = record["row"]
    fold = Fold()
    fold.cells = {(bucket, tuple(dim)): values for bucket, dim, values in record["cells"]}
    fold.units = {(bucket, tuple(dim), unit): amount for bucket, dim, unit, amount in record["units"]}
    fold.reserved = {name: tuple(sums) for name, sums in record["reserved"].items()}
    row = LedgerRow(next_number(db), base64.b64decode(place), *rest)
    put_back(db, row, fold, [tuple(each) for each in record["seen"]])
