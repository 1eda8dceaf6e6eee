"""Ledger lines, as they are in the ledgers: in one JSON document, or as JSON Lines.

The document begins with its format and other facts (budgets); its summary comes last, because it is the sum
of what was written. The lines are sealed, so that any reader of ledgers can read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import TextIOBase
from pathlib import Path
from typing import Final

from ...ledger.line import encode
from ...model import Entry
from ...money import json_number
from ...rollup import Totals
from ..source import EntrySource
from . import Export, ExportContext, counted

FORMAT_NAME: Final = "cost-ledger entries"
FORMAT_VERSION: Final = 1


def write(source: EntrySource, target: Path, context: ExportContext) -> int:
    """Write the entries as one JSON document."""
    with target.open("w", encoding="ascii", newline="\n") as file:
        head = {"format": FORMAT_NAME, "version": FORMAT_VERSION, **context.about}
        file.write(json.dumps(head, allow_nan=False)[:-1])
        written, totals = _write_entries(counted(source.entries(), context), file)
        file.write(f',\n"summary": {_summary(written, totals)}}}\n')
    return written


def _write_entries(entries: Iterable[Entry], file: TextIOBase) -> tuple[int, Totals]:
    totals, written = Totals(), 0
    file.write(',\n"entries": [')
    for entry in entries:
        line = encode(entry).decode("ascii").rstrip("\n")
        file.write(f"{',' if written else ''}\n{line}")
        totals.add(entry)
        written += 1
    file.write("\n]")
    return written, totals


def _summary(written: int, totals: Totals) -> str:
    """Return the summary as JSON, joined from texts, because ``json`` has no exact decimals."""
    members = {
        "entries": str(written),
        "calls": str(totals.calls),
        "unpriced_calls": str(totals.unpriced_calls),
        "partial_calls": str(totals.partial_calls),
        "tokens_input": str(totals.tokens_input),
        "tokens_output": str(totals.tokens_output),
        "cost_usd": json_number(totals.cost),
        "cost_input_usd": json_number(totals.cost_input),
        "cost_output_usd": json_number(totals.cost_output),
    }
    return f"{{{', '.join(f'{json.dumps(name)}: {value}' for name, value in members.items())}}}"


def write_lines(source: EntrySource, target: Path, context: ExportContext) -> int:
    """Write the entries as ledger lines."""
    written = 0
    with target.open("wb") as file:
        for entry in counted(source.entries(), context):
            file.write(encode(entry))
            written += 1
    return written


JSON: Final = Export("json", ".json", "One document: entries, summary, budgets.", write)
LINES: Final = Export(
    "jsonl", ".jsonl", "Ledger lines, one JSON object each, with their checksums.", write_lines
)
