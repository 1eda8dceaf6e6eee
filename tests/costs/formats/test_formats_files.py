"""The formats that are written to files: found by their folder, complete, and safe to open."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs import formats
from shared.costs.errors import WrongUsage
from shared.costs.formats import load, names
from shared.costs.formats.csv import cell, safe_text
from shared.costs.formats.markdown import escape
from shared.costs.money import Nanos
from shared.costs.reports.document import Column, Figure, Gauge, Note, Report, Series, Table

COLUMNS = (Column("model", "Model"), Column("cost", "Cost", "money"), Column("calls", "Calls", "count"))
TABLE = Table(
    "By model", COLUMNS, (("=cmd|' /C calc'!A0", 4_500_000, 2), ("<b>&|x", None, 1)), ("Total", 4_500_000, 3)
)
REPORT = Report(
    title="November *2026*",
    subtitle="everyone",
    gauges=(Gauge("month", Nanos(40_250_000_000), Nanos(50_000_000_000), 80.5),),
    figures=(Figure("spent", "Spent", -4_500_000, note="@home"), Figure("left", "Left", "3 days", "text")),
    series=(Series("Spend by day", ("1 Nov", "2 Nov"), (1e9, 2e9)), Series("None", (), ())),
    tables=(TABLE, Table("By stage", (Column("stage", "Stage"),), (), empty="No stages.")),
    notes=(Note("🚨 CRITICAL: over", "critical"), Note("plain"), Note("careful", "warning")),
    data={"spent_usd": 0.0045, "by_model": {"ü": None}},
)


@pytest.mark.no_cover
@pytest.mark.parametrize("name", names())
def test_every_format_renders_any_report(name: str) -> None:
    module = load(name)
    assert module.__doc__
    for report in (REPORT, Report("Empty")):
        made = module.render(report)
        assert isinstance(made, bytes) or made.endswith("\n") or not made


def test_short_names_and_unknown_ones() -> None:
    assert load("md") is load("markdown")
    with pytest.raises(WrongUsage, match="no format is called 'docx'; there are csv, "):
        load("docx")


def test_helpers_are_no_formats() -> None:
    assert {"csv", "json", "markdown", "text"} <= set(names())
    assert formats._HELPERS.isdisjoint(names())


def test_json_is_the_data_in_ascii() -> None:
    text = load("json").render(REPORT)
    assert text.isascii()
    assert json.loads(text) == REPORT.data


def test_json_refuses_what_json_does_not_have() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        load("json").render(Report("T", data={"x": float("nan")}))


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_one_table_is_plain_csv() -> None:
    rows = rows_of(load("csv").render(Report("T", tables=(TABLE,))))
    assert rows[0] == ["model", "cost_usd", "calls"]
    assert rows[1] == ["'=cmd|' /C calc'!A0", "0.0045", "2"]
    assert rows[2] == ["<b>&|x", "", "1"]
    assert len(rows) == 3


def test_several_blocks_name_their_section() -> None:
    rows = rows_of(load("csv").render(REPORT))
    assert rows[0] == ["section", "name", "value", "note"]
    assert ["Figures", "month: spent_usd", "40.25", ""] in rows
    assert ["Figures", "spent_usd", "-0.0045", "'@home"] in rows
    assert rows[rows.index([]) + 1] == ["section", "model", "cost_usd", "calls"]


@given(st.text())
def test_no_text_becomes_a_formula_or_steers_a_terminal(text: str) -> None:
    safe = safe_text(text)
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert safe.isprintable()


def test_numbers_stay_numbers() -> None:
    assert [cell(-3, "count"), cell(-1, "money"), cell(2.5, "percent")] == ["-3", "-0.000000001", "2.5"]


def test_markdown_shows_everything_and_renders_nothing_of_the_data() -> None:
    text = load("md").render(REPORT)
    assert text.startswith("# November \\*2026\\*\n\neveryone\n\n> 🚨 CRITICAL: over\n\n> ⚠️ careful\n")
    assert "| month" in text
    assert "\\<b\\>&\\|x" in text
    assert "**$0.0045**" in text
    assert "No stages." in text
    assert "1 Nov `▄█` 2 Nov" in text
    assert text.endswith("> plain\n")


def test_a_table_without_a_title_has_no_empty_heading() -> None:
    plain = Report("3 rows", tables=(Table("", COLUMNS, (("a", 1, 2),)),))
    assert "##" not in load("md").render(plain)
    assert '<h2 id="table-1" hidden>3 rows</h2>' in load("html").render(plain)


@given(st.text())
def test_escaped_markdown_holds_no_markup(text: str) -> None:
    bare = escape(text).replace("\\\\", "")
    for character in "`*_[]<>#|":
        assert f"\\{character}" in bare or character not in bare
