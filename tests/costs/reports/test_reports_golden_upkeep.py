"""The views of upkeep as text at 60, 80 and 120 columns and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from shared.costs.apps.cli.commands.rebuild_index import rebuilt_report
from shared.costs.budgets.port import HoldSpend, HoldState, HoldStatus, Reservation
from shared.costs.money import from_usd
from shared.costs.reports.doctor import DoctorFacts, Finding, doctor_report
from shared.costs.reports.reservations import reservations_report
from shared.costs.store.build import RebuildResult
from tests.support.golden import check_report

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
KOLKATA = ZoneInfo("Asia/Kolkata")


def held(
    number: int, orphaned: str | None = None, logged: str = "0", state: HoldState = "live"
) -> HoldStatus:
    reservation = Reservation(
        id=f"0193f6c2-{number:04d}",
        period_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        user_id="rpatel",
        job_id="job-20261122-rpatel-0001" if number else None,
        ledger=None,
        stage="13_ai_summarization",
        service="openai",
        model="gpt-4o",
        estimate=from_usd("0.0125"),
        one_call=True,
        holder="4711",
        state="orphaned" if orphaned else state,
        orphaned=orphaned,
    )
    return HoldStatus(reservation, HoldSpend(cost=from_usd(logged)))


def test_reservations() -> None:
    holds = [held(0), held(1, "its process ended"), held(2, logged="0.005"), held(3, state="submitted")]
    check_report("reservations-held", reservations_report(holds, KOLKATA))
    check_report("reservations-released", reservations_report(holds[1:2], KOLKATA, released=True))
    check_report("reservations-none", reservations_report([], KOLKATA))


def test_rebuilt() -> None:
    check_report("rebuild-index", rebuilt_report(RebuildResult(880, 4_436, 2_426_308, ()), 0))
    unread = ((Path("/data/out/job-7/cost_ledger.jsonl"), "Permission denied"),)
    check_report("rebuild-index-unread", rebuilt_report(RebuildResult(880, 4_436, 2_426_308, unread), 12))


def test_doctor() -> None:
    findings = [
        Finding("cost storage", "ok", "/home/rpatel/.local/share/cost-ledger"),
        Finding("unpriced", "note", "5 calls to lab/prototype-7", "add the prices to prices.yaml"),
    ]
    check_report("doctor-well", doctor_report(DoctorFacts(findings, NOW)))
    wrong = Finding(
        "permissions", "wrong", "other users can open /data/home (mode 755)", "chmod go-rwx /data/home"
    )
    facts = DoctorFacts([*findings, wrong], NOW)
    check_report("doctor-unwell", doctor_report(facts))
    assert facts.exit_code == 1
