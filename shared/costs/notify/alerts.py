"""Alerts from a stage: each crossing is reported once, its notice queued, and a sender started.

Nothing waits for a network: queuing is part of the transaction that marks the alert as reported, and starting
the sender takes some milliseconds.
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
"""Returns the notice to send for a crossing; ``None`` if it has no recipient."""


def fire(
    notices: Notices, crossings: Iterable[Crossing], at: datetime, notice_for: NoticeFor = lambda _: None
) -> list[Crossing]:
    """Return the crossings that were not reported yet, and mark them as reported.

    Their notices from ``notice_for`` are queued in the same transaction: both are kept, or neither. If two
    processes call this at once, exactly one gets a crossing. Lower thresholds of the same scope and period
    count as reported with it, so that falling back below the higher one alerts nobody.

    Raises:
        StorageUnavailable: the state cannot be read or written; nothing was marked.

    """
    candidates = list(crossings)
    if not candidates:
        return []
    alarms = [_alarm(crossing, notice_for(crossing)) for crossing in candidates]
    return [candidates[index] for index in notices.fire(alarms, at)]


def _alarm(crossing: Crossing, notice: Notice | None) -> Alarm:
    reached = sorted({t for t in (*crossing.limit.thresholds, FULL) if t <= crossing.threshold})
    return Alarm(crossing.limit.scope.key, crossing.span, crossing.threshold, tuple(reached), notice)


log = logging.getLogger("shared.cost_tracker")

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[3]
"""The directory that holds ``shared``: the sender must import the same code."""


def notify_crossings(workspace: Workspace, crossings: Sequence[Crossing]) -> list[Crossing]:
    """Return the crossings that are new, and send them to the addresses that the profile names.

    They are marked as reported and queued in one transaction, so a crash loses no notice.

    Raises:
        StorageUnavailable: the state cannot be used; nothing was marked or queued.

    """
    profile, now = workspace.loaded_profile().profile, workspace.clock()
    new = fire(workspace.notices, crossings, now, lambda crossing: notice_of(crossing, profile, now))
    if any(_has_recipient(profile, crossing) for crossing in new):
        wake(workspace.storage)
    return new


def _has_recipient(profile: Profile, crossing: Crossing) -> bool:
    return has_address(budget_for(profile, crossing.limit.scope.owner or ""))


def notice_of(crossing: Crossing, profile: Profile, at: datetime) -> Notice | None:
    """Return the notice for a crossing; ``None`` if the profile names no address for it."""
    if not _has_recipient(profile, crossing):
        return None
    scope = crossing.limit.scope
    return Notice(
        audience=scope.owner or "",
        profile=_address_book(profile),
        key=f"{scope.key} {crossing.span} {crossing.threshold}",
        level="critical" if crossing.critical else "warning",
        text=f"{message(crossing)} | {scope}",
        made_at=at,
    )


def notify_repetition(workspace: Workspace, audience: str, key: str, level: Level, text: str) -> None:
    """Alert a user (empty: the organisation) to a request that is sent again and again, once a day.

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
    """Start a sender that outlives this process. If that fails, log a warning: the notices stay queued."""
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
    """Start a process through a shell that ends at once, so that it is not our child and leaves no zombie."""
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
