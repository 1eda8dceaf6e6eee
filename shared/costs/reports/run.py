"""``run``: what the AI calls of one program cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ..model import Entry
from ..money import Nanos, format_usd, percent, to_usd
from ..rollup import Totals
from .common import plural
from .document import Column, Figure, Gauge, Note, Report, Table, Tone

_LONGEST: Final = 100


class RunBudget(NamedTuple):
    """What a run could spend, in nano-dollars, and how many of its calls were held back."""

    amount: Nanos
    denied: int = 0


def run_report(
    command: Sequence[str], entries: Iterable[Entry], exit_code: int, budget: RunBudget | None = None
) -> Report:
    """Return what a program's calls cost, by model, and what is not known about them."""
    entries = list(entries)
    total, by_model = Totals(), dict[str, Totals]()
    for entry in entries:
        total.add(entry)
        by_model.setdefault(f"{entry.service}/{entry.model}", Totals()).add(entry)
    # Nothing captured does not mean that it cost nothing: whether the program made calls is not known.
    known = any(entry.charge is not None for entry in entries)
    ranked = sorted(by_model.items(), key=lambda item: (-item[1].cost, item[0]))
    return Report(
        title="Cost of this run",
        subtitle=_shortened(" ".join(command)),
        figures=(
            Figure("cost", "Cost", total.cost, "money")
            if known
            else Figure("cost", "Cost", "unknown", "text"),
            Figure("calls", "AI calls", total.calls, "count"),
        ),
        gauges=(_gauge(budget, total),) if budget else (),
        tables=(_table(ranked),) if ranked else (),
        notes=(*_held_back(budget), *_notes(entries, total)),
        data={
            "command": list(command),
            "exit_code": exit_code,
            "total_cost": to_usd(total.cost) if known else None,
            "calls": total.calls,
            "unpriced_calls": total.unpriced_calls,
            "partial_calls": total.partial_calls,
            "estimated_calls": total.estimated_calls,
            "retried_calls": total.retried_calls,
            "by_model": {model: to_usd(sums.cost) for model, sums in ranked},
            "budget_usd": to_usd(budget.amount) if budget else None,
            "denied_calls": budget.denied if budget else 0,
        },
    )


def _gauge(budget: RunBudget, total: Totals) -> Gauge:
    used = percent(total.cost, budget.amount)
    tone: Tone = "critical" if total.cost > budget.amount else "good"
    return Gauge("budget", total.cost, budget.amount, used, tone=tone)


def _held_back(budget: RunBudget | None) -> Iterator[Note]:
    if budget is not None and budget.denied:
        calls = plural(budget.denied, "call was", "calls were")
        yield Note(f"{calls} not sent: the budget of {format_usd(budget.amount)} had no room.", "warning")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _table(ranked: Sequence[tuple[str, Totals]]) -> Table:
    return Table.of(
        "By model",
        ranked,
        (Column("model", "Model"), lambda one: one[0]),
        (Column("calls", "Calls", "count"), lambda one: one[1].calls),
        (Column("tokens_input", "Input", "tokens", rank=1), lambda one: one[1].tokens_input),
        (Column("tokens_output", "Output", "tokens", rank=1), lambda one: one[1].tokens_output),
        (Column("cost", "Cost", "money", places=4), lambda one: one[1].cost),
    )


def _notes(entries: Sequence[Entry], total: Totals) -> Iterator[Note]:
    if not entries:
        yield Note("No AI call was captured.", "warning")
    if total.unpriced_calls:
        calls = plural(total.unpriced_calls, "call has no price and is", "calls have no price and are")
        yield Note(f"{calls} not in the cost.", "warning")
    if total.partial_calls:
        units = sorted({name for entry in entries for name in entry.unpriced_units if entry.charge})
        calls = plural(total.partial_calls, "call is", "calls are")
        yield Note(f"{calls} priced in part: there is no price for {', '.join(units)}.", "warning")
    reasons = {str(entry.metadata["incomplete"]) for entry in entries if "incomplete" in entry.metadata}
    for reason in sorted(reasons):
        yield Note(f"Estimated: {reason}.", "warning")
    if total.retried_calls:
        calls = plural(total.retried_calls, "call was", "calls were")
        yield Note(f"{calls} repeated by a later attempt of the stage.")
