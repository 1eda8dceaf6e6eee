"""Runs a comparison: reads the bills, then our calls of that time, then says what differs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Final

from ...store.store import Store
from ..bills import BillFormat, BillLine, CallColumns, Read, Statement, days_between
from ..rows import NotUnderstood
from .adjusting import Adjuster
from .calls import OurCall, calls_between
from .differences import Comparison, Difference
from .joining import CallJoin
from .reasons import ServiceExplanation
from .sums import Billed, RecordedSums, day_of

Lines = Callable[[Statement], Iterator[Read]]


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill to compare: what it is called, its format, its lines, and when it was made (its file's time)."""

    name: str
    format: BillFormat
    lines: Lines
    made_at: datetime

    @property
    def export(self) -> str:
        """Of which export it is a part: clouds write a large one into files that differ in a counter.

        >>> from shared.costs.exchange.bills import bill_formats
        >>> focus = bill_formats()["focus"]
        >>> names = "a/cur-00002.csv.gz", "a/cur-2026.csv"
        >>> [Bill(name, focus, focus.read, datetime.min).export for name in names]
        ['a/cur', 'a/cur-2026.csv']
        """
        place = Path(self.name)
        stem = place.name.partition(".")[0]
        whole = _COUNTER.sub("", stem)
        return self.name if whole == stem else str(place.with_name(whole or "part"))

    @classmethod
    def of_file(cls, path: Path, of: BillFormat) -> Bill:
        """Return a file as a bill."""
        made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return cls(str(path), of, lambda statement: of.read(path, statement), made)


_COUNTER: Final = re.compile(r"[-_]?(?:0\d{3,}|part_\d+_\d+)$")
"""How AWS (``-00001``), BigQuery (``000000000000``) and Azure (``part_0_0001``) number parts of an export."""


@dataclass(frozen=True, slots=True)
class ComparisonTerms:
    """How to compare: rates of currencies in USD, only these keys of the bill, a time zone of its days."""

    rates: Mapping[str, Decimal] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    zone: str | None = None


_FIRST_OF_ALL: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NO_PROGRESS: Callable[[int, int], None] = lambda _done, _total: None  # noqa: E731 - a default that does nothing


