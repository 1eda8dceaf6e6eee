from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.model import Usage
from shared.costs.money import from_usd
from shared.costs.tracking.call import CallDetails, UsageCounts, estimated_call, make_call, split_total
from shared.costs.tracking.context import user_name
from shared.costs.units import USAGE_FIELDS


def test_the_arguments_name_every_count_of_an_entry() -> None:
    assert set(UsageCounts.__annotations__) | {"tokens_input", "tokens_output"} == set(USAGE_FIELDS)
    assert set(UsageCounts.__annotations__) < set(CallDetails.__annotations__)


REFUSED: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    (
        "negative",
        {"tokens_input": -1},
        ValueError,
        "tokens_input must be between 0 and 1,000,000,000,000, not -1",
    ),
    ("boolean", {"tokens_output": True}, TypeError, "tokens_output must be a number, not True"),
    ("not a number", {"audio_seconds": float("nan")}, ValueError, "audio_seconds"),
    ("infinite", {"audio_seconds": float("inf")}, ValueError, "audio_seconds"),
    ("text as count", {"images": "3"}, TypeError, "images must be a number, not '3'"),
    ("half a token", {"tokens_input": 1.5}, ValueError, "tokens_input must be a whole number, not 1.5"),
    ("too large", {"tokens_input": 10**12 + 1}, ValueError, "1,000,000,000,000"),
    ("more cached than input", {"tokens_input": 5, "tokens_cached": 6}, ValueError, "tokens_cached=6"),
    ("empty service", {"service": ""}, ValueError, "service must not be empty"),
    ("blank model", {"model": "  "}, ValueError, "model must not be empty"),
    ("service of a wrong type", {"service": None}, TypeError, "service must be text, not None"),
    ("long model", {"model": "m" * 201}, ValueError, "at most 200 characters, not 201"),
    ("newline in a model", {"model": "gpt\n4"}, ValueError, "control characters"),
    ("escape in a stage", {"stage": "a\x1b[2J"}, ValueError, "control characters"),
    ("lone surrogate", {"service": "open\ud800ai"}, ValueError, "control characters"),
    ("line separator", {"workflow": "a\u2028b"}, ValueError, "control characters"),
    ("misspelt", {"token_cached": 3}, TypeError, "did you mean 'tokens_cached'"),
    ("unheard of", {"zzz": 3}, TypeError, "'zzz' is not an argument of log_usage; known are"),
    ("total and parts", {"tokens_input": 1, "tokens_total": 9}, ValueError, "not both"),
    ("two names of one thing", {"operation": "a", "category": "b"}, ValueError, "two names"),
    ("batch and another tier", {"batch": True, "service_tier": "flex"}, ValueError, "contradict"),
    ("batch of a wrong type", {"batch": 1}, TypeError, "batch must be True or False"),
    ("time after all months", {"timestamp": "9999-12-31T00:00:00Z"}, ValueError, "years 1000 to 9998"),
    ("time before all months", {"timestamp": "0999-12-31T00:00:00Z"}, ValueError, "years 1000 to 9998"),
    ("time without zone", {"timestamp": datetime(2026, 1, 1)}, ValueError, "no time zone"),  # noqa: DTZ001
    ("no time", {"timestamp": "yesterday"}, ValueError, "not ISO 8601"),
    ("time of a wrong type", {"timestamp": 5}, TypeError, "timestamp must be a datetime"),
    (
        "before the year 1",
        {"timestamp": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))},
        ValueError,
        "outside the years",
    ),
    ("attempt zero", {"attempt": 0}, ValueError, "attempt counts from 1"),
    ("attempt as text", {"attempt": "2"}, TypeError, "attempt must be a whole number"),
    ("metadata of a wrong type", {"metadata": [1]}, TypeError, "metadata must be a mapping"),
    ("tags as one text", {"tags": "a,b"}, TypeError, "tags must be a list"),
    ("comma in a tag", {"tags": ["a,b"]}, ValueError, "no comma"),
    ("negative stated cost", {"actual_cost_usd": -0.1}, ValueError, "actual_cost_usd"),
    ("stated cost that is none", {"actual_cost_usd": float("nan")}, ValueError, "finite"),
    ("stated cost of a wrong type", {"actual_cost_usd": True}, TypeError, "actual_cost_usd"),
    ("description of a wrong type", {"description": 5}, TypeError, "description must be text"),
    ("surrogate in a reservation", {"reservation": "0c\ud800"}, ValueError, "control characters"),
    ("reservation of a wrong type", {"reservation": 5}, TypeError, "reservation must be what"),
]


@pytest.mark.parametrize(
    ("arguments", "error", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        make_call(**{"service": "openai", "model": "gpt-4o", **arguments})
    assert said in str(caught.value)


def test_a_call_keeps_what_it_was_given() -> None:
    call = make_call(
        "openai",
        "gpt-4o",
        10,
        5,
        "13",
        {"a": 1},
        tokens_cached=4,
        category="summary",
        tags=["b", "a", "b"],
        timestamp="2026-11-22T10:00:00+01:00",
        actual_cost_usd="0.1",
        description="line\none",
        batch=True,
        attempt=2,
    )
    assert call.usage == Usage(tokens_input=10, tokens_output=5, tokens_cached=4)
    assert (call.stage, call.operation, call.tags) == ("13", "summary", ("a", "b"))
    assert call.at == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert call.actual_cost == from_usd("0.1")
    assert (call.description, call.service_tier, call.attempt) == ("line one", "batch", 2)
    assert not call.estimated


def test_other_scripts_are_names_too() -> None:
    assert make_call("日本", "模型-é").service == "日本"


@given(st.integers(0, 10**12))
def test_a_total_is_split_without_losing_a_token(total: int) -> None:
    tokens_input, tokens_output = split_total(total)
    assert tokens_input + tokens_output == total
    assert abs(tokens_input * 5 - total * 4) <= 2
    call = make_call("openai", "gpt-4o", tokens_total=total)
    assert call.usage.tokens_total == total
    assert call.estimated


def test_an_estimate_of_all_tokens_is_split_like_a_total() -> None:
    assert estimated_call("openai", "gpt-4o", 1000).usage == Usage(tokens_input=800, tokens_output=200)
    assert estimated_call("openai", "gpt-4o", tokens_input=3).usage == Usage(tokens_input=3)


@pytest.mark.parametrize(("given", "name"), [(1, "1"), ("1", "1"), ("rpatel", "rpatel")])
def test_a_user_is_a_number_or_a_name(given: int | str, name: str) -> None:
    assert user_name(given) == name


@pytest.mark.parametrize("refused", [True, 1.5, None, "", "a\nb"])
def test_other_users_are_refused(refused: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        user_name(refused)
