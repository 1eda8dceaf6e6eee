"""The facts of ``whatif``."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis.whatif import Swap, what_if
from ...views.whatif import WhatIfFacts
from ...workspace import Workspace
from ..progress import in_turn, share_bar
from .common import counted, health, zone_of
from .period import Asked


def whatif_facts(workspace: Workspace, asked: Asked, swaps: Sequence[Swap]) -> WhatIfFacts:
    """Return what the calls that were asked about would have cost with the swaps."""
    period = asked.span.period(workspace.clock(), zone_of(workspace, asked.query.user_id))
    workspace.index.catch_up_all()
    query = asked.query._replace(start=period.start, end=period.end)
    with share_bar("Repricing") as told:
        [entries] = in_turn([counted(workspace, query)], told)
        found = what_if(entries, swaps, workspace.catalogue)
    used = {outcome.swap for outcome in found.outcomes}
    unused = [swap for swap in swaps if swap not in used]
    return WhatIfFacts(period, found, unused, asked.filters, health(workspace))
