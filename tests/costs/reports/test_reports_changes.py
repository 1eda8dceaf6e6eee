"""The audit trail: changes of settings as they are seen, and overrides as they stand in the ledgers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.program import run
from shared.costs.memory import Memory
from shared.costs.money import Nanos
from shared.costs.reports.changes import ChangesFacts, Override, SettingsChange, changes_report
from tests.support.golden import check_report

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def test_changes_of_profile_and_prices_and_overrides_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile, prices = tmp_path / "profile.yaml", tmp_path / "prices.yaml"
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path / "storage"))
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(profile))
    profile.write_text("budget:\n  monthly_limit_usd: 0.001\n  block_at_limit: true\n")
    prices.write_text(
        "models:\n  acme/one: {per_million_tokens: {input: 1, output: 2}, since: 2026-01-01, source: us}\n"
    )
    with CostTracker(tmp_path / "job") as tracker:
        with tracker.reserve(
            "openai", "gpt-4o", tokens_input=10_000, max_tokens_output=10, override="the boss said so"
        ) as hold:
            tracker.log_usage("openai", "gpt-4o", 10_000, 10, reservation=hold)
    profile.write_text("budget:\n  monthly_limit_usd: 7\n  notification_email: a:hunter2secret@example.org\n")
    prices.write_text(prices.read_text().replace("output: 2", "output: 3"))
    for _ in range(2):
        assert run(["show-budget"]) == 0
    assert run(["prices", "list"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert run(["changes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    by_file: dict[str, list[dict[str, object]]] = {}
    for one in reversed(told["changes"]):
        by_file.setdefault(Path(one["path"]).name, []).append(one)
    assert {name: [one["first"] for one in those] for name, those in by_file.items()} == {
        "profile.yaml": [True, False],
        "prices.yaml": [True, False],
    }
    assert "+ 2:   monthly_limit_usd: 7" in str(by_file["profile.yaml"][1]["lines"])
    assert "output: 3" in str(by_file["prices.yaml"][1]["lines"])
    [override] = told["overrides"]
    assert "the boss said so" in override["why"]
    assert run(["changes", "--month", "2001-01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["overrides"] == []


def test_a_damaged_record_is_left_out(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    assert memory.log("changes", {"at": 1})
    assert memory.log("changes", {"at": 2})
    path = tmp_path / "changes.log"
    path.write_bytes(path.read_bytes().replace(b'"at":1', b'"at":3') + b"torn")
    assert memory.read_log("changes") == [{"at": 2}]
    assert Memory(None).log("changes", {}) is False
    assert Memory(None).read_log("changes") == Memory(tmp_path / "none").read_log("changes") == []
    (tmp_path / "file").write_text("")
    assert Memory(tmp_path / "file").log("changes", {}) is False


def test_the_report() -> None:
    change = SettingsChange(
        AT,
        "/srv/config/profile.yaml",
        False,
        ("- 2: monthly_limit_usd: 50", "+ 2: monthly_limit_usd: 500"),
        3,
        "ab",
    )
    override = Override(
        AT, "rpatel", "job-1", "13_asr", "openai/gpt-4o", Nanos(25_100_000), "the boss said so", "0c"
    )
    check_report(
        "changes",
        changes_report(ChangesFacts(None, [change, change._replace(lines=(), first=True)], [override])),
    )
    check_report("changes-empty", changes_report(ChangesFacts(None, [], [])))