class BillComparison:
    """One comparison of bills with a cost storage."""

    def __init__(
        self,
        index: Store,
        now: datetime,
        terms: ComparisonTerms,
        adjuster: Adjuster | None = None,
        advance: Callable[[int, int], None] = _NO_PROGRESS,
    ) -> None:
        self._index = index
        self._now = now
        self._terms = terms
        self._adjuster = adjuster
        self._advance = advance
        self._found = Comparison()
        self._billed: dict[str, Billed] = {}
        self._formats: dict[str, tuple[BillFormat, Statement]] = {}
        self._joined: dict[str, CallJoin] = {}
        self._joined_services: dict[str, set[str]] = {}
        self._zones: dict[str, tzinfo] = {}
        self._undated = False

    def run(self, bills: Iterable[Bill]) -> Comparison:
        """Compare bills with what was recorded.

        Raises:
            CannotRead: a file cannot be read.

        """
        bills = sorted(bills, key=lambda bill: bill.made_at)  # of two of the same day the newer one counts
        self._as_of = min([self._now, *(bill.made_at for bill in bills)], key=lambda at: at)
        with tempfile.TemporaryDirectory(prefix="reconcile-") as folder:
            exports = [bill.export for bill in bills]
            for bill in bills:
                self._read(bill, exports.index(bill.export), Path(folder))
            self._compare()
            if self._adjuster is not None:
                self._adjust(self._adjuster)
        self._found.differences.sort(key=lambda one: (-abs(one.amount), one.day or "", one.model or ""))
        return self._found

    def _adjust(self, adjuster: Adjuster) -> None:
        """Write what follows, of single calls and of sums."""
        if self._found.refused_count:
            self._found.notes.append(
                "a row that is not understood may belong to any sum: no sum was adjusted"
            )
        else:
            adjuster.settle(self._found, self._calls_like)
        adjuster.shelf.flush()

    # --- theirs

    def _read(self, bill: Bill, number: int, folder: Path) -> None:
        statement, services, joining = Statement(), set[str](), dict[str, CallJoin]()
        first = last = line = None
        by_id, has_keys, rows, currency, rate = bill.format.by_id, bool(self._terms.keys), 0, "", None
        for line in bill.lines(statement):
            if isinstance(line, CallColumns):
                rows += len(line.ids)
                if not has_keys:
                    self._join(bill, folder, line, self._rate(statement))
                    first, last = _widened(first, last, min(line.ats), max(line.ats))
                continue
            rows += 1
            if isinstance(line, NotUnderstood):
                self._found.refuse(NotUnderstood(f"{bill.name}: {line.row}", line.why))
                continue
            if (has_keys or line.key is not None) and not self._is_meant(line):
                continue
            if by_id and line.response_id:
                if statement.currency != currency:
                    currency, rate = statement.currency, self._rate(statement)
                joined = joining.get(line.service)
                if joined is None:
                    joined = joining[line.service] = self._joining(bill, folder, line.service)
                joined.bill(line, rate)
            else:
                services.add(line.service)
                placed = line._replace(where=f"{bill.name}: {line.where}")
                self._summing(line.service).add(placed, bill.format, number, statement, self._terms.rates)
            first, last = _widened(first, last, line.at, line.at)
        self._found.rows += rows
        statement.incomplete += _cut_off(line)
        for at in filter(None, (first, last)):
            self._reach(at)
        # Parts of an account are found by their ids, whenever they were recorded.
        self._undated |= bill.format.in_part
        self._cover(bill, statement, services or {bill.format.service or ""} - {""})
        self._merge(bill.format, statement)

    def _join(self, bill: Bill, folder: Path, calls: CallColumns, rate: Decimal | None) -> None:
        """Take single calls that are all lines of a bill by id."""
        for service in sorted(set(calls.services)):
            joined = self._joining(bill, folder, service)
        joined.bill_all(calls, rate)

    def _summing(self, service: str) -> Billed:
        return self._billed.setdefault(service, Billed(service))

    def _cover(self, bill: Bill, statement: Statement, services: set[str]) -> None:
        """Take in which time a file covers, and what is missing in it."""
        if self._terms.zone:
            statement.zone = self._terms.zone
        self._found.incomplete += [f"{bill.name}: {why}" for why in statement.incomplete]
        if statement.first is None or statement.after is None:
            return
        self._reach(statement.first, statement.after)
        days = days_between(statement.first, statement.after) - statement.missing
        for service in services:
            self._summing(service).cover(days)

    def _merge(self, of: BillFormat, statement: Statement) -> None:
        """Keep what a format's files say of themselves; tiers count only where all files of it tell them."""
        before = self._formats.get(of.name)
        if before is not None:
            statement.has_tiers &= before[1].has_tiers
        self._formats[of.name] = (of, statement)

    def _is_meant(self, line: BillLine) -> bool:
        if line.key is not None:
            self._found.keys[line.key] += 1
        return not self._terms.keys or line.key in self._terms.keys

    def _joining(self, bill: Bill, folder: Path, service: str) -> CallJoin:
        name = bill.format.name
        self._joined_services.setdefault(name, set()).add(service)
        joined = self._joined.get(name)
        if joined is None:
            joined = self._joined[name] = CallJoin(
                bill.format, folder, self._as_of, self._found, self._adjuster
            )
        if joined.files[-1:] != [bill.name]:
            joined.files.append(bill.name)
        return joined

    def _rate(self, statement: Statement) -> Decimal | None:
        return self._terms.rates.get(statement.currency, Decimal(1) if statement.currency == "USD" else None)

    def _reach(self, at: datetime, after: datetime | None = None) -> None:
        if at.year < _FIRST_OF_ALL.year:
            self._undated = True  # results without a time are found by their ids, whenever they were
            return
        found = self._found
        found.first = at if found.first is None else min(found.first, at)
        end = after or at + timedelta(microseconds=1)
        found.after = end if found.after is None else max(found.after, end)

    # --- ours

    def _compare(self) -> None:
        services = frozenset(
            {*self._billed, *(name for names in self._joined_services.values() for name in names)}
        )
        first, after = self._bounds()
        recorded = {name: RecordedSums() for name in self._billed}
        left = calls_between(self._index, first, after, services, self._advance)
        while calls := list(islice(left, _TOGETHER)):
            self._found.calls += len(calls)
            for format_name, joined in self._joined.items():
                names = self._joined_services[format_name]
                if meant := [call for call in calls if call.service in names]:
                    joined.record(meant)
            for call in calls if recorded else ():
                if call.service in recorded:
                    recorded[call.service].add(call)
        for joined in self._joined.values():
            joined.run()
        for name, billed in sorted(self._billed.items()):
            billed.finish(self._formats)
            calls_of = self._calls_of(name, first, after)
            explained = ServiceExplanation(billed, recorded[name], calls_of, self._as_of, self._found)
            explained.run()
            self._zones[name] = explained.zone
            for format_name, day in sorted(billed.overlapping):
                self._found.notes.append(f"several {format_name} files have {day}: the newest one counts")

    def _bounds(self) -> tuple[datetime, datetime]:
        """Return the time to compare: whole days where the bill sums days, else what its calls span."""
        found = self._found
        if found.first is None or found.after is None or self._undated:
            return _FIRST_OF_ALL, self._now + timedelta(days=1)
        if self._billed:
            first = found.first.replace(hour=0, minute=0, second=0, microsecond=0)
            after = found.after
            if after != after.replace(hour=0, minute=0, second=0, microsecond=0):
                after = after.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            return first - _A_DAY, after + _A_DAY  # their days may begin elsewhere
        return found.first - timedelta(seconds=_EDGE_S), found.after + timedelta(seconds=_EDGE_S)

    def _calls_like(self, one: Difference) -> Iterator[OurCall]:
        """Yield the calls that a difference of sums is about."""
        zone = self._zones.get(one.service, UTC)
        first, after = self._bounds()
        for call in calls_between(self._index, first, after, frozenset({one.service}), _NO_PROGRESS):
            is_of_tier = not self._billed[one.service].has_tiers or call.tier in one.tiers
            if one.model in (None, call.model) and day_of(call.at[:15], zone) == one.day and is_of_tier:
                yield call

    def _calls_of(
        self, service: str, first: datetime, after: datetime
    ) -> Callable[[frozenset[tuple[str | None, str]], tzinfo], Iterator[OurCall]]:
        def calls(wanted: frozenset[tuple[str | None, str]], zone: tzinfo) -> Iterator[OurCall]:
            for call in calls_between(self._index, first, after, frozenset({service}), _NO_PROGRESS):
                day = day_of(call.at[:15], zone)
                if (call.model, day) in wanted or (None, day) in wanted:
                    yield call

        return calls


def _widened(
    first: datetime | None, last: datetime | None, start: datetime, end: datetime
) -> tuple[datetime, datetime]:
    """Return the first and the last instant of a stretch of time and of another one."""
    return (start if first is None or start < first else first, end if last is None or end > last else last)


def _cut_off(last: Read | None) -> list[str]:
    """Return what the last row of a file tells of its end."""
    if isinstance(last, NotUnderstood):
        return ["its last row is not whole, so that it may be cut off"]
    return ["it has no line to compare"] if last is None else []


_TOGETHER: Final = 500
"""How many of our calls are taken together."""

_A_DAY: Final = timedelta(days=1)
_EDGE_S: Final = 60
"""How far a call's time may lie beyond the first and last line of a bill, in seconds: clocks differ."""
