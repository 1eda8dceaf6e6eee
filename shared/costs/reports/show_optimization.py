"""What your own calls would have cost on other models, in batches, or locally.

Every call is repriced with its own tokens, on its own day. Savings that exclude each other are
not added up. Without --user: everyone. Without dates: the present month.

Calls with the tag "interactive" are not proposed for batches. Where calls carry an outcome or a
quality in their metadata, it also shows what a result and a point of quality cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Final, Literal, NamedTuple, get_args

from ..analysis.caching import Cacheable
from ..analysis.improvements import find_improvements
from ..analysis.machines import MachineWork
from ..analysis.optimise import Proposal, Savings
from ..analysis.options import OptionKind, Slot
from ..analysis.outcomes import Worth
from ..analysis.sums import UNNAMED
from ..analysis.waste import NOT_USED, Reason, Waste
from ..model import Entry
from ..money import Nanos, percent, to_usd
from ..periods import Period
from ..rollup import Query
from . import advice
from .common import Health, named, percent_words, plural, usd
from .document import Column, Figure, Note, Ref, Report, Row, Table
from .machines import machine_data, machine_doubts, machine_work
from .queries import counted, health, zone_of
from .questions import Span
from .reader import Reader, in_turn
from .spec import SPAN, USER, Option, Spec

BEST: Final = 5
"""How many changes the report shows at first; ``--show all`` has all of them."""

OTHERS: Final = 8
"""How many other ways are shown; the JSON has all."""

OUTCOMES: Final = 3
"""How many outcomes of a stage and model are shown, most frequent first; the JSON has all."""

Section = Literal["changes", "waste", "caching", "local", "others", "outcomes", "quality", "all"]
SECTIONS: Final[tuple[Section, ...]] = get_args(Section)
_REASONS: Final[Mapping[Reason, str]] = {"done again": "retried", "not used": "not used"}


class OptimizationFacts(NamedTuple):
    """What the report shows. ``show`` is the part that was asked for, by default the changes to make."""

    user_id: str | None
    period: Period
    savings: Savings
    health: Health
    cacheable: Sequence[Cacheable] = ()
    waste: Sequence[Waste] = ()
    worths: Sequence[Worth] = ()
    show: Section = "changes"
    machines: Sequence[MachineWork] = ()


class SavingsQuestion(NamedTuple):
    """Whose calls to reprice (``None``: everyone's), of when, and which part to show."""

    user: str | None = None
    span: Span = Span()
    show: Section = "changes"


def optimization_facts(reader: Reader, asked: SavingsQuestion) -> OptimizationFacts:
    """Return what a user's calls (``None``: everyone's) would have cost otherwise."""
    user_id = asked.user
    period = asked.span.period(reader.now, zone_of(reader, user_id), reader.billing_day)
    reader.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    with reader.progress("Repricing") as advance:
        [entries] = in_turn([counted(reader, query)], advance)
        return improvement_facts(reader, asked, period, entries)


def improvement_facts(
    reader: Reader, asked: SavingsQuestion, period: Period, entries: Iterable[Entry]
) -> OptimizationFacts:
    """Return what the entries of a period would have cost otherwise; they come job by job."""
    query = Query(start=period.start, end=period.end, user_id=asked.user)
    found = find_improvements(entries, reader.catalogue)
    return OptimizationFacts(
        asked.user,
        period,
        found.savings,
        health(reader),
        found.cacheable,
        found.waste,
        found.worths,
        asked.show,
        machine_work(reader, query),
    )


def optimization_report(facts: OptimizationFacts) -> Report:
    """Return the savings that were found, the largest first, or another part of what was found."""
    savings = facts.savings
    who = "everyone" if facts.user_id is None else f"user {facts.user_id}"
    calls = plural(savings.calls, "call", "calls")
    return Report(
        title=f"Savings, {who}",
        subtitle=f"{named(facts.period)}, {calls} repriced with their own tokens",
        figures=tuple(saving_figures(savings)) if savings.calls else (),
        tables=tuple(_tables(facts)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def saving_figures(savings: Savings) -> Iterator[Figure]:
    """Return what was spent, and what could be saved of it; retries apart, since they need not recur."""
    yield Figure("spent", "Spent", savings.spent)
    if savings.best_hosted:
        of_retries = Nanos(savings.retried - savings.retried_after)
        lasting = Nanos(advice.amount_of(savings.best_hosted) - of_retries)
        share = percent_words(percent(lasting, savings.spent))
        changes = plural(len(savings.best_hosted), "change", "changes")
        more = f"; {usd(of_retries)} more if retries recur" if of_retries > 0 else ""
        yield Figure("saving_hosted", "Could save", lasting, note=f"{share} in {changes}{more}", tone="good")
    if savings.best != savings.best_hosted:
        note = f"{percent_words(percent(savings.saving, savings.spent))}, on your own machine: --show local"
        yield Figure("saving", "With local", savings.saving, note=note, tone="good")


def _tables(facts: OptimizationFacts) -> Iterator[Table]:
    makers: Mapping[Section, Callable[[OptimizationFacts], Iterator[Table]]] = {
        "changes": changes_table,
        "local": local_table,
        "others": _others_table,
        "caching": caching_table,
        "waste": waste_table,
        "outcomes": outcome_table,
        "quality": quality_table,
    }
    shown = tuple(makers) if facts.show == "all" else (facts.show,)
    for section in shown:
        yield from makers[section](facts)


def changes_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what to change, the largest lasting saving first; what retries would have saved is left out."""
    best = _by_lasting(facts)
    columns = (
        Column("stage", "Stage"),
        Column("change", "Change", wraps=True),
        Column("calls", "Calls", "count", rank=1),
        Column("saving", "Saves", "money"),
    )
    rows = tuple(
        (
            Ref(f"{number}. {stage_of(option.slot)}", "stage", option.slot.stage),
            _briefly(option),
            option.calls,
            option.lasting,
        )
        for number, option in enumerate(best if facts.show == "all" else best[:BEST], 1)
    )
    if rows:
        yield Table("What to change", columns, rows)


def _by_lasting(facts: OptimizationFacts) -> list[Proposal]:
    """Return the best combination, the largest lasting saving first."""
    return sorted(facts.savings.best_hosted, key=lambda option: -option.lasting)


def stage_of(slot: Slot) -> Ref:
    """Return the stage of a slot, as a thing that a page can link."""
    return Ref(slot.stage or UNNAMED, "stage")


def _model_of(slot: Slot) -> Ref:
    return Ref(advice.model_of(slot), "model")


def _briefly(option: Proposal) -> str:
    """Return a change in a few words: ``gpt-4 to gpt-5.1, batch``; another service is named."""
    slot, change = option.slot, option.change
    words = {"batch": "in batches", "standard": "without priority", "split": "in shorter calls"}
    if change.kind in words:
        return f"{slot.model} {words[change.kind]}"
    return f"{slot.model} to {change.name.removeprefix(f'{slot.service}/')}"


def local_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what engines on a machine of one's own would save, and how much the machines get done."""
    yield from _options("Or locally", [o for o in facts.savings.options if o.change.kind == "local"])
    columns = (
        Column("machine", "Machine"),
        Column("stage", "Stage"),
        Column("model", "Model", rank=1),
        Column("cost", "Cost", "money", rank=2, places=4),
        Column("pace", "Did"),
        Column("break_even", "Break-even"),
    )
    needed = _needed(facts)
    rows = tuple(
        (row.machine, Ref(row.stage, "stage"), row.model, row.cost, pace, needed.get(row.stage, ""))
        for row in facts.machines
        if (pace := advice.pace(row.audio_minutes_per_dollar, row.tokens_per_dollar))
    )
    if rows:
        yield Table("Your machines, for each dollar they cost", columns, rows)


def _needed(facts: OptimizationFacts) -> Mapping[str, str]:
    """Return what a machine must get done for each dollar to be cheaper than what a stage pays now."""
    local = (option for option in facts.savings.options if option.change.kind == "local")
    return {option.slot.stage or "": advice.break_even(option) for option in local}


def _others_table(facts: OptimizationFacts) -> Iterator[Table]:
    best = {id(option) for option in facts.savings.best_hosted}
    rest = [o for o in facts.savings.options if o.change.kind != "local" and id(o) not in best]
    yield from _options("Other ways", rest[:OTHERS])


def _options(title: str, options: Sequence[Proposal]) -> Iterator[Table]:
    columns = [
        Column("stage", "Stage"),
        Column("from", "From"),
        Column("to", "To"),
        Column("calls", "Calls", "count", rank=3),
        Column("before", "Cost", "money", rank=2),
        Column("saving", "Saves", "money"),
        Column("saving_percent", "Saves %", "percent", rank=1),
    ]
    rows: list[Row] = [
        (stage_of(o.slot), _model_of(o.slot), o.change.name, o.calls, o.before, o.saving, o.percent)
        for o in options
    ]
    if any(map(advice.break_even, options)):
        columns.append(Column("break_even", "Break-even", rank=1))
        rows = [(*row, advice.break_even(option)) for row, option in zip(rows, options, strict=True)]
    if rows:
        yield Table(title, tuple(columns), tuple(rows))


def caching_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what prompt caches would save at most."""
    columns = (
        Column("stage", "Stage"),
        Column("model", "Model"),
        Column("calls", "Calls", "count", rank=1),
        Column("before", "Cost", "money"),
        Column("saving", "At most", "money"),
        Column("saving_percent", "Saves %", "percent", rank=2),
    )
    rows = tuple(
        (stage_of(c.slot), _model_of(c.slot), c.calls, c.before, c.saving, c.percent) for c in facts.cacheable
    )
    if rows:
        yield Table("If inputs begin alike", columns, rows)


def waste_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what was paid for results that were thrown away or made again."""
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
            stage_of(w.slot),
            _model_of(w.slot),
            _REASONS[w.reason],
            w.calls,
            w.cost,
            percent(w.cost, whole) if whole else 0.0,
        )
        for w in facts.waste
    )
    if rows:
        yield Table("Failed or repeated work", columns, rows)


def outcome_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what a result that is wanted cost; of those that nobody uses, the price says nothing."""
    columns = (
        Column("stage", "Stage"),
        Column("model", "Model"),
        Column("outcome", "Outcome"),
        Column("calls", "Calls", "count", rank=1),
        Column("share", "Of all %", "percent", rank=2),
        Column("each", "For one", "money", places=4),
    )
    rows = tuple(row for worth in facts.worths for row in _outcomes(worth))
    if rows:
        yield Table("Cost of an outcome", columns, rows)


def _outcomes(worth: Worth) -> Iterator[Row]:
    wanted = [each for each in worth.outcomes.most_common() if each[0] not in NOT_USED]
    for outcome, calls in wanted[:OUTCOMES]:
        share = calls * 100 / worth.told
        yield (stage_of(worth.slot), _model_of(worth.slot), outcome, calls, share, worth.cost_of(outcome))


def quality_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what a point of quality cost."""
    columns = (
        Column("stage", "Stage"),
        Column("model", "Model"),
        Column("calls", "Calls", "count", rank=1),
        Column("quality", "Quality", "score"),
        Column("per_point", "A point", "money", places=4),
    )
    rows = tuple(
        (stage_of(w.slot), _model_of(w.slot), w.rated, w.quality, w.cost_per_point)
        for w in facts.worths
        if w.cost_per_point is not None
    )
    if rows:
        yield Table("Cost of quality", columns, rows)


def _notes(facts: OptimizationFacts) -> Iterator[Note]:
    savings = facts.savings
    if not savings.calls:
        yield Note("No calls to reprice in this stretch of time.")
    elif not savings.best:
        yield Note("Nothing cheaper of the same kind is known for these calls.")
    if savings.unpriced_calls:
        calls = plural(savings.unpriced_calls, "call has", "calls have")
        yield Note(f"{calls} no known price and could not be compared.", "warning")
    if savings.partial_calls:
        calls = plural(savings.partial_calls, "call has", "calls have")
        yield Note(f"{calls} units without a price and could not be compared.", "warning")
    if facts.show == "changes":
        yield from saving_notes(facts)
    if facts.show == "all":
        yield from _steps(facts)
    yield from cautions(facts)


def saving_notes(facts: OptimizationFacts) -> Iterator[Note]:
    """Return a line for each part that is not shown, and the command that checks the first change."""
    best = _by_lasting(facts)
    commands = (advice.command(option, facts.period, facts.user_id) for option in best)
    if command := next(filter(None, commands), None):
        yield Note(f"Check it: {command}", remedy=command)
    if facts.waste:
        cost = Nanos(sum(waste.cost for waste in facts.waste))
        yield Note(f"Failed or repeated work cost {usd(cost)}, in no total: --show waste.")
    if facts.cacheable:
        most = Nanos(sum(each.saving for each in facts.cacheable))
        yield Note(f"Prompt caches would save at most {usd(most)}: --show caching.")
    outcomes = ["outcomes", "quality"] if any(worth.told for worth in facts.worths) else []
    if more := [*outcomes, *(["all"] if facts.savings.options else [])]:
        yield Note(f"More: --show {', '.join(more)}.")


def _steps(facts: OptimizationFacts) -> Iterator[Note]:
    """Say what to do for the best combination, and how to check the first of it."""
    best = _by_lasting(facts)
    yield from (Note(advice.step(number, option)) for number, option in enumerate(best, 1))
    commands = (advice.command(option, facts.period, facts.user_id) for option in best)
    if command := next(filter(None, commands), None):
        yield Note(f"Check it: {command}", remedy=command)


def cautions(facts: OptimizationFacts) -> Iterator[Note]:
    """Return what is not known of what is shown: one line, or the whole of it where everything is shown."""
    best = {option.change.kind for option in facts.savings.best_hosted}
    if facts.show == "changes" and best:
        doubts = [doubt for kind in advice.IN_BRIEF if kind in best for doubt in advice.IN_BRIEF[kind]]
        yield Note(f"Not known: whether {'; whether '.join(dict.fromkeys(doubts))}.")
    kinds = {option.change.kind for option in facts.savings.options}
    parts: Mapping[Section, Set[OptionKind]] = {
        "local": {"local"},
        "others": set(advice.CAUTIONS) - {"local"},
        "all": set(advice.CAUTIONS),
    }
    shown = parts.get(facts.show, set()) & kinds
    yield from (Note(caution) for kind, caution in advice.CAUTIONS.items() if kind in shown)
    if "local" in shown and any(map(advice.break_even, facts.savings.options)):
        yield Note(advice.BREAK_EVEN)
    if facts.show in ("local", "all"):
        yield from machine_doubts(facts.machines)
    if facts.show in ("caching", "all") and facts.cacheable:
        yield Note(advice.CACHING)
    if facts.show in ("waste", "all") and facts.waste:
        yield Note(advice.WASTE)
    if facts.show in ("others", "all") and len(facts.savings.options) > len(facts.savings.best_hosted):
        yield Note("Savings of one stage and model exclude each other; totals count the best of each.")
    if facts.show in ("outcomes", "all") and any(worth.told for worth in facts.worths):
        yield Note("The cost of an outcome includes what the calls with other outcomes cost.")


def _data(facts: OptimizationFacts) -> dict[str, object]:
    """Return the savings, what could be cached, failed or repeated work, and what results cost."""
    savings = facts.savings
    return {
        "user_id": facts.user_id,
        "start": facts.period.start.isoformat(),
        "end": facts.period.end.isoformat(),
        "calls": savings.calls,
        "unpriced_calls": savings.unpriced_calls,
        "partial_calls": savings.partial_calls,
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
        **({"machines": machine_data(facts.machines)} if facts.machines else {}),
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


def _option(option: Proposal, facts: OptimizationFacts) -> dict[str, object]:
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
    ("show-optimization", "show-optimization --user rpatel --days 90", "show-optimization --show all"),
    SavingsQuestion,
    optimization_facts,
    optimization_report,
    options=(
        USER,
        SPAN,
        Option(("--show",), "show", "Another part of it, or all.", choices=SECTIONS, default="changes"),
    ),
)
