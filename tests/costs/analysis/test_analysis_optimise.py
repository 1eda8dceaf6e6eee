"""Savings: every call repriced, nothing counted twice, and the total that of the best combination."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from truth.savings import cost_with, least_cost

from shared.costs.analysis import optimise
from shared.costs.analysis.optimise import find_savings
from shared.costs.analysis.options import BATCH
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import Nanos, from_usd
from shared.costs.pricing.catalogue import Catalogue
from tests.support.history import entry

CATALOGUE = Catalogue.load()
WORK = (
    ("13_ai_summarization", "openai", "gpt-4o"),
    ("13_ai_summarization", "openai", "gpt-4"),
    ("10_translation", "google", "gemini-1.5-pro"),
    ("06_whisperx_asr", "openai", "whisper-1"),
    (None, "anthropic", "claude-3-haiku"),
)


def priced(number: int, work: tuple[str | None, str, str], tokens: int, tier: str | None = None) -> Entry:
    """Return a call with the catalogue's own charge."""
    stage, service, model = work
    usage = (
        Usage(audio_seconds=float(tokens))
        if "whisper" in model
        else Usage(tokens_input=tokens, tokens_output=50)
    )
    call = entry(
        None, id=f"e{number}", stage=stage, service=service, model=model, usage=usage, service_tier=tier
    )
    charge = CATALOGUE.charge(service, model, usage, call.timestamp, tier)
    return replace(call, charge=charge if isinstance(charge, Charge) else None)


CALLS = st.lists(
    st.tuples(st.sampled_from(WORK), st.integers(0, 200_000), st.sampled_from([None, None, "batch"])),
    max_size=12,
).map(lambda rows: [priced(n, *row) for n, row in enumerate(rows)])


@pytest.mark.no_cover
@settings(deadline=None, max_examples=30)
@given(CALLS)
@example([priced(0, WORK[3], 0), priced(1, WORK[3], 3)])  # a minimum is for what was heard
def test_the_total_is_that_of_brute_force(entries: list[Entry]) -> None:
    found = find_savings(entries, CATALOGUE)
    assert found.after == least_cost(entries)
    assert found.saving_hosted <= found.saving <= found.spent
    assert found.spent == sum(e.cost for e in entries)
    for combination in (found.best, found.best_hosted):
        slots = [option.slot for option in combination]
        assert len(slots) == len(set(slots))
    assert all(option.saving > 0 for option in found.options)


def test_kinds_and_what_they_say() -> None:
    found = find_savings([priced(n, work, 100_000) for n, work in enumerate(WORK)], CATALOGUE)
    assert {option.change.kind for option in found.options} == {"model", "batch", "model and batch", "local"}
    batch = next(o for o in found.options if o.change.kind == "batch" and o.slot.model == "gpt-4o")
    assert (batch.change.name, batch.percent, batch.calls) == (BATCH, 50.0, 1)


def test_a_local_engine_says_what_it_must_beat() -> None:
    found = find_savings([priced(1, WORK[3], 600)], CATALOGUE)
    local = next(option for option in found.options if option.change.kind == "local")
    assert local.audio_minutes_per_dollar == pytest.approx(10 / 0.06)
    texts = find_savings([priced(1, WORK[0], 600)], CATALOGUE)
    assert {option.audio_minutes_per_dollar for option in texts.options} == {None}


def test_calls_in_batches_are_not_told_to_use_batches() -> None:
    found = find_savings([priced(1, WORK[0], 10_000, "batch")], CATALOGUE)
    assert "batch" not in {option.change.kind for option in found.options}


def test_free_and_unpriced_calls_offer_nothing() -> None:
    calls = [entry("0", service="local", model="pocketsphinx"), entry(None, id="u", model="gpt-9")]
    found = find_savings(calls, CATALOGUE)
    assert (found.options, found.best, found.unpriced_calls, found.calls) == ((), (), 1, 2)
    assert found.saving == 0


def test_reversed_calls_save_nothing() -> None:
    call = priced(1, WORK[0], 10_000)
    assert call.charge is not None
    undone = Charge(
        {part: Nanos(-amount) for part, amount in call.charge.parts.items()}, call.charge.priced_by
    )
    found = find_savings(
        [call, replace(call, id="r", kind="reversal", corrects="e1", charge=undone)], CATALOGUE
    )
    assert (found.spent, found.calls, found.saving, found.options) == (0, 0, 0, ())


