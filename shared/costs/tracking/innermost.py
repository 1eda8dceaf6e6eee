"""Which stage a call that is made here belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

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
