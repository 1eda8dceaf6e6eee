"""``reprice``: corrections are appended, once, and nothing else happens to a ledger."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.commands.reprice import repricing_report
from shared.costs.ledger.counted import id_for_request
from shared.costs.money import from_usd
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.repricing import NewPrice, Repricing, RepricingSums
from tests.costs.cli.cli_support import OCTOBER, ROOT, Dashboard
from tests.support.golden import check_report

REPRICE = ROOT / "scripts" / "bench" / "reprice.py"

ACME = """\
models:
  acme/unheard-of-1:
    prices:
      - since: 2026-01-01
        source: https://acme.example/prices
        per_million_tokens: {input: 1.00, output: 2.00}
"""
GPT = """\
  openai/gpt-4o:
    prices:
      - since: 2026-01-01
        source: https://acme.example/agreed
        per_million_tokens: {input: 1.25, output: 5.00}
"""


def month_cost(dashboard: Dashboard) -> tuple[float, int]:
    found = dashboard("report", "--month", "2026-10", "--json").json()
    return found["totals"]["cost_usd"], found["totals"]["unpriced_calls"]


def ledgers(jobs: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in jobs.rglob("*.jsonl")}


def test_unpriced_calls_get_their_price_once(jobs: Path, prices: Path, dashboard: Dashboard) -> None:
    before, (cost, unpriced) = ledgers(jobs), month_cost(dashboard)
    assert unpriced == 1
    ran = dashboard("reprice", "--json")
    assert (ran.code, ran.json()["repriced_calls"], ran.json()["unpriced"]) == (
        0,
        0,
        {"acme/unheard-of-1": 1},
    )
    prices.write_text(ACME)
    assert "What would be corrected" in dashboard("reprice", "--dry-run").out
    assert ledgers(jobs) == before
    done = dashboard("reprice", "--yes", "--json").json()
    assert (done["resolved_calls"], done["difference_usd"]) == (1, 0.00003)
    assert month_cost(dashboard)[0] == pytest.approx(cost + 0.00003, abs=1e-12)
    assert month_cost(dashboard)[1] == 0
    after = ledgers(jobs)
    assert all(after[path].startswith(old) for path, old in before.items())
    assert sum(len(raw.splitlines()) for raw in after.values()) == 12
    assert "Nothing to correct" in dashboard("reprice", "--yes").out
    assert ledgers(jobs) == after


def test_wrong_prices_are_corrected_only_when_asked(jobs: Path, prices: Path, dashboard: Dashboard) -> None:
    cost, _ = month_cost(dashboard)
    prices.write_text(ACME + GPT)
    assert dashboard("reprice", "--json").json()["repriced_calls"] == 1
    found = dashboard("reprice", "--all", "--since", "2026-10-08", "--yes", "--json").json()
    assert found["repriced_calls"] == 3  # of the eighth and the ninth, and the one without a price
    assert dashboard("reprice", "--all", "--yes", "--json").json()["repriced_calls"] == 2
    assert dashboard("reprice", "--all", "--yes", "--json").json()["repriced_calls"] == 0
    assert month_cost(dashboard)[0] == pytest.approx(cost - 4 * 0.003375 + 0.00003, abs=1e-12)
    prices.write_text(ACME)  # and back: the catalogue's price holds again
    assert dashboard("reprice", "--all", "--yes", "--json").json()["repriced_calls"] == 4
    assert month_cost(dashboard)[0] == pytest.approx(cost + 0.00003, abs=1e-12)


def test_calls_taken_back_or_stated_stay_as_they_are(
    tmp_path: Path, prices: Path, dashboard: Dashboard
) -> None:
    with CostTracker(tmp_path / "out" / "job-1", "rpatel") as tracker:
        tracker.log_usage("acme", "unheard-of-1", 10, 10, request_id="r-1", timestamp=OCTOBER)
        tracker.log_usage("acme", "unheard-of-1", 10, 10, actual_cost_usd=0.5, timestamp=OCTOBER)
        tracker.reverse(id_for_request("job-1", "acme", "r-1"), "a test")
    prices.write_text(ACME)
    found = dashboard("reprice", "--all", "--yes", "--json").json()
    assert (found["examined_calls"], found["repriced_calls"], found["unpriced"]) == (1, 0, {})


def test_contradicting_options_are_refused(dashboard: Dashboard) -> None:
    assert dashboard("reprice", "--dry-run", "--yes").code == 2


def test_what_it_looks_like() -> None:
    found = Repricing(Catalogue.load(), datetime(2026, 11, 22, tzinfo=UTC), id_for_request)
    check_report("reprice-nothing", repricing_report(found, written=True))
    found.examined = 1_240
    found.changes = {
        NewPrice("openai/gpt-4o", "catalogue", "f7623856"): RepricingSums(
            12, 0, from_usd("0.81"), from_usd("0.405")
        ),
        NewPrice("acme/unheard-of-1", "profile", "1b2c"): RepricingSums(
            3, 3, from_usd(0), from_usd("0.00009")
        ),
    }
    found.unpriced.update({"acme/other-1": 2, "acme/other-2": 1})
    check_report("reprice-dry", repricing_report(found, written=False))
    check_report("reprice-done", repricing_report(found, written=True))


@pytest.mark.parametrize(
    ("entries", "jobs"), [("300", "3"), pytest.param("1000000", "10000", marks=pytest.mark.long)]
)
def test_a_history_is_repriced_exactly(entries: str, jobs: str) -> None:
    command = [sys.executable, str(REPRICE), "--entries", entries, "--jobs", jobs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sums exact, nothing edited, nothing added twice; verify --prices clean" in done.stdout
