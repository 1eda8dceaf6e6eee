"""What if: the calls that are swapped, and only those, repriced exactly."""

from __future__ import annotations

from dataclasses import replace

from shared.costs.analysis.whatif import Swap, what_if
from shared.costs.model import Charge, Entry, Usage
from shared.costs.pricing.catalogue import Catalogue
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


def test_what_has_no_price_on_one_side_is_said() -> None:
    nowhere = Swap(("openai", "gpt-4o"), ("acme", "unheard-of"))
    [there] = what_if([call()], [nowhere], CATALOGUE).outcomes
    assert (there.calls, there.unpriced, there.difference) == (1, 1, 0)
    back = Swap(("openai", "gpt-9"), ("openai", "gpt-4o"))
    [here] = what_if([call(model="gpt-9")], [back], CATALOGUE).outcomes
    assert (here.calls, here.unpriced, here.before) == (1, 1, 0)


def test_a_reversed_call_cancels_itself() -> None:
    one = call()
    assert one.charge
    undone = replace(one, id="r", kind="reversal", corrects="e1", charge=Charge({}, one.charge.priced_by))
    [found] = what_if([one, undone], [TO_MINI], CATALOGUE).outcomes
    assert (found.calls, found.after) == (0, 0)


def test_the_first_swap_that_covers_a_call_counts() -> None:
    second = Swap(("openai", "gpt-4o"), ("openai", "gpt-4"))
    [found] = what_if([call()], [TO_MINI, second], CATALOGUE).outcomes
    assert found.swap == TO_MINI