def test_an_unpriced_call_counts_once_an_adjustment_prices_it() -> None:
    call = priced(1, WORK[0], 10_000)
    unpriced = replace(call, charge=None)
    fixed = replace(
        call,
        id="a",
        kind="adjustment",
        corrects="e1",
        why="priced later",
        usage=Usage(),
        resolves_unpriced=True,
    )
    later, at_once = find_savings([unpriced, fixed], CATALOGUE), find_savings([call], CATALOGUE)
    assert (later.spent, later.saving, later.calls) == (at_once.spent, at_once.saving, 1)
    assert later.unpriced_calls == 0


def test_an_adjustment_changes_what_is_saved() -> None:
    call = priced(1, WORK[0], 10_000)
    extra = entry(
        "0.5", id="a", kind="adjustment", corrects="e1", why="dearer", stage=call.stage, usage=Usage()
    )
    found = find_savings([call, extra], CATALOGUE)
    assert found.saving == find_savings([call], CATALOGUE).saving + from_usd("0.5")


def test_priority_calls_are_told_about_the_standard_tier() -> None:
    call = priced(1, WORK[0], 10_000, "priority")
    assert call.charge is not None  # gpt-4o has a priority price
    options = find_savings([call], CATALOGUE).options
    assert "standard" in {option.change.kind for option in options}


def test_long_contexts_are_told_about_shorter_calls() -> None:
    options = {o.change.kind: o for o in find_savings([priced(1, WORK[2], 128_001)], CATALOGUE).options}
    assert options["split"].change.name == "shorter calls"
    assert options["split"].percent == pytest.approx(50, abs=0.1)  # all of it is at twice the rate above 128K
    short = {o.change.kind for o in find_savings([priced(1, WORK[2], 128_000)], CATALOGUE).options}
    assert "split" not in short


def test_work_done_again_is_counted_at_what_remains() -> None:
    call = priced(1, WORK[1], 10_000)
    again = replace(call, id="again", attempt=2)
    found = find_savings([call, again], CATALOGUE)
    assert found.retried == again.cost
    [best] = found.best_hosted
    assert found.retried_after == again.cost - best.saving // 2
    nothing = find_savings([replace(entry("1", id="x", service="acme", model="y"), attempt=2)], CATALOGUE)
    assert nothing.retried == nothing.retried_after == from_usd(1)


def test_calls_of_which_a_unit_has_no_price_are_not_compared() -> None:
    call = replace(priced(1, WORK[0], 10_000), unpriced_units={"file_searches": 4})
    found = find_savings([call], CATALOGUE)
    assert (found.partial_calls, found.options, found.spent) == (1, (), call.cost)
    mended = replace(
        call,
        id="a",
        kind="adjustment",
        corrects="e1",
        why="priced later",
        usage=Usage(),
        unpriced_units={},
        resolves_partial=True,
    )
    later = find_savings([call, mended], CATALOGUE)
    assert later.partial_calls == 0
    assert later.options
    billed = replace(call, unpriced_units={}, usage=Usage())  # what it used is not stated
    found = find_savings([billed], CATALOGUE)
    assert (found.partial_calls, found.options, found.spent) == (1, (), call.cost)


@pytest.mark.no_cover
def test_many_calls_are_what_they_are_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are priced at once, of several tiers, with retries and calls that somebody waits for."""
    monkeypatch.setattr(optimise, "_PRICED_TOGETHER", 3)
    calls = []
    for number in range(150):
        tier = (None, "batch", "priority")[number % 3]
        call = priced(number, WORK[number % 4], 1_000 + 997 * number, tier)
        waited = ("interactive",) if number % 7 == 0 and tier != "priority" else ()
        calls.append(replace(call, attempt=1 + (number % 5 == 0), tags=waited))
    found = find_savings(calls, CATALOGUE)
    assert found.after == least_cost(calls)
    for option in found.options:
        mine = [each for each in calls if (each.service, each.model) == option.slot[1:] and each.charge]
        assert option.saving == sum(each.cost for each in mine) - cost_with(option.change, mine)
        again = [each for each in mine if each.attempt > 1]
        assert option.before_retried == sum(each.cost for each in again)
        assert option.after_retried == cost_with(option.change, again)
