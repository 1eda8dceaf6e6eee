"""Sums of sums: nothing gets lost between the groups of an index and what views show."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.analysis.job import per_audio_minute, receipt
from shared.costs.analysis.sums import (
    SUMMARY_DIMENSIONS,
    Step,
    by_day,
    divide_period,
    mean,
    share,
    split,
    split_by,
    summarise,
    total,
)
from shared.costs.model import Entry
from shared.costs.money import Nanos, from_usd
from shared.costs.periods import between, parse_month
from shared.costs.rollup import Totals
from tests.support.history import START, busy_month, entry, fold, spend

ZONES = ("UTC", "Asia/Kathmandu", "America/Havana", "America/Asuncion", "Pacific/Auckland")
ENTRIES = st.lists(
    st.builds(
        lambda minutes, cost, service, stage, kind: entry(
            cost,
            id=f"{minutes}{cost}",
            timestamp=START + timedelta(minutes=minutes),
            service=service,
            stage=stage,
            kind=kind,
        ),
        st.integers(-40_000, 60_000),
        st.sampled_from([None, "0", "0.000000001", "1.5", "-0.25"]),
        st.sampled_from(["openai", "google"]),
        st.sampled_from([None, "asr", "mt"]),
        st.sampled_from(["usage", "adjustment", "reversal"]),
    ),
    max_size=20,
)


@given(ENTRIES, st.integers(0, 4))
def test_splitting_loses_nothing(entries: list[Entry], position: int) -> None:
    groups = fold(entries, SUMMARY_DIMENSIONS)
    parts = split(groups, position)
    assert sum(p.cost for p in parts.values()) == total(groups).cost == sum(e.cost for e in entries)
    assert sum(p.calls for p in parts.values()) == total(groups).calls
    costs = [p.cost for p in parts.values()]
    assert costs == sorted(costs, reverse=True)


@given(ENTRIES, st.sampled_from(ZONES), st.sampled_from(["daily", "weekly", "monthly"]))
def test_each_entry_is_in_one_stretch(entries: list[Entry], zone: str, step: Step) -> None:
    period = between(date(2026, 10, 3), date(2026, 12, 17), ZoneInfo(zone))
    parts = divide_period(period, step)
    assert parts[0].start == period.start
    assert parts[-1].end == period.end
    assert all(a.end == b.start for a, b in pairwise(parts))
    for entry_ in entries:
        assert sum(entry_.timestamp in part for part in parts) == (entry_.timestamp in period)


def test_days_follow_the_zone() -> None:
    late = entry("1", timestamp=datetime(2026, 11, 1, 20, tzinfo=UTC))  # 2 November in Kolkata
    november = parse_month("2026-11", ZoneInfo("Asia/Kolkata"))
    assert by_day(spend([late]), november)[:3] == (0, from_usd(1), 0)


def test_names_may_be_made_from_keys() -> None:
    groups = fold([entry("1"), entry("2", model="gpt-4")], ("service", "model"))
    assert list(split_by(groups, lambda key: f"{key[0]}/{key[1]}")) == ["openai/gpt-4", "openai/gpt-4o"]


def test_the_summary_has_exactly_the_contracts_keys() -> None:
    entries = [e for e in busy_month() if e.user_id == "rpatel"]
    summary = summarise("2026-11", "rpatel", fold(entries, SUMMARY_DIMENSIONS), jobs=7)
    found = summary.as_dict()
    assert list(found) == [
        "month",
        "user_id",
        "total_cost",
        "total_tokens",
        "total_calls",
        "unique_jobs",
        "avg_cost_per_job",
        "by_service",
        "by_model",
        "by_stage",
        "by_operation",
        "unpriced_calls",
        "partial_calls",
    ]
    assert found["total_cost"] == sum(e.cost for e in entries) / 1e9
    assert found["unique_jobs"] == 7
    assert found["unpriced_calls"] == 1
    assert "openai/whisper-1" in summary.by_model
    assert list(summary.by_user) == ["rpatel"]


def test_a_summary_of_nothing() -> None:
    found = summarise("2026-11", None, [], jobs=0).as_dict()
    assert found["avg_cost_per_job"] == 0
    assert found["by_service"] == {}


@pytest.mark.parametrize(("part", "whole", "expected"), [(1, 4, 25.0), (0, 0, 0.0), (3, 3, 100.0)])
def test_shares(part: int, whole: int, expected: float) -> None:
    assert share(Totals(cost=Nanos(part)), Totals(cost=Nanos(whole))) == expected


def test_means_round_half_to_even() -> None:
    assert [mean(Nanos(5), 2), mean(Nanos(7), 2), mean(Nanos(7), 0)] == [2, 4, 0]


def test_a_receipt_adds_up() -> None:
    entries = [
        entry("0.31", id="a", stage="asr", timestamp=START + timedelta(hours=1)),
        entry("0.02", id="b", stage=None, attempt=3, user_id="2"),
        entry(None, id="c", model="gpt-9"),
        entry("0.05", id="d", kind="adjustment", corrects="c", resolves_unpriced=True, model="gpt-9"),
        entry("-0.31", id="e", kind="reversal", corrects="a", stage="asr"),
    ]
    found = receipt("job-1", entries)
    assert found.totals.cost == from_usd("0.07")
    assert found.totals.calls == 2
    assert found.totals.unpriced_calls == 0
    assert found.unpriced == {}
    assert found.corrections == 2
    assert sorted(found.users) == ["1", "2"]
    assert found.by_stage["unassigned"].attempts == 3
    assert found.by_stage["asr"].totals.cost == 0
    assert sum(line.totals.cost for line in found.by_model.values()) == found.totals.cost
    assert found.first == START
    assert found.last == START + timedelta(hours=1)


def test_a_receipt_of_nothing() -> None:
    found = receipt("job-1", [])
    assert (found.first, found.last, found.users) == (None, None, ())


def test_cost_per_minute() -> None:
    assert per_audio_minute(Totals(cost=Nanos(9), audio_microseconds=0)) is None
    assert per_audio_minute(Totals(cost=Nanos(9_000), audio_microseconds=90_000_000)) == 6_000
