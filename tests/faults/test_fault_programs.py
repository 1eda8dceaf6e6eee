"""Every fault program in its short form; in full with ``-m long``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).resolve().parents[2] / "scripts" / "faults"

SHORT = {
    "kill storm": ["kill_storm.py", "--kills", "40"],
    "truncation": ["damage.py", "truncation", "--records", "1"],
    "bit flips": ["damage.py", "flips", "--records", "2"],
    "mutations": ["damage.py", "mutations", "--cases", "3000"],
    "lock hygiene": ["lock_hygiene.py", "--holds", "1600"],
    "system calls": ["syscall_faults.py", "--cases", "60"],
    "disk full": ["disk_full.py", "--entries", "150"],
    "stopped holder": ["stopped_holder.py", "--calls", "1", "--only", "everything"],
}
LONG = {
    "kill storm": ["kill_storm.py"],
    "truncation": ["damage.py", "truncation"],
    "bit flips": ["damage.py", "flips"],
    "mutations": ["damage.py", "mutations"],
    "lock hygiene": ["lock_hygiene.py"],
    "system calls": ["syscall_faults.py"],
    "disk full": ["disk_full.py", "--entries", "5000"],
    "stopped holder": ["stopped_holder.py", "--calls", "20"],
    "mutation check": ["mutation_check.py"],
}


def run(arguments: list[str]) -> str:
    program, *rest = arguments
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / program), *rest], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SHORT)
def test_it_holds(name: str) -> None:
    assert "held: " in run(SHORT[name])


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_it_holds_at_full_length(name: str) -> None:
    assert "held: " in run(LONG[name])
