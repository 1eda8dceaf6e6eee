"""What is wrong with your set-up or your ledgers, and how to fix it.

Looks at storage, permissions, profile, prices, index, ledgers, clock, spool, unpriced calls,
reservations, archives and alerts. Changes nothing. Exit code 1 when something is wrong.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, NamedTuple

from ..archive.known import KnownArchives
from ..errors import CostError, StorageUnavailable
from ..extras import install_command
from ..ledger.spool import waiting
from ..money import Nanos, format_usd
from ..notify.sender import status
from ..periods import month
from ..platform import loose_modes, runtime, with_home
from ..pricing.check import stale
from ..rollup import Query
from ..storage import CostStorage
from ..workspace import Workspace
from .common import counted_before, plural
from .document import Column, Note, Report, Table, derive
from .reader import Reader
from .spec import Spec

State = Literal["ok", "note", "wrong"]


class Finding(NamedTuple):
    """One thing that was looked at. ``note`` is worth knowing, ``wrong`` needs ``remedy``.

    ``command`` is the part of the remedy that can be run as it stands.
    """

    what: str
    state: State
    found: str
    remedy: str = ""
    command: str = ""


class DoctorFacts(NamedTuple):
    """What was looked at, and when."""

    findings: Sequence[Finding]
    at: datetime

    @property
    def exit_code(self) -> int:
        """1 when something is wrong."""
        return int(any(finding.state == "wrong" for finding in self.findings))


Look = Callable[[Reader], Iterator[Finding]]


def doctor_facts(reader: Reader, _: None = None) -> DoctorFacts:
    """Return what was found about storage, profile, prices, index, ledgers, reservations, alerts ...

    Nothing is repaired, and only what can be derived is written: the index is brought up to date with the
    ledgers, as every report does. A cost storage that is not there yet is not made; of one that cannot be
    used that is all there is to say, beside the set-up.
    """
    storage = _whether_usable(reader.storage)
    if storage is None:
        return _found(reader, (_storage, _disks, *_SET_UP, *LOOKS))
    with TemporaryDirectory() as nowhere:
        elsewhere = Workspace(nowhere, reader.profile_path, environ=reader.environ, clock=lambda: reader.now)
        with elsewhere:
            rest = _found(Reader(elsewhere), _SET_UP)
    return rest._replace(findings=[storage, *rest.findings])


def _whether_usable(storage: CostStorage) -> Finding | None:
    """Return why a cost storage cannot be used now; ``None`` where it can."""
    if not os.path.exists(storage.root):
        return _to_be_made(storage.root)
    try:
        storage.require()
    except StorageUnavailable as fault:
        return Finding("cost storage", "wrong", *str(fault).removeprefix("the cost storage ").split("; ", 1))
    return None


def _to_be_made(root: Path) -> Finding:
    """Say whether a cost storage that is not there can be made."""
    above = next(folder for folder in root.parents if os.path.exists(folder))
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        remedy = "the first call that is logged makes it"
        return Finding("cost storage", "note", f"{root} is not there yet", remedy)
    text = f"{root} cannot be made: {above} takes no new folders"
    return Finding("cost storage", "wrong", text, "name another folder with COST_TRACKER_HOME")


def _found(reader: Reader, looks: Sequence[Look]) -> DoctorFacts:
    findings = [finding for look in looks for finding in _tried(look, reader)]
    return DoctorFacts(findings, reader.now)


def _tried(look: Look, reader: Reader) -> list[Finding]:
    """Return a look's findings, or its failure as one."""
    try:
        return list(look(reader))
    except (CostError, OSError) as fault:
        return [Finding(look.__name__.strip("_"), "wrong", str(fault), "mend what the message names")]


def _python(_: Reader) -> Iterator[Finding]:
    yield Finding("python", "ok", runtime())


def _storage(reader: Reader) -> Iterator[Finding]:
    root = reader.storage.root
    yield Finding("cost storage", "ok", str(root))
    yield from open_to_others([root, *sorted(root.rglob("*"))])


LEAST_FREE: Final = 4_000_000
"""Bytes: sums are written anew as a whole, and take a few megabytes for some ten thousand calls."""


