"""Takes ledgers into the sums.

One transaction leads from one offset of a ledger to the next, so the sums are at any moment those of a
beginning of each ledger. What was counted stays counted, whatever becomes of the ledger (:mod:`.gone`).
Lines that turn up elsewhere, or come back, are known by their ids and go over to where they are now.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Final, NamedTuple

from ..errors import UnsafePath
from ..importing import import_safely
from ..ledger.counted import CountedEntry, counted, key_of, keys_of, same_call
from ..ledger.lines import DamagedLine, split
from ..patience import remaining
from ..platform import SecureFile
from . import tables
from .gone import (
    GONE,
    KEPT,
    LOST_AT,
    NOT_KEPT,
    OUTDATED,
    REPLACED,
    WAITING,
    CountedExtent,
    KeptJournal,
    fingerprint,
    job_of,
    line_in,
    new_row,
    next_number,
    recognised,
    retire,
    uid,
)
from .journal import look_at, opened, size_of
from .tables import Adder, LedgerRow, Problem

BATCH_LINES: Final = 2000
"""How many lines one transaction takes in: bounds how long others wait, and the memory."""

FAST_BYTES: Final = 128 << 10
"""From how many bytes on that a process reads the fast reader is worth its import, which takes 30 ms."""

UNREADABLE: Final = -1
"""The offset of the problem that says why a ledger could not be read."""


class Intake:
    """Takes ledgers in, within write transactions of the sums."""

    def __init__(self, kept: KeptJournal) -> None:
        self._kept = kept
        self._read = dict[bytes, CountedExtent]()
        """How far ledgers were read that is not written down yet."""

    def finish(self, db: sqlite3.Connection, *, is_whole: bool = True) -> None:
        """See to ledgers that are gone or replaced; to be called before the transaction is committed.

        Those that lost lines to a ledger that is still being read can wait: more of them is kept than counts.

        Raises:
            NotKept: what was counted of them cannot be kept.

        """
        changed = f"gone IS NOT NULL AND is_kept {'<' if is_whole else '='} {KEPT if is_whole else NOT_KEPT}"
        if tables.ledgers(db, changed):
            copies = "gone IS NULL AND id IN (SELECT ledger FROM problems WHERE kind = 'duplicate')"
            for copy in tables.ledgers(db, copies):
                _take_over(db, copy)
            rows = tables.ledgers(db, changed)
            for row in rows:
                tables.clear_zeros(db, row.id)
            self._kept.add(db, rows)
            for row in rows:
                if not db.execute("SELECT count(*) FROM seen WHERE ledger = ?", (row.id,)).fetchone()[0]:
                    tables.take_out(db, row.id)  # nothing is left of it
                    db.execute("DELETE FROM ledgers WHERE id = ?", (row.id,))
        self._kept.add_read(db, self._read)
        self._read.clear()
        if self._kept.has_news(db):
            self._kept.learn(db)
        if is_whole and remaining() is None:
            self._kept.shorten(db)

    def look(self, db: sqlite3.Connection, path: bytes) -> bool:
        """Bring the sums nearer to a ledger, by one batch; return whether there is more to read."""
        row = tables.ledger_at(db, path)
        try:
            file = opened(path)
        except (FileNotFoundError, NotADirectoryError):
            self._missing(db, row)
            return False
        except OSError as fault:
            if row is not None and row.offset and isinstance(fault, UnsafePath):
                row = retire(db, row, REPLACED)  # another thing stands there: nothing else has its sums
            _unreadable(db, row, fault)
            return False
        with file:
            return self._look_into(db, path, row, file)

    def _look_into(
        self, db: sqlite3.Connection, path: bytes, row: LedgerRow | None, file: SecureFile
    ) -> bool:
        device, inode, size, mtime = look_at(file.fileno())
        row = row or new_row(db, path)
        if not recognised(row, file):
            row = retire(db, row, REPLACED)
        before = row.offset
        row, more = self._read_on(db, row, file)
        self._sound_again(db, row, file)
        head, tail = fingerprint(file, row.offset)
        if row.offset != before:
            self._read[path] = CountedExtent(row.offset, head, tail)
        tables.put_ledger(
            db, LedgerRow(*row[:6], int(not more), device, inode, size, mtime, row.offset, head, tail)
        )
        return more

    def _sound_again(self, db: sqlite3.Connection, row: LedgerRow, file: SecureFile) -> None:
        """Take back what was said of a ledger that can be read again, or was lost and is there."""
        where = "problems WHERE ledger = ? AND offset"
        db.execute(f"DELETE FROM {where} = ?", (row.id, UNREADABLE))
        is_lost = db.execute(f"SELECT count(*) FROM {where} = ?", (row.id, LOST_AT)).fetchone()[0]
        if is_lost and self._kept.is_found(db, row.path, file):
            db.execute(f"DELETE FROM {where} = ?", (row.id, LOST_AT))

    # --- reading

    def _read_on(self, db: sqlite3.Connection, row: LedgerRow, file: SecureFile) -> tuple[LedgerRow, bool]:
        """Count the next lines; return the row after them, and whether there are more."""
        end, lines, problems = row.offset, list[ReadLine](), list[Problem]()
        for offset, length, line in islice(read_counted(file, row.offset), BATCH_LINES):
            end = offset + length
            if isinstance(line, DamagedLine):
                problems.append(Problem(offset, length, "damaged", str(line)))
            else:
                lines.append(ReadLine(offset, length, line))
        counting = self._countable(db, row, lines, problems)
        tables.put_fold(db, row.id, Adder(each.line for each in counting))
        tables.put_problems(db, row.id, problems)
        return row._replace(offset=end), len(lines) + len(problems) >= BATCH_LINES

    def _countable(
        self, db: sqlite3.Connection, row: LedgerRow, lines: Sequence[ReadLine], problems: list[Problem]
    ) -> list[ReadLine]:
        """Return the lines that count here, and note the others as problems."""
        keys, more = keys_of([each.line.id for each in lines])
        rows = [(key, rest, row.id, each.offset) for key, rest, each in zip(keys, more, lines, strict=True)]
        if tables.put_seen(db, rows):
            return list(lines)
        counting, others = _claimed(db, row, lines)
        problems.extend(_repeated(db, row, others))
        return counting

    # --- ledgers that are no longer what they were

    def count_gone(self, db: sqlite3.Connection, path: bytes, lines: Iterable[ReadLine]) -> None:
        """Count lines that a ledger had and has no more."""
        row = LedgerRow(next_number(db), path, job_of(path), uid(), gone=GONE, is_read=1)
        _count_in(db, row, lines)

    def count_waiting(self, db: sqlite3.Connection, path: bytes, lines: Iterable[ReadLine]) -> None:
        """Count lines that a ledger does not have yet: they leave this row when it has them."""
        known = tables.ledgers(db, "path = ? AND gone = ?", path, WAITING)
        new = LedgerRow(next_number(db), path, job_of(path), uid(), gone=WAITING, is_kept=KEPT, is_read=1)
        _count_in(db, next(iter(known), new), lines)

    def _missing(self, db: sqlite3.Connection, row: LedgerRow | None) -> None:
        if row is not None and row.offset:
            row = retire(db, row, GONE)
        elif row is not None:
            self._read[row.path] = CountedExtent()  # nothing of it was counted, so nothing is lost
        if row is not None:
            db.execute(
                "UPDATE ledgers SET is_read = 1, size = 0, mtime = 0, inode = 0 WHERE id = ?", (row.id,)
            )


def _count_in(db: sqlite3.Connection, row: LedgerRow, lines: Iterable[ReadLine]) -> None:
    tables.put_ledger(db, row)
    tables.put_fold(db, row.id, Adder(each.line for each in _claimed(db, row, lines)[0]))


def _take_over(db: sqlite3.Connection, copy: LedgerRow) -> None:
    """Count lines of a copy now that they are gone elsewhere."""
    repeated = "SELECT offset, length FROM problems WHERE ledger = ? AND kind = 'duplicate'"
    with suppress(OSError), opened(copy.path) as file:
        lines = [
            ReadLine(offset, length, line)
            for offset, length in db.execute(repeated, (copy.id,)).fetchall()
            if (line := line_in(file, offset)) is not None
        ]
        counting, _ = _claimed(db, copy, lines)
        tables.put_fold(db, copy.id, Adder(each.line for each in counting))
        places = [(copy.id, each.offset) for each in counting]
        db.executemany("DELETE FROM problems WHERE ledger = ? AND offset = ?", places)


def _claimed(
    db: sqlite3.Connection, row: LedgerRow, lines: Iterable[ReadLine]
) -> tuple[list[ReadLine], list[ReadLine]]:
    """Let lines count in a ledger that counted nowhere, or in one that is gone; return them, and the rest."""
    counting, others, leaving = list[ReadLine](), list[ReadLine](), dict[int, Adder | None]()
    for each in lines:
        owner, _ = tables.find_seen(db, each.line.id) or (None, 0)
        if owner is None:
            tables.put_seen(db, [(*key_of(each.line.id), row.id, each.offset)])
        else:
            if owner not in leaving:
                leaving[owner] = Adder() if owner != row.id and _is_gone(db, owner) else None
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


class ReadLine(NamedTuple):
    """A line that was read, and where it stands."""

    offset: int
    length: int
    line: CountedEntry


_read: Final = [0]
"""How many bytes this process has read so far."""


def read_counted(file: SecureFile, start: int) -> Iterator[tuple[int, int, CountedEntry | DamagedLine]]:
    """Return the complete lines from ``start`` on, as what they count as."""
    _read[0] += size_of(file) - start
    if _read[0] > FAST_BYTES:
        import_safely("shared.costs.ledger.batch")
        from ..ledger.batch import read_counted as read_fast

        yield from read_fast(file.fileno(), start)
        return
    from ..ledger.line import decode  # where nothing is new, a prompt need not wait for the types of entries

    for offset, length, raw in split(file.fileno(), start):
        if raw[-1:] != b"\n":
            return
        try:
            yield offset, length, counted(decode(raw))
        except DamagedLine as damage:
            yield offset, length, damage


def _unreadable(db: sqlite3.Connection, row: LedgerRow | None, fault: OSError) -> None:
    if row is not None:
        tables.put_problems(db, row.id, [unreadable(fault)])
        db.execute("UPDATE ledgers SET is_read = 0 WHERE id = ?", (row.id,))


def unreadable(fault: OSError) -> Problem:
    """Return the problem of a ledger that cannot be read."""
    return Problem(UNREADABLE, 0, "unreadable", f"cannot be read: {fault.strerror or fault}")


def _repeated(db: sqlite3.Connection, row: LedgerRow, lines: Iterable[ReadLine]) -> Iterator[Problem]:
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
            first = line_in(file, at) if file else None
            same = first is None or first.id != line.id or same_call(first, line)
            kind, why = ("duplicate", "id seen before") if same else ("conflict", _OTHER_CONTENT)
            where = "" if ledger == row.id else f" in {os.fsdecode(path)}"
            yield Problem(offset, length, kind, f"{why}, at offset {at}{where}")


_OTHER_CONTENT: Final = "id seen before with other content"
