"""Folds whole ledgers fast: what a rebuild does to all of them, in processes of its own.

A line in the usual form takes the fast way of :mod:`.usual`; everything else, and whatever raises the
least doubt, goes through the ledger's own ``decode``. Both ways give the same sums, which a test holds
against each other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Final

from ..ledger.line import DamagedLine, decode
from ..rollup import BUCKET_SECONDS, bucket_of
from .catchup import GONE
from .duplicates import Problem
from .fold import Fold
from .keys import keys_of
from .ledgerfile import LedgerFile, Line, opened
from .registry import Registered
from .store import LedgerRow
from .tables import SUM_COLUMNS, Dim
from .taken import advanced, new_row
from .usual import Names, UsualCall, charge_of, dim_of_names, instant_of, names_of, usual_call

_TO_LAST: Final = timedelta(seconds=BUCKET_SECONDS) - timedelta.resolution
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def _column() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Seen:
    """The ids of entries and where they stand: fields of ``store.SeenRow``, column by column."""

    keys: array[int] = field(default_factory=_column)
    more: array[int] = field(default_factory=_column)
    ledgers: array[int] = field(default_factory=_column)
    offsets: array[int] = field(default_factory=_column)

    def extend(self, ledger: int, ids: Sequence[str], offsets: array[int]) -> None:
        """Add the entries of one ledger."""
        keys, more = keys_of(ids)
        self.keys.extend(keys)
        self.more.extend(more)
        self.ledgers.extend(repeat(ledger, len(ids)))
        self.offsets.extend(offsets)

    def rows(self) -> list[tuple[int, ...]]:
        """Return the rows in the order of their keys."""
        return sorted(zip(self.keys, self.more, self.ledgers, self.offsets, strict=True))


@dataclass(slots=True)
class Scanned:
    """Some ledgers, folded."""

    dims: list[Dim] = field(default_factory=list)
    sums: array[int] = field(default_factory=_column)
    """Row after row: bucket, ledger, position in ``dims``, and the sums."""
    seen: Seen = field(default_factory=Seen)
    reserved: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Reservation, ledger, calls and cost."""
    ledgers: list[LedgerRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unread: list[tuple[Registered, str]] = field(default_factory=list)
    """Ledgers that could not be read, and why."""
    read_bytes: int = 0

    def sum_rows(self) -> Iterator[tuple[int, ...]]:
        """Return the rows of ``sums``."""
        return zip(*[iter(self.sums)] * (3 + len(SUM_COLUMNS)), strict=True)


def scan(ledgers: Iterable[Registered]) -> Scanned:
    """Fold ledgers from their first byte to their last complete line.

    Ids are not compared: whoever puts the result into an index finds the duplicates.
    """
    scanner = _Scanner()
    for ledger in ledgers:
        try:
            with opened(ledger.path) as file:
                scanner.fold(ledger, file)
        except (FileNotFoundError, NotADirectoryError):
            scanner.found.unread.append((ledger, GONE))
        except OSError as fault:
            scanner.found.unread.append((ledger, f"cannot be read: {fault}"))
    return scanner.found


@dataclass(slots=True)
class _Folded:
    """What one ledger has."""

    usual: dict[tuple[int, Names], list[int]] = field(default_factory=dict)
    """Sums of usual calls by bucket and names, added up in place."""
    fold: Fold = field(default_factory=Fold)
    """All the others, and at the end of the ledger those too."""
    ids: list[str] = field(default_factory=list)
    offsets: array[int] = field(default_factory=_column)

    # Calls mostly come in runs that are alike: where the sums of the last one are, and for which times.
    _names: Names = ()
    _begin: datetime = _NEVER
    _last: datetime = _NEVER
    _values: list[int] = field(default_factory=list)

    def sums_for(self, names: Names, at: datetime) -> list[int]:
        """Return the sums to which a usual call belongs."""
        if names != self._names or not self._begin <= at <= self._last:
            seconds = bucket_of(at)
            self._begin = datetime.fromtimestamp(seconds, UTC)
            self._last = self._begin + _TO_LAST  # the end itself may lie after the year 9999
            self._names = names
            self._values = self.usual.setdefault((seconds // BUCKET_SECONDS, names), [0] * len(SUM_COLUMNS))
        return self._values

    def settle(self) -> None:
        """Bring the usual calls into the fold."""
        for (bucket, names), values in self.usual.items():
            self.fold.put((bucket, dim_of_names(names)), tuple(values))
        self.usual.clear()


def scan_file(ledger: Registered, file: LedgerFile) -> Scanned:
    """Fold one ledger that is open already."""
    scanner = _Scanner()
    scanner.fold(ledger, file)
    return scanner.found


class _Scanner:
    def __init__(self) -> None:
        self.found = Scanned()
        self._dims: dict[Dim, int] = {}

    def fold(self, ledger: Registered, file: LedgerFile) -> None:
        """Fold one ledger."""
        folded, end = _Folded(), 0
        for line in file.lines(0):
            offset, length, raw = line
            end = offset + length
            entry_id = _count(raw, folded) or self._other(ledger, line, folded)
            if entry_id is not None:
                folded.ids.append(entry_id)
                folded.offsets.append(offset)
        folded.settle()
        self.found.read_bytes += end
        self._put(ledger.id, folded)
        buckets = {bucket for bucket, _ in folded.fold.sums}
        self.found.ledgers.append(advanced(new_row(ledger), file, end, buckets))

    def _put(self, ledger: int, folded: _Folded) -> None:
        found, fold = self.found, folded.fold
        for (bucket, dim), values in fold.sums.items():
            found.sums.extend((bucket, ledger, self._number(dim), *values))
        found.seen.extend(ledger, folded.ids, folded.offsets)
        found.reserved.extend((name, ledger, *sums) for name, sums in fold.reserved.items())

    def _other(self, ledger: Registered, line: Line, folded: _Folded) -> str | None:
        """Add any other line up and return its id; ``None`` when it is damaged."""
        try:
            entry = decode(line.raw)
        except DamagedLine as fault:
            self.found.problems.append(Problem(ledger.id, line.offset, line.length, "damaged", str(fault)))
            return None
        folded.fold.add(entry)
        return entry.id

    def _number(self, dim: Dim) -> int:
        known = self._dims.get(dim)
        if known is None:
            known = self._dims[dim] = len(self._dims)
            self.found.dims.append(dim)
        return known


def _count(raw: bytes, folded: _Folded) -> str | None:
    """Add a line in the usual form up and return its id; ``None``, with nothing done, for any other."""
    call = usual_call(raw)
    if call is None:
        return None
    at, charge = instant_of(call), charge_of(call)
    if at is None or charge is None:
        return None
    _add(folded.sums_for(names_of(call), at), call, *charge)
    if call.reservation:
        folded.fold.put_reserved(call.reservation, 1, charge[0])
    return call.id


def _add(values: list[int], call: UsualCall, cost: int, cost_output: int) -> None:
    """Add a call up in place: the same as ``fold.sums_of``, in the order of ``tables.SUM_COLUMNS``."""
    values[0] += 1
    values[4] += call.tokens_input
    values[5] += call.tokens_output
    values[9] += cost
    values[10] += cost_output
    if call.cost_usd is None:
        values[1] += 1
    if call.estimated:
        values[2] += 1
    if call.attempt > 1:
        values[3] += 1
        values[11] += cost
    if call.tokens_cached or call.tokens_reasoning or call.audio_seconds:
        values[6] += call.tokens_cached
        values[7] += call.tokens_reasoning
        values[8] += round(round(call.audio_seconds, 6) * 1_000_000)
