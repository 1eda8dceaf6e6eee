"""Checks for scripts: what is asked, what is answered, and with which exit code."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from shared.costs.analysis.pace import Pace
from shared.costs.money import Nanos
from shared.costs.reports.check import (
    Check,
    JobCost,
    Verdict,
    exit_code,
    forecast_check,
    job_check,
    jobs_of,
    limit_check,
    minute_check,
    regression_check,
)
from shared.costs.rollup import Group, Totals


def job(name: str, cost: int, minutes: int = 0, last: int = 0) -> JobCost:
    totals = Totals(calls=1, cost=Nanos(cost), audio_microseconds=minutes * 60_000_000)
    return JobCost(name, Path(f"/out/{name}"), totals, last)


@pytest.mark.parametrize(
    ("verdicts", "strict", "code"),
    [
        ([], False, 0),
        (["ok"], True, 0),
        (["ok", "warning"], False, 0),
        (["ok", "warning"], True, 1),
        (["over", "unknown"], False, 1),
        (["unknown", "ok"], False, 3),
        (["unknown", "warning"], True, 1),
    ],
)
def test_exit_codes(verdicts: list[Verdict], strict: bool, code: int) -> None:
    assert exit_code([Check("x", None, None, verdict) for verdict in verdicts], strict=strict) == code


@pytest.mark.parametrize(("level", "verdict"), [("ok", "ok"), ("warning", "warning"), ("critical", "over")])
def test_limits(level: str, verdict: str) -> None:
    assert limit_check("month", Nanos(40), Nanos(50), level) == Check("month", 40, 50, verdict, "80.0% used")  # type: ignore[arg-type]  # a table


def test_a_trace_of_a_limit_is_not_nothing() -> None:
    assert limit_check("month", Nanos(1), Nanos(10_000), "ok").note == "less than 0.1% used"
    assert limit_check("month", Nanos(0), Nanos(10_000), "ok").note == "0.0% used"


def made(projected: int, high: int | None) -> Pace:
    return Pace(
        date(2026, 11, 22),
        Nanos(20),
        22,
        8,
        Nanos(1),
        Nanos(projected),
        None if high is None else Nanos(20),
        None if high is None else Nanos(high),
    )


@pytest.mark.parametrize(
    ("projected", "high", "verdict"),
    [(60, 70, "over"), (45, 55, "warning"), (40, 45, "ok"), (40, None, "ok"), (60, None, "unknown")],
)
def test_forecasts(projected: int, high: int | None, verdict: str) -> None:
    assert forecast_check("forecast", made(projected, high), Nanos(50)).verdict == verdict


def test_jobs() -> None:
    jobs = [job("a", 30), job("b", 50), job("c", 60)]
    assert job_check(jobs, Nanos(60))[1:5] == (60, 60, "ok", "c")
    assert job_check(jobs, Nanos(40))[3:5] == ("over", "c and 1 more")
    assert job_check([], Nanos(40))[3:5] == ("ok", "no jobs")


def test_minutes() -> None:
    jobs = [job("a", 30, minutes=3), job("b", 50, minutes=1), job("c", 60)]
    assert minute_check(jobs, Nanos(20))[1:5] == (50, 20, "over", "b")
    assert minute_check(jobs[2:], Nanos(20))[3:5] == ("ok", "no audio")


@pytest.mark.parametrize(
    ("costs", "minutes", "verdict", "allowed"),
    [
        ([100, 100, 100, 119], 0, "ok", 120),
        ([100, 100, 100, 121], 0, "over", 120),
        ([100, 900, 100, 100, 110], 0, "ok", 120),  # one odd job before does not matter
        ([100, 100, 100, 300], 3, "ok", 120),  # three times as long
        ([100, 100, 121], 0, "unknown", None),
        ([100], 0, "unknown", None),
        ([], 0, "unknown", None),
    ],
)
def test_regressions(costs: list[int], minutes: int, verdict: str, allowed: int | None) -> None:
    jobs = [
        job(f"j{n}", cost, (minutes if n == len(costs) - 1 else 1) if minutes else 0)
        for n, cost in enumerate(costs)
    ]
    found = regression_check(jobs, last=10, more_percent=20)
    assert (found.verdict, found.allowed) == (verdict, allowed)


def test_without_a_job_there_is_nothing_to_compare() -> None:
    assert regression_check([], last=10, more_percent=20)[1:5] == (None, None, "unknown", "no job yet")


def test_only_the_last_jobs_are_compared_with() -> None:
    jobs = [job(f"j{n}", 1_000) for n in range(20)] + [job(f"k{n}", 10) for n in range(4)] + [job("new", 15)]
    assert regression_check(jobs, last=4, more_percent=20).verdict == "over"


def test_jobs_of_groups_are_in_the_order_in_which_they_ended() -> None:
    groups = [
        Group(("b", "/out/b", 900), Totals(calls=1, cost=Nanos(5))),
        Group(("b", "/out/b", 2_700), Totals(calls=1, cost=Nanos(5))),
        Group(("a", "/out/a", 1_800), Totals(calls=1, cost=Nanos(1))),
    ]
    assert [(j.job_id, j.totals.cost, j.last) for j in jobs_of(groups)] == [("a", 1, 1_800), ("b", 10, 2_700)]
