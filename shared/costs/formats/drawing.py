"""Charts as geometry: where bars, lines and gridlines lie, in percent of the plot.

Knows nothing of a page: a format that draws takes the numbers and the names of the styles. Everything is in
percent of a plot without a coordinate system of its own, so that strokes and texts keep their size at every
width; areas alone are points of a plot of 100 by 100, which may be stretched. A bar, its label and the points
of lines over it have the same centre.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

from ..reports.document import MONEY, Chart, Kind, Layer, Series
from .bars import extremes, top_of
from .values import places_below_a_dollar, places_for, show, tame

PALETTE: Final = 6
"""How many styles there are for parts of a stack, ``part-0`` to ``part-5``; the last is for the rest."""

PAPER: Final = MappingProxyType(
    {
        "card": "#ffffff",
        "ink": "#1b2026",
        "soft": "#545e69",
        "grid": "#dde1e6",
        "zero": "#545e69",
        "track": "#e6e9ed",
        "held": "#a9c5e3",
        "bar": "#2f6fb2",
        "good": "#1d7a4c",
        "warning": "#8f5a00",
        "critical": "#b3261e",
        "part-0": "#2f6fb2",
        "part-1": "#c2571a",
        "part-2": "#1f8a70",
        "part-3": "#8a4fa8",
        "part-4": "#8f7300",
        "part-5": "#76818c",
        "expected": "#c3cad2",
        "line": "#2f6fb2",
        "course": "#2f6fb2",
        "before": "#76818c",
        "range": "#a9c5e3",
        "limit": "#b3261e",
    }
)
"""The colour of each style on paper: a page's own styles go over it, and a printer that has none takes it."""

_MOST_LABELS: Final = 5
_MOST_STEPS: Final = 4
_GAP: Final = 0.08
"""What is left free on each side of a bar, as a share of its column."""

_CUT: Final = (11.0, 7.0)
"""Where the gap of a cut bar begins on its left and ends on its right, in percent from its end."""

_BESIDE: Final = 20.0
"""Amounts over cut bars take turns in two rows where they are nearer than this, in percent of the plot."""

_DASHES: Final = 36
"""A course has about this many dashes, whatever its length: they are drawn, since a stroke's own would begin
anew at every day."""

_AMOUNTS: Final = MONEY | {"units"}
_WHOLE: Final = _AMOUNTS | {"count", "tokens"}
_STACKED: Final = ("bar", "expected")
_STROKES: Final = ("line", "before", "course", "limit")


