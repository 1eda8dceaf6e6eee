"""Where the budget stands, where it is going, and what to change.

Without --user: the default user (COST_TRACKER_USER, else 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ..analysis.forecast import Forecast
from ..analysis.pace import Outlook, Pace, outlook
from ..analysis.sums import is_unpriced, total
from ..budgets.limits import (
    Crossing,
    Level,
    Scope,
    Spending,
    crossings,
    foresee,
    limits_for,
    tightest_first,
)
from ..budgets.wording import message
from ..money import ZERO, Nanos, percent
from ..periods import Period
from ..rollup import JobRef, Query, Totals
from ..tracking.foresight import foreseen
from .common import (
    NEWCOMER,
    Health,
    doubts,
    gauge_of,
    likely,
    limit_row,
    named,
    noted,
    others_note,
    owner,
    plural,
    usd,
)
from .document import Figure, Gauge, Note, Report, Tone, derive
from .forecast import projected
from .plans import (
    CoveredCalls,
    covered,
    covered_data,
    covered_figure,
    drawn,
    drawn_data,
    drawn_figure,
    plan_limits,
    rough_notes,
)
from .queries import health, limits_in, monthly, others, spendings, within
from .questions import TimeSpan, UserMonth
from .reader import Reader
from .spec import MONTH, USER, Spec

if TYPE_CHECKING:
    from ..budgets.port import HoldState


class BudgetFacts(NamedTuple):
    """What the report shows.

    ``spendings`` are all limits that hold for the user, tightest first; ``month`` of them is the
    user's monthly one, if there is one, and ``outlook`` is what the pace means for it. The pace's
    projection tells weekdays apart where ``by_weekday``.
    ``foreseen`` are the limits that are on course to be passed.
    ``reserved`` is the sum of ``holds`` of calls in progress and of ``orphans``, whose process is gone;
    ``held`` is what they hold of each limit, in its unit;
    ``unreserved_calls`` counts calls that
    were logged without one under a blocking limit. ``others`` are users who have calls where this
    one has none. ``nearest`` are limits on jobs and stages, each with the job that is nearest to it.
    ``covered`` is the part of ``totals`` that flat rates pay for, which is not spent; ``drawn`` is what
    the user's other plans take off the list price, which limits count. ``taken_back`` is what refunds and
    credits of imported histories took off what was spent, as far as sums tell: it may be more.
    """

    user_id: str
    period: Period
    totals: Totals
    pace: Pace
    spendings: tuple[Spending, ...] = ()
    month: Spending | None = None
    outlook: Outlook | None = None
    by_weekday: bool = False
    foreseen: tuple[Crossing, ...] = ()
    reserved: Nanos = ZERO
    holds: int = 0
    orphans: int = 0
    held: Mapping[Scope, int] = MappingProxyType({})
    unreserved_calls: int = 0
    others: tuple[str, ...] = ()
    nearest: tuple[Spending, ...] = ()
    profile: str = "defaults, no file"
    health: Health = Health()
    covered: CoveredCalls = CoveredCalls()
    drawn: CoveredCalls = CoveredCalls()
    roughly: Sequence[str] = ()
    taken_back: Nanos = ZERO

    @property
    def spent(self) -> Nanos:
        """What the calls cost, but for those that flat rates pay for."""
        return Nanos(self.totals.cost - self.covered.cost)


FEW_CALLS: Final = 5_000
"""Up to this many calls of a month are read to find those without a reservation; more take too long."""


def budget_facts(reader: Reader, asked: UserMonth) -> BudgetFacts:
    """Return where a user's month stands."""
    user_id = asked.user or reader.default_user
    period, query = within(reader, TimeSpan(asked.month_name), Query(user_id=user_id))
    totals = total(reader.index.groups((), query))
    month_pace, better = projected(reader, user_id, period)
    limits = spendings(reader, limits_in(reader, user_id, period))
    plans = plan_limits(reader, user_id, period)
    own = monthly(limits, user_id)
    held = _held(reader, limits)
    return BudgetFacts(
        user_id=user_id,
        period=period,
        totals=totals,
        pace=month_pace,
        spendings=tuple(tightest_first([*limits, *plans.spendings])),
        month=own,
        outlook=outlook(month_pace, own.limit.amount, _reached(better, own)) if own else None,
        by_weekday=better is not None and better.by_weekday,
        foreseen=tuple(_foreseen(reader, limits, own, month_pace)),
        reserved=held.amount,
        holds=held.states.total() - held.states["orphaned"],
        orphans=held.states["orphaned"],
        held=held.by_scope,
        unreserved_calls=_unreserved(reader, query, totals) if _blocks(own) else 0,
        others=others(reader, query) if totals.is_empty else (),
        nearest=_nearest(reader, user_id, query) if reader.now in period else (),
        profile=reader.loaded_profile().description,
        health=health(reader),
        covered=covered(reader, query),
        drawn=drawn(reader, period, user_id),
        roughly=plans.roughly,
        taken_back=_taken_back(reader, user_id, period, query),
    )


