"""Both sides of a comparison as sums by model, tier and day: of the bill's lines, and of our calls.

Our side is kept in steps of ten minutes, so that it can be summed by the days of any time zone. Memory grows
with models, tiers and days, never with rows.
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
"""In place of a count that a bill does not state."""


class ComparisonKey(NamedTuple):
    """What is compared: a model's usage under a tier on a day, ``None`` where the bill does not tell it."""

    model: str | None
    tier: str | None
    day: str


@dataclass(slots=True)
class ComparedSums:
    """Sums of one side. ``counts`` are by kind of token, ``None`` where not stated; ``cost`` in nano-dollars.

    ``kinds`` is what each kind of tokens cost, where told. ``foreign`` is what is in a currency without a
    rate of its own. ``unpriced`` counts calls without a price.
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
        """Add where lines stand, of which some are kept, and the invoices that they are on."""
        self.lines = (*self.lines, *lines)[:_EXAMPLES]
        self.invoices |= frozenset(filter(None, invoices))

    def add_counts(self, counts: Iterable[int]) -> None:
        """Add counts; one that is not stated leaves its kind not stated."""
        for place, count in enumerate(counts):
            if count != UNSTATED:
                self.counts[place] = (self.counts[place] or 0) + count

    @property
    def tokens(self) -> int | None:
        """Input and output tokens together."""
        known = [count for count in self.counts[:2] if count is not None]
        return sum(known) if known else None


@dataclass(slots=True)
class _Money:
    """What lines come to: in dollars, and in a currency that was given no rate."""

    usd: Decimal = Decimal(0)
    foreign: Decimal = Decimal(0)

    def add(self, amount: Decimal, rate: Decimal | None) -> None:
        """Add an amount; what one of it is in dollars is ``rate``, ``None`` where that is not known."""
        if rate is None:
            self.foreign += amount
        else:
            self.usd += amount * rate

    def at(self, rate: Decimal | None) -> Nanos | None:
        """Return the whole with what is foreign at a rate; ``None`` where it takes one that is not known."""
        if self.foreign and rate is None:
            return None
        return from_usd(self.usd + self.foreign * rate) if rate is not None else from_usd(self.usd)


Subject = tuple[str, str | None, str | None, str | None, str | None]
"""What a line is about, beside its day: its category, an account's key, a model, a tier, and what it is
called."""

_MOST_SUBJECTS: Final = 10_000
"""So many subjects of a file's day are kept; one with more replaces every earlier file of that day."""


class _BillSource(NamedTuple):
    """Where a sum comes from: one file of one format.

    Later files replace earlier ones day by day, unless what they are about is something else: the reports of
    two projects, or those of chats and of embeddings, are added.
    """

    format: str
    number: int


