"""Both sides of a comparison as sums by model, tier and day: of the bill's lines, and of our calls.

Our side is summed in steps of ten minutes, so that it can be summed further by the days of any time zone.
Memory grows with models, tiers and days, not with rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache
from typing import Final, NamedTuple

from ...money import Nanos, from_usd
from ..bills import TOKENS, BillFormat, BillLine, Statement
from .calls import OurCall, kinds_of
from .differences import UncomparedLines
from .names import folded

UNSTATED: Final = -1
"""Stands for a count that a bill does not state."""


class ComparisonKey(NamedTuple):
    """What is compared: a model's usage in a tier on a day; ``None`` if not stated by the bill."""

    model: str | None
    tier: str | None
    day: str


@dataclass(slots=True)
class ComparedSums:
    """Sums of one side. ``counts`` are by kind of token, ``None`` if not stated; ``cost`` is in nano-dollars.

    ``kinds`` is the cost of each kind of token, if stated. ``foreign`` is the amount in a currency without a
    rate. ``unpriced`` counts calls without a price. ``half_units`` is how much rounding may have changed
    ``cost``.
    """

    rows: int = 0
    calls: int = 0
    counts: list[int | None] = field(default_factory=lambda: [None] * len(TOKENS))
    cost: int | None = None
    foreign: Decimal = Decimal(0)
    kinds: list[int | None] = field(default_factory=lambda: [None] * len(TOKENS))
    unpriced: int = 0
    half_units: Decimal = Decimal(0)
    lines: tuple[str, ...] = ()
    invoices: frozenset[str] = frozenset()

    def note(self, lines: Iterable[str], invoices: Iterable[str]) -> None:
        """Add positions of lines, of which a few are kept, and the invoices that they are on."""
        self.lines = (*self.lines, *lines)[:_EXAMPLES]
        self.invoices |= frozenset(filter(None, invoices))

    def add_counts(self, counts: Iterable[int]) -> None:
        """Add counts; a count that is not stated leaves the sum of its kind as it is."""
        for index, count in enumerate(counts):
            if count != UNSTATED:
                self.counts[index] = (self.counts[index] or 0) + count

    @property
    def tokens(self) -> int | None:
        """Input and output tokens together."""
        known = [count for count in self.counts[:2] if count is not None]
        return sum(known) if known else None


@dataclass(slots=True)
class _Money:
    """A sum of amounts: in dollars, and in a currency without a rate."""

    usd: Decimal = Decimal(0)
    foreign: Decimal = Decimal(0)

    def add(self, amount: Decimal, rate: Decimal | None) -> None:
        """Add an amount; ``rate`` is the value of one unit in dollars, ``None`` if not known."""
        if rate is None:
            self.foreign += amount
        else:
            self.usd += amount * rate

    def at(self, rate: Decimal | None) -> Nanos | None:
        """Return the whole in nano-dollars at a rate; ``None`` if it needs one that is not known."""
        if self.foreign and rate is None:
            return None
        return from_usd(self.usd + self.foreign * rate) if rate is not None else from_usd(self.usd)


Subject = tuple[str, str | None, str | None, str | None, str | None]
"""What a line is about, besides its day: its category, an account's key, a model, a tier, and a label."""

_MAX_SUBJECTS: Final = 10_000
"""How many subjects of a file's day are kept; a file with more replaces every earlier file of that day."""


class _BillSource(NamedTuple):
    """The source of a sum: one file of one format.

    Later files replace earlier ones day by day, unless their subjects differ: the reports of two projects, or
    of chats and embeddings, are added up.
    """

    format: str
    number: int