class Box(NamedTuple):
    """A rectangle. ``title`` says what it stands for."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


class Segment(NamedTuple):
    """A straight line between two points."""

    x1: float
    y1: float
    x2: float
    y2: float
    style: str


class Bar(NamedTuple):
    """The stack over one label, from zero up and from zero down. ``name`` says what it comes to.

    ``column`` counts the labels from 0. ``cuts`` are the gaps in a bar that is off the scale, above or below:
    such a bar reaches the edge of the plot, and its parts keep their shares of it.
    """

    label: str
    name: str
    boxes: tuple[Box, ...]
    column: int
    cuts: tuple[Segment, ...] = ()


class Text(NamedTuple):
    """A text at a place on an axis; ``row`` counts from the plot outwards."""

    at: float
    text: str
    row: int = 0


class Area(NamedTuple):
    """An area: its corners as SVG has them, in a plot of 100 by 100."""

    points: str
    style: str


class LegendKey(NamedTuple):
    """One line of the legend. ``stroke`` tells that it stands for a line."""

    name: str
    style: str
    value: str
    stroke: bool


class Drawing(NamedTuple):
    """A chart ready to be put on a page. ``ticks`` are from the top down; ``columns`` is how
    many labels there are, of which ``labels`` are some.

    ``marks`` are the amounts over bars that are cut. ``zero`` is how far from the top nothing is: the bottom,
    where nothing lies below it. ``caption`` says what stands out; ``described`` is the picture in words, for
    those who do not see it.
    """

    title: str
    caption: str
    described: str
    ticks: tuple[Text, ...]
    labels: tuple[Text, ...]
    columns: int
    bars: tuple[Bar, ...]
    marks: tuple[Text, ...]
    areas: tuple[Area, ...]
    lines: tuple[Segment, ...]
    keys: tuple[LegendKey, ...]
    zero: float = 100.0

    @property
    def widest_tick(self) -> str:
        """The tick that takes most room."""
        return max((tick.text for tick in self.ticks), key=len)


def draw(chart: Chart) -> Drawing:
    """Return the geometry of a chart that has at least one label; layers without a value are left out."""
    chart = chart._replace(
        layers=tuple(layer for layer in chart.layers if any(v is not None for v in layer.values))
    )
    axis = _axis(chart)
    labels = [tame(label) for label in chart.labels]
    styles = _styles(chart.layers)
    caption = _caption(chart, labels, axis)
    return Drawing(
        title=tame(chart.title),
        caption=caption,
        described=f"{labels[0]} to {labels[-1]}, {caption or _ends(chart)}",
        ticks=tuple(
            Text(axis.at(step), _shown(step, chart.kind, axis.steps[-1] - axis.steps[-2]))
            for step in reversed(axis.steps)
        ),
        labels=tuple(Text(_centre(at, len(labels)), labels[at]) for at in some(len(labels))),
        columns=len(labels),
        bars=tuple(_bars(chart, styles, axis)),
        marks=tuple(_marks(chart, axis)),
        areas=tuple(_area(layer, axis) for layer in chart.layers if layer.look == "range"),
        lines=tuple(_lines(chart.layers, axis)),
        keys=_keys(chart, styles),
        zero=axis.at(0.0),
    )


def chart_of(series: Series) -> Chart:
    """Return a plain series as a chart of bars."""
    return Chart(series.title, series.labels, (Layer(series.title, series.values),), series.kind)


def scale(peak: float) -> list[float]:
    """Return evenly spaced round values from zero to at least ``peak``.

    >>> scale(21.2), scale(0.9), scale(0)
    ([0.0, 10.0, 20.0, 30.0], [0.0, 0.5, 1.0], [0.0, 1.0])
    """
    if peak <= 0:
        return [0.0, 1.0]
    rough = peak / _MOST_STEPS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * (1 - 1e-9))
    return [number * step for number in range(math.ceil(peak / step * (1 - 1e-9)) + 1)]


def some(number: int) -> list[int]:
    """Return the places of the first, the last, and evenly some between.

    >>> some(30), some(2)
    ([0, 7, 14, 22, 29], [0, 1])
    """
    if number <= _MOST_LABELS:
        return list(range(number))
    return [round(n * (number - 1) / (_MOST_LABELS - 1)) for n in range(_MOST_LABELS)]


def _centre(at: int, number: int) -> float:
    return round((at + 0.5) * 100 / number, 2)


class _Axis(NamedTuple):
    """The values of the gridlines, from the lowest up; zero is one of them."""

    steps: Sequence[float]

    @property
    def top(self) -> float:
        return self.steps[-1]

    @property
    def floor(self) -> float:
        return self.steps[0]

    def part(self, value: float) -> float:
        """Return a height in percent of the plot."""
        return round(value * 100 / (self.top - self.floor), 2)

    def at(self, value: float) -> float:
        """Return how far from the top a value lies, in percent."""
        return round((self.top - value) * 100 / (self.top - self.floor), 2)


def _axis(chart: Chart) -> _Axis:
    """Return an axis that holds lines, ranges and the stacks but those off the scale, and zero."""
    lines = [layer for layer in chart.layers if layer.look not in _STACKED]
    values = [value or 0.0 for layer in lines for value in (*layer.upper, *layer.values)]
    ups, downs = ([each[side] for each in _stacks(chart)] for side in (0, 1))
    end = top_of([*ups, *downs])
    peak = max([0.0, *values, *(min(up, end) for up in ups)])
    depth = max([0.0, *(-value for value in values), *(min(down, end) for down in downs)])
    if not depth:
        return _Axis(scale(peak))
    step = scale(peak + depth)[1]
    down, up = (math.ceil(size / step * (1 - 1e-9)) for size in (depth, peak))
    return _Axis([number * step for number in range(-down, up + 1)])


class _Stack(NamedTuple):
    """How far what is stacked over one label reaches, above zero and below; both are sizes."""

    above: float
    below: float

    @property
    def sum(self) -> float:
        return self.above - self.below


def _stacks(chart: Chart) -> list[_Stack]:
    """Return the stack over each label."""
    stacked = [layer.values for layer in chart.layers if layer.look in _STACKED]
    columns = [[value or 0.0 for value in column] for column in zip(*stacked, strict=True)]
    return [_Stack(sum(max(v, 0.0) for v in each), sum(max(-v, 0.0) for v in each)) for each in columns]


def _styles(layers: Sequence[Layer]) -> list[str]:
    """Return a style for each layer: parts of a stack are told apart, all else is named by its look."""
    bars = iter(range(len(layers)))
    return [f"part-{min(next(bars), PALETTE - 1)}" if layer.look == "bar" else layer.look for layer in layers]


def _bars(chart: Chart, styles: Sequence[str], axis: _Axis) -> Iterator[Bar]:
    for at, stack in enumerate(_stacks(chart)):
        if boxes := tuple(_boxes(chart, styles, at, stack, axis)):
            label = chart.labels[at]
            name = f"{tame(label)}: {_shown(stack.sum, chart.kind)}"
            yield Bar(label, name, boxes, at, tuple(_cuts(stack, axis, boxes[0])))


def _boxes(chart: Chart, styles: Sequence[str], at: int, stack: _Stack, axis: _Axis) -> Iterator[Box]:
    """Return the parts of a stack; one that is off the scale is made to end with it."""
    columns = len(chart.labels)
    up = min(axis.top / stack.above, 1.0) if stack.above else 1.0
    down = min(-axis.floor / stack.below, 1.0) if stack.below else 1.0
    upper = lower = axis.at(0.0)
    for layer, style in zip(chart.layers, styles, strict=True):
        value = layer.values[at] or 0.0
        if layer.look not in _STACKED or not value:
            continue
        title = f"{tame(chart.labels[at])}, {tame(layer.name)}: {_shown(value, chart.kind)}"
        width = round((1 - 2 * _GAP) * 100 / columns, 2)
        height = axis.part(value * up if value > 0 else -value * down)
        y = upper - height if value > 0 else lower
        upper, lower = (y, lower) if value > 0 else (upper, lower + height)
        yield Box(_side(at, columns), round(y, 2), width, height, style, title)


def _cuts(stack: _Stack, axis: _Axis, box: Box) -> Iterator[Segment]:
    """Return the gaps of a bar that is off the scale."""
    left, right = box.x, round(box.x + box.width, 2)
    if stack.above > axis.top:
        yield Segment(left, _CUT[0], right, _CUT[1], "card")
    if stack.below > -axis.floor:
        yield Segment(left, 100 - _CUT[1], right, 100 - _CUT[0], "card")


def _side(at: int, columns: int) -> float:
    """Return where the bar of a column begins."""
    return round((at + _GAP) * 100 / columns, 2)


def _marks(chart: Chart, axis: _Axis) -> Iterator[Text]:
    """Return the amounts over bars that are cut; those near each other in two rows."""
    row, before = 0, -math.inf
    for at, stack in enumerate(_stacks(chart)):
        if stack.above > axis.top or stack.below > -axis.floor:
            centre = _centre(at, len(chart.labels))
            row = 1 - row if centre - before < _BESIDE else 0
            before = centre
            yield Text(centre, _shown(stack.sum, chart.kind), row)


def _lines(layers: Sequence[Layer], axis: _Axis) -> Iterator[Segment]:
    if axis.floor:
        yield Segment(0.0, axis.at(0.0), 100.0, axis.at(0.0), "zero")
    for layer in layers:
        points = _points(layer.values, axis)
        if layer.look == "limit" and points:
            yield Segment(0.0, points[0][1], 100.0, points[0][1], "limit")
        elif layer.look == "course":
            yield from _dashed(points)
        elif layer.look in _STROKES:
            for (x1, y1), (x2, y2) in pairwise(points):
                yield Segment(x1, y1, x2, y2, layer.look)


def _dashed(points: Sequence[tuple[float, float]]) -> Iterator[Segment]:
    """Return a line as dashes: each has half of its place."""
    dashes = max(1, round(_DASHES / max(len(points) - 1, 1)))
    for (x1, y1), (x2, y2) in pairwise(points):
        for number in range(dashes):
            here, there = number / dashes, (number + 0.5) / dashes
            yield Segment(
                round(x1 + (x2 - x1) * here, 2),
                round(y1 + (y2 - y1) * here, 2),
                round(x1 + (x2 - x1) * there, 2),
                round(y1 + (y2 - y1) * there, 2),
                "course",
            )


def _area(layer: Layer, axis: _Axis) -> Area:
    there, back = _points(layer.values, axis), _points(layer.upper, axis)
    return Area(" ".join(f"{x:g},{y:g}" for x, y in [*there, *reversed(back)]), layer.look)


def _points(values: Sequence[float | None], axis: _Axis) -> list[tuple[float, float]]:
    return [
        (_centre(at, len(values)), axis.at(value)) for at, value in enumerate(values) if value is not None
    ]


def _keys(chart: Chart, styles: Sequence[str]) -> tuple[LegendKey, ...]:
    """Return the legend, its amounts alike; a single layer is what the title says."""
    if len(chart.layers) < 2:
        return ()
    sums = [round(value) for layer in chart.layers for value in _sums(layer)]
    places = min(places_for(sums), places_below_a_dollar(sums)) if chart.kind in _AMOUNTS else 2
    return tuple(
        LegendKey(tame(layer.name), style, _sum(layer, chart.kind, places), layer.look in _STROKES)
        for layer, style in zip(chart.layers, styles, strict=True)
    )


def _sum(layer: Layer, kind: Kind, places: int | None = None) -> str:
    """Return what a layer comes to."""
    return " to ".join(_shown(value, kind, places=places) for value in _sums(layer))


def _sums(layer: Layer) -> Sequence[float]:
    """Return what a layer comes to: the sum of bars, the last value of a line, both ends of a range."""
    values = [value for value in layer.values if value is not None]
    if layer.look == "range":
        return values[-1], [value for value in layer.upper if value is not None][-1]
    return (sum(values) if layer.look in _STACKED else values[-1],)


def _caption(chart: Chart, labels: Sequence[str], axis: _Axis) -> str:
    """Return what the highest and the lowest stack are, and which bars are cut; nothing where no bars are."""
    stacks = _stacks(chart)
    sums = [stack.sum for stack in stacks]
    if not any(stack.above or stack.below for stack in stacks):
        return ""
    said = extremes(sums, labels, lambda value: _shown(value, chart.kind))
    passed = [axis.floor] if any(stack.below > -axis.floor for stack in stacks) else []
    passed += [axis.top] if any(stack.above > axis.top for stack in stacks) else []
    if not passed:
        return said
    ends_at = " and ".join(_shown(end, chart.kind) for end in passed)
    return f"{said}; a bar with a gap is off the scale, which ends at {ends_at}"


def _ends(chart: Chart) -> str:
    return ", ".join(f"{tame(layer.name)} {_sum(layer, chart.kind)}" for layer in chart.layers)


def _shown(value: float, kind: Kind, step: float | None = None, places: int | None = None) -> str:
    """Return a value as people read it; on an axis with as many decimals as its steps need."""
    amount = round(value) if kind in _WHOLE else value
    return show(amount, kind, places or places_for([amount if step is None else round(step)]))
