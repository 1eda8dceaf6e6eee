"""From a crossing to a queued notice and a sender that is on its way: all a stage ever does.

Nothing waits for a network: queuing is part of the transaction that remembers the alert as told,
and starting the sender takes some milliseconds.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..budgets.alerts import fire
from ..budgets.limits import Crossing
from ..budgets.wording import message
from ..profile.types import Profile
from .addresses import budget_for, has_address
from .queue import TABLES, Notice, put_within

if TYPE_CHECKING:
    from ..storage import CostStorage
    from ..workspace import Workspace

log = logging.getLogger("shared.cost_tracker")

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[3]
"""The directory that holds ``shared``: the sender must import the same code."""


def fire_and_tell(workspace: Workspace, crossed: Sequence[Crossing]) -> list[Crossing]:
    """Return the crossings that nobody was told of yet, and have them sent to whom the profile names.

    They are remembered as told and queued in one transaction, so a crash loses no notice.

    Raises:
        StorageUnavailable: the state cannot be used; nothing was remembered or queued.

    """
    profile, now, state = workspace.loaded_profile().profile, workspace.clock(), workspace.state
    if not any(_has_reader(profile, each) for each in crossed):
        return fire(state, crossed, now)
    queued: list[Notice] = []

    def queue(db: sqlite3.Connection, new: list[Crossing]) -> None:
        notices = notices_of(new, profile, now)
        put_within(db, notices)
        queued.extend(notices)

    state.use(TABLES)
    new = fire(state, crossed, now, queue)
    if queued:
        wake(workspace.storage)
    return new


def _has_reader(profile: Profile, crossed: Crossing) -> bool:
    return has_address(budget_for(profile, crossed.limit.scope.owner or ""))


def notices_of(crossed: Iterable[Crossing], profile: Profile, at: datetime) -> list[Notice]:
    """Return a notice for each crossing that has somebody to go to."""
    return [_notice(each, profile, at) for each in crossed if _has_reader(profile, each)]


def _notice(crossed: Crossing, profile: Profile, at: datetime) -> Notice:
    scope = crossed.limit.scope
    return Notice(
        audience=scope.owner or "",
        profile=str(profile.path.absolute()) if profile.path else "",
        key=f"{scope.key} {crossed.span} {crossed.threshold}",
        level="critical" if crossed.critical else "warning",
        text=f"{message(crossed)} | {scope}",
        made_at=at,
    )


def wake(storage: CostStorage) -> None:
    """Start a sender that outlives this process. Where that fails, the log says so and the queue keeps."""
    from importlib.util import find_spec

    if find_spec("apprise") is None:
        log.warning("alerts are queued, but nothing sends them: pip install 'cost-ledger[notify]'")
        return
    command = [sys.executable, "-m", "shared.costs.notify", str(storage.root)]
    path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    try:
        _run_detached(command, {**os.environ, "PYTHONPATH": path})
    except OSError as fault:
        log.warning("alerts are queued, but no sender could be started: %s", fault)


def _run_detached(command: list[str], environ: dict[str, str]) -> None:
    """Start a process through a shell that ends at once: it is nobody's child, and leaves no zombie."""
    import subprocess

    subprocess.run(
        ["/bin/sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "sh", *command],
        check=False,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environ,
    )
