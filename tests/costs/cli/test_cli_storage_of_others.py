"""A storage that the account which asks may not read: each face says so, and none says $0."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from tests.support.elapsed import PATIENCE_S

TOOL = Path(__file__).resolve().parents[3] / "tools" / "cost-dashboard.py"
NOBODY = 65534
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
"""Runs a program as root that may read no more of others than their files allow, as every account."""


@pytest.fixture(scope="module")
def asks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Return how a program is run that asks a storage which it may not read; ``{}`` is that storage."""
    folder = tmp_path_factory.mktemp("others")
    storage = folder / "storage"
    CostTracker(folder / "job-1", cost_storage_path=storage).log_usage("openai", "gpt-4o", 1_000_000)
    if os.geteuid():
        storage.chmod(0)
        yield [str(storage)]
        storage.chmod(0o700)
    elif shutil.which("setpriv") is None:
        pytest.skip("setpriv of util-linux is not installed")
    else:
        os.chown(storage, NOBODY, NOBODY)
        yield [str(storage), *WITHOUT_RIGHTS]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["statusline"], 0),
        (["metrics"], 3),
        (["notify", "report"], 3),
        (["serve", "--port", "0"], 3),
        (["doctor"], 1),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_it_is_said_in_one_sentence_with_the_next_step(words: list[str], code: int, asks: list[str]) -> None:
    storage, *before = asks
    ran = subprocess.run(
        [*before, sys.executable, str(TOOL), *words, "--cost-storage", storage],
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ran.returncode == code
    said = " ".join((ran.stdout + ran.stderr).split())
    assert f"{storage} cannot be used (" in said
    assert "name another folder with --cost-storage or COST_TRACKER_HOME" in said
    assert "$" not in ran.stdout
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) == (words != ["doctor"])


CALL = """
import logging, sys
from shared.cost_tracker import CostTracker
logging.basicConfig(level=logging.WARNING)
print(CostTracker(sys.argv[1]).log_usage("openai", "gpt-4o", 1_000_000))
"""


def test_a_call_has_its_price_and_the_process_ends_quietly(asks: list[str], tmp_path: Path) -> None:
    storage, *before = asks
    ran = subprocess.run(
        [*before, sys.executable, "-c", CALL, str(tmp_path / "job")],
        env={**os.environ, "COST_TRACKER_HOME": f"{storage}/below", "PYTHONPATH": str(TOOL.parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (ran.returncode, ran.stdout) == (0, "2.5\n")
    assert "Permission denied" in ran.stderr
    assert "Traceback" not in ran.stderr
