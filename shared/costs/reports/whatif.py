"""The same work on other models, or under other limits: your own calls, with what would have changed.

With --swap they are repriced with their own tokens. Filters choose the calls; all others stay as they
were. Calls with the tag interactive are not sent with a tier that answers late: batch, flex. Without
dates: the present month.

With --budget all calls are tried against the limits of a profile: when each would have warned, and which
calls it would have denied. Denied calls count as not spent, so later ones may pass. Without dates: the last 3
months, the present one included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..analysis.whatif import Swap, SwapEffect, WhatIf, what_if
from ..errors import WrongUsage
from ..money import Nanos, percent, to_usd
from ..periods import Period
from .backtest import MONTHS, BackTestFacts, BackTestQuestion, back_test_facts, back_test_report
from .common import Health, incomplete, named, plural
from .document import Column, Figure, Note, Report, Table, derive
from .queries import health, reading, within
from .questions import Question, TimeSpan
from .reader import Reader
from .spec import FILTERS_BUT_TIER, SPAN, Option, Spec


class WhatIfFacts(NamedTuple):
    """What the report shows. ``unused`` are swaps that no call was covered by."""

    period: Period
    found: WhatIf
    unused: Sequence[Swap] = ()
    filters: Mapping[str, str] = MappingProxyType({})
    health: Health = Health()


class WhatIfQuestion(NamedTuple):
    """Which calls, and what to use for them instead; ``tier`` is the service tier of the swapped calls."""

    calls: Question
    swaps: Sequence[Swap]
    tier: str | None = None


def whatif_facts(reader: Reader, question: WhatIfQuestion) -> WhatIfFacts:
    """Return what the calls that were asked about would have cost with the swaps."""
    asked = question.calls
    swaps = [swap._replace(tier=question.tier) for swap in question.swaps]
    period, query = within(reader, asked.span, asked.query)
    with reading(reader, "Repricing", query) as entries:
        comparison = what_if(entries, swaps, reader.catalogue)
    used = {outcome.swap for outcome in comparison.outcomes}
    unused = [swap for swap in swaps if swap not in used]
    return WhatIfFacts(period, comparison, unused, asked.filters, health(reader, query))


def whatif_report(facts: WhatIfFacts) -> Report:
    """Return before and after, by swap and stage."""
    comparison = facts.found
    difference = Nanos(comparison.after - comparison.before)
    share = f"{percent(difference, comparison.before):+.1f}%" if comparison.before else ""
    figures = (
        Figure("before", "Was", comparison.before),
        Figure("after", "Would be", comparison.after),
        Figure(
            "difference",
            "Difference",
            difference,
            "difference",
            note=share,
            tone="good" if difference < 0 else "plain",
        ),
    )
    return Report(
        title="What if",
        subtitle=", ".join([named(facts.period), *(f"{k} {v}" for k, v in facts.filters.items())]),
        figures=figures,
        tables=tuple(_tables([outcome for outcome in comparison.outcomes if outcome.calls])),
        notes=tuple(_notes(facts)),
        data={
            **derive(facts, "period.start", "period.end", "found.before", "found.after"),
            "difference_usd": to_usd(difference),
            **derive(facts.health, "incomplete"),
            "swaps": [_outcome(outcome) for outcome in comparison.outcomes],
        },
    )


def _tables(outcomes: Sequence[SwapEffect]) -> Iterator[Table]:
    if not outcomes:
        return
    yield Table.of(
        "Instead of",
        outcomes,
        (Column("from", "From"), lambda one: _name(one.swap.model)),
        (Column("to", "To"), lambda one: target(one.swap)),
        (Column("stage", "Stage", rank=1), lambda one: one.stage),
        (Column("calls", "Calls", "count", rank=2), lambda one: one.calls),
        (Column("before", "Was", "money"), lambda one: one.before if _compares(one) else None),
        (Column("after", "Would be", "money"), lambda one: one.after if _compares(one) else None),
        (
            Column("change", "Change", "change", rank=3),
            lambda one: percent(one.difference, one.before) if one.before else "",
        ),
    )


def _compares(outcome: SwapEffect) -> bool:
    """Tell whether any of the calls has a whole price on both sides."""
    return outcome.calls > outcome.unpriced + outcome.partial


def _name(model: tuple[str, str]) -> str:
    return "/".join(model)


def target(swap: Swap) -> str:
    """Return what is used instead, with its tier."""
    return f"{_name(swap.to)}, {swap.tier}" if swap.tier else _name(swap.to)


def _notes(facts: WhatIfFacts) -> list[Note]:
    notes = [Note(f"No call to {_name(swap.model)} in this period.", "warning") for swap in facts.unused]
    for outcome in facts.found.outcomes:
        sides = f"{_name(outcome.swap.model)} to {target(outcome.swap)}"
        for left_out, what in ((outcome.unpriced, "price"), (outcome.partial, "whole price")):
            if left_out:
                calls = plural(left_out, "call", "calls")
                doubt = f"{calls} cannot be compared: no {what} for one side of {sides}."
                notes.append(Note(doubt, "warning"))
    if kept := sum(outcome.kept for outcome in facts.found.outcomes):
        calls = plural(kept, "call keeps its tier", "calls keep their tier")
        notes.append(Note(f"{calls}: the tag interactive says that somebody waits for the answer."))
    notes.extend(incomplete(facts.health))
    return [*notes, Note("Whether the answers would be as good is not known: compare a few jobs.")]


def _outcome(outcome: SwapEffect) -> dict[str, object]:
    names = ("unpriced_calls=unpriced", "partial_calls=partial", "kept_tier_calls=kept")
    return {
        "stage": outcome.stage,
        "from": _name(outcome.swap.model),
        "to": target(outcome.swap),
        **derive(outcome, "calls", *names, "before", "after", "difference"),
    }


def parse_swap(text: str) -> Swap:
    """Return the swap that ``SERVICE/MODEL=SERVICE/MODEL`` names.

    Raises:
        ValueError: it is not one; both sides need their service.
    """
    old, sign, new = text.partition("=")
    sides = [side.partition("/") for side in (old, new)]
    if not sign or not all(service and model for service, _, model in sides):
        raise ValueError(f"{text!r} is not FROM=TO; write it as openai/gpt-4=openai/gpt-4o")
    (service, _, model), (other_service, _, other) = sides
    return Swap((service, model), (other_service, other))


def _question(
    swaps: Sequence[Swap], tier: str | None, budget: Path | None, months: int | None, **given: Any
) -> WhatIfQuestion | BackTestQuestion:
    """Return the question that the options put.

    Raises:
        WrongUsage: they contradict each other, or there is nothing to try.
    """
    if months is not None and given["span"] != TimeSpan():
        raise WrongUsage("give --months or another period, not both")
    span = given["span"] if months is None else TimeSpan(last=("monthly", months))
    if swaps and not budget:
        return WhatIfQuestion(Question("What if", span=span, filters=given["filters"]), swaps, tier)
    if swaps or not budget:
        raise WrongUsage("give --swap FROM=TO to try a model, or --budget FILE to try limits; one of them")
    words = [f"--{name}" for name in given["filters"]] + ["--tier"] * bool(tier)
    if words:
        raise WrongUsage(f"--budget tries all calls, since limits count all; leave out {', '.join(words)}")
    return BackTestQuestion(budget, TimeSpan(last=("monthly", MONTHS)) if span == TimeSpan() else span)


def _facts(reader: Reader, question: WhatIfQuestion | BackTestQuestion) -> WhatIfFacts | BackTestFacts:
    if isinstance(question, BackTestQuestion):
        return back_test_facts(reader, question)
    return whatif_facts(reader, question)


def _report(facts: WhatIfFacts | BackTestFacts) -> Report:
    return back_test_report(facts) if isinstance(facts, BackTestFacts) else whatif_report(facts)


SPEC: Final = Spec(
    "Save",
    (
        "whatif --swap openai/gpt-4=openai/gpt-4o",
        "whatif --swap openai/gpt-4o=openai/gpt-4o-mini --stage 13_ai_summarization --days 90",
        "whatif --swap openai/gpt-4o=openai/gpt-4o --tier batch",
        "whatif --budget stricter.yaml --months 3",
    ),
    _question,
    _facts,
    _report,
    options=(
        Option(
            "--swap", "Use the second model for the first.", "FROM=TO", parse_swap, called="swaps", many=True
        ),
        Option("--tier", "Also send the swapped calls with this service tier, such as batch."),
        Option("--budget", "Try the limits of this profile.", "FILE", Path, at_terminal=True),
        Option("--months", "The last N months, the present one included.", "N", least=1, most=1_200),
        SPAN,
        FILTERS_BUT_TIER,
    ),
)
