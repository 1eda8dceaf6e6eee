#!/usr/bin/env python3
"""Run recordings through the pipeline: make their jobs, run the stages, show what it cost.

    python scripts/run_batch.py scripts/recordings/*.flac
    python scripts/run_batch.py talks/*.mp4 --workflow subtitle --to es --jobs 4 --user rpatel
    python scripts/run_batch.py out/2026-11-22/job-20261122-1-0001 --resume

A recording becomes a new job, OUT/<date>/<job-id>/. With --resume a recording whose content
already has a job of this user continues that job, and completed stages are not run again, so the
same command twice costs nothing twice. A job directory continues in place.

Under a budget that blocks, those jobs alone are started that it can finish, by what earlier ones cost
per minute of audio; the others wait for room, and are named where there is none.

Exit codes: 0 all stages done (or skipped with a reason), 1 a stage failed or a job was not started,
2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path

from pipeline.admission import Admissions, Kept, NoRoom
from pipeline.audio import length_of
from pipeline.batch import Batch, StageCommand, run_batch
from pipeline.config import config_path, load_config
from pipeline.documents import read_transcript
from pipeline.faults import WrongUsage
from pipeline.job import Job, Media
from pipeline.jobs import JobFolder, as_media
from pipeline.progress import LineProgress
from pipeline.table import cost_table

from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker
from shared.user_profile import ProfileError, UserProfile

SPEECH, TRANSLATION, SUMMARY = "06_whisperx_asr", "10_translation", "13_ai_summarization"
WORKFLOWS = {
    "transcribe": (SPEECH,),
    "translate": (SPEECH, TRANSLATION),
    "subtitle": (SPEECH, TRANSLATION),
    "summarize": (SPEECH, TRANSLATION, SUMMARY),
}
INTERRUPTED = 130
HOSTED = ("openai", "whisper-1")
"""What the same speech recognition is compared with where it cost nothing."""


def main() -> int:
    """Run the batch on the command line."""
    parser = _parser()
    options = parser.parse_args()
    try:
        batch = _batch(options)
    except WrongUsage as fault:
        print(f"{parser.prog}: {fault}", file=sys.stderr)
        return fault.exit_code
    progress = LineProgress(len(batch.jobs) * len(batch.stages))
    interrupted = _run(batch, progress)
    progress.close()
    if interrupted:
        _complain("Interrupted: the same command with --resume goes on from here.")
    _show_costs(batch)
    return INTERRUPTED if interrupted else _exit_code(batch)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="RECORDING_OR_JOB_DIR")
    parser.add_argument("--workflow", choices=WORKFLOWS, help="default: summarize, which is everything")
    parser.add_argument("--jobs", type=int, metavar="N", help="jobs at a time (default: 2)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where jobs live (default: out)")
    parser.add_argument("--resume", action="store_true", help="continue jobs, skipping completed stages")
    parser.add_argument("--skip-budget-check", action="store_true", help="passed on to the stages")
    parser.add_argument("--to", nargs="+", metavar="LANGUAGE", help="languages to translate to")
    parser.add_argument("--user", help="who pays (default: COST_TRACKER_USER, else 1)")
    parser.add_argument("--profile", metavar="FILE", help="the profile with the budgets")
    parser.add_argument("--config", metavar="FILE", help="default: config/pipeline.yaml, where there is one")
    return parser


def _batch(options: argparse.Namespace) -> Batch:
    """Put the command line and the configuration together, and make the jobs.

    Raises:
        WrongUsage: something in either makes no sense. No job has been made then.
    """
    path = config_path(options.config)
    config = load_config(path)
    _set_environment(options)
    parallel = config.get("jobs", 2) if options.jobs is None else options.jobs
    if not isinstance(parallel, int) or isinstance(parallel, bool) or parallel < 1:
        raise WrongUsage(f"jobs must be a whole number from 1, not {parallel!r}")
    stages = _stages(options, config.get("workflow"), path)
    jobs = _jobs(options, Path(config.get("out") or "out"))
    admissions = None if options.skip_budget_check else Admissions(TrackedBudget)
    return Batch(jobs, stages, parallel, options.resume, admissions=admissions)


class TrackedBudget:
    """What the budget says of one job, by what its user's earlier jobs cost per minute of audio."""

    def __init__(self, job: Job) -> None:
        self._tracker = CostTracker(job.path, job.user_id)
        heard = job.transcript_path.exists()
        self._seconds = (
            read_transcript(job.transcript_path).audio_seconds
            if heard
            else length_of(Path(job.record.media.path))
        )
        # All earlier jobs are read for one: once for the stages that are left, however long a job waits.
        self._estimate = cache(lambda stages: self._tracker.estimate_job(stages, audio_seconds=self._seconds))

    def most(self, stages: Sequence[str]) -> float | None:
        """Return what to keep for these stages, in USD; ``None`` where no earlier job tells."""
        estimate = self._estimate(tuple(stages)) if self._seconds else None
        return estimate.most if estimate else None

    def keep(self, stages: Sequence[str]) -> Kept:
        """Keep room for these stages, or raise ``NoRoom``."""
        estimate = self._estimate(tuple(stages))
        assert estimate is not None, "asked for what nobody knows"
        try:
            return self._tracker.admit(estimate.most, estimate.by_stage)
        except (BudgetExceeded, BudgetGateUnavailable) as denied:
            likely = f"about ${estimate.median:.4f}, nine times in ten below ${estimate.ninety:.4f}"
            raise NoRoom(f"it will cost {likely}; {denied}") from denied

    def close(self) -> None:
        """Close the tracker."""
        self._tracker.close()


