"""A report as parts of a page: what templates print, with every value as the text that people read.

A page that is sent, a page of the server and paper take the same parts; what they differ in is whether the
names of things are links. Templates escape every text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from ..reports.document import (
    ALIKE,
    MONEY,
    Chart,
    Column,
    Figure,
    Gauge,
    Note,
    Ref,
    Report,
    Row,
    Section,
    Table,
    Value,
)
from ..shipped import DATA, PACKAGE
from .drawing import PAPER, Drawing, chart_of, draw
from .values import evenly, gauge_amounts, places_for, show, tame

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER: Final = "data/report"
"""Where the templates and the assets of a page are, in the package."""

_SHORT: Final = 20
"""Text of up to this many characters stays on one line."""

Link = Callable[[Ref], str | None]
"""Returns the address of a thing, or ``None`` where no page is about it."""


LimitLink = Callable[[Sequence[Ref]], str | None]
"""Returns the address of the spend that a limit bounds, by what it is of; ``None`` where no page has it."""


def unlinked(_name: Ref | Sequence[Ref]) -> None:
    """Link nothing: a page that is sent stands by itself."""


class GaugeBar(NamedTuple):
    """How far a limit is used; ``width`` and ``held`` are percent of its bar."""

    label: str
    amounts: str
    percent: str
    width: float
    held: float
    tone: str
    href: str | None = None


class FigureText(NamedTuple):
    """One value with its name and a few words beside it."""

    label: str
    value: str
    note: str
    tone: str


class PageCell(NamedTuple):
    """One cell: its text, what it is sorted by, its classes, and the percent of a bar that it has."""

    text: str
    sort: str
    style: str
    width: float | None = None
    href: str | None = None


class Heading(NamedTuple):
    """The heading of a column, the classes of its cells too, and what those say where a row is a block."""

    title: str
    style: str
    said: str


class PageTable(NamedTuple):
    """A table.

    ``small`` ones that follow each other may stand side by side; ``choice`` names one of several that are
    shown one at a time; ``folded`` ones open on a click.
    """

    number: int
    title: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[PageCell, ...], ...]
    total: tuple[PageCell, ...] | None
    empty: str
    small: bool
    choice: str
    folded: bool


class Block(NamedTuple):
    """Tables that belong together: ``switch`` shows one at a time, ``pair`` two side by side."""

    kind: str
    tables: tuple[PageTable, ...]


class PageChart(NamedTuple):
    """A chart, and the address behind each of its bars."""

    number: int
    drawing: Drawing
    hrefs: tuple[str | None, ...]


class PageGroup(NamedTuple):
    """What answers one question of a page; ``folded`` ones open on a click."""

    key: str
    title: str
    folded: bool
    charts: tuple[PageChart, ...]
    blocks: tuple[Block, ...]


class Page(NamedTuple):
    """A report, ready to be printed by a template. ``hero`` is the first of its figures."""

    title: str
    subtitle: str
    loud: tuple[Note, ...]
    quiet: tuple[Note, ...]
    gauges: tuple[GaugeBar, ...]
    hero: FigureText | None
    figures: tuple[FigureText, ...]
    groups: tuple[PageGroup, ...]


def page_of(report: Report, link: Link = unlinked, to_spend: LimitLink = unlinked) -> Page:
    """Return the parts of a report's page, with the names of things and the spend of limits linked."""
    report = evenly(report)
    notes = [_note(note) for note in report.notes if without_options(note.text) != "More."]
    return Page(
        title=tame(report.title),
        subtitle=tame(report.subtitle),
        loud=tuple(note for note in notes if note.tone != "plain"),
        quiet=tuple(note for note in notes if note.tone == "plain"),
        gauges=tuple(gauge_bar(gauge)._replace(href=to_spend(gauge.of)) for gauge in report.gauges),
        hero=next(map(figure_text, report.figures), None),
        figures=tuple(map(figure_text, report.figures[1:])),
        groups=tuple(_groups(report, link)),
    )


