"""``estimate`` and ``compare-models``: what work will cost, before it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..analysis.estimates import WHOLE, Asked, ModelCost, StageEstimate
from ..model import Usage
from ..money import Nanos, percent, to_usd
from .common import percent_words, plural, usd
from .report import Column, Figure, Note, Report, Row, Table

_COUNTS = {
    "tokens_input": "input tokens",
    "tokens_output": "output tokens",
    "characters": "characters",
    "images": "images",
    "pages": "pages",
}


class Work(NamedTuple):
    """What is asked about, and in words what was assumed about it."""

    asked: Asked
    assumed: Sequence[str] = ()


class Left(NamedTuple):
    """What is left of a user's month, in nano-dollars; ``amount`` is ``None`` without a limit."""

    user_id: str
    amount: Nanos | None


def work_words(usage: Usage) -> str:
    """Return the work in words.

    >>> work_words(Usage(tokens_input=1_500, tokens_output=300, audio_seconds=90))
    '1,500 input tokens, 300 output tokens, 1.5 minutes of audio'
    """
    counts = usage.counts()
    words = [f"{int(counts[name]):,} {what}" for name, what in _COUNTS.items() if name in counts]
    if usage.audio_seconds:
        words.append(f"{round(usage.audio_seconds / 60, 2):,g} minutes of audio")
    return ", ".join(words)


def estimate_report(work: Work, cost: ModelCost, arithmetic: Sequence[str], left: Left) -> Report:
    """Return what the work costs on one model, and how that was reckoned."""
    notes = [Note(line) for line in arithmetic]
    if work.asked.calls > 1:
        notes.append(Note(f"times {work.asked.calls:,} calls"))
    if cost.unverified:
        notes.append(Note("The source of this price is not sure of it.", "warning"))
    return Report(
        title=cost.name,
        subtitle=_subtitle(work),
        figures=(Figure("cost", "Will cost", cost.cost, places=4),),
        notes=(*notes, *_notes(work, cost.cost, left)),
        data={
            "model": cost.name,
            **_cost(cost),
            **_work(work),
            **_left(left),
            "arithmetic": list(arithmetic),
        },
    )


def comparison_report(work: Work, costs: Sequence[ModelCost], shown: int) -> Report:
    """Return what the work costs on several models, beside the cheapest that is not free."""
    priced = [one for one in costs if one.cost is not None]
    base = next((one.cost for one in priced if one.cost), None)
    columns = (
        Column("model", "Model"),
        Column("cost", "Cost", "money", places=4),
        Column("times", "Times the cheapest", rank=1),
    )
    rows = tuple((one.name, one.cost, _times(one.cost, base)) for one in priced[:shown])
    notes = [Note(f"{one.name}: {one.why}.", "warning") for one in costs if one.cost is None][:5]
    if len(priced) > shown:
        notes.append(
            Note(f"{plural(len(priced) - shown, 'dearer one', 'dearer ones')}; --json has them all.")
        )
    return Report(
        title="Models beside each other",
        subtitle=_subtitle(work),
        tables=(Table("Cheapest first", columns, rows, empty="None has a price for this."),),
        notes=(*notes, *map(Note, work.assumed)),
        data={**_work(work), "models": [{"model": one.name, **_cost(one)} for one in costs]},
    )


def _times(cost: Nanos | None, base: Nanos | None) -> str:
    return f"{cost / base:.1f}" if cost and base else ""


def history_estimate_report(work: Work, stages: Sequence[StageEstimate], left: Left) -> Report:
    """Return what each stage will cost by what it cost before, and the whole job."""
    whole = next((one for one in stages if one.stage == WHOLE), None)
    columns = (
        Column("stage", "Stage"),
        Column("median", "Half stay below", "money", places=4),
        Column("ninety", "9 of 10 stay below", "money", places=4),
        Column("jobs", "Jobs", "count", rank=1),
        Column("per", "By", rank=2),
    )
    rows: tuple[Row, ...] = tuple(tuple(one) for one in stages if one.stage != WHOLE)
    counts = whole or (stages[0] if len(stages) == 1 else None)
    notes = [*_notes(work, counts.ninety if counts else None, left)]
    if whole:
        notes.insert(0, Note("Whole jobs are reckoned by themselves: stages are not dear all at once."))
    return Report(
        title="Estimate from earlier jobs" if rows else "No earlier jobs to estimate from",
        subtitle=f"{_subtitle(work)}, user {left.user_id}",
        tables=(Table("By stage", columns, rows, total=tuple(whole) if whole else None),) if rows else (),
        notes=tuple(notes),
        data={**_work(work), **_left(left), "stages": [_stage(one) for one in stages]},
    )


def _subtitle(work: Work) -> str:
    tier = f", {work.asked.tier}" if work.asked.tier else ""
    calls = f", {plural(work.asked.calls, 'call', 'calls')}" if work.asked.calls > 1 else ""
    return f"{work_words(work.asked.usage)}{calls}{tier}"


def _notes(work: Work, cost: Nanos | None, left: Left) -> Iterator[Note]:
    yield from map(Note, work.assumed)
    if left.amount is None or cost is None:
        return
    if cost > left.amount:
        text = f"More than the {usd(left.amount)} that user {left.user_id} has left this month."
        yield Note(text, "critical")
    elif cost:
        share = percent_words(percent(cost, left.amount))
        yield Note(f"{share} of the {usd(left.amount)} that user {left.user_id} has left this month.")


def _cost(cost: ModelCost) -> dict[str, object]:
    return {
        "cost_usd": None if cost.cost is None else to_usd(cost.cost),
        "unpriced_why": cost.why or None,
        "unverified": cost.unverified,
    }


def _work(work: Work) -> dict[str, object]:
    asked = work.asked
    return {
        "usage": asked.usage.counts(),
        "calls": asked.calls,
        "service_tier": asked.tier,
        "assumed": list(work.assumed),
    }


def _left(left: Left) -> dict[str, object]:
    return {"user_id": left.user_id, "left_usd": None if left.amount is None else to_usd(left.amount)}


def _stage(one: StageEstimate) -> dict[str, object]:
    return {
        "stage": one.stage,
        "median_usd": to_usd(one.median),
        "p90_usd": to_usd(one.ninety),
        "jobs": one.jobs,
        "per": one.per,
    }
