"""Sending what is queued: passes over the queue, and the process that makes them until it is done.

A notice is kept until it was sent to every address, again and again after failures, or given up. Addresses
appear in the queue only as fingerprints.

One sender runs per cost storage, by a lock on ``notify.lock``. It ends when nothing is due soon; what
waits longer goes out when the next alert starts a sender, or with ``cost-dashboard notify send``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from ..budgets.port import Delivery, Notice, Notices, Queued
from ..errors import FileRefused
from ..platform import close, lock, open_file
from ..profile import load_profile
from ..profile.currency import conversion_on
from ..profile.types import Profile
from ..storage import CostStorage
from ..workspace import Clock
from .addresses import Address, addresses_of, budget_for
from .channel import send
from .message import StoredMessages, digest, is_letter

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


LINGER: Final = timedelta(minutes=3)
"""A sender waits for retries that are due within this time; for later ones it does not stay."""

LOOK_AGAIN_SECONDS: Final = 2.0
"""A waiting sender looks for new notices after this time."""

Deliver = Callable[[Address, Sequence[Notice]], str]
"""Sends notices to an address as one message; returns why it failed, or an empty text."""

Wait = Callable[[float], object]
"""Wait this many seconds."""


def deliver_digest(address: Address, notices: Sequence[Notice]) -> str:
    """Send notices to an address through Apprise, as one message."""
    return send(address, digest(notices), name_of(notices))


def name_of(notices: Sequence[Notice]) -> str:
    """Return the name of a message: the same one when it is sent again."""
    parts = sorted(f"{each.audience} {each.key} {each.made_at.isoformat()}" for each in notices)
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


def deliver_from(letters: StoredMessages) -> Deliver:
    """Return what sends alerts as one message, and a report, which is alone, as it is kept."""

    def deliver(address: Address, notices: Sequence[Notice]) -> str:
        if not is_letter(notices[0].key):
            return deliver_digest(address, notices)
        kept = letters.read(notices[0].key)
        return kept if isinstance(kept, str) else send(address, kept, name_of(notices))

    return deliver


@dataclass(frozen=True, slots=True)
class SendPass:
    """What one pass did. ``next_at`` is when the next delivery is due, ``None`` when none waits.

    ``faults`` says of each address that failed why.
    """

    sent: int = 0
    next_at: datetime | None = None
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _DeliveryBatch:
    address: Address
    due: list[Queued] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sender:
    """Takes notices from the queue to their addresses."""

    queue: Notices
    environ: Mapping[str, str]
    deliver: Deliver = deliver_digest

    def deliver_due(self, now: datetime, *, at_once: bool = False) -> SendPass:
        """Send everything that is due, each address getting one message of all alerts, and its reports.

        With ``at_once``, what waits for a later retry is sent too.

        Raises:
            StorageUnavailable: the queue cannot be read or written.
            MissingNotifyExtra: Apprise is not installed; everything stays queued.

        """
        sent, faults = 0, []
        for batch in self._due(now, at_once=at_once):
            fault = self.deliver(batch.address, [_as_read(queued.notice) for queued in batch.due])
            note(self.queue, [Attempt(q, batch.address.fingerprint, fault) for q in batch.due], now)
            if fault:
                faults.append((batch.address.name, fault))
            else:
                sent += len(batch.due)
        return SendPass(sent, self._tidy(now), tuple(faults))

    def next_due(self) -> datetime | None:
        """Return when the next delivery is due; ``None`` when none waits."""
        return min((due for _, _, due in self._open()), default=None)

    def _due(self, now: datetime, *, at_once: bool) -> list[_DeliveryBatch]:
        batches: dict[tuple[str, str], _DeliveryBatch] = {}
        for queued, address, due in self._open():
            if at_once or due <= now:
                key = queued.notice.key
                apart = key if is_letter(key) else ""
                batches.setdefault((address.fingerprint, apart), _DeliveryBatch(address)).due.append(queued)
        return list(batches.values())

    def _tidy(self, now: datetime) -> datetime | None:
        """Mark what has nowhere left to go as done; return when the rest is due."""
        there = self.queue.waiting()
        still_open = {queued.id: due for queued, _, due in sorted(self._open(), key=_later_first)}
        done = [queued.id for queued in there if queued.id not in still_open]
        if done:
            self.queue.finish(done, now - KEPT)
        return min(still_open.values(), default=None)

    def _open(self) -> Iterator[tuple[Queued, Address, datetime]]:
        """Yield each delivery that is not settled, with when it is due."""
        profiles: dict[str, Profile | FileRefused] = {}
        there = self.queue.waiting()
        earlier = {(d.notice, d.address): d for d in self.queue.deliveries([each.id for each in there])}
        for queued in there:
            for address in self._addresses(queued.notice, profiles):
                due = due_at(queued, earlier.get((queued.id, address.fingerprint)))
                if due is not None:
                    yield queued, address, due

    def _addresses(self, notice: Notice, profiles: dict[str, Profile | FileRefused]) -> list[Address]:
        if notice.profile not in profiles:
            profiles[notice.profile] = _profile(notice.profile)
        profile = profiles[notice.profile]
        if isinstance(profile, FileRefused):
            return [Address("the profile", fault=str(profile))]
        return addresses_of(budget_for(profile, notice.audience), self.environ)


def _later_first(delivery: tuple[Queued, Address, datetime]) -> float:
    return -delivery[2].timestamp()


def _as_read(notice: Notice) -> Notice:
    """Return a notice with its amounts in the currency of its profile, at the rate of its day."""
    profile = _profile(notice.profile)
    if isinstance(profile, FileRefused):
        return notice
    conversion = conversion_on(profile.currency, notice.made_at.date())
    return replace(notice, text=conversion.text(notice.text)) if conversion else notice


def _profile(path: str) -> Profile | FileRefused:
    try:
        return load_profile(Path(path) if path else None)
    except FileRefused as fault:
        return fault


def run(storage: CostStorage, sender: Sender, clock: Clock, wait: Wait = time.sleep) -> None:
    """Send until nothing is due soon. Ends at once where another sender is at work, or the storage is gone.

    Raises:
        StorageUnavailable: the queue cannot be read or written.
        MissingNotifyExtra: Apprise is not installed; everything stays queued.

    """
    while storage.root.is_dir():
        with _alone(storage) as alone:
            if not alone:
                return
            _send_until_quiet(storage, sender, clock, wait)
        # Looked at once more without the lock: a notice may have come after the last look within it,
        # from a process whose own sender found the lock taken.
        if not storage.root.is_dir() or not _is_soon(sender.next_due(), clock()):
            return


def _is_soon(due: datetime | None, now: datetime) -> bool:
    return due is not None and due - now <= LINGER


def _send_until_quiet(storage: CostStorage, sender: Sender, clock: Clock, wait: Wait) -> None:
    while storage.root.is_dir():  # looking at the queue would make one anew that was removed meanwhile
        due = sender.deliver_due(clock()).next_at
        if due is None or not _is_soon(due, clock()):
            return
        wait(min(max((due - clock()).total_seconds(), 0.0), LOOK_AGAIN_SECONDS))


@contextmanager
def _alone(storage: CostStorage) -> Iterator[bool]:
    """Hold the one lock of senders of this storage, or say that another has it."""
    file = open_file(storage.root / "notify.lock", write=True, create=True)
    try:
        yield lock(file, 0.0)
    finally:
        close(file)
