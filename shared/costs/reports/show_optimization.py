"""What your own calls would have cost on other models, in batches, or locally.

Every call is repriced with its own tokens, on its own day. Savings that exclude each other are
not added up. Without --user: everyone. Without dates: the present month.

Calls with the tag "interactive" are not proposed for batches. Where calls carry an outcome or a
quality in their metadata, it also shows what a result and a point of quality cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Final, Literal, NamedTuple, Protocol, get_args

from ..analysis.caching import Cacheable
from ..analysis.machines import MachineWork
from ..analysis.optimise import Proposal, Savings, find_improvements
from ..analysis.options import OptionKind, Slot
from ..analysis.outcomes import NOT_USED, Reason, Waste, Worth
from ..analysis.sums import UNNAMED
from ..model import Entry
from ..money import Nanos, percent, percent_words, to_usd
from ..periods import Period
from ..rollup import Query
from . import advice
from .common import Health, gone, named, noted, plural, usd, whose
from .document import Column, Figure, Note, Ref, Report, Table, derive
from .machines import machine_data, machine_doubts, machine_work
from .queries import health, reading, within
from .questions import TimeSpan
from .reader import Reader
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
    span: TimeSpan = TimeSpan()
    show: Section = "changes"


def optimization_facts(reader: Reader, asked: SavingsQuestion) -> OptimizationFacts:
    """Return what a user's calls (``None``: everyone's) would have cost otherwise."""
    period, query = within(reader, asked.span, Query(user_id=asked.user))
    with reading(reader, "Repricing", query) as entries:
        return improvement_facts(reader, asked, period, entries)


def improvement_facts(
    reader: Reader, asked: SavingsQuestion, period: Period, entries: Iterable[Entry]
) -> OptimizationFacts:
    """Return what the entries of a period would have cost otherwise; they come job by job."""
    query = Query(start=period.start, end=period.end, user_id=asked.user)
    improvements = find_improvements(entries, reader.catalogue)
    return OptimizationFacts(
        asked.user,
        period,
        improvements.savings,
        health(reader, query),
        improvements.cacheable,
        improvements.waste,
        improvements.worths,
        asked.show,
        machine_work(reader, query),
    )


def optimization_report(facts: OptimizationFacts) -> Report:
    """Return the savings that were found, the largest first, or another part of what was found."""
    savings = facts.savings
    calls = plural(savings.calls, "call repriced with its", "calls repriced with their")
    return Report(
        title=f"Savings, {whose(facts.user_id)}",
        subtitle=f"{named(facts.period)}, {calls} own tokens",
        figures=tuple(saving_figures(savings)) if savings.calls else (),
        tables=tuple(_tables(facts)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def saving_figures(savings: Savings) -> Iterator[Figure]:
    """Return what was spent, and what could be saved of it; retries apart, since they need not recur."""
    is_known = savings.spent or savings.unpriced_calls < savings.calls
    yield Figure("spent", "Spent", savings.spent if is_known else None)
    if savings.best_hosted:
        of_retries = Nanos(savings.retried - savings.retried_after)
        lasting = Nanos(advice.amount_of(savings.best_hosted) - of_retries)
        changes = plural(len(savings.best_hosted), "change", "changes")
        more = f"; {usd(of_retries)} more if retries recur" if of_retries > 0 else ""
        note = f"{' '.join([*_of_spent(lasting, savings), 'in', changes])}{more}"
        yield Figure("saving_hosted", "Could save", lasting, note=note, tone="good")
    if savings.best != savings.best_hosted:
        note = ", ".join([*_of_spent(savings.saving, savings), "on your own machine: --show local"])
        yield Figure("saving", "With local", savings.saving, note=note, tone="good")


def _of_spent(saving: Nanos, savings: Savings) -> Iterator[str]:
    """Say how much of what was spent would be saved, unless credits left less than that."""
    if saving <= savings.spent:
        yield percent_words(percent(saving, savings.spent))


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


class _ChangeLine(NamedTuple):
    """A line of what to change: one change, or what the others come to."""

    stage: str
    change: str
    calls: int
    saving: Nanos


def changes_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what to change, the largest lasting saving first; what retries would have saved is left out."""
    if lines := list(_change_lines(facts)):
        yield Table.of(
            "Best changes",
            lines,
            (Column("stage", "Stage"), lambda line: line.stage),
            (Column("change", "Change", wraps=True), lambda line: line.change),
            (Column("calls", "Calls", "count", rank=1), lambda line: line.calls),
            (Column("saving", "Saves", "money"), lambda line: line.saving),
        )


