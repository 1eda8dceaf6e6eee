"""Lists of jobs and of calls: one precision a column, as fine as its amounts need."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shared.costs.formats import load
from shared.costs.money import from_usd
from shared.costs.reports.lists import (
    CallsFacts,
    CallsQuestion,
    JobListFacts,
    JobListQuestion,
    calls_report,
    job_list_report,
)
from shared.costs.rollup import JobPage, JobRef, JobSums, Totals
from tests.support.history import entry

UTC = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (("1000.5", "0.25"), ("$1,000.50", "$0.25")),
        (("1000.5", "0.0045"), ("$1,000.5000", "$0.0045")),
        (("0.25", "0.0045"), ("$0.2500", "$0.0045")),
    ],
)
def test_amounts_have_the_decimals_that_their_column_needs(
    usd: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    sums = [Totals(calls=1, cost=from_usd(amount)) for amount in usd]
    jobs = tuple(JobSums(JobRef(f"job-{n}", Path("x")), each, 0, 0, ("ana",)) for n, each in enumerate(sums))
    listed = job_list_report(
        JobListFacts(JobListQuestion(), UTC, None, JobPage(jobs, len(jobs)), Totals(calls=2))
    )
    calls = calls_report(
        CallsFacts(CallsQuestion(), UTC, None, Totals(calls=2), [entry(amount) for amount in usd], 2)
    )
    for report in (listed, calls):
        text = load("text").render(report)
        assert all(amount in text.split() for amount in shown), text
