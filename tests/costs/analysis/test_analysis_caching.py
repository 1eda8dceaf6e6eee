"""Caching: an upper bound, from calls that could have shared a beginning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.costs.analysis.caching import Cacheable
from shared.costs.analysis.optimise import find_improvements
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


def find_cacheable(entries: Iterable[Entry]) -> list[Cacheable]:
    return list(find_improvements(entries, CATALOGUE).cacheable)


WRITTEN = Usage(tokens_input=4_000, tokens_cache_write=900)


def test_what_calls_could_share() -> None:
    [found] = find_cacheable([call(1, 4_000), call(2, 3_000, 1), call(3, 5_000, 2)])
    assert found.calls == 3
    assert found.saving == 2 * 3_000 * 1_250  # read at half of $2.50 per million, by two calls


def test_writing_to_a_cache_may_cost_more() -> None:
    model = "anthropic/claude-3-haiku"  # 0.25 in, 0.30 to write, 0.03 to read
    [found] = find_cacheable([call(n, 2_000, n, model) for n in range(3)])
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
        [
            replace(call(n, 4_000, n), usage=Usage(tokens_input=4_000, tokens_cache_write=900))
            for n in range(2)
        ],
    ],
)
def test_what_could_not_be_cached(entries: list[Entry]) -> None:
    assert find_cacheable(entries) == []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model": "google/gemini-2.5-flash-lite"},  # fractions of a nano-dollar
        {"model": "google/gemini-1.5-pro"},  # dearer from 128,000 tokens on
    ],
    ids=str,
)
def test_a_run_is_repriced_as_call_by_call(given: dict[str, str]) -> None:
    calls = [call(n, tokens, n / 2, **given) for n, tokens in enumerate((5_001, 200_003, 2_047, 9_999))]
    assert_as_call_by_call(calls)
    assert_as_call_by_call([*calls, call(9, 4_000, 2, service_tier="batch", **given)])


def assert_as_call_by_call(calls: Sequence[Entry]) -> None:
    [found] = find_cacheable(calls)
    first, *others = (each.usage for each in calls)
    cached = [replace(first, tokens_cache_write=2_047), *(replace(u, tokens_cached=2_047) for u in others)]
    charges = [
        CATALOGUE.charge(each.service, each.model, usage, each.timestamp, each.service_tier)
        for each, usage in zip(calls, cached, strict=True)
    ]
    assert found.before - found.saving == sum(c.total for c in charges if isinstance(c, Charge))
