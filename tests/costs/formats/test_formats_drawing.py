"""The geometry of charts: stacks, lines, ticks, and words for those who do not see them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.costs.formats.drawing import PALETTE, PAPER, Segment, Text, chart_of, draw, scale, some
from shared.costs.formats.page import asset
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
    assert drawn.ticks == (
        Text(0.0, "$4.00"),
        Text(25.0, "$3.00"),
        Text(50.0, "$2.00"),
        Text(75.0, "$1.00"),
        Text(100.0, "$0.00"),
    )
    assert [[(box.x, box.y, box.height, box.style) for box in bar.boxes] for bar in drawn.bars] == [
        [(2.67, 75.0, 25.0, "part-0"), (2.67, 50.0, 25.0, "part-1")],
        [(36.0, 25.0, 75.0, "part-0")],
        [(69.33, 50.0, 50.0, "part-1"), (69.33, 0.0, 50.0, "expected")],
    ]
    assert drawn.bars[0].boxes[0].title == "1 Nov, a: $1.00"
    assert [bar.name for bar in drawn.bars] == ["1 Nov: $2.00", "2 Nov: $3.00", "3 Nov: $4.00"]
    assert drawn.caption == "most $4.00 on 3 Nov"
    assert drawn.described == "1 Nov to 3 Nov, most $4.00 on 3 Nov"
    assert drawn.marks == ()


def test_a_bar_that_is_off_the_scale_is_cut_keeps_its_parts_and_carries_its_amount() -> None:
    drawn = draw(chart(Layer("a", (1e9, 15e9, 1e9)), Layer("b", (1e9, 5e9, 0.0))))
    assert drawn.ticks[0] == Text(0.0, "$2.00")
    low, cut, _ = drawn.bars
    assert low.cuts == ()
    assert [(box.y, box.height) for box in cut.boxes] == [(25.0, 75.0), (0.0, 25.0)]
    [gap] = cut.cuts
    assert (gap.x1, gap.x2) == (cut.boxes[0].x, cut.boxes[0].x + cut.boxes[0].width)
    assert gap.y1 < 25
    assert drawn.marks == (Text(50.0, "$20.00"),)
    assert drawn.caption == ("most $20.00 on 2 Nov; a bar with a gap is off the scale, which ends at $2.00")


def test_amounts_over_cut_bars_that_are_close_take_turns_in_two_rows() -> None:
    labels = tuple(str(day) for day in range(30))
    values = [50e9 if day in (3, 4, 20) else 1e9 for day in range(30)]
    drawn = draw(Chart("Spend", labels, (Layer("a", tuple(values)),)))
    assert [mark.row for mark in drawn.marks] == [0, 1, 0]


def test_lines_and_ranges() -> None:
    drawn = draw(
        chart(
            Layer("likely", (None, 1e9, 2e9), "range", (None, 1e9, 4e9)),
            Layer("so far", (0.0, 1e9, None), "line"),
            Layer("limit", (2e9,) * 3, "limit"),
            Layer("nothing", (None,) * 3, "course"),
        )
    )
    assert [area.points for area in drawn.areas] == ["50,75 83.33,50 83.33,0 50,75"]
    assert drawn.lines == (
        Segment(16.67, 100.0, 50.0, 75.0, "line"),
        Segment(0.0, 50.0, 100.0, 50.0, "limit"),
    )
    assert [(key.name, key.value, key.stroke) for key in drawn.keys] == [
        ("likely", "$2.00 to $4.00", False),
        ("so far", "$1.00", True),
        ("limit", "$2.00", True),
    ]
    assert drawn.caption == ""
    assert drawn.described == "1 Nov to 3 Nov, likely $2.00 to $4.00, so far $1.00, limit $2.00"


def test_a_course_is_drawn_in_dashes_that_lie_on_it() -> None:
    drawn = draw(chart(Layer("course", (1e9, 2e9, 4e9), "course")))
    assert len(drawn.lines) == 36
    first, last = drawn.lines[0], drawn.lines[-1]
    assert (first.x1, first.y1) == (16.67, 75.0)
    assert last.x2 < 83.33
    assert all(here.x2 < there.x1 for here, there in pairwise(drawn.lines))


def test_a_plain_series_is_a_chart_without_a_legend() -> None:
    drawn = draw(chart_of(Series("Calls", LABELS, (1.0, 5.0, 2.0), "count")))
    assert drawn.keys == ()
    assert drawn.caption == "most 5 on 2 Nov"


def test_what_is_below_zero_hangs_from_it() -> None:
    spent, back = Layer("a", (-1e9, 1e9, 0.0)), Layer("b", (-3e9, -250e6, 2e9))
    drawn = draw(chart(spent, back, Layer("so far", (1e9, -2e9, None), "line")))
    assert [(tick.at, tick.text) for tick in drawn.ticks] == [
        (0.0, "$2.00"),
        (33.33, "$0.00"),
        (66.67, "-$2.00"),
        (100.0, "-$4.00"),
    ]
    assert drawn.zero == 33.33
    assert [[(box.y, box.height) for box in bar.boxes] for bar in drawn.bars] == [
        [(33.33, 16.67), (50.0, 50.0)],
        [(16.66, 16.67), (33.33, 4.17)],
        [(0.0, 33.33)],
    ]
    assert [bar.name for bar in drawn.bars] == ["1 Nov: -$4.00", "2 Nov: $0.75", "3 Nov: $2.00"]
    assert drawn.bars[0].boxes[1].title == "1 Nov, b: -$3.00"
    assert drawn.lines == (
        Segment(0.0, 33.33, 100.0, 33.33, "zero"),
        Segment(16.67, 16.67, 50.0, 66.67, "line"),
    )
    assert drawn.caption == "most $2.00 on 3 Nov, least -$4.00 on 1 Nov"


def test_where_all_is_below_zero_zero_is_the_top() -> None:
    drawn = draw(chart(Layer("a", (-1e9, -2e9, None))))
    assert [tick.text for tick in drawn.ticks] == ["$0.00", "-$0.50", "-$1.00", "-$1.50", "-$2.00"]
    assert drawn.zero == 0.0
    assert drawn.caption == "least -$2.00 on 2 Nov"


def test_a_bar_that_hangs_off_the_scale_is_cut_at_its_end_and_carries_its_amount() -> None:
    drawn = draw(chart(Layer("a", (-1e9, -1e9, 0.0)), Layer("b", (-300e9, -250e6, 2e9))))
    assert drawn.ticks[-1] == Text(100.0, "-$2.00")
    long, short, _ = drawn.bars
    assert sum(box.height for box in long.boxes) == pytest.approx(50.0)
    [gap] = long.cuts
    assert 85 < gap.y2 < gap.y1 < 100
    assert short.cuts == ()
    assert drawn.marks == (Text(16.67, "-$301.00"),)
    assert drawn.caption == (
        "most $2.00 on 3 Nov, least -$301.00 on 1 Nov; "
        "a bar with a gap is off the scale, which ends at -$2.00"
    )


def test_amounts_of_a_legend_are_alike() -> None:
    drawn = draw(chart(Layer("a", (549e6, 0.0, 0.0)), Layer("b", (0.0, 7_600_000.0, 0.0))))
    assert [key.value for key in drawn.keys] == ["$0.5490", "$0.0076"]
    cheap = draw(chart(Layer("a", (6_750_000.0, 0.0, 0.0)), Layer("b", (0.0, 39_000.0, 0.0))))
    assert [key.value for key in cheap.keys] == ["$0.0068", "<$0.0001"]  # as figures of $0.0068 beside it


@pytest.mark.parametrize(
    ("labels", "when"),
    [(("17:00", "18:00"), "at 18:00"), (("Oct", "Nov"), "in Nov"), (("1 Nov", "2 Nov"), "on 2 Nov")],
)
def test_the_caption_says_when_it_was(labels: tuple[str, str], when: str) -> None:
    assert draw(Chart("Spend", labels, (Layer("a", (1e9, 2e9)),))).caption == f"most $2.00 {when}"


def test_parts_beyond_the_palette_share_the_last_style() -> None:
    drawn = draw(chart(*(Layer(str(n), (1e9,) * 3) for n in range(PALETTE + 2))))
    assert {key.style for key in drawn.keys} == {f"part-{n}" for n in range(PALETTE)}


def test_small_amounts_have_as_many_decimals_as_they_need() -> None:
    assert draw(chart(Layer("a", (0.0, 4_500_000.0, 0.0)))).ticks[0].text == "$0.0060"


@given(st.floats(min_value=1e-9, max_value=1e18))
def test_a_scale_holds_the_peak_in_few_even_steps(peak: float) -> None:
    steps = scale(peak)
    assert steps[0] == 0.0
    assert peak <= steps[-1] * (1 + 1e-9)
    assert 2 <= len(steps) <= 6
    assert steps[-1] == pytest.approx(steps[1] * (len(steps) - 1))
    assert steps[-1] - steps[1] < peak


@pytest.mark.no_cover
@given(st.integers(min_value=1, max_value=400), st.data())
def test_labels_lines_and_bars_of_a_day_have_one_centre(days: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(1e6, 1e12), min_size=days, max_size=days))
    labels = tuple(map(str, range(days)))
    layers = (Layer("spent", tuple(values)), Layer("before", tuple(values), "before"))
    drawn = draw(Chart("Spend", labels, layers))
    bars = {bar.label: bar.boxes[0].x + bar.boxes[0].width / 2 for bar in drawn.bars}
    assert len(bars) == days
    for label in drawn.labels:
        assert label.at == pytest.approx(bars[label.text], abs=0.02)
    for at, segment in enumerate(drawn.lines):
        assert segment.x1 == pytest.approx(bars[str(at)], abs=0.02)


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=60))
@example([6.5e-108, 1.4e-109, 1.4e-109])
def test_no_bar_leaves_the_plot_and_its_parts_keep_their_shares(values: list[float]) -> None:
    halves = tuple(value / 2 for value in values)
    chart = Chart("Spend", tuple(map(str, range(len(values)))), (Layer("a", halves), Layer("b", halves)))
    for bar in draw(chart).bars:
        low, high = bar.boxes
        assert low.height == pytest.approx(high.height, abs=0.02)
        assert high.y >= -0.02
        assert not bar.cuts or (low.height + high.height == pytest.approx(100, abs=0.02))


def test_some_labels() -> None:
    assert some(2) == [0, 1]
    assert len(some(90)) == 5


def test_the_colours_of_paper_are_those_of_a_light_page() -> None:
    light = asset("report.css").partition("@media")[0]
    named = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    same = {style: colour for style, colour in PAPER.items() if style in named}
    assert len(same) >= 16
    assert {style: named[style] for style in same} == same
