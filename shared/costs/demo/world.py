"""The team of the sample history: who works on what, with which models, how much. Invented figures.

Token counts per minute of speech follow from about 150 spoken words and 4 tokens for 3 words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TOKENS_PER_MINUTE: Final = 200


@dataclass(frozen=True, slots=True)
class Person:
    """A user: time zone, jobs on a working day at first and at the end, and the monthly limit in USD."""

    user_id: str
    timezone: str
    jobs_at_first: float
    jobs_at_last: float
    limit_usd: int
    workflows: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to do a stage. ``share`` is how often it is chosen, from the first to the last day.

    ``prompt`` is the fixed part of the input tokens, of which ``cached`` (0 to 1) comes from the
    provider's cache; ``output`` is output tokens per input token beside the prompt.
    """

    service: str
    model: str
    share_at_first: float
    share_at_last: float
    prompt: int = 0
    cached: float = 0.0
    output: float = 0.0
    tier: str | None = None
    audio: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: its engines, how many minutes one call takes in, and how often it has to be run again."""

    name: str
    operation: str
    engines: tuple[Engine, ...]
    minutes_per_call: float
    retried: float


PEOPLE: Final = (
    Person(
        "rpatel", "Asia/Kolkata", 6.0, 9.0, 36, (("subtitle", 0.6), ("summarize", 0.3), ("transcribe", 0.1))
    ),
    Person("ana", "Europe/Berlin", 3.5, 5.0, 15, (("summarize", 0.7), ("subtitle", 0.3))),
    Person("kim", "America/New_York", 2.0, 3.0, 5, (("transcribe", 0.5), ("summarize", 0.5))),
)

ASR: Final = Stage(
    "06_whisperx_asr",
    "transcription",
    (
        Engine("local", "whisperx-large-v3", 0.75, 0.7, audio=True),
        Engine("openai", "whisper-1", 0.25, 0.3, audio=True),
    ),
    minutes_per_call=90,
    retried=0.02,
)
TRANSLATION: Final = Stage(
    "10_translation",
    "translation",
    (
        Engine("openai", "gpt-4o-mini", 0.5, 0.2, prompt=900, cached=0.6, output=1.2),
        Engine("google", "gemini-1.5-flash", 0.2, 0.5, prompt=900, output=1.2),
        Engine("local", "indictrans2-local", 0.3, 0.3, prompt=0, output=1.2),
    ),
    minutes_per_call=6,
    retried=0.04,
)
SUMMARY: Final = Stage(
    "13_ai_summarization",
    "summary",
    (
        Engine("openai", "gpt-4o", 0.7, 0.3, prompt=5_200, cached=0.5, output=0.25),
        Engine("anthropic", "claude-3-5-sonnet", 0.1, 0.5, prompt=5_200, output=0.3),
        Engine("openai", "gpt-4o", 0.2, 0.2, prompt=5_200, output=0.25, tier="batch"),
    ),
    minutes_per_call=6,
    retried=0.06,
)
POLISH: Final = Stage(
    "14_polish",
    "editing",
    (Engine("acme", "editor-2", 1.0, 1.0, prompt=600, output=1.0),),
    minutes_per_call=12,
    retried=0.03,
)

WORKFLOWS: Final = {
    "transcribe": (ASR,),
    "subtitle": (ASR, TRANSLATION),
    "summarize": (ASR, SUMMARY, POLISH),
}
PROJECTS: Final = ("lectures", "podcast", "support-calls")
LANGUAGES: Final = ("hi", "de", "es")

RUNAWAY: Final = Engine("openai", "gpt-4", 1, 1, prompt=24_000, output=0.05)
"""What the runaway job used by mistake: the dear model, with the whole history in every prompt."""

UNPRICED: Final = Engine("lab", "prototype-7", 1, 1, prompt=1_200, output=0.3)
"""A model that no price list knows."""
