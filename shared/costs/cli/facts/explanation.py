"""The facts of ``explain``: entries of two months, weeks, days or jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ...analysis.explain import explain
from ...errors import WrongUsage
from ...model import Entry
from ...periods import Period, between, parse_month, week
from ...rollup import Query
from ...views.common import named
from ...views.explanation import ExplainFacts
from ...workspace import Workspace
from ..jobs import find_job
from ..progress import in_turn, share_bar
from .common import counted, health, zone_of
from .job import entries_of_job


def explain_facts(workspace: Workspace, before: str, after: str, query: Query) -> ExplainFacts:
    """Return why ``after`` costs more or less than ``before``; each names a period or a job.

    Raises:
        WrongUsage, UnknownJob: one of them names nothing.
    """
    zone = zone_of(workspace, query.user_id)
    workspace.index.catch_up_all()
    first, second = (_side(workspace, name, query, zone) for name in (before, after))
    with share_bar("Comparing") as told:
        parts = explain(*in_turn([(side.entries, side.calls) for side in (first, second)], told))
    alike = _alike(period_named(before, zone), period_named(after, zone), workspace.clock())
    doubts = health(workspace)
    if first.problems is not None and second.problems is not None:
        doubts = doubts._replace(problems=first.problems + second.problems)
    return ExplainFacts(first.name, second.name, parts, doubts, alike)


def _alike(before: Period | None, after: Period | None, now: datetime) -> str | None:
    """Return the command that compares as many days of two months or weeks, of which one is not over."""
    if before is None or after is None or before.kind != after.kind or not (now in before or now in after):
        return None
    begun = now.astimezone(before.zone).date()
    sides = [period.dates() for period in (before, after)]
    days = min(len([day for day in dates if day <= begun]) for dates in sides)
    if not days or {len(dates) for dates in sides} == {days}:
        return None
    first, second = (f"{dates[0]}..{dates[days - 1]}" for dates in sides)
    return f"cost-dashboard explain {first} {second}"


class _Side(NamedTuple):
    """What to call one side, its entries and how many calls they are about.

    ``problems`` are what is wrong in a job's ledger (``None`` of a period).
    """

    name: str
    entries: Iterable[Entry]
    calls: int
    problems: tuple[str, ...] | None = None


def _side(workspace: Workspace, name: str, query: Query, zone: ZoneInfo) -> _Side:
    period = period_named(name, zone)
    if period is not None:
        within = query._replace(start=period.start, end=period.end)
        return _Side(named(period), *counted(workspace, within))
    job = find_job(workspace, name)
    entries, problems = entries_of_job(workspace, job)
    mine = [e for e in entries if query.user_id in (None, e.user_id) and query.stage in (None, e.stage)]
    return _Side(job.job_id, mine, len(mine), tuple(map(str, problems)))


def period_named(name: str, zone: ZoneInfo) -> Period | None:
    """Return the period a name means: ``2026-10``, ``2026-W41``, ``2026-10-05`` or ``FIRST..LAST``.

    Raises:
        WrongUsage: it looks like a period and is none.

    >>> period_named("2026-W41", ZoneInfo("UTC")).name, period_named("job-1", ZoneInfo("UTC"))
    ('2026-W41', None)
    """
    if not re.fullmatch(r"\d{4}-(\d\d|W\d\d|\d\d-\d\d(\.\.\d{4}-\d\d-\d\d)?)", name, re.ASCII):
        return None
    try:
        if "W" in name:
            monday = date.fromisocalendar(int(name[:4]), int(name[6:]), 1)
            return week(datetime(monday.year, monday.month, monday.day, 12, tzinfo=zone), zone)
        if len(name) == len("2026-10"):
            return parse_month(name, zone)
        first, _, last = name.partition("..")
        return between(date.fromisoformat(first), date.fromisoformat(last or first), zone)
    except ValueError as fault:
        raise WrongUsage(f"{name!r} is no month, week or day: {fault}") from fault
