"""What the rows of other tools mean."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.exchange.foreign import NAMES, Defaults, ForeignCall, understand
from shared.costs.money import from_usd

ROW: dict[str, object] = {"model": "gpt-4o", "timestamp": "2025-03-01T12:00:00Z", "input_tokens": 1000}
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def understood(**values: object) -> ForeignCall:
    return understand(ROW | values, Defaults())


@pytest.mark.parametrize("theirs", NAMES["tokens_output"])
def test_every_name_of_a_field_is_known(theirs: str) -> None:
    found = understood(**{theirs.upper(): "1,200"})
    assert found.call.usage.tokens_output == 1_200
    assert found.unused == ()


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ({"cached_tokens": 800}, (1000, 800, 0)),
        ({"cache_read_input_tokens": 800, "cache_creation_input_tokens": 50}, (1850, 800, 50)),
        ({"input_tokens": 0, "cache_read_input_tokens": 7}, (7, 7, 0)),
    ],
)
def test_cached_tokens_end_up_within_the_input(
    values: dict[str, object], counts: tuple[int, int, int]
) -> None:
    usage = understood(**values).call.usage
    assert (usage.tokens_input, usage.tokens_cached, usage.tokens_cache_write) == counts


@pytest.mark.parametrize("theirs", ["Output Tokens", "output-tokens", " OUTPUT_TOKENS "])
def test_a_column_is_known_however_it_is_headed(theirs: str) -> None:
    row = {"Model": "gpt-4o", "Date": "2025-03-01", theirs: "1,000", "Cost (USD)": "$0.25"}
    found = understand(row, Defaults())
    assert found.call.usage.tokens_output == 1_000
    assert found.parts == {"stated": from_usd("0.25")}
    assert found.unused == ()


@pytest.mark.parametrize("theirs", ["Cost (€)", "Cost (¢)", "Cost (%)", "cost £"])
def test_a_column_of_another_unit_is_no_cost_in_usd(theirs: str) -> None:
    found = understood(**{theirs: "0.25"})
    assert found.parts is None
    assert len(found.unused) == 1


@pytest.mark.parametrize("stated", [{"cost": "0.25", "Cost ($)": ""}, {"Cost ($)": "-", "cost": "0.25"}])
def test_of_two_columns_called_alike_the_one_that_says_something_counts(stated: dict[str, object]) -> None:
    assert understood(**stated).parts == {"stated": from_usd("0.25")}


def test_a_total_alone_is_split_and_flagged() -> None:
    found = understood(input_tokens=None, total_tokens=1000)
    assert (found.call.usage.tokens_input, found.call.usage.tokens_output) == (800, 200)
    assert found.call.estimated
    beside = understood(total_tokens=1000)
    assert beside.call.usage.tokens_total == 1000
    assert not beside.call.estimated


@pytest.mark.parametrize(
    ("stated", "at", "assumed"),
    [
        ("2025-03-01T13:00:00+01:00", NOON, False),
        ("2025-03-01 13:00:00", NOON, True),
        ("2025-03-01", datetime(2025, 2, 28, 23, tzinfo=UTC), True),
        (1740830400, NOON, False),
        ("1740830400.0", NOON, False),
        (1740830400000, NOON, False),
        (Decimal("1740830400.5"), NOON.replace(microsecond=500_000), False),
    ],
)
def test_times_of_all_forms(stated: object, at: datetime, assumed: bool) -> None:
    found = understand(ROW | {"timestamp": stated}, Defaults(zone=ZoneInfo("Europe/Berlin")))
    assert (found.at, found.zone_assumed) == (at, assumed)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"cost": "$1,000.50"}, {"stated": 1_000_500_000_000}),
        ({"cost": 1e-9}, {"stated": 1}),
        ({"total_cost": Decimal("0.0000000015")}, {"stated": 2}),
        ({"input_cost": 0.1, "output_cost": 0.2}, {"input": 100_000_000, "output": 200_000_000}),
        (
            {"input_cost": 0.1, "output_cost": 0.2, "cost": 0.3},
            {"input": 100_000_000, "output": 200_000_000},
        ),
        ({"input_cost": 0.1, "output_cost": 0.2, "cost": 0.4}, {"stated": 400_000_000}),
        ({"cost": ""}, None),
        ({"cost": "null"}, None),
        ({"cost": 0}, {"stated": 0}),
        ({"cost": 1, "currency": "usd"}, {"stated": 10**9}),
    ],
)
def test_stated_costs(values: dict[str, object], parts: dict[str, int] | None) -> None:
    assert understood(**values).parts == parts


def test_other_fields_are_taken_over() -> None:
    found = understood(
        user=7,
        job="job-1",
        category="summary",
        audio_minutes="1.5",
        tags="a; b",
        provider="azure",
        id=12,
        mood=1,
    )
    call = found.call
    assert (found.user_id, found.job_id, found.row_id, call.service) == ("7", "job-1", "12", "azure")
    assert (call.operation, call.usage.audio_seconds, call.tags) == ("summary", 90.0, ("a", "b"))
    assert found.unused == ("mood",)


@pytest.mark.parametrize(
    ("stated", "tags"), [('["x", "y"]', ("x", "y")), (["y"], ("y",)), (None, ()), (3, ())]
)
def test_tags_of_all_forms(stated: object, tags: tuple[str, ...]) -> None:
    assert understood(tags=stated).call.tags == tags


def test_defaults_hold_where_a_row_says_nothing() -> None:
    defaults = Defaults(user_id="ana", job_id="job-9", service="acme")
    found = understand({"model": "m-1", "time": "2025-03-01", "cost": 1}, defaults)
    assert (found.user_id, found.job_id, found.call.service) == ("ana", "job-9", "acme")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"timestamp": None}, "has no timestamp"),
        ({"timestamp": "soon"}, "timestamp is not a time"),
        ({"timestamp": -5}, "timestamp is not a time"),
        ({"timestamp": True}, "timestamp is not a time"),
        ({"timestamp": 1e300}, "timestamp is not a time"),
        ({"timestamp": "3/10/2026"}, r"2026-10-03 \(--dates day-first\) or 2026-03-10 \(--dates month-first"),
        ({"timestamp": "10/25/2026 09:30"}, r"is 2026-10-25 \(--dates month-first\): say which"),
        ({"model": ""}, "has no model"),
        ({"model": "m-1"}, "give one with --service"),
        (
            {"input_tokens": -1, "output_tokens": 2},
            "input_tokens is below zero, -1, and output_tokens is not, 2",
        ),
        ({"input_tokens": -1, "output_tokens": 0, "cost": 0.5}, "and cost is not, 0.5"),
        ({"input_tokens": 1.5}, "tokens_input is not a count"),
        ({"input_tokens": "many"}, "tokens_input is not a number"),
        ({"input_tokens": True}, "tokens_input is not a number"),
        ({"input_tokens": float("inf")}, "tokens_input is not a number"),
        ({"cached_tokens": 1001}, "exceeds tokens_input"),
        ({"cost": 1, "input_cost": "-0.5"}, "input_cost is below zero, '-0.5', and cost is not, 1"),
        ({"cost": -1e9}, "cost is not the cost of one call"),
        ({"cost": 1e9}, "cost is not the cost of one call"),
        ({"currency": "EUR"}, "is in EUR"),
        ({"user": {"name": "x"}}, "user_id is not text"),
        ({"stage": "a\x1b[2Jb"}, "control characters"),
        ({"job": "a\nb"}, "control characters"),
    ],
)
def test_a_row_that_makes_no_sense_says_why(values: dict[str, object], complaint: str) -> None:
    with pytest.raises((ValueError, TypeError), match=complaint):
        understood(**values)


JUNK: Any = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(n for names in NAMES.values() for n in names)), JUNK))
def test_no_row_does_worse_than_a_plain_refusal(values: dict[str, object]) -> None:
    try:
        found = understand(ROW | values, Defaults())
    except (ValueError, TypeError):
        return
    assert found.call.model
    assert found.at.tzinfo is UTC
