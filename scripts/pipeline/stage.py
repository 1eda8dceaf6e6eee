"""What every stage script does around its work: command line, log, job state, exit code.

Exit codes: 0 done (or skipped with a reason), 1 stopped by a budget, 2 wrong usage, 3 could not do
it, 130 and 143 ended by a signal. An error is in the job's log with its traceback; the terminal
shows its text alone.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from .config import apply_stage_config, config_path
from .engines import AUTO, EngineKind, EngineOptions
from .faults import StageSkipped, WrongUsage
from .job import Job

FAILED: Final = 3
INTERRUPTED: Final = 130


@dataclass(frozen=True)
class StageRun:
    """One attempt at a stage of a job: where, with which options, and where to report."""

    name: str
    job: Job
    options: argparse.Namespace
    log: logging.Logger
    attempt: int

    @property
    def override(self) -> str | None:
        """By what a budget's refusal is overridden: the entry keeps it. ``None`` for not at all."""
        return "--skip-budget-check" if self.options.skip_budget_check else None

    def open_engine(self, kind: EngineKind, **more: str) -> Any:
        """Return the engine that the options name; ``more`` are engine options of this one call.

        Raises:
            StageFailed, StageSkipped: it cannot be used here, or there is none at hand.
        """
        return kind.open(self.options.engine, self._engine_options(more))

    def open_engines(self, kind: EngineKind, **more: str) -> list[Any]:
        """Return the engine that the options name, and it with each model of ``--or``, in that order.

        Raises:
            StageFailed, StageSkipped: one cannot be used here.
        """
        options = self._engine_options(more)
        others = [replace(options, model=model) for model in self.options.alternatives or ()]
        return [self.open_engine(kind, **more), *(kind.open(self.options.engine, each) for each in others)]

    def open_fallback(self, kind: EngineKind, denied: Exception, **more: str) -> Any:
        """Return what ``--on-budget`` says to use after a reservation was denied: a local engine.

        Raises:
            StageSkipped: for ``skip``, or when no local engine is at hand.
            Exception: ``denied`` itself, for ``stop``.
        """
        if self.options.on_budget == "stop":
            raise denied
        if self.options.on_budget == "skip":
            raise StageSkipped(str(denied))
        self.log.warning("%s\nFalling back to a local engine.", denied)
        return kind.open(AUTO, replace(self._engine_options(more), model=None))

    def _engine_options(self, more: Mapping[str, str]) -> EngineOptions:
        given = {**vars(self.options), **more}
        return EngineOptions(
            **{name: given[name] for name in _ENGINE_OPTIONS & given.keys() if given[name] is not None}
        )


_ENGINE_OPTIONS: Final = frozenset(EngineOptions.__dataclass_fields__)

StageWork = Callable[[StageRun], None]


def stage_parser(description: str | None, kind: EngineKind) -> argparse.ArgumentParser:
    """Return a parser with the options that all stages share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job_dir", metavar="JOB_DIR", type=Path, help="the job's directory")
    parser.add_argument("--config", metavar="FILE", help="default: config/pipeline.yaml, where there is one")
    parser.add_argument("--resume", action="store_true", help="do nothing when this stage is completed")
    parser.add_argument(
        "--engine",
        choices=kind.names,
        default=AUTO,
        help=f"default: the first local one at hand. {_remote(kind)}",
    )
    parser.add_argument("--model", help="a model of the engine")
    parser.add_argument(
        "--or",
        dest="alternatives",
        nargs="+",
        metavar="MODEL",
        help="models to use, the first that fits, when a blocking budget denies the one that is named",
    )
    parser.add_argument("--download", action="store_true", help="let a local engine fetch its weights")
    parser.add_argument("--base-url", metavar="URL", help="address of an OpenAI-compatible server")
    parser.add_argument(
        "--on-budget",
        choices=("fallback", "skip", "stop"),
        default="fallback",
        help="when a blocking budget denies the call: use a local engine (default), skip, or stop",
    )
    parser.add_argument(
        "--skip-budget-check",
        action="store_true",
        help="call even without room in the budget; recorded as such",
    )
    parser.add_argument("--service", metavar="NAME", help="what the provider is called in the ledger")
    return parser


def _remote(kind: EngineKind) -> str:
    return f"Only when named, since they send data away: {', '.join(kind.remote)}"


def run_stage(name: str, parser: argparse.ArgumentParser, work: StageWork) -> int:
    """Run ``work`` as stage ``name`` of the job on the command line; return the exit code."""
    try:
        options = _options(name, parser)
        job = Job(options.job_dir)
        with _only_one(job):
            if options.resume and job.completed(name):
                return 0
            with _logging_to(job, name) as log:
                return _attempt(StageRun(name, job, options, log, job.begin(name)), work)
    except WrongUsage as fault:
        print(f"{parser.prog}: {fault}", file=sys.stderr)
        return fault.exit_code


def _options(name: str, parser: argparse.ArgumentParser) -> argparse.Namespace:
    first, _ = parser.parse_known_args()
    apply_stage_config(parser, name, config_path(first.config))
    return parser.parse_args()


def _attempt(run: StageRun, work: StageWork) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    try:
        work(run)
    except StageSkipped as reason:
        run.log.warning("Skipped: %s", reason)
        run.job.end(run.name, "skipped", str(reason))
        return 0
    except (KeyboardInterrupt, SystemExit) as end:
        run.log.warning("Interrupted")
        run.job.end(run.name, "interrupted", "ended by a signal")
        return int(end.code or 0) if isinstance(end, SystemExit) else INTERRUPTED
    except Exception as fault:  # the edge of the program: every error ends in the log and in an exit code
        return _failed(run, fault)
    run.job.end(run.name, "completed")
    return 0


def _failed(run: StageRun, fault: Exception) -> int:
    text = str(fault) if hasattr(fault, "exit_code") else f"{type(fault).__name__}: {fault}"
    run.log.error("Failed: %s", text)
    run.log.debug("Traceback", exc_info=fault)
    run.job.end(run.name, "failed", text)
    return int(getattr(fault, "exit_code", FAILED))


def _terminated(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (the signature of signal handlers)
    """End by SIGTERM as by an exception, so that every ``with`` block on the way is left properly."""
    raise SystemExit(128 + number)


@contextmanager
def _logging_to(job: Job, name: str) -> Iterator[logging.Logger]:
    """Send all logging to the job's log, and what a person has to see to standard error.

    That is what the stage itself says, and the warnings of others. Tracebacks are in the job's log.
    """
    log = logging.getLogger(name)
    log.setLevel(logging.DEBUG)
    file = logging.FileHandler(job.log_path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO)
    terminal.addFilter(lambda record: record.name == name or record.levelno >= logging.WARNING)
    handlers = (file, terminal)
    for handler in handlers:
        logging.root.addHandler(handler)
    logging.getLogger("shared").setLevel(logging.INFO)
    try:
        yield log
    finally:
        for handler in handlers:
            logging.root.removeHandler(handler)
            handler.close()


@contextmanager
def _only_one(job: Job) -> Iterator[None]:
    """Keep a second process from running a stage of the same job at the same time.

    Raises:
        WrongUsage: another process is at it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(job.path / ".running.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise WrongUsage(f"{job.id}: another process is running a stage of this job") from None
    try:
        yield
    finally:
        lock.release()
