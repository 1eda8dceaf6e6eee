"""The facts of ``doctor``: each finding is asked for apart, so that one failure hides no other."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from ...budgets.gate import Gate
from ...errors import CostError
from ...ledger.spool import waiting
from ...notify.queue import standing
from ...periods import month
from ...platform import loose_modes
from ...rollup import Query
from ...views.common import plural
from ...views.upkeep import DoctorFacts, Finding
from ...workspace import Workspace


def doctor_facts(workspace: Workspace) -> DoctorFacts:
    """Return what was found about storage, profile, prices, index, ledgers, reservations, alerts ..."""
    findings = [found for look in _LOOKS for found in _tried(look, workspace)]
    return DoctorFacts(findings, workspace.clock())


def _tried(look: Callable[[Workspace], Iterator[Finding]], workspace: Workspace) -> list[Finding]:
    """Return a look's findings, or its failure as one."""
    try:
        return list(look(workspace))
    except (CostError, OSError) as fault:
        return [Finding(look.__name__.strip("_"), "wrong", str(fault), "mend what the message names")]


def _python(_: Workspace) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "ok", f"{version}, SQLite {sqlite3.sqlite_version}, {sys.executable}")


def _storage(workspace: Workspace) -> Iterator[Finding]:
    root = workspace.storage.root
    yield Finding("cost storage", "ok", str(root))
    loose = loose_modes([root, *sorted(root.rglob("*"))])
    for path, mode in loose[:5]:
        yield Finding("permissions", "wrong", f"{path} is open to others ({mode:o})", f"chmod go-rwx {path}")


def _profile(workspace: Workspace) -> Iterator[Finding]:
    loaded = workspace.loaded_profile()
    state, remedy = (
        ("wrong", "mend the file; until then the defaults hold and the gate refuses")
        if loaded.fault
        else ("ok", "")
    )
    yield Finding("profile", "wrong" if state == "wrong" else "ok", loaded.described, remedy)
    variable = workspace.environ.get("COST_TRACKER_PROFILE")
    if variable and not Path(variable).expanduser().exists():
        yield Finding(
            "profile",
            "wrong",
            f"COST_TRACKER_PROFILE names {variable}, which is not there",
            "write it, or unset it",
        )


def _prices(workspace: Workspace) -> Iterator[Finding]:
    loaded = workspace.loaded_catalogue()
    if loaded.fault:
        yield Finding(
            "prices", "wrong", str(loaded.fault), "mend the file; until then your own prices do not count"
        )
    elif workspace.prices_path and workspace.prices_path.exists():
        yield Finding("prices", "ok", f"the catalogue, with {workspace.prices_path} before it")
    else:
        yield Finding("prices", "ok", "the catalogue, without prices of your own")


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
    problems = workspace.index.problems()
    for problem in problems[:10]:
        yield Finding(
            "ledger",
            "wrong",
            str(problem),
            "cost-dashboard verify; the line stays, its call can be logged again",
        )
    if len(problems) > 10:
        yield Finding("ledger", "wrong", f"{len(problems) - 10} more lines", "cost-dashboard verify")
    if not problems:
        yield Finding("ledgers", "ok", "no damaged line")


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


def _reservations(workspace: Workspace) -> Iterator[Finding]:
    names = workspace.catalogue_name
    gate = Gate(workspace.index, workspace.storage.holders_dir, clock=workspace.clock, names=names)
    holds = gate.holds()
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


_LOOKS = (
    _python,
    _storage,
    _profile,
    _prices,
    _index,
    _ledgers,
    _spool,
    _unpriced,
    _reservations,
    _unreserved,
    _alerts,
)
