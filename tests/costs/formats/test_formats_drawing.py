"""The geometry of charts: stacks, lines, ticks, and words for those who do not see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.formats.drawing import PALETTE, chart_of, draw, scale, some
from shared.costs.reports.document import Chart, Layer, Series

LABELS = ("1 Nov", "2 Nov", "3 Nov")


def chart(*layers: Layer, kind: str = "money") -> Chart:
    return Chart("Spend", LABELS, layers, kind)  # type: ignore[arg-type]  # a test names a kind


def test_bars_stack_on_each_other() -> None:
    drawn = draw(
        chart(
            Layer("a", (1e9, 3e9, 0.0)),
            Layer("b", (1e9, None, 2e9)),
            Layer("c", (None, None, 2e9), "expected"),
        )
    )
    assert drawn.ticks == ("$4.00", "$3.00", "$2.00", "$1.00", "$0.00")
    assert [(box.x, box.y, box.height, box.style) for box in drawn.boxes] == [
        (0.08, 75.0, 25.0, "part-0"),
        (0.08, 50.0, 25.0, "part-1"),
        (1.08, 25.0, 75.0, "part-0"),
        (2.08, 50.0, 50.0, "part-1"),
        (2.08, 0.0, 50.0, "expected"),
    ]
    assert drawn.boxes[0].title == "1 Nov, a: $1.00"
    assert drawn.caption == "most $4.00 on 3 Nov"
    assert drawn.described == "1 Nov to 3 Nov, most $4.00 on 3 Nov"


def test_lines_and_ranges() -> None:
    drawn = draw(
        chart(
            Layer("likely", (None, 1e9, 2e9), "range", (None, 1e9, 4e9)),
            Layer("so far", (0.0, 1e9, None), "line"),
            Layer("limit", (2e9,) * 3, "limit"),
            Layer("nothing", (None,) * 3, "course"),
        )
    )
    assert [area.points for area in drawn.areas] == ["50.00,75.00 100.00,50.00 100.00,0.00 50.00,75.00"]
    assert [(line.points, line.style) for line in drawn.lines] == [
        ("0.00,100.00 50.00,75.00", "line"),
        ("0.00,50.00 50.00,50.00 100.00,50.00", "limit"),
    ]
    assert [(key.name, key.value, key.stroke) for key in drawn.keys] == [
        ("likely", "$2.00 to $4.00", False),
        ("so far", "$1.00", True),
        ("limit", "$2.00", True),
    ]
    assert drawn.caption == ""
    assert drawn.described == "1 Nov to 3 Nov, likely $2.00 to $4.00, so far $1.00, limit $2.00"


def test_a_plain_series_is_a_chart_without_a_legend() -> None:
    drawn = draw(chart_of(Series("Calls", LABELS, (1.0, 5.0, 2.0), "count")))
    assert drawn.keys == ()
    assert drawn.caption == "most 5 on 2 Nov"


def test_what_is_below_zero_is_no_bar() -> None:
    assert [box.height for box in draw(chart(Layer("a", (-1e9, 1e9, 0.0)))).boxes] == [100.0]


def test_parts_beyond_the_palette_share_the_last_style() -> None:
    drawn = draw(chart(*(Layer(str(n), (1e9,) * 3) for n in range(PALETTE + 2))))
    assert {key.style for key in drawn.keys} == {f"part-{n}" for n in range(PALETTE)}


def test_small_amounts_have_as_many_decimals_as_they_need() -> None:
    assert draw(chart(Layer("a", (0.0, 4_500_000.0, 0.0)))).ticks[0] == "$0.0060"


@given(st.floats(min_value=1e-9, max_value=1e18))
def test_a_scale_holds_the_peak_in_few_even_steps(peak: float) -> None:
    steps = scale(peak)
    assert steps[0] == 0.0
    assert peak <= steps[-1] * (1 + 1e-9)
    assert 2 <= len(steps) <= 6
    assert steps[-1] == pytest.approx(steps[1] * (len(steps) - 1))
    assert steps[-1] - steps[1] < peak


def test_some_labels() -> None:
    assert some(["1", "2"]) == ["1", "2"]
    assert len(some([str(n) for n in range(90)])) == 5
