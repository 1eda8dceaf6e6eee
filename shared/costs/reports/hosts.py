"""The hosts that share budgets: which of them are late, what their leases keep, what is not published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ..money import Nanos, to_usd
from .common import plural, usd
from .document import Column, Figure, Note, Report, Table, derive

if TYPE_CHECKING:
    from ..fleet.standing import FleetHost, FleetStanding
    from .reader import SharedReader


def hosts_report(standing: FleetStanding, now: datetime, source: str) -> Report:
    """Return how the hosts of a fleet stand."""
    members = standing.members
    table = Table.of(
        "Hosts",
        members,
        (Column("host", "Host"), lambda each: f"{each.name} ({each.uid[:8]})"),
        (Column("state", "State"), lambda each: each.state),
        (Column("seen", "Seen", rank=1), lambda each: _ago(each.seen, now)),
        (Column("published", "Published", rank=2), lambda each: _ago(each.published, now)),
        (Column("waiting", "Unpublished", "count", rank=3), lambda each: each.waiting),
        (Column("open", "Leased", "money", places=4), lambda each: each.open),
        empty="No host has joined yet.",
    )
    leased = Nanos(sum(each.open for each in members))
    return Report(
        title="Shared budget",
        subtitle=f"{plural(len(members), 'host', 'hosts')}, {source}",
        figures=(Figure("leased", "Leased", leased, note="and not published", places=4),) if members else (),
        tables=(table,),
        notes=tuple(_notes(standing)),
        data={
            "hosts": [_data(each) for each in members],
            "leased_usd": to_usd(leased),
            "started_anew_at": standing.since.isoformat(),
            "went_back": bool(standing.went_back),
            "unreported": [each.name for each in standing.unreported],
        },
    )


def _notes(standing: FleetStanding) -> Iterator[Note]:
    for each in standing.late:
        yield Note(late_words(each), "warning")
    for each in standing.differing:
        yield Note(f"{differing_words(each)}. {SAME_PROFILE}.", "warning")
    if standing.went_back:
        missing = ", ".join(each.name for each in standing.unreported)
        lost = f"; what these published after that is missing until they report: {missing}" if missing else ""
        text = f"The database went back to an older state (found {standing.since:%Y-%m-%d %H:%M} UTC){lost}."
        yield Note(text, "warning" if missing else "plain")


def late_words(host: FleetHost) -> str:
    """Say what is not known of a host that is late."""
    leased = f"; {usd(Nanos(host.open))} counts for what it may have spent" if host.open else ""
    return (
        f"{host.name} has not reported since {host.seen:%Y-%m-%d %H:%M} UTC: what it logged since is in no "
        f"total{leased}. If it does not come back: cost-dashboard shared release {host.uid[:8]}."
    )


SAME_PROFILE: Final = "Give all hosts the same profile"


def differing_words(host: FleetHost) -> str:
    """Say by what a host counts calls otherwise than this one."""
    return (
        f"{host.name} had {', '.join(host.differs)} other than here when it was seen last, "
        f"{host.seen:%Y-%m-%d %H:%M} UTC: a call may count for a limit here that it does not count for there"
    )


def _ago(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "never"
    seconds = max(0, int((now - at).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _data(host: FleetHost) -> dict[str, object]:
    names = ("host=name", "uid", "state", "seen", "published", "unpublished_bytes=waiting", "differs")
    return derive(host, *names, "leased_usd=open")


def of_all_hosts(report: Report, reader: SharedReader) -> Report:
    """Return a report whose sums are of all hosts so that it says so, and names those that are late."""
    late = reader.hosts.standing().late
    where = ", ".join(filter(None, (report.subtitle, "all hosts")))
    notes = (*report.notes, *(Note(late_words(each), "warning") for each in late))
    return report._replace(
        subtitle=where, notes=notes, data={**report.data, "late_hosts": [each.name for each in late]}
    )
