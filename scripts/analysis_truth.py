#!/usr/bin/env python3
"""Try the analyses on histories whose truth is known, and print how right they are.

Forecasts against a plain run rate, anomalies against those that were planted, explanations of
random pairs to the nano-dollar, and the optimiser's total against brute force.

    python scripts/analysis_truth.py                # about a minute
    python scripts/analysis_truth.py --seed 7 --rounds 3

Exit code 1 when an analysis misses what it promises.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from truth import differences, forecasts, outliers, savings
from truth.histories import CATALOGUE, PIPELINES, random_call

from shared.costs.analysis.optimise import find_savings

DAYS = (5, 10, 15, 20, 25)
MONTHS = 24
PAIRS = 1_000
CALLS = 2_000
FAR = 5.5
"""From this many sigmas on, an anomaly must be found: two beyond the threshold of 3.5."""


def try_forecasts(seed: int, rounds: int) -> bool:
    """Print the errors over 24 months; the forecast must beat the run rate, its range hold 7 to 9.5 of 10."""
    print(f"Forecast of a month's end, mean error over {MONTHS} months x {rounds}")
    print(f"  {'pipeline':26} {'day':>4} {'forecast':>9} {'run rate':>9} {'in range':>9}")
    mine, plain, inside = [], [], []
    for pipeline in PIPELINES:
        for day in DAYS:
            found = [forecasts.measure(pipeline, seed + turn, day, MONTHS) for turn in range(rounds)]
            mine.append(sum(e.forecast for e in found) / rounds)
            plain.append(sum(e.run_rate for e in found) / rounds)
            inside.append(sum(e.inside for e in found) / sum(e.months for e in found))
            print(f"  {pipeline.name:26} {day:4} {mine[-1]:8.1f}% {plain[-1]:8.1f}% {inside[-1]:9.0%}")
    ours, theirs, held = (sum(each) / len(each) for each in (mine, plain, inside))
    print(f"  {'all':26} {'':4} {ours:8.1f}% {theirs:8.1f}% {held:9.0%}\n")
    return ours < theirs and 0.7 <= held <= 0.95


def try_anomalies(seed: int, rounds: int) -> bool:
    """Print precision and recall; what lies well beyond the threshold must be found, and little else."""
    print(f"Anomalies, {outliers.PLANTED} planted in {outliers.JOBS} jobs, {10 * rounds} histories each")
    print(f"  {'planted':26} {'sigmas':>7} {'planted':>8} {'found':>6} {'precision':>10} {'recall':>7}")
    good = True
    for plant in outliers.PLANTS:
        score = outliers.measure(plant, seed, 10 * rounds)
        name = f"{plant.name} x{plant.times:g}"
        print(
            f"  {name:26} {plant.distance:7.1f} {score.planted:8} {score.found:6} "
            f"{score.precision:10.1%} {score.recall:7.1%}"
        )
        good &= score.precision >= 0.9 and (score.recall >= 0.95 or plant.distance < FAR)
    print()
    return good


def try_explanations(seed: int) -> bool:
    """Print how many random pairs are not exact, and how much of each known cause is given its reason."""
    wrong = differences.inexact_pairs(seed, PAIRS)
    print(f"Explanations: {PAIRS - wrong} of {PAIRS} random pairs exact to the nano-dollar")
    shares = {reason: differences.share_of_cause(reason, seed) for reason in differences.CAUSES}
    for reason, share in shares.items():
        print(f"  only {reason:10} changed: {share:.1%} of the difference is attributed to {reason}")
    print()
    return not wrong and all(share == 1 for share in shares.values())


def try_savings(seed: int, rounds: int) -> bool:
    """Print the optimiser's total and that of brute force."""
    print(f"Savings of {CALLS} calls, against brute force over every combination")
    good = True
    for turn in range(rounds):
        chance = Random(seed + turn)
        calls = [random_call(chance, number) for number in range(CALLS)]
        least = savings.least_cost(calls)
        found = find_savings(calls, CATALOGUE)
        same = found.after == least
        good &= same
        spent, after, brute = (f"${amount / 1e9:.9f}" for amount in (found.spent, found.after, least))
        print(
            f"  seed {seed + turn}: {spent} spent, {after} after the best {len(found.best)} changes, "
            f"brute force {brute}: {'equal' if same else 'DIFFERENT'}"
        )
    print()
    return good


def main() -> int:
    """Try all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5, help="how many histories of each kind")
    asked = parser.parse_args()
    held = {
        "forecasts": try_forecasts(asked.seed, asked.rounds),
        "anomalies": try_anomalies(asked.seed, asked.rounds),
        "explanations": try_explanations(asked.seed),
        "savings": try_savings(asked.seed, asked.rounds),
    }
    print(", ".join(f"{name}: {'held' if good else 'FAILED'}" for name, good in held.items()))
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
