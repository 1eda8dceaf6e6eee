"""Runs a comparison: reads the bills, then our calls of the same time, then explains what differs."""

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
from .sums import BilledSums, RecordedSums, day_of

Lines = Callable[[Statement], Iterator[Read]]


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill to compare: its name, its format, its lines, and the modification time of its file."""

    name: str
    format: BillFormat
    lines: Lines
    made_at: datetime

    @property
    def export(self) -> str:
        """The export that it is a part of: clouds split a large one into files whose names have a counter.

        >>> from shared.costs.exchange.bills import bill_formats
        >>> focus = bill_formats()["focus"]
        >>> names = "a/cur-00002.csv.gz", "a/cur-2026.csv"
        >>> [Bill(name, focus, focus.read, datetime.min).export for name in names]
        ['a/cur', 'a/cur-2026.csv']
        """
        path = Path(self.name)
        stem = path.name.partition(".")[0]
        name_without_counter = _COUNTER.sub("", stem)
        return (
            self.name if name_without_counter == stem else str(path.with_name(name_without_counter or "part"))
        )

    @classmethod
    def of_file(cls, path: Path, bill_format: BillFormat) -> Bill:
        """Return a file as a bill."""
        made_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return cls(str(path), bill_format, lambda statement: bill_format.read(path, statement), made_at)


_COUNTER: Final = re.compile(r"[-_]?(?:0\d{3,}|part_\d+_\d+)$")
"""How AWS (``-00001``), BigQuery (``000000000000``) and Azure (``part_0_0001``) number parts of an export."""


@dataclass(frozen=True, slots=True)
class ComparisonTerms:
    """How to compare: rates of currencies in USD, keys to include, and the time zone of the bill's days."""

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
        self._comparison = Comparison()
        self._billed: dict[str, BilledSums] = {}
        self._formats: dict[str, tuple[BillFormat, Statement]] = {}
        self._joins: dict[str, CallJoin] = {}
        self._services_by_format: dict[str, set[str]] = {}
        self._zones: dict[str, tzinfo] = {}
        self._undated = False

    def run(self, bills: Iterable[Bill]) -> Comparison:
        """Compare bills with what was recorded.

        Raises:
            CannotRead: a file cannot be read.

        """
        bills = sorted(
            bills, key=lambda bill: bill.made_at
        )  # of two bills with the same day the newer one counts
        self._as_of = min([self._now, *(bill.made_at for bill in bills)], key=lambda at: at)
        with tempfile.TemporaryDirectory(prefix="reconcile-") as folder:
            exports = [bill.export for bill in bills]
            for bill in bills:
                self._read(bill, exports.index(bill.export), Path(folder))
            self._compare()
            if self._adjuster is not None:
                self._adjust(self._adjuster)
        self._comparison.differences.sort(
            key=lambda difference: (-abs(difference.amount), difference.day or "", difference.model or "")
        )
        return self._comparison

    def _adjust(self, adjuster: Adjuster) -> None:
        """Write the adjustments that follow, for single calls and for sums."""
        if self._comparison.refused_count:
            self._comparison.notes.append(
                "a row that is not understood may belong to any sum: no sum was adjusted"
            )
        else:
            adjuster.settle(self._comparison, self._calls_of_difference)
        adjuster.writer.flush()

    # --- theirs

    def _read(self, bill: Bill, number: int, folder: Path) -> None:
        statement, services, joins = Statement(), set[str](), dict[str, CallJoin]()
        first = last = line = None
        by_id, has_keys, rows, currency, rate = bill.format.by_id, bool(self._terms.keys), 0, "", None
        for line in bill.lines(statement):
            if isinstance(line, CallColumns):
                rows += len(line.ids)
                if not has_keys:
                    self._join(bill, folder, line, self._rate(statement))
                    first, last = _extended(first, last, min(line.ats), max(line.ats))
                continue
            rows += 1
            if isinstance(line, NotUnderstood):
                self._comparison.refuse(NotUnderstood(f"{bill.name}: {line.row}", line.why))
                continue
            if (has_keys or line.key is not None) and not self._is_selected(line):
                continue
            if by_id and line.response_id:
                if statement.currency != currency:
                    currency, rate = statement.currency, self._rate(statement)
                join = joins.get(line.service)
                if join is None:
                    join = joins[line.service] = self._call_join(bill, folder, line.service)
                join.add_line(line, rate)
            else:
                services.add(line.service)
                positioned = line._replace(where=f"{bill.name}: {line.where}")
                self._billed_sums(line.service).add(
                    positioned, bill.format, number, statement, self._terms.rates
                )
            first, last = _extended(first, last, line.at, line.at)
        self._comparison.rows += rows
        statement.incomplete += _truncation(line)
        for at in filter(None, (first, last)):
            self._include_time(at)
        # Calls of a partial account are matched by their ids, whenever they were recorded.
        self._undated |= bill.format.in_part
        self._add_coverage(bill, statement, services or {bill.format.service or ""} - {""})
        self._merge(bill.format, statement)

    def _join(self, bill: Bill, folder: Path, calls: CallColumns, rate: Decimal | None) -> None:
        """Add many single calls of a bill to the join of its format."""
        for service in sorted(set(calls.services)):
            join = self._call_join(bill, folder, service)
        join.add_lines(calls, rate)

    def _billed_sums(self, service: str) -> BilledSums:
        return self._billed.setdefault(service, BilledSums(service))

    def _add_coverage(self, bill: Bill, statement: Statement, services: set[str]) -> None:
        """Add the days that a file covers, and what it says is missing."""
        if self._terms.zone:
            statement.zone = self._terms.zone
        self._comparison.incomplete += [f"{bill.name}: {why}" for why in statement.incomplete]
        if statement.first is None or statement.after is None:
            return
        self._include_time(statement.first, statement.after)
        days = days_between(statement.first, statement.after) - statement.missing
        for service in services:
            self._billed_sums(service).cover(days)

    def _merge(self, bill_format: BillFormat, statement: Statement) -> None:
        """Keep what a format's files say of themselves; tiers count only if all of them state tiers."""
        earlier = self._formats.get(bill_format.name)
        if earlier is not None:
            statement.has_tiers &= earlier[1].has_tiers
        self._formats[bill_format.name] = (bill_format, statement)

    def _is_selected(self, line: BillLine) -> bool:
        if line.key is not None:
            self._comparison.keys[line.key] += 1
        return not self._terms.keys or line.key in self._terms.keys

    def _call_join(self, bill: Bill, folder: Path, service: str) -> CallJoin:
        name = bill.format.name
        self._services_by_format.setdefault(name, set()).add(service)
        join = self._joins.get(name)
        if join is None:
            join = self._joins[name] = CallJoin(
                bill.format, folder, self._as_of, self._comparison, self._adjuster
            )
        if join.files[-1:] != [bill.name]:
            join.files.append(bill.name)
        return join

    def _rate(self, statement: Statement) -> Decimal | None:
        return self._terms.rates.get(statement.currency, Decimal(1) if statement.currency == "USD" else None)

    def _include_time(self, at: datetime, after: datetime | None = None) -> None:
        if at.year < _FIRST_OF_ALL.year:
            self._undated = (
                True  # results without a time are matched by their ids, whenever they were recorded
            )
            return
        comparison = self._comparison
        comparison.first = at if comparison.first is None else min(comparison.first, at)
        end = after or at + timedelta(microseconds=1)
        comparison.after = end if comparison.after is None else max(comparison.after, end)

    # --- ours

    def _compare(self) -> None:
        services = frozenset(
            {*self._billed, *(name for names in self._services_by_format.values() for name in names)}
        )
        first, after = self._range()
        recorded = {name: RecordedSums() for name in self._billed}
        remaining = calls_between(self._index, first, after, services, self._advance)
        while calls := list(islice(remaining, _CHUNK)):
            self._comparison.calls += len(calls)
            for format_name, join in self._joins.items():
                names = self._services_by_format[format_name]
                if selected := [call for call in calls if call.service in names]:
                    join.add_calls(selected)
            for call in calls if recorded else ():
                if call.service in recorded:
                    recorded[call.service].add(call)
        for join in self._joins.values():
            join.run()
        for name, billed in sorted(self._billed.items()):
            billed.finish(self._formats)
            calls_of = self._calls_of(name, first, after)
            explanation = ServiceExplanation(billed, recorded[name], calls_of, self._as_of, self._comparison)
            explanation.run()
            self._zones[name] = explanation.zone
            for format_name, day in sorted(billed.overlapping):
                self._comparison.notes.append(
                    f"several {format_name} files have {day}: the newest one counts"
                )

    def _range(self) -> tuple[datetime, datetime]:
        """Return the range to compare: whole days if the bill sums days, else the span of its calls."""
        comparison = self._comparison
        if comparison.first is None or comparison.after is None or self._undated:
            return _FIRST_OF_ALL, self._now + timedelta(days=1)
        if self._billed:
            first = comparison.first.replace(hour=0, minute=0, second=0, microsecond=0)
            after = comparison.after
            if after != after.replace(hour=0, minute=0, second=0, microsecond=0):
                after = after.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            return first - _A_DAY, after + _A_DAY  # the bill's days may be in another time zone
        return comparison.first - timedelta(seconds=_EDGE_S), comparison.after + timedelta(seconds=_EDGE_S)

    def _calls_of_difference(self, difference: Difference) -> Iterator[OurCall]:
        """Yield the calls that belong to a difference of sums."""
        zone = self._zones.get(difference.service, UTC)
        first, after = self._range()
        for call in calls_between(self._index, first, after, frozenset({difference.service}), _NO_PROGRESS):
            is_of_tier = not self._billed[difference.service].has_tiers or call.tier in difference.tiers
            if (
                difference.model in (None, call.model)
                and day_of(call.at[:15], zone) == difference.day
                and is_of_tier
            ):
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


def _extended(
    first: datetime | None, last: datetime | None, start: datetime, end: datetime
) -> tuple[datetime, datetime]:
    """Return a range of time extended by another one."""
    return (start if first is None or start < first else first, end if last is None or end > last else last)


def _truncation(last: Read | None) -> list[str]:
    """Return why a file may be truncated, judged by its last row."""
    if isinstance(last, NotUnderstood):
        return ["its last row is not whole, so that it may be cut off"]
    return ["it has no line to compare"] if last is None else []


_CHUNK: Final = 500
"""How many of our calls are added at a time."""

_A_DAY: Final = timedelta(days=1)
_EDGE_S: Final = 60
"""How far a call's time may be outside a bill's first and last line, in seconds, because clocks differ."""
