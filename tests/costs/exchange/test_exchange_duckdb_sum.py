"""Ledgers summed by DuckDB itself, as the README says it: to the cent, though the first jobs cost nothing."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker

README = Path(__file__).parents[3] / "README.md"


def jobs(folder: Path) -> Decimal:
    """Make 40 job files, of which the first 32 are free, and return what the others cost."""
    for number in range(40):
        with CostTracker(folder / "out" / f"job-{number:03}", "1") as tracker:
            if number < 32:
                tracker.log_usage("local", "pocketsphinx", audio_seconds=60)
            else:
                tracker.log_usage("openai", "gpt-4o", 100_000, 15_000)
    return 8 * Decimal("0.40")


def test_the_documented_recipe_gives_the_true_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    total = jobs(tmp_path)
    monkeypatch.chdir(tmp_path)
    [recipe] = re.findall(r"```sql\n(SELECT[^`]*read_json[^`]*)```", README.read_text(encoding="utf-8"))
    [(summed,)] = duckdb.sql(recipe.strip().rstrip(";")).fetchall()
    assert summed == total


def test_so_does_a_sum_that_names_no_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    total = jobs(tmp_path)
    monkeypatch.chdir(tmp_path)
    [(summed,)] = duckdb.sql("SELECT sum(cost_usd) FROM 'out/*/cost_ledger.jsonl'").fetchall()
    assert summed == pytest.approx(float(total))
