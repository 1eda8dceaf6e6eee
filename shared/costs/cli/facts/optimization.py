"""The facts of ``show-optimization``."""

from __future__ import annotations

from ...analysis.caching import find_cacheable
from ...analysis.optimise import find_savings
from ...rollup import Query
from ...views.optimization import OptimizationFacts
from ...workspace import Workspace
from ..options import Span
from .common import health, zone_of


def optimization_facts(workspace: Workspace, user_id: str | None, span: Span) -> OptimizationFacts:
    """Return what a user's calls (``None``: everyone's) would have cost otherwise."""
    period = span.period(workspace.clock(), zone_of(workspace, user_id))
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    savings = find_savings(workspace.index.entries(query), workspace.catalogue)
    cacheable = find_cacheable(workspace.index.entries(query), workspace.catalogue)
    return OptimizationFacts(user_id, period, savings, health(workspace), cacheable)
