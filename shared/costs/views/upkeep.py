"""``rebuild-index``, ``reservations`` and ``doctor``: what was put in order, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from ..budgets.reservations import Held
from ..money import Nanos, to_usd
from .common import plural
from .report import Column, Figure, Note, Report, Row, Table

if TYPE_CHECKING:
    from ..index.rebuild import Rebuilt

State = Literal["ok", "note", "wrong"]

_UNREAD: Final = (Column("ledger", "Ledger"), Column("why", "Why", wraps=True))


def rebuilt_report(found: Rebuilt, added: int) -> Report:
    """Return what the index was built from; ``added`` ledgers were not known before."""
    unread = tuple((str(path), why) for path, why in found.unread)
    return Report(
        title="Index rebuilt",
        figures=(
            Figure("ledgers", "Ledgers", found.ledgers, "count", f"{added:,} new" if added else ""),
            Figure("entries", "Entries", found.entries, "count"),
            Figure("bytes", "Bytes", found.bytes, "count"),
        ),
        tables=(Table("Could not be read", _UNREAD, unread),) if unread else (),
        data={
            "ledgers": found.ledgers,
            "added": added,
            "entries": found.entries,
            "bytes": found.bytes,
            "unread": [{"ledger": path, "why": why} for path, why in unread],
        },
    )


def reservations_report(holds: Sequence[Held], zone: ZoneInfo, *, released: bool = False) -> Report:
    """Return what is held, or with ``released`` what is held no longer."""
    total = Nanos(sum(held.amount for held in holds))
    columns = (
        Column("id", "Reservation"),
        Column("user", "User", rank=1),
        Column("job", "Job", rank=2),
        Column("model", "Model"),
        Column("since", "Since", rank=3),
        Column("held", "Held", "money", places=4),
        Column("state", "State"),
    )
    orphans = sum(held.reservation.orphaned is not None for held in holds)
    notes = []
    if orphans and not released:
        text = "count at their estimate until their entry shows up or they are released"
        notes.append(
            Note(f"{plural(orphans, 'orphan', 'orphans')}: {text}: cost-dashboard reservations release.")
        )
    return Report(
        title="Released" if released else "Reservations",
        figures=(Figure("held", "Held", total, note=plural(len(holds), "hold", "holds"), places=4),)
        if holds
        else (),
        tables=(Table("Reservation", columns, tuple(_hold(held, zone) for held in holds), empty="None."),),
        notes=tuple(notes),
        data={
            "released": released,
            "held_usd": to_usd(total),
            "reservations": [_data(held) for held in holds],
        },
    )


def _hold(held: Held, zone: ZoneInfo) -> Row:
    one = held.reservation
    since = f"{one.period_at.astimezone(zone):%Y-%m-%d %H:%M}"
    return (
        one.id,
        one.user_id,
        one.job_id or "",
        f"{one.service}/{one.model}",
        since,
        held.amount,
        one.orphaned or "live",
    )


def _data(held: Held) -> dict[str, object]:
    one = held.reservation
    return {
        "id": one.id,
        "user_id": one.user_id,
        "job_id": one.job_id,
        "stage": one.stage,
        "service": one.service,
        "model": one.model,
        "since": one.period_at.isoformat(),
        "expires_at": one.expires_at.isoformat(),
        "estimate_usd": to_usd(one.estimate),
        "held_usd": to_usd(held.amount),
        "orphaned": one.orphaned,
    }


class Finding(NamedTuple):
    """One thing that was looked at. ``note`` is worth knowing, ``wrong`` needs ``remedy``."""

    what: str
    state: State
    found: str
    remedy: str = ""


class DoctorFacts(NamedTuple):
    """What was looked at, and when."""

    findings: Sequence[Finding]
    at: datetime

    @property
    def exit_code(self) -> int:
        """1 when something is wrong."""
        return int(any(finding.state == "wrong" for finding in self.findings))


def doctor_report(facts: DoctorFacts) -> Report:
    """Return every finding, and for each that is wrong how to mend it."""
    wrong = [finding for finding in facts.findings if finding.state == "wrong"]
    words = {"ok": "ok", "note": "note", "wrong": "WRONG"}
    rows = tuple((f.what, words[f.state], f.found) for f in facts.findings)
    return Report(
        title=f"{plural(len(wrong), 'thing is', 'things are')} wrong" if wrong else "All is well",
        tables=(
            Table(
                "Looked at",
                (Column("what", "What"), Column("state", "State"), Column("found", "Found")),
                rows,
            ),
        ),
        notes=tuple(
            Note(f"{f.what}: {f.found}. Remedy: {f.remedy}.", "warning" if f.state == "wrong" else "plain")
            for f in facts.findings
            if f.remedy
        ),
        data={
            "checked_at": facts.at.isoformat(),
            "wrong": len(wrong),
            "findings": [finding._asdict() for finding in facts.findings],
        },
    )
