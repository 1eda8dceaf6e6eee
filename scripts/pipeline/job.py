"""A job directory: the recording it is about, what its stages did, and their files.

``job.json`` is the job's memory. It names the recording (path, size, SHA-256) and holds the state
of each stage; the costs are not in it, they are in ``cost_ledger.jsonl`` beside it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from .faults import WrongUsage
from .files import write_atomically

JOB_FILE: Final = "job.json"
LOG_FILE: Final = "job.log"
FORMAT: Final = 1

Status = Literal["running", "completed", "skipped", "failed", "interrupted"]


@dataclass(frozen=True)
class StageState:
    """What became of a stage: ``attempt`` counts from 1, times are UTC in ISO 8601."""

    status: Status
    attempt: int
    started_at: str
    ended_at: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Media:
    """The recording of a job, known again by the SHA-256 of its content."""

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Media:
        """Describe the file at ``path``; reads all of it."""
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return cls(str(path.resolve()), path.stat().st_size, digest)


@dataclass(frozen=True)
class JobRecord:
    """The content of ``job.json``."""

    user_id: str
    created_at: str
    media: Media
    stages: dict[str, StageState] = field(default_factory=dict)

    def as_json(self, job_id: str) -> str:
        """Return the record as the text of ``job.json``."""
        return json.dumps({"format": FORMAT, "job_id": job_id, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def parse(cls, data: dict[str, Any]) -> JobRecord:
        """Read the record back from the parsed ``job.json``."""
        stages = {name: StageState(**state) for name, state in data["stages"].items()}
        return cls(data["user_id"], data["created_at"], Media(**data["media"]), stages)


class Job:
    """One job directory. Its id is the directory's name.

    Raises:
        WrongUsage: the directory or its ``job.json`` is missing or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.record = self._read()

    @property
    def id(self) -> str:
        """The job's id."""
        return self.path.name

    @property
    def user_id(self) -> str:
        """Who pays for the job."""
        return self.record.user_id

    @property
    def log_path(self) -> Path:
        """The job's log, to which every stage appends."""
        return self.path / LOG_FILE

    @property
    def transcript_path(self) -> Path:
        """Where stage 06 leaves the transcript."""
        return self.path / "transcript.json"

    def translation_path(self, language: str) -> Path:
        """Where stage 10 leaves the transcript in ``language``."""
        return self.path / f"transcript.{language}.json"

    def state(self, stage: str) -> StageState | None:
        """Return what became of ``stage``, or ``None`` when it never ran."""
        return self.record.stages.get(stage)

    def completed(self, stage: str) -> bool:
        """Tell whether ``stage`` has done its work."""
        state = self.state(stage)
        return state is not None and state.status == "completed"

    def reload(self) -> None:
        """Read ``job.json`` again: stages write to it in processes of their own."""
        self.record = self._read()

    def begin(self, stage: str) -> int:
        """Note that ``stage`` starts, and return the number of this attempt."""
        self.reload()
        before = self.state(stage)
        attempt = before.attempt + 1 if before else 1
        self._keep(stage, StageState("running", attempt, _now()))
        return attempt

    def end(self, stage: str, status: Status, note: str = "") -> None:
        """Note how the running attempt of ``stage`` ended; ``note`` says why, for people."""
        self.reload()
        state = self.state(stage) or StageState("running", 1, _now())
        self._keep(stage, replace(state, status=status, ended_at=_now(), note=note))

    def write(self, path: Path, text: str) -> None:
        """Write a file of this job."""
        write_atomically(path, text)

    def _keep(self, stage: str, state: StageState) -> None:
        self.record = replace(self.record, stages={**self.record.stages, stage: state})
        write_atomically(self.path / JOB_FILE, self.record.as_json(self.id))

    def _read(self) -> JobRecord:
        path = self.path / JOB_FILE
        try:
            return JobRecord.parse(json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            raise WrongUsage(
                f"{self.path} is not a job directory (it has no {JOB_FILE}): "
                "make one with run_batch.py RECORDING"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError) as fault:
            raise WrongUsage(f"{path} cannot be read ({fault}): mend or delete it") from fault


def create_job(path: Path, media: Media, user_id: str) -> Job:
    """Write the ``job.json`` of a new job into the existing directory ``path``."""
    record = JobRecord(user_id, _now(), media)
    write_atomically(path / JOB_FILE, record.as_json(path.name))
    return Job(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
