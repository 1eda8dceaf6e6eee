"""Caching: an upper bound, from calls that could have shared a beginning."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.costs.analysis.caching import find_cacheable
from shared.costs.model import Charge, Entry, Usage
from shared.costs.pricing.catalogue import Catalogue
from tests.support.history import START, entry

CATALOGUE = Catalogue.load()


def call(
    number: int, tokens: int, minutes: float = 0, model: str = "openai/gpt-4o", **given: object
) -> Entry:
    service, _, name = model.partition("/")
    usage = Usage(tokens_input=tokens, tokens_output=100)
    at = START + timedelta(minutes=minutes)
    made = entry(None, id=f"e{number}", service=service, model=name, usage=usage, timestamp=at, **given)
    charge = CATALOGUE.charge(service, name, usage, at)
    assert isinstance(charge, Charge)
    return replace(made, charge=charge)


def test_what_calls_could_share() -> None:
    [found] = find_cacheable([call(1, 4_000), call(2, 3_000, 1), call(3, 5_000, 2)], CATALOGUE)
    assert found.calls == 3
    assert found.saving == 2 * 3_000 * 1_250  # read at half of $2.50 per million, by two calls


def test_writing_to_a_cache_may_cost_more() -> None:
    model = "anthropic/claude-3-haiku"  # 0.25 in, 0.30 to write, 0.03 to read
    [found] = find_cacheable([call(n, 2_000, n, model) for n in range(3)], CATALOGUE)
    assert found.saving == 2_000 * (2 * 220 - 50)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [call(1, 4_000)],
        [call(1, 4_000), call(2, 4_000, 6)],  # forgotten meanwhile
        [call(1, 4_000), call(2, 1_000, 1)],  # too short to be cached
        [call(1, 4_000), call(2, 4_000, 1, job_id="other")],
        [call(1, 4_000), call(2, 4_000, 1, stage="other")],
        [call(n, 4_000, model="openai/gpt-4") for n in range(2)],  # has no price for a cache
        [call(1, 4_000), replace(call(2, 4_000, 1), usage=Usage(tokens_input=4_000, tokens_cached=2_000))],
        [call(1, 4_000), replace(call(2, 4_000, 1), charge=None)],
    ],
)
def test_what_could_not_be_cached(entries: list[Entry]) -> None:
    assert find_cacheable(entries, CATALOGUE) == []