class BilledSums:
    """The sums of a bill's lines for one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.has_tiers = True
        self.has_models = True
        self.in_part = False
        """Whether the bill has only some of an account's calls, so that missing ones mean nothing."""
        self.currencies: set[str] = set()
        self.overlapping: set[tuple[str, str]] = set()
        self.lateness = timedelta(0)
        self.zone = "UTC"
        self.rate: Decimal | None = None
        """The value of one unit of its currency in dollars, if it follows from its amounts."""
        self._days: set[str] = set()
        self._cells: dict[tuple[_BillSource, ComparisonKey], ComparedSums] = {}
        self._amounts = defaultdict[tuple[_BillSource, ComparisonKey, int | None], _Money](_Money)
        self._tools = defaultdict[tuple[_BillSource, str], _Money](_Money)
        self._tool_cells = defaultdict[str, ComparedSums](ComparedSums)
        self._uncompared: dict[tuple[_BillSource, str, str, str], UncomparedLines] = {}
        self._kinds: dict[str, set[str]] = {}
        self._subjects = defaultdict[tuple[str, str], dict[int, set[Subject]]](dict)

    def add(
        self,
        line: BillLine,
        bill_format: BillFormat,
        number: int,
        statement: Statement,
        rates: Mapping[str, Decimal],
    ) -> None:
        """Add a line of the file with this number; amounts are converted if there is a rate."""
        source, day = _BillSource(bill_format.name, number), f"{line.at:%Y-%m-%d}"
        self.cover([day])
        subjects = self._subjects[bill_format.name, day].setdefault(number, set())
        if len(subjects) < _MAX_SUBJECTS:
            subjects.add((line.category, line.key, line.model, line.tier, line.label or None))
        amount = line.amount
        rate = rates.get(statement.currency, _ONE if statement.currency == "USD" else None)
        if amount and rate is None:
            self.currencies.add(statement.currency)
        if line.category == "model":
            key = ComparisonKey(_model(line), line.tier, day)
            cell = self._cells.setdefault((source, key), ComparedSums())
            self._add(cell, line, bill_format, bill_format.unit if statement.unit is None else statement.unit)
            self.has_models &= line.model is not None
            if amount is not None:
                self._amounts[source, key, line.kind].add(amount, rate)
        elif line.category == "tool":
            self._tools[source, day].add(amount or _ZERO, rate)
            self._tool_cells[day].note([line.where], [line.invoice])
        else:
            uncompared = self._uncompared.setdefault(
                (source, day, line.category, line.label),
                UncomparedLines(line.category, self.service, line.label),
            )
            uncompared.rows += 1
            if rate is None:
                uncompared.foreign += amount or _ZERO
            else:
                uncompared.amount += (amount or _ZERO) * rate

    def _add(self, cell: ComparedSums, line: BillLine, bill_format: BillFormat, unit: Decimal) -> None:
        cell.rows += 1
        cell.calls += line.requests or 0
        cell.note([line.where], [line.invoice])
        kinds = self._kinds.setdefault(bill_format.name, set())
        if line.counts is not None:
            cell.add_counts(line.counts)
            kinds.add("counts")
        if line.amount is not None:
            cell.half_units += unit / 2
            kinds.add("cost")

    def cover(self, days: Iterable[str]) -> None:
        """Add days that the bill covers, with or without lines."""
        self._days.update(days)

    def has(self, day: str) -> bool:
        """Tell whether the bill covers a day."""
        return day in self._days

    def finish(self, formats: Mapping[str, tuple[BillFormat, Statement]]) -> None:
        """Set what depends on all files: which dimensions they state, how late lines appear, and the zone."""
        self.in_part = bool(self._kinds) and all(formats[name][0].in_part for name in self._kinds)
        for name in self._kinds:
            bill_format, statement = formats[name]
            self.has_tiers &= statement.has_tiers
            self.lateness = max(self.lateness, bill_format.lateness)
            self.zone = statement.zone if statement.zone != "UTC" else self.zone

    def cells(self) -> dict[ComparisonKey, ComparedSums]:
        """Return the sums: tokens from the format that states them best, amounts from the one that bills."""
        by_counts, by_cost = self._format_stating("counts"), self._format_stating("cost")
        sums_by_key: dict[ComparisonKey, ComparedSums] = {}
        for (source, key), cell in self._not_replaced(self._cells):
            total = sums_by_key.setdefault(self.narrowed(key), ComparedSums())
            if source.format == by_counts:
                total.add_counts(UNSTATED if count is None else count for count in cell.counts)
                total.calls += cell.calls
            if source.format == by_cost:
                total.half_units += cell.half_units
                self._add_costs(total, source, key)
            total.rows += cell.rows
            total.note(cell.lines, cell.invoices)
        return sums_by_key

    def _add_costs(self, total: ComparedSums, source: _BillSource, key: ComparisonKey) -> None:
        for kind in _KINDS:
            money = self._amounts.get((source, key, kind))
            if money is None:
                continue
            total.foreign += money.foreign
            cost = money.at(self.rate)
            if cost is not None:
                total.cost = (total.cost or 0) + cost
                if kind is not None:
                    total.kinds[kind] = (total.kinds[kind] or 0) + cost

    def _format_stating(self, kind: str) -> str | None:
        """Return the format whose lines state ``kind``; one that states nothing else comes first."""
        candidates = [name for name, kinds in self._kinds.items() if kind in kinds]
        return min(candidates, key=lambda name: (len(self._kinds[name]), name), default=None)

    def narrowed(self, key: ComparisonKey) -> ComparisonKey:
        """Return a key without dimensions that some of the bill's lines do not state."""
        return ComparisonKey(
            key.model if self.has_models else None, key.tier if self.has_tiers else None, key.day
        )

    def tools(self) -> dict[str, ComparedSums]:
        """Return the fees of tools by day; their cost is ``None`` if it needs a rate that is not known."""
        sums = defaultdict[str, _Money](_Money)
        replaced = self._replaced()
        for (source, day), money in self._tools.items():
            if (source, day) in replaced:
                continue
            sums[day].usd += money.usd
            sums[day].foreign += money.foreign
        for day, money in sums.items():
            self._tool_cells[day].cost = money.at(self.rate)
        return {day: self._tool_cells[day] for day in sums}

    def uncompared(self) -> list[UncomparedLines]:
        """Return the lines that are compared with nothing, summed by label."""
        by_label: dict[tuple[str, str], UncomparedLines] = {}
        replaced = self._replaced()
        for (source, day, category, label), lines in self._uncompared.items():
            if (source, day) in replaced:
                continue
            total = by_label.setdefault(
                (category, label), UncomparedLines(lines.category, lines.service, label)
            )
            total.rows += lines.rows
            total.amount += lines.amount + lines.foreign * (self.rate or _ZERO)
            total.foreign += lines.foreign if self.rate is None else _ZERO
        return list(by_label.values())

    def _not_replaced(
        self, sums: Mapping[tuple[_BillSource, ComparisonKey], ComparedSums]
    ) -> Iterator[tuple[tuple[_BillSource, ComparisonKey], ComparedSums]]:
        replaced = self._replaced()
        for (source, key), cell in sums.items():
            if (source, key.day) in replaced:
                self.overlapping.add((source.format, key.day))
            else:
                yield (source, key), cell

    def _replaced(self) -> set[tuple[_BillSource, str]]:
        """Return the files and days that a later file of the same format replaces."""
        return {
            (_BillSource(name, number), day)
            for (name, day), by_file in self._subjects.items()
            for number, subjects in by_file.items()
            if any(
                later > number and _overlap(subjects, later_subjects)
                for later, later_subjects in by_file.items()
            )
        }


