"""The facts of ``show-optimization``."""

from __future__ import annotations

from ...analysis.improvements import find_improvements
from ...rollup import Query
from ...views.optimization import OptimizationFacts
from ...workspace import Workspace
from ..options import Span
from ..progress import in_turn, share_bar
from .common import counted, health, zone_of


def optimization_facts(workspace: Workspace, user_id: str | None, span: Span) -> OptimizationFacts:
    """Return what a user's calls (``None``: everyone's) would have cost otherwise."""
    period = span.period(workspace.clock(), zone_of(workspace, user_id))
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    with share_bar("Repricing") as told:
        [entries] = in_turn([counted(workspace, query)], told)
        found = find_improvements(entries, workspace.catalogue)
    return OptimizationFacts(
        user_id, period, found.savings, health(workspace), found.cacheable, found.waste, found.worths
    )
