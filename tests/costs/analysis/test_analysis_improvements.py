"""What else could be better: work paid for in vain, what results cost, and all of it in one reading."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count

import pytest

from shared.costs.analysis.calls import NetCall, net_calls, net_jobs
from shared.costs.analysis.optimise import find_improvements, find_savings
from shared.costs.analysis.outcomes import WasteFinder, Worth, WorthFinder
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import Nanos, from_usd
from shared.costs.pricing.catalogue import Catalogue
from tests.support.history import PRICED, busy_month, entry

CATALOGUE = Catalogue.load()
_numbers = count()


def call(cost: str | None = "1", outcome: object = None, quality: object = None, **given: object) -> Entry:
    told = {"outcome": outcome, "quality": quality}
    metadata = {name: value for name, value in told.items() if value is not None}
    return entry(cost, **{"id": f"c{next(_numbers)}", "metadata": metadata, **given})


def correction(of: Entry, cost: str, kind: str = "adjustment") -> Entry:
    return entry(cost, id=f"x{next(_numbers)}", kind=kind, corrects=of.id, why="it was wrong", usage=Usage())


def wasted(*entries: Entry) -> list[tuple[str, int, Nanos]]:
    finder = WasteFinder()
    for job in net_jobs(entries):
        finder.add(job)
    return [(w.reason, w.calls, w.cost) for w in finder.result()]


ONE = from_usd(1)


def test_corrections_count_with_their_call() -> None:
    first, second, third = call(), call(None), call("2")
    found = net_calls(
        [
            first,
            second,
            third,
            correction(first, "0.5"),
            correction(second, "3"),
            correction(third, "-2", "reversal"),
        ]
    )
    assert [net.cost for net in found] == [from_usd("1.5"), from_usd(3)]


def test_a_correction_without_its_call_stands_for_itself() -> None:
    alone = correction(call(), "0.5")
    assert list(net_calls([alone])) == [NetCall(alone, from_usd("0.5"))]
    assert wasted(alone) == []
    assert find_savings([alone], CATALOGUE).spent == from_usd("0.5")


def test_jobs_come_one_after_the_other() -> None:
    calls = [call(job_id="a"), call(job_id="a"), call(job_id="b")]
    assert [[net.entry for net in job] for job in net_jobs(calls)] == [calls[:2], calls[2:]]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([call()], []),
        ([call(attempt=2)], [("done again", 1, ONE)]),
        ([call(outcome="rejected")], [("not used", 1, ONE)]),
        ([call(outcome=" Failed ")], [("not used", 1, ONE)]),
        ([call(outcome="accepted"), call(outcome=7)], []),
        # One failure, one repair: it is counted once.
        ([call(outcome="failed"), call(attempt=2, outcome="accepted")], [("done again", 1, ONE)]),
        # Another stage's second attempt says nothing about this one.
        (
            [call(outcome="failed"), call("2", stage="asr", attempt=2)],
            [("done again", 1, 2 * ONE), ("not used", 1, ONE)],
        ),
        ([call(None, outcome="failed"), call("0", attempt=2)], []),
    ],
)
def test_what_was_paid_in_vain(calls: list[Entry], expected: list[tuple[str, int, Nanos]]) -> None:
    assert wasted(*calls) == expected


def worths(*entries: Entry) -> list[Worth]:
    finder = WorthFinder()
    for job in net_jobs(entries):
        finder.add(job)
    return finder.result()


def test_an_accepted_result_pays_for_the_rejected_ones() -> None:
    [found] = worths(call("1", "accepted"), call("2", "accepted"), call("3", "rejected"), call("90"))
    assert found.outcomes == Counter(accepted=2, rejected=1)
    assert (found.with_outcome, found.cost_of("accepted"), found.cost_of("rejected")) == (3, 3 * ONE, 6 * ONE)
    assert (found.quality, found.cost_per_point) == (None, None)


def test_a_point_of_quality() -> None:
    [found] = worths(
        call("1", quality=0.5), call("2", quality=1), call("5", quality=True), call(quality="good")
    )
    assert (found.rated, found.quality, found.cost_per_point) == (2, 0.75, 2 * ONE)


@pytest.mark.parametrize("quality", [-1, float("inf"), float("nan")])
def test_what_is_no_quality(quality: float) -> None:
    assert worths(call(quality=quality)) == []


def test_quality_without_a_point_has_no_price() -> None:
    [found] = worths(call(quality=0))
    assert (found.quality, found.cost_per_point) == (0.0, None)


def test_stages_and_models_are_told_apart_and_unpriced_calls_left_out() -> None:
    found = worths(
        call("1", "ok", stage="b"),
        call("2", "ok", stage="a"),
        call("3", "ok", stage="a", model="y"),
        call(None, "ok"),
    )
    assert [(w.slot.stage, w.slot.model) for w in found] == [("a", "y"), ("a", "gpt-4o"), ("b", "gpt-4o")]


def test_one_reading_finds_what_each_finds_alone() -> None:
    month = busy_month()
    found = find_improvements(iter(month), CATALOGUE)
    assert found.savings == find_savings(month, CATALOGUE)
    assert {w.reason for w in found.waste} == {"done again"}
    assert sum(w.cost for w in found.waste) == found.savings.retried
    assert found.worths == ()


# --- what a change touches


def priced(tier: str | None = None, **given: object) -> Entry:
    usage = Usage(tokens_input=10_000, tokens_output=50)
    made = entry(None, id=f"p{next(_numbers)}", usage=usage, service_tier=tier, **given)
    charge = CATALOGUE.charge(made.service, made.model, usage, made.timestamp, tier)
    assert isinstance(charge, Charge)
    return replace(made, charge=charge)


@pytest.mark.parametrize("waited_for", [{"tags": ("interactive",)}, {"metadata": {"interactive": True}}])
def test_calls_that_somebody_waits_for_are_not_put_into_batches(waited_for: dict[str, object]) -> None:
    kinds = {o.change.kind: o for o in find_savings([priced(None, **waited_for)], CATALOGUE).options}
    assert "batch" not in kinds
    assert kinds["model and batch"].saving == kinds["model"].saving
    mixed = {
        o.change.kind: o for o in find_savings([priced(), priced(None, **waited_for)], CATALOGUE).options
    }
    assert (mixed["batch"].calls, mixed["model"].calls) == (1, 2)


def test_leaving_out_the_priority_tier_does_not_touch_batches() -> None:
    options = find_savings([priced("priority"), priced("batch")], CATALOGUE).options
    [standard] = [option for option in options if option.change.kind == "standard"]
    assert standard.calls == 1
    assert standard.saving == priced("priority").cost - priced().cost


def test_an_adjustment_counts_only_where_its_call_does() -> None:
    unknown = replace(priced(), usage=Usage(images=1), charge=Charge({"stated": Nanos(10)}, PRICED))
    found = find_savings([priced(), unknown, correction(unknown, "0.5")], CATALOGUE)
    [batch] = [option for option in found.options if option.change.kind == "batch"]
    assert (batch.calls, batch.before) == (1, priced().cost)
