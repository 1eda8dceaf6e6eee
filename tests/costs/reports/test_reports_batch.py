"""What ``batch`` shows."""

from __future__ import annotations

import pytest

from shared.costs.apps.cli.commands.batch import collected_report, submitted_report
from shared.costs.money import Nanos
from shared.costs.reports.document import Report
from shared.costs.tracking.batches import BatchHold, CollectResult, SubmittedBatch
from tests.support.golden import check_report

BATCH = SubmittedBatch(
    id="0193f6c2000000000000000000aa",
    reservation="0193f6c2000000000000000000bb",
    service="openai",
    model="gpt-4o",
    job_dir=None,
    user_id="rpatel",
    stage=None,
    total=1200,
    waiting={"a"},
)
REPORTS: dict[str, Report] = {
    "batch-submitted": submitted_report(BatchHold(BATCH, Nanos(4_200_000_000))),
    "batch-not-priced": submitted_report(BatchHold(BATCH, None, "no price for openai/gpt-9 on 2026-11-28")),
    "batch-collected": collected_report(
        CollectResult(recorded=1100, known=3, unbilled=96, cost=Nanos(2_017_500_000), unpriced=2, waiting=1)
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_what_batch_shows(name: str) -> None:
    check_report(name, REPORTS[name])