def _disks(reader: Reader) -> Iterator[Finding]:
    """Say which disks with ledgers, or with the storage itself, have no space left to write to."""
    folders = (reader.storage.root, *(ledger.parent for ledger in reader.index.ledgers()))
    disks = {os.stat(folder).st_dev: folder for folder in folders if os.path.isdir(folder)}
    for folder in disks.values():
        free = shutil.disk_usage(folder).free
        if free < LEAST_FREE:
            yield Finding("disk", "wrong", f"{free:,} bytes are free at {folder}", "free some space there")


def _profile(reader: Reader) -> Iterator[Finding]:
    loaded = reader.loaded_profile()
    state, remedy = (
        ("wrong", "mend the file; until then the defaults hold and the gate refuses")
        if loaded.fault
        else ("ok", "")
    )
    yield Finding("profile", "wrong" if state == "wrong" else "ok", loaded.description, remedy)
    for change in loaded.loosened:
        yield Finding("profile", "note", f"changed lately: {change}", "set it back if that was not meant")
    variable = reader.environ.get("COST_TRACKER_PROFILE")
    if variable and not os.path.exists(with_home(variable)):
        yield Finding(
            "profile",
            "wrong",
            f"COST_TRACKER_PROFILE names {variable}, which is not there",
            "write it, or unset it",
        )


def _prices(reader: Reader) -> Iterator[Finding]:
    loaded = reader.loaded_catalogue()
    if loaded.fault:
        yield Finding(
            "prices", "wrong", str(loaded.fault), "mend the file; until then your own prices do not count"
        )
    elif reader.prices_path and reader.prices_path.exists():
        yield Finding("prices", "ok", f"the catalogue, with {reader.prices_path} before it")
    else:
        yield Finding("prices", "ok", "the catalogue, without prices of your own")


def _stale(reader: Reader) -> Iterator[Finding]:
    """Say which prices were not compared with their sources for long."""
    for old in stale(reader.loaded_catalogue().catalogue, reader.now):
        yield Finding("stale prices", "note", f"{old.name}: {old.text}", old.remedy)


_SET_UP: Final = (_python, _profile, _prices, _stale)


CLOCK_TOLERANCE: Final = timedelta(minutes=1)
FUTURE: Final = timedelta(days=1)
"""Calls may be logged ahead by as much: clocks of several machines differ."""
RELEASE: Final = "cost-dashboard reservations release"


def open_to_others(paths: Iterable[Path]) -> Iterator[Finding]:
    """Say which files other accounts may read or write: the first five of them."""
    for path, mode in loose_modes(paths)[:5]:
        yield Finding(
            "permissions",
            "wrong",
            f"other users can open {path} (mode {mode:o})",
            *_mended_by(f"chmod go-rwx {shlex.quote(str(path))}"),
        )


def _index(reader: Reader) -> Iterator[Finding]:
    index = reader.index
    index.catch_up_all()
    if index.degraded:
        yield Finding("index", "wrong", index.degraded, *_mended_by("cost-dashboard rebuild-index"))
        return
    jobs = len(index.jobs(Query()))
    calls = sum(group.totals.calls for group in index.groups((), Query()))
    yield Finding("index", "ok", f"{plural(jobs, 'job', 'jobs')}, {plural(calls, 'call', 'calls')}")


