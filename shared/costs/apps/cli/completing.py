"""What the shell offers while a command is typed: job ids, periods, users, stages, models ..."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from ...rollup import Dimension, Query
from ...workspace import Workspace

Completion = Callable[[object, object, str], list[str]]
"""What click asks: the context, the parameter, and what was typed of it so far."""


def complete_job(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """Return the job ids that begin with what was typed."""
    with _quietly() as workspace:
        return _beginning(incomplete, (job.job_id for job in workspace.index.jobs(Query())))


def complete_side(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """Return the months with calls, and the jobs, that begin with what was typed."""
    with _quietly() as workspace:
        buckets = workspace.index.groups(("bucket",), Query())
        starts = (datetime.fromtimestamp(int(group.key[0] or 0), UTC) for group in buckets)
        months = (f"{start:%Y-%m}" for start in starts)
        jobs = (job.job_id for job in workspace.index.jobs(Query()))
        return _beginning(incomplete, (*months, *jobs))


def complete_name(dimension: Dimension) -> Completion:
    """Return what completes a name that calls were logged with."""

    def complete(_ctx: object, _param: object, incomplete: str) -> list[str]:
        with _quietly() as workspace:
            keys = (group.key[0] for group in workspace.index.groups((dimension,), Query()))
            names = (name for key in keys if key is not None for name in str(key).split(","))
            return _beginning(incomplete, names)

    return complete


def completion_of(names: Dimension | Literal["job", "side"]) -> Completion:
    """Return what completes names of this kind."""
    if names == "job":
        return complete_job
    return complete_side if names == "side" else complete_name(names)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})


@contextmanager
def _quietly() -> Iterator[Workspace]:
    """Open the workspace without a word: what is said here would land in the line that is being typed."""
    import logging  # 3 ms that no command pays for whom nothing is completed

    before = logging.root.manager.disable
    logging.disable()
    try:
        with Workspace() as workspace:
            yield workspace
    finally:
        logging.disable(before)
