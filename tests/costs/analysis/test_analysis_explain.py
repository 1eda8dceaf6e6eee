"""Explanations: the parts always sum to the difference, and each known cause lands in its part."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.analysis.explain import PARTS, Explanation, explain
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import Nanos
from shared.costs.units import Kind
from tests.support.history import PRICED, entry

STAGES = ("asr", "mt", None)
MODELS = ("gpt-4o", "gpt-4o-mini", "whisper-1")
PRICES = {"gpt-4o": (2_500, 1_250, 10_000), "gpt-4o-mini": (150, 75, 600), "whisper-1": (100, 100, 0)}

KINDS: list[Kind] = ["usage", "usage", "usage", "usage", "usage", "usage", "reversal"]


def call(
    model: str = "gpt-4o", tokens: int = 1_000, cached: int = 0, output: int = 100, **given: object
) -> Entry:
    """Return a call charged per token: input, cached, output; half of it in batches."""
    rates = PRICES[model]
    factor = 1 if given.get("service_tier") == "batch" else 2
    parts = {
        "input": Nanos((tokens - cached) * rates[0] * factor),
        "cached": Nanos(cached * rates[1] * factor),
        "output": Nanos(output * rates[2] * factor),
    }
    usage = Usage(tokens_input=tokens, tokens_cached=cached, tokens_output=output)
    return entry(None, model=model, usage=usage, **{"charge": Charge(parts, PRICED), **given})


def credit(amount: int, **given: object) -> Entry:
    """Return a credit, of no one call unless more is given."""
    charge = Charge({"stated": Nanos(amount)}, PRICED)
    return replace(call(tokens=0, output=0, charge=charge), kind="adjustment", **given)  # type: ignore[arg-type]


def check(found: Explanation, before: list[Entry], after: list[Entry]) -> None:
    assert (found.before, found.after) == (sum(e.cost for e in before), sum(e.cost for e in after))
    assert sum(part.amount for part in found.parts) == found.after - found.before
    assert sum(found.by_reason().values()) == found.after - found.before
    assert {part.reason for part in found.parts} <= set(PARTS)


def only(before: list[Entry], after: list[Entry]) -> dict[str, int]:
    found = explain(before, after)
    check(found, before, after)
    return {reason: amount for reason, amount in found.by_reason().items() if amount}


ONE = 1_000 * 5_000 + 100 * 20_000
"""What one call of :func:`call` costs."""


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        ([call()], [call()], {}),
        ([call()], [call(), call(), call()], {"volume": 2 * ONE}),
        ([], [call()], {"volume": ONE}),
        ([call()], [], {"volume": -ONE}),
        ([call()], [call(), call(attempt=2)], {"retries": ONE}),
        ([call()], [call("gpt-4o-mini")], {"models": 1_000 * 300 + 100 * 1_200 - ONE}),
        ([call()], [call(service_tier="batch")], {"tiers": -ONE // 2}),
        ([call()], [call(cached=800)], {"caching": -800 * 2_500}),
        ([call()], [call(tokens=2_000)], {"size": 1_000 * 5_000}),
        ([call()], [call(output=300)], {"size": 200 * 20_000}),
        ([call()], [call(), credit(-900)], {"credits": -900}),
        ([credit(-500)], [credit(-900)], {"credits": -400}),
        ([call()], [call(), credit(-900, corrects="of-october", model="whisper-1")], {"credits": -900}),
        ([], [credit(-900, corrects="of-october")], {"credits": -900}),
        ([call()], [call(), credit(900, corrects="unpriced", model="whisper-1")], {"prices": 900}),
    ],
)
def test_each_cause_lands_in_its_part(
    before: list[Entry], after: list[Entry], reasons: dict[str, int]
) -> None:
    assert only(before, after) == reasons


def test_a_price_change_is_a_price_change() -> None:
    dearer = call()
    assert dearer.charge is not None
    doubled = Charge({part: Nanos(2 * amount) for part, amount in dearer.charge.parts.items()}, PRICED)
    assert only([call()], [replace(dearer, charge=doubled)]) == {"prices": ONE}


def test_audio_by_the_minute() -> None:
    def minutes(seconds: float, cost: int) -> Entry:
        charge = Charge({"audio_seconds": Nanos(cost)}, PRICED)
        return entry(None, model="whisper-1", usage=Usage(audio_seconds=seconds), charge=charge)

    assert only([minutes(60, 600)], [minutes(120, 1_200)]) == {"size": 600}
    assert only([minutes(60, 600)], [minutes(60, 900)]) == {"prices": 300}


def test_a_new_stage_and_a_stage_that_is_gone() -> None:
    found = explain([call(stage="old")], [call(stage="new")])
    assert {(p.stage, p.reason, p.amount) for p in found.parts} == {
        ("old", "volume", -ONE),
        ("new", "volume", ONE),
    }


def test_unpriced_calls_have_no_part() -> None:
    found = explain([entry(None)], [entry(None), call()])
    assert (found.unpriced, found.after) == ((1, 1), ONE)
    check(found, [], [call()])


def test_calls_with_a_unit_without_a_price_are_told() -> None:
    partial = replace(call(), unpriced_units={"file_searches": 4})
    assert explain([partial], [partial, call()]).partial == 2


def random_calls(chance: Random) -> list[Entry]:
    calls = []
    for _ in range(chance.randrange(0, 12)):
        tokens = chance.randrange(0, 100_000)
        made = call(
            chance.choice(MODELS),
            tokens,
            chance.randrange(0, tokens + 1),
            chance.randrange(0, 5_000),
            stage=chance.choice(STAGES),
            attempt=chance.choice([1, 1, 1, 2]),
            service_tier=chance.choice([None, "batch"]),
        )
        assert made.charge is not None
        odd = {part: Nanos(amount + chance.randrange(0, 999)) for part, amount in made.charge.parts.items()}
        calls.append(replace(made, charge=Charge(odd, PRICED), kind=chance.choice(KINDS)))
    return calls


@pytest.mark.no_cover
def test_a_thousand_random_pairs_are_exact() -> None:
    chance = Random(17)
    for _ in range(1_000):
        before, after = random_calls(chance), random_calls(chance)
        check(explain(before, after), before, after)


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_the_way_back_is_the_opposite(chance: Random) -> None:
    before, after = random_calls(chance), random_calls(chance)
    there, back = explain(before, after), explain(after, before)
    assert there.after - there.before == back.before - back.after
    assert there.by_reason()["retries"] == -back.by_reason()["retries"]
