"""``reservations``: what the budget gate holds for calls on their way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from ..budgets.port import Held
from ..money import Nanos, to_usd
from .common import plural
from .document import Column, Figure, Note, Report, Row, Table


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
    return Report(
        title="Released" if released else "Reservations",
        figures=(Figure("held", "Held", total, note=plural(len(holds), "hold", "holds"), places=4),)
        if holds
        else (),
        tables=(Table("Reservation", columns, tuple(_hold(held, zone) for held in holds), empty="None."),),
        notes=() if released else tuple(_notes(holds)),
        data={
            "released": released,
            "held_usd": to_usd(total),
            "reservations": [_data(held) for held in holds],
        },
    )


def _notes(holds: Sequence[Held]) -> Iterator[Note]:
    states = [held.reservation.state for held in holds]
    if submitted := states.count("submitted"):
        what = plural(submitted, "hold is submitted", "holds are submitted")
        yield Note(f"{what}: the provider will bill their results, until which they count.")
    if orphans := states.count("orphaned"):
        text = "count, less what was logged under them, until they are released"
        yield Note(f"{plural(orphans, 'orphan', 'orphans')}: {text}: cost-dashboard reservations release.")


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
        one.orphaned or one.state,
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
        "state": one.state,
        "orphaned": one.orphaned,
    }
