"""What was appended since the sums were last brought up: read from the ledgers' ends, kept in this process.

A call that is recorded writes no database: its process adds the line here, reads what others appended to
the ledgers that have a writer, and knows from the sums and from this what was spent. When there is much of
it, one transaction takes it into the sums, and everybody's begins anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from ..ledger.counted import DIM_COLUMNS, CountedEntry, Dim, dim_of, key_of, microseconds
from ..ledger.lines import DamagedLine, line_at
from ..money import Nanos
from ..platform import SecureFile
from ..rollup import BUCKET_SECONDS, Dimension, Group, Query, Totals
from . import queries, tables
from .gone import job_of, recognised
from .intake import read_counted
from .journal import NO_FILE, Look, look_at, opened
from .tables import BUCKET_MICROSECONDS, SUM_COLUMNS, Adder, LedgerRow, Reserved

MAX_BYTES: Final = 512 << 10
"""A ledger with more that is new is taken into the sums at once."""


MOST_KEPT: Final = 1024
"""How many answers are kept, to be brought up by what is appended."""


class RecentLine(NamedTuple):
    """A line that is not in the sums yet, and where it stands."""

    path: bytes
    offset: int
    line: CountedEntry
    dim: Dim


class LedgerTail:
    """The end of one ledger, from where the sums have it."""

    __slots__ = ("is_stale", "lines", "look", "path", "read_to", "row")

    def __init__(self, path: bytes, row: LedgerRow | None) -> None:
        self.path = path
        self.row = row
        self.read_to = row.offset if row else 0
        self.lines: dict[int, RecentLine] = {}
        self.look = row.look if row and row.is_read else NO_FILE  # no time where this process appended
        self.is_stale = False


def _goes_on(tail: LedgerTail, file: SecureFile) -> bool:
    """Tell whether a file still is what was read: an inode is given again when a ledger was deleted."""
    if not tail.lines:
        return tail.row is None or recognised(tail.row, file)
    offset, last = next(reversed(tail.lines.items()))
    return last.line.id.encode() in line_at(file.fileno(), offset)


class Recent:
    """The ends of all ledgers that may be written to, and answers that have them in."""

    def __init__(self, rows: Iterable[LedgerRow] = ()) -> None:
        self.tails = {row.path: LedgerTail(row.path, row) for row in rows}
        self.is_stale = False
        """Whether a ledger has to be taken into the sums before anything can be said."""
        self.lines: list[RecentLine] = []
        """What is not in the sums yet."""
        self._keys: dict[tuple[int, int], RecentLine] = {}
        self._spent: dict[Query, _RunningSum] = {}
        self._groups: dict[tuple[tuple[Dimension, ...], Query], _Groups] = {}

    def know(self, path: bytes) -> None:
        """Look at a ledger that the sums do not know yet."""
        if path not in self.tails:
            self.tails[path] = LedgerTail(path, None)

    # --- reading

    def appended(self, path: bytes, offset: int, length: int, line: CountedEntry) -> bool:
        """Add a line that this process has just appended, with an id that nobody else has.

        Return whether it is here now: else the next look reads it. That reads also what others appended
        before it, and finds it once more then.
        """
        tail = self.tails.get(path)
        if tail is None or tail.is_stale:
            return False
        if offset < tail.read_to:  # another thread's look has read it
            known = tail.lines.get(offset)
            is_here = known is not None and known.line.id == line.id
            self._mark(tail, not is_here)
            return is_here
        if tail.row is not None and tail.row.offset == tail.read_to and not tail.lines:
            return False  # the first look at a file makes sure that it is the one that the sums have
        new = RecentLine(path, offset, line, dim_of(line))
        if offset == tail.read_to:
            device, inode, *_ = tail.look
            tail.look, tail.read_to = (device, inode, offset + length, 0), offset + length
            tail.lines[offset] = new
        self._put(new)
        return True

    def look(self, db: sqlite3.Connection) -> None:
        """Read what was appended to any of the ledgers; ``db`` says which ids the sums have."""
        new = [line for tail in self.tails.values() for line in self._new_lines(tail)]
        if not new:
            return
        for each in new:
            if tables.find_seen(db, each.line.id) is None:
                self.tails[each.path].lines[each.offset] = each
                self._put(each)

    def _new_lines(self, tail: LedgerTail) -> list[RecentLine]:
        look = look_at(tail.path)
        if look == NO_FILE:
            self._mark(tail, tail.is_stale or tail.read_to > 0)
            return []
        if tail.is_stale or (look[:3] == tail.look[:3] and tail.look[3] in (0, look[3])):
            return []
        is_other = tail.look[:2] != (0, 0) and look[:2] != tail.look[:2]
        if is_other or not 0 <= look[2] - tail.read_to <= MAX_BYTES:
            self._mark(tail, True)
            return []
        return self._read(tail, look)

    def _read(self, tail: LedgerTail, look: Look) -> list[RecentLine]:
        lines = []
        try:
            with opened(tail.path) as file:
                if not _goes_on(tail, file):
                    self._mark(tail, True)
                    return []
                for offset, length, line in read_counted(file, tail.read_to):
                    tail.read_to = offset + length
                    if not isinstance(line, DamagedLine):
                        lines.append(RecentLine(tail.path, offset, line, dim_of(line)))
        except OSError:  # the sums say so already where they could not read it
            self._mark(tail, tail.row is None or bool(tail.row.is_read))
            lines = []
        tail.look = look
        return lines

    def _mark(self, tail: LedgerTail, is_stale: bool) -> None:
        tail.is_stale = is_stale
        self.is_stale = self.is_stale or is_stale

    def _put(self, line: RecentLine) -> None:
        if self._keys.setdefault(key_of(line.line.id), line) is line:
            self.lines.append(line)

    # --- asking

    def has(self, db: sqlite3.Connection, entry_id: str) -> bool:
        """Tell whether the entry with an id is here or in the sums."""
        return self.find(entry_id) is not None or tables.find_seen(db, entry_id) is not None

    def find(self, entry_id: str) -> RecentLine | None:
        """Return the line with an id."""
        return self._keys.get(key_of(entry_id))

    def spent(self, query: Query, in_sums: Callable[[Query], int]) -> int:
        """Return what entries that match come to: those of the sums, which ``in_sums`` tells, and these."""
        known = self._spent.get(query)
        if known is None:
            if len(self._spent) >= MOST_KEPT:
                self._spent.clear()  # windows that move ask for another sum each second
            known = self._spent[query] = _RunningSum(query, in_sums(query))
        return known.brought_up(self.lines)

    def at_hand(self, queries: Sequence[Query]) -> list[int] | None:
        """Return what entries that match come to, where each query was answered before; else ``None``."""
        answers = list[int]()
        for query in queries:
            if (known := self._spent.get(query)) is None:
                return None
            answers.append(known.brought_up(self.lines))
        return answers

    def groups(self, db: sqlite3.Connection, by: Sequence[Dimension], query: Query) -> list[Group]:
        """Return what :func:`.queries.groups` says, with these lines in; jobs are those of the sums."""
        key = (tuple(by), query)
        known = self._groups.get(key)
        if known is None:
            known = self._groups[key] = _Groups(key[0], query, queries.groups(db, by, query))
        return known.brought_up(self.lines)

    def reserved(self, reservations: Sequence[str]) -> dict[str, Reserved]:
        """Return what these lines are under each reservation."""
        wanted = set(reservations)
        return Adder(each.line for each in self.lines if each.line.reservation in wanted).reserved


class Matcher:
    """Tells whether a line is one that a query means."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._start = microseconds(query.start) if query.start is not None else None
        self._end = microseconds(query.end) if query.end is not None else None
        self._ledger = os.fsencode(os.path.realpath(query.ledger)) if query.ledger is not None else None
        self._dims = [
            (at, wanted)
            for at, name in enumerate(DIM_COLUMNS)
            if (wanted := query.values_of(name)) is not None
        ]

    def __call__(self, line: CountedEntry, dim: Dim, path: bytes | None = None) -> bool:
        """Tell whether a query means a line, in the ledger at ``path`` or, where that is left out, in any."""
        if path is not None:
            if self._ledger is not None and path != self._ledger:
                return False
            if self._query.job_id is not None and job_of(path) != self._query.job_id:
                return False
        if (self._start is not None and line.at < self._start) or (
            self._end is not None and line.at >= self._end
        ):
            return False
        if self._query.tag is not None and self._query.tag not in line.tags:
            return False
        for at, wanted in self._dims:  # noqa: SIM110  # a generator costs more than the rest of it
            if dim[at] not in wanted:
                return False
        return True


