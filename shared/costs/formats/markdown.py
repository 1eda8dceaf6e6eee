"""Markdown for pull requests, chats and wikis: pipe tables, nothing that renders as markup by accident."""

from __future__ import annotations

import re

from ..reports.document import ALIKE, Column, Figure, Gauge, Note, Report, Row, Series, Table
from .bars import legend, sparkline
from .values import evenly, gauge_amounts, places_for, sendable, show, tame

_MARKS = {"warning": "⚠️ ", "critical": "🚨 "}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!])")


def render(report: Report) -> str:
    """Return the report as GitHub-flavoured Markdown, to send: it names no local path."""
    report = evenly(sendable(report))
    blocks = [f"# {escape(report.title)}"]
    if report.subtitle:
        blocks.append(escape(report.subtitle))
    blocks += [_note(note) for note in report.notes if note.tone != "plain"]
    if report.gauges or report.figures:
        blocks.append(_figures(report.gauges, report.figures))
    blocks += [_table(table) for table in report.tables]
    blocks += [_series(series) for series in report.series if series.values]
    blocks += [_note(note) for note in report.notes if note.tone == "plain"]
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    r"""Return text with every character that Markdown or HTML would act on escaped.

    >>> print(escape("a|b <script> *x*"))
    a\|b \<script\> \*x\*
    """
    return _SPECIAL.sub(r"\\\1", tame(text))


def _note(note: Note) -> str:
    text = escape(note.text)
    mark = _MARKS.get(note.tone, "")
    return f"> {text if text.startswith(tuple(m.strip() for m in _MARKS.values())) else mark + text}"


def _figures(gauges: tuple[Gauge, ...], figures: tuple[Figure, ...]) -> str:
    rows = [
        [
            escape(g.label),
            "**{}** of {}".format(*gauge_amounts(g).split(" of ")),
            show(g.percent, "percent"),
        ]
        for g in gauges
    ]
    rows += [
        [
            escape(f.label),
            f"**{escape(show(f.value, f.kind, max(f.places, places_for([f.value]))))}**",
            escape(f.note),
        ]
        for f in figures
    ]
    return _grid(["", "", ""], rows, ("left", "right", "left"))


def _table(table: Table) -> str:
    heading = f"## {escape(table.title)}\n\n" if table.title else ""
    if not table.rows:
        return heading + escape(table.empty)
    columns = table.columns
    places = {
        c.key: max(c.places, places_for(row[i] for row in table.rows))
        for i, c in enumerate(columns)
        if c.kind in ALIKE
    }
    rows = [_cells(columns, row, places) for row in table.rows]
    if table.total:
        rows.append([f"**{text}**" if text else "" for text in _cells(columns, table.total, places)])
    alignments = tuple("left" if c.kind == "text" else "right" for c in columns)
    return f"{heading}{_grid([escape(c.title) for c in columns], rows, alignments)}"


def _cells(columns: tuple[Column, ...], row: Row, places: dict[str, int]) -> list[str]:
    return [escape(show(v, c.kind, places.get(c.key, 2))) for v, c in zip(row, columns, strict=True)]


def _grid(headers: list[str], rows: list[list[str]], alignments: tuple[str, ...]) -> str:
    from tabulate import tabulate  # 55 ms to import: only Markdown pays for it

    return tabulate(rows, headers=headers, tablefmt="pipe", colalign=alignments, disable_numparse=True)


def _series(series: Series) -> str:
    spark = sparkline(series.values, 62, unicode=True)
    first, last = (escape(series.labels[at]) for at in (0, -1))
    return f"## {escape(series.title)}\n\n{first} `{spark.drawn}` {last}{legend(spark, series.kind)}"
