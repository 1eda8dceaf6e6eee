"""Estimates the cost of work: from a model's price, or from what stages cost in earlier jobs. Pure.

Quantiles of earlier jobs are nearest ranks, so each is a cost that one of them really had: R. J. Hyndman and
Y. Fan, Sample Quantiles in Statistical Packages, The American Statistician 50 (1996), definition 1.

>>> usage = Usage(audio_seconds=600)
>>> history = [StageHistory("06_asr", Quantiles((Nanos(6_000_000),)), None, 0)]
>>> [(estimate.stage, estimate.median) for estimate in estimate_stages(history, usage)]
[('06_asr', 60000000)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from ..model import Unpriced, Usage
from ..money import ZERO, Nanos, divide
from ..pricing.catalogue import Catalogue
from ..rollup import Group, Totals
from .sums import UNNAMED

CHARACTERS_A_TOKEN: Final = 4
"""In English text; other languages have fewer.
Source: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them"""

INPUT_SHARE: Final = 4
"""Where only input is known, output is taken as a quarter of it: the 80/20 split of ``tokens_total``."""

WHOLE: Final = "whole job"

_MINUTE: Final = 60_000_000
_THOUSAND: Final = 1_000


def tokens_of(characters: int) -> int:
    """Return about how many tokens a text has, rounded up.

    >>> tokens_of(0), tokens_of(9)
    (0, 3)
    """
    return -(-characters // CHARACTERS_A_TOKEN)


# --- by price


class ModelCost(NamedTuple):
    """What the work costs on one model; ``cost`` is ``None`` without a price, and ``why`` is the reason."""

    name: str
    cost: Nanos | None
    why: str = ""
    unverified: bool = False


class PlannedCalls(NamedTuple):
    """The work: ``calls`` times a usage, at an instant, with a service tier."""

    usage: Usage
    at: datetime
    calls: int = 1
    tier: str | None = None


def cost_on(model: tuple[str, str], planned: PlannedCalls, prices: Catalogue) -> ModelCost:
    """Return what the work costs on a model, given as service and name.

    A model that is not free and bills none of the known units, such as tokens where only minutes
    are given, has no estimate: its cost would read as zero.
    """
    quote = prices.quote(*model, planned.at, planned.tier)
    charge = prices.charge(*model, planned.usage, planned.at, planned.tier)
    if isinstance(charge, Unpriced) or isinstance(quote, Unpriced):
        reason = next(fault.reason for fault in (charge, quote) if isinstance(fault, Unpriced))
        return ModelCost("/".join(filter(None, model)), None, reason)
    priced_by = charge.priced_by
    if not charge.parts and not quote.price.free:
        return ModelCost(
            priced_by.model, None, "it bills other units than those that are known; give them as well"
        )
    if charge.missing:
        return ModelCost(priced_by.model, None, f"it has no price for {', '.join(charge.missing)}")
    return ModelCost(priced_by.model, Nanos(charge.total * planned.calls), unverified=priced_by.unverified)


def compare(models: Iterable[tuple[str, str]], planned: PlannedCalls, prices: Catalogue) -> list[ModelCost]:
    """Return what the work costs on each of several models, the cheapest first, unpriced ones last."""
    costs = {cost.name: cost for model in models for cost in (cost_on(model, planned, prices),)}
    return sorted(costs.values(), key=lambda cost: (cost.cost is None, cost.cost or 0, cost.name))


# --- by history


class Quantiles(NamedTuple):
    """The cost of one unit in each earlier job, in nano-dollars, lowest first."""

    samples: tuple[Nanos, ...]

    def at(self, percent: int) -> Nanos:
        """Return the smallest sample that is not below ``percent`` of them (the nearest rank).

        >>> Quantiles((Nanos(1), Nanos(2), Nanos(3), Nanos(9))).at(50)
        2
        """
        rank = -(-len(self.samples) * percent // 100)
        return self.samples[max(rank, 1) - 1]


class StageHistory(NamedTuple):
    """What a stage cost in earlier jobs, per audio minute of the job and per 1,000 of its input tokens.

    ``left_out`` jobs had calls without a price.
    """

    stage: str
    per_minute: Quantiles | None
    per_thousand: Quantiles | None
    left_out: int


class StageEstimate(NamedTuple):
    """What a stage will cost, in nano-dollars: the median, 90th percentile and maximum of earlier jobs."""

    stage: str
    median: Nanos
    ninety: Nanos
    jobs: int
    per: str
    highest: Nanos = ZERO


def stage_histories(groups: Iterable[Group]) -> list[StageHistory]:
    """Return the history of each stage, and of whole jobs last; groups are keyed by ledger and stage."""
    jobs: dict[object, dict[str, Totals]] = {}
    for group in groups:
        jobs.setdefault(group.key[0], {})[str(group.key[1] or UNNAMED)] = group.totals
    stages = sorted({stage for sums in jobs.values() for stage in sums})
    histories = [_history(stage, list(_stage_samples(jobs.values(), stage))) for stage in stages]
    return [*histories, _history(WHOLE, list(map(_job_sample, jobs.values())))] if histories else []


class _StageSample(NamedTuple):
    """One job's cost in a stage, its audio in microseconds and its input tokens there."""

    cost: Nanos
    audio: int
    tokens: int
    unpriced: int


def _stage_samples(jobs: Iterable[dict[str, Totals]], stage: str) -> Iterator[_StageSample]:
    for sums in jobs:
        if totals := sums.get(stage):
            yield _StageSample(totals.cost, _audio(sums), totals.tokens_input, totals.unpriced_calls)


def _job_sample(sums: dict[str, Totals]) -> _StageSample:
    cost = Nanos(sum(totals.cost for totals in sums.values()))
    unpriced = sum(totals.unpriced_calls for totals in sums.values())
    return _StageSample(cost, _audio(sums), max(totals.tokens_input for totals in sums.values()), unpriced)


def _audio(sums: dict[str, Totals]) -> int:
    """Return how much audio a job has: the most of any stage, since stages process the same audio."""
    return max(totals.audio_microseconds for totals in sums.values())


def _history(stage: str, samples: Sequence[_StageSample]) -> StageHistory:
    priced = [sample for sample in samples if not sample.unpriced]
    minutes = [divide(sample.cost * _MINUTE, sample.audio) for sample in priced if sample.audio > 0]
    thousands = [divide(sample.cost * _THOUSAND, sample.tokens) for sample in priced if sample.tokens > 0]
    return StageHistory(stage, _quantiles(minutes), _quantiles(thousands), len(samples) - len(priced))


def _quantiles(samples: Sequence[int]) -> Quantiles | None:
    return Quantiles(tuple(map(Nanos, sorted(samples)))) if samples else None


def estimate_stages(histories: Iterable[StageHistory], usage: Usage) -> list[StageEstimate]:
    """Return what each stage will cost for this much audio, or without audio for these input tokens."""
    estimates = []
    for history in histories:
        if usage.audio_seconds and history.per_minute:
            parts = history.per_minute, usage.audio_microseconds, _MINUTE, "audio minute"
        elif usage.tokens_input and not usage.audio_seconds and history.per_thousand:
            parts = history.per_thousand, usage.tokens_input, _THOUSAND, "1,000 input tokens"
        else:
            continue
        rates, amount, unit, per = parts
        median, ninety, highest = (Nanos(divide(rates.at(rank) * amount, unit)) for rank in (50, 90, 100))
        estimates.append(StageEstimate(history.stage, median, ninety, len(rates.samples), per, highest))
    return estimates