def _overlap(subjects: set[Subject], other: set[Subject]) -> bool:
    """Tell whether two files have a subject in common, by the fields that all lines of both state.

    Lines of models decide if there are any: a credit or a tax may be in the files of two projects.

    >>> _overlap({("model", "k1", "gpt-4o", None, None)}, {("model", "k2", "gpt-4o", None, None)})
    False
    >>> _overlap({("model", "k1", "gpt-4o", None, None)}, {("model", None, "gpt-4o", "batch", None)})
    True
    """
    if max(len(subjects), len(other)) >= _MAX_SUBJECTS:
        return True
    subjects, other = (
        {subject for subject in side if subject[0] == "model"} or side for side in (subjects, other)
    )
    stated = [
        index for index in range(1, 5) if all(subject[index] is not None for subject in (*subjects, *other))
    ]
    other_keys = {tuple(subject[index] for index in stated) for subject in other}
    return any(tuple(subject[index] for index in stated) in other_keys for subject in subjects)


_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
_EXAMPLES: Final = 5
_KINDS: Final = (None, *range(len(TOKENS)))


def _model(line: BillLine) -> str | None:
    return None if line.model is None else folded(line.model)


class RecordedSums:
    """The sums of our calls of one service, in steps of ten minutes."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, str | None, str], list[int]] = {}

    def add(self, call: OurCall) -> None:
        """Add a call."""
        key = call.model, call.tier, call.at[:_STEP]
        sums = self._steps.get(key)
        if sums is None:
            sums = self._steps[key] = [0] * _WIDTH
        sums[0] += 1
        for number, count in enumerate(call.counts, start=1):
            sums[number] += count
        if call.cost is None:
            sums[6] += 1
        else:
            sums[5] += call.cost
        sums[7] += call.tools
        for number, cost in enumerate(kinds_of(call.parts), start=8):
            sums[number] += cost

    def cells(self, billed: BilledSums, zone: tzinfo) -> dict[ComparisonKey, ComparedSums]:
        """Return the sums by the days of a time zone, in the dimensions that the bill has."""
        sums_by_key: dict[ComparisonKey, ComparedSums] = {}
        for (model, tier, step), sums in self._steps.items():
            day = day_of(step, zone)
            if not billed.has(day):
                continue
            key = billed.narrowed(ComparisonKey(model, tier, day))
            cell = sums_by_key.setdefault(key, ComparedSums(counts=[0] * len(TOKENS), cost=0))
            cell.calls += sums[0]
            cell.counts = [(had or 0) + more for had, more in zip(cell.counts, sums[1:5], strict=True)]
            cell.cost = (cell.cost or 0) + sums[5]
            cell.kinds = [(had or 0) + more for had, more in zip(cell.kinds, sums[8:12], strict=True)]
            cell.unpriced += sums[6]
        return sums_by_key

    def tools(self, billed: BilledSums, zone: tzinfo) -> Counter[str]:
        """Return the recorded fees of tools by day, in nano-dollars."""
        fees: Counter[str] = Counter()
        for (_, _, step), sums in self._steps.items():
            if sums[7] and billed.has(day_of(step, zone)):
                fees[day_of(step, zone)] += sums[7]
        return fees


_STEP: Final = len("2026-11-22T09:3")
_WIDTH: Final = 12


@cache
def day_of(step: str, zone: tzinfo) -> str:
    """Return the day in a time zone of an instant written to ten minutes.

    >>> from zoneinfo import ZoneInfo
    >>> day_of("2026-11-22T23:3", UTC), day_of("2026-11-22T23:3", ZoneInfo("Asia/Kolkata"))
    ('2026-11-22', '2026-11-23')
    """
    return f"{datetime.fromisoformat(f'{step[:15]}0+00:00').astimezone(zone):%Y-%m-%d}"


def day_after(day: str) -> str:
    """Return the next day.

    >>> day_after("2026-11-30")
    '2026-12-01'
    """
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def end_of(day: str, zone: tzinfo) -> datetime:
    """Return the instant at which a day ends."""
    return datetime.combine(
        date.fromisoformat(day) + timedelta(days=1), datetime.min.time(), zone
    ).astimezone(UTC)