def _ledgers(reader: Reader) -> Iterator[Finding]:
    every, acknowledged = reader.index.problems(), reader.acknowledged
    open_problems = acknowledged.left(every)
    gone, unknown = reader.index.gone(), reader.index.unknown()
    lost = "put it back; or accept the loss: cost-dashboard verify --acknowledge"
    remedy = (
        "cost-dashboard verify; the line stays, its call can be logged again; "
        "verify --acknowledge once you have looked at it"
    )
    for problem in open_problems[:10]:
        yield Finding("ledger", "wrong", str(problem), lost if problem.is_lost else remedy)
    if len(open_problems) > 10:
        yield Finding(
            "ledger", "wrong", f"{len(open_problems) - 10} more lines", *_mended_by("cost-dashboard verify")
        )
    for problem in [each for each in every if each not in open_problems][:10]:
        text = f"acknowledged: {problem}"
        if since := acknowledged.lost_since(problem):
            text = f"acknowledged on {since[:10]}: {problem}; {counted_before(problem.length)}"
        yield Finding("ledger", "note", text)
    for ledger in gone[:10]:
        text = f"{ledger.path} was {ledger.why}; its {format_usd(ledger.cost)} counts"
        yield Finding("ledgers", "note", text, "put it back, if its entries are to be shown")
    for path in unknown[:10]:
        text = f"{path} is not known, and its calls are not counted"
        yield Finding(
            "ledgers",
            "wrong",
            text,
            *_mended_by(f"cost-dashboard rebuild-index --root {shlex.quote(str(path.parent))}"),
        )
    if damaged := reader.index.damaged_notes():
        text = f"{plural(damaged, 'note of a ledger', 'notes of ledgers')} cannot be read"
        remedy = "cost-dashboard rebuild-index --root DIR, the folder of your jobs, finds the ledgers"
        yield Finding("ledgers", "note", text, remedy)
    if not every and not unknown and not gone:
        yield Finding("ledgers", "ok", "no damaged line")


def _permissions(reader: Reader) -> Iterator[Finding]:
    """Say which ledgers other accounts can read or write."""
    yield from open_to_others(reader.index.ledgers())


def _future(reader: Reader) -> Iterator[Finding]:
    """Say when the clock is wrong now, or was when something was reserved or logged."""
    now, gate = reader.now, reader.gate
    latest = gate.latest()
    if latest - now > CLOCK_TOLERANCE:
        text = f"reservations count at {latest:%Y-%m-%d %H:%M} UTC, which is yet to come"
        remedy = "set the clock, or if it is right now: cost-dashboard reservations reset-clock"
        yield Finding("clock", "wrong", text, remedy, "cost-dashboard reservations reset-clock")
    later = reader.index.groups((), Query(start=now + FUTURE))
    calls = sum(group.totals.calls for group in later)
    if calls:
        text = f"{plural(calls, 'call lies', 'calls lie')} more than a day in the future"
        yield Finding("clock", "note", text, "set the clock of the machine that logged them")
    if latest - now <= CLOCK_TOLERANCE and not calls:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC, and nothing lies after it")


def _spool(reader: Reader) -> Iterator[Finding]:
    lines = list(waiting(reader.storage))
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


def _unpriced(reader: Reader) -> Iterator[Finding]:
    groups = reader.index.groups(("service", "model"), Query())
    models = [f"{g.key[0]}/{g.key[1]}" for g in groups if g.totals.unpriced_calls]
    if models:
        calls = plural(sum(g.totals.unpriced_calls for g in groups), "call", "calls")
        remedy = f"add the prices to {reader.prices_path or 'prices.yaml'}, then cost-dashboard reprice"
        yield Finding(
            "unpriced", "note", f"{calls} to {', '.join(models[:5])}", remedy, "cost-dashboard reprice"
        )
    else:
        yield Finding("unpriced", "ok", "every call has a price")


def _reservations(reader: Reader) -> Iterator[Finding]:
    holds = reader.gate.holds()
    orphans = [held for held in holds if held.reservation.state == "orphaned"]
    submitted = sum(held.reservation.state == "submitted" for held in holds)
    if orphans:
        remedy = f"{RELEASE}, once you know that they were not billed"
        yield Finding(
            "reservations",
            "note",
            f"{plural(len(orphans), 'orphan', 'orphans')} still counted",
            remedy,
            RELEASE,
        )
    else:
        waiting = f", {submitted} submitted and waiting for their results" if submitted else ""
        yield Finding("reservations", "ok", f"{len(holds) - submitted} live{waiting}")


def _unreserved(reader: Reader) -> Iterator[Finding]:
    """Say for whom calls of this month were logged without a reservation under a blocking limit."""
    profile = reader.loaded_profile().profile
    now = reader.now
    for group in reader.index.groups(("user_id",), Query()):
        user = profile.for_user(str(group.key[0]))
        if not user.budget.block_at_limit:
            continue
        period = month(now, user.timezone, profile.billing_day)
        entries = reader.index.entries(Query(start=period.start, end=period.end, user_id=user.user_id))
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


