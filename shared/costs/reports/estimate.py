"""What work will cost: on a MODEL, by its price; without one, by what your earlier jobs cost.

From earlier jobs: the median and the 90th percentile by stage, per audio minute or per 1,000
input tokens, against what is left of the month. Exit code 3 when MODEL has no price, or there are
no earlier jobs.
"""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..analysis.estimates import (
    INPUT_SHARE,
    WHOLE,
    ModelCost,
    PlannedCalls,
    StageEstimate,
    cost_on,
    estimate_stages,
    stage_histories,
    tokens_of,
)
from ..capture.recordings import wav_seconds
from ..errors import FAILED, FINE, CostError, WrongUsage
from ..model import MAX_COUNT, Usage
from ..money import Nanos, percent, percent_words
from ..rollup import Query
from .common import plural, usd
from .document import Column, Figure, Note, Report, Row, Table, derive
from .queries import limits_in, month_of, monthly, named_model, spendings
from .reader import Reader
from .spec import USER, Option, OptionGroup, Spec

TEXTS: Final = frozenset({".txt", ".md", ".srt", ".vtt", ".json", ".csv", ".html", ".rst", ".tex"})
_PROBE_S: Final = 20.0


class NotMeasured(CostError):
    """How much work a file is cannot be measured."""


def characters_of(path: Path) -> int:
    """Return the number of characters of a text.

    Raises:
        NotMeasured: it is not UTF-8 text.
        OSError: it cannot be read.
    """
    try:
        return len(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise NotMeasured(f"{path} is not UTF-8 text; give its tokens with --input-tokens") from None


def seconds_of(path: Path) -> float:
    """Return the length of a recording: of WAV and FLAC from its header, of others by ffprobe's packets.

    Raises:
        NotMeasured: its length cannot be measured.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(42)
    if head[:4] == b"fLaC":
        return _flac(path, head)
    if head[:4] == b"RIFF":
        return _wave(path)
    return _probed(path)


def _flac(path: Path, head: bytes) -> float:
    """Read STREAMINFO: 20 bits of sample rate, 8 of format, 36 of samples (RFC 9639, section 8.2)."""
    bits = int.from_bytes(head[18:26])
    rate, samples = bits >> 44, bits & (1 << 36) - 1
    # An encoder that wrote into a pipe left the number of samples out.
    return samples / rate if rate and samples else _probed(path)


def _wave(path: Path) -> float:
    try:
        with path.open("rb") as file:
            return wav_seconds(file)
    except (wave.Error, EOFError, ZeroDivisionError) as fault:
        if shutil.which("ffprobe"):  # of 24 bits or packed, which only it can read
            return _probed(path)
        raise NotMeasured(
            f"{path} is not a WAV file that can be read ({fault}); give --audio-minutes"
        ) from None


def _probed(path: Path) -> float:
    program = shutil.which("ffprobe")
    if program is None:
        raise NotMeasured(f"{path}: only WAV and FLAC can be measured without ffprobe; give --audio-minutes")
    # Not every file states its length, and where it does not, ffprobe's own figure is a guess from the first
    # frames' bit rate (findings/length_of_a_recording_that_begins_with_silence.sh); packets add up to it. One
    # with the flag D is decoded for the next alone (findings/m4a_that_was_cut_lasts_as_long_as_before.sh).
    command = [program, "-v", "error", "-select_streams", "a:0"]
    command += ["-show_entries", "packet=duration_time,flags", "-of", "csv=p=0", str(path.absolute())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_S, check=True)
        packets = [line.split(b",") for line in done.stdout.split()]
        length = sum(float(seconds) for seconds, flags, *_ in packets if b"D" not in flags)
    except (subprocess.SubprocessError, ValueError) as fault:
        raise NotMeasured(f"{path}: ffprobe cannot tell its length ({fault}); give --audio-minutes") from None
    if not length:
        raise NotMeasured(f"{path} has no sound; give --audio-minutes")
    return length


_COUNTS = {
    "tokens_input": "input token",
    "tokens_output": "output token",
    "characters": "character",
    "images": "image",
    "pages": "page",
}


class EstimatedWork(NamedTuple):
    """The work to estimate, and in words what was assumed about it."""

    asked: PlannedCalls
    assumed: Sequence[str] = ()


class MonthRemainder(NamedTuple):
    """What is left of a user's month, in nano-dollars; ``amount`` is ``None`` without a limit."""

    user_id: str
    amount: Nanos | None


class WorkInput(NamedTuple):
    """The work as it stands on the command line: counts, or a file to take them from."""

    tokens_input: int | None = None
    tokens_output: int | None = None
    audio_minutes: float | None = None
    file: Path | None = None
    calls: int = 1
    tier: str | None = None


def work_of(reader: Reader, given: WorkInput) -> EstimatedWork:
    """Return the work to estimate; what was not stated is assumed, and the assumption is reported.

    Raises:
        WrongUsage: nothing was said about it, or it makes no sense.
        NotMeasured: the file does not tell.
    """
    counts: dict[str, Any] = {}
    assumed = list(_measured(given.file, counts)) if given.file else []
    if given.tokens_input is not None:
        counts["tokens_input"] = given.tokens_input
    if given.audio_minutes is not None:
        counts["audio_seconds"] = given.audio_minutes * 60
    if given.tokens_output is not None:
        counts["tokens_output"] = given.tokens_output
    elif tokens := counts.get("tokens_input"):
        counts["tokens_output"] = output = tokens // INPUT_SHARE
        assumed.append(f"Output is assumed to be {output:,} tokens, a quarter of the input: --output-tokens")
    if not counts:
        raise WrongUsage("say how much work it is: --input-tokens, --audio-minutes or --file")
    try:
        usage = Usage(**counts)
    except ValueError as fault:
        raise WrongUsage(str(fault)) from fault
    return EstimatedWork(PlannedCalls(usage, reader.now, given.calls, given.tier), assumed)


def _measured(file: Path, counts: dict[str, Any]) -> list[str]:
    if file.suffix.lower() not in TEXTS:
        counts["audio_seconds"] = seconds_of(file)
        return []
    counts["tokens_input"] = tokens_of(characters_of(file))
    return [f"{file.name} is counted as {counts['tokens_input']:,} tokens, one for every four characters"]


def priced(reader: Reader, model: str, work: EstimatedWork) -> tuple[ModelCost, tuple[str, ...]]:
    """Return what the work costs on a model, and the arithmetic of one call."""
    asked, named = work.asked, named_model(model)
    cost = cost_on(named, asked, reader.catalogue)
    return cost, reader.catalogue.explain(*named, asked.usage, asked.at, asked.tier)


def by_history(reader: Reader, user_id: str, stage: str | None, work: EstimatedWork) -> list[StageEstimate]:
    """Return what a user's stages, or one of them, will cost by what they cost before."""
    reader.index.catch_up_all()
    groups = reader.index.groups(("ledger", "stage"), Query(user_id=user_id))
    estimates = estimate_stages(stage_histories(groups), work.asked.usage)
    return [one for one in estimates if stage in (None, one.stage)]


def left_of(reader: Reader, user_id: str) -> MonthRemainder:
    """Return what a user has left this month."""
    own = monthly(spendings(reader, limits_in(reader, user_id, month_of(reader, user_id))), user_id)
    return MonthRemainder(user_id, Nanos(own.remaining) if own else None)


class EstimateQuestion(NamedTuple):
    """Which work, on a model or, without one, by what a user's stages cost before."""

    work: WorkInput
    model: str | None = None
    stage: str | None = None
    user: str | None = None


class EstimateFacts(NamedTuple):
    """What work will cost: ``cost`` on a model with its arithmetic, or ``stages`` by earlier jobs."""

    work: EstimatedWork
    left: MonthRemainder
    cost: ModelCost | None = None
    arithmetic: Sequence[str] = ()
    stages: Sequence[StageEstimate] = ()

    @property
    def exit_code(self) -> int:
        """3 where the model has no price, or there are no earlier jobs."""
        known = self.stages if self.cost is None else self.cost.cost is not None
        return FINE if known else FAILED


def estimate_facts(reader: Reader, asked: EstimateQuestion) -> EstimateFacts:
    """Return what the work will cost.

    Raises:
        WrongUsage: the work is not said, or options contradict each other.
    """
    user_id = asked.user or reader.default_user
    work, left = work_of(reader, asked.work), left_of(reader, user_id)
    if asked.model is None:
        if asked.work.calls > 1 or asked.work.tier:
            raise WrongUsage("--calls and --tier need a MODEL: earlier jobs are whole jobs")
        return EstimateFacts(work, left, stages=by_history(reader, user_id, asked.stage, work))
    if asked.stage:
        raise WrongUsage("--stage is for estimates from earlier jobs; leave MODEL out")
    return EstimateFacts(work, left, *priced(reader, asked.model, work))


def work_words(usage: Usage) -> str:
    """Return the work in words.

    >>> work_words(Usage(tokens_input=1_500, tokens_output=1, audio_seconds=90))
    '1,500 input tokens, 1 output token, 1.5 minutes of audio'
    >>> work_words(Usage(audio_seconds=0.24))
    '0.24 seconds of audio'
    """
    counts = usage.counts()
    words = [plural(int(counts[name]), one, f"{one}s") for name, one in _COUNTS.items() if name in counts]
    if seconds := usage.audio_seconds:
        minutes = round(seconds / 60, 2)
        length, unit = (minutes, "minute") if minutes else (seconds, "second")
        words.append(f"{length:,g} {unit}{'' if length == 1 else 's'} of audio")
    return ", ".join(words)


def estimate_report(facts: EstimateFacts) -> Report:
    """Return what the work costs on one model, or by what each stage cost before."""
    if facts.cost is None:
        return history_estimate_report(facts.work, facts.stages, facts.left)
    return model_estimate_report(facts.work, facts.cost, facts.arithmetic, facts.left)


def model_estimate_report(
    work: EstimatedWork, cost: ModelCost, arithmetic: Sequence[str], left: MonthRemainder
) -> Report:
    """Return what the work costs on one model, and how that was reckoned."""
    notes = [Note(line) for line in arithmetic]
    if work.asked.calls > 1:
        notes.append(Note(f"times {work.asked.calls:,} calls"))
    if cost.unverified:
        notes.append(Note("This price is not verified: its source is unsure of it.", "warning"))
    return Report(
        title=cost.name,
        subtitle=work_subtitle(work),
        figures=(Figure("cost", "Will cost", cost.cost, places=4),),
        notes=(*notes, *_notes(work, cost.cost, left)),
        data={
            "model": cost.name,
            **cost_data(cost),
            **work_data(work),
            **derive(left, amount="left"),
            "arithmetic": list(arithmetic),
        },
    )


def history_estimate_report(
    work: EstimatedWork, stages: Sequence[StageEstimate], left: MonthRemainder
) -> Report:
    """Return what each stage will cost by what it cost before, and the whole job."""
    whole = next((one for one in stages if one.stage == WHOLE), None)
    columns = (
        Column("stage", "Stage"),
        Column("median", "Half cost at most", "money", places=4),
        Column("ninety", "9 of 10 at most", "money", places=4),
        Column("jobs", "Jobs", "count", rank=1),
        Column("per", "Per", rank=2),
    )
    rows: tuple[Row, ...] = tuple(tuple(one) for one in stages if one.stage != WHOLE)
    counts = whole or (stages[0] if len(stages) == 1 else None)
    notes = [*_notes(work, counts.ninety if counts else None, left)]
    if whole:
        notes.insert(
            0, Note("A whole job is estimated on its own: its stages are rarely all expensive at once.")
        )
    return Report(
        title="Estimate from earlier jobs" if rows else "No earlier jobs to estimate from",
        subtitle=f"{work_subtitle(work)}, user {left.user_id}",
        tables=(Table("By stage", columns, rows, total=tuple(whole) if whole else None),) if rows else (),
        notes=tuple(notes),
        data={
            **work_data(work),
            **derive(left, amount="left"),
            "stages": [derive(one, ninety="p90") for one in stages],
        },
    )


def work_subtitle(work: EstimatedWork) -> str:
    """Return the work with its tier and how many calls it is."""
    tier = f", {work.asked.tier}" if work.asked.tier else ""
    calls = f", {plural(work.asked.calls, 'call', 'calls')}" if work.asked.calls > 1 else ""
    return f"{work_words(work.asked.usage)}{calls}{tier}"


def _notes(work: EstimatedWork, cost: Nanos | None, left: MonthRemainder) -> Iterator[Note]:
    yield from map(Note, work.assumed)
    if left.amount is None or cost is None:
        return
    if cost > left.amount:
        text = f"More than user {left.user_id} has left this month: {usd(left.amount)}."
        yield Note(text, "critical")
    elif cost:
        share = percent_words(percent(cost, left.amount))
        yield Note(f"{share} of the {usd(left.amount)} that user {left.user_id} has left this month.")


def cost_data(cost: ModelCost) -> dict[str, object]:
    """Return what work costs on a model, as JSON has it."""
    return {**derive(cost, "cost"), "unpriced_why": cost.why or None, "unverified": cost.unverified}


def work_data(work: EstimatedWork) -> dict[str, object]:
    """Return the work as JSON has it."""
    asked = work.asked
    return {
        "usage": asked.usage.counts(),
        "calls": asked.calls,
        "service_tier": asked.tier,
        "assumed": list(work.assumed),
    }


def _existing_file(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise ValueError(f"File {text!r} does not exist.")
    if path.is_dir():
        raise ValueError(f"File {text!r} is a directory.")
    return path


WORK: Final = OptionGroup(
    "work",
    (
        Option("--input-tokens", "Input of one call.", "N", called="tokens_input", least=0, most=MAX_COUNT),
        Option(
            "--output-tokens",
            "Output of one call. Default: a quarter of the input.",
            "N",
            called="tokens_output",
            least=0,
            most=MAX_COUNT,
        ),
        Option("--audio-minutes", "Audio of one call.", "N", least=0.0, most=10**8),
        Option("--file", "Measure the work: a text or a recording.", "FILE", _existing_file),
        Option("--calls", "How many calls. Default: 1.", least=1, most=10**9, default=1),
        Option("--tier", "With this service tier, such as batch."),
    ),
    WorkInput,
)
SPEC: Final = Spec(
    "Save",
    (
        "estimate gpt-4o --input-tokens 1500 --output-tokens 300 --calls 200",
        "estimate openai/whisper-1 --audio-minutes 90",
        "estimate --audio-minutes 90",
        "estimate --stage 13_ai_summarization --input-tokens 20000",
    ),
    EstimateQuestion,
    estimate_facts,
    estimate_report,
    options=(
        Option("", called="model"),
        WORK,
        Option("--stage", "Without MODEL: only this stage of your jobs.", "NAME"),
        USER,
    ),
)
