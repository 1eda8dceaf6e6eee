"""Charts: spend by name and part of a period, and the course of a month with where it leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from ..analysis.forecast import Forecast
from ..analysis.pace import Pace
from ..periods import Period, previous_month
from .common import named
from .document import Chart, Layer, Ref, Section

_APART: Final = 5
"""How many names a bar tells apart; the rest are one part."""

_FAR: Final = 4
"""A limit more than this many times above everything else would flatten the picture, and is left out."""


def course_chart(
    period: Period,
    pace: Pace,
    costs: Sequence[int],
    *,
    before: Sequence[int] = (),
    forecast: Forecast | None = None,
    limit: int | None = None,
) -> Chart:
    """Return a month's sum day by day. ``costs`` are of its days, ``before`` those of the month before."""
    days = period.length_in_days
    earlier = [float(sum_) for sum_ in accumulate(before)][:days]
    so_far = [float(sum_) for sum_ in accumulate(costs[: pace.days_begun])]
    layers = list(_ahead(forecast, pace, days))
    if any(earlier):
        layers.append(Layer(named(previous_month(period)), _padded(earlier, days), "before"))
    layers.append(Layer(named(period), _padded(so_far, days), "line"))
    highest = max(max(value or 0.0 for value in (*layer.values, *layer.upper)) for layer in layers)
    if limit is not None and 0 < limit <= _FAR * highest:
        layers.append(Layer("limit", (float(limit),) * days, "limit"))
    title = "The month as it went" if pace.is_over else "The month so far"
    return Chart(title, day_labels(period), tuple(layers), section="standing")


def day_labels(period: Period) -> tuple[str, ...]:
    """Return the days of a period as labels that name them."""
    return tuple(Ref(f"{day.day} {day:%b}", "day", day.isoformat()) for day in period.dates())


def _ahead(forecast: Forecast | None, pace: Pace, days: int) -> Iterator[Layer]:
    """Return where the month is expected to go, from today on."""
    if forecast is None or not pace.days_left:
        return
    today = pace.days_begun - 1
    nothing = (None,) * today
    if forecast.low is not None and forecast.high is not None:
        gap = (None,) * (days - today - 2)
        low, high = ((float(forecast.spent), *gap, float(end)) for end in (forecast.low, forecast.high))
        yield Layer("likely end", (*nothing, *low), "range", (*nothing, *high))
    rest, *coming = (float(day.cost) for day in forecast.expected)
    course = accumulate(coming, initial=forecast.spent + rest)
    next(course)
    yield Layer("expected", (*nothing, float(forecast.spent), *course), "course")


def _padded(values: Sequence[float], length: int) -> tuple[float | None, ...]:
    return (*values, *[None] * (length - len(values)))


def spend_chart(
    title: str,
    labels: tuple[str, ...],
    costs: Mapping[str, Sequence[int]],
    expected: tuple[float | None, ...] = (),
    section: Section = "",
) -> Chart:
    """Return bars of what each name cost, the most expensive first, and of what is ``expected`` to come.

    ``costs`` are in nano-dollars, of the first of the parts that ``labels`` name.
    """
    paid = {name: each for name, each in costs.items() if any(each)}
    names = list(paid)
    apart = names if len(names) <= _APART + 1 else names[:_APART]
    bars = {name: paid[name] for name in apart}
    if rest := names[len(apart) :]:
        bars[f"{len(rest)} more"] = [sum(part) for part in zip(*(paid[name] for name in rest), strict=True)]
    layers = [Layer(name, _padded(tuple(map(float, each)), len(labels))) for name, each in bars.items()]
    layers += [Layer("expected", expected, "expected")] if any(expected) else []
    return Chart(title, labels, tuple(layers), section=section)


def expected_by_day(forecast: Forecast | None, period: Period) -> tuple[float | None, ...]:
    """Return what each day of a period is expected to cost; nothing for those before today."""
    if forecast is None:
        return ()
    costs = {day.date: float(day.cost) for day in forecast.expected}
    return tuple(costs.get(day) for day in period.dates())
