"""What several reports show in the same way: breakdowns by a name, totals, and doubts about the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ..analysis.sums import UNNAMED, is_unpriced, share, total
from ..budgets.limits import Limit, Spending
from ..budgets.scopes import amount_text
from ..money import ZERO, Nanos, format_usd, percent, to_usd
from ..periods import Period
from ..rollup import Group, Measure, Totals
from .document import Column, Gauge, Note, Ref, Table, Thing, Tone, Value, derive

NEWCOMER: Final = "To look around before you have costs of your own: cost-dashboard demo"
MANY_TAGS: Final = "A call with several tags counts under each of them."

TOP = 10
"""How many rows a breakdown shows before the rest are one row."""


class Health(NamedTuple):
    """What makes sums doubtful.

    ``problems`` describes damaged lines, one sentence each; ``degraded`` says why the index could
    not be used; ``waiting`` is how many entries count that could not be written to their ledgers yet;
    ``prices_path`` is where a missing price would be added. ``gone`` is how many ledgers are not there any
    more, and their cost, in nano-dollars: it still counts, but not in what is read from their entries
    (``reads_entries``).
    """

    problems: tuple[str, ...] = ()
    degraded: str | None = None
    prices_path: str = "prices.yaml"
    waiting: int = 0
    gone: tuple[int, Nanos] = (0, ZERO)
    reads_entries: bool = False

    @property
    def incomplete(self) -> int:
        """How many lines are not counted."""
        return len(self.problems)


_THINGS: Final[Mapping[str, Thing]] = {
    "by_service": "service",
    "by_model": "model",
    "by_stage": "stage",
    "by_user": "user",
    "by_job": "job",
    "by_category": "operation",
    "by_operation": "operation",
    "by_workflow": "workflow",
    "by_project": "project",
    "by_tag": "tag",
    "by_tier": "tier",
}
"""What the names of a breakdown are names of; ``3 more`` is the name of nothing."""


class Breakdown(NamedTuple):
    """Sums by name under a title; ``key`` names it in JSON (``by_model``), ``label`` heads the column."""

    key: str
    label: str
    sums: Mapping[str, Totals]

    @property
    def title(self) -> str:
        """``By model``."""
        return f"By {self.label.lower()}"

    @property
    def is_empty(self) -> bool:
        """Whether nothing in it has a name."""
        return not set(self.sums) - {UNNAMED}


def breakdown_table(breakdown: Breakdown, whole: Totals, top: int = TOP) -> Table:
    """Return a table of the most expensive names with their shares of the whole, and one row for the rest."""
    names = list(breakdown.sums)
    shown = names if len(names) <= top else names[: top - 1]
    thing = _THINGS.get(breakdown.key)
    sums = [(Ref(name, thing) if thing and name != UNNAMED else name, breakdown.sums[name]) for name in shown]
    if rest := names[len(shown) :]:
        sums.append((f"{len(rest)} more", sum_of(breakdown.sums[name] for name in rest)))
    return Table.of(
        breakdown.title,
        sums,
        (Column(breakdown.label.lower(), breakdown.label), lambda one: one[0]),
        (Column("calls", "Calls", "count", rank=1), lambda one: one[1].calls),
        (Column("tokens", "Tokens", "tokens", rank=2), lambda one: one[1].tokens_total),
        (Column("cost", "Cost", "money"), lambda one: cost_or_unpriced(one[1])),
        (Column("share", "Share", "share"), lambda one: share(one[1], whole)),
        key=breakdown.key,
    )


def cost_or_unpriced(totals: Totals) -> int | None:
    """Return the cost, or ``None`` where not one of the calls has a price."""
    return None if is_unpriced(totals) else totals.cost


def sum_of(parts: Iterable[Totals]) -> Totals:
    """Return the sum of sums."""
    return total(Group((), part) for part in parts)


def gauge_of(spending: Spending, held: int = 0, label: str = "") -> Gauge:
    """Return a limit as a gauge."""
    limit = spending.limit
    return Gauge(
        label=label or spending.label,
        part=spending.spent,
        whole=limit.amount,
        percent=percent(spending.spent, limit.amount),
        held=held,
        tone=tone_of(spending),
        measure=limit.measure,
        of=tuple(_spend_of(limit)),
    )


_LIMITED: Final[Mapping[str, Thing]] = {
    "stage": "stage",
    "tag": "tag",
    "project": "project",
    "workflow": "workflow",
    "operation": "operation",
}
"""Limits on something whose name is that of its calls. A model and a service have several, a plan none."""


def _spend_of(limit: Limit) -> Iterator[Ref]:
    """Return what the calls that a limit bounds are of: a period, or a job; a user; something with a name.

    Nothing, where these are also of calls that it does not bound.
    """
    scope, ledger = limit.scope, limit.query.ledger
    if scope.name and ledger is None and scope.kind not in _LIMITED:
        return
    if limit.period is not None:
        yield Ref(limit.period.name, "month")
    if ledger is not None:
        yield Ref(ledger.parent.name, "job")
    if scope.owner is not None and ledger is None:
        yield Ref(scope.owner, "user")
    if scope.kind in _LIMITED and scope.name:
        yield Ref(scope.name, _LIMITED[scope.kind])


def tone_of(spending: Spending) -> Tone:
    """Return how a limit's state should strike the reader."""
    return "good" if spending.level == "ok" else spending.level


