"""Fixtures of the dashboard's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.costs.cli.cli_support import Dashboard, write_october


@pytest.fixture
def dashboard(capsys: pytest.CaptureFixture[str]) -> Dashboard:
    return Dashboard(capsys)


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """A folder of jobs of October 2026."""
    folder = tmp_path / "out"
    write_october(folder)
    return folder


@pytest.fixture
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own price file, which is not there yet."""
    profile = tmp_path / "config" / "profile.yaml"
    profile.parent.mkdir()
    profile.write_text("timezone: UTC\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(profile))
    return profile.with_name("prices.yaml")