def _change_lines(facts: OptimizationFacts) -> Iterator[_ChangeLine]:
    every = _by_lasting(facts)
    shown = every[: None if facts.show == "all" else BEST]
    for number, option in enumerate(shown, 1):
        stage = Ref(f"{number}. {_stage(option)}", "stage", option.slot.stage)
        yield _ChangeLine(stage, _briefly(option), option.calls, option.lasting)
    if rest := every[len(shown) :]:
        calls, saving = sum(each.calls for each in rest), sum(each.lasting for each in rest)
        yield _ChangeLine(f"{len(rest)} more", "", calls, Nanos(saving))


def _by_lasting(facts: OptimizationFacts) -> list[Proposal]:
    """Return the best combination, the largest lasting saving first."""
    return sorted(facts.savings.best_hosted, key=lambda option: -option.lasting)


class _SlotFinding(Protocol):
    """What was found about the calls of a stage to a model."""

    @property
    def slot(self) -> Slot: ...


def _stage(finding: _SlotFinding) -> Ref:
    return Ref(finding.slot.stage or UNNAMED, "stage")


def _model(finding: _SlotFinding) -> Ref:
    return Ref(finding.slot.name, "model")


def _briefly(option: Proposal) -> str:
    """Return a change in a few words: ``gpt-4 to gpt-5.1, batch``; another service is named."""
    slot, change = option.slot, option.change
    words = {"batch": "in batches", "standard": "without priority", "split": "in shorter calls"}
    if change.kind in words:
        return f"{slot.model} {words[change.kind]}"
    return f"{slot.model} to {change.name.removeprefix(f'{slot.service}/')}"


def local_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what engines on a machine of one's own would save, and how much the machines get done."""
    yield from _options("On your own machine", [o for o in facts.savings.options if o.change.kind == "local"])
    needed = _needed(facts)
    if busy := [row for row in facts.machines if _pace(row)]:
        yield Table.of(
            "Your machines, for each dollar they cost",
            busy,
            (Column("machine", "Machine"), lambda row: row.machine),
            (Column("stage", "Stage"), lambda row: Ref(row.stage, "stage")),
            (Column("model", "Model", rank=1), lambda row: row.model),
            (Column("cost", "Cost", "money", rank=2, places=4), lambda row: row.cost),
            (Column("pace", "Did"), _pace),
            (Column("break_even", "Break-even"), lambda row: needed.get(row.stage, "")),
        )


def _pace(row: MachineWork) -> str:
    return advice.pace(row.audio_minutes_per_dollar, row.tokens_per_dollar)


def _needed(facts: OptimizationFacts) -> Mapping[str, str]:
    """Return what a machine must get done for each dollar to be cheaper than what a stage pays now."""
    local = (option for option in facts.savings.options if option.change.kind == "local")
    return {option.slot.stage or "": advice.break_even(option) for option in local}


def _others_table(facts: OptimizationFacts) -> Iterator[Table]:
    best = {id(option) for option in facts.savings.best_hosted}
    rest = [o for o in facts.savings.options if o.change.kind != "local" and id(o) not in best]
    yield from _options("Other ways", rest[:OTHERS])


def _options(title: str, options: Sequence[Proposal]) -> Iterator[Table]:
    breaks_even = any(map(advice.break_even, options))
    if options:
        yield Table.of(
            title,
            options,
            (Column("stage", "Stage"), _stage),
            (Column("from", "From"), _model),
            (Column("to", "To"), lambda option: option.change.name),
            (Column("calls", "Calls", "count", rank=3), lambda option: option.calls),
            (Column("before", "Cost", "money", rank=2), lambda option: option.before),
            (Column("saving", "Saves", "money"), lambda option: option.saving),
            (Column("saving_percent", "Saves %", "percent", rank=1), lambda option: option.percent),
            *([(Column("break_even", "Break-even", rank=1), advice.break_even)] if breaks_even else []),
        )


