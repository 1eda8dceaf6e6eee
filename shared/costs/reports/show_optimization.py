"""What your own calls would have cost on other models, in batches, or locally.

Every call is repriced with its own tokens, on its own day. Savings that exclude each other are
not added up. Without --user: everyone. Without dates: the present month.

Calls with the tag "interactive" are not proposed for batches. Where calls carry an outcome or a
quality in their metadata, it also shows what a result and a point of quality cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..analysis.caching import Cacheable
from ..analysis.improvements import find_improvements
from ..analysis.optimise import Option, Savings
from ..analysis.outcomes import Worth
from ..analysis.sums import UNNAMED
from ..analysis.waste import NOT_USED, Waste
from ..money import Nanos, percent, to_usd
from ..periods import Period
from ..rollup import Query
from . import advice
from .common import Health, named, percent_words, plural, usd
from .document import Column, Figure, Note, Report, Row, Table
from .progress import in_turn
from .queries import counted, health, zone_of
from .questions import Span
from .reader import Reader
from .spec import SPAN, USER, Spec

_OTHERS: Final = 8
"""How many other ways the text shows; the JSON has all."""

_OUTCOMES: Final = 3
"""How many outcomes of a stage and model the text shows, most frequent first; the JSON has all."""


@dataclass(frozen=True, slots=True)
class OptimizationFacts:
    """What the view needs to know."""

    user_id: str | None
    period: Period
    savings: Savings
    health: Health
    cacheable: Sequence[Cacheable] = ()
    waste: Sequence[Waste] = ()
    worths: Sequence[Worth] = ()


class SavingsQuestion(NamedTuple):
    """Whose calls to reprice (``None``: everyone's), and of when."""

    user: str | None = None
    span: Span = Span()


def optimization_facts(reader: Reader, asked: SavingsQuestion) -> OptimizationFacts:
    """Return what a user's calls (``None``: everyone's) would have cost otherwise."""
    user_id = asked.user
    period = asked.span.period(reader.now, zone_of(reader, user_id))
    reader.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    with reader.progress("Repricing") as told:
        [entries] = in_turn([counted(reader, query)], told)
        found = find_improvements(entries, reader.catalogue)
    return OptimizationFacts(
        user_id, period, found.savings, health(reader), found.cacheable, found.waste, found.worths
    )


def optimization_report(facts: OptimizationFacts) -> Report:
    """Return the savings that were found, the largest first."""
    savings = facts.savings
    who = "everyone" if facts.user_id is None else f"user {facts.user_id}"
    calls = plural(savings.calls, "call", "calls")
    return Report(
        title=f"Savings, {who}",
        subtitle=f"{named(facts.period)}, {calls} repriced with their own tokens",
        figures=tuple(_figures(savings)) if savings.calls else (),
        tables=(*_tables(savings), *_caching(facts), *_waste(facts), *_results(facts)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _figures(savings: Savings) -> Iterator[Figure]:
    yield Figure("spent", "Spent", savings.spent)
    if savings.best_hosted:
        yield _saving(
            "saving_hosted", "Could save", savings.best_hosted, savings, "with other models and batches"
        )
    if savings.retried > 0:
        after = usd(savings.retried_after)
        note = f"on second and later attempts; {after} of it would remain, and goes with its cause"
        yield Figure("retried", "Done again", savings.retried, note=note)
    if savings.best != savings.best_hosted:
        yield _saving(
            "saving", "With local", savings.best, savings, "with engines on your own machine as well"
        )


def _saving(key: str, label: str, options: tuple[Option, ...], savings: Savings, how: str) -> Figure:
    saving = advice.amount_of(options)
    share = percent_words(percent(saving, savings.spent))
    changes = plural(len(options), "change", "changes")
    return Figure(key, label, saving, note=f"{share} in {changes}, {how}", tone="good")


def _tables(savings: Savings) -> Iterator[Table]:
    local = tuple(option for option in savings.options if option.change.kind == "local")
    chosen = {id(option) for option in (*savings.best_hosted, *local)}
    others = tuple(option for option in savings.options if id(option) not in chosen)
    tables = (
        ("Best combination", savings.best_hosted),
        ("Or locally", local),
        ("Other ways", others[:_OTHERS]),
    )
    for title, options in tables:
        if options:
            yield _table(title, options)


def _table(title: str, options: tuple[Option, ...]) -> Table:
    columns = [
        Column("stage", "Stage"),
        Column("from", "From"),
        Column("to", "To"),
        Column("calls", "Calls", "count", rank=3),
        Column("before", "Cost", "money", rank=2),
        Column("saving", "Saves", "money"),
        Column("saving_percent", "Saves %", "percent", rank=1),
    ]
    rows = [_row(option) for option in options]
    if any(map(advice.break_even, options)):
        columns.append(Column("break_even", "Even at", rank=1))
        rows = [(*row, advice.break_even(option)) for row, option in zip(rows, options, strict=True)]
    return Table(title, tuple(columns), tuple(rows))


def _row(option: Option) -> Row:
    slot, name = option.slot, option.change.name
    amounts = option.calls, option.before, option.saving, option.percent
    return (slot.stage or UNNAMED, advice.model_of(slot), name, *amounts)


def _caching(facts: OptimizationFacts) -> Iterator[Table]:
    columns = (
        Column("stage", "Stage"),
        Column("model", "Model"),
        Column("calls", "Calls", "count", rank=1),
        Column("before", "Cost", "money"),
        Column("saving", "At most", "money"),
        Column("saving_percent", "Saves %", "percent", rank=2),
    )
    rows = tuple(
        (c.slot.stage or UNNAMED, advice.model_of(c.slot), c.calls, c.before, c.saving, c.percent)
        for c in facts.cacheable
    )
    if rows:
        yield Table("If inputs begin alike", columns, rows)


def _waste(facts: OptimizationFacts) -> Iterator[Table]:
    columns = (
        Column("stage", "Stage"),
        Column("model", "Model"),
        Column("reason", "Reason"),
        Column("calls", "Calls", "count", rank=1),
        Column("cost", "Cost", "amount"),
        Column("share", "Of all %", "percent", rank=2),
    )
    whole = facts.savings.spent
    rows = tuple(
        (
            w.slot.stage or UNNAMED,
            advice.model_of(w.slot),
            w.reason,
            w.calls,
            w.cost,
            percent(w.cost, whole) if whole else 0.0,
        )
        for w in facts.waste
    )
    if rows:
        yield Table("Paid in vain", columns, rows)


def _results(facts: OptimizationFacts) -> Iterator[Table]:
    outcomes = tuple(row for worth in facts.worths for row in _outcomes(worth))
    if outcomes:
        columns: tuple[Column, ...] = (
            Column("stage", "Stage"),
            Column("model", "Model"),
            Column("outcome", "Outcome"),
            Column("calls", "Calls", "count", rank=1),
            Column("share", "Of all %", "percent", rank=2),
            Column("each", "For one", "money", places=4),
        )
        yield Table("Cost of an outcome", columns, outcomes)
    rated = tuple(_rated(worth) for worth in facts.worths if worth.cost_per_point is not None)
    if rated:
        columns = (
            Column("stage", "Stage"),
            Column("model", "Model"),
            Column("calls", "Calls", "count", rank=1),
            Column("quality", "Quality"),
            Column("per_point", "A point", "money", places=4),
        )
        yield Table("Cost of quality", columns, rated)


def _outcomes(worth: Worth) -> Iterator[Row]:
    """Return what results that are wanted cost; of those that nobody uses, the price says nothing."""
    wanted = [each for each in worth.outcomes.most_common() if each[0] not in NOT_USED]
    for outcome, calls in wanted[:_OUTCOMES]:
        model, share = advice.model_of(worth.slot), calls * 100 / worth.told
        yield (worth.slot.stage or UNNAMED, model, outcome, calls, share, worth.cost_of(outcome))


def _rated(worth: Worth) -> Row:
    stage, model = worth.slot.stage or UNNAMED, advice.model_of(worth.slot)
    return (stage, model, worth.rated, f"{worth.quality:.3g}", worth.cost_per_point)


def _notes(facts: OptimizationFacts) -> Iterator[Note]:
    savings = facts.savings
    if not savings.calls:
        yield Note("No calls to reprice in this stretch of time.")
    elif not savings.best:
        yield Note("Nothing cheaper of the same kind is known for these calls.")
    if savings.unpriced_calls:
        calls = plural(savings.unpriced_calls, "call has", "calls have")
        yield Note(f"{calls} no known price and could not be compared.", "warning")
    yield from _steps(facts)
    kinds = {option.change.kind for option in savings.options}
    yield from (Note(caution) for kind, caution in advice.CAUTIONS.items() if kind in kinds)
    if any(map(advice.break_even, savings.options)):
        yield Note(
            "Even at: what a machine of your own must get done for each dollar it costs to run, to be no "
            "dearer than what was charged."
        )
    if facts.cacheable:
        yield Note(advice.CACHING)
    if facts.waste:
        yield Note(advice.WASTE)
    if len(savings.options) > len(savings.best_hosted):
        yield Note("Savings of one stage and model exclude each other; totals count the best of each.")
    if any(worth.told for worth in facts.worths):
        yield Note("The cost of an outcome includes what the calls with other outcomes cost.")


def _steps(facts: OptimizationFacts) -> Iterator[Note]:
    """Say what to do for the best combination, and how to check the first of it."""
    best = facts.savings.best_hosted
    yield from (Note(advice.step(number, option)) for number, option in enumerate(best, 1))
    commands = (advice.command(option, facts.period, facts.user_id) for option in best)
    if command := next(filter(None, commands), None):
        yield Note(f"Check it: {command}")


def _data(facts: OptimizationFacts) -> dict[str, object]:
    """Return the savings, what could be cached, what was paid in vain, and what results cost."""
    savings = facts.savings
    return {
        "user_id": facts.user_id,
        "start": facts.period.start.isoformat(),
        "end": facts.period.end.isoformat(),
        "calls": savings.calls,
        "unpriced_calls": savings.unpriced_calls,
        "spent_usd": to_usd(savings.spent),
        "saving_usd": to_usd(savings.saving),
        "saving_hosted_usd": to_usd(savings.saving_hosted),
        "saving_percent": round(percent(savings.saving, savings.spent), 4) if savings.spent else 0.0,
        "retried_usd": to_usd(savings.retried),
        "retried_after_usd": to_usd(savings.retried_after),
        "caching": [_cacheable(each) for each in facts.cacheable],
        "waste": [_wasted(each, savings.spent) for each in facts.waste],
        "results": [_worth(each) for each in facts.worths],
        "best": [_option(option, facts) for option in savings.best],
        "best_hosted": [_option(option, facts) for option in savings.best_hosted],
        "options": [_option(option, facts) for option in savings.options],
    }


def _cacheable(cacheable: Cacheable) -> dict[str, object]:
    return {
        "stage": cacheable.slot.stage,
        "model": advice.model_of(cacheable.slot),
        "calls": cacheable.calls,
        "cost_usd": to_usd(cacheable.before),
        "saving_at_most_usd": to_usd(cacheable.saving),
        "saving_percent": round(cacheable.percent, 4),
        "change": advice.caching_step(cacheable),
        "not_known": "whether the inputs begin alike",
    }


def _wasted(waste: Waste, spent: Nanos) -> dict[str, object]:
    return {
        "stage": waste.slot.stage,
        "model": advice.model_of(waste.slot),
        "reason": waste.reason,
        "calls": waste.calls,
        "cost_usd": to_usd(waste.cost),
        "percent_of_all": round(percent(waste.cost, spent), 4) if spent else 0.0,
        "change": advice.cause(waste),
        "not_known": "how much of it can be avoided",
    }


def _worth(worth: Worth) -> dict[str, object]:
    per_point = worth.cost_per_point
    return {
        "stage": worth.slot.stage,
        "model": advice.model_of(worth.slot),
        "outcomes": {
            outcome: {"calls": calls, "cost_of_one_usd": to_usd(worth.cost_of(outcome))}
            for outcome, calls in worth.outcomes.most_common()
        },
        "rated_calls": worth.rated,
        "quality": None if worth.quality is None else round(worth.quality, 6),
        "cost_per_point_usd": None if per_point is None else to_usd(per_point),
    }


def _option(option: Option, facts: OptimizationFacts) -> dict[str, object]:
    return {
        "kind": option.change.kind,
        "stage": option.slot.stage,
        "from": advice.model_of(option.slot),
        "to": option.change.name,
        "calls": option.calls,
        "cost_usd": to_usd(option.before),
        "cost_after_usd": to_usd(option.after),
        "saving_usd": to_usd(option.saving),
        "saving_percent": round(option.percent, 4),
        "break_even_minutes_per_usd": option.audio_minutes_per_dollar,
        "break_even_tokens_per_usd": option.tokens_per_dollar if option.change.kind == "local" else None,
        "change": advice.change(option),
        "check": advice.command(option, facts.period, facts.user_id),
        "not_known": advice.DOUBTS[option.change.kind],
    }


SPEC: Final = Spec(
    "show-optimization",
    "Save",
    __doc__,
    ("show-optimization", "show-optimization --user rpatel --days 90", "show-optimization --json"),
    SavingsQuestion,
    optimization_facts,
    optimization_report,
    options=(USER, SPAN),
)
