"""For whom, and into which ledger, a tracker writes, and which stage a call that is made here belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..capture.context import WorkContext, work_context
from ..rollup import UNASSIGNED_JOB
from ..storage import LEDGER_NAME, CostStorage, job_id_of
from .labels import user_name

if TYPE_CHECKING:
    from .session import Session
    from .stage import Stage

INNERMOST: Final[ContextVar[Stage | None]] = ContextVar("cost_tracker_stage", default=None)
"""The stage whose block was entered last, in this thread or task."""


def current_stage(session: Session) -> Stage | None:
    """Return the stage that a call of ``session`` made here belongs to, if any."""
    stage = INNERMOST.get()
    while stage is not None and stage.session is not session:
        stage = stage.outer
    if stage is None and len(session.open_stages) == 1:
        return session.open_stages[0]
    return stage


JOB_DIR_VARIABLE: Final = "COST_TRACKER_JOB_DIR"
USER_VARIABLE: Final = "COST_TRACKER_USER"
DEFAULT_USER: Final = "1"


class JobContext(NamedTuple):
    """One job, its ledger, the user who pays, and what the environment says about the work."""

    job_id: str
    ledger: Path
    user_id: str
    work: WorkContext = WorkContext()

    @property
    def is_unassigned(self) -> bool:
        """Whether calls belong to no job."""
        return self.job_id == UNASSIGNED_JOB


def job_context(
    job_dir: str | Path | None, user_id: int | str | None, storage: CostStorage, environ: Mapping[str, str]
) -> JobContext:
    """Return the job that a tracker writes for: argument, else environment, else unassigned.

    A job's id is the name of its resolved directory, so ``out/latest`` gives the job it points to.

    Raises:
        TypeError, ValueError: the user id is no name, or the directory has none (``/``).
    """
    user = user_name(default_user(environ) if user_id is None else user_id)
    directory = job_dir if job_dir is not None else environ.get(JOB_DIR_VARIABLE)
    work = work_context(environ)
    if not directory:
        return JobContext(UNASSIGNED_JOB, storage.unassigned_ledger, user, work)
    resolved = Path(directory).resolve()
    return JobContext(job_id_of(resolved), resolved / LEDGER_NAME, user, work)


def default_user(environ: Mapping[str, str]) -> str:
    """Return the user of this environment: ``COST_TRACKER_USER``, else ``"1"``."""
    return environ.get(USER_VARIABLE) or DEFAULT_USER
