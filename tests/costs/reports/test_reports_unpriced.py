"""What reports say was spent where not one call has a price."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.costs.reports.document import Report
from shared.costs.reports.explain import ExplainQuestion, explain_facts, explain_report
from shared.costs.reports.forecast import forecast_facts, forecast_report
from shared.costs.reports.overview import OverviewQuestion, overview_facts, overview_report
from shared.costs.reports.questions import Question, TimeSpan, UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.report import period_facts, period_report
from shared.costs.reports.show_budget import budget_facts, budget_report
from shared.costs.reports.show_monthly import month_facts, month_report
from shared.costs.reports.trend import trend_facts, trend_report
from shared.costs.workspace import Workspace
from tests.support.history import entry
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
DAYS = Question("Statistics", TimeSpan(last=("daily", 14)), step="daily", shows_present=True)
REPORTS: dict[str, Callable[[Reader], Report]] = {
    "explain": lambda it: explain_report(explain_facts(it, ExplainQuestion("2026-11-21", "2026-11-22"))),
    "forecast": lambda it: forecast_report(forecast_facts(it, UserMonth())),
    "overview": lambda it: overview_report(overview_facts(it, OverviewQuestion("2026-11"))),
    "show-budget": lambda it: budget_report(budget_facts(it, UserMonth("1"))),
    "show-monthly": lambda it: month_report(month_facts(it, UserMonth())),
    "stats": lambda it: period_report(period_facts(it, DAYS)),
    "trend": lambda it: trend_report(trend_facts(it, DAYS)),
}


@pytest.mark.parametrize("name", REPORTS)
def test_no_report_says_that_nothing_was_spent_where_no_price_is_known(
    name: str, tmp_path: Path, cost_home: Path
) -> None:
    with Workspace(cost_home, clock=lambda: NOW) as workspace:
        workspace.storage.prepare()
        save(
            [entry(None, id=f"e{day}", timestamp=NOW.replace(day=day)) for day in (21, 22)],
            tmp_path,
            workspace,
        )
        report = REPORTS[name](Reader(workspace))
    amounts = {
        figure.key: figure.value for figure in report.figures if figure.kind in ("money", "difference")
    }
    assert None in amounts.values()
    assert [key for key, amount in amounts.items() if amount == 0] == []
