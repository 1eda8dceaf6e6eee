"""A sample history to explore: three invented months of a small team, the same for the same seed and date.

It has everything that a real one has: local and paid models, retries, a price rise, a runaway job, calls
without a price, corrections, and one damaged line. It is written into a directory as ledgers, profile and
prices.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from .corrections import CorrectedCall
from .errors import WrongUsage
from .ledger.line import encode
from .model import Charge, Entry, PricedBy, Usage
from .money import ZERO, Nanos
from .periods import month, previous_month
from .platform import create_file, secure_directory
from .pricing.catalogue import Catalogue
from .storage import LEDGER_NAME, CostStorage

TOKENS_PER_MINUTE: Final = 200


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A user: time zone, jobs per working day on the first and the last day, and the monthly limit in USD."""

    user_id: str
    timezone: str
    jobs_at_first: float
    jobs_at_last: float
    limit_usd: int
    workflows: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine for a stage. The shares are how often it is chosen, on the first and on the last day.

    ``prompt`` is the fixed part of the input tokens, of which ``cached`` (0 to 1) comes from the
    provider's cache; ``output`` is the output tokens per input token without the prompt.
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
class DemoStage:
    """A stage: its engines, how many minutes one call processes, and how often it has to be rerun."""

    name: str
    operation: str
    engines: tuple[Engine, ...]
    minutes_per_call: float
    retried: float


PEOPLE: Final = (
    DemoUser(
        "rpatel", "Asia/Kolkata", 6.0, 9.0, 36, (("subtitle", 0.6), ("summarize", 0.3), ("transcribe", 0.1))
    ),
    DemoUser("ana", "Europe/Berlin", 3.5, 5.0, 15, (("summarize", 0.7), ("subtitle", 0.3))),
    DemoUser("kim", "America/New_York", 2.0, 3.0, 5, (("transcribe", 0.5), ("summarize", 0.5))),
)

