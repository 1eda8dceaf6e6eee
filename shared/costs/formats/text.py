"""Plain text for terminals and pipes: figures, bars and tables that fit the page.

Tables are laid out here, because they shrink to the terminal, leave columns out and hold bars;
and because importing a table library would cost more time than everything else the command does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..reports.document import Figure, Gauge, Note, Report, Series, Table
from .bars import as_read, extremes, gauge_bar, legend, sparkline
from .canvas import Canvas
from .layout import Layout, layouts, pad, table_lines, width_of, wrap
from .values import evenly, gauge_amounts, places_for, show, tame

_INDENT = "  "
_NUMBER = re.compile(r"\d+\. ")
_COPIED = re.compile(r"(?<!\S)(?:'[^']*/[^']*'|~?/[^\s/]+/\S*)")
"""A path in a sentence, quoted where it has blanks: it is there to be copied, and is kept whole."""
_VALUE = r"(?:'[^']*'|[^\s'-]\S*?(?=[.,;:)]*(?:\s|$)))"
_TYPED = re.compile(
    r"(?:(?:\S*python[\d.]*|'[^']*python[\d.]*') )?"
    r"(?:'[^']*cost-dashboard(?:\.py)?'|\S*cost-dashboard(?:\.py)?)"
    rf" [a-z]+(?:-[a-z]+)*(?: --[a-z]+(?:-[a-z]+)*(?: {_VALUE})?)*"
)
"""A command in a sentence with its options, and what runs it: as whole as a path."""
_MARKS = {"warning": "⚠️  ", "critical": "🚨 "}


def render(report: Report, canvas: Canvas | None = None) -> str:
    """Return the report as lines no wider than the canvas, in characters it can show.

    Paths and commands in notes are kept whole all the same: they are there to be copied.
    """
    canvas, report = canvas or Canvas(), evenly(report)
    blocks = [list(block) for block in _blocks(report, canvas)]
    return (
        "\n\n".join(canvas.fit("\n".join(line.rstrip() for line in block)) for block in blocks if block)
        + "\n"
    )


def _blocks(report: Report, canvas: Canvas) -> Iterator[Iterator[str]]:
    yield _heading(report, canvas)
    yield _gauges(report.gauges, canvas)
    yield _figures(report.figures, canvas)
    for series in report.series:
        yield _series(series, canvas)
    for table, layout in zip(report.tables, layouts(report.tables), strict=True):
        yield _table(table, layout, canvas, len(report.tables) == 1)
    loud = [note for note in report.notes if note.tone != "plain"]
    yield _notes(loud, canvas)
    yield _notes([note for note in report.notes if note.tone == "plain"], canvas)


def _heading(report: Report, canvas: Canvas) -> Iterator[str]:
    for line in wrap(report.title, canvas.width):
        yield canvas.style(line, "strong")
    for line in wrap(report.subtitle, canvas.width):
        yield canvas.style(line, "faint")


def _gauges(gauges: tuple[Gauge, ...], canvas: Canvas) -> Iterator[str]:
    labels = [tame(gauge.label) for gauge in gauges]
    amounts = [gauge_amounts(gauge) for gauge in gauges]
    percents = [show(gauge.percent, "percent") for gauge in gauges]
    name_width, amount_width = max(map(width_of, labels), default=0), max(map(len, amounts), default=0)
    percent_width = max(map(len, percents), default=0)
    room = canvas.width - len(_INDENT) - name_width - amount_width - percent_width - 6
    for gauge, label, amount, percent in zip(gauges, labels, amounts, percents, strict=True):
        drawn = canvas.tone(gauge_bar(gauge, min(room, 40), canvas.unicode), gauge.tone) if room >= 6 else ""
        head = f"{_INDENT}{pad(label, name_width)}  {pad(amount, amount_width, right=True)}"
        yield f"{head}  {drawn}  {canvas.tone(pad(percent, percent_width, right=True), gauge.tone)}"


def _figures(figures: tuple[Figure, ...], canvas: Canvas) -> Iterator[str]:
    values = [show(f.value, f.kind, max(f.places, places_for([f.value]))) for f in figures]
    label_width = max((width_of(tame(f.label)) for f in figures), default=0)
    value_width = max(map(width_of, values), default=0)
    margin = len(_INDENT) + label_width + 2 + value_width + 3
    for figure, value in zip(figures, values, strict=True):
        head = f"{_INDENT}{pad(tame(figure.label), label_width)}  "
        notes = wrap(figure.note, max(canvas.width - margin, 16)) or [""]
        shown = canvas.tone(pad(value, value_width, right=True), figure.tone)
        yield f"{head}{shown}   {canvas.style(notes[0], 'faint')}"
        yield from (" " * margin + canvas.style(line, "faint") for line in notes[1:])


def _series(series: Series, canvas: Canvas) -> Iterator[str]:
    if not series.values:
        return
    room = canvas.width - len(_INDENT)
    spark = sparkline(series.values, room, canvas.unicode)
    ends = extremes(series.values, series.labels, lambda value: as_read(value, series.kind))
    caption = f"{', '.join(filter(None, (series.title, ends)))}{legend(spark, series.kind)}"
    for line in wrap(caption, room):
        yield _INDENT + canvas.style(line, "faint")
    yield _INDENT + spark.drawn


def _table(table: Table, layout: Layout, canvas: Canvas, alone: bool) -> Iterator[str]:
    if not table.rows:
        if table.title and not alone:  # the heading of the report says what there is none of
            yield _INDENT + canvas.style(tame(table.title), "strong")
        lines = wrap(table.empty, canvas.width - len(_INDENT), whole=_to_copy(table.empty))
        yield from (_INDENT + line for line in lines)
        return
    for line in table_lines(table, layout, canvas):
        yield _INDENT + line


def _notes(notes: list[Note], canvas: Canvas) -> Iterator[str]:
    for note in notes:
        text = note.text
        mark = _MARKS.get(note.tone, "")
        if mark and not text.startswith(mark.strip()):
            text = mark + text
        number = _NUMBER.match(text)
        hang = number.end() if number else width_of(mark)
        if text.endswith(tuple(f"{command}." for command in (note.remedy, *_TYPED.findall(text)) if command)):
            text = text[:-1]  # a full stop would be copied with the command, and be part of its last name
        whole = (note.remedy, *note.places, *_to_copy(text))
        for line in wrap(text, canvas.width - len(_INDENT), hang, whole):
            yield _INDENT + canvas.style(line, "faint" if note.tone == "plain" else note.tone)


def _to_copy(text: str) -> list[str]:
    """Return the commands and paths in a text.

    >>> _to_copy("See /a/b, or python3 c/cost-dashboard.py set-budget --profile 'my p.yaml' --monthly 50.")
    ["python3 c/cost-dashboard.py set-budget --profile 'my p.yaml' --monthly 50", '/a/b,']
    """
    return [*_TYPED.findall(text), *_COPIED.findall(text)]
