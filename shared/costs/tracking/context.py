"""The user and the ledger that a tracker writes for, the stage that a call made here belongs to, and the
checks of the names that callers give: users, stages, services and other labels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..capture.context import WorkContext, work_context
from ..model import plain_number
from ..rollup import UNASSIGNED_JOB
from ..storage import LEDGER_NAME, CostStorage, job_id_of, printable

if TYPE_CHECKING:
    from .session import Session
    from .stage import Stage

INNERMOST: Final[ContextVar[Stage | None]] = ContextVar("cost_tracker_stage", default=None)
"""The stage whose block this thread or task entered last."""


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
    """A job, its ledger, the user who pays, and what the environment says about the work."""

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
    """Return the job that a tracker writes for: the argument, else the environment's, else unassigned.

    A job's id is the name of its resolved directory, so ``out/latest`` gives the job it points to.

    Raises:
        TypeError, ValueError: the user id is not a name, or the directory has none (``/``).
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


# --- names that callers give

MAX_NAME: Final = 200
"""Longest name of a service, model, stage, user or other label, in characters."""

_BEGINNING: Final = 72
"""How many characters of a name or an id that is too long stay readable."""


def name(what: str, value: object) -> str:
    """Return a required label as it was given.

    Raises:
        TypeError: it is not text.
        ValueError: it is empty, too long, or has control characters or lone surrogates.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {value!r}")
    if not value.strip():
        raise ValueError(f"{what} must not be empty")
    if len(value) > MAX_NAME:
        raise ValueError(f"{what} must have at most {MAX_NAME} characters, not {len(value)}")
    if not value.isascii() or not value.isprintable():
        _refuse_control_characters(what, value)
    return value


def optional_name(what: str, value: object) -> str | None:
    """Return a label, or ``None`` if none (or an empty one) was given."""
    return None if value is None or value == "" else name(what, value)


def fitting(text: str | None) -> str | None:
    """Return a name or an id as an entry can hold it: a proxy's may be too long, or not one printable line.

    >>> fitting("resp_1"), len(fitting("resp_" + "a" * 300)), fitting("  ")
    ('resp_1', 137, None)
    """
    if text is None or not text.strip():
        return None
    if len(text) <= MAX_NAME and text.isprintable():
        return text
    import hashlib  # rarely needed: nearly every name fits

    beginning = printable(text[:_BEGINNING])
    return f"{beginning}~{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def positive(what: str, value: object) -> int | None:
    """Return a number that counts from 1, or ``None`` if none was given."""
    if value is None:
        return None
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be a whole number, not {value!r}")
    if not 1 <= value <= 1_000_000:
        raise ValueError(f"{what} counts from 1, not {value!r}")
    return value


def user_name(value: object) -> str:
    """Return a user id as text: ``1`` and ``"1"`` are the same user."""
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"user_id must be a number or a name, not {value!r}")
    return name("user_id", str(value))


def flag(what: str, value: object) -> bool:
    """Return a flag.

    Raises:
        TypeError: it is neither ``True`` nor ``False``.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, not {value!r}")
    return value


def _refuse_control_characters(what: str, value: str) -> None:
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise ValueError(f"{what} must have no control characters, but has {character!r} in {value!r}")