def _shared(reader: Reader) -> Iterator[Finding]:
    """Say which hosts of a shared budget are late, and how much of this one is not published."""
    fleet = reader.fleet
    if fleet is None:
        return
    from .hosts import SAME_PROFILE, differing_words, late_words  # only who shares a budget needs it

    fleet.check()
    standing = fleet.standing()
    for host in standing.late:
        yield Finding("shared budget", "wrong", late_words(host), "start something there, or release it")
    for host in standing.differing:
        yield Finding("shared budget", "wrong", differing_words(host), SAME_PROFILE.lower())
    if standing.went_back and standing.unreported:
        names = ", ".join(host.name for host in standing.unreported)
        text = f"the database went back to an older state; what these published since is missing: {names}"
        yield Finding("shared budget", "wrong", text, "cost-dashboard shared publish, on each of them")
    waiting = sum(host.waiting for host in standing.members)
    if not standing.late:
        hosts = plural(len(standing.members), "host", "hosts")
        leased = format_usd(Nanos(sum(host.open for host in standing.members)), 4)
        left = f", {waiting:,} bytes not published" if waiting else ""
        yield Finding("shared budget", "ok", f"{hosts} in {fleet.source}, {leased} leased{left}")


def _archives(reader: Reader) -> Iterator[Finding]:
    """Say which archives of this storage are not as it knows them."""
    known = KnownArchives(reader.storage)
    faults = known.faults()
    for fault in faults:
        remedy = f"cost-dashboard archive verify --to {shlex.quote(fault.place)} reads all of it"
        yield Finding("archive", "wrong", fault.why, remedy)
    if not faults:
        for archive in known.all():
            files = plural(len(archive.manifest.parts), "file", "files")
            yield Finding("archive", "ok", f"{files} in {archive.place.location}")


def _alerts(reader: Reader) -> Iterator[Finding]:
    """Say which alerts were not sent, and whether anything could send them."""
    queue = status(reader.notices, reader.now)
    for text, why in queue.given_up[:5]:
        yield Finding(
            "alerts", "wrong", f"given up: {text}: {why}", *_mended_by("cost-dashboard notify test")
        )
    if queue.waiting:
        waits = plural(queue.waiting, "alert waits", "alerts wait") + " to be sent"
        if find_spec("apprise") is None:
            yield Finding("alerts", "wrong", waits, *_mended_by(install_command("notify")))
        else:
            yield Finding("alerts", "note", waits, *_mended_by("cost-dashboard notify send"))
    elif not queue.given_up:
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
    _shared,
    _archives,
    _alerts,
)
"""All of them, in the order in which they are shown."""


def _mended_by(command: str) -> tuple[str, str]:
    """Return the remedy and the command of a finding whose remedy is to run one."""
    return command, command


def doctor_report(facts: DoctorFacts) -> Report:
    """Return every finding, and for each that is wrong how to mend it."""
    wrong = [finding for finding in facts.findings if finding.state == "wrong"]
    words = {"ok": "ok", "note": "note", "wrong": "WRONG"}
    rows = tuple((f.what, words[f.state], f.found) for f in facts.findings)
    return Report(
        title=plural(len(wrong), "problem", "problems") if wrong else "No problems",
        tables=(
            Table(
                "Check",
                (Column("what", "What"), Column("state", "State"), Column("found", "Found", wraps=True)),
                rows,
            ),
        ),
        notes=tuple(
            Note(
                f"{f.what}: {f.found}. Remedy: {f.remedy}.",
                "warning" if f.state == "wrong" else "plain",
                f.command,
            )
            for f in facts.findings
            if f.remedy
        ),
        data={
            "checked_at": facts.at.isoformat(),
            "wrong": len(wrong),
            "findings": [derive(finding) for finding in facts.findings],
        },
    )


SPEC: Final = Spec(
    "Keep in order",
    ("doctor", "doctor --json"),
    lambda: None,
    doctor_facts,
    doctor_report,
    prepares=False,
)