def usd_or_none(amount: Nanos | None) -> float | None:
    """Return an amount as JSON has it; ``None`` stays what is not known."""
    return None if amount is None else to_usd(amount)


def whose(user_id: str | None) -> str:
    """Return of whom a report is, for its title.

    >>> whose(None), whose("rpatel")
    ('everyone', 'user rpatel')
    """
    return "everyone" if user_id is None else f"user {user_id}"


def more_note(number: int, of: str = "") -> Iterator[Note]:
    """Yield how many rows a table leaves out, where it leaves out any."""
    if number > 0:
        yield Note(f"{number:,} more{of}; --json has them all.")


def in_unit(amount: int, measure: Measure) -> int | float:
    """Return an amount as JSON has it: dollars, or a count."""
    return to_usd(Nanos(amount)) if measure == "cost" else amount


def cell_of(amount: int, measure: Measure) -> Value:
    """Return an amount for a column of money: as a number, or a count with its unit."""
    return amount if measure == "cost" else amount_text(amount, measure)


UNITS: Final[Mapping[Measure, str]] = {"cost": "usd", "calls": "calls", "tokens": "tokens"}


def limit_row(spending: Spending, held: int = 0) -> dict[str, object]:
    """Return one limit as JSON has it: in its unit, and under the names of dollars where it is in those."""
    limit = spending.limit
    amounts = {
        "limit": limit.amount,
        "spent": spending.spent,
        "remaining": spending.remaining,
        "reserved": held,
    }
    return {
        "scope": str(limit.scope),
        "period": limit.period.name if limit.period else None,
        **{name: n for name, n in usd_amounts(amounts, limit.measure).items() if name != "reserved_usd"},
        "percent_used": round(percent(spending.spent, limit.amount), 4),
        "status": spending.level,
        "blocking": limit.blocking,
        **unit_amounts(amounts, limit.measure),
    }


def usd_amounts(amounts: Mapping[str, int | None], measure: Measure) -> dict[str, float | None]:
    """Return amounts under the names of dollars: ``None`` where they are not in dollars."""
    is_usd = measure == "cost"
    return {
        f"{name}_usd": to_usd(Nanos(n)) if is_usd and n is not None else None for name, n in amounts.items()
    }


