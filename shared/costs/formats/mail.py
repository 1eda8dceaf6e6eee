"""A report as a mail: one page of tables that every reader of mails shows, and the same in words.

What a page folds is left out: the page itself, or the same on paper, goes with the mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from ..notify.message import Mail, filled
from ..reports.document import Report
from . import text
from .canvas import Canvas
from .drawing import Bar, Box, Drawing
from .page import Page, PageCell, PageTable, page_of
from .values import UNKNOWN, sendable

WIDTH: Final = 72
"""How many columns the words of a mail have: quoted, they still fit into 80."""

ROWS: Final = 8
"""How many rows of a table are shown."""

_HEIGHT: Final = 90
"""How high a chart is, in pixels."""


_GAP: Final = 3
_END: Final = 10
"""How high the gap of a bar that is cut is, and what lies beyond it."""


class _MailRow(NamedTuple):
    name: str
    more: tuple[str, ...]
    amount: str
    percent: float | None
    total: bool


class _MailTable(NamedTuple):
    title: str
    rows: tuple[_MailRow, ...]
    bars: bool
    empty: str


class _BarPart(NamedTuple):
    """A piece of a bar in pixels; ``shade`` is empty in a gap."""

    height: int
    shade: Literal["", "blue", "grey"]


class _BarColumn(NamedTuple):
    """A bar, from the top down: what stands on zero, and what hangs from it."""

    name: str = ""
    above: tuple[_BarPart, ...] = ()
    below: tuple[_BarPart, ...] = ()


class _MailChart(NamedTuple):
    title: str
    columns: tuple[_BarColumn, ...]
    above: int
    first: str
    last: str
    caption: str

    @property
    def foresees(self) -> bool:
        """Whether a bar is only expected, or a part of one."""
        return any(part.shade == "grey" for column in self.columns for part in (*column.above, *column.below))

    @property
    def below(self) -> int:
        """How far the longest bar hangs down."""
        return max(sum(part.height for part in column.below) for column in self.columns)


def mail_of(report: Report, foot: str) -> Mail:
    """Return a report as a mail that names no local path; ``foot`` is its last line."""
    report = _without_folded(sendable(report))
    page = page_of(report)
    html = filled(
        "report.html.j2",
        page=page,
        charts=tuple(_charts(page)),
        tables=tuple(_tables(page)),
        foot=foot,
    )
    words = text.render(report, Canvas(WIDTH))
    return Mail(html, f"{words}\n{foot}\n")


def brief(report: Report) -> str:
    """Return a report in a few lines, for a chat."""
    page = page_of(sendable(report))
    figures = [each for each in (page.hero, *page.figures[:3]) if each]
    lines = [page.title]
    lines += [f"{each.label}: {each.value}{f' ({each.note})' if each.note else ''}" for each in figures]
    lines += [f"{each.label}: {each.amounts} ({each.percent})" for each in page.gauges]
    lines += [note.text for note in page.loud]
    return "\n".join(lines)


def _without_folded(report: Report) -> Report:
    shown = (table for table in report.tables if table.section != "details" and not table.folded)
    return report._replace(tables=tuple(shown))


def _charts(page: Page) -> Iterator[_MailChart]:
    """Return the charts of bars; a mail has no lines."""
    for group in page.groups:
        for chart in group.charts:
            if chart.drawing.bars:
                yield _chart(chart.drawing)


def _chart(drawing: Drawing) -> _MailChart:
    bars = {bar.column: bar for bar in drawing.bars}
    columns = tuple(_column(bars.get(at), drawing.zero) for at in range(drawing.columns))
    above = round(drawing.zero * _HEIGHT / 100)
    first, last = drawing.labels[0].text, drawing.labels[-1].text
    return _MailChart(drawing.title, columns, above, first, last, drawing.caption)


def _column(bar: Bar | None, zero: float) -> _BarColumn:
    if bar is None:
        return _BarColumn()
    above = _parts([box for box in bar.boxes if box.y < zero], cut=any(each.y1 < zero for each in bar.cuts))
    below = _parts([box for box in bar.boxes if box.y >= zero], cut=any(each.y1 >= zero for each in bar.cuts))
    return _BarColumn(bar.name, above[::-1], below)


def _parts(boxes: Sequence[Box], *, cut: bool) -> tuple[_BarPart, ...]:
    """Return half a bar from zero on: what is spent, what is foreseen, and its end beyond a gap."""
    if not boxes:
        return ()
    height = max(_pixels(boxes) - (_GAP + _END if cut else 0), 1)
    ahead = _pixels(box for box in boxes if box.style == "expected")
    foreseen = min(ahead, height) if any(box.style != "expected" for box in boxes) else height
    shown = [_BarPart(height - foreseen, "blue"), _BarPart(foreseen, "grey")]
    shown = [part for part in shown if part.height]
    return (*shown, *([_BarPart(_GAP, ""), _BarPart(_END, shown[-1].shade)] if cut else ()))


def _pixels(boxes: Iterable[Box]) -> int:
    return round(sum(box.height for box in boxes) * _HEIGHT / 100)


def _tables(page: Page) -> Iterator[_MailTable]:
    for group in page.groups:
        for block in group.blocks:
            yield from map(_table, block.tables)


def _table(table: PageTable) -> _MailTable:
    rows = [_row(row, table) for row in table.rows[:ROWS]]
    if len(table.rows) > ROWS:
        rows.append(_MailRow(f"{len(table.rows) - ROWS} more", (), "", None, False))
    if table.total:
        rows.append(_row(table.total, table)._replace(total=True))
    bars = any(row.percent is not None for row in rows)
    return _MailTable(table.title, tuple(rows), bars, table.empty)


def _row(cells: tuple[PageCell, ...], table: PageTable) -> _MailRow:
    name, *rest = cells
    amount = next((cell.text for cell in rest if "lead" in cell.style.split()), "")
    percent = next((cell.width for cell in rest if cell.width is not None), None)
    more = tuple(
        cell.text if "number" not in cell.style.split() else f"{heading.title} {cell.text}"
        for heading, cell in zip(table.headings[1:], rest, strict=True)
        if cell.text not in ("", UNKNOWN) and "lead" not in cell.style.split()
    )
    return _MailRow(name.text, more, amount, percent, False)
