"""Estimates by price and by history."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.analysis.estimates import (
    WHOLE,
    PlannedCalls,
    Quantiles,
    compare,
    cost_on,
    estimate_stages,
    stage_histories,
    tokens_of,
)
from shared.costs.model import Usage
from shared.costs.money import Nanos, from_usd
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.rollup import Group, Totals

AT = datetime(2026, 11, 22, tzinfo=UTC)
CATALOGUE = Catalogue.load()
CHAT = PlannedCalls(Usage(tokens_input=1_500, tokens_output=300), AT)


def test_a_price_times_calls() -> None:
    assert cost_on(("openai", "gpt-4o"), CHAT, CATALOGUE).cost == from_usd("0.00675")
    assert cost_on(("openai", "gpt-4o"), CHAT._replace(calls=7), CATALOGUE).cost == from_usd("0.04725")
    assert cost_on(("openai", "gpt-4o"), CHAT._replace(tier="batch"), CATALOGUE).cost == from_usd("0.003375")
    unknown = cost_on(("", "acme-1"), CHAT, CATALOGUE)
    assert (unknown.name, unknown.cost) == ("acme-1", None)
    assert "no price" in unknown.why


def test_models_beside_each_other_cheapest_first_unpriced_last() -> None:
    names = ["acme/one", "openai/gpt-4o", "openai/gpt-4o-mini", "local/pocketsphinx", "gpt/gpt-4o"]
    models = [(name.split("/")[0], name.split("/")[1]) for name in names]
    found = compare(models, CHAT, CATALOGUE)
    assert [one.name for one in found][:3] == ["local/pocketsphinx", "openai/gpt-4o-mini", "openai/gpt-4o"]
    assert found[-1].cost is None


def group(job: str, stage: str, usd: str, minutes: float = 0, tokens: int = 0, unpriced: int = 0) -> Group:
    totals = Totals(calls=1, cost=from_usd(usd), tokens_input=tokens, unpriced_calls=unpriced)
    totals.audio_microseconds = round(minutes * 60_000_000)
    return Group((job, stage), totals)


HISTORY = stage_histories(
    [
        *(group(f"job-{n}", "06_asr", f"{0.06 * n:.2f}", minutes=10) for n in range(1, 11)),
        *(group(f"job-{n}", "13_sum", "0.02", tokens=4_000) for n in range(1, 11)),
        group("job-x", "06_asr", "0.01", minutes=10, unpriced=1),
    ]
)


def test_stages_are_estimated_by_the_audio_of_their_job() -> None:
    found = {one.stage: one for one in estimate_stages(HISTORY, Usage(audio_seconds=1_200))}
    assert (found["06_asr"].median, found["06_asr"].ninety) == (from_usd("0.60"), from_usd("1.08"))
    assert found["13_sum"].median == from_usd("0.04")
    assert (found[WHOLE].median, found[WHOLE].ninety, found[WHOLE].jobs) == (
        from_usd("0.64"),
        from_usd("1.12"),
        10,
    )
    assert [one.left_out for one in HISTORY] == [1, 0, 1]


def test_without_audio_input_tokens_count() -> None:
    found = {one.stage: one for one in estimate_stages(HISTORY, Usage(tokens_input=8_000))}
    assert (found["13_sum"].median, found["13_sum"].per) == (from_usd("0.04"), "1,000 input tokens")
    assert "06_asr" not in found
    assert estimate_stages(HISTORY, Usage()) == []
    assert stage_histories([]) == []


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50), st.integers(1, 100))
def test_so_many_percent_are_not_above_a_quantile(values: list[int], percent: int) -> None:
    samples = tuple(map(Nanos, sorted(values)))
    found = Quantiles(samples).at(percent)
    assert sum(value <= found for value in samples) * 100 >= percent * len(samples)
    assert sum(value < found for value in samples) * 100 < percent * len(samples)


@pytest.mark.parametrize(("characters", "tokens"), [(0, 0), (1, 1), (4, 1), (4_001, 1_001)])
def test_tokens_of_a_text(characters: int, tokens: int) -> None:
    assert tokens_of(characters) == tokens
