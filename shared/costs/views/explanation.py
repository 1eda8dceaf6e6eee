"""``explain``: why two months, weeks, days or jobs cost differently, to the nano-dollar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ..analysis.explain import Explanation, Part
from ..money import Nanos, json_number, percent, to_usd
from .common import Health, incomplete, plural
from .report import Column, Figure, Note, Report, Row, Table

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "retries": "work that was done again",
        "volume": "more or fewer calls",
        "models": "other models",
        "tiers": "other service tiers, such as batch",
        "caching": "more or less input from caches",
        "size": "longer or shorter calls",
        "prices": "other prices",
    }
)
_STAGES_SHOWN: Final = 12


class ExplainFacts(NamedTuple):
    """What the view needs to know: the two sides as people named them, and what lies between them.

    ``alike`` is the command that compares as many days of both, where one of them is not over.
    """

    before: str
    after: str
    explanation: Explanation
    health: Health = Health()
    alike: str | None = None


def explain_report(facts: ExplainFacts) -> Report:
    """Return the difference, split."""
    found = facts.explanation
    difference = Nanos(found.after - found.before)
    change = f"{percent(difference, found.before):+.1f}%" if found.before else ""
    return Report(
        title=f"{facts.after} against {facts.before}",
        figures=(
            Figure("before", "Before", found.before, note=_side(facts.before, found.calls[0]), places=4),
            Figure("after", "After", found.after, note=_side(facts.after, found.calls[1]), places=4),
            Figure("difference", "Difference", difference, note=change, places=4),
        ),
        tables=_tables(found, difference) if found.parts else (),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _side(name: str, calls: int) -> str:
    return f"{name}, {plural(calls, 'call', 'calls') if calls else 'no calls'}"


def _tables(found: Explanation, difference: Nanos) -> tuple[Table, ...]:
    reasons = Table(
        "Reason",
        (
            Column("reason", "Reason"),
            Column("what", "What", rank=1),
            Column("amount", "Effect", "money", places=4),
        ),
        tuple((reason, _WORDS[reason], amount) for reason, amount in found.by_reason().items() if amount),
        total=("together", "", difference),
    )
    columns = (
        Column("stage", "Stage"),
        Column("reason", "Reason"),
        Column("amount", "Effect", "money", places=4),
    )
    rows: tuple[Row, ...] = tuple(found.parts[:_STAGES_SHOWN])
    return reasons, Table("Where most of it lies", columns, rows)


def _notes(facts: ExplainFacts) -> Iterator[Note]:
    found = facts.explanation
    if not any(found.calls):
        yield Note("Neither side has any calls.")
    elif not found.parts:
        yield Note("Both cost the same, for the same reasons.")
    if found.unpriced:
        calls = plural(found.unpriced, "call has", "calls have")
        yield Note(f"{calls} no known price and no part in this.", "warning")
    yield from incomplete(facts.health)
    if facts.alike:
        yield Note(f"One of them is not over. As many days of both: {facts.alike}")


def _data(facts: ExplainFacts) -> dict[str, object]:
    found = facts.explanation
    return {
        "before": facts.before,
        "after": facts.after,
        "before_usd": to_usd(found.before),
        "after_usd": to_usd(found.after),
        "difference_usd": to_usd(Nanos(found.after - found.before)),
        "by_reason": {reason: to_usd(amount) for reason, amount in found.by_reason().items()},
        "parts": [_part(part) for part in found.parts],
        "calls_before": found.calls[0],
        "calls_after": found.calls[1],
        "unpriced_calls": found.unpriced,
        "incomplete": len(facts.health.problems),
    }


def _part(part: Part) -> dict[str, object]:
    return {
        "stage": part.stage,
        "reason": part.reason,
        "effect_usd": to_usd(part.amount),
        "effect_exact": json_number(part.amount),
    }
