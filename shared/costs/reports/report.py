"""Any period, filtered and broken down as you ask.

Without dates: the present month. Without --by: by model and by category. --by customer is by what tags
like customer:acme name; tag_rules: in the profile give such tags to calls that were made without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..analysis.sums import Step, by_each_tag, divide_period, share, split, split_by, total
from ..budgets.limits import Spending
from ..errors import WrongUsage
from ..periods import Period
from ..profile.tag_rules import CUSTOMER
from ..rollup import STANDARD, Dimension, Group, Query, Totals
from .common import (
    MANY_TAGS,
    Breakdown,
    Health,
    breakdown_table,
    cost_or_unpriced,
    doubts,
    gauge_of,
    limit_row,
    named,
    others_note,
    plural,
    stretch_data,
    totals_data,
    unpriced_models,
)
from .document import Column, Figure, Note, Ref, Report, Table, Thing, derive
from .queries import by_part, health, jobs_in, limits_in, others, spendings, within
from .questions import BY, LABELS, Question, TimeSpan
from .reader import Reader
from .show_monthly import sum_figures
from .spec import BREAKDOWNS, FILTERS, SPAN, STEPS, Option, Spec

PRESENT: Final[dict[Step, str]] = {"daily": "Today", "weekly": "This week", "monthly": "This month"}


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row of a history: a day, a week or a month, and its sums.

    ``whole`` tells that it is over and not cut off, so that it compares with others.
    """

    name: str
    totals: Totals
    whole: bool = True
    kind: str = ""

    @property
    def label(self) -> str:
        """Its name, which of a day or a month is the name of a thing."""
        things: dict[str, Thing] = {"day": "day", "month": "month"}
        return Ref(self.name, things[self.kind]) if self.kind in things else self.name


@dataclass(frozen=True, slots=True)
class PeriodFacts:
    """What the report shows.

    ``filters`` are the conditions in force by their names (``model``: ``openai/gpt-4o``);
    ``stretches`` divide the period where a history was asked for. ``others`` are users who have calls
    where the one that was asked after has none. ``present`` names the last stretch where it is shown apart.
    """

    title: str
    period: Period
    totals: Totals
    filters: Mapping[str, str] = field(default_factory=dict)
    breakdowns: Sequence[Breakdown] = ()
    stretches: Sequence[HistoryRow] = ()
    spendings: Sequence[Spending] = ()
    others: Sequence[str] = ()
    present: str = ""
    health: Health = field(default_factory=Health)


def period_facts(reader: Reader, asked: Question) -> PeriodFacts:
    """Return sums of a period, with the breakdowns and the history that were asked for."""
    period, query = within(reader, asked.span, asked.query)
    whole = total(reader.tagged.groups((), query))
    whole.jobs = jobs_in(reader, query)
    return PeriodFacts(
        title=asked.title,
        period=period,
        totals=whole,
        filters=asked.filters,
        breakdowns=list(_breakdowns(reader, asked, query)),
        stretches=_stretches(reader, asked.step, period, query),
        spendings=_standing(reader, asked, period),
        others=others(reader, query) if whole.is_empty and query.user_id is not None else (),
        present=PRESENT[asked.step] if asked.shows_present and asked.step else "",
        health=health(reader),
    )


def _breakdowns(reader: Reader, asked: Question, query: Query) -> Iterator[Breakdown]:
    yield from (_breakdown(reader, dimension, query) for dimension in asked.by)
    if asked.by_customer:
        yield _by_customer(reader, query)


def _breakdown(reader: Reader, dimension: Dimension, query: Query) -> Breakdown:
    label = LABELS[dimension]
    if dimension == "model":
        groups = reader.tagged.groups(("service", "model"), query)
        return Breakdown("by_model", label, split_by(groups, lambda key: f"{key[0]}/{key[1]}"))
    named = told_apart(reader.tagged.groups((dimension,), query), dimension)
    return Breakdown(f"by_{label.lower()}", label, split(named, 0))


def _by_customer(reader: Reader, query: Query) -> Breakdown:
    """Return sums by what the tag ``customer:`` names."""
    groups = []
    for group in reader.tagged.groups(("tags",), query):
        tags = str(group.key[0] or "").split(",")
        customers = (tag.partition(":")[2] for tag in tags if tag.startswith(f"{CUSTOMER}:"))
        groups.append(Group((",".join(customers),), group.totals))
    return Breakdown("by_customer", "Customer", split(by_each_tag(groups), 0))


MOST_STRETCHES: Final = 3_700
"""Ten years of days; each more is a sum to ask and a row that nobody reads."""


def divided(period: Period, step: Step) -> list[Period]:
    """Return the days, weeks or months of a period.

    Raises:
        WrongUsage: they are too many to show.

    """
    most = period.length_in_days // {"daily": 1, "weekly": 7, "monthly": 28}[step]
    if most > MOST_STRETCHES:
        said = f"{named(period)}: {period.length_in_days:,} days are too many to show one by one"
        raise WrongUsage(f"{said}; begin later, or give --period monthly")
    return divide_period(period, step)


def told_apart(groups: Sequence[Group], dimension: Dimension) -> Sequence[Group]:
    """Return groups by the names that people know: each tag by itself, and the standard tier by its name."""
    if dimension == "tags":
        return by_each_tag(groups)
    if dimension == "service_tier":
        return [group._replace(key=(group.key[0] or STANDARD, *group.key[1:])) for group in groups]
    return groups


