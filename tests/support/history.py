"""Small histories to test figures and views with, and the sums an index would give of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos, from_usd
from shared.costs.rollup import Dimension, Group, Totals, bucket_of

START = datetime(2026, 11, 1, 8, tzinfo=UTC)
PRICED = PricedBy("catalogue", "2026-11-22", "test/test")


def entry(cost: str | None = "0.0045", **given: object) -> Entry:
    """Return a call; ``cost`` in USD, half of it for output; ``None`` is unpriced."""
    values: dict[str, object] = {
        "id": "e1",
        "timestamp": START,
        "job_id": "job-1",
        "user_id": "1",
        "service": "openai",
        "model": "gpt-4o",
        "stage": "13_ai_summarization",
        "usage": Usage(tokens_input=1_000, tokens_output=200),
        **given,
    }
    if cost is not None:
        amount = from_usd(cost)
        parts = {"input": Nanos(amount - amount // 2), "output": Nanos(amount // 2)}
        values["charge"] = Charge(parts, PRICED)
    return Entry(**values)  # type: ignore[arg-type]  # a test names fields of an entry


_WORK = (
    ("06_whisperx_asr", "openai", "whisper-1", "0.31", Usage(audio_seconds=3_100.0)),
    ("06_whisperx_asr", "local", "pocketsphinx", "0", Usage(audio_seconds=900.5)),
    ("10_translation", "google", "gemini-1.5-pro", "0.182", Usage(tokens_input=52_000, tokens_output=23_400)),
    ("13_ai_summarization", "openai", "gpt-4o", "0.41", Usage(tokens_input=120_000, tokens_output=11_000)),
    (
        "13_ai_summarization",
        "anthropic",
        "claude-3-haiku",
        "0.0421",
        Usage(tokens_input=98_000, tokens_output=14_080),
    ),
)


def busy_month(until: int = 22) -> list[Entry]:
    """Return a month of two users' calls up to a day, the same every time."""
    chance = Random(7)
    found: list[Entry] = []
    for day in range(until):
        for job in range(chance.randrange(1, 4)):
            user = "rpatel" if chance.random() < 0.7 else "2"
            name = f"job-202611{day + 1:02d}-{user}-{job + 1:04d}"
            found += _job(name, user, START + timedelta(days=day, hours=job), chance)
    unknown = entry(None, id="unpriced", model="gpt-9", user_id="rpatel", timestamp=START + timedelta(days=3))
    return [*found, unknown]


def _job(name: str, user: str, at: datetime, chance: Random) -> Iterable[Entry]:
    for number, (stage, service, model, cost, usage) in enumerate(_WORK):
        if chance.random() < 0.4:
            continue
        amount = f"{float(cost) * chance.uniform(0.6, 1.6):.9f}"
        yield entry(
            amount,
            id=f"{name}-{number}",
            job_id=name,
            user_id=user,
            stage=stage,
            service=service,
            model=model,
            usage=usage,
            timestamp=at + timedelta(minutes=7 * number),
            attempt=2 if chance.random() < 0.1 else 1,
            operation="summary" if stage.startswith("13") else None,
        )


def fold(entries: Iterable[Entry], by: Sequence[Dimension]) -> list[Group]:
    """Return the sums by some dimensions, as the index gives them."""
    sums: dict[tuple[str | int | None, ...], Totals] = {}
    for e in entries:
        key = tuple(bucket_of(e.counted_at) if name == "bucket" else getattr(e, name) for name in by)
        sums.setdefault(key, Totals()).add(e)
    return [Group(key, totals) for key, totals in sums.items()]


def spend(entries: Iterable[Entry]) -> dict[int, Nanos]:
    """Return what each 15-minute bucket cost, as the index gives it."""
    return {int(group.key[0] or 0): group.totals.cost for group in fold(entries, ("bucket",))}
