"""Invented histories whose truth is known: days of several kinds of pipelines, and priced calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import NamedTuple

from shared.costs.analysis.forecast import Day
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import Nanos
from shared.costs.pricing.catalogue import Catalogue

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
CATALOGUE = Catalogue.load()

OFFICE = (1.4, 1.3, 1.2, 1.2, 1.0, 0.15, 0.1)
"""A pipeline that rests at weekends: what each weekday costs beside the others, Monday first."""

EVEN = (1.0,) * 7

DayCost = Callable[[Random, float], float]
"""Draws the cost of a day whose average is given."""


def noisy(sigma: float) -> DayCost:
    """Return days that differ by a factor, log-normally."""
    return lambda chance, level: level * chance.lognormvariate(-sigma * sigma / 2, sigma)


def few_jobs(chance: Random, level: float) -> float:
    """Draw a day of few jobs of very different size: about three on an average day."""
    jobs = sum(chance.random() < 0.3 for _ in range(10))
    return level / 3 * sum(chance.lognormvariate(-0.32, 0.8) for _ in range(jobs))


class Pipeline(NamedTuple):
    """How a pipeline spends: by weekday, growing by a factor a day, with days off and days gone wrong."""

    name: str
    weekdays: tuple[float, ...] = OFFICE
    draw: DayCost = noisy(0.25)
    growth: float = 1.0
    off: float = 0.03
    gone_wrong: float = 0.0


PIPELINES = (
    Pipeline("rests at weekends", growth=1.002),
    Pipeline("grows by 16% a month", growth=1.005),
    Pipeline("every day alike", EVEN),
    Pipeline("few jobs a day", draw=few_jobs),
    Pipeline("a day in 50 at ten times", gone_wrong=0.02),
)


def days_of(pipeline: Pipeline, chance: Random, first: date, last: date) -> list[Day]:
    """Return what each day costs, some dollars on average."""
    days = []
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        level = 2e9 * pipeline.growth**n * pipeline.weekdays[day.weekday()]
        cost = 0.0 if chance.random() < pipeline.off else pipeline.draw(chance, level)
        days.append(Day(day, Nanos(round(cost * (10 if chance.random() < pipeline.gone_wrong else 1)))))
    return days


class Work(NamedTuple):
    """What a setting of a pipeline decides: a stage and its model."""

    stage: str | None
    service: str
    model: str


WORKS = (
    Work("06_whisperx_asr", "openai", "whisper-1"),
    Work("10_translation", "google", "gemini-1.5-pro"),
    Work("13_ai_summarization", "openai", "gpt-4o"),
    Work("13_ai_summarization", "openai", "gpt-4"),
    Work(None, "anthropic", "claude-3-haiku"),
)
TIERS = (None, None, None, "batch", "priority")


def random_call(chance: Random, number: int) -> Entry:
    """Return a call of one of the works: random usage, tier and attempt, charged by the catalogue."""
    work = chance.choice(WORKS)
    usage = Usage(audio_seconds=round(chance.uniform(1, 7_200), 3))
    if work.model != "whisper-1":
        tokens = round(math.exp(chance.uniform(4, 12.5)))
        cached = chance.choice([0, 0, chance.randrange(tokens + 1)])
        usage = Usage(tokens_input=tokens, tokens_cached=cached, tokens_output=chance.randrange(5_000))
    return charged(
        Entry(
            id=f"call-{number}",
            timestamp=AT + timedelta(seconds=number),
            job_id=f"job-{number // 20}",
            user_id="1",
            stage=work.stage,
            service=work.service,
            model=work.model,
            usage=usage,
            service_tier=chance.choice(TIERS),
            attempt=chance.choice([1, 1, 1, 1, 2]),
        )
    )


def charged(entry: Entry) -> Entry:
    """Return an entry with the catalogue's charge, or none where its tier has no price."""
    from dataclasses import replace

    charge = CATALOGUE.charge(entry.service, entry.model, entry.usage, entry.timestamp, entry.service_tier)
    return replace(entry, charge=charge if isinstance(charge, Charge) else None)