@cache
def environment(*, on_paper: bool = False) -> Environment:
    """Return what renders the templates of pages; every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 40 ms that only pages pay for

    made = Environment(
        loader=PackageLoader(PACKAGE, FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {"paper": PAPER, "on_paper": on_paper}
    return made


@cache
def asset(name: str) -> str:
    """Return the style sheet or the script of that name."""
    return (DATA / "report" / name).read_text(encoding="utf-8")


def _note(note: Note) -> Note:
    return note._replace(text=tame(without_options(note.text)), remedy=tame(note.remedy))


_OPTION: Final = re.compile(r"[:;,] (?:see them with )?--[a-z][^.]*(?=\.|$)|(?<=\.) --[a-z][^.]*\.")


def without_options(text: str) -> str:
    """Return a sentence without the option of a command that would show more: a page takes none.

    >>> without_options("Failed or repeated work cost $2, not in the totals: --show waste.")
    'Failed or repeated work cost $2, not in the totals.'
    >>> without_options("Not checked: ana. --everyone checks all users.")
    'Not checked: ana.'
    >>> without_options("Check it: cost-dashboard whatif --month 2026-11")
    'Check it: cost-dashboard whatif --month 2026-11'
    """
    return _OPTION.sub("", text)


def gauge_bar(gauge: Gauge) -> GaugeBar:
    """Return how far a limit is used, as texts and widths."""
    width = min(max(gauge.percent, 0.0), 100.0)
    held = gauge.held * 100 / gauge.whole if gauge.whole > 0 else 0.0
    return GaugeBar(
        label=tame(gauge.label),
        amounts=gauge_amounts(gauge),
        percent=show(gauge.percent, "percent"),
        width=round(width, 2),
        held=round(min(width + held, 100.0), 2),
        tone="good" if gauge.tone == "plain" else gauge.tone,
    )


def figure_text(figure: Figure) -> FigureText:
    """Return a figure as people read it."""
    places = max(figure.places, places_for([figure.value]))
    return FigureText(
        tame(figure.label),
        show(figure.value, figure.kind, places),
        tame(without_options(figure.note)),
        figure.tone,
    )


TITLES: Final[dict[Section, str]] = {
    "": "",
    "standing": "Where we stand",
    "spend": "What it went on",
    "why": "Why",
    "change": "What to change",
    "details": "Details",
}
"""The questions of a page, in their order."""


def _groups(report: Report, link: Link) -> Iterator[PageGroup]:
    """Return charts and tables by the question they belong to."""
    charts = [(number, chart) for number, chart in enumerate(_charts(report), 1)]
    tables = list(enumerate(report.tables, 1))
    for section, title in TITLES.items():
        drawn = tuple(_chart(number, chart, link) for number, chart in charts if chart.section == section)
        shown = [page_table(table, link, number) for number, table in tables if table.section == section]
        if drawn or shown:
            yield PageGroup(section or "tables", title, section == "details", drawn, tuple(_blocks(shown)))


def _charts(report: Report) -> Iterator[Chart]:
    """Return what to draw: the charts, or without any the series."""
    charts = report.charts or tuple(map(chart_of, report.series))
    return (chart for chart in charts if any(any(layer.values) for layer in chart.layers))


def _chart(number: int, chart: Chart, link: Link) -> PageChart:
    drawing = draw(chart)
    hrefs = tuple(link(bar.label) if isinstance(bar.label, Ref) else None for bar in drawing.bars)
    return PageChart(number, drawing, hrefs)


def _blocks(tables: Sequence[PageTable]) -> Iterator[Block]:
    """Return the tables in their order: those to choose from together, two small ones side by side."""
    for choosable, group in groupby(tables, key=lambda table: bool(table.choice)):
        waiting = list(group)
        if choosable and len(waiting) > 1:
            yield Block("switch", tuple(waiting))
            continue
        while waiting:
            first, *waiting = waiting
            if first.small and waiting and waiting[0].small:
                yield Block("pair", (first, waiting.pop(0)))
            else:
                yield Block("one", (first,))


def page_table(table: Table, link: Link = unlinked, number: int = 1) -> PageTable:
    """Return a table as texts; ``number`` tells it from others of its page."""
    columns = table.columns
    places = {
        c.key: max(c.places, places_for(row[at] for row in table.rows))
        for at, c in enumerate(columns)
        if c.kind in ALIKE
    }
    styles = _styles(columns)
    texts = sum(column.kind == "text" for column in columns)

    def cells(row: Row, *, bars: bool) -> tuple[PageCell, ...]:
        return tuple(
            _cell(c, value, places.get(c.key, 2), style, link, bar=bars and c.kind == "share")
            for c, value, style in zip(columns, row, styles, strict=True)
        )

    return PageTable(
        number=number,
        title=tame(table.title),
        headings=tuple(
            _heading(tame(c.title), style, explains=c.wraps and texts == 2)
            for c, style in zip(columns, styles, strict=True)
        ),
        rows=tuple(cells(row, bars=True) for row in table.rows),
        total=cells(table.total, bars=False) if table.total else None,
        empty=tame(table.empty),
        small=_is_small(table),
        choice=table.choice,
        folded=table.folded,
    )


def _heading(title: str, style: str, *, explains: bool) -> Heading:
    """Return the heading of a column.

    Names, amounts and bars say what they are, as does a sentence that alone ``explains`` a name.
    """
    is_said = not explains and not {"name", "lead", "share"} & {*style.split()}
    return Heading(title, style, title if is_said else "")


def _is_small(table: Table) -> bool:
    """Tell whether a table reads well in half the page: a few short names, with bars."""
    shares = any(column.kind == "share" for column in table.columns)
    names = [len(str(row[0])) for row in table.rows]
    return shares and len(table.columns) <= 5 and len(names) <= 8 and max(names, default=0) <= 24


def _styles(columns: Sequence[Column]) -> list[str]:
    """Return the classes of each column: where a row is a block, its name and its amount come first."""
    amounts = [at for at, column in enumerate(columns) if column.kind in MONEY]
    numbers = [at for at, column in enumerate(columns) if column.kind not in ("text", "share", "rate")]
    lead = next(reversed(amounts or numbers), None)
    return [_style(column, at, is_lead=at == lead) for at, column in enumerate(columns)]


def _sort_key(value: Value) -> str:
    """Return what a cell is sorted by: days by their dates, numbers exactly enough."""
    if isinstance(value, Ref) and value.thing in ("day", "month"):
        return tame(value.target)
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else tame(str(value))


def _style(column: Column, at: int, *, is_lead: bool) -> str:
    kind = "share" if column.kind == "share" else "" if column.kind == "text" else "number"
    place = "name" if at == 0 else "lead" if is_lead else ""
    rank = f"rank-{min(column.rank, 3)}" if column.rank else ""
    return " ".join(filter(None, [kind, place, rank]))


def _cell(column: Column, value: Value, places: int, style: str, link: Link, *, bar: bool) -> PageCell:
    width = round(min(max(float(value), 0.0), 100.0), 2) if bar and isinstance(value, int | float) else None
    text = show(value, column.kind, places)
    return PageCell(
        text=text,
        sort=_sort_key(value),
        style=f"{style} short".lstrip() if column.kind == "text" and len(text) <= _SHORT else style,
        width=width,
        href=link(value) if isinstance(value, Ref) else None,
    )