ASR: Final = DemoStage(
    "06_whisperx_asr",
    "transcription",
    (
        Engine("local", "whisperx-large-v3", 0.75, 0.7, audio=True),
        Engine("openai", "whisper-1", 0.25, 0.3, audio=True),
    ),
    minutes_per_call=90,
    retried=0.02,
)
TRANSLATION: Final = DemoStage(
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
SUMMARY: Final = DemoStage(
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
POLISH: Final = DemoStage(
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
"""The engine of the runaway job: an expensive model by mistake, with the whole history in every prompt."""

UNPRICED: Final = Engine("lab", "prototype-7", 1, 1, prompt=1_200, output=0.3)
"""A model that no price list knows."""


T = TypeVar("T")

HOST: Final = "demo"
RUNAWAY_DAYS_AGO: Final = 8
RUNAWAY_CALLS: Final = 24
UNPRICED_DAYS_AGO: Final = (3, 6, 12)
SHARE_AT_WEEKENDS: Final = 0.15


@dataclass(slots=True)
class DemoJob:
    """A job to write: its id, the day it ran, and its entries in order."""

    job_id: str
    day: date
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DemoCall:
    """A call to invent: its engine, and how many minutes of the recording it processes."""

    stage: DemoStage
    engine: Engine
    minutes: float
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Window:
    """The days of the history: the month of ``now`` up to ``now``, and the two months before."""

    now: datetime
    first: date
    last: date

    @classmethod
    def until(cls, now: datetime) -> Window:
        """Return the three months that end now."""
        current = month(now, ZoneInfo("UTC"))
        first = previous_month(previous_month(current)).first_day
        return cls(now, first, now.date())

    def progress(self, day: date) -> float:
        """Return how far into the history a day lies, from 0 to 1."""
        return (day - self.first).days / max(1, (self.last - self.first).days)

    def days(self) -> list[date]:
        """Return every day, in order."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


class DemoHistory:
    """Invents the jobs. Every random choice comes from one generator, in one order."""

    def __init__(self, catalogue: Catalogue, window: Window, seed: int) -> None:
        self._catalogue = catalogue
        self._window = window
        # Not for secrets: the same seed has to give the same history.
        self._random = random.Random(seed)  # noqa: S311

    def jobs(self) -> Iterator[DemoJob]:
        """Yield the jobs, by day; those with no entry before now are left out."""
        for day in self._window.days():
            for person in PEOPLE:
                for number in range(1, self._job_count(person, day) + 1):
                    job = self._job(person, day, number)
                    job.entries = [entry for entry in job.entries if entry.timestamp <= self._window.now]
                    if job.entries:
                        yield job

    def _job_count(self, person: DemoUser, day: date) -> int:
        progress = self._window.progress(day)
        mean = person.jobs_at_first + (person.jobs_at_last - person.jobs_at_first) * progress
        mean *= SHARE_AT_WEEKENDS if day.weekday() >= 5 else 1.0
        jobs = max(0.0, self._random.gauss(mean, math.sqrt(mean) / 2))
        return max(round(jobs), int(self._is_special(person, day)))

    def _is_special(self, person: DemoUser, day: date) -> bool:
        ago = (self._window.last - day).days
        if person.user_id == "kim":
            return ago in UNPRICED_DAYS_AGO
        return person.user_id == "rpatel" and ago == RUNAWAY_DAYS_AGO

    def _job(self, person: DemoUser, day: date, number: int) -> DemoJob:
        job = DemoJob(f"job-{day:%Y%m%d}-{person.user_id}-{number:04d}", day)
        workflow = self._choose(
            [name for name, _ in person.workflows], [share for _, share in person.workflows]
        )
        special = number == 1 and self._is_special(person, day)
        if special:
            workflow = "summarize"
        minutes = min(90.0, self._random.lognormvariate(2.8, 0.5))
        at = self._start(person, day)
        project, language = self._random.choice(PROJECTS), self._random.choice(LANGUAGES)
        for call in self._calls(workflow, minutes, day, person if special else None):
            at += timedelta(seconds=self._random.uniform(3, 40))
            entry = self._entry(job, person, call, at)
            job.entries.append(
                replace(entry, workflow=workflow, project=project, metadata=self._metadata(call, language))
            )
        return job

    def _start(self, person: DemoUser, day: date) -> datetime:
        hour = min(max(self._random.gauss(13, 2.5), 7), 20)
        local = datetime.combine(day, time(), ZoneInfo(person.timezone))
        return local + timedelta(hours=hour)

    def _calls(
        self, workflow: str, minutes: float, day: date, special: DemoUser | None
    ) -> Iterator[DemoCall]:
        for stage in WORKFLOWS[workflow]:
            engine = self._engine(stage, day)
            if special and stage.name.startswith("13_"):
                yield from self._special_calls(stage, special, minutes)
                continue
            calls = math.ceil(minutes / stage.minutes_per_call)
            minutes_each = minutes / calls
            if self._random.random() < stage.retried:
                yield DemoCall(stage, engine, minutes_each)  # failed, but was paid for
                yield from [DemoCall(stage, engine, minutes_each, attempt=2)] * calls
            else:
                yield from [DemoCall(stage, engine, minutes_each)] * calls

    def _special_calls(self, stage: DemoStage, person: DemoUser, minutes: float) -> list[DemoCall]:
        if person.user_id == "kim":
            return [DemoCall(stage, UNPRICED, minutes)] * 2
        return [DemoCall(stage, RUNAWAY, minutes, attempt) for attempt in range(1, RUNAWAY_CALLS + 1)]

    def _engine(self, stage: DemoStage, day: date) -> Engine:
        progress = self._window.progress(day)
        shares = [
            engine.share_at_first + (engine.share_at_last - engine.share_at_first) * progress
            for engine in stage.engines
        ]
        return self._choose(stage.engines, shares)

    def _choose(self, choices: Sequence[T], weights: Sequence[float]) -> T:
        return self._random.choices(choices, weights)[0]

    def _entry(self, job: DemoJob, person: DemoUser, call: DemoCall, at: datetime) -> Entry:
        engine = call.engine
        usage = self._usage(engine, call.minutes)
        charge = self._catalogue.charge(engine.service, engine.model, usage, at, engine.tier)
        return Entry(
            id=self._id(at),
            timestamp=at.astimezone(UTC).replace(microsecond=self._random.randrange(1_000_000)),
            job_id=job.job_id,
            user_id=person.user_id,
            stage=call.stage.name,
            attempt=call.attempt,
            service=engine.service,
            model=engine.model,
            usage=usage,
            charge=charge if isinstance(charge, Charge) else None,
            request_id=None if engine.service == "local" else f"req-{self._random.getrandbits(48):012x}",
            operation=call.stage.operation,
            service_tier=engine.tier,
            tags=("runaway",) if engine is RUNAWAY else (),
            host=HOST,
            pid=1,
        )

    def _usage(self, engine: Engine, minutes: float) -> Usage:
        if engine.audio:
            return Usage(audio_seconds=round(minutes * 60, 2))
        spoken = round(minutes * TOKENS_PER_MINUTE * self._random.uniform(0.9, 1.1))
        return Usage(
            tokens_input=engine.prompt + spoken,
            tokens_cached=round(engine.prompt * engine.cached),
            tokens_output=round(max(60, spoken * engine.output * self._random.uniform(0.8, 1.2))),
        )

    def _metadata(self, call: DemoCall, language: str) -> dict[str, object]:
        if call.engine.audio:
            return {"language": "en", "segments": round(call.minutes * 9)}
        if call.stage.operation == "translation":
            return {"target_language": language}
        quality = round(min(1.0, max(0.3, self._random.gauss(0.86, 0.07))), 2)
        return {"outcome": "accepted" if quality > 0.75 else "rejected", "quality": quality}

    def _id(self, at: datetime) -> str:
        return f"{int(at.timestamp() * 1000):012x}{self._random.getrandbits(64):016x}"


def add_corrections(jobs: Sequence[DemoJob], now: datetime) -> None:
    """Append one reversal and one adjustment, as people would, a day after the entries they correct."""
    paid = [job for job in jobs if job.entries[-1].cost and job.entries[-1].stage == "14_polish"]
    if paid:
        job = paid[len(paid) // 2]
        job.entries.append(_reversal(job.entries[-1], now))
    for job in jobs:
        for entry in job.entries:
            if entry.charge is None and entry.kind == "usage":
                job.entries.append(_adjustment(entry, now))
                return


def _reversal(entry: Entry, now: datetime) -> Entry:
    at = min(entry.timestamp + timedelta(days=1), now)
    return CorrectedCall.of(entry, ()).undo(_correction_id(entry, 1), "logged twice by hand", at)


def _adjustment(entry: Entry, now: datetime) -> Entry:
    stated = PricedBy("stated", "1", f"{entry.service}/{entry.model}")
    charge = Charge({"stated": Nanos(42_000_000)}, stated)
    at = min(entry.timestamp + timedelta(days=1), now)
    return CorrectedCall.of(entry, ()).adjustment(
        _correction_id(entry, 2), charge, "the lab told its price", at
    )


def _correction_id(entry: Entry, number: int) -> str:
    return f"{entry.id[:12]}{number:016x}"


SEED: Final = 20


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The files that were written. ``damaged`` is the ledger with the line that does not count."""

    root: Path
    storage: CostStorage
    profile: Path
    jobs: tuple[tuple[Path, str], ...]
    entries: int
    cost: Nanos
    damaged: Path


def write_sample(root: Path, now: datetime, seed: int = SEED) -> DemoFiles:
    """Write the sample history into ``root``, a directory that is empty or does not exist.

    Raises:
        WrongUsage: the directory is not empty.
        UnsafePath: it is a link.

    """
    root = Path(os.path.abspath(root))
    if root.exists() and any(root.iterdir()):
        raise WrongUsage(f"{root}: is not empty; name a directory that is empty or does not exist yet")
    secure_directory(root)
    storage = CostStorage(root / "storage")
    storage.prepare()
    profile = _write_text(root / "profile.yaml", _profile())
    prices = _write_text(root / "prices.yaml", _prices(now))
    catalogue = Catalogue.load(storage, prices, {})
    jobs = list(DemoHistory(catalogue, Window.until(now), seed).jobs())
    add_corrections(jobs, now)
    ledgers = [_write_job(root, job) for job in jobs]
    damaged = _damage(ledgers)
    return DemoFiles(
        root,
        storage,
        profile,
        tuple((ledger, job.job_id) for ledger, job in zip(ledgers, jobs, strict=True)),
        sum(len(job.entries) for job in jobs),
        sum((entry.cost for job in jobs for entry in job.entries), start=ZERO),
        damaged,
    )


def _write_job(root: Path, job: DemoJob) -> Path:
    folder = root / "out" / job.day.isoformat() / job.job_id
    folder.mkdir(mode=0o700, parents=True)
    return _write(folder / LEDGER_NAME, b"".join(encode(entry) for entry in job.entries))


def _damage(ledgers: Sequence[Path]) -> Path:
    """Flip one bit in a digit of an amount, as a failing disk would, which the checksum detects.

    The ledger has several lines, so that its job still counts.

    """
    for ledger in ledgers[-len(ledgers) // 4 :]:
        content = bytearray(ledger.read_bytes())
        if content.count(b"\n") > 1:
            break
    content[content.index(b'"cost_usd":') + len(b'"cost_usd":')] ^= 1
    ledger.write_bytes(content)
    return ledger


def _write_text(path: Path, text: str) -> Path:
    return _write(path, text.encode())


def _write(path: Path, content: bytes) -> Path:
    with create_file(path) as file, open(file.fileno(), "wb", closefd=False) as buffered:
        buffered.write(content)
    return path


def _profile() -> str:
    users = "\n".join(
        f"  {user.user_id}: {{timezone: {user.timezone}, budget: {{monthly_limit_usd: {user.limit_usd}}}}}"
        for user in PEOPLE
    )
    return f"""\
# The profile of the sample history: a small team, each with a limit of their own.
timezone: UTC
budget:
  monthly_limit_usd: 50
  alert_threshold_percent: [50, 80]
organization:
  monthly_limit_usd: 70
users:
{users}
"""


def _prices(now: datetime) -> str:
    raised_on = Window.until(now).first.replace(day=20)
    return f"""\
# Prices of an invented provider, raised on {raised_on}.
checked: {raised_on}
models:
  acme/editor-2:
    prices:
      - since: 2020-01-01
        source: the sample history
        per_million_tokens: {{input: 2.00, output: 6.00}}
      - since: {raised_on}
        source: the sample history
        per_million_tokens: {{input: 3.00, output: 9.00}}
avoided:
  local/whisperx-large-v3: openai/whisper-1
  local/indictrans2-local: indictrans2/api
"""
