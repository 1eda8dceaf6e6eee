"""``reprice``: which calls are corrected, by how much, and which have no price even now."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis.repricing import Repricing
from ..money import to_usd
from .common import plural, usd
from .document import Column, Figure, Note, Report, Row, Table

_COLUMNS = (
    Column("model", "Model"),
    Column("priced_by", "Priced by", rank=2),
    Column("calls", "Calls", "count"),
    Column("unpriced", "Had no price", "count", rank=1),
    Column("before", "Was", "money", places=4),
    Column("after", "Is", "money", places=4),
    Column("difference", "Difference", "money", places=4),
)


def repricing_report(found: Repricing, *, written: bool, prices_path: str = "prices.yaml") -> Report:
    """Return what was corrected, or without ``written`` what would be."""
    return Report(
        title=_title(found, written=written),
        figures=(
            Figure("examined", "Calls looked at", found.examined, "count"),
            Figure("repriced", "Corrected", found.repriced, "count", _resolved(found)),
            Figure("difference", "Difference", found.difference, places=4),
        ),
        tables=(Table("By model", _COLUMNS, tuple(_rows(found))),) if found.changes else (),
        notes=tuple(_notes(found, prices_path, written=written)),
        data=_data(found, written=written),
    )


def _resolved(found: Repricing) -> str:
    return f"{found.resolved:,} of them had no price" if found.resolved else ""


def _title(found: Repricing, *, written: bool) -> str:
    if not found.repriced:
        return "Nothing to correct"
    return "Corrected" if written else "What would be corrected"


def _rows(found: Repricing) -> Iterator[Row]:
    for change, sums in sorted(found.changes.items()):
        by = f"{change.source} {change.version}"
        difference = sums.after - sums.before
        before = None if sums.resolved == sums.calls else sums.before
        yield (change.name, by, sums.calls, sums.resolved, before, sums.after, difference)


def _notes(found: Repricing, prices_path: str, *, written: bool) -> Iterator[Note]:
    if found.repriced:
        calls = plural(found.repriced, "call", "calls")
        done = (
            "was appended: no line was edited"
            if written
            else "would be appended; nothing was written yet: add --yes"
        )
        yield Note(f"An adjustment of each of {calls} {done}.")
        if found.difference:
            word = "more" if found.difference > 0 else "less"
            amount = usd(abs(found.difference))  # type: ignore[arg-type]  # the size of an amount is one
            yield Note(f"The months of these calls cost {amount} {word} in all.")
    if found.unpriced:
        calls = plural(found.unpriced.total(), "call has", "calls have")
        models = sorted(found.unpriced)
        names = ", ".join(models[:3]) + (", ..." if len(models) > 3 else "")
        yield Note(f"{calls} no price even now ({names}): add it to {prices_path}.", "warning")


def _data(found: Repricing, *, written: bool) -> dict[str, object]:
    return {
        "written": written,
        "examined_calls": found.examined,
        "repriced_calls": found.repriced,
        "resolved_calls": found.resolved,
        "difference_usd": to_usd(found.difference),
        "models": [
            {
                "model": change.name,
                "source": change.source,
                "version": change.version,
                "calls": sums.calls,
                "resolved_calls": sums.resolved,
                "before_usd": to_usd(sums.before),
                "after_usd": to_usd(sums.after),
            }
            for change, sums in sorted(found.changes.items())
        ],
        "unpriced": dict(sorted(found.unpriced.items())),
    }