def unit_amounts(amounts: Mapping[str, int | None], measure: Measure) -> dict[str, object]:
    """Return amounts in their unit, after the name of it."""
    units = {name: None if n is None else in_unit(n, measure) for name, n in amounts.items()}
    return {"unit": UNITS[measure], **units}


def others_note(others: Sequence[str]) -> Iterator[Note]:
    """Yield a hint for who asks after a user without calls while ``others`` have some."""
    if others:
        more = ", ..." if len(others) > 5 else ""
        yield Note(f"Calls of other users: {', '.join(others[:5])}{more}; see them with --user.")


def doubts(totals: Totals, health: Health, unpriced: Sequence[str] = ()) -> tuple[Note, ...]:
    """Return what the reader must know before trusting a sum; nothing where there is no doubt.

    ``unpriced`` names the models without a price, where they are known.
    """
    return tuple(_doubts(totals, health, unpriced))


def unpriced_models(by_model: Mapping[str, Totals]) -> tuple[str, ...]:
    """Return the models that have calls without a price."""
    return tuple(name for name, totals in by_model.items() if totals.unpriced_calls)


CHECK: Final = "cost-dashboard prices check"
"""Names what has no price."""


def priced_in_part(number: int) -> Note:
    """Return what is said of calls whose price leaves something out."""
    calls = plural(number, "call has", "calls have")
    text = f"{calls} a price for only a part of it and cost more than this: {CHECK} names what is missing."
    return Note(text, "warning", CHECK)


def _doubts(totals: Totals, health: Health, unpriced: Sequence[str]) -> Iterator[Note]:
    if totals.unpriced_calls:
        calls = plural(
            totals.unpriced_calls, "call has no known price and is", "calls have no known price and are"
        )
        more = ", ..." if len(unpriced) > 3 else ""
        models = f" ({', '.join(unpriced[:3])}{more})" if unpriced else ""
        remedy = f"{CHECK} says why, and what to add to {health.prices_path}"
        text = f"{calls} not in these amounts{models}: {remedy}."
        yield Note(text, "warning", CHECK, places=(health.prices_path,))
    if totals.partial_calls:
        yield priced_in_part(totals.partial_calls)
    yield from incomplete(health)
    estimated = max(totals.estimated_calls, 0)  # refunds may take back more than there is
    yield from noted(estimated, "call has", "calls have", "estimated token counts.", "plain")


def incomplete(health: Health) -> Iterator[Note]:
    """Return what is missing from sums, or how they were made without the index."""
    if health.problems:
        lines = plural(len(health.problems), "ledger line is", "ledger lines are")
        more = "" if len(health.problems) == 1 else "; cost-dashboard verify lists the others"
        first = health.problems[0]
        places = (first.target,) if isinstance(first, Ref) else ()
        yield Note(f"Incomplete: {lines} not counted: {first}{more}", "warning", places=places)
    if health.waiting:
        entries = plural(health.waiting, "entry waits outside its ledger", "entries wait outside the ledgers")
        text = f"{entries} and {'counts' if health.waiting == 1 else 'count'} already"
        text = f"{text}; see cost-dashboard doctor"
        yield Note(f"cost tracking degraded: {text}", "warning")
    yield from gone(health)
    if health.degraded:
        yield Note(f"The index could not be used, so the ledgers were summed: {health.degraded}", "warning")


def gone(health: Health) -> Iterator[Note]:
    """Return what becomes of the calls of ledgers that are not there any more."""
    number, cost = health.gone
    ledgers = plural(number, "ledger is gone; its", "ledgers are gone; their")
    if number and health.reads_entries:
        yield Note(f"{ledgers} calls, {usd(cost)} in all, are left out here.", "warning")
    elif number:
        yield Note(f"{ledgers} {usd(cost)} counts.")


def noted(number: int, one: str, many: str, rest: str, tone: Tone = "warning") -> Iterator[Note]:
    """Yield a sentence about a number of things, if there are any.

    >>> [note.text for note in noted(2, "call has", "calls have", "no price.")], [*noted(0, "a", "b", "c")]
    (['2 calls have no price.'], [])
    """
    if number:
        yield Note(f"{plural(number, one, many)} {rest}", tone)


