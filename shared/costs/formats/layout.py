"""Laying a table out in a given width: align, leave out, shorten, and give the rest to the bar."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..reports.document import ALIKE, Column, Ref, Table
from .bars import bar
from .canvas import Canvas
from .values import places_for, show, tame

_GAP = "  "
_MIN_BAR, _MAX_BAR = 8, 32
_EASY_TEXT, _MIN_TEXT = 28, 8
_LONG_WORD = 15
"""A longer word is a path or somebody's data: it may be cut."""
_GLUE = "\0"
"""Stands for a blank at which no line breaks; no tamed text has it."""
_ONE_COLUMN_EACH = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2190-\u22ff\u2500-\u259f]*")
"""Latin letters, dashes, arrows, lines and bars. Any other asks ``wcwidth``, which takes 20 ms to import."""

_MARK = re.compile("(?:\u26a0\ufe0f|\U0001f6a8)(?= |$)")
"""What stands before a warning, or what is critical, where it is not part of a longer character."""


class _LayoutColumn(NamedTuple):
    """One column on the page: its header and cells as text, and how wide they may be."""

    column: Column
    header: str
    cells: tuple[str, ...]
    percents: tuple[float, ...]
    width: int
    paths: frozenset[int] = frozenset()

    def is_path(self, number: int) -> bool:
        """Return whether a cell is a path."""
        return number in self.paths

    @property
    def is_text(self) -> bool:
        return self.column.kind == "text"

    def least(self, wanted: int) -> int:
        """Return the width below which the lane is not made narrower: few words of one that wraps are cut."""
        if not self.column.wraps:
            return wanted
        longest = max(width_of(word) for cell in self.cells for word in cell.split(" "))
        return max(wanted, min(longest, _LONG_WORD))

    def lines(self, number: int, canvas: Canvas) -> list[str]:
        """Return the lines of a cell, each as wide as the lane."""
        cell = self.cells[number]
        cut = shorten_path if self.is_path(number) else shorten
        parts = wrap(cell, self.width) if self.column.wraps else [cut(cell, self.width, canvas)]
        return [pad(part, self.width, right=not self.is_text) for part in parts or [""]]


class _FittedColumns(NamedTuple):
    """The lanes that fit, and the columns left for the bar (0: none is drawn)."""

    lanes: tuple[_LayoutColumn, ...]
    bar_width: int


Layout = tuple[_LayoutColumn, ...]
"""A table's columns with their cells and natural widths."""


def layouts(tables: Sequence[Table]) -> list[Layout]:
    """Return the layout of each table. Tables with the same columns after the first line up."""
    made = [_lanes(table) if table.rows else () for table in tables]
    widths: dict[tuple[str, ...], list[int]] = {}
    for lanes in made:
        own = [lane.width for lane in lanes]
        widths[_alike(lanes)] = [max(pair) for pair in zip(own, widths.get(_alike(lanes), own), strict=True)]
    return [
        tuple(lane._replace(width=width) for lane, width in zip(lanes, widths[_alike(lanes)], strict=True))
        for lanes in made
    ]


def _alike(lanes: Layout) -> tuple[str, ...]:
    return tuple(lane.column.key for lane in lanes[1:])


def table_lines(table: Table, layout: Layout, canvas: Canvas) -> Iterator[str]:
    """Return the lines of a table that has rows.

    The title stands in the header of the first column, whose own stands there where there is no title, or
    where the title would have to be cut: then it has lines of its own.
    """
    width = canvas.width - len(_GAP)
    page = _fit(list(layout), width)
    if width_of(page.lanes[0].header) > page.lanes[0].width:
        yield from (canvas.style(line, "strong") for line in wrap(table.title, width))
        page = _fit([_lane(table._replace(title=""), 0), *layout[1:]], width)
    yield _header(page, canvas)
    for number in range(len(table.rows)):
        yield from _row(page, number, canvas)
    if table.total:
        rule = ("─" if canvas.unicode else "-") * (_used(page.lanes))
        yield canvas.style(rule, "faint")
        for line in _row(page, len(table.rows), canvas._replace(colour=False)):
            yield canvas.style(line.rstrip(), "strong")


def _lanes(table: Table) -> Layout:
    return tuple(_lane(table, index) for index in range(len(table.columns)))


