"""A call without a price keeps its hold until it is corrected: by a price, a bill, or by taking it back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.apps.cli.program import run
from shared.costs.exchange.bills import bill_format_for
from shared.costs.exchange.ledger_access import BatchWriter
from shared.costs.exchange.reconciling.adjusting import Adjuster
from shared.costs.exchange.reconciling.run import Bill, BillComparison, ComparisonTerms
from shared.costs.workspace import Workspace

MODEL = ("openrouter", "acme/unheard-of-1")
PRICES = """\
models:
  openrouter/acme/unheard-of-1:
    prices:
      - since: 2026-01-01
        source: https://acme.example/prices
        per_million_tokens: {input: 1.00, output: 2.00}
"""


@pytest.fixture(autouse=True)
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile that blocks at $10 a month, and holds $6 for a call without a price."""
    path = tmp_path / "config" / "profile.yaml"
    path.parent.mkdir()
    path.write_text("budget: {monthly_limit_usd: 10, block_at_limit: true, reserve_cap_usd: 6}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    return path


def take_back(job: CostTracker, entry_id: str, folder: Path) -> None:
    job.reverse(entry_id, "it was not sent")


def price(job: CostTracker, entry_id: str, folder: Path) -> None:
    (folder / "config" / "prices.yaml").write_text(PRICES)
    assert run(["reprice", "--yes"]) == 0


def bill(amount: str) -> Callable[[CostTracker, str, Path], None]:
    """Return what compares with a bill of this amount, and writes what follows."""

    def compare(job: CostTracker, entry_id: str, folder: Path) -> None:
        path = folder / "activity.csv"
        with Workspace() as workspace:
            [entry] = [json.loads(line) for line in workspace.index.ledgers()[0].read_text().splitlines()]
            at = datetime.fromisoformat(entry["timestamp"])
            path.write_text(
                "generation_id,created_at,cost_total,byok_usage_inference,tokens_prompt,tokens_completion,"
                "tokens_reasoning,tokens_cached,model_permaslug,provider_name\n"
                f"gen-1,{at:%Y-%m-%d %H:%M:%S.%f},{amount},0,1000000,10,0,0,acme/unheard-of-1,Acme\n"
            )
            index, later = workspace.index, at + timedelta(days=60)
            adjuster = Adjuster(index, BatchWriter(index), workspace.storage, later, "1")
            os.utime(path, (later.timestamp(), later.timestamp()))  # older than an hour: final
            BillComparison(index, later, ComparisonTerms(), adjuster).run(
                [Bill.of_file(path, bill_format_for(path))]
            )
            assert adjuster.written == 1

    return compare


@pytest.mark.parametrize(
    ("correct", "cost"),
    [(take_back, 0.0), (price, 1.00002), (bill("1.25"), 1.25), (bill("0"), 0.0)],
    ids=["reversal", "reprice", "bill", "bill of nothing"],
)
def test_a_correction_frees_the_hold_of_a_call_without_a_price(
    tmp_path: Path, correct: Callable[[CostTracker, str, Path], None], cost: float
) -> None:
    with CostTracker(tmp_path / "jobs" / "job-1") as job:
        with job.reserve(*MODEL, tokens_input=1_000_000, max_tokens_output=10) as hold:
            job.log_usage(*MODEL, 1_000_000, 10, request_id="gen-1", reservation=hold)
        with pytest.raises(BudgetExceeded):
            job.reserve("openai", "gpt-4o", tokens_input=1_900_000, max_tokens_output=0).__enter__()
        ledger = tmp_path / "jobs" / "job-1" / "cost_ledger.jsonl"
        correct(job, json.loads(ledger.read_text())["id"], tmp_path)
        assert job.get_monthly_cost() == pytest.approx(cost, abs=1e-12)
        assert job.get_monthly_summary()["unpriced_calls"] == 0
        with Workspace() as workspace:
            assert workspace.gate.holds() == []
        with job.reserve("openai", "gpt-4o", tokens_input=1_900_000, max_tokens_output=0) as free:
            free.void()
    assert json.loads(ledger.read_text().splitlines()[-1])["reservation"] == hold.id