def _stretches(reader: Reader, step: Step | None, period: Period, query: Query) -> list[HistoryRow]:
    if step is None:
        return []
    parts = divided(period, step)
    sums = by_part(reader, (), query, parts)
    stretches = [
        HistoryRow(part.name, total(groups), kind=part.kind) for part, groups in zip(parts, sums, strict=True)
    ]
    begun = sum(part.start <= reader.now for part in parts)  # of those to come, as far as there are calls
    last = max((at for at, groups in enumerate(sums, 1) if groups), default=1)
    return stretches[: max(begun, last)]


def _standing(reader: Reader, asked: Question, period: Period) -> tuple[Spending, ...]:
    """Return the limits in force, where the report is about the present and about a user."""
    if not asked.show_limits or asked.query.user_id is None:
        return ()
    return spendings(reader, limits_in(reader, asked.query.user_id, period))


def period_report(facts: PeriodFacts) -> Report:
    """Return sums of a period, its history and its breakdowns."""
    empty = facts.totals.is_empty
    return Report(
        title=facts.title,
        subtitle=_subtitle(facts),
        gauges=tuple(map(gauge_of, facts.spendings)),
        figures=() if empty else (*_present(facts), *_figures(facts.totals)),
        tables=() if empty else tuple(_tables(facts)),
        notes=(*doubts(facts.totals, facts.health, _unpriced(facts)), *_remarks(facts)),
        data=_data(facts),
    )


def _remarks(facts: PeriodFacts) -> Iterator[Note]:
    yield from others_note(facts.others)
    if any(b.key == "by_tag" and not b.is_empty for b in facts.breakdowns):
        yield Note(MANY_TAGS)


def _unpriced(facts: PeriodFacts) -> tuple[str, ...]:
    by_model = [b.sums for b in facts.breakdowns if b.key == "by_model"]
    return unpriced_models(by_model[0]) if by_model else ()


def _subtitle(facts: PeriodFacts) -> str:
    said = [named(facts.period), *(f"{name} {value}" for name, value in facts.filters.items())]
    if facts.totals.is_empty:
        said.append("no calls")
    return ", ".join(said)


def _present(facts: PeriodFacts) -> Iterator[Figure]:
    if facts.present:
        last = facts.stretches[-1].totals
        yield Figure(
            "present", facts.present, cost_or_unpriced(last), note=plural(last.calls, "call", "calls")
        )


def _figures(totals: Totals) -> Iterator[Figure]:
    yield Figure("cost", "Spent", cost_or_unpriced(totals))
    yield from sum_figures(totals)


def _tables(facts: PeriodFacts) -> Iterator[Table]:
    if facts.stretches:
        yield _history(facts.stretches, facts.totals)
    for breakdown in facts.breakdowns:
        if not breakdown.is_empty:
            yield breakdown_table(breakdown, facts.totals)


def since_begun(stretches: Sequence[HistoryRow]) -> Sequence[HistoryRow]:
    """Return the stretches from the first in which anything counts: nothing happened before."""
    some = (at for at, stretch in enumerate(stretches) if not stretch.totals.is_empty)
    return stretches[next(some, len(stretches)) :]


def _history(stretches: Sequence[HistoryRow], whole: Totals) -> Table:
    return Table.of(
        "Over time",
        since_begun(stretches) or stretches,
        (Column("period", "Period"), lambda stretch: stretch.label),
        (Column("calls", "Calls", "count", rank=1), lambda stretch: stretch.totals.calls),
        (Column("tokens_input", "In", "tokens", rank=2), lambda stretch: stretch.totals.tokens_input),
        (Column("tokens_output", "Out", "tokens", rank=2), lambda stretch: stretch.totals.tokens_output),
        (Column("cost", "Cost", "money"), lambda stretch: cost_or_unpriced(stretch.totals)),
        (Column("share", "Share", "share"), lambda stretch: share(stretch.totals, whole)),
    )


def _data(facts: PeriodFacts) -> dict[str, object]:
    data: dict[str, object] = {
        **derive(facts, "period.start", "period.end", "timezone=period.zone.key", "filters"),
        **stretch_data(facts.totals, facts.breakdowns, facts.health),
    }
    if facts.stretches:
        data["periods"] = [{"period": s.name, **totals_data(s.totals)} for s in facts.stretches]
    if facts.present:
        data["present"] = totals_data(facts.stretches[-1].totals)
    if facts.spendings:
        data["limits"] = [limit_row(spending) for spending in facts.spendings]
    return data


_ROWS: Final[dict[Step, Step | None]] = {"daily": None, "weekly": "daily", "monthly": "weekly"}
"""The history of the present day, week or month."""


def _question(by: Sequence[str], step: Step | None, span: TimeSpan, filters: Mapping[str, str]) -> Question:
    dimensions = [BY[name] for name in by or ("model", "category") if name != CUSTOMER]
    if step is not None and span == TimeSpan():
        span, step = TimeSpan(last=(step, 1)), _ROWS[step]
    return Question("Report", span, filters, dimensions, step, by_customer=CUSTOMER in by)


SPEC: Final = Spec(
    "Look",
    (
        "report --days 7 --by stage --by user",
        "report --since 2026-11-01 --until 2026-11-15 --model openai/gpt-4o",
        "report --workflow subtitle --period daily --json",
    ),
    _question,
    period_facts,
    period_report,
    options=(
        SPAN,
        FILTERS,
        BREAKDOWNS,
        Option(
            "--period",
            "With dates: a history of these. Without: today, this week or this month.",
            called="step",
            choices=STEPS,
        ),
    ),
    shared=True,
)
