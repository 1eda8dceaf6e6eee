"""The reports to pass on: a month's and a job's receipt."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.costs.corrections import CorrectedCall
from shared.costs.formats import load
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import from_usd, to_usd
from shared.costs.reports.document import Report
from shared.costs.reports.show_job import CALLS, receipt_report
from shared.costs.reports.statement import statement_report
from tests.support.golden import check, check_report
from tests.support.history import PRICED, busy_month, entry
from tests.support.statement import DAY_22, DECEMBER, receipt_facts, statement_facts

BUSY = busy_month()


@pytest.mark.parametrize(("case", "now"), [("busy", DAY_22), ("over", DECEMBER)])
def test_month(case: str, now: datetime) -> None:
    report = statement_report(statement_facts(busy_month(30) if case == "over" else BUSY, now))
    check_report(f"statement-{case}", report)
    check(f"statement-{case}.md", load("md").render(report))
    check(f"statement-{case}.csv", load("csv").render(report))


@pytest.mark.parametrize(
    ("day", "subtitle", "chart"),
    [
        (29, "Day 29 of 30, time zone UTC.", "The month so far"),
        (30, "Day 30 of 30, time zone UTC.", "The month so far"),
        (31, "The whole month, time zone UTC.", "The month as it went"),
    ],
)
def test_a_month_is_over_after_its_last_day(day: int, subtitle: str, chart: str) -> None:
    report = statement_report(statement_facts(BUSY, DAY_22 + timedelta(days=day - 22)))
    assert report.subtitle == subtitle
    assert chart in [each.title for each in report.charts]


def test_month_without_calls() -> None:
    report = statement_report(statement_facts([]))
    assert report.subtitle == "No calls were logged in this month."
    assert (report.charts, report.tables) == ((), ())
    assert json.loads(load("json").render(report))["jobs"] == []


def test_a_receipt_has_every_call() -> None:
    entries = [
        entry("0.31", id="a", stage="06_whisperx_asr", model="whisper-1"),
        entry("0.0045", id="b", attempt=2),
        entry(None, id="d", model="gpt-9", stage=None),
        entry("-0.001", id="e", kind="adjustment", corrects="b", why="a better price"),
    ]
    report = receipt_report(receipt_facts(entries))
    check_report("receipt-busy", report)
    check("receipt-busy.md", load("md").render(report))


def test_a_receipt_of_nothing_and_of_very_much() -> None:
    assert receipt_report(receipt_facts([])).tables == ()
    many = [entry(id=f"e{n}") for n in range(CALLS + 1)]
    report = receipt_report(receipt_facts(many))
    assert len(report.tables[-1].rows) == CALLS
    assert report.notes[-1].text == "1 more entry is not listed; export has them all."


def layers(report: Report, chart: int) -> dict[str, tuple[float | None, ...]]:
    return {layer.name: layer.values for layer in report.charts[chart].layers}


def test_the_bars_add_up_to_the_month() -> None:
    facts = statement_facts(BUSY)
    parts = layers(statement_report(facts), 0)
    expected = parts.pop("expected")
    assert sum(value or 0 for values in parts.values() for value in values) == sum(facts.month.days)
    assert facts.forecast is not None
    assert sum(value or 0 for value in expected) == facts.forecast.forecast.projected - sum(facts.month.days)
    assert expected[:21] == (None,) * 21  # the 22nd is today


def test_more_models_than_colours_share_the_last() -> None:
    many = [
        entry("0.1", id=str(n), model=f"model-{n}", timestamp=e.timestamp) for n, e in enumerate(BUSY[:9])
    ]
    names = list(layers(statement_report(statement_facts(many)), 0))
    assert len(names) == 7
    assert names[5:] == ["4 more", "expected"]


def test_the_course_begins_where_the_line_ends() -> None:
    facts = statement_facts(BUSY)
    lines = layers(statement_report(facts), 1)
    assert lines["November 2026"][21] == lines["expected"][21] == float(sum(facts.month.days))
    assert lines["November 2026"][22:] == (None,) * 8
    assert facts.forecast is not None
    assert lines["expected"][-1] == facts.forecast.forecast.projected
    assert set(lines["limit"]) == {40e9}


def test_a_limit_far_above_is_left_out_of_the_picture() -> None:
    assert "limit" not in layers(statement_report(statement_facts(BUSY, limit="5000")), 1)


def test_a_month_that_is_over_has_no_forecast() -> None:
    report = statement_report(statement_facts(BUSY, DECEMBER))
    assert report.data["forecast"] is None
    assert {"expected", "likely end"}.isdisjoint(layers(report, 1))
    assert report.charts[1].title == "The month as it went"


def test_json_has_the_month_the_difference_and_what_to_do() -> None:
    facts = statement_facts(BUSY)
    told = json.loads(load("json").render(statement_report(facts)))
    assert told["total_cost"] == pytest.approx(to_usd(facts.month.summary.totals.cost))
    assert set(told) >= {"forecast", "difference", "jobs", "anomalies", "savings", "daily_usd", "by_model"}


def credit_alone() -> list[Entry]:
    """A call that was taken back, and $4.25 credited for it."""
    call = entry("3", id="wrong")
    back = CorrectedCall.of(call, ()).undo("back", "logged twice", call.timestamp)
    note = Charge({"stated": from_usd("-4.25")}, PRICED)
    return [call, back, replace(back, id="credit", kind="adjustment", charge=note, usage=Usage())]


def test_a_month_of_credits_alone_says_what_it_comes_to() -> None:
    report = statement_report(statement_facts(credit_alone()))
    assert report.figures[0].value == from_usd("-4.25")
    assert "No calls" not in report.subtitle
    assert not any("cost-dashboard demo" in note.text for note in report.notes)
    for kind in ("text", "md", "html", "csv"):
        assert "4.25" in load(kind).render(report), kind


def test_a_month_of_calls_without_a_price_is_unpriced_and_not_nothing() -> None:
    report = statement_report(statement_facts([entry(None)]))
    assert report.figures[0].value is None
