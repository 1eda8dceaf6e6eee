"""What if: the calls that are swapped, and only those, repriced exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.costs.analysis.whatif import Swap, what_if
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import from_usd
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.units import Kind
from tests.support.history import entry

CATALOGUE = Catalogue.load()
TO_MINI = Swap(("openai", "gpt-4o"), ("openai", "gpt-4o-mini"))


def call(number: int = 1, **given: object) -> Entry:
    usage = Usage(tokens_input=1_000_000, tokens_output=100_000)
    made = entry(None, **{"id": f"e{number}", "usage": usage, **given})
    charge = CATALOGUE.charge(made.service, made.model, made.usage, made.timestamp)
    return replace(made, charge=charge if isinstance(charge, Charge) else None)


def test_swapped_calls_are_repriced_and_others_stay() -> None:
    calls = [call(1), call(2, stage="mt"), call(3, model="gpt-4")]
    found = what_if(calls, [TO_MINI], CATALOGUE)
    assert found.before == sum(e.cost for e in calls)
    each = 210_000_000 - 3_500_000_000  # $0.21 instead of $3.50
    assert found.after - found.before == 2 * each
    assert [(o.stage, o.calls, o.difference) for o in found.outcomes] == [
        ("13_ai_summarization", 1, each),
        ("mt", 1, each),
    ]


def test_who_waits_for_an_answer_is_not_sent_to_a_batch() -> None:
    calls = [call(1, tags=("interactive",)), call(2, metadata={"interactive": True}), call(3)]
    [other] = what_if(calls, [TO_MINI._replace(tier="batch")], CATALOGUE).outcomes
    half = 105_000_000  # of the $0.21 that a call costs with the smaller model
    assert (other.calls, other.kept, other.after) == (3, 2, 2 * 2 * half + half)
    [same] = what_if(calls, [Swap(TO_MINI.model, TO_MINI.model, "batch")], CATALOGUE).outcomes
    assert (same.calls, same.kept, same.after) == (1, 2, 1_750_000_000)


@pytest.mark.parametrize(("tier", "kept"), [("batch", 1), ("flex", 1), ("standard", 0), (None, 0)])
def test_only_a_tier_that_answers_late_is_not_for_all(tier: str | None, kept: int) -> None:
    [found] = what_if([call(tags=("interactive",))], [TO_MINI._replace(tier=tier)], CATALOGUE).outcomes
    assert (found.calls, found.kept, found.after) == (1, kept, 210_000_000)


@pytest.mark.parametrize(
    ("model", "to", "partial", "usd"),
    [
        ("nova-3", "deepgram/nova-2", 0, "0.126"),  # 20 minutes at 0.0043 and 0.0020 for the speakers
        ("nova-3+diarize", "deepgram/nova-2", 0, "0.086"),
        ("nova-3", "deepgram/nova-2+diarize", 0, "0.126"),
        ("nova-3", "assemblyai/universal-2", 1, "0"),
        ("nova-3", "local/whisper", 0, "0"),
    ],
)
def test_a_model_stands_for_its_calls_with_features(model: str, to: str, partial: int, usd: str) -> None:
    made = call(service="deepgram", model="nova-3+diarize", usage=Usage(audio_seconds=1200))
    service, _, other = to.partition("/")
    [found] = what_if([made], [Swap(("deepgram", model), (service, other))], CATALOGUE).outcomes
    assert (found.calls, found.unpriced, found.partial, found.after) == (1, 0, partial, from_usd(usd))


def test_what_has_no_price_on_one_side_is_said() -> None:
    nowhere = Swap(("openai", "gpt-4o"), ("acme", "unheard-of"))
    [there] = what_if([call()], [nowhere], CATALOGUE).outcomes
    assert (there.calls, there.unpriced, there.difference) == (1, 1, 0)
    back = Swap(("openai", "gpt-9"), ("openai", "gpt-4o"))
    [here] = what_if([call(model="gpt-9")], [back], CATALOGUE).outcomes
    assert (here.calls, here.unpriced, here.before) == (1, 1, 0)


def test_a_unit_without_a_price_on_one_side_is_said() -> None:
    before = replace(call(), unpriced_units={"file_searches": 4})
    searched = replace(call(2), usage=Usage(tokens_input=1_000, file_searches=4))
    billed = replace(call(3), usage=Usage())  # nobody stated what it used
    for one in (before, searched, billed):
        swap = TO_MINI if one is not searched else Swap(("openai", "gpt-4o"), ("google", "gemini-2.5-flash"))
        [found] = what_if([one], [swap], CATALOGUE).outcomes
        assert (found.calls, found.unpriced, found.partial, found.compared, found.difference) == (
            1,
            0,
            1,
            0,
            0,
        )


def corrected(of: Entry, kind: Kind, usd: str, *, resolves: bool = False) -> Entry:
    price = Charge({"input": from_usd(usd)}, PricedBy("catalogue", "1", "openai/gpt-4o"))
    usage = of.usage if kind == "reversal" else Usage()
    return replace(
        of, id=f"{of.id}-c", kind=kind, corrects=of.id, charge=price, usage=usage, resolves_unpriced=resolves
    )


UNPRICED = replace(call(), charge=None)


@pytest.mark.parametrize(
    ("entries", "before", "after"),
    [
        ([call(), corrected(call(), "adjustment", "-1.50")], "2.00", "0.21"),
        ([UNPRICED, corrected(UNPRICED, "adjustment", "3.50", resolves=True)], "3.50", "0.21"),
        ([call(), corrected(call(), "reversal", "-3.50")], "0", "0"),
        ([UNPRICED, corrected(UNPRICED, "reversal", "0", resolves=True)], "0", "0"),
    ],
    ids=["priced wrongly", "priced later", "taken back", "taken back without a price"],
)
def test_a_call_counts_as_what_it_cost_in_the_end(entries: list[Entry], before: str, after: str) -> None:
    found = what_if(entries, [TO_MINI], CATALOGUE)
    assert (found.before, found.after) == (from_usd(before), from_usd(after))
    assert not any(outcome.unpriced for outcome in found.outcomes)


def test_the_first_swap_that_covers_a_call_counts() -> None:
    second = Swap(("openai", "gpt-4o"), ("openai", "gpt-4"))
    [found] = what_if([call()], [TO_MINI, second], CATALOGUE).outcomes
    assert found.swap == TO_MINI
