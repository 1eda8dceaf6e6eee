"""HTML: one file that needs nothing else, charts as inline SVG, light, dark and printable.

No part of it is loaded from anywhere, and its policy forbids to: the one style sheet and the one
script are allowed by their hashes, all else by nothing. Every text is escaped by the template.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..money import format_usd
from ..views.report import Column, Figure, Gauge, Note, Report, Row, Series, Table, Value
from .values import places_for, show, tame

if TYPE_CHECKING:
    from jinja2 import Template

SUFFIX = ".html"

_FOLDER: Final = Path(__file__).parents[1] / "data" / "report"
_MOST_LABELS: Final = 5


class _Bar(NamedTuple):
    x: float
    y: float
    height: float
    title: str


class _Chart(NamedTuple):
    title: str
    most: str
    described: str
    bars: tuple[_Bar, ...]
    labels: tuple[str, ...]


class _Cell(NamedTuple):
    text: str
    sort: str
    style: str
    width: float | None


class _Page(NamedTuple):
    title: str
    subtitle: str
    loud: tuple[Note, ...]
    quiet: tuple[Note, ...]
    gauges: tuple[dict[str, object], ...]
    figures: tuple[dict[str, object], ...]
    charts: tuple[_Chart, ...]
    tables: tuple[dict[str, object], ...]


def render(report: Report) -> str:
    """Return the report as one HTML page."""
    style, script = _asset("report.css"), _asset("report.js")
    page = _Page(
        title=tame(report.title),
        subtitle=tame(report.subtitle),
        loud=tuple(_note(note) for note in report.notes if note.tone != "plain"),
        quiet=tuple(_note(note) for note in report.notes if note.tone == "plain"),
        gauges=tuple(_gauge(gauge) for gauge in report.gauges),
        figures=tuple(_figure(figure) for figure in report.figures),
        charts=tuple(_chart(series) for series in report.series if any(series.values)),
        tables=tuple(_table(table) for table in report.tables),
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


def _chart(series: Series) -> _Chart:
    peak = max(series.values)
    shown = [_shown(value, series) for value in series.values]
    labels = [tame(label) for label in series.labels]
    bars = []
    for at, value in enumerate(series.values):
        height = round(max(value, 0.0) * 100 / peak, 2) if peak > 0 else 0.0
        bars.append(_Bar(round(at + 0.08, 2), round(100 - height, 2), height, f"{labels[at]}: {shown[at]}"))
    top = series.values.index(peak)
    most = f"most {shown[top]} on {labels[top]}"
    described = f"{labels[0]} to {labels[-1]}, {most}"
    return _Chart(tame(series.title), most, described, tuple(bars), tuple(_some(labels)))


def _shown(value: float, series: Series) -> str:
    amount = int(value) if series.kind == "money" else value
    return show(amount, series.kind, places_for([amount]))


def _some(labels: Sequence[str]) -> list[str]:
    """Return the first, the last, and evenly some between.

    >>> _some([str(day) for day in range(1, 31)])
    ['1', '8', '15', '23', '30']
    """
    if len(labels) <= _MOST_LABELS:
        return list(labels)
    last = len(labels) - 1
    return [labels[round(n * last / (_MOST_LABELS - 1))] for n in range(_MOST_LABELS)]


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
    }


def _cell(column: Column, value: Value, places: int, *, bar: bool) -> _Cell:
    width = round(min(max(float(value or 0), 0.0), 100.0), 2) if bar else None
    sort = "" if value is None else tame(str(value))
    return _Cell(show(value, column.kind, places), sort, _style(column), width)


def _style(column: Column) -> str:
    """Return the classes of a column's cells."""
    classes = ["share" if column.kind == "share" else "" if column.kind == "text" else "number"]
    return " ".join(filter(None, [*classes, f"rank-{min(column.rank, 3)}" if column.rank else ""]))
