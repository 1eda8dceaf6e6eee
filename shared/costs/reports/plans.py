"""What your plans cost a month, compared with the list price of their calls.

Plans are listed under plans: in the profile, with the models that they cover. Calls under a flat rate cost
nothing in budgets and are shown as covered; free units and volume discounts are drawn down here, in the
order of the calls. Ledgers keep the list price of every call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from ..analysis.plans import PlanMonth, plan_months
from ..budgets.limits import Spending
from ..budgets.spending import flat_cost, paid_by_bucket
from ..money import ZERO, Nanos, percent, percent_words, to_usd
from ..periods import Period
from ..profile.plans import FlatRate, Plan, flat_rates, names_of
from ..rollup import Query
from ..tracking.foresight import plan_spendings
from .common import named, usd
from .document import Column, Figure, Gauge, Note, Report, Table, Tone, derive
from .queries import reading, within
from .questions import TimeSpan
from .reader import Reader
from .spec import MONTH, Spec, only

HOW: Final = "plans: {claude-max: {usd_per_month: 100, covers: [anthropic/claude-*]}}"
"""A plan as a profile has it."""


class PlansFacts(NamedTuple):
    """The plans that held in a month, and what they came to; their own limits are warned of from
    ``warn_percent`` on.
    """

    period: Period
    plans: Mapping[str, Plan]
    months: Sequence[PlanMonth] = ()
    profile: str = "profile.yaml"
    warn_percent: float = 80.0


def plans_facts(reader: Reader, month_name: str | None) -> PlansFacts:
    """Return what each plan came to in a month (``None``: the present one)."""
    profile = reader.profile
    period, query = within(reader, TimeSpan(month_name), Query())
    path, warn_percent = str(reader.profile_path or "profile.yaml"), min(profile.budget.thresholds)
    facts = PlansFacts(period, profile.plans, profile=path, warn_percent=warn_percent)
    if not profile.plans:
        return facts
    with reading(reader, "Reading", query) as entries:
        months = plan_months(profile.plans, entries, period, reader.catalogue_name)
    return facts._replace(months=months)


# --- what other reports show of plans


class CoveredCalls(NamedTuple):
    """What calls cost at list price that flat rates cover, and the names of those in words."""

    cost: Nanos = ZERO
    plans: str = ""


def rates_of(reader: Reader, user_id: str | None) -> tuple[FlatRate, ...]:
    """Return the flat rates that cover a user's calls; with ``None`` all of them."""
    profile = reader.profile
    rates = flat_rates(profile.plans, profile.timezone) if profile.plans else ()
    return tuple(rate for rate in rates if rate.plan.is_for(user_id))


def covered(reader: Reader, query: Query) -> CoveredCalls:
    """Return the part of the matching calls that flat rates cover."""
    index, names = reader.index, reader.catalogue_name
    rates = [rate for rate in rates_of(reader, query.user_id) if flat_cost([rate], query, index, names)]
    return (
        CoveredCalls(Nanos(flat_cost(rates, query, index, names)), names_of(rates))
        if rates
        else CoveredCalls()
    )


def drawn(reader: Reader, period: Period, user_id: str | None) -> CoveredCalls:
    """Return what free units and discounts take off a month's list price, and by which plans.

    Of a user's month only the user's own plans tell: what several share is nobody's alone.
    """
    plans = {
        name: plan
        for name, plan in reader.profile.plans.items()
        if not plan.is_flat and plan.users in ((), (user_id,))[user_id is not None :]
    }
    if not plans or reader.is_shared:  # entries are of one host
        return CoveredCalls()
    query = Query(start=period.start, end=period.end)
    months = plan_months(reader.profile.plans, reader.index.entries(query), period, reader.catalogue_name)
    discounted = [month for month in months if month.name in plans and month.off]
    return CoveredCalls(
        Nanos(sum(month.off for month in discounted)), " and ".join(month.name for month in discounted)
    )


