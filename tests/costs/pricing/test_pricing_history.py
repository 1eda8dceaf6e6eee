"""Charges are recomputed with the prices that made them, and corrected by entries that add up."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.ledger.counted import id_for_request
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos, from_usd
from shared.costs.pricing import sources
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.history import PriceHistory, recompute, with_corrections
from shared.costs.pricing.repricing import adjustment
from shared.costs.storage import CostStorage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OWN = Catalogue.load()

CALLS = [
    ("openai", "gpt-4o", None),
    ("openai", "gpt-4o", "batch"),
    ("openai", "gpt-4o", "priority"),
    ("openai", "gpt-4.1", "batch"),
    ("azure_openai", "gpt-35-turbo", None),
    ("anthropic", "claude-opus-4-6", None),
    ("anthropic", "haiku", "batch"),
    ("gemini", "models/gemini-1.5-pro", None),
    ("deepseek", "deepseek-v4-pro", None),
    ("local", "pocketsphinx", None),
    ("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", None),
]


def entry(
    catalogue: Catalogue, call: tuple[str, str, str | None], at: datetime, usage: Usage, number: int = 1
) -> Entry:
    service, model, tier = call
    found = catalogue.charge(service, model, usage, at, tier)
    return Entry(
        id=f"e{number}",
        timestamp=at,
        job_id="job-1",
        user_id="1",
        service=service,
        model=model,
        service_tier=tier,
        usage=usage,
        charge=found if isinstance(found, Charge) else None,
        stage="13_ai_summarization",
        tags=("a",),
        period_at=at - timedelta(hours=1),
    )


def adjust(
    entry: Entry, made: Sequence[Entry], catalogue: Catalogue, *, wrong_too: bool = False
) -> Entry | None:
    return adjustment(entry, made, catalogue, NOW, id_for_request, wrong_too=wrong_too)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CALLS),
    st.integers(0, 900),
    st.integers(0, 300_000),
    st.integers(0, 9_999),
    st.integers(0, 500),
)
def test_every_charge_can_be_recomputed(
    call: tuple[str, str, str | None], days: int, tokens: int, output: int, cached: int
) -> None:
    usage = Usage(tokens_input=tokens + cached, tokens_cached=cached, tokens_output=output)
    made = entry(OWN, call, NOW - timedelta(days=days, minutes=days * 7), usage)
    (verdict,) = recompute(made, PriceHistory(OWN))
    assert verdict.outcome == ("agrees" if made.charge else "unpriced")
    if made.charge and made.charge.total:
        part, amount = next((p, a) for p, a in made.charge.parts.items() if a)
        wrong = made.charge._replace(parts={**made.charge.parts, part: Nanos(amount + 1)})
        (verdict,) = recompute(replace(made, charge=wrong), PriceHistory(OWN))
        assert verdict.outcome == "differs"
        assert verdict.entry_id == made.id
        assert made.charge.priced_by.version in verdict.text


DISCOUNT = "services: {openai: {discount: {percent: 12.5, since: 2026-01-01, source: contract}}}\n"


def test_charges_of_earlier_editions_are_recomputed_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, prices = CostStorage(tmp_path / "costs"), tmp_path / "prices.yaml"
    prices.write_text(DISCOUNT)
    old = Catalogue.load(storage, prices)
    usage = Usage(3_000, 1_000)
    made = [entry(old, call, NOW, usage, number) for number, call in enumerate(CALLS)]
    assert any("+profile:" in e.charge.priced_by.version for e in made if e.charge)

    changed = tmp_path / "data"
    shutil.copytree(str(sources.PRICES), changed)
    text = (
        (changed / "openai.yaml").read_text().replace("{input: 2.50, cached: 1.25, output: 10}", "{input: 9}")
    )
    (changed / "openai.yaml").write_text(text)
    monkeypatch.setattr(sources, "PRICES", changed)
    prices.write_text(DISCOUNT.replace("12.5", "50"))
    new = Catalogue.load(storage, prices)
    assert new.own.version != old.own.version
    assert new.charge("openai", "gpt-4o", Usage(3_000), NOW) != old.charge(
        "openai", "gpt-4o", Usage(3_000), NOW
    )
    for e in made:
        assert [v.outcome for v in recompute(e, PriceHistory(new))] == ["agrees"]

    for path in storage.prices_memory.glob("profile-*"):
        path.unlink()
    forgotten = Catalogue.load(storage, prices)
    verdicts = [recompute(e, PriceHistory(forgotten))[0] for e in made]
    for e, verdict in zip(made, verdicts, strict=True):
        assert e.charge is not None
        expected = "unknown" if "+profile:" in e.charge.priced_by.version else "agrees"
        assert verdict.outcome == expected
        assert expected == "agrees" or "not remembered" in verdict.text


@pytest.mark.parametrize(
    "by",
    [
        PricedBy("genai-prices", "0.0.1", "openai/gpt-4o"),
        PricedBy("catalogue", "2020-01-01.00000000", "openai/gpt-4o"),
        PricedBy("profile", "00000000", "openai/gpt-4o"),
        PricedBy("elsewhere", "1", "openai/gpt-4o"),
        PricedBy("catalogue", OWN.own.version, "openai/nothing"),
        PricedBy("genai-prices", OWN.genai.version if OWN.genai else "", "openai/nothing"),
    ],
)
def test_prices_that_are_not_at_hand_are_unknown_and_not_wrong(by: PricedBy) -> None:
    made = replace(entry(OWN, CALLS[0], NOW, Usage(5, 5)), charge=Charge({"input": Nanos(5)}, by))
    assert recompute(made, PriceHistory(OWN))[0].outcome == "unknown"


def test_a_usage_that_its_price_never_covered_is_unknown() -> None:
    by = PricedBy("catalogue", OWN.own.version, "openai/whisper-1")
    made = replace(entry(OWN, CALLS[0], NOW, Usage(5, 5)), charge=Charge({"input": Nanos(5)}, by))
    assert recompute(made, PriceHistory(OWN))[0].outcome == "unknown"


def test_what_the_provider_stated_is_not_recomputed() -> None:
    by = PricedBy("stated", "", "x/y")
    made = replace(entry(OWN, CALLS[0], NOW, Usage(5, 5)), charge=Charge({"stated": Nanos(7)}, by))
    assert recompute(made, PriceHistory(OWN))[0].outcome == "agrees"
    assert adjust(made, [], OWN, wrong_too=True) is None


# --- adjustments


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CALLS),
    st.integers(0, 600),
    st.integers(0, 300_000),
    st.none()
    | st.dictionaries(
        st.sampled_from(["input", "output", "cached"]), st.integers(-(10**9), 10**9).map(Nanos)
    ),
)
def test_an_entry_and_its_adjustment_add_up_to_the_right_price(
    call: tuple[str, str, str | None], days: int, tokens: int, wrong: dict[str, Nanos] | None
) -> None:
    made = entry(OWN, call, NOW - timedelta(days=days), Usage(tokens, 1_000))
    right = made.charge
    by = PricedBy("catalogue", "2020-01-01.00000000", "x/y")
    made = replace(made, charge=None if wrong is None else Charge(wrong, by))
    found = adjust(made, [], OWN, wrong_too=True)
    if right is None:
        assert found is None
        return
    assert made.cost + (found.cost if found else 0) == right.total
    if found is not None:
        assert (found.kind, found.corrects, found.usage) == ("adjustment", made.id, Usage())
        assert found.resolves_unpriced is (wrong is None)
        assert (found.counted_at, found.stage, found.tags) == (made.counted_at, made.stage, made.tags)
        assert found.why
        assert "priced by" in found.why
        # The same again gives the same id; with the first one known, nothing is left to correct.
        assert adjust(made, [], OWN, wrong_too=True) == found
        assert adjust(made, [found], OWN, wrong_too=True) is None
        outcomes = [verdict.outcome for verdict in recompute(made, PriceHistory(OWN), [found])]
        assert outcomes == ["unpriced" if wrong is None else "unknown", "agrees"]


def test_a_priced_call_is_left_alone_unless_asked() -> None:
    by = PricedBy("catalogue", "2020-01-01.00000000", "x/y")
    made = replace(entry(OWN, CALLS[0], NOW, Usage(1_000)), charge=Charge({"input": Nanos(1)}, by))
    assert adjust(made, [], OWN) is None
    found = adjust(made, [], OWN, wrong_too=True)
    assert found is not None
    assert found.charge is not None
    assert found.charge.parts == {"input": from_usd("0.0025") - 1}
    assert "it was priced by catalogue 2020-01-01.00000000" in (found.why or "")


def test_a_free_model_resolves_an_unpriced_call_with_nothing_to_pay() -> None:
    made = replace(entry(OWN, ("local", "x", None), NOW, Usage(5)), charge=None)
    found = adjust(made, [], OWN)
    assert found is not None
    assert found.resolves_unpriced
    assert found.cost == 0


def test_what_was_undone_or_has_no_price_is_not_adjusted() -> None:
    made = replace(entry(OWN, CALLS[0], NOW, Usage(5)), charge=None)
    undone = Entry(
        id="r", kind="reversal", timestamp=NOW, job_id="job-1", user_id="1", service="openai", model="gpt-4o"
    )
    assert adjust(made, [undone], OWN) is None
    assert adjust(undone, [], OWN) is None
    assert adjust(replace(made, model="gpt-9"), [], OWN) is None


def test_adjustments_use_the_price_of_the_calls_own_date() -> None:
    made = replace(entry(OWN, CALLS[0], datetime(2024, 6, 1, tzinfo=UTC), Usage(1_000)), charge=None)
    found = adjust(made, [], OWN)
    assert found is not None
    assert found.cost == from_usd("0.005")


def test_a_wrong_adjustment_is_found() -> None:
    made = replace(entry(OWN, CALLS[0], NOW, Usage(1_000)), charge=None)
    found = adjust(made, [], OWN)
    assert found is not None
    assert found.charge is not None
    wrong = replace(found, charge=found.charge._replace(parts={"input": Nanos(1)}))
    verdicts = recompute(made, PriceHistory(OWN), [wrong])
    assert [verdict.outcome for verdict in verdicts] == ["unpriced", "differs"]


def test_calls_come_with_their_corrections_and_orphans_alone() -> None:
    calls = [replace(entry(OWN, CALLS[0], NOW, Usage(1_000), number), charge=None) for number in range(3)]
    first = adjust(calls[1], [], OWN)
    assert first is not None
    second = replace(first, id="second")
    orphan = replace(first, id="orphan", corrects="nowhere")
    ledger = [calls[0], calls[1], first, calls[2], second, orphan]
    assert list(with_corrections(lambda: iter(ledger))) == [
        (calls[0], []),
        (calls[1], [first, second]),
        (calls[2], []),
        (orphan, []),
    ]
    (verdict,) = recompute(orphan, PriceHistory(OWN))
    assert verdict.outcome == "unknown"
    assert "nowhere" in verdict.text


def test_a_whole_ledger_repriced_adds_up_and_nothing_is_left_to_do() -> None:
    by = PricedBy("catalogue", "2020-01-01.00000000", "x/y")
    calls = []
    for number in range(300):
        made = entry(
            OWN, CALLS[number % len(CALLS)], NOW - timedelta(days=number), Usage(number * 7, number), number
        )
        wrong = None if number % 3 else Charge({"input": Nanos(number)}, by)
        calls.append(replace(made, charge=made.charge if number % 5 == 0 else wrong))
    expected = 0
    for call in calls:
        right = OWN.charge(call.service, call.model, call.usage, call.timestamp, call.service_tier)
        expected += right.total if isinstance(right, Charge) else call.cost
    ledger = list(calls)
    for call, made_before in with_corrections(lambda: iter(list(ledger))):
        if (found := adjust(call, made_before, OWN, wrong_too=True)) is not None:
            ledger.append(found)
    assert ledger[: len(calls)] == calls
    assert sum(e.cost for e in ledger) == expected
    again = [
        adjust(call, made_before, OWN, wrong_too=True)
        for call, made_before in with_corrections(lambda: ledger)
    ]
    assert set(again) == {None}
    assert len({e.id for e in ledger}) == len(ledger)
