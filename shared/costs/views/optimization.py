"""``show-optimization``: what the same calls would have cost otherwise, and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ..analysis.optimise import Option, OptionKind, Savings
from ..analysis.sums import UNNAMED
from ..money import Nanos, format_usd, percent, to_usd
from ..periods import Period
from .common import Health, named, plural
from .report import Column, Figure, Note, Report, Row, Table

_ADVICE: Final[Mapping[OptionKind, str]] = {
    "model": "use {to} in this stage",
    "batch": "send these calls through the provider's batch service",
    "model and batch": "use {to} through the provider's batch service",
    "local": "run {to} on your own machine",
}
_DOUBTS: Final[Mapping[OptionKind, str]] = {
    "model": "whether its answers are good enough: compare a few jobs",
    "batch": "whether the stage can wait: batches are answered within 24 hours",
    "model and batch": "whether its answers are good enough, and whether the stage can wait",
    "local": "its quality, its speed on your machine, and the power it draws",
}


@dataclass(frozen=True, slots=True)
class OptimizationFacts:
    """What the view needs to know."""

    user_id: str | None
    period: Period
    savings: Savings
    health: Health


def optimization_report(facts: OptimizationFacts) -> Report:
    """Return the savings that were found, the largest first."""
    savings = facts.savings
    who = "everyone" if facts.user_id is None else f"user {facts.user_id}"
    calls = plural(savings.calls, "call", "calls")
    return Report(
        title=f"Savings, {who}",
        subtitle=f"{named(facts.period)}, {calls} repriced with their own tokens",
        figures=tuple(_figures(savings)) if savings.calls else (),
        tables=tuple(_tables(savings)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _figures(savings: Savings) -> Iterator[Figure]:
    yield Figure("spent", "Spent", savings.spent)
    if not savings.best:
        return
    share = percent(savings.saving, savings.spent)
    parts = plural(len(savings.best), "change", "changes")
    yield Figure("saving", "Could save", savings.saving, note=f"{share:.1f}%, with {parts}", tone="good")
    local = Nanos(sum(option.saving for option in savings.best if option.change.kind == "local"))
    if local:
        yield Figure("saving_local", "of it local", local, note="by engines on your own machine")
    yield Figure("after", "Would cost", Nanos(savings.spent - savings.saving))


def _tables(savings: Savings) -> Iterator[Table]:
    if savings.best:
        yield _table("Best combination", savings.best)
        others = tuple(option for option in savings.options if option not in savings.best)
        if others:
            yield _table("Instead of these", others)


def _table(title: str, options: tuple[Option, ...]) -> Table:
    columns = (
        Column("stage", "Stage"),
        Column("from", "From", rank=1),
        Column("to", "To"),
        Column("calls", "Calls", "count", rank=3),
        Column("before", "Cost", "money", rank=2),
        Column("saving", "Saves", "money"),
        Column("saving_percent", "Saves %", "percent"),
    )
    return Table(title, columns, tuple(_row(option) for option in options))


def _row(option: Option) -> Row:
    slot = option.slot
    model = f"{slot.service}/{slot.model}"
    return (
        slot.stage or UNNAMED,
        model,
        option.change.name,
        option.calls,
        option.before,
        option.saving,
        option.percent,
    )


def _notes(facts: OptimizationFacts) -> Iterator[Note]:
    savings = facts.savings
    if not savings.calls:
        yield Note("No calls to reprice in this stretch of time.")
    elif not savings.best:
        yield Note("Nothing cheaper of the same kind is known for these calls.")
    if savings.unpriced_calls:
        calls = plural(savings.unpriced_calls, "call has", "calls have")
        yield Note(f"{calls} no known price and could not be compared.", "warning")
    for option in savings.best[:3]:
        yield Note(
            f"{option.slot.stage or UNNAMED}: {advice(option)}. Not known: {_DOUBTS[option.change.kind]}."
        )
    if any(option not in savings.best for option in savings.options):
        yield Note("Savings of one stage and model exclude each other; the total counts the best of each.")


def advice(option: Option) -> str:
    """Return what to do, as a phrase."""
    saved = f"saves {format_usd(option.saving)} of {format_usd(option.before)}"
    return f"{_ADVICE[option.change.kind].format(to=option.change.name)}, {saved}"


def _data(facts: OptimizationFacts) -> dict[str, object]:
    savings = facts.savings
    return {
        "user_id": facts.user_id,
        "start": facts.period.start.isoformat(),
        "end": facts.period.end.isoformat(),
        "calls": savings.calls,
        "unpriced_calls": savings.unpriced_calls,
        "spent_usd": to_usd(savings.spent),
        "saving_usd": to_usd(savings.saving),
        "saving_percent": round(percent(savings.saving, savings.spent), 4) if savings.spent else 0.0,
        "best": [_option(option) for option in savings.best],
        "options": [_option(option) for option in savings.options],
    }


def _option(option: Option) -> dict[str, object]:
    return {
        "kind": option.change.kind,
        "stage": option.slot.stage,
        "from": f"{option.slot.service}/{option.slot.model}",
        "to": option.change.name,
        "calls": option.calls,
        "cost_usd": to_usd(option.before),
        "cost_after_usd": to_usd(option.after),
        "saving_usd": to_usd(option.saving),
        "saving_percent": round(option.percent, 4),
        "change": advice(option),
        "not_known": _DOUBTS[option.change.kind],
    }
