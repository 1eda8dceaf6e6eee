"""Anomalies: planted ones are found, and nothing else is."""

from __future__ import annotations

import pytest

from shared.costs.analysis.sums import median
from shared.costs.money import Nanos
from shared.costs.reports.anomalies import (
    FEWEST,
    Observation,
    day_samples,
    find_anomalies,
    job_samples,
    per_unit,
)
from shared.costs.rollup import Group, Totals


def samples(values: list[int], unit: str = "a job") -> list[Observation]:
    return [Observation("asr", unit, f"job-{n}", Nanos(v), Nanos(v)) for n, v in enumerate(values)]


def test_cheaper_ones_stand_out_too() -> None:
    usual = [10**9 + n * 10**6 for n in range(20)]
    [anomaly] = find_anomalies(samples([*usual, 10**8], unit="1,000 tokens"))
    assert anomaly.excess < 0
    assert anomaly.score < 0
    assert find_anomalies(samples([*usual, 10**8])) == []  # a small job is no news


def test_values_that_are_all_alike_but_one() -> None:
    [anomaly] = find_anomalies(samples([10**8] * 20 + [5 * 10**8]))
    assert (anomaly.sample.where, anomaly.usual, anomaly.times, anomaly.excess) == (
        "job-20",
        10**8,
        5.0,
        4 * 10**8,
    )


@pytest.mark.parametrize(
    "values",
    [
        [10**8] * 20,
        [10**8] * (FEWEST - 2) + [9 * 10**8],  # too few to say what is usual
        [10**8] * 20 + [12 * 10**7],  # a fifth more is not worth a look
        [10**3] * 20 + [10**5],  # less than a cent
        [],
    ],
)
def test_what_does_not_stand_out(values: list[int]) -> None:
    assert find_anomalies(samples(values)) == []


def test_groups_are_compared_within_themselves() -> None:
    cheap = [s._replace(group="mt") for s in samples([10**8 + n for n in range(10)])]
    dear = samples([10**10 + n for n in range(10)])
    assert find_anomalies([*cheap, *dear]) == []


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        (Totals(calls=1, cost=Nanos(60), audio_microseconds=60_000_000), ("a minute of audio", 60)),
        (Totals(calls=1, cost=Nanos(60), tokens_input=500, tokens_output=100), ("1,000 tokens", 100)),
        (Totals(calls=3, cost=Nanos(60)), ("a call", 20)),
        (Totals(calls=3), None),
        (Totals(cost=Nanos(5)), None),
    ],
)
def test_units(totals: Totals, expected: tuple[str, int] | None) -> None:
    assert per_unit(totals) == expected


def test_samples_of_jobs_and_days() -> None:
    totals = Totals(calls=1, cost=Nanos(10**9), tokens_input=1_000)
    groups = [Group((f"job-{n}", None, "openai", "gpt-4o", None), totals) for n in range(2)]
    found = job_samples([*groups, Group(("job-0", "asr", "local", "x", "batch"), Totals(calls=1))])
    assert [(s.group, s.unit, s.where) for s in found] == [
        ("unassigned, openai/gpt-4o", "1,000 tokens", "job-0"),
        ("unassigned, openai/gpt-4o", "1,000 tokens", "job-1"),
        ("all stages", "a job", "job-0"),
        ("all stages", "a job", "job-1"),
    ]
    assert [s.where for s in day_samples({"2026-11-01": Nanos(5), "2026-11-02": Nanos(0)})] == ["2026-11-01"]


def test_medians() -> None:
    with pytest.raises(ValueError, match="median of nothing"):
        median([])