class Billed:
    """The sums of a bill's lines for one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.has_tiers = True
        self.has_models = True
        self.in_part = False
        """Whether the bill has some of an account's calls, so that it says nothing of those it lacks."""
        self.currencies: set[str] = set()
        self.overlapping: set[tuple[str, str]] = set()
        self.lateness = timedelta(0)
        self.zone = "UTC"
        self.rate: Decimal | None = None
        """What one of its currency is in dollars, where its own amounts tell it."""
        self._days: set[str] = set()
        self._cells: dict[tuple[_BillSource, ComparisonKey], ComparedSums] = {}
        self._amounts = defaultdict[tuple[_BillSource, ComparisonKey, int | None], _Money](_Money)
        self._tools = defaultdict[tuple[_BillSource, str], _Money](_Money)
        self._tool_cells = defaultdict[str, ComparedSums](ComparedSums)
        self._apart: dict[tuple[_BillSource, str, str, str], UncomparedLines] = {}
        self._kinds: dict[str, set[str]] = {}
        self._subjects = defaultdict[tuple[str, str], dict[int, set[Subject]]](dict)

    def add(
        self, line: BillLine, of: BillFormat, number: int, statement: Statement, rates: Mapping[str, Decimal]
    ) -> None:
        """Take a line of a file, the ``number``-th one; amounts are converted where there is a rate."""
        source, day = _BillSource(of.name, number), f"{line.at:%Y-%m-%d}"
        self.cover([day])
        subjects = self._subjects[of.name, day].setdefault(number, set())
        if len(subjects) < _MOST_SUBJECTS:
            subjects.add((line.category, line.key, line.model, line.tier, line.label or None))
        amount = line.amount
        rate = rates.get(statement.currency, _ONE if statement.currency == "USD" else None)
        if amount and rate is None:
            self.currencies.add(statement.currency)
        if line.category == "model":
            key = ComparisonKey(_model(line), line.tier, day)
            cell = self._cells.setdefault((source, key), ComparedSums())
            self._add(cell, line, of, of.unit if statement.unit is None else statement.unit)
            self.has_models &= line.model is not None
            if amount is not None:
                self._amounts[source, key, line.kind].add(amount, rate)
        elif line.category == "tool":
            self._tools[source, day].add(amount or _ZERO, rate)
            self._tool_cells[day].note([line.where], [line.invoice])
        else:
            apart = self._apart.setdefault(
                (source, day, line.category, line.label),
                UncomparedLines(line.category, self.service, line.label),
            )
            apart.rows += 1
            if rate is None:
                apart.foreign += amount or _ZERO
            else:
                apart.amount += (amount or _ZERO) * rate

    def _add(self, cell: ComparedSums, line: BillLine, of: BillFormat, unit: Decimal) -> None:
        cell.rows += 1
        cell.calls += line.requests or 0
        cell.note([line.where], [line.invoice])
        kinds = self._kinds.setdefault(of.name, set())
        if line.counts is not None:
            cell.add_counts(line.counts)
            kinds.add("counts")
        if line.amount is not None:
            cell.half_units += unit / 2
            kinds.add("cost")

    def cover(self, days: Iterable[str]) -> None:
        """Say which days the bill has, with lines or without."""
        self._days.update(days)

    def has(self, day: str) -> bool:
        """Tell whether a day is one of the bill's."""
        return day in self._days

    def finish(self, formats: Mapping[str, tuple[BillFormat, Statement]]) -> None:
        """Settle what depends on all files: which dimensions there are, how late lines come, the zone."""
        self.in_part = bool(self._kinds) and all(formats[name][0].in_part for name in self._kinds)
        for name in self._kinds:
            of, statement = formats[name]
            self.has_tiers &= statement.has_tiers
            self.lateness = max(self.lateness, of.lateness)
            self.zone = statement.zone if statement.zone != "UTC" else self.zone

    def cells(self) -> dict[ComparisonKey, ComparedSums]:
        """Return the sums: tokens of the format that states them best, amounts of the one that bills."""
        by_counts, by_cost = self._chosen("counts"), self._chosen("cost")
        found: dict[ComparisonKey, ComparedSums] = {}
        for (source, key), cell in self._current(self._cells):
            whole = found.setdefault(self.narrowed(key), ComparedSums())
            if source.format == by_counts:
                whole.add_counts(UNSTATED if count is None else count for count in cell.counts)
                whole.calls += cell.calls
            if source.format == by_cost:
                whole.half_units += cell.half_units
                self._add_costs(whole, source, key)
            whole.rows += cell.rows
            whole.note(cell.lines, cell.invoices)
        return found

    def _add_costs(self, whole: ComparedSums, source: _BillSource, key: ComparisonKey) -> None:
        for kind in _KINDS:
            money = self._amounts.get((source, key, kind))
            if money is None:
                continue
            whole.foreign += money.foreign
            cost = money.at(self.rate)
            if cost is not None:
                whole.cost = (whole.cost or 0) + cost
                if kind is not None:
                    whole.kinds[kind] = (whole.kinds[kind] or 0) + cost

    def _chosen(self, kind: str) -> str | None:
        """Return the format whose lines state this; one that states nothing else comes first."""
        having = [name for name, kinds in self._kinds.items() if kind in kinds]
        return min(having, key=lambda name: (len(self._kinds[name]), name), default=None)

    def narrowed(self, key: ComparisonKey) -> ComparisonKey:
        """Return a key without what the bill does not tell of all its lines."""
        return ComparisonKey(
            key.model if self.has_models else None, key.tier if self.has_tiers else None, key.day
        )

    def tools(self) -> dict[str, ComparedSums]:
        """Return the fees of tools by day; without a cost where they would take a rate."""
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

    def apart(self) -> list[UncomparedLines]:
        """Return the lines that are compared with nothing, summed by what they are called."""
        found: dict[tuple[str, str], UncomparedLines] = {}
        replaced = self._replaced()
        for (source, day, category, label), apart in self._apart.items():
            if (source, day) in replaced:
                continue
            whole = found.setdefault((category, label), UncomparedLines(apart.category, apart.service, label))
            whole.rows += apart.rows
            whole.amount += apart.amount + apart.foreign * (self.rate or _ZERO)
            whole.foreign += apart.foreign if self.rate is None else _ZERO
        return list(found.values())

    def _current(
        self, sums: Mapping[tuple[_BillSource, ComparisonKey], ComparedSums]
    ) -> Iterator[tuple[tuple[_BillSource, ComparisonKey], ComparedSums]]:
        replaced = self._replaced()
        for (source, key), cell in sums.items():
            if (source, key.day) in replaced:
                self.overlapping.add((source.format, key.day))
            else:
                yield (source, key), cell

    def _replaced(self) -> set[tuple[_BillSource, str]]:
        """Return each file and day of which a later file of the same format has the same."""
        return {
            (_BillSource(name, number), day)
            for (name, day), by_file in self._subjects.items()
            for number, mine in by_file.items()
            if any(later > number and _overlap(mine, theirs) for later, theirs in by_file.items())
        }


