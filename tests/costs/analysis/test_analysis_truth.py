"""The analyses on histories whose truth is known; ``scripts/analysis_truth.py`` is the long form."""

from __future__ import annotations

from random import Random

import pytest
from truth import differences, forecasts, outliers, savings
from truth.histories import CATALOGUE, PIPELINES, Pipeline, random_call

from shared.costs.analysis.optimise import find_savings

MONTHS = 24


@pytest.mark.no_cover
@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_forecasts_beat_a_run_rate_over_24_months(pipeline: Pipeline) -> None:
    early, late = (forecasts.measure(pipeline, 5, day, MONTHS) for day in (5, 20))
    assert early.forecast < 0.8 * early.run_rate
    assert late.forecast < 1.02 * late.run_rate  # late in a month there is little left to be wrong about
    assert late.forecast < early.forecast


@pytest.mark.no_cover
def test_the_range_holds_eight_times_in_ten_where_days_are_alike() -> None:
    found = [forecasts.measure(PIPELINES[number], 5, day, MONTHS) for number in (0, 2) for day in (5, 15)]
    assert 0.7 <= sum(each.inside for each in found) / sum(each.months for each in found) <= 0.95


@pytest.mark.parametrize("plant", outliers.PLANTS, ids=lambda plant: f"{plant.name} x{plant.times}")
def test_planted_anomalies_are_found_and_little_else(plant: outliers.Plant) -> None:
    score = outliers.measure(plant, seed=3, histories=6)
    assert score.precision >= 0.85
    assert score.recall >= (0.95 if plant.distance > 5.5 else 0.7)


@pytest.mark.no_cover
def test_random_pairs_are_explained_to_the_nano_dollar() -> None:
    assert differences.inexact_pairs(seed=17, pairs=100) == 0


@pytest.mark.parametrize("reason", differences.CAUSES)
def test_one_known_cause_is_given_all_of_the_difference(reason: str) -> None:
    assert differences.share_of_cause(reason, seed=5, calls=20) == 1


@pytest.mark.no_cover
def test_the_best_combination_is_that_of_brute_force() -> None:
    chance = Random(11)
    calls = [random_call(chance, number) for number in range(200)]
    found = find_savings(calls, CATALOGUE)
    assert found.after == savings.least_cost(calls)
    assert found.saving > 0