def _taken_back(reader: Reader, user_id: str, period: Period, query: Query) -> Nanos:
    """Return how far a month's sums by model, or by quarter hour, are below zero; only imports have that."""
    if not (reader.storage.root / "imported").is_dir():
        return ZERO
    by_model = [group.totals.cost for group in reader.index.groups(("service", "model"), query)]
    by_time = reader.index.spend_by_bucket(period.start, period.end, user_id=user_id).values()
    return Nanos(max(-sum(cost for cost in sums if cost < 0) for sums in (by_model, by_time)))


def _foreseen(
    reader: Reader, limits: tuple[Spending, ...], own: Spending | None, month_pace: Pace
) -> Iterator[Crossing]:
    """Return the alerts of the user's month, by the projection that is shown, and of the other limits."""
    if (
        own
        and month_pace.days_left
        and month_pace.low is not None
        and (mine := foresee(own, month_pace.projected))
    ):
        yield mine
    others = [each for each in limits if each is not own]
    yield from foreseen(reader.index, others, reader.now, reader.catalogue_name)


def _nearest(reader: Reader, user_id: str, query: Query) -> tuple[Spending, ...]:
    """Return the limits on a job and on its stages, for the job of the month that is nearest to each."""
    budget = reader.profile.for_user(user_id).budget
    if reader.is_shared or (budget.job_limit is None and not budget.stage_limits):
        return ()  # a job is of one host
    sums: dict[str | None, Counter[str]] = {}
    for group in reader.index.groups(("ledger", "stage"), query):
        ledger, stage = str(group.key[0]), str(group.key[1])
        for bounded in (None, stage):  # None is the whole job
            sums.setdefault(bounded, Counter())[ledger] += group.totals.cost
    found = []
    for bounded in (None, *budget.stage_limits):
        for ledger, _ in sums.get(bounded, Counter[str]()).most_common(1):
            job = JobRef(Path(ledger).parent.name, Path(ledger))
            limits = limits_for(reader.profile, user_id, reader.now, job)
            found += [limit for limit in limits if limit.period is None and limit.query.stage == bounded]
    return spendings(reader, found)


def _reached(better: Forecast | None, own: Spending) -> date | None:
    return better.reaches(own.limit.amount) if better else None


def _blocks(spending: Spending | None) -> bool:
    return spending is not None and spending.limit.blocking


class _ReservedTotals(NamedTuple):
    """What is reserved: dollars in all, by how many holds of each state, and in its unit by limit."""

    amount: Nanos
    states: Counter[HoldState]
    by_scope: Mapping[Scope, int]


def _held(reader: Reader, limits: tuple[Spending, ...]) -> _ReservedTotals:
    """Return what is reserved against any of the limits. Only blocking limits have holds."""
    if not any(map(_blocks, limits)):
        return _ReservedTotals(ZERO, Counter(), {})
    if reader.is_shared and reader.fleet is not None:
        leased = reader.fleet.open_leases(spending.limit for spending in limits if _blocks(spending))
        most = max((amount for scope, amount in leased.items() if scope.measure == "cost"), default=0)
        return _ReservedTotals(Nanos(most), Counter(), leased)
    from ..budgets.deciding import counts_against, standings  # 5 ms that few profiles need

    names, holds = reader.catalogue_name, reader.gate.holds()
    mine = [
        held for held in holds if any(counts_against(held.reservation, each.limit, names) for each in limits)
    ]
    return _ReservedTotals(
        Nanos(sum(held.amount for held in mine)),
        Counter(held.reservation.state for held in mine),
        {stand.spending.limit.scope: stand.held for stand in standings(limits, mine, names)},
    )