class _RunningSum:
    """A sum that grows by the lines that come."""

    def __init__(self, query: Query, amount: int) -> None:
        self._matches, self._measure, self._amount, self._at = Matcher(query), query.measure, amount, 0

    def brought_up(self, lines: Sequence[RecentLine]) -> int:
        for path, _, line, dim in lines[self._at :]:
            if self._matches(line, dim, path):
                self._amount += line.cost if self._measure == "cost" else line.measured(self._measure)
        self._at = len(lines)
        return self._amount


class _Groups:
    """Groups that grow by the lines that come."""

    def __init__(self, by: tuple[Dimension, ...], query: Query, groups: Sequence[Group]) -> None:
        self._by, self._matches, self._at = by, Matcher(query), 0
        self._totals = {group.key: copied(group.totals) for group in groups}

    def brought_up(self, lines: Sequence[RecentLine]) -> list[Group]:
        for each in lines[self._at :]:
            if self._matches(each.line, each.dim, each.path):
                self._totals.setdefault(self._key(each), Totals()).merge(totals_of(Adder([each.line])))
        self._at = len(lines)
        return queries.largest_first(Group(key, copied(each)) for key, each in self._totals.items())

    def _key(self, each: RecentLine) -> tuple[str | int | None, ...]:
        values: dict[str, str | int | None] = dict(zip(DIM_COLUMNS, each.dim, strict=True))
        values |= {
            "ledger": os.fsdecode(each.path),
            "job_id": job_of(each.path),
            "bucket": each.line.at // BUCKET_MICROSECONDS * BUCKET_SECONDS,
        }
        return tuple(values[name] if name == "bucket" else values[name] or None for name in self._by)


def copied(totals: Totals) -> Totals:
    """Return sums that grow no more."""
    copy = Totals()
    copy.merge(totals)
    return copy


def totals_of(fold: Adder) -> Totals:
    """Return everything that was added up, as one sum."""
    totals = Totals()
    for (_, dim), values in fold.cells.items():
        each = Totals(**dict(zip(SUM_COLUMNS, values, strict=True)))  # type: ignore[arg-type]  # integers
        each.cost_input = Nanos(each.cost - each.cost_output)
        if dim[-1]:
            each.retried_calls, each.retried_cost = each.calls, each.cost
        totals.merge(each)
    for (_, _, unit), amount in fold.units.items():
        totals.units[unit] = totals.units.get(unit, 0) + amount
    return totals
