"""Text: fits any page, holds nothing that steers a terminal, and loses nothing that matters."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.formats import load
from shared.costs.formats.bars import bar, gauge_bar, sparkline
from shared.costs.formats.canvas import MAX_WIDTH, MIN_WIDTH, Canvas
from shared.costs.formats.layout import pad, shorten, width_of, wrap
from shared.costs.formats.text import render
from shared.costs.formats.values import duration, places_for, short_count, show, tame
from shared.costs.money import Nanos
from shared.costs.reports.document import Column, Figure, Gauge, Note, Report, Series, Table

TEXTS = st.text(max_size=40)
AMOUNTS = st.integers(-(10**15), 10**15)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    columns = (
        Column("name", "Name"),
        Column("note", draw(TEXTS), rank=draw(st.integers(0, 3))),
        Column("calls", "Calls", "count", rank=draw(st.integers(0, 3))),
        Column("cost", "Cost", "money"),
        Column("share", "Share", "share"),
    )
    row = st.tuples(TEXTS, TEXTS, st.integers(0, 10**9), st.none() | AMOUNTS, st.floats(0, 100))
    rows = tuple(draw(st.lists(row, max_size=5)))
    amount = AMOUNTS.map(Nanos)
    gauge = st.tuples(TEXTS, amount, amount, st.floats(0, 200), amount).map(lambda given: Gauge(*given))
    figure = st.tuples(TEXTS, TEXTS, AMOUNTS).map(
        lambda given: Figure("key", given[0], given[2], note=given[1])
    )
    return Report(
        title=draw(TEXTS),
        subtitle=draw(TEXTS),
        gauges=tuple(draw(st.lists(gauge, max_size=2))),
        figures=tuple(draw(st.lists(figure, max_size=3))),
        series=(Series(draw(TEXTS), ("a", "b"), (1.0, 0.0)),),
        tables=(
            Table(draw(TEXTS), columns, rows, total=("Total", "", 1, 2, "") if rows else None, empty="none"),
        ),
        notes=tuple(Note(text, "warning") for text in draw(st.lists(TEXTS, max_size=3))),
    )


@pytest.mark.no_cover
@given(reports(), st.sampled_from([60, 80, 120]), st.booleans())
def test_nothing_from_data_steers_the_terminal(report: Report, width: int, ascii_only: bool) -> None:
    encoding = "ascii" if ascii_only else "utf-8"
    text = render(report, Canvas(width, encoding=encoding))
    assert text.encode(encoding)
    assert all(character.isprintable() for character in text.replace("\n", ""))


@pytest.mark.parametrize("text", ["⚠️", "⚠️  WARNING: 東京", "🚨 OVER", "⚠️\u200d👧", "🚨👧", "🚨\u200d👧 and"])
def test_a_mark_before_a_note_is_as_wide_as_anybody_says(text: str) -> None:
    assert width_of(text) == wcwidth.width(text, control_codes="ignore")


ALONE = """
import sys
from shared.costs.formats.text import render
from shared.costs.reports.document import Note, Report
print(ascii(render(Report("T", notes=(Note("a limit", "warning"), Note("another", "critical"))))))
sys.exit("wcwidth" in sys.modules)
"""


def test_a_warning_does_not_wait_for_the_widths_of_all_characters() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=False)
    assert (done.returncode, "a limit" in done.stdout) == (0, True), done.stderr


@given(st.lists(st.text("abcdefgh-/", max_size=60), min_size=1, max_size=6), st.sampled_from([60, 80, 120]))
def test_tables_fit_the_page(names: list[str], width: int) -> None:
    columns = (
        Column("name", "Name"),
        Column("other", "Other", rank=1),
        Column("cost", "Cost", "money"),
        Column("share", "Share", "share"),
    )
    table = Table(
        "By name", columns, tuple((name, name, 10**10, 50.0) for name in names), ("Total", "", 10**11, "")
    )
    lines = render(Report("T", tables=(table,)), Canvas(width)).splitlines()
    assert [line for line in lines if width_of(line) > width] == []


@given(st.text(max_size=200), st.integers(10, 60), st.integers(0, 5))
def test_wrapped_text_fits_and_keeps_its_words(text: str, width: int, hang: int) -> None:
    lines = wrap(text, width, hang)
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(tame(text).split())


@given(st.text(max_size=60), st.integers(3, 40))
def test_shortened_text_fits(text: str, width: int) -> None:
    assert width_of(shorten(text, width, Canvas())) <= max(width, 0)
    assert width_of(pad(shorten(text, width, Canvas()), width)) == width


@pytest.mark.parametrize(
    "character",
    [
        "\U0001f469\u200d\U0001f469\u200d\U0001f467",
        "\U0001f1ee\U0001f1f3",
        "e\u0301\u0323",
        "\u0915\u094d\u0937\u093f",
    ],
)
@pytest.mark.parametrize("width", range(2, 9))
def test_what_a_reader_takes_for_one_character_is_not_cut_in_two(character: str, width: int) -> None:
    """A family, a flag, a letter with two marks, a Devanagari conjunct: each of several code points."""
    cut = shorten(character * 12, width, Canvas())
    assert width_of(cut) <= width
    assert cut.replace(character, "") == "…"
    assert character in cut or width < 1 + 2 * width_of(character)


@given(st.floats(0, 100), st.integers(1, 60))
def test_a_bar_is_never_longer_than_its_room_and_never_hides_a_trace(percent: float, width: int) -> None:
    for unicode in (True, False):
        drawn = bar(percent, width, unicode)
        assert len(drawn) <= width
        assert bool(drawn) == (percent > 0)


@given(st.floats(0, 300), st.integers(0, 100), st.integers(6, 40))
def test_a_gauge_fills_its_room_and_is_full_only_at_the_limit(percent: float, held: int, width: int) -> None:
    drawn = gauge_bar(Gauge("g", Nanos(0), Nanos(100), percent, held=Nanos(held)), width, unicode=True)
    assert len(drawn) == width
    assert (drawn == "█" * width) == (percent >= 100)
    assert drawn.startswith("█") == (percent > 0)


@pytest.mark.parametrize(
    ("environ", "terminal", "expected"),
    [
        ({}, False, Canvas(80)),
        ({"COLUMNS": "60"}, False, Canvas(60)),
        ({"COLUMNS": "9999"}, False, Canvas(MAX_WIDTH)),
        ({"COLUMNS": "3"}, False, Canvas(MIN_WIDTH)),
        ({"COLUMNS": "wide"}, False, Canvas(80)),
        ({"COLUMNS": "0"}, False, Canvas(80)),
        ({"COLUMNS": "70"}, True, Canvas(70, colour=True)),
        ({"COLUMNS": "70", "NO_COLOR": "1"}, True, Canvas(70)),
        ({"COLUMNS": "70", "TERM": "dumb"}, True, Canvas(70)),
        ({"FORCE_COLOR": "1"}, False, Canvas(80, colour=True)),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, Canvas(80)),
    ],
)
def test_the_page_follows_its_surroundings(environ: dict[str, str], terminal: bool, expected: Canvas) -> None:
    stream = Terminal() if terminal else io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert Canvas.of(stream, environ) == expected


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


def test_a_terminal_that_cannot_tell_its_size_has_80_columns() -> None:
    assert Canvas.of(Terminal(), {}).width == 80  # a stream without a descriptor


def test_a_stream_without_a_known_encoding_gets_ascii() -> None:
    class Odd(io.StringIO):
        encoding = "no-such-encoding"

    class Silent(io.StringIO):
        encoding = ""

    assert Canvas.of(Odd(), {}).encoding == "ascii"
    assert Canvas.of(Silent(), {}).encoding == "ascii"


REPORT = Report(
    title="Budget",
    gauges=(Gauge("month", Nanos(40_250_000_000), Nanos(50_000_000_000), 80.5, tone="warning"),),
    series=(Series("Spend by day", ("1 Nov", "2 Nov"), (1e9, 2e9)),),
    tables=(
        Table(
            "By service", (Column("s", "Service"), Column("share", "Share", "share")), (("openai", 100.0),)
        ),
    ),
    notes=(Note("⚠️  WARNING: Budget threshold reached!", "warning"), Note("café", "critical")),
)


def test_ascii_has_marks_and_bars_of_its_own() -> None:
    text = render(REPORT, Canvas(60, encoding="ascii"))
    assert text.isascii()
    assert "[!]  WARNING: Budget threshold" in text
    assert "[!!] caf?" in text
    assert "########" in text


def test_latin_1_keeps_its_letters() -> None:
    assert "café" in render(REPORT, Canvas(60, encoding="latin-1"))


def test_colour_changes_nothing_but_colour() -> None:
    plain = render(REPORT, Canvas(80))
    coloured = render(REPORT, Canvas(80, colour=True))
    assert coloured != plain
    stripped = re.sub(r"\x1b\[\d+m", "", coloured)
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()


def test_an_escape_sequence_in_a_name_is_spelt_out() -> None:
    text = render(Report("gpt\x1b[31m\u202e\x9b", tables=(Table("\x07", (Column("a", "A"),), (("\r\n",),)),)))
    assert text.splitlines()[0] == r"gpt\x1b[31m\u202e\x9b"


def test_a_narrow_page_leaves_out_what_ranks_high_and_then_the_bar() -> None:
    columns = (
        Column("name", "Name"),
        Column("calls", "Calls", "count", rank=1),
        Column("tokens", "Tokens", "tokens", rank=2),
        Column("cost", "Cost", "money"),
        Column("share", "Share", "share"),
    )
    row = ("a-model-with-a-rather-long-name", 123_456, 123_456_789, 10**12, 12.5)
    table = Table("By model", columns, (row,))

    def printed(width: int) -> str:
        return render(Report("T", tables=(table,)), Canvas(width))

    assert "Tokens" in printed(120)
    assert "Tokens" not in printed(60)
    assert "█" in printed(60)
    assert "█" not in printed(40)
    assert "$1,000.00" in printed(40)


@given(st.text("abc ", min_size=1, max_size=90).map(str.strip).filter(bool), st.sampled_from([40, 60, 80]))
def test_no_title_of_a_table_is_cut(title: str, width: int) -> None:
    title = " ".join(title.split())
    columns = (Column("stage", "Stage"), Column("from", "From"), Column("cost", "Cost", "money"))
    table = Table(title, columns, (("13_asr", "openai/gpt-4o-mini-2024-07-18", 10**12),))
    lines = render(Report("", tables=(table,)), Canvas(width)).splitlines()
    words = " ".join(lines).split()
    assert [word for word in title.split() if len(word) < width - 2 and word not in words] == []
    assert max(map(width_of, lines)) <= width


@pytest.mark.parametrize("width", range(40, 121, 10))
def test_text_that_wraps_keeps_every_word(width: int) -> None:
    columns = (
        Column("name", "Name"),
        Column("rates", "Rates", wraps=True),
        Column("share", "Share", "share"),
    )
    rates = "not verified, cache write 18.75, for 1 h 30, above 128,000: 2.50 / 10"
    row = ("a-model-with-a-rather-long-name", rates, 12.5)
    table = Table("By model", columns, (row,), total=("total", rates, 100.0))
    lines = render(Report("T", tables=(table,)), Canvas(width)).splitlines()
    assert max(map(width_of, lines)) <= width
    words = " ".join(lines).split()
    assert [word for word in rates.split(" ") if words.count(word) < 2 * rates.split(" ").count(word)] == []
    assert sum("12.5%" in line for line in lines) == 1


def test_one_long_word_does_not_push_a_table_off_the_page() -> None:
    columns = (Column("row", "Row"), Column("why", "Why", wraps=True))
    table = Table("Not understood", columns, (("line 2", f"no time: '{'x' * 300}'"),))
    lines = render(Report("T", tables=(table,)), Canvas(60)).splitlines()
    assert max(map(width_of, lines)) <= 60
    assert sum(line.count("x") for line in lines) == 300


def test_a_table_without_rows_says_so() -> None:
    assert "nothing here" in render(
        Report("T", tables=(Table("By x", (Column("x", "X"),), (), empty="nothing here"),))
    )


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([1.0, 2, 3, 20], "▃▆█▲"),  # one ran away
        ([1.0, 2, 5, 20], "▁▁▂█"),  # four times as much, and no more, is drawn
        ([0.0, 0, 0, 20], "   █"),  # nothing to be told apart from
        ([4.0] * 18 + [90, 80], "█" * 18 + "▲▲"),  # one in ten may
        ([4.0] * 8 + [90, 80], "▁" * 8 + "██"),  # more are no exception
        ([-1.0, 0, 2], "▼ █"),
    ],
)
def test_a_value_that_ran_away_does_not_flatten_the_others(values: list[float], drawn: str) -> None:
    spark = sparkline(values, 80, unicode=True)
    assert spark.drawn.replace("▇", "█") == drawn
    assert bool(spark.mark) == ("▲" in drawn)


def test_the_mark_of_a_value_off_the_scale_is_explained() -> None:
    values = (2e9, 90e9, 3e9)
    report = Report("T", series=(Series("Spend by day", ("1 Nov", "2 Nov", "3 Nov"), values),))
    assert "Spend by day, most $90.00 on 2 Nov (▲ is off the scale, which ends at $3.00)" in render(report)
    plain = render(report, Canvas(60, encoding="ascii"))
    assert "(^ is off" in plain
    assert plain.endswith("\n  +^#\n")
    assert "▲ is off the scale, which ends at $3.00" in load("md").render(report)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.0, -2e9), "Spend by day, least -$2.00 on 2 Nov (▼ is below zero)"),
        ((3e9, -2e9), "Spend by day, most $3.00 on 1 Nov, least -$2.00 on 2 Nov (▼ is below zero)"),
        ((0.0, 0.0), "Spend by day\n"),
    ],
)
def test_both_ends_of_a_series_are_told(values: tuple[float, ...], said: str) -> None:
    assert said in render(Report("T", series=(Series("Spend by day", ("1 Nov", "2 Nov"), values),)))


def test_many_times_as_much_has_its_thousands_apart() -> None:
    assert show(75_394.2, "times") == "75,394.2x"


def test_series_longer_than_the_page_are_added_up() -> None:
    assert sparkline([1.0] * 200, 50, unicode=True).drawn == "█" * 50
    assert sparkline([], 50, unicode=True).drawn == ""
    assert render(Report("T", series=(Series("S", (), ()),))) == "T\n"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, "count", "-"),
        (None, "money", "unpriced"),
        ("", "money", ""),
        (1_234_567_890_000_000_000, "money", "$1,234,567,890.00"),
        (3.0, "percent", "3.0%"),
        (2.5, "text", "2.5"),
        ("a\tb", "text", r"a\tb"),
        (-10_000_000, "tokens", "-10.0M"),
    ],
)
def test_values(value: object, kind: str, expected: str) -> None:
    assert show(value, kind) == expected  # type: ignore[arg-type]  # the table above is typed by hand


@given(st.integers(0, 10**15))
def test_short_counts_are_short(number: int) -> None:
    assert len(short_count(number)) <= 6 or number >= 10**12


def test_durations_and_places() -> None:
    assert duration(86_400) == "1d 0h"
    assert places_for([None, "x", 0]) == 2


def test_what_is_there_to_be_copied_is_whole_on_every_page() -> None:
    command = "cost-dashboard whatif --swap openai/gpt-4o=mistral/mistral-large-latest --stage asr"
    path = "/home/ana/work/pipelines/talks/out/2026-11-22/job-20261122-ana-0001/cost_ledger.jsonl"
    typed = f"/opt/python3 'my tools/cost-dashboard.py' set-budget --cost-storage {path} --monthly 50"
    notes = (
        Note(f"Check it: {command}", remedy=command),
        Note(f"damaged: {path}, byte 0", "warning"),
        Note(f"No limit is set: {typed} sets one."),
    )
    for width in (40, 80, 120):
        lines = render(Report("Title", notes=notes), Canvas(width)).splitlines()
        assert f"  {command}" in lines or f"  Check it: {command}" in lines
        assert any(f"{path}," in line for line in lines)
        assert any(typed in line for line in lines)


def test_a_total_ends_where_its_last_cell_does() -> None:
    columns = (Column("stage", "Stage"), Column("share", "Share", "share"))
    table = Table("By stage", columns, (("asr", 100.0),), total=("Total", None))
    lines = render(Report("Title", tables=(table,)), Canvas(80, colour=True)).splitlines()
    assert [line for line in lines if re.search(r" (\x1b\[0m)?$", line)] == []


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        ((20_250_000, 11_250_000, 22_500), ("$0.0202", "$0.0112", "<$0.0001")),
        ((135_000, 75_000, 60_000), ("$0.000135", "$0.000075", "$0.000060")),
        ((50_230_000_000, 41_830_000_000, 9_000_000), ("$50.2300", "$41.8300", "$0.0090")),
        ((123_456_780_000_000, 555_700_000, 1), ("$123,456.7800", "$0.5557", "<$0.0001")),
    ],
)
def test_amounts_of_a_view_have_one_precision(amounts: tuple[int, ...], shown: tuple[str, ...]) -> None:
    columns = (Column("model", "Model"), Column("cost", "Cost", "money"))
    table = Table("By model", columns, tuple((f"m{at}", amount) for at, amount in enumerate(amounts)))
    text = render(Report("Title", figures=(Figure("spent", "Spent", amounts[0]),), tables=(table,)))
    cells = [line.split()[-1] for line in text.splitlines() if line.startswith("  m")]
    assert tuple(cells) == shown
    if amounts[0] < 1_000_000_000:
        assert f"Spent  {shown[0]}" in text


@pytest.mark.parametrize("command", ["cost-dashboard show-budget --profile my/profile.yaml", "make ledgers"])
@pytest.mark.parametrize("width", [20, 80])
def test_a_command_that_ends_a_note_is_copied_without_a_full_stop(command: str, width: int) -> None:
    report = Report("Costs", notes=(Note(f"It is not there. See {command}.", "warning", command),))
    assert f"{command}." not in render(report, Canvas(width=width))
    assert command in render(report, Canvas(width=width))
