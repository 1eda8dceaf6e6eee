"""``reservations``: what the budget gate holds for calls in progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from ..budgets.port import HoldStatus
from ..money import Nanos, to_usd
from .common import noted, plural
from .document import Column, Figure, Note, Report, Table, derive


def reservations_report(holds: Sequence[HoldStatus], zone: ZoneInfo, *, released: bool = False) -> Report:
    """Return what is held, or with ``released`` what is held no longer."""
    total = Nanos(sum(held.amount for held in holds))
    table = Table.of(
        "Reservation",
        holds,
        (Column("id", "Reservation"), lambda held: held.reservation.id),
        (Column("user", "User", rank=1), lambda held: held.reservation.user_id),
        (Column("job", "Job", rank=2), lambda held: held.reservation.job_id or ""),
        (Column("model", "Model"), lambda held: f"{held.reservation.service}/{held.reservation.model}"),
        (
            Column("since", "Since", rank=3),
            lambda held: f"{held.reservation.period_at.astimezone(zone):%Y-%m-%d %H:%M}",
        ),
        (Column("held", "Held", "money", places=4), lambda held: held.amount),
        (Column("state", "State"), lambda held: held.reservation.orphaned or held.reservation.state),
        empty="None.",
    )
    return Report(
        title="Released" if released else "Reservations",
        figures=(Figure("held", "Held", total, note=plural(len(holds), "hold", "holds"), places=4),)
        if holds
        else (),
        tables=(table,),
        notes=() if released else tuple(_notes(holds)),
        data={
            "released": released,
            "held_usd": to_usd(total),
            "reservations": [_data(held) for held in holds],
        },
    )


def _notes(holds: Sequence[HoldStatus]) -> Iterator[Note]:
    states = [held.reservation.state for held in holds]
    rest = "submitted and counted until the results are recorded."
    yield from noted(states.count("submitted"), "hold is", "holds are", rest, "plain")
    if orphans := states.count("orphaned"):
        text = "counted, less what was logged under them, until released"
        yield Note(f"{plural(orphans, 'orphan', 'orphans')}: {text}: cost-dashboard reservations release.")


def _data(held: HoldStatus) -> dict[str, object]:
    one, names = held.reservation, ("id", "user_id", "job_id", "stage", "service", "model")
    return {
        **derive(one, *names, "since=period_at", "expires_at", "estimate"),
        "held_usd": to_usd(held.amount),
        **derive(one, "state", "orphaned"),
    }
