"""``show-optimization``: what the same calls would have cost otherwise, and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..analysis.caching import Cacheable
from ..analysis.optimise import Option, Savings
from ..analysis.options import OptionKind, Slot
from ..analysis.sums import UNNAMED
from ..money import Nanos, format_usd, percent, to_usd
from ..periods import Period
from .common import Health, named, percent_words, plural, usd
from .report import Column, Figure, Note, Report, Row, Table

_ADVICE: Final[Mapping[OptionKind, str]] = {
    "model": "use {to} in this stage",
    "batch": "send these calls through the provider's batch service",
    "model and batch": "use {to} through the provider's batch service",
    "standard": "leave out the priority tier",
    "split": "send long inputs in pieces: a longer context is dearer by the token",
    "local": "run {to} on your own machine",
}
_DOUBTS: Final[Mapping[OptionKind, str]] = {
    "model": "whether its answers are good enough: compare a few jobs",
    "batch": "whether the stage can wait: batches are answered within 24 hours",
    "model and batch": "whether its answers are good enough, and whether the stage can wait",
    "standard": "whether the stage can bear slower answers",
    "split": "whether the work can be divided",
    "local": "its quality, its speed on your machine, and the power it draws",
}


_CAUTIONS: Final[Mapping[OptionKind, str]] = {
    "model": "Other models: nothing here says that their answers are as good. Compare a few jobs first.",
    "batch": "Batches are answered within 24 hours: only for stages that can wait.",
    "split": "Shorter calls: only for work that can be divided, such as summaries of parts.",
    "local": "Local engines cost $0 here; their quality, their speed and their power are not counted.",
}
_OTHERS: Final = 8
"""How many other ways the text shows; the JSON has all."""


@dataclass(frozen=True, slots=True)
class OptimizationFacts:
    """What the view needs to know."""

    user_id: str | None
    period: Period
    savings: Savings
    health: Health
    cacheable: Sequence[Cacheable] = ()


def optimization_report(facts: OptimizationFacts) -> Report:
    """Return the savings that were found, the largest first."""
    savings = facts.savings
    who = "everyone" if facts.user_id is None else f"user {facts.user_id}"
    calls = plural(savings.calls, "call", "calls")
    return Report(
        title=f"Savings, {who}",
        subtitle=f"{named(facts.period)}, {calls} repriced with their own tokens",
        figures=tuple(_figures(savings)) if savings.calls else (),
        tables=(*_tables(savings), *_caching(facts.cacheable)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _figures(savings: Savings) -> Iterator[Figure]:
    yield Figure("spent", "Spent", savings.spent)
    if not savings.best:
        return
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
    saving = Nanos(sum(option.saving for option in options))
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


def _caching(cacheable: Sequence[Cacheable]) -> Iterator[Table]:
    if not cacheable:
        return
    columns = (
        Column("stage", "Stage"),
        Column("model", "Model"),
        Column("calls", "Calls", "count", rank=1),
        Column("before", "Cost", "money"),
        Column("saving", "At most", "money"),
    )
    rows = tuple((c.slot.stage or UNNAMED, _model(c.slot), c.calls, c.before, c.saving) for c in cacheable)
    yield Table("If inputs begin alike", columns, rows)


def _model(slot: Slot) -> str:
    return f"{slot.service}/{slot.model}"


def _table(title: str, options: tuple[Option, ...]) -> Table:
    columns = (
        Column("stage", "Stage"),
        Column("from", "From"),
        Column("to", "To"),
        Column("calls", "Calls", "count", rank=3),
        Column("before", "Cost", "money", rank=2),
        Column("saving", "Saves", "money"),
        Column("saving_percent", "Saves %", "percent", rank=1),
    )
    return Table(title, columns, tuple(_row(option) for option in options))


def _row(option: Option) -> Row:
    slot = option.slot
    model = _model(slot)
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
    kinds = {option.change.kind for option in savings.options}
    for kind, caution in _CAUTIONS.items():
        if kind in kinds:
            yield Note(caution)
    yield from _break_even(savings)
    if facts.cacheable:
        yield Note(
            "Caching saves where calls of a job begin with the same text: put what is alike first, and turn "
            "the provider's prompt cache on. It is an upper bound, and in no total."
        )
    if len(savings.options) > len(savings.best_hosted):
        yield Note("Savings of one stage and model exclude each other; totals count the best of each.")


def _break_even(savings: Savings) -> Iterator[Note]:
    """Say what a machine of one's own must do to be cheaper, for speech recognition."""
    for option in savings.options:
        minutes = option.audio_minutes_per_dollar if option.change.kind == "local" else None
        if minutes:
            yield Note(
                f"{option.change.name} breaks even on a machine that does {minutes:,.0f} minutes of audio "
                f"for each dollar it costs to run; that is what {_model(option.slot)} charged."
            )


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
        "saving_hosted_usd": to_usd(savings.saving_hosted),
        "saving_percent": round(percent(savings.saving, savings.spent), 4) if savings.spent else 0.0,
        "retried_usd": to_usd(savings.retried),
        "retried_after_usd": to_usd(savings.retried_after),
        "caching": [_cacheable(each) for each in facts.cacheable],
        "best": [_option(option) for option in savings.best],
        "options": [_option(option) for option in savings.options],
    }


def _cacheable(cacheable: Cacheable) -> dict[str, object]:
    return {
        "stage": cacheable.slot.stage,
        "model": _model(cacheable.slot),
        "calls": cacheable.calls,
        "cost_usd": to_usd(cacheable.before),
        "saving_at_most_usd": to_usd(cacheable.saving),
    }


def _option(option: Option) -> dict[str, object]:
    return {
        "kind": option.change.kind,
        "stage": option.slot.stage,
        "from": _model(option.slot),
        "to": option.change.name,
        "calls": option.calls,
        "cost_usd": to_usd(option.before),
        "cost_after_usd": to_usd(option.after),
        "saving_usd": to_usd(option.saving),
        "saving_percent": round(option.percent, 4),
        "break_even_minutes_per_usd": option.audio_minutes_per_dollar,
        "change": advice(option),
        "not_known": _DOUBTS[option.change.kind],
    }
