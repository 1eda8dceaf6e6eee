"""Where other price tables agree with each other, ours agrees with them to the nano-dollar.

genai-prices always takes part. litellm and tokencost do where they are installed: in this
environment, or in the one whose Python ``PRICE_PEERS_PYTHON`` names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data import providers

from shared.costs.pricing.genai import _clauses, look_up

ROOT = Path(__file__).parents[3]
PEERS_PYTHON = os.environ.get("PRICE_PEERS_PYTHON", sys.executable)
KNOWN_BY_BEGINNING = {
    "deepseek/deepseek-v4-flash-vision-exp": "deepseek-v4-flash",
    "google/gemini-3.1-pro-preview-customtools": "gemini-3.1-pro-preview",
    "google/gemini-3.8-live-extended-thinking": "gemini-3.8-live",
    "google/gemini-live-2.5-flash-native-audio": "gemini-live-2.5-flash",
    "google/gemini-live-2.5-flash-preview-native-audio-09-2025": "gemini-live-2.5-flash",
}
"""Models that the package prices by the beginning of their names alone, and that beginning."""

NOT_SOLD = {"openai/gpt-oss-120b", "openai/gpt-oss-20b"}
"""Models to which the package gives another seller's price."""


def agreement(python: str, usages: int) -> dict[str, Any]:
    command = [python, str(ROOT / "scripts" / "price_agreement.py"), "--usages", str(usages), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_model_of_genai_prices_is_priced_as_the_package_says() -> None:
    found = agreement(sys.executable, 2)
    assert "genai-prices" in found["peers"]
    assert found["unpriced"] == []
    assert found["refused"].keys() <= KNOWN_BY_BEGINNING.keys() | NOT_SOLD
    if found["peers"] == ["genai-prices"]:
        assert found["alike"] > 1_500


@pytest.mark.parametrize(("name", "beginning"), KNOWN_BY_BEGINNING.items())
def test_what_is_left_unpriced_has_no_name_of_its_own_in_the_package(name: str, beginning: str) -> None:
    """An entry whose model the package has come to list must leave the list."""
    provider, _, model = name.partition("/")
    assert look_up(provider, model) is None
    sold = next(p for p in providers if p.id == provider)
    theirs = [m for m in sold.models if m.is_match(model)]
    assert [m.id for m in theirs] == [beginning]
    assert {text for kind, text in _clauses(theirs[0].match) if model.startswith(text)} == {beginning}


@pytest.mark.long
def test_a_thousand_usages_of_every_model_that_all_peers_price_alike() -> None:
    probe = "from importlib.util import find_spec as f; print(bool(f('litellm') and f('tokencost')))"
    installed = subprocess.run([PEERS_PYTHON, "-c", probe], capture_output=True, text=True, check=True)
    if installed.stdout.strip() != "True":
        pytest.skip(
            "litellm and tokencost are not installed; PRICE_PEERS_PYTHON can name a Python that has them"
        )
    found = agreement(PEERS_PYTHON, 1_000)
    assert set(found["peers"]) == {"genai-prices", "litellm", "tokencost"}
    assert found["alike"] > 100
    assert found["unpriced"] == []
    assert found["differing"] == {}


def test_the_comparison_notices_a_wrong_price(tmp_path: Path) -> None:
    """A wrong rate in our catalogue must fail the comparison, or it proves nothing."""
    (tmp_path / "scripts").mkdir()
    shutil.copytree(ROOT / "shared", tmp_path / "shared")
    for name in ("price_agreement.py", "price_coverage.py", "price_differences.yaml"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    path = tmp_path / "shared" / "costs" / "data" / "prices" / "openai.yaml"
    path.write_text(path.read_text().replace("input: 2.50, cached: 1.25", "input: 2.51, cached: 1.25"))
    command = [sys.executable, str(tmp_path / "scripts" / "price_agreement.py"), "--usages", "2", "--json"]
    command += ["--peers", "genai-prices"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "openai/gpt-4o" in json.loads(done.stdout)["differing"]


def test_what_two_tables_price_alike_is_priced_alike_here_or_has_a_reason() -> None:
    command = [sys.executable, "-m", "scripts.price_coverage", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["without_a_reason"] == []
    if any(table.startswith("litellm 1.110") for table in found["tables"]):
        assert found["agreed_by_two"] > 800
        assert found["litellm"]["whole"] > 1_850