def caching_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what prompt caches would save at most."""
    if facts.cacheable:
        yield Table.of(
            "With prompt caches",
            facts.cacheable,
            (Column("stage", "Stage"), _stage),
            (Column("model", "Model"), _model),
            (Column("calls", "Calls", "count", rank=1), lambda cached: cached.calls),
            (Column("before", "Cost", "money"), lambda cached: cached.before),
            (Column("saving", "At most", "money"), lambda cached: cached.saving),
            (Column("saving_percent", "Saves %", "percent", rank=2), lambda cached: cached.percent),
        )


def waste_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what was paid for results that were thrown away or made again."""
    whole = facts.savings.spent
    if facts.waste:
        yield Table.of(
            "Failed or repeated work",
            facts.waste,
            (Column("stage", "Stage"), _stage),
            (Column("model", "Model"), _model),
            (Column("reason", "Reason"), lambda waste: _REASONS[waste.reason]),
            (Column("calls", "Calls", "count", rank=1), lambda waste: waste.calls),
            (Column("cost", "Cost", "amount"), lambda waste: waste.cost),
            (
                Column("share", "Of all %", "percent", rank=2),
                lambda waste: percent(waste.cost, whole) if whole > 0 else None,
            ),
        )


def outcome_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what a result that is wanted cost; of those that nobody uses, the price says nothing."""
    if wanted := [(worth, outcome) for worth in facts.worths for outcome in _wanted(worth)]:
        yield Table.of(
            "Cost of an outcome",
            wanted,
            (Column("stage", "Stage"), lambda one: _stage(one[0])),
            (Column("model", "Model"), lambda one: _model(one[0])),
            (Column("outcome", "Outcome"), lambda one: one[1]),
            (Column("calls", "Calls", "count", rank=1), lambda one: one[0].outcomes[one[1]]),
            (
                Column("share", "Of all %", "percent", rank=2),
                lambda one: one[0].outcomes[one[1]] * 100 / one[0].with_outcome,
            ),
            (Column("each", "For one", "money", places=4), lambda one: one[0].cost_of(one[1])),
        )


def _wanted(worth: Worth) -> list[str]:
    return [outcome for outcome, _ in worth.outcomes.most_common() if outcome not in NOT_USED][:OUTCOMES]


def quality_table(facts: OptimizationFacts) -> Iterator[Table]:
    """Return what a point of quality cost."""
    if rated := [worth for worth in facts.worths if worth.cost_per_point is not None]:
        yield Table.of(
            "Cost of quality",
            rated,
            (Column("stage", "Stage"), _stage),
            (Column("model", "Model"), _model),
            (Column("calls", "Calls", "count", rank=1), lambda worth: worth.rated),
            (Column("quality", "Quality", "score"), lambda worth: worth.quality),
            (Column("per_point", "A point", "money", places=4), lambda worth: worth.cost_per_point),
        )


def _notes(facts: OptimizationFacts) -> Iterator[Note]:
    savings = facts.savings
    if not savings.calls:
        yield Note("No calls to reprice in this period.")
    elif not savings.best:
        yield Note("Nothing cheaper of the same kind is known for these calls.")
    has = ("call has", "calls have")
    missing = "units without a price, or not stated, and could not be compared."
    yield from noted(savings.unpriced_calls, *has, "no known price and could not be compared.")
    yield from gone(facts.health)
    yield from noted(savings.partial_calls, *has, missing)
    if facts.show == "changes":
        yield from saving_notes(facts)
    if facts.show == "all":
        yield from _steps(facts)
    yield from cautions(facts)


def saving_notes(facts: OptimizationFacts) -> Iterator[Note]:
    """Return a line for each part that is not shown, and the command that checks the first change."""
    yield from _check_it(facts)
    if facts.waste:
        cost = Nanos(sum(waste.cost for waste in facts.waste))
        yield Note(f"Failed or repeated work cost {usd(cost)}, not in the totals: --show waste.")
    if facts.cacheable:
        most = Nanos(sum(each.saving for each in facts.cacheable))
        yield Note(f"Prompt caches would save at most {usd(most)}: --show caching.")
    outcomes = ["outcomes", "quality"] if any(worth.with_outcome for worth in facts.worths) else []
    if more := [*outcomes, *(["all"] if facts.savings.options else [])]:
        yield Note(f"More: --show {', '.join(more)}.")


def _steps(facts: OptimizationFacts) -> Iterator[Note]:
    """Say what to do for the best combination, and how to check the first of it."""
    yield from (Note(advice.step(number, option)) for number, option in enumerate(_by_lasting(facts), 1))
    yield from _check_it(facts)


def _check_it(facts: OptimizationFacts) -> Iterator[Note]:
    """Return the command that checks the first change that can be checked."""
    commands = (advice.command(option, facts.period, facts.user_id) for option in _by_lasting(facts))
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
    if facts.show in ("outcomes", "all") and any(worth.with_outcome for worth in facts.worths):
        yield Note("The cost of an outcome includes what the calls with other outcomes cost.")


def _data(facts: OptimizationFacts) -> dict[str, object]:
    """Return the savings, what could be cached, failed or repeated work, and what results cost."""
    savings = facts.savings
    return {
        **derive(facts, "user_id", "period.start", "period.end"),
        **derive(savings, "calls", "unpriced_calls", "partial_calls", "spent", "saving", "saving_hosted"),
        "saving_percent": round(percent(savings.saving, savings.spent), 4) if savings.spent > 0 else 0.0,
        **derive(savings, "retried", "retried_after"),
        "caching": [_cacheable(each) for each in facts.cacheable],
        "waste": [_wasted(each, savings.spent) for each in facts.waste],
        "results": [_worth(each) for each in facts.worths],
        "best": [_option(option, facts) for option in savings.best],
        "best_hosted": [_option(option, facts) for option in savings.best_hosted],
        "options": [_option(option, facts) for option in savings.options],
        **({"machines": machine_data(facts.machines)} if facts.machines else {}),
    }


def _cacheable(cacheable: Cacheable) -> dict[str, object]:
    names = ("slot.stage", "model=slot.name", "calls", "cost=before", "saving_at_most=saving")
    return {
        **derive(cacheable, *names),
        "saving_percent": round(cacheable.percent, 4),
        "change": advice.caching_step(cacheable),
        "not_known": "whether the inputs begin alike",
    }


def _wasted(waste: Waste, spent: Nanos) -> dict[str, object]:
    return {
        **derive(waste, "slot.stage", "model=slot.name", "reason", "calls", "cost"),
        "percent_of_all": round(percent(waste.cost, spent), 4) if spent > 0 else 0.0,
        "change": advice.cause(waste),
        "not_known": "how much of it can be avoided",
    }


def _worth(worth: Worth) -> dict[str, object]:
    return {
        **derive(worth, "slot.stage", "model=slot.name"),
        "outcomes": {
            outcome: {"calls": calls, "cost_of_one_usd": to_usd(worth.cost_of(outcome))}
            for outcome, calls in worth.outcomes.most_common()
        },
        "rated_calls": worth.rated,
        "quality": None if worth.quality is None else round(worth.quality, 6),
        **derive(worth, "cost_per_point"),
    }


def _option(option: Proposal, facts: OptimizationFacts) -> dict[str, object]:
    names = ("change.kind", "slot.stage", "from=slot.name", "to=change.name", "calls", "cost=before")
    return {
        **derive(option, *names, "cost_after=after", "saving"),
        "saving_percent": round(option.percent, 4),
        "break_even_minutes_per_usd": option.audio_minutes_per_dollar,
        "break_even_tokens_per_usd": option.tokens_per_dollar if option.change.kind == "local" else None,
        "change": advice.change(option),
        "check": advice.command(option, facts.period, facts.user_id),
        "not_known": advice.DOUBTS[option.change.kind],
    }


SPEC: Final = Spec(
    "Save",
    ("show-optimization", "show-optimization --user rpatel --days 90", "show-optimization --show all"),
    SavingsQuestion,
    optimization_facts,
    optimization_report,
    options=(
        USER,
        SPAN,
        Option("--show", "Another part of it, or all.", choices=SECTIONS, default="changes"),
    ),
)