def _unreserved(reader: Reader, query: Query, totals: Totals) -> int:
    """Return how many paid calls of a month had no reservation; 0 where too many would have to be read."""
    if reader.is_shared or totals.calls > FEW_CALLS:
        return 0
    entries = reader.index.entries(query)
    return sum(1 for e in entries if e.kind == "usage" and e.cost > 0 and e.reservation is None)


def budget_report(facts: BudgetFacts) -> Report:
    """Return the budget of one user in one month."""
    pace = facts.pace
    progress = f"day {pace.days_begun} of {pace.days}" if pace.days_begun and not pace.is_over else ""
    alerts = [message(crossed) for crossed in _crossed(facts)]
    return Report(
        title=f"Budget of {owner(facts.user_id)}",
        subtitle=", ".join(filter(None, (named(facts.period), progress))),
        gauges=tuple(_gauges(facts)),
        figures=tuple(_figures(facts)),
        notes=(*_alerts(facts), *_notes(facts)),
        data=_data(facts, alerts),
    )


def _gauges(facts: BudgetFacts) -> Iterator[Gauge]:
    for spending in facts.spendings:
        yield gauge_of(spending, facts.held.get(spending.limit.scope, 0))
    for spending in facts.nearest:
        yield gauge_of(spending, label=f"{spending.label}{_of_job(spending)}")


def _of_job(spending: Spending) -> str:
    """Say of which job a limit on a stage is."""
    ledger = spending.limit.query.ledger
    return f" of {ledger.parent.name}" if spending.limit.query.stage and ledger else ""


def _figures(facts: BudgetFacts) -> Iterator[Figure]:
    pace, month = facts.pace, facts.month
    calls = plural(facts.totals.calls, "call", "calls")
    is_known = not is_unpriced(facts.totals)
    spent = facts.spent if is_known else None
    yield Figure("spent", "Spent", spent, note="no calls yet" if facts.totals.is_empty else calls)
    yield from covered_figure(facts.covered)
    yield from drawn_figure(facts.drawn)
    if month:
        note = "the limit is used up" if month.remaining <= 0 else "" if is_known else "at most"
        yield Figure("remaining", "Remaining", month.remaining, note=note, tone=_tone(month.remaining < 0))
    if facts.holds or facts.orphans:
        yield Figure("reserved", "Reserved", facts.reserved, note=", ".join(_states(facts)))
    if not facts.spent:
        return
    yield Figure("daily_average", "Daily average", pace.daily_average, note=_over(pace))
    if not pace.is_over:
        yield _projection(facts)
    if month and facts.outlook and pace.days_left:
        yield from _outlook(month, facts.outlook, pace)


def _states(facts: BudgetFacts) -> Iterator[str]:
    if facts.holds:
        yield plural(facts.holds, "live hold", "live holds")
    if facts.orphans:
        orphans = plural(facts.orphans, "orphan", "orphans")
        yield f"{orphans}: cost-dashboard reservations"


def _over(pace: Pace) -> str:
    return f"over {plural(pace.days_begun, 'day', 'days')}"


def _projection(facts: BudgetFacts) -> Figure:
    pace = facts.pace
    if pace.low is None or pace.high is None:
        note = "by the end of the month; too few days for a range"
    else:
        how = ", by weekday" if facts.by_weekday else ""
        note = f"by the end of the month{how}; {likely(pace.low, pace.high)}"
    over = facts.month is not None and pace.projected > facts.month.limit.amount
    return Figure("projected", "Projected", pace.projected, note=note, tone=_tone(over))


