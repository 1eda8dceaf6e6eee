"""The gate under kills: the short form of ``scripts/faults/gate_storm.py``, and that it would notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STORM = Path(__file__).parents[3] / "scripts" / "faults" / "gate_storm.py"


def storm(*arguments: str) -> tuple[int, str]:
    """Run the program; return its exit code and its summary line."""
    done = subprocess.run(
        [sys.executable, str(STORM), *arguments], capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.stdout.startswith("gate storm: "), done.stderr
    return done.returncode, done.stdout


def test_no_limit_is_overrun_and_nothing_billed_goes_uncounted() -> None:
    code, said = storm("--processes", "4", "--kills", "8", "--seed", "1")
    assert code == 0, said
    assert "overshoot $0, billed but not counted $0, counted above a limit $0, 0 not mended" in said


@pytest.mark.parametrize(
    ("rule", "how"),
    [
        ("orphans", ("--kills", "8")),
        pytest.param("matching", ("--kills", "8"), marks=pytest.mark.long),
        pytest.param("exclusive", ("--kills", "0", "--rounds", "4"), marks=pytest.mark.long),
    ],
)
def test_the_storm_notices_when_a_rule_is_missing(rule: str, how: tuple[str, ...]) -> None:
    code, said = storm("--processes", "6", *how, "--without", rule)
    assert code == 1, said
    assert "FAILED" in said


@pytest.mark.long
def test_32_processes_and_500_killed_holders() -> None:
    code, said = storm("--processes", "32", "--kills", "500", "--seed", "2")
    assert code == 0, said
