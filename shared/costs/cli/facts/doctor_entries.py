"""The looks of ``doctor`` at what was recorded: index, ledgers, spool, prices missing, holds, alerts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ...budgets.gate import Gate
from ...index.catchup import GONE
from ...ledger.spool import waiting
from ...notify.queue import standing
from ...periods import month
from ...platform import loose_modes
from ...rollup import Query
from ...views.common import plural
from ...views.upkeep import Finding
from ...workspace import Workspace

CLOCK_TOLERANCE: Final = timedelta(minutes=1)
FUTURE: Final = timedelta(days=1)
"""Calls may be logged ahead by as much: clocks of several machines differ."""


def open_to_others(paths: Iterable[Path]) -> Iterator[Finding]:
    """Say which files other accounts may read or write: the first five of them."""
    for path, mode in loose_modes(paths)[:5]:
        yield Finding("permissions", "wrong", f"{path} is open to others ({mode:o})", f"chmod go-rwx {path}")


def _index(workspace: Workspace) -> Iterator[Finding]:
    index = workspace.index
    index.catch_up_all()
    if index.degraded:
        yield Finding("index", "wrong", index.degraded, "cost-dashboard rebuild-index")
        return
    jobs = len(index.jobs(Query()))
    calls = sum(group.totals.calls for group in index.groups((), Query()))
    yield Finding("index", "ok", f"{plural(jobs, 'job', 'jobs')}, {plural(calls, 'call', 'calls')}")


def _ledgers(workspace: Workspace) -> Iterator[Finding]:
    found = workspace.index.problems()
    gone = [problem for problem in found if problem.why == GONE]
    problems = [problem for problem in found if problem.why != GONE]
    remedy = "cost-dashboard verify; the line stays, its call can be logged again"
    for problem in problems[:10]:
        yield Finding("ledger", "wrong", str(problem), remedy)
    if len(problems) > 10:
        yield Finding("ledger", "wrong", f"{len(problems) - 10} more lines", "cost-dashboard verify")
    if gone:
        text = f"{plural(len(gone), 'ledger is', 'ledgers are')} gone: {gone[0].path}"
        yield Finding(
            "ledgers", "note", text, "put it back, if its entries are to be shown; its sums are kept"
        )
    if not found:
        yield Finding("ledgers", "ok", "no damaged line")


def _permissions(workspace: Workspace) -> Iterator[Finding]:
    """Say which ledgers other accounts can read or write."""
    ledgers = [ledger.path for ledger in workspace.index.registry.all()]
    yield from open_to_others(ledgers)


def _future(workspace: Workspace) -> Iterator[Finding]:
    """Say when the clock is wrong now, or was when something was reserved or logged."""
    now, gate = workspace.clock(), _gate(workspace)
    latest = gate.latest()
    if latest - now > CLOCK_TOLERANCE:
        text = f"reservations count at {latest:%Y-%m-%d %H:%M} UTC, which is yet to come"
        remedy = "set the clock, or if it is right now: cost-dashboard reservations reset-clock"
        yield Finding("clock", "wrong", text, remedy)
    later = workspace.index.groups((), Query(start=now + FUTURE))
    calls = sum(group.totals.calls for group in later)
    if calls:
        text = f"{plural(calls, 'call lies', 'calls lie')} more than a day in the future"
        yield Finding("clock", "note", text, "set the clock of the machine that logged them")
    if latest - now <= CLOCK_TOLERANCE and not calls:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC, and nothing lies after it")


def _spool(workspace: Workspace) -> Iterator[Finding]:
    lines = list(waiting(workspace.storage))
    damaged = [line for line in lines if line.is_damaged]
    for line in damaged[:5]:
        yield Finding("spool", "wrong", f"{line.path} is damaged", "look at it, then move it away")
    good = len(lines) - len(damaged)
    if good:
        ledgers = sorted({str(line.ledger) for line in lines if not line.is_damaged})
        calls = plural(good, "entry waits", "entries wait")
        yield Finding(
            "spool",
            "wrong",
            f"{calls} for {ledgers[0]}",
            "make that ledger writable; the next call writes them",
        )
    if not lines:
        yield Finding("spool", "ok", "nothing waits outside its ledger")


def _unpriced(workspace: Workspace) -> Iterator[Finding]:
    groups = workspace.index.groups(("service", "model"), Query())
    models = [f"{g.key[0]}/{g.key[1]}" for g in groups if g.totals.unpriced_calls]
    if models:
        calls = plural(sum(g.totals.unpriced_calls for g in groups), "call", "calls")
        remedy = f"add the prices to {workspace.prices_path or 'prices.yaml'}, then cost-dashboard reprice"
        yield Finding("unpriced", "note", f"{calls} to {', '.join(models[:5])}", remedy)
    else:
        yield Finding("unpriced", "ok", "every call has a price")


def _gate(workspace: Workspace) -> Gate:
    names = workspace.catalogue_name
    return Gate(workspace.index, workspace.storage.holders_dir, clock=workspace.clock, names=names)


def _reservations(workspace: Workspace) -> Iterator[Finding]:
    holds = _gate(workspace).holds()
    orphans = [held for held in holds if held.reservation.orphaned]
    if orphans:
        remedy = "cost-dashboard reservations release, once you know that they were not billed"
        yield Finding(
            "reservations", "note", f"{plural(len(orphans), 'orphan', 'orphans')} still counted", remedy
        )
    else:
        yield Finding("reservations", "ok", f"{len(holds)} live")


def _unreserved(workspace: Workspace) -> Iterator[Finding]:
    """Say for whom calls of this month were logged without a reservation under a blocking limit."""
    profile = workspace.loaded_profile().profile
    now = workspace.clock()
    for group in workspace.index.groups(("user_id",), Query()):
        user = profile.for_user(str(group.key[0]))
        if not user.budget.block_at_limit:
            continue
        period = month(now, user.timezone)
        entries = workspace.index.entries(Query(start=period.start, end=period.end, user_id=user.user_id))
        count = sum(1 for e in entries if e.kind == "usage" and e.cost > 0 and e.reservation is None)
        if count:
            calls = plural(count, "call", "calls")
            remedy = "reserve before calling: a limit can only hold back calls that ask"
            yield Finding(
                "unreserved",
                "note",
                f"{calls} of user {user.user_id} this month, under a blocking limit",
                remedy,
            )


def _alerts(workspace: Workspace) -> Iterator[Finding]:
    """Say which alerts were not sent, and whether anything could send them."""
    found = standing(workspace.state, workspace.clock())
    for text, why in found.given_up[:5]:
        yield Finding("alerts", "wrong", f"given up: {text}: {why}", "cost-dashboard notify test")
    if found.waiting:
        waits = plural(found.waiting, "alert waits", "alerts wait") + " to be sent"
        if find_spec("apprise") is None:
            yield Finding("alerts", "wrong", waits, "pip install 'cost-ledger[notify]'")
        else:
            yield Finding("alerts", "note", waits, "cost-dashboard notify send")
    elif not found.given_up:
        yield Finding("alerts", "ok", "none waits to be sent")


LOOKS: Final = (
    _index,
    _ledgers,
    _permissions,
    _future,
    _spool,
    _unpriced,
    _reservations,
    _unreserved,
    _alerts,
)
"""All of them, in the order in which they are told."""
