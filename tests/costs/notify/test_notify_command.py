"""``notify test``, ``status`` and ``send``, as people run them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from notify_servers import web_server

from shared.costs.apps.cli.program import run
from shared.costs.budgets.port import Notice
from shared.costs.extras import install_command
from shared.costs.workspace import Workspace
from tests.support.elapsed import PATIENCE_S

PROFILE = """\
users:
  ana: {budget: {notify: [env:HOOK_A, "discord://1/s3cret"]}}
  bob: {budget: {notify: [env:HOOK_A]}}
"""


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "profile.yaml"
    path.write_text(PROFILE)
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path / "storage"))
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # nothing leaves this machine
    return path


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    code = run(["notify", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def _findings(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """What ``doctor`` finds about alerts."""
    capsys.readouterr()
    run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)["findings"]
    return [(each["state"], each["found"], each["remedy"]) for each in found if each["what"] == "alerts"]


def test_a_test_message_tells_each_address_apart(
    profile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("apprise")
    with web_server() as web:
        monkeypatch.setenv("HOOK_A", f"json://127.0.0.1:{web.port}/tok3n")
        code, told = asked(capsys, "test", "--user", "ana")
        assert "This is a test" in web.taken.get(timeout=PATIENCE_S).data["message"]
        assert run(["notify", "test", "--user", "bob"]) == 0
    assert code == 1
    assert [(each["address"], each["sent"]) for each in told["addresses"]] == [
        ("env:HOOK_A", True),
        ("discord://...", False),
    ]
    shown = capsys.readouterr()
    assert "s3cret" not in json.dumps(told) + shown.out + shown.err
    assert "tok3n" not in json.dumps(told) + shown.out + shown.err


def test_without_an_address_it_says_where_to_name_one(
    profile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["notify", "test", "--user", "carl"]) == 1
    assert "No address is configured for user carl" in capsys.readouterr().out


def test_what_waits_is_shown_and_can_be_sent(
    profile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("apprise")
    at = datetime.now(UTC) - timedelta(hours=1)
    notice = Notice(
        audience="bob", profile=str(profile), key="k", level="warning", text="Budget!", made_at=at
    )
    with Workspace(profile.parent / "storage") as workspace:
        workspace.notices.enqueue([notice])
    assert asked(capsys, "status") == (0, {"waiting": 1, "given_up": []})
    assert _findings(capsys) == [("note", "1 alert waits to be sent", "cost-dashboard notify send")]
    with monkeypatch.context() as patch:
        patch.setattr("shared.costs.reports.doctor.find_spec", lambda _name: None)
        assert _findings(capsys) == [("wrong", "1 alert waits to be sent", install_command("notify"))]
    assert asked(capsys, "send") == (
        1,
        {
            "sent": 0,
            "faults": [{"address": "env:HOOK_A", "why": "the environment variable HOOK_A is not set"}],
        },
    )
    with web_server() as web:
        monkeypatch.setenv("HOOK_A", f"json://127.0.0.1:{web.port}/x")
        assert asked(capsys, "send") == (0, {"sent": 1, "faults": []})
    assert asked(capsys, "status") == (0, {"waiting": 0, "given_up": []})


def test_a_notice_given_up_is_shown(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("apprise")
    at = datetime.now(UTC) - timedelta(days=4)
    notice = Notice(
        audience="bob", profile=str(profile), key="k", level="warning", text="Budget!", made_at=at
    )
    with Workspace(profile.parent / "storage") as workspace:
        workspace.notices.enqueue([notice])
    assert asked(capsys, "send")[0] == 1
    _, told = asked(capsys, "status")
    assert _findings(capsys) == [
        (
            "wrong",
            "given up: Budget!: the environment variable HOOK_A is not set",
            "cost-dashboard notify test",
        )
    ]
    assert told["given_up"] == [{"alert": "Budget!", "why": "the environment variable HOOK_A is not set"}]
