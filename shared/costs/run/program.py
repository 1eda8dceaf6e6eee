"""Starts a program so that its AI calls are captured, and passes on signals and its exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

from ..capture.context import ATTEMPT_VARIABLE, PURSE_VARIABLE, RUN_VARIABLE, STAGE_VARIABLE
from ..errors import WrongUsage
from ..ledger.counted import new_id
from ..model import Entry
from ..rollup import Query, bucket_of
from ..storage import CostStorage
from ..store.store import Store
from ..tracking.context import JOB_DIR_VARIABLE, USER_VARIABLE

BOOTSTRAP: Final = Path(__file__).resolve().parent / "bootstrap"

_PASSED_ON: Final = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT")


@dataclass(frozen=True, slots=True)
class Assignment:
    """The job, stage and user that a program's calls are recorded for. ``None`` leaves it to the environment.

    ``purse`` is the file with the budget of the run; ``None`` for no budget.
    """

    job_dir: Path | None = None
    stage: str | None = None
    user: str | None = None
    attempt: int | None = None
    stream_usage: bool = True
    purse: Path | None = None


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """One start of a program. Its entries have ``id`` in their metadata, as ``run``."""

    id: str
    began: datetime

    @classmethod
    def begin(cls) -> ProgramRun:
        """Return a new run that begins now."""
        return cls(new_id(), datetime.now(UTC))


def environment(
    environ: Mapping[str, str],
    run: ProgramRun,
    assignment: Assignment,
    storage: CostStorage,
    profile: Path | None,
) -> dict[str, str]:
    """Return the program's environment, with the variables that make its Python processes report.

    >>> env = environment({"PYTHONPATH": "lib"}, ProgramRun("r-1", datetime.now(UTC)), Assignment(stage="13"),
    ...                   CostStorage(Path("/costs")), None)
    >>> env["PYTHONPATH"].endswith("bootstrap:lib"), env["COST_TRACKER_STAGE"], env["COST_TRACKER_RUN"]
    (True, '13', 'r-1')
    """
    path = [str(BOOTSTRAP), *filter(None, [environ.get("PYTHONPATH")])]
    variables = {
        "PYTHONPATH": os.pathsep.join(path),
        "COST_TRACKER_HOME": str(storage.root.absolute()),
        "COST_TRACKER_PROFILE": str(profile.absolute()) if profile else None,
        JOB_DIR_VARIABLE: str(assignment.job_dir.absolute()) if assignment.job_dir else None,
        STAGE_VARIABLE: assignment.stage,
        USER_VARIABLE: assignment.user,
        ATTEMPT_VARIABLE: str(assignment.attempt) if assignment.attempt else None,
        RUN_VARIABLE: run.id,
        PURSE_VARIABLE: str(assignment.purse.absolute()) if assignment.purse else None,
        "COST_TRACKER_STREAM_USAGE": None if assignment.stream_usage else "off",
        # Some instrumentations copy prompts and answers into their spans, which are not needed here.
        "TRACELOOP_TRACE_CONTENT": "false",
        "TRACELOOP_METRICS_ENABLED": "false",
    }
    return {**environ, **{name: value for name, value in variables.items() if value is not None}}


def start(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program and return its exit code; 128 + n if signal n ended it.

    Raises:
        WrongUsage: there is no such program.

    """
    if shutil.which(command[0], path=environ.get("PATH")) is None:
        raise WrongUsage(f"there is no program {command[0]!r}")
    with subprocess.Popen(command, env=dict(environ)) as child, _passing_signals_to(child):
        code = child.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _passing_signals_to(child: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    handlers: dict[int, Any] = {
        getattr(signal, name): pass_on for name in _PASSED_ON if hasattr(signal, name)
    }
    # The terminal sends Ctrl-C to every process of its group: passing it on would send it twice.
    handlers[signal.SIGINT] = signal.SIG_IGN if _terminal_reaches_both() else pass_on
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal_reaches_both() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False


def next_attempt(index: Store, ledger: Path, stage: str | None) -> int | None:
    """Return which attempt of its stage a program is: one more than the last in the ledger.

    ``None`` without a stage, since then nothing can be repeated.
    """
    if stage is None:
        return None
    index.catch_up(ledger)
    return 1 + max((entry.attempt for entry in index.entries(Query(ledger=ledger, stage=stage))), default=0)


def entries_of(index: Store, run: ProgramRun) -> list[Entry]:
    """Return the entries of a run, from all ledgers."""
    index.catch_up_all()
    since = datetime.fromtimestamp(bucket_of(run.began), UTC)
    return [entry for entry in index.entries(Query(start=since)) if entry.metadata.get("run") == run.id]
