"""Bars and sparklines out of characters, in eighths of a column where the page takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from ..reports.document import Gauge, Kind
from .values import places_for, show

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = "_.-:=+*#"
_FAR: Final = 4
"""Beside a value this many times as large, all others are drawn in the two lowest of eight levels."""
_BESIDE: Final = 2
"""So many others there must be, at the least."""


def bar(percent: float, width: int, unicode: bool) -> str:
    """Return a bar for ``percent`` of ``width`` columns. Anything above zero shows a trace.

    >>> bar(50, 8, True), bar(0.01, 8, True), bar(0, 8, True), bar(50, 8, False)
    ('████', '▏', '', '####')
    """
    spent = percent > 0
    share = min(max(percent, 0.0), 100.0) / 100
    if not unicode:
        return "#" * (max(1, round(share * width)) if spent else 0)
    eighths = max(1, round(share * width * 8)) if spent else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


def gauge_bar(gauge: Gauge, width: int, unicode: bool) -> str:
    """Return a bar with a track: spent, then what is held, then what is free.

    >>> from shared.costs.money import Nanos
    >>> gauge_bar(Gauge("monthly", Nanos(5), Nanos(10), 50.0, held=Nanos(2)), 10, True)
    '█████▒▒░░░'
    """
    spent = _columns(gauge.percent, width)
    held_percent = gauge.held * 100 / gauge.whole if gauge.whole else 0.0
    held = min(_columns(held_percent, width), width - spent)
    full, hatched, track = "█▒░" if unicode else "#+."
    return full * spent + hatched * held + track * (width - spent - held)


def _columns(percent: float, width: int) -> int:
    """Return whole columns: none only for nothing, all only for everything."""
    if percent <= 0:
        return 0
    if percent >= 100:
        return width
    return min(max(1, round(percent * width / 100)), width - 1)


class Spark(NamedTuple):
    """A sparkline: ``drawn`` has one column per value; ``top`` is what its highest level stands for.

    ``mark`` stands for each value that is off this scale, ``below`` for each below zero; they are empty where
    none is.
    """

    drawn: str
    top: float
    mark: str = ""
    below: str = ""


def sparkline(values: Sequence[float], room: int, unicode: bool) -> Spark:
    """Return one column per value, from zero to the largest; days without spend are blank.

    Values that do not fit the room are added up in equal groups. Few that are far above all others
    are marked rather than drawn, since beside them the others would all look alike.

    >>> sparkline([0, 1, 4, 8], 80, True).drawn, sparkline([1, 1, 4, 4], 2, True).drawn
    (' ▁▄█', '▂█')
    >>> sparkline([1, 2, 100, 4, -2], 80, True)
    Spark(drawn='▂▄▲█▼', top=4, mark='▲', below='▼')
    """
    if len(values) > room:
        size = -(-len(values) // room)
        values = [sum(values[at : at + size]) for at in range(0, len(values), size)]
    top = top_of(values)
    levels, mark, below = (_LEVELS, "▲", "▼") if unicode else (_ASCII_LEVELS, "^", "v")
    drawn = "".join(
        mark if value > top else below if value < 0 else _level(value, top, levels) for value in values
    )
    return Spark(drawn, top, *(each if each in drawn else "" for each in (mark, below)))


def top_of(values: Sequence[float]) -> float:
    """Return the largest value below a gap of ``_FAR`` times; a tenth of the values may lie above it.

    What lies above is far off only beside several others, which are below the gap.

    >>> top_of([1, 100, 3, 2]), top_of([100, 0, 2])
    (3, 100)
    """
    falling = sorted((value for value in values if value > 0), reverse=True)
    few = min(max(1, len(values) // 10), len(falling) - _BESIDE)
    gaps = pairwise(falling[: max(few, 0) + 1])
    return next((below for value, below in gaps if value > _FAR * below), max(falling, default=0))


def _level(value: float, top: float, levels: str) -> str:
    return levels[max(0, -(-int(value * 8) // max(int(top), 1)) - 1)] if value > 0 else " "


def legend(spark: Spark, kind: Kind) -> str:
    """Return what the mark of values that are not drawn means, to follow a caption; nothing without any.

    >>> legend(Spark("▂▄▲█", 4_000_000_000, "▲"), "money"), legend(Spark("▂█", 4), "count")
    (' (▲ is off the scale, which ends at $4.00)', '')
    >>> legend(Spark("▂▼█", 4, "", "▼"), "count")
    ' (▼ is below zero)'
    """
    said = [f"{spark.mark} is off the scale, which ends at {as_read(spark.top, kind)}"] if spark.mark else []
    said += [f"{spark.below} is below zero"] if spark.below else []
    return f" ({'; '.join(said)})" if said else ""


_DAY: Final = re.compile(r"\d{1,2}( \w+)?|\d{4}-\d\d-\d\d")


def moment(label: str) -> str:
    """Return when a value of a chart was, by its label.

    >>> moment("22 Nov"), moment("18:00"), moment("Nov"), moment("2026-W47")
    ('on 22 Nov', 'at 18:00', 'in Nov', 'in 2026-W47')
    """
    word = "at" if ":" in label else "on" if _DAY.fullmatch(label) else "in"
    return f"{word} {label}"


def extremes(values: Sequence[float], labels: Sequence[str], shown: Callable[[float], str]) -> str:
    """Return the most, where it is above zero, and the least, where it is below, each with when it was.

    >>> extremes([2, 5, -3], ["1 Nov", "2 Nov", "3 Nov"], str), extremes([0], ["1 Nov"], str)
    ('most 5 on 2 Nov, least -3 on 3 Nov', '')
    """
    ends = {"most": max(0, *values), "least": min(0, *values)}
    said = (f"{word} {shown(end)} {moment(labels[values.index(end)])}" for word, end in ends.items() if end)
    return ", ".join(said)


def as_read(value: float, kind: Kind) -> str:
    """Return one value of a series as people read it."""
    return show(int(value), kind, places_for([int(value)]))
