"""The scripts of the pipeline, run in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stages import Programs


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)
