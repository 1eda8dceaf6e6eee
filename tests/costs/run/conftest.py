"""A job that programs are run for."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return tmp_path / "job-20261122-rpatel-0001"
