"""HTML: one file that needs nothing else, charts as inline SVG, light, dark and printable.

No part of it is loaded from anywhere, and its policy forbids to: the one style sheet and the one
script are allowed by their hashes, all else by nothing. Every text is escaped by the template.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..money import format_usd
from ..reports.document import Chart, Column, Figure, Gauge, Note, Report, Row, Section, Table, Value
from .drawing import Drawing, chart_of, draw
from .sending import sendable
from .values import places_for, show, tame

if TYPE_CHECKING:
    from jinja2 import Template

SUFFIX = ".html"

_SHORT: Final = 20
"""Text of so many characters stays on one line."""

_FOLDER: Final = Path(__file__).parents[1] / "data" / "report"


class _Cell(NamedTuple):
    text: str
    sort: str
    style: str
    width: float | None


class _Group(NamedTuple):
    """The tables that answer one question of a page; ``folded`` ones open on a click."""

    name: str
    title: str
    folded: bool
    tables: tuple[dict[str, object], ...]


class _Page(NamedTuple):
    title: str
    subtitle: str
    loud: tuple[Note, ...]
    quiet: tuple[Note, ...]
    gauges: tuple[dict[str, object], ...]
    hero: dict[str, object] | None
    figures: tuple[dict[str, object], ...]
    charts: tuple[Drawing, ...]
    groups: tuple[_Group, ...]


def render(report: Report) -> str:
    """Return the report as one HTML page to send: it names no local path."""
    report = sendable(report)
    style, script = _asset("report.css"), _asset("report.js")
    page = _Page(
        title=tame(report.title),
        subtitle=tame(report.subtitle),
        loud=tuple(_note(note) for note in report.notes if note.tone != "plain"),
        quiet=tuple(_note(note) for note in report.notes if note.tone == "plain"),
        gauges=tuple(_gauge(gauge) for gauge in report.gauges),
        hero=next(map(_figure, report.figures), None),
        figures=tuple(_figure(figure) for figure in report.figures[1:]),
        charts=tuple(map(draw, _charts(report))),
        groups=tuple(_groups(report.tables)),
    )
    from markupsafe import Markup  # comes with jinja2

    # Our own style and script are no data: only they go in unescaped.
    return _template().render(
        page=page,
        style=Markup(style),  # noqa: S704  # a file of ours
        script=Markup(script),  # noqa: S704  # a file of ours
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # 40 ms that only HTML pays for

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2")


@cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return what a content security policy allows exactly this text by."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _note(note: Note) -> Note:
    return note._replace(text=tame(note.text))


def _gauge(gauge: Gauge) -> dict[str, object]:
    width = min(max(gauge.percent, 0.0), 100.0)
    held = gauge.held * 100 / gauge.whole if gauge.whole > 0 else 0.0
    return {
        "label": tame(gauge.label),
        "amounts": f"{format_usd(gauge.part)} of {format_usd(gauge.whole)}",
        "percent": show(gauge.percent, "percent"),
        "width": round(width, 2),
        "held": round(min(width + held, 100.0), 2),
        "tone": "good" if gauge.tone == "plain" else gauge.tone,
    }


def _figure(figure: Figure) -> dict[str, object]:
    places = max(figure.places, places_for([figure.value]))
    return {
        "label": tame(figure.label),
        "value": show(figure.value, figure.kind, places),
        "note": tame(figure.note),
        "tone": figure.tone,
    }


def _charts(report: Report) -> Iterator[Chart]:
    """Return what to draw: the charts, or without any the series."""
    charts = report.charts or tuple(map(chart_of, report.series))
    return (chart for chart in charts if any(any(layer.values) for layer in chart.layers))


_TITLES: Final[dict[Section, str]] = {
    "": "",
    "standing": "Where we stand",
    "spend": "What it went on",
    "why": "Why",
    "change": "What to change",
    "details": "Details",
}


def _groups(tables: Sequence[Table]) -> Iterator[_Group]:
    """Return the tables by the question they belong to, in the order in which they come."""
    number = 0
    for section, found in groupby(tables, key=lambda table: table.section):
        shown = []
        for table in found:
            number += 1
            shown.append(_table(table) | {"number": number})
        yield _Group(section or "tables", _TITLES[section], section == "details", tuple(_paired(shown)))


def _paired(tables: Sequence[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Return the tables, with two small ones that follow each other side by side where there is room."""
    waiting = list(tables)
    while waiting:
        first, *waiting = waiting
        together = bool(first["small"] and waiting and waiting[0]["small"])
        yield first | {"half": together}
        if together:
            yield waiting.pop(0) | {"half": True}


def _table(table: Table) -> dict[str, object]:
    columns = table.columns
    places = {
        c.key: max(c.places, places_for(row[at] for row in table.rows))
        for at, c in enumerate(columns)
        if c.kind == "money"
    }

    def cells(row: Row, *, bars: bool) -> list[_Cell]:
        return [
            _cell(c, value, places.get(c.key, 2), bar=bars and c.kind == "share")
            for c, value in zip(columns, row, strict=True)
        ]

    return {
        "title": tame(table.title),
        "columns": [{"title": tame(c.title), "style": _style(c)} for c in columns],
        "rows": [cells(row, bars=True) for row in table.rows],
        "total": cells(table.total, bars=False) if table.total else None,
        "empty": tame(table.empty),
        "small": _is_small(table),
    }


def _is_small(table: Table) -> bool:
    """Tell whether a table reads well in half the page: a few short names, with bars."""
    shares = any(column.kind == "share" for column in table.columns)
    names = [len(str(row[0])) for row in table.rows]
    return shares and len(table.columns) <= 5 and len(names) <= 8 and max(names, default=0) <= 24


def _cell(column: Column, value: Value, places: int, *, bar: bool) -> _Cell:
    width = round(min(max(float(value or 0), 0.0), 100.0), 2) if bar else None
    sort = "" if value is None else tame(str(value))
    text = show(value, column.kind, places)
    short = " short" if column.kind == "text" and len(text) <= _SHORT else ""
    return _Cell(text, sort, _style(column) + short, width)


def _style(column: Column) -> str:
    """Return the classes of a column's cells."""
    classes = ["share" if column.kind == "share" else "" if column.kind == "text" else "number"]
    return " ".join(filter(None, [*classes, f"rank-{min(column.rank, 3)}" if column.rank else ""]))
