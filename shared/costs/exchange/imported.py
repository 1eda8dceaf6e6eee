"""The report of an import: what was added, what was known, and what was not understood, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from ..money import NANOS_PER_USD, shown_usd
from ..reports.common import plural, priced_in_part
from ..reports.document import Column, Figure, Note, Report, Table, derive
from .importing import Tally

_MANY = 20
"""How many rows that were not understood are shown; the JSON has all that were kept."""

_ZERO = "tools that know no price write that, so they are priced here; if they were free: --zero-is-free"


def import_report(tally: Tally, source: str, *, dry_run: bool) -> Report:
    """Return the report of an import from ``source``, a sentence fragment such as a file and its format."""
    return Report(
        title="Dry run: nothing was written" if dry_run else "Import",
        subtitle=source,
        figures=_figures(tally),
        tables=tuple(_tables(tally)),
        notes=tuple(_notes(tally)),
        data=_data(tally, source, dry_run=dry_run),
    )


def _figures(tally: Tally) -> tuple[Figure, ...]:
    return (
        Figure("rows", "Rows read", tally.rows, "count"),
        Figure("added", "Entries added", tally.added, "count", note=_span(tally)),
        Figure("known", "Known before", tally.known, "count"),
        Figure(
            "refused", "Not understood", tally.refused, "count", tone="warning" if tally.refused else "plain"
        ),
        Figure("cost", "Cost added", tally.cost, "money", note=_how_priced(tally)),
    )


def _span(tally: Tally) -> str:
    if tally.first is None or tally.last is None:
        return ""
    return f"{tally.first:%Y-%m-%d} to {tally.last:%Y-%m-%d}"


def _how_priced(tally: Tally) -> str:
    kinds = ((tally.stated, "as stated"), (tally.priced, "priced"), (tally.unpriced, "unpriced"))
    return ", ".join(f"{number:,} {kind}" for number, kind in kinds if number)


def _tables(tally: Tally) -> list[Table]:
    tables = []
    if tally.refusals:
        rows = tuple((refusal.row, refusal.why) for refusal in tally.refusals[:_MANY])
        tables.append(Table("Not understood", (Column("row", "Row"), Column("why", "Why", wraps=True)), rows))
    if tally.unused:
        columns = (Column("field", "Field"), Column("rows", "Rows", "count"))
        tables.append(Table("Fields that were not used", columns, tuple(sorted(tally.unused.items()))))
    return tables


def recorded_before(calls: int) -> str:
    """Return the note that calls were left out because they had already been recorded."""
    were = plural(calls, "call was", "calls were")
    return f"{were} recorded before, live or from another log, with the same response id: not counted again."


def _notes(tally: Tally) -> list[Note]:
    notes = []
    if tally.elsewhere:
        notes.append(Note(recorded_before(tally.elsewhere)))
    if tally.anew:
        rows = plural(tally.anew, "row was", "rows were")
        notes.append(
            Note(f"{rows} recorded again with their present values; their earlier entries were reversed.")
        )
    if tally.refused > _MANY:
        rows = plural(tally.refused - _MANY, "more row was", "more rows were")
        notes.append(Note(f"{rows} not understood.", "warning"))
    if tally.unpriced:
        calls = plural(
            tally.unpriced, "call has no known price: it counts", "calls have no known price: they count"
        )
        notes.append(Note(f"{calls} as unpriced.", "warning"))
    if tally.partial:
        notes.append(priced_in_part(tally.partial))
    if tally.zero_stated:
        calls = plural(tally.zero_stated, "call is", "calls are")
        notes.append(Note(f"{calls} stated to cost $0 beside usage: {_ZERO}."))
    notes += _notes_of_rows(tally)
    return notes


def _notes_of_rows(tally: Tally) -> Iterator[Note]:
    if tally.refunds:
        rows = plural(tally.refunds, "row takes", "rows take")
        amount = shown_usd(tally.refunded, 2 if tally.refunded >= NANOS_PER_USD else 4)
        yield Note(f"{rows} back {amount}: refunds of calls and credits. Limits allow that much more.")
    if tally.sums:
        rows = plural(tally.sums, "row is a sum", "rows are sums")
        yield Note(f"{rows} of a day or a month: each counts as one call.")
    if tally.unnamed:
        rows = plural(tally.unnamed, "row names", "rows name")
        yield Note(f"{rows} no model: they count under unknown; see --model.")
    if tally.zone_assumed:
        yield Note(f"{plural(tally.zone_assumed, 'time said', 'times said')} no zone: see --timezone.")


def _data(tally: Tally, source: str, *, dry_run: bool) -> dict[str, object]:
    return {
        "source": source,
        "dry_run": dry_run,
        **derive(
            tally, "rows", "added", "known", "recorded_elsewhere=elsewhere", "recorded_anew=anew", "refused"
        ),
        **derive(tally, "cost", "stated_calls=stated", "priced_calls=priced", "unpriced_calls=unpriced"),
        **derive(tally, "partial_calls=partial", "times_without_zone=zone_assumed"),
        **derive(tally, "zero_stated_calls=zero_stated", "sum_rows=sums", "rows_without_model=unnamed"),
        **derive(tally, "refund_rows=refunds", "refunded", "not_understood=refusals"),
        "unused_fields": dict(sorted(tally.unused.items())),
    }