class PlanLimits(NamedTuple):
    """How the limits of plans themselves stand, and of which of them sums alone tell what is free."""

    spendings: tuple[Spending, ...] = ()
    roughly: tuple[str, ...] = ()

    def of(self, user_id: str, plans: Mapping[str, Plan]) -> PlanLimits:
        """Return those of a user's plans."""
        mine = [each for each in self.spendings if plans[str(each.limit.scope.name)].is_for(user_id)]
        names = {each.limit.scope.name for each in mine}
        return PlanLimits(tuple(mine), tuple(name for name in self.roughly if name in names))


def plan_limits(
    reader: Reader, user_id: str | None, period: Period, most_calls: int | None = None
) -> PlanLimits:
    """Return how the limits of a user's plans stood in a month; ``None``: those of all plans.

    Calls are read for what is free, unless there are more than ``most_calls`` in the month, or they are of
    several hosts.
    """
    limited = {name: plan for name, plan in reader.profile.plans.items() if plan.limit is not None}
    if not limited:
        return PlanLimits()
    at = reader.now if reader.now in period else period.start + (period.end - period.start) / 2
    of_sums = reader.is_shared or (
        most_calls is not None and _calls_in(reader, period.start, period.end) > most_calls
    )
    found = plan_spendings(
        reader.profile, reader.index, user_id, at, reader.catalogue_name, "sums" if of_sums else "calls"
    )
    spendings = tuple(found)
    names = (str(each.limit.scope.name) for each in spendings if of_sums)
    return PlanLimits(spendings, tuple(name for name in names if limited[name].unit))


def _calls_in(reader: Reader, start: datetime, end: datetime) -> int:
    return sum(group.totals.calls for group in reader.index.groups((), Query(start=start, end=end)))


def rough_notes(plans: Sequence[str]) -> Iterator[Note]:
    """Say which plans' limits are from sums, where they are."""
    if plans:
        text = "what is free is drawn down by sums of a quarter-hour, so it may come to a little more"
        yield Note(f"Limit of {' and '.join(plans)}: {text}.")


def paid_of(reader: Reader, user_id: str | None, start: datetime, end: datetime) -> dict[int, Nanos]:
    """Return what a user's calls cost in each 15-minute bucket, but for those that flat rates cover."""
    rates = rates_of(reader, user_id)
    if not rates:
        return reader.index.spend_by_bucket(start, end, user_id=user_id)
    query = Query(start=start, end=end, user_id=user_id)
    return paid_by_bucket(rates, reader.index.groups, reader.catalogue_name, query)


def covered_figure(covered: CoveredCalls) -> Iterator[Figure]:
    """Return what flat rates cover, as one figure, where they cover anything."""
    if covered.cost:
        yield Figure(
            "covered", "Covered", covered.cost, note=f"at list price, by {covered.plans}", tone="good"
        )


def drawn_figure(covered: CoveredCalls) -> Iterator[Figure]:
    """Return what plans take off the list price, as one figure, where they take anything."""
    if covered.cost:
        note = f"off list price, by {covered.plans}: see plans"
        yield Figure("drawn", "Free or discounted", covered.cost, note=note, tone="good")


def covered_data(covered: CoveredCalls) -> dict[str, object]:
    """Return what flat rates cover as JSON has it; nothing where no plan covers anything."""
    return {"covered_usd": to_usd(covered.cost), "covered_by": covered.plans} if covered.plans else {}


def drawn_data(covered: CoveredCalls) -> dict[str, object]:
    """Return what plans take off the list price as JSON has it; nothing where they take nothing."""
    return {"drawn_usd": to_usd(covered.cost), "drawn_by": covered.plans} if covered.plans else {}


# --- the report


