"""The fault programs of the index: their short forms here, the long ones behind the marker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parents[3] / "scripts" / "faults"

SHORT = {
    "index_kills.py": ["--kills", "15"],
    "index_fuzz.py": ["--files", "15"],
    "index_clock.py": ["--months", "1"],
    "index_model.py": ["--sequences", "10", "--steps", "12"],
}
LONG = {
    "index_kills.py": ["--kills", "2000"],
    "index_fuzz.py": ["--files", "1000"],
    "index_clock.py": ["--months", "24"],
    "index_model.py": ["--sequences", "5000"],
}


def _run(program: str, arguments: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(FAULTS / program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"TMPDIR": str(folder), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "always equal to a full fold" in done.stdout or "exactly one day" in done.stdout


@pytest.mark.parametrize("program", SHORT)
def test_short_form(program: str, tmp_path: Path) -> None:
    _run(program, SHORT[program], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("program", LONG)
def test_long_form(program: str, tmp_path: Path) -> None:
    _run(program, LONG[program], tmp_path)
