"""Running the stages of many jobs: each stage a process of its own, N jobs at a time.

The runner asks ``job.json`` what became of a stage, never the text it printed. It adds to the job's
log only what a stage could not write itself: that it ended without a word.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from .admission import Admissions, Room
from .job import Job

SCRIPTS: Final = Path(__file__).resolve().parents[1]
GRACE_SECONDS: Final = 10.0
_TAIL_BYTES: Final = 4000


@dataclass(frozen=True)
class StageCommand:
    """A stage of a workflow: its name, which is its script's, and further arguments.

    When a ``required`` stage is not completed, the job's later stages have nothing to work on.
    """

    name: str
    arguments: tuple[str, ...] = ()
    required: bool = False

    def command(self, job: Job) -> list[str]:
        """Return the command line that runs this stage on ``job``."""
        return [sys.executable, str(SCRIPTS / f"{self.name}.py"), str(job.path), *self.arguments]


@dataclass(frozen=True)
class Batch:
    """Jobs, the stages to run on each, and how: ``parallel`` jobs at a time, in ``environ``.

    With ``admissions`` those jobs alone that the budget can finish.
    """

    jobs: Sequence[Job]
    stages: Sequence[StageCommand]
    parallel: int
    resume: bool
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    admissions: Admissions | None = None


class Progress(Protocol):
    """Where a batch reports what happens."""

    def started(self, job: Job, stage: str) -> None:
        """Say that ``stage`` of ``job`` has started."""

    def ended(self, job: Job, stage: str, said: str) -> None:
        """Say that it has ended; ``said`` is what it printed."""

    def passed_over(self, job: Job, stage: str) -> None:
        """Say that the stage will not run: it is completed, or has nothing to work on."""

    def not_started(self, job: Job, stages: int, why: str) -> None:
        """Say that a job with this many stages is not started, since the budget cannot finish it."""


async def run_batch(batch: Batch, progress: Progress) -> None:
    """Run every stage of every job. Cancelled, it ends the running stages before it leaves."""
    turn = asyncio.Semaphore(batch.parallel)
    async with asyncio.TaskGroup() as tasks:
        for job in batch.jobs:
            tasks.create_task(_run_job(job, batch, progress, turn))


async def _run_job(job: Job, batch: Batch, progress: Progress, turn: asyncio.Semaphore) -> None:
    async with turn:
        admissions = batch.admissions
        if admissions is None:
            await _run_stages(job, batch, progress)
            return
        to_do = [s.name for s in batch.stages if not (batch.resume and job.completed(s.name))]
        room = await admissions.admitted(job, to_do)
        if room is None:
            progress.not_started(job, len(batch.stages), admissions.refused[job.id])
            return
        try:
            await _run_stages(job, batch, progress, room)
        finally:
            await admissions.ended(room)


async def _run_stages(job: Job, batch: Batch, progress: Progress, room: Room | None = None) -> None:
    stuck = False
    environ = {**batch.environ, **room.environ} if room else batch.environ
    for stage in batch.stages:
        if stuck or (batch.resume and job.completed(stage.name)):
            progress.passed_over(job, stage.name)
            continue
        progress.started(job, stage.name)
        said = await _run_stage(job, stage, environ)
        progress.ended(job, stage.name, said)
        if room and batch.admissions:
            await batch.admissions.done(room, stage.name)
        stuck = stage.required and not job.completed(stage.name)


async def _run_stage(job: Job, stage: StageCommand, environ: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *stage.command(job),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environ,
        start_new_session=True,  # Ctrl-C reaches the runner alone, which then ends its stages in order
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            await _end(process)
        job.reload()
    said = output.decode(errors="replace")
    _note_silent_end(job, stage.name, process.returncode, said)
    return said


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask the stage and what it started to end, and insist after a while."""
    _signal_group(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    except TimeoutError:
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # it has just ended by itself


def _note_silent_end(job: Job, stage: str, code: int | None, said: str) -> None:
    """Record the end of a stage that was killed, or died before it could record anything."""
    state = job.state(stage)
    if code == 0 or (state is not None and state.status != "running"):
        return
    reason = f"ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
    job.end(stage, "failed", reason)
    with job.log_path.open("a", encoding="utf-8") as log:
        log.write(f"{stage}: {reason}\n{said[-_TAIL_BYTES:]}\n")
