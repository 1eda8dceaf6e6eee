"""Charts as geometry: where bars, lines and gridlines lie, in percent of the plot.

Knows nothing of a page: a format that draws takes the numbers and the names of the styles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ..reports.document import Chart, Kind, Layer, Series
from .values import places_for, show, tame

PALETTE: Final = 6
"""How many styles there are for parts of a stack, ``part-0`` to ``part-5``; the last is for the rest."""

_MOST_LABELS: Final = 5
_MOST_STEPS: Final = 4
_GAP: Final = 0.08
_WHOLE: Final = ("money", "amount", "count", "tokens")
_STACKED: Final = ("bar", "expected")
_STROKES: Final = ("line", "before", "course", "limit")


class Box(NamedTuple):
    """A rectangle: x and width in labels, y and height in percent from the top."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


class Path(NamedTuple):
    """A line, or the area within it: points as SVG has them, in percent of the plot."""

    points: str
    style: str


class Key(NamedTuple):
    """One line of the legend. ``stroke`` tells that it stands for a line."""

    name: str
    style: str
    value: str
    stroke: bool


class Drawing(NamedTuple):
    """A chart ready to be put on a page. ``ticks`` are from the top down, evenly spaced.

    ``caption`` says what stands out; ``described`` is the picture in words, for those who do not see it.
    """

    title: str
    caption: str
    described: str
    columns: int
    ticks: tuple[str, ...]
    boxes: tuple[Box, ...]
    areas: tuple[Path, ...]
    lines: tuple[Path, ...]
    keys: tuple[Key, ...]
    labels: tuple[str, ...]


def draw(chart: Chart) -> Drawing:
    """Return the geometry of a chart that has at least one label; layers without a value are left out."""
    chart = chart._replace(
        layers=tuple(layer for layer in chart.layers if any(v is not None for v in layer.values))
    )
    steps = scale(_peak(chart))
    top = steps[-1]
    labels = [tame(label) for label in chart.labels]
    styles = _styles(chart.layers)
    caption = _caption(chart, labels)
    return Drawing(
        title=tame(chart.title),
        caption=caption,
        described=f"{labels[0]} to {labels[-1]}, {caption or _ends(chart)}",
        columns=len(labels),
        ticks=tuple(_shown(step, chart.kind, steps[1]) for step in reversed(steps)),
        boxes=tuple(_boxes(chart, styles, labels, top)),
        areas=tuple(_area(layer, top) for layer in chart.layers if layer.look == "range"),
        lines=tuple(_lines(chart.layers, top)),
        keys=_keys(chart, styles),
        labels=tuple(some(labels)),
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


def some(labels: Sequence[str]) -> list[str]:
    """Return the first, the last, and evenly some between.

    >>> some([str(day) for day in range(1, 31)])
    ['1', '8', '15', '23', '30']
    """
    if len(labels) <= _MOST_LABELS:
        return list(labels)
    last = len(labels) - 1
    return [labels[round(n * last / (_MOST_LABELS - 1))] for n in range(_MOST_LABELS)]


def _peak(chart: Chart) -> float:
    """Return the highest point: of the stacks, of a line, or of a range."""
    others = [value or 0.0 for layer in chart.layers for value in (*layer.upper, *layer.values)]
    return max([*_stacks(chart), *others], default=0.0)


def _stacks(chart: Chart) -> list[float]:
    """Return the height of the stack over each label."""
    stacked = [layer.values for layer in chart.layers if layer.look in _STACKED]
    return [sum(max(value or 0.0, 0.0) for value in column) for column in zip(*stacked, strict=True)]


def _styles(layers: Sequence[Layer]) -> list[str]:
    """Return a style for each layer: parts of a stack are told apart, all else is named by its look."""
    bars = iter(range(len(layers)))
    return [f"part-{min(next(bars), PALETTE - 1)}" if layer.look == "bar" else layer.look for layer in layers]


def _boxes(chart: Chart, styles: Sequence[str], labels: Sequence[str], top: float) -> Iterator[Box]:
    for at, label in enumerate(labels):
        under = 0.0
        for layer, style in zip(chart.layers, styles, strict=True):
            value = max(layer.values[at] or 0.0, 0.0)
            if layer.look not in _STACKED or not value:
                continue
            title = f"{label}, {tame(layer.name)}: {_shown(value, chart.kind)}"
            height = round(value * 100 / top, 3)
            under += height
            yield Box(round(at + _GAP, 2), round(100 - under, 3), 1 - 2 * _GAP, height, style, title)


def _lines(layers: Sequence[Layer], top: float) -> Iterator[Path]:
    for layer in layers:
        if layer.look in _STROKES:
            yield Path(" ".join(_points(layer.values, top)), layer.look)


def _area(layer: Layer, top: float) -> Path:
    there, back = list(_points(layer.values, top)), list(_points(layer.upper, top))
    return Path(" ".join([*there, *reversed(back)]), layer.look)


def _points(values: Sequence[float | None], top: float) -> Iterator[str]:
    for at, value in enumerate(values):
        if value is not None:
            x = at * 100 / max(len(values) - 1, 1)
            yield f"{x:.2f},{100 - max(value, 0.0) * 100 / top:.2f}"


def _keys(chart: Chart, styles: Sequence[str]) -> tuple[Key, ...]:
    """Return the legend; a single layer is what the title says."""
    if len(chart.layers) < 2:
        return ()
    return tuple(
        Key(tame(layer.name), style, _sum(layer, chart.kind), layer.look in _STROKES)
        for layer, style in zip(chart.layers, styles, strict=True)
    )


def _sum(layer: Layer, kind: Kind) -> str:
    """Return what a layer comes to: the sum of bars, the last value of a line."""
    values = [value for value in layer.values if value is not None]
    if layer.look == "range":
        upper = [value for value in layer.upper if value is not None]
        return f"{_shown(values[-1], kind)} to {_shown(upper[-1], kind)}"
    return _shown(sum(values) if layer.look in _STACKED else values[-1], kind)


def _caption(chart: Chart, labels: Sequence[str]) -> str:
    """Return what the highest stack is; nothing where no bars are."""
    stacks = _stacks(chart)
    if not stacks:
        return ""
    top = stacks.index(max(stacks))
    return f"most {_shown(stacks[top], chart.kind)} on {labels[top]}"


def _ends(chart: Chart) -> str:
    return ", ".join(f"{tame(layer.name)} {_sum(layer, chart.kind)}" for layer in chart.layers)


def _shown(value: float, kind: Kind, step: float | None = None) -> str:
    """Return a value as people read it; on an axis with as many decimals as its steps need."""
    amount = round(value) if kind in _WHOLE else value
    return show(amount, kind, places_for([amount if step is None else round(step)]))
