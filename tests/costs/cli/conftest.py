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