def _lane(table: Table, index: int) -> _LayoutColumn:
    column = table.columns[index]
    values = [row[index] for row in (*table.rows, *([table.total] if table.total else []))]
    places = max(column.places, places_for(values) if column.kind in ALIKE else 0)
    header = tame(column.title if index else table.title or column.title)
    cells = tuple(show(value, column.kind, places) for value in values)
    is_share = column.kind == "share"
    percents = tuple(float(v or 0) for v in values[: len(table.rows)]) if is_share else ()
    paths = frozenset(n for n, value in enumerate(values) if isinstance(value, Ref) and value.thing == "path")
    return _LayoutColumn(column, header, cells, percents, max(map(width_of, (header, *cells))), paths)


def _fit(lanes: list[_LayoutColumn], width: int) -> _FittedColumns:
    """Make the lanes fit: shorten long names, leave columns out, give up the bar, shorten hard."""
    wants_bar = any(lane.percents for lane in lanes)
    width_with_bar = width - (_MIN_BAR + len(_GAP) if wants_bar else 0)
    lanes = _shorten(lanes, width_with_bar, _EASY_TEXT)
    while _used(lanes) > width_with_bar and any(lane.column.rank for lane in lanes):
        highest = max(lane.column.rank for lane in lanes)
        lanes.remove([lane for lane in lanes if lane.column.rank == highest][-1])
    lanes = _shorten(lanes, width, _MIN_TEXT)
    room = width - _used(lanes) - len(_GAP)
    has_bar = any(lane.percents for lane in lanes) and room >= _MIN_BAR
    return _FittedColumns(tuple(lanes), min(room, _MAX_BAR) if has_bar else 0)


def _shorten(lanes: list[_LayoutColumn], width: int, least: int) -> list[_LayoutColumn]:
    """Take columns from the widest text until the lanes fit or every text is at ``least``."""
    while (over := _used(lanes) - width) > 0:
        yielding = [lane for lane in lanes if lane.is_text and lane.width > lane.least(least)]
        widest = max(yielding, key=lambda lane: lane.width, default=None)
        if widest is None:
            break
        rivals = [lane.width for lane in yielding if lane is not widest]
        target = max(widest.width - over, min(max(rivals, default=0), widest.width - 1), widest.least(least))
        lanes = [lane._replace(width=target) if lane is widest else lane for lane in lanes]
    return lanes


def _used(lanes: Sequence[_LayoutColumn]) -> int:
    return sum(lane.width for lane in lanes) + len(_GAP) * (len(lanes) - 1)


def _header(page: _FittedColumns, canvas: Canvas) -> str:
    cells = []
    for number, lane in enumerate(page.lanes):
        text = pad(_heading(lane.header, lane.width, canvas), lane.width, right=not lane.is_text)
        cells.append(canvas.style(text, "faint" if number else "strong"))
        if lane.percents and page.bar_width:
            cells.append(" " * page.bar_width)
    return _GAP.join(cells)


def _heading(text: str, width: int, canvas: Canvas) -> str:
    """Return a header of at most ``width`` columns: of a phrase, its first words say most."""
    if width_of(text) <= width:
        return text
    return _head(text, width - 1).rstrip() + canvas.ellipsis


def _row(page: _FittedColumns, number: int, canvas: Canvas) -> Iterator[str]:
    """Yield the lines of a row: one, or more where a cell wraps. A bar is drawn in the first."""
    columns = []
    for lane in page.lanes:
        columns.append((lane.lines(number, canvas), lane.width))
        if lane.percents and page.bar_width:
            drawn = _bar(lane, number, page.bar_width, canvas)
            filled = canvas.style(drawn, "bar") + " " * (page.bar_width - len(drawn))
            columns.append(([filled], page.bar_width))
    for line in range(max(len(parts) for parts, _ in columns)):
        yield _GAP.join(parts[line] if line < len(parts) else " " * width for parts, width in columns)


def _bar(lane: _LayoutColumn, number: int, width: int, canvas: Canvas) -> str:
    """Return the bar of one row: the largest share of the table takes the whole width."""
    if number >= len(lane.percents):
        return ""
    largest = max(*lane.percents, 0.0) if len(lane.percents) > 1 else lane.percents[0]
    return bar(lane.percents[number] * 100 / largest if largest > 0 else 0.0, width, canvas.unicode)