def _set_environment(options: argparse.Namespace) -> None:
    """Tell this process and the stages who pays, and where storage and profile are, by absolute paths."""
    if options.user:
        os.environ["COST_TRACKER_USER"] = options.user
    here = "config/profile.yaml" if Path("config/profile.yaml").is_file() else None
    for variable, path in (
        ("COST_TRACKER_PROFILE", options.profile or os.environ.get("COST_TRACKER_PROFILE") or here),
        ("COST_TRACKER_HOME", os.environ.get("COST_TRACKER_HOME")),
    ):
        if path:
            os.environ[variable] = str(Path(path).resolve())


def _stages(options: argparse.Namespace, configured: object, path: Path | None) -> list[StageCommand]:
    workflow = options.workflow or configured or "summarize"
    if workflow not in WORKFLOWS:
        raise WrongUsage(f"{path}: workflow: {workflow!r} is none of {', '.join(WORKFLOWS)}")
    shared = ["--config", str(path)] if path else []
    shared += ["--resume"] if options.resume else []
    shared += ["--skip-budget-check"] if options.skip_budget_check else []
    subtitles = ["--subtitles"] if workflow == "subtitle" else []
    languages = ["--to", *options.to] if options.to else []
    arguments = {SPEECH: subtitles, TRANSLATION: [*subtitles, *languages], SUMMARY: []}
    return [
        StageCommand(name, (*shared, *arguments[name]), required=name == SPEECH)
        for name in WORKFLOWS[workflow]
    ]


def _jobs(options: argparse.Namespace, out: Path) -> list[Job]:
    """Return the jobs to run: those that were named, and one for each different recording."""
    user = os.environ.get("COST_TRACKER_USER") or "1"
    folder = JobFolder((options.out or out).resolve(), user)
    named = [Job(path) for path in options.inputs if path.is_dir()]
    recordings: dict[str, Media] = {}
    for media in [as_media(path) for path in options.inputs if not path.is_dir()]:
        first = recordings.setdefault(media.sha256, media)
        if first.path != media.path:
            _complain(f"{media.path}: the same recording as {first.path}, so one job does for both")
    known = folder.known(_complain) if options.resume else {}
    now = datetime.now(_timezone(user))
    found = [known.get(key) or folder.create(media, now) for key, media in recordings.items()]
    return list({job.path: job for job in [*named, *found]}.values())


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


def _timezone(user: str) -> tzinfo:
    """Return the user's time zone, which decides the date in a job's id; UTC when the profile is at fault.

    The fault itself is reported by every stage, and blocks what has to be blocked.
    """
    try:
        return UserProfile.load(user).timezone
    except ProfileError:
        return UTC


def _run(batch: Batch, progress: LineProgress) -> bool:
    """Run the batch; return whether a signal ended it."""

    async def until_done() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await run_batch(batch, progress)

    try:
        asyncio.run(until_done())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return True
    return False


def _show_costs(batch: Batch) -> None:
    """Print the table of jobs by stages, and where the month's budget stands."""
    costs = {}
    for job in batch.jobs:
        job.reload()
        with CostTracker(job.path, job.user_id) as tracker:
            costs[job.id] = tracker.get_stage_costs()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf
    print(cost_table(batch.jobs, [stage.name for stage in batch.stages], costs, width))
    for job in batch.jobs:
        text = job.path / "transcript.txt"
        why = f"; see {_shown(job.log_path)}" if job.log_path.exists() else ""
        made = _shown(text) if text.exists() else f"no transcript{why}"
        print(f"{Path(job.record.media.path).name}: {made}")
    if not any(sum(by_stage.values()) for by_stage in costs.values()) and (cloud := _hosted(batch.jobs)):
        print(f"On this machine at no cost; {HOSTED[0]}/{HOSTED[1]} would have cost ${cloud:,.4f}.")
    for user in sorted({job.user_id for job in batch.jobs}):
        print(_budget_line(user))
    if batch.admissions and (refused := batch.admissions.refused):
        print(f"Not started, since the budget cannot finish them: {', '.join(sorted(refused))}")


def _shown(path: Path) -> Path:
    """Return a path as it is shortest to type from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _hosted(jobs: Sequence[Job]) -> float:
    """Return what a hosted speech model would have cost for the recordings that were transcribed, in USD."""
    heard = [read_transcript(job.transcript_path) for job in jobs if job.transcript_path.exists()]
    with CostTracker(user_id=jobs[0].user_id) as tracker:
        return sum(
            tracker.estimate_cost(*HOSTED, audio_seconds=transcript.audio_seconds) for transcript in heard
        )


def _budget_line(user: str) -> str:
    with CostTracker(user_id=user) as tracker:
        spent, alerts = tracker.get_monthly_cost(), tracker.check_budget_alerts()
    try:
        limit = UserProfile.load(user).budget.monthly_limit
    except ProfileError as fault:
        return f"Budget of user {user}: month ${spent:,.2f}, limit unknown: {fault}"
    of_limit = f" of ${limit / 1e9:,.2f}" if limit is not None else ", no limit"
    return "\n".join([f"Budget of user {user}: month ${spent:,.2f}{of_limit}", *alerts])


def _exit_code(batch: Batch) -> int:
    states = [job.state(stage.name) for job in batch.jobs for stage in batch.stages]
    return int(any(state is None or state.status in {"failed", "interrupted", "running"} for state in states))


if __name__ == "__main__":
    sys.exit(main())
