"""A stage process pays only for what it uses: what it must not import, and what it need not do twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STAGE = """
import json, sys
from shared.cost_tracker import CostTracker

tracker = CostTracker(sys.argv[1])
cost = tracker.log_usage("openai", "gpt-4o", 1_500, 300, stage="13", **json.loads(sys.argv[2]))
print(json.dumps([cost, sorted(sys.modules)]))
"""
HEAVY = {
    "apprise",
    "asyncio",
    "click",
    "filelock",
    "genai_prices",
    "hashlib",
    "importlib.metadata",
    "jinja2",
    "msgspec",
    "platformdirs",
    "pydantic",
    "subprocess",
    "tabulate",
    "tempfile",
    "yaml",
}
# Of our own: what only some calls need.
SELDOM = {"shared.costs.ledger.redact", "shared.costs.budgets.gate", "shared.costs.pricing.description"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    profile = tmp_path / "profile.yaml"
    profile.write_text((ROOT / "config" / "profile.yaml").read_text())
    return {"COST_TRACKER_HOME": str(tmp_path / "home"), "COST_TRACKER_PROFILE": str(profile)}


def imported_by_a_stage(job: Path, environment: dict[str, str], **details: object) -> set[str]:
    command = [sys.executable, "-c", STAGE, str(job), json.dumps(details)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    cost, modules = json.loads(done.stdout)
    assert cost == 0.00675
    return set(modules)


def test_a_stage_process_imports_nothing_heavy(tmp_path: Path, environment: dict[str, str]) -> None:
    first = imported_by_a_stage(tmp_path / "job", environment)
    # The profile and the price files are read for the first time, and noted in the trail of changes.
    assert first & (HEAVY | SELDOM) == {"hashlib", "yaml"}
    assert not imported_by_a_stage(tmp_path / "job", environment) & (HEAVY | SELDOM)
    with_metadata = imported_by_a_stage(tmp_path / "job", environment, metadata={"segments": 12})
    assert with_metadata & (HEAVY | SELDOM) == {"shared.costs.ledger.redact"}
    Path(environment["COST_TRACKER_PROFILE"]).write_text("budget: {monthly_limit_usd: 9}")
    assert "yaml" in imported_by_a_stage(tmp_path / "job", environment)
