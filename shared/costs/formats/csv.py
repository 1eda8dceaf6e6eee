"""CSV for spreadsheets and scripts: numbers stay numbers, and text can never become a formula."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO

from ..money import Nanos, json_number
from ..reports.document import MONEY, Gauge, Kind, Report, Table, Value, json_key
from .values import tame

_FIGURES = "Figures"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def render(report: Report) -> str:
    """Return the report's tables as CSV.

    One table is written plainly. Several, or figures beside tables, are blocks divided by an empty
    line; each has its own header row, and its first column, ``section``, says which block it is.
    """
    blocks = [*_figures(report), *(_block(table) for table in report.tables if table.rows)]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    plain = len(blocks) == 1 and blocks[0].title != _FIGURES
    for number, block in enumerate(blocks):
        if number:
            out.write("\n")
        for row, line in enumerate(block.lines):
            section = safe_text(block.title) if row else "section"
            writer.writerow(line if plain else [section, *line])
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _CsvBlock:
    title: str
    lines: list[list[str]]


def _figures(report: Report) -> list[_CsvBlock]:
    limits = [
        [json_key(f"{gauge.label}: {part}", kind := _kind(gauge)), cell(amount, kind), ""]
        for gauge in report.gauges
        for part, amount in (("spent", gauge.part), ("limit", gauge.whole))
    ]
    lines = [[json_key(f.key, f.kind), cell(f.value, f.kind), safe_text(f.note)] for f in report.figures]
    return [_CsvBlock(_FIGURES, [["name", "value", "note"], *limits, *lines])] if limits or lines else []


def _kind(gauge: Gauge) -> Kind:
    return "money" if gauge.measure == "cost" else "count"


def _block(table: Table) -> _CsvBlock:
    lines = [[json_key(column.key, column.kind) for column in table.columns]]
    lines += [[cell(v, c.kind) for v, c in zip(row, table.columns, strict=True)] for row in table.rows]
    return _CsvBlock(table.title, lines)


def cell(value: Value, kind: Kind) -> str:
    """Return one cell: money in USD, exact to the nano-dollar; nothing for what is not known.

    Text that a spreadsheet would take for a formula gets a leading ``'``.

    >>> cell(4_500_000, "money"), cell(None, "money"), cell("=1+1", "text"), cell(-3, "count")
    ('0.0045', '', "'=1+1", '-3')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_text(value)
    if kind in MONEY:
        return json_number(Nanos(int(value)))
    return repr(value)


def safe_text(text: str) -> str:
    """Return text that no spreadsheet evaluates (CWE-1236) and no terminal obeys.

    https://owasp.org/www-community/attacks/CSV_Injection

    >>> safe_text("@SUM(A1)"), safe_text("gpt-4o")
    ("'@SUM(A1)", 'gpt-4o')
    """
    return f"'{tame(text)}" if text.startswith(_FORMULA_STARTS) else tame(text)