def _overlap(one: set[Subject], other: set[Subject]) -> bool:
    """Tell whether two files have lines about the same, as far as all lines of both say what about.

    Lines of models decide where there are some: a credit or a tax may stand in the files of two projects.

    >>> _overlap({("model", "k1", "gpt-4o", None, None)}, {("model", "k2", "gpt-4o", None, None)})
    False
    >>> _overlap({("model", "k1", "gpt-4o", None, None)}, {("model", None, "gpt-4o", "batch", None)})
    True
    """
    if max(len(one), len(other)) >= _MOST_SUBJECTS:
        return True
    one, other = ({each for each in side if each[0] == "model"} or side for side in (one, other))
    stated = [place for place in range(1, 5) if all(each[place] is not None for each in (*one, *other))]
    theirs = {tuple(each[place] for place in stated) for each in other}
    return any(tuple(each[place] for place in stated) in theirs for each in one)


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
        """Take a call."""
        place = call.model, call.tier, call.at[:_STEP]
        sums = self._steps.get(place)
        if sums is None:
            sums = self._steps[place] = [0] * _WIDTH
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

    def cells(self, billed: Billed, zone: tzinfo) -> dict[ComparisonKey, ComparedSums]:
        """Return the sums by the days of a time zone, in the dimensions that the bill has."""
        found: dict[ComparisonKey, ComparedSums] = {}
        for (model, tier, step), sums in self._steps.items():
            day = day_of(step, zone)
            if not billed.has(day):
                continue
            key = billed.narrowed(ComparisonKey(model, tier, day))
            cell = found.setdefault(key, ComparedSums(counts=[0] * len(TOKENS), cost=0))
            cell.calls += sums[0]
            cell.counts = [(had or 0) + more for had, more in zip(cell.counts, sums[1:5], strict=True)]
            cell.cost = (cell.cost or 0) + sums[5]
            cell.kinds = [(had or 0) + more for had, more in zip(cell.kinds, sums[8:12], strict=True)]
            cell.unpriced += sums[6]
        return found

    def tools(self, billed: Billed, zone: tzinfo) -> Counter[str]:
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
    """Return the day of a time zone that an instant, written to ten minutes, is in.

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
