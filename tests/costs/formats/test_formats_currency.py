"""Reports in another currency: all that people see is converted and says so; programs get US dollars."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.formats import load
from shared.costs.formats.canvas import Canvas
from shared.costs.formats.currency import in_currency
from shared.costs.formats.text import render
from shared.costs.money import Nanos, to_usd
from shared.costs.profile.currency import Currency, CurrencyRate
from shared.costs.reports.document import (
    Chart,
    Column,
    Figure,
    Gauge,
    Layer,
    Note,
    Ref,
    Report,
    Series,
    Table,
)
from tests.support.golden import check_report

EURO = Currency("EUR", (("2026-10-01", 850_000_000), ("2026-11-01", 860_000_000)))
REPORT = Report(
    title="Budget",
    subtitle="of $50.00",
    gauges=(
        Gauge("month", 40_250_000_000, 50_000_000_000, 80.5),
        Gauge("daily tokens", 5, 10, 50.0, measure="tokens"),
    ),
    figures=(
        Figure("spent", "Spent", 40_250_000_000, note="likely $33.35 to $1,035.61"),
        Figure("average", "Average", 4_500_000),
        Figure("calls", "Calls", 681, "count"),
        Figure("unknown", "Unknown", None),
    ),
    series=(
        Series("Spend by day", ("1", "2", "3"), (1e9, 2e9, 9e9)),
        Series("Calls by day", ("1", "2"), (1.0, 2.0), kind="count"),
    ),
    tables=(
        Table(
            "By model",
            (Column("model", "Model"), Column("cost", "Cost", "money"), Column("exact", "Exact", "amount")),
            ((Ref("pay-$5", "model"), 12_000_000_000, 4_500), ("3 more at $1.00", -75, None)),
            total=("All", 11_999_999_925, 1),
        ),
    ),
    notes=(Note("⚠️  WARNING: Budget threshold reached! $40.25 / $50.00 | Remaining: -$9.7500", "warning"),),
    charts=(
        Chart("Spend", ("1",), (Layer("spent", (1e9,)), Layer("likely", (None,), "range", (2e9,)))),
        Chart("Calls", ("1",), (Layer("calls", (1.0,)),), kind="count"),
    ),
    data={"spent_usd": 40.25},
)


def test_what_it_shows() -> None:
    check_report("currency", in_currency(REPORT, EURO, date(2026, 11, 22)))


def test_every_format_for_people_has_it_and_those_for_programs_have_not() -> None:
    euro = in_currency(REPORT, EURO, date(2026, 11, 22))
    for name in ("markdown", "html"):
        made = load(name).render(euro)
        assert isinstance(made, str)
        assert "€34.62" in made
        assert "$40.25" not in made
    assert json.loads(load("json").render(euro)) == {"spent_usd": 40.25}


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        ([515_935_627_748], "€443.70"),  # not 515.94 x 0.86, which is 443.7084
        ([515_935_627_748, 515_940_000_000], "€443.71"),  # it may be either: as it is written
        ([515_935_627_748, 515_935_000_000], "€443.70"),
        ([515_948_000_000], "€443.71"),  # that is $515.95
        ([], "€443.71"),
    ],
)
@pytest.mark.parametrize("place", ["figures", "table", "data"])
def test_a_sentence_says_an_amount_to_the_cent_as_the_figure_does(
    place: str, amounts: list[int], shown: str
) -> None:
    report = Report(title="Jobs", subtitle="10 jobs, $515.94")
    if place == "figures":
        report = report._replace(figures=tuple(Figure("spent", "Spent", each) for each in amounts))
    elif place == "table":
        rows = tuple((each,) for each in amounts)
        report = report._replace(tables=(Table("Jobs", (Column("cost", "Cost", "money"),), rows),))
    else:
        report = report._replace(data={"jobs": [{"cost": to_usd(Nanos(each))} for each in amounts]})
    assert in_currency(report, EURO, date(2026, 11, 22)).subtitle == f"10 jobs, {shown}"


def test_a_difference_keeps_its_sign() -> None:
    amounts = (1_000_000_000, -1_000_000_000, 0, 75, None)
    columns = (Column("effect", "Effect", "difference"),)
    table = Table("Effects", columns, tuple((each,) for each in amounts))
    report = Report(title="R", figures=(Figure("d", "D", 50_000, "difference"),), tables=(table,))
    shown = in_currency(report, EURO, date(2026, 11, 2))
    assert [row[0] for row in shown.tables[0].rows] == ["+€0.8600", "-€0.8600", "€0.0000", "<+€0.0001", None]
    assert shown.figures[0].value == "+€0.000043"
    assert "<+$0.0001" in render(report, Canvas(80))


def test_charts_are_in_it_and_say_so() -> None:
    spend, calls = in_currency(REPORT, EURO, date(2026, 11, 22)).charts
    assert (spend.title, spend.kind) == ("Spend, EUR", "units")
    assert (spend.layers[0].values, spend.layers[1].upper) == ((860_000_000,), (1_720_000_000,))
    assert calls is REPORT.charts[1]


def test_the_rate_is_that_of_the_day_and_none_is_none() -> None:
    assert "€34.21" in render(in_currency(REPORT, EURO, date(2026, 10, 31)), Canvas(80))
    early = in_currency(REPORT, EURO, date(2026, 9, 30))
    assert early.figures == REPORT.figures
    assert early.notes[-1].text.startswith("In US dollars: the first rate for EUR is of 2026-10-01")
    assert in_currency(REPORT, None, date(2026, 9, 30)) is REPORT


def test_a_currency_without_a_sign_has_its_code() -> None:
    franc = Currency("CHF", (("2026-01-01", 10**9),))
    shown = in_currency(REPORT, franc, date(2026, 11, 22))
    assert shown.figures[0].value == "CHF 40.25"
    assert shown.notes[-1].text == "Amounts in CHF, at 1 for $1, the rate of 2026-01-01."


@given(st.integers(-(10**18), 10**18), st.integers(1_000, 10**12))
def test_a_conversion_is_at_most_half_a_billionth_off(nanos: int, billionths: int) -> None:
    found = CurrencyRate("2026-01-01", billionths).convert(nanos)
    assert abs(found * 10**9 - nanos * billionths) * 2 <= 10**9


def test_the_command_line_shows_it_and_keeps_json(
    tmp_path: Path, cost_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from shared.cost_tracker import CostTracker
    from shared.costs.apps.cli.program import run

    path = tmp_path / "profile.yaml"
    path.write_text("currency: {show: EUR, rates: {2020-01-01: 0.5}}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    with CostTracker(tmp_path / "job", cost_storage_path=cost_home) as tracker:
        cost = tracker.log_usage("openai", "gpt-4o", 400_000, 0)
    assert cost == to_usd(Nanos(10**9))
    for command in ("show-budget", "show-monthly"):
        assert run([command, "--cost-storage", str(cost_home)]) == 0
        shown = capsys.readouterr().out
        assert "€0.50" in shown
        assert "$1.00" not in shown
        assert "Amounts in EUR, at 0.5 for $1, the rate of 2020-01-01." in shown
    assert run(["show-budget", "--json", "--cost-storage", str(cost_home)]) == 0
    assert json.loads(capsys.readouterr().out)["spent_usd"] == 1.0


def test_a_month_is_shown_at_its_own_rate(
    tmp_path: Path, cost_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from datetime import UTC, datetime

    from shared.cost_tracker import CostTracker
    from shared.costs.apps.cli.program import run

    path = tmp_path / "profile.yaml"
    path.write_text("currency: {show: EUR, rates: {2020-01-01: 0.5, 2020-03-01: 0.7}}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    at = datetime(2020, 2, 3, tzinfo=UTC)
    with CostTracker(tmp_path / "job", cost_storage_path=cost_home) as tracker:
        tracker.log_usage("openai", "gpt-4o", 400_000, 0, timestamp=at, actual_cost_usd=1.0)
    for command in ("show-monthly", "report", "export-report"):
        run([command, "--month", "2020-02", "--cost-storage", str(cost_home)])
        assert "at 0.5 for $1, the rate of 2020-01-01." in capsys.readouterr().out
