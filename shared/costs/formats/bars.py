"""Bars and sparklines out of characters, in eighths of a column where the page takes them."""

from __future__ import annotations

from collections.abc import Sequence

from ..views.report import Gauge

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = "_.-:=+*#"


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


def sparkline(values: Sequence[float], room: int, unicode: bool) -> str:
    """Return one column per value, from zero to the largest; days without spend are blank.

    Values that do not fit the room are added up in equal groups.

    >>> sparkline([0, 1, 4, 8], 80, True), sparkline([1, 1, 4, 4], 2, True)
    (' ▁▄█', '▂█')
    """
    if len(values) > room:
        size = -(-len(values) // room)
        values = [sum(values[at : at + size]) for at in range(0, len(values), size)]
    peak = max(values, default=0)
    levels = _LEVELS if unicode else _ASCII_LEVELS
    return "".join(levels[max(0, -(-int(v * 8) // max(int(peak), 1)) - 1)] if v > 0 else " " for v in values)