def shorten(text: str, width: int, canvas: Canvas) -> str:
    """Return text of at most ``width`` columns, its middle left out where it is longer.

    The ends of job ids and model names tell them apart, so both are kept.

    >>> shorten("job-20261122-rpatel-0001", 13, Canvas())
    'job-20…l-0001'
    """
    if width_of(text) <= width:
        return text
    tail = (width - 1) // 2
    return _head(text, width - 1 - tail) + canvas.ellipsis + _tail(text, tail)


def shorten_path(text: str, width: int, canvas: Canvas) -> str:
    """Return a path of at most ``width`` columns, its first folders left out where it is longer.

    The last folder of a ledger is its job, which must be told from others. Folders are left out whole where
    what remains names a folder and a file.

    >>> shorten_path("/home/ana/out/job-20261122-1-0001/cost_ledger.jsonl", 42, Canvas())
    '…/job-20261122-1-0001/cost_ledger.jsonl'
    """
    if width_of(text) <= width:
        return text
    tail = _tail(text, width - 1)
    whole = tail[max(tail.find("/"), 0) :]
    return canvas.ellipsis + (whole if whole.count("/") > 1 else tail)


def _head(text: str, width: int) -> str:
    """Return as many characters of the beginning as ``width`` columns hold; none is cut in two."""
    taken = ""
    for character in _characters(text):
        if width_of(taken + character) > width:
            break
        taken += character
    return taken


def _tail(text: str, width: int) -> str:
    taken = ""
    for character in reversed(_characters(text)):
        if width_of(character + taken) > width:
            break
        taken = character + taken
    return taken


def _characters(text: str) -> Sequence[str]:
    """Return what a reader takes for one character each: a letter with its accents, a family, a flag."""
    if _ONE_COLUMN_EACH.fullmatch(text):
        return text
    from wcwidth import iter_graphemes

    return list(iter_graphemes(text))


def pad(text: str, width: int, right: bool = False) -> str:
    """Return text filled up with blanks to ``width`` columns.

    >>> pad("42", 4, right=True), pad("東京", 6)
    ('  42', '東京  ')
    """
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def width_of(text: str) -> int:
    """Return how many terminal columns a text takes: two for wide characters, none for marks.

    https://www.unicode.org/reports/tr11/

    >>> width_of("gpt-4o"), width_of("東京"), width_of("e\u0301"), width_of("👩\u200d👧")
    (6, 4, 1, 2)
    """
    if _ONE_COLUMN_EACH.fullmatch(text):
        return len(text)
    if mark := _MARK.match(text):
        return 2 + width_of(text[mark.end() :])
    from wcwidth import width

    return width(text, control_codes="ignore")


def wrap(text: str, width: int, hang: int = 0, whole: Iterable[str] = ()) -> list[str]:
    """Return tamed text as lines of at most ``width`` columns; later ones begin with ``hang`` blanks.

    Lines break at blanks; a word that is longer than a line is cut. What ``whole`` names is neither broken
    nor cut, however long: a path or a command that a reader copies.

    >>> wrap("no price for openai/gpt-9", 14, 2)
    ['no price for', '  openai/gpt-9']
    >>> wrap("run it: ls /a/long/path", 10, whole=["ls /a/long/path"])
    ['run it:', 'ls /a/long/path']
    """
    lines: list[str] = []
    line = ""
    kept = [tame(phrase) for phrase in whole if phrase]
    text = tame(text)
    for phrase in kept:
        text = text.replace(phrase, phrase.replace(" ", _GLUE))
    for glued in text.split(" "):
        word = glued.replace(_GLUE, " ")
        margin = " " * hang if lines else ""
        if line.strip() and width_of(line) + 1 + width_of(word) > width:
            lines.append(line)
            line = word_start = " " * hang
        else:
            word_start = f"{line} " if line.strip() else line or margin
        line = word_start + word
        while width_of(line) > width and not any(phrase in word for phrase in kept):
            head = _head(line, width)
            lines.append(head)
            line = " " * hang + line[len(head) :]
    return [*lines, line] if line.strip() else lines
