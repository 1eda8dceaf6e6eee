"""``cost-dashboard shared``, as people run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.costs.apps.cli.program import run


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "profile.yaml"
    path.write_text("shared: {url: env:COST_TRACKER_SHARED}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    return path


def test_a_database_is_made_ready_and_checked(
    database_url: str, profile: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["shared", "check"]) == 3
    assert "cost-dashboard shared init" in capfd.readouterr().err
    assert run(["shared", "init"]) == 0
    assert "the shared database (env:COST_TRACKER_SHARED) is ready" in capfd.readouterr().err
    assert run(["shared", "init"]) == 0
    assert "has the tables of this version" in capfd.readouterr().err
    assert run(["shared", "check"]) == 0
    said = capfd.readouterr().err
    assert "can be used: PostgreSQL" in said
    assert database_url not in said


def test_without_an_address_it_says_what_to_do(
    tmp_path: Path, profile: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COST_TRACKER_SHARED", raising=False)
    assert run(["shared", "check"]) == 3
    assert "export COST_TRACKER_SHARED=postgresql://" in capfd.readouterr().err
    profile.write_text("budget: {}\n")
    assert run(["shared", "check"]) == 2
    assert "write shared: {url: env:COST_TRACKER_SHARED}" in capfd.readouterr().err
