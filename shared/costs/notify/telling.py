"""From a crossing to a queued notice and a sender that is on its way: all a stage ever does.

Nothing here raises into a stage, and nothing waits for a network: queuing is one small transaction,
starting the sender two milliseconds.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..budgets.limits import Crossing, message
from ..errors import CostError
from ..profile.types import Profile
from .queue import Notice, put

if TYPE_CHECKING:
    from ..storage import CostStorage
    from ..workspace import Workspace

log = logging.getLogger("shared.cost_tracker")

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[3]
"""The directory that holds ``shared``: the sender must import the same code."""


def tell(workspace: Workspace, crossed: Iterable[Crossing]) -> int:
    """Queue notices of crossings for those whose addresses the profile names, and wake the sender.

    Returns how many were queued. A failure is logged and never raised: the alert is in the log too.
    """
    notices = notices_of(crossed, workspace.loaded_profile().profile, workspace.clock())
    if not notices:
        return 0
    try:
        queued = put(workspace.state, notices)
        if queued:
            wake(workspace.storage)
    except (CostError, OSError) as fault:
        log.warning("alerts could not be queued for sending: %s", fault)
        return 0
    return queued


def notices_of(crossed: Iterable[Crossing], profile: Profile, at: datetime) -> list[Notice]:
    """Return a notice for each crossing that has somebody to go to."""
    from .sender import budget_for

    found = []
    for each in crossed:
        scope = each.limit.scope
        budget = budget_for(profile, scope.owner or "")
        if budget.notify or budget.notification_email:
            found.append(
                Notice(
                    audience=scope.owner or "",
                    profile=str(profile.path.absolute()) if profile.path else "",
                    key=f"{scope.key} {each.limit.span} {each.threshold}",
                    level="critical" if each.critical else "warning",
                    text=f"{message(each)} | {scope}",
                    made_at=at,
                )
            )
    return found


def wake(storage: CostStorage) -> None:
    """Start a sender that outlives this process, unless Apprise is missing, which is said in the log.

    Raises:
        OSError: no process can be started.

    """
    # Imported here: a stage process that crosses no limit does not pay for them.
    import subprocess
    from importlib.util import find_spec

    if find_spec("apprise") is None:
        log.warning("alerts are queued, but nothing sends them: pip install 'cost-ledger[notify]'")
        return
    command = [sys.executable, "-m", "shared.costs.notify", str(storage.root)]
    path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    # Through a shell that ends at once, the sender becomes nobody's child: no zombie, nothing to wait for.
    subprocess.run(
        ["/bin/sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "sh", *command],
        check=False,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )
