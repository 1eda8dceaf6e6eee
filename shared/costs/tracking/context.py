"""For whom, and into which ledger, a tracker writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from ..capture.context import WorkContext, work_context
from ..rollup import UNASSIGNED_JOB
from ..storage import LEDGER_NAME, CostStorage, job_id_of
from .labels import user_name

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
