"""When queued notices go to their addresses, again after a failure, and no more. Pure but for the port.

A notice is kept until it was sent to every address or given up. Addresses appear only as fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ..budgets.port import Delivery, Notices, Queued

GATHER: Final = timedelta(seconds=3)
"""How long a notice waits for others, to go out with them as one message."""

FIRST_RETRY: Final = timedelta(seconds=30)
LONGEST_RETRY: Final = timedelta(hours=6)
GIVE_UP_AFTER: Final = timedelta(days=3)
KEPT: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one delivery of one notice went. ``fault`` is empty when it was accepted."""

    notice: Queued
    address: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """How many notices wait, and those given up in the last days, with why."""

    waiting: int
    given_up: tuple[tuple[str, str], ...]


def due_at(queued: Queued, earlier: Delivery | None) -> datetime | None:
    """Return when a notice may go to an address next; ``None`` when that is settled."""
    if earlier is None:
        return queued.notice.made_at + GATHER
    return earlier.next_at if earlier.state == "waiting" else None


def note(notices: Notices, attempts: Iterable[Attempt], at: datetime) -> None:
    """Remember how deliveries went, durably, and when the failed ones are tried again.

    Raises:
        StorageUnavailable: the state cannot be written.

    """
    made = list(attempts)
    earlier = {(d.notice, d.address): d for d in notices.deliveries({each.notice.id for each in made})}
    notices.deliver([_delivery(each, earlier.get((each.notice.id, each.address)), at) for each in made])


def _delivery(attempt: Attempt, earlier: Delivery | None, at: datetime) -> Delivery:
    number = (earlier.attempts if earlier else 0) + 1
    is_old = at - attempt.notice.notice.made_at >= GIVE_UP_AFTER
    state = Delivery(
        attempt.notice.id, attempt.address, number, at + retry_after(number), "waiting", attempt.fault
    )
    if not attempt.fault:
        return state._replace(state="sent")
    return state._replace(state="given up") if is_old else state


def retry_after(attempts: int) -> timedelta:
    """Return how long to wait after that many failed attempts: four times longer each time.

    >>> [str(retry_after(n)) for n in (1, 2, 3, 9)]
    ['0:00:30', '0:02:00', '0:08:00', '6:00:00']
    """
    return min(FIRST_RETRY * (1 << 2 * min(attempts - 1, 10)), LONGEST_RETRY)


def status(notices: Notices, at: datetime) -> QueueStatus:
    """Return what waits, and what was given up within the last 30 days.

    Raises:
        StorageUnavailable: the state cannot be read.

    """
    return QueueStatus(len(notices.waiting()), tuple(notices.given_up(at - timedelta(days=30))))
