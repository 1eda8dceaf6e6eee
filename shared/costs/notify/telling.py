"""From a crossing, told once, to a queued notice and a sender that is on its way: all a stage ever does.

Nothing waits for a network: queuing is part of the transaction that marks the alert as reported,
and starting the sender takes some milliseconds.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..budgets.limits import FULL, Crossing
from ..budgets.port import Alarm, Level, Notice, Notices
from ..budgets.wording import message
from ..extras import install_command
from ..profile.types import Profile
from .addresses import budget_for, has_address

if TYPE_CHECKING:
    from ..storage import CostStorage
    from ..workspace import Workspace

NoticeFor = Callable[[Crossing], Notice | None]
"""Gives the notice that is to be sent of a crossing; ``None`` where nobody wants one."""


def fire(
    notices: Notices, crossed: Iterable[Crossing], at: datetime, notice_for: NoticeFor = lambda _: None
) -> list[Crossing]:
    """Return the crossings that nobody was told of yet, and remember them as told.

    What ``notice_for`` gives for them is queued with that: both are kept, or neither. Of two processes
    that ask at once exactly one gets a crossing. Lower thresholds of the same scope and period count as
    told with it: falling back below the higher one is no news.

    Raises:
        StorageUnavailable: the state cannot be read or written; nothing was remembered.

    """
    candidates = list(crossed)
    if not candidates:
        return []
    alarms = [_alarm(each, notice_for(each)) for each in candidates]
    return [candidates[place] for place in notices.fire(alarms, at)]


def _alarm(crossed: Crossing, notice: Notice | None) -> Alarm:
    reached = sorted({t for t in (*crossed.limit.thresholds, FULL) if t <= crossed.threshold})
    return Alarm(crossed.limit.scope.key, crossed.span, crossed.threshold, tuple(reached), notice)


log = logging.getLogger("shared.cost_tracker")

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[3]
"""The directory that holds ``shared``: the sender must import the same code."""


def fire_and_tell(workspace: Workspace, crossed: Sequence[Crossing]) -> list[Crossing]:
    """Return the crossings that are new, and have them sent to whom the profile names.

    They are marked as reported and queued in one transaction, so a crash loses no notice.

    Raises:
        StorageUnavailable: the state cannot be used; nothing was remembered or queued.

    """
    profile, now = workspace.loaded_profile().profile, workspace.clock()
    new = fire(workspace.notices, crossed, now, lambda each: notice_of(each, profile, now))
    if any(_has_reader(profile, each) for each in new):
        wake(workspace.storage)
    return new


def _has_reader(profile: Profile, crossed: Crossing) -> bool:
    return has_address(budget_for(profile, crossed.limit.scope.owner or ""))


def notice_of(crossed: Crossing, profile: Profile, at: datetime) -> Notice | None:
    """Return the notice of a crossing; ``None`` where it has nobody to go to."""
    if not _has_reader(profile, crossed):
        return None
    scope = crossed.limit.scope
    return Notice(
        audience=scope.owner or "",
        profile=_address_book(profile),
        key=f"{scope.key} {crossed.span} {crossed.threshold}",
        level="critical" if crossed.critical else "warning",
        text=f"{message(crossed)} | {scope}",
        made_at=at,
    )


def tell_of_repetition(workspace: Workspace, audience: str, key: str, level: Level, text: str) -> None:
    """Have somebody (empty: the organisation) told of a request that is sent again and again, once a day.

    Raises:
        StorageUnavailable: the state cannot be used; nothing was queued.

    """
    profile = workspace.loaded_profile().profile
    if not has_address(budget_for(profile, audience)):
        return
    notice = Notice(
        audience=audience,
        profile=_address_book(profile),
        key=f"{key} {level}",
        level=level,
        text=f"{'🚨 CRITICAL' if level == 'critical' else '⚠️  WARNING'}: {text}",
        made_at=workspace.clock(),
    )
    if workspace.notices.enqueue([notice]):
        wake(workspace.storage)


def _address_book(profile: Profile) -> str:
    return str(profile.path.absolute()) if profile.path else ""


def wake(storage: CostStorage) -> None:
    """Start a sender that outlives this process. Where that fails, the log says so and the queue keeps."""
    from importlib.util import find_spec

    if find_spec("apprise") is None:
        log.warning("alerts are queued, but nothing sends them: %s", install_command("notify"))
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