def likely(low: Nanos, high: Nanos) -> str:
    """Say where something is likely to end.

    >>> likely(Nanos(50_600_000_000), Nanos(52_000_000_000)), likely(Nanos(9 * 10**9), Nanos(9_001_000_000))
    ('likely $50.60 to $52.00', 'likely $9.00')
    """
    ends = dict.fromkeys((usd(low), usd(high)))  # alike on a month's last evening
    return f"likely {' to '.join(ends)}"


def plural(number: int, one: str, many: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "call", "calls"), plural(1200, "call", "calls")
    ('1 call', '1,200 calls')
    """
    return f"{number:,} {one if number == 1 else many}"


def usd(amount: Nanos) -> str:
    """Return an amount inside a sentence: to the cent, or to a hundredth of one where it is less.

    >>> usd(Nanos(1_234_000_000)), usd(Nanos(4_500_000))
    ('$1.23', '$0.0045')
    """
    return format_usd(amount, 4 if 0 < abs(amount) < 10_000_000 else 2)


def owner(user_id: str) -> str:
    """Return a user's name in a title.

    >>> owner("1"), owner("rpatel")
    ('user 1', 'rpatel')
    """
    return f"user {user_id}" if user_id.isdigit() else user_id


def named(period: Period) -> str:
    """Return a period as people say it: ``November 2026``, ``22 November 2026``, ``1 to 7 November 2026``.

    >>> from datetime import date
    >>> from zoneinfo import ZoneInfo
    >>> from shared.costs.periods import between
    >>> named(between(date(2026, 10, 30), date(2026, 11, 2), ZoneInfo("UTC")))
    '30 October to 2 November 2026'
    """
    first, last = period.dates()[0], period.dates()[-1]
    if period.kind == "year":
        return period.name
    if period.kind == "month" and first.day == 1:
        return f"{first:%B %Y}"
    if first == last:
        return f"{first.day} {first:%B %Y}"
    if first.year != last.year:
        start = f"{first.day} {first:%B %Y}"
    else:
        start = f"{first.day}" if first.month == last.month else f"{first.day} {first:%B}"
    return f"{start} to {last.day} {last:%B %Y}"


def totals_data(totals: Totals) -> dict[str, object]:
    """Return sums under the names that JSON has for them everywhere."""
    return {
        **derive(totals, "calls", "unpriced_calls", "partial_calls", "estimated_calls", "retried_calls"),
        **derive(totals, "tokens_input", "tokens_output", "tokens_cached", "tokens_reasoning"),
        "audio_seconds": totals.audio_microseconds / 1_000_000,
        **derive(totals, "cost", "cost_input", "cost_output", "retried_cost"),
    }


def stretch_data(totals: Totals, breakdowns: Sequence[Breakdown], health: Health) -> dict[str, object]:
    """Return the sums of a period and its breakdowns under the names that JSON has for them."""
    return {
        "total_cost": to_usd(totals.cost),
        **derive(totals, "total_calls=calls", "unique_jobs=jobs"),
        "totals": totals_data(totals),
        **breakdown_data(breakdowns),
        **derive(health, "incomplete"),
    }


def breakdown_data(breakdowns: Sequence[Breakdown]) -> dict[str, object]:
    """Return every breakdown by its key: name, then sums."""
    return {b.key: {name: totals_data(totals) for name, totals in b.sums.items()} for b in breakdowns}


def counted_before(size: int) -> str:
    """Say what is known of a ledger that is lost.

    >>> counted_before(4470), counted_before(0)
    ('4,470 bytes of it had been counted', 'nothing of it had been counted')
    """
    return f"{size:,} bytes of it had been counted" if size else "nothing of it had been counted"