def _outlook(month: Spending, outlook: Outlook, pace: Pace) -> Iterator[Figure]:
    over = pace.projected > month.limit.amount
    if month.remaining <= 0:
        return
    if over and outlook.exhausted_on is not None and outlook.days_until_exhausted is not None:
        days = outlook.days_until_exhausted
        left = "today" if days < 1 else plural(int(days), "day", "days")
        on = f"{outlook.exhausted_on.day} {outlook.exhausted_on:%B}"
        yield Figure("exhausted_in", "Exhausted in", left, "text", f"at this pace, about {on}", "warning")
    if over and outlook.cut_per_day and outlook.allowed_per_day is not None:
        share = percent(outlook.cut_per_day, Nanos(outlook.cut_per_day + outlook.allowed_per_day))
        allowed = usd(outlook.allowed_per_day)
        note = f"a day, {share:.0f}% less: {allowed} a day keeps within the limit"
        yield Figure("cut_per_day", "Cut", outlook.cut_per_day, note=note)
    ahead = outlook.ahead
    word = "above" if ahead > 0 else "below"
    note = (
        f"{word} an even pace: {percent(Nanos(pace.days_begun), Nanos(pace.days)):.0f}% of the month is gone"
    )
    yield Figure("ahead", "Pacing", Nanos(abs(ahead)), note=note)


def _tone(bad: bool) -> Tone:
    return "critical" if bad else "plain"


def _alerts(facts: BudgetFacts) -> Iterator[Note]:
    for crossed in _crossed(facts):
        yield Note(message(crossed), "critical" if crossed.critical else "warning")


def _crossed(facts: BudgetFacts) -> list[Crossing]:
    """Return what is to be warned of: what has come first, then what is coming."""
    return [*crossings(facts.spendings), *facts.foreseen]


def _notes(facts: BudgetFacts) -> Iterator[Note]:
    yield from doubts(facts.totals, facts.health)
    yield from rough_notes(facts.roughly)
    unreserved = "logged without a reservation: a blocking limit cannot stop those."
    yield from noted(facts.unreserved_calls, "call was", "calls were", unreserved)
    if facts.taken_back:
        yield Note(
            f"Refunds and credits of imported histories took at least {usd(facts.taken_back)} off what was "
            "spent: limits allow that much more."
        )
    yield from others_note(facts.others)
    if facts.totals.is_empty and not facts.others and not facts.pace.is_over:
        yield Note(NEWCOMER)
    if facts.month is None:
        yield Note("No monthly limit is set: cost-dashboard set-budget --monthly 50 sets one.")
    blocking = " The limit blocks calls." if facts.month and facts.month.limit.blocking else ""
    places = (facts.profile,) if facts.profile.startswith("/") else ()
    yield Note(f"Profile: {facts.profile}. Time zone {facts.period.zone.key}.{blocking}", places=places)


def worst(spendings: tuple[Spending, ...]) -> Level:
    """Return the state of the limit that stands worst: ``ok`` without limits."""
    levels = {spending.level for spending in spendings}
    return "critical" if "critical" in levels else "warning" if "warning" in levels else "ok"


def _data(facts: BudgetFacts, alerts: list[str]) -> dict[str, object]:
    month = facts.month
    return {
        **derive(facts, "user_id", "month=period.name", "limit_usd=month.limit.amount", "spent"),
        **derive(facts, "reserved", "remaining_usd=month.remaining"),
        "percent_used": round(percent(month.spent, month.limit.amount), 4) if month else None,
        **derive(facts.pace, "daily_average", "projected"),
        "status": worst(facts.spendings),
        "alerts": alerts,
        **derive(facts.totals, "unpriced_calls", "partial_calls"),
        **derive(facts, "projected_low=pace.low", "projected_high=pace.high"),
        **derive(facts, "projected_by_weekday=by_weekday", "outlook.days_until_exhausted"),
        **derive(facts, "outlook.exhausted_on", "allowed_per_day_usd=outlook.allowed_per_day"),
        **derive(facts, "cut_per_day_usd=outlook.cut_per_day", "ahead_of_pace_usd=outlook.ahead"),
        **derive(facts, "live_reservations=holds", "orphaned_reservations=orphans", "unreserved_calls"),
        **derive(facts, "health.incomplete"),
        **(derive(facts, "taken_back") if facts.taken_back else {}),
        "limits": [
            limit_row(spending, facts.held.get(spending.limit.scope, 0))
            for spending in (*facts.spendings, *facts.nearest)
        ],
        **derive(facts, "profile", "timezone=period.zone.key"),
        **covered_data(facts.covered),
        **drawn_data(facts.drawn),
    }


SPEC: Final = Spec(
    "Look",
    ("show-budget", "show-budget --user rpatel --month 2026-10", "show-budget --json"),
    UserMonth,
    budget_facts,
    budget_report,
    options=(USER, MONTH),
    watch=True,
    shared=True,
)