def plans_report(facts: PlansFacts) -> Report:
    """Return each plan's price and what its calls would have cost without it."""
    return Report(
        title="Plans",
        subtitle=named(facts.period),
        gauges=tuple(_gauges(facts)),
        figures=tuple(_figures(facts)),
        tables=tuple(_tables(facts)),
        notes=tuple(_notes(facts)),
        data={
            "month": facts.period.name,
            "due_usd": to_usd(_due(facts)),
            "list_usd": to_usd(_listed(facts)),
            "plans": {
                month.name: {**_data(month), "status": month.level(facts.warn_percent)}
                for month in facts.months
            },
        },
    )


def _gauges(facts: PlansFacts) -> Iterator[Gauge]:
    for month in facts.months:
        if (limit := month.plan.limit) is not None:
            level = month.level(facts.warn_percent)
            tone: Tone = "good" if level == "ok" else level
            yield Gauge(month.name, month.due, limit, percent(month.due, limit), tone=tone)


def _due(facts: PlansFacts) -> Nanos:
    return Nanos(sum(month.due for month in facts.months))


def _listed(facts: PlansFacts) -> Nanos:
    return Nanos(sum(month.listed for month in facts.months))


def _figures(facts: PlansFacts) -> Iterator[Figure]:
    if facts.months:
        due, listed = _due(facts), _listed(facts)
        yield Figure("due", "You pay", due, note="monthly prices, and calls beyond the free units")
        yield Figure("listed", "List price", listed, note="what the ledgers say for the same calls")
        saved = Nanos(listed - due)
        yield Figure("saved", "Saved", saved, "difference", tone="good" if saved >= 0 else "warning")


def _tables(facts: PlansFacts) -> Iterator[Table]:
    if facts.plans:
        yield Table.of(
            "Plan",
            facts.months,
            (Column("plan", "Plan"), lambda month: month.name),
            (Column("calls", "Calls", "count", rank=2), lambda month: month.calls),
            (Column("free", "Free", rank=1, wraps=True), _free),
            (Column("listed", "List price", "money"), lambda month: month.listed),
            (Column("due", "You pay", "money"), lambda month: month.due),
            (Column("saved", "Saved", "difference"), lambda month: month.listed - month.due),
            empty="No plan of the profile applied to this month.",
        )


def _free(month: PlanMonth) -> str:
    plan = month.plan
    if plan.unit is None:
        return "all" if plan.is_flat else ""
    used = percent_words(percent(month.free_used, plan.free))
    return f"{month.free_used:,} of {plan.free:,} {plan.unit} ({used})"


def _notes(facts: PlansFacts) -> Iterator[Note]:
    if not facts.plans:
        yield Note(f"The profile has no plans: add {HOW} to {facts.profile}.", places=(facts.profile,))
    for month in facts.months:
        if month.discount:
            yield Note(f"{month.name}: {usd(month.discount)} less for volume.")
        if month.unpriced_calls:
            calls = month.unpriced_calls
            yield Note(f"{month.name}: {calls:,} of its calls have no list price.", "warning")
        if month.partial_calls:
            yield Note(f"{month.name}: {month.partial_calls:,} of its calls are priced in part.", "warning")
        if month.plan.is_flat and month.listed < month.plan.price and month.calls:
            yield Note(f"{month.name}: its calls would have cost less at list price.", "warning")


def _data(month: PlanMonth) -> dict[str, object]:
    names = ("calls", "unpriced_calls", "partial_calls", "plan.price", "list=listed", "beyond", "discount")
    return {
        **derive(month, "covers=plan.models", "plan.users", "flat_rate=plan.is_flat"),
        **derive(month, *names, "due"),
        "saved_usd": to_usd(Nanos(month.listed - month.due)),
        "free_unit": month.plan.unit,
        "free_units": month.plan.free or None,
        **derive(month, "free_used", "plan.limit"),
    }


SPEC: Final = Spec(
    "Save",
    ("plans", "plans --month 2026-10 --json"),
    only,
    plans_facts,
    plans_report,
    options=(MONTH,),
)
