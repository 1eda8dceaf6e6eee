"""Sending what is queued: one pass over the queue, and the process that makes passes until nothing is due.

A notice is kept until it was sent to every address, with retries after failures, or given up. Addresses
appear in the queue only as fingerprints.

A cost storage has one sender at a time, by a lock on ``notify.lock``. It ends when nothing is due soon; what
waits longer is sent when the next alert starts a sender, or with ``cost-dashboard notify send``.
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

from ..budgets.port import Delivery, Notice, Notices, QueuedNotice
from ..errors import FileRefused
from ..platform import close, lock, open_file
from ..profile import load_profile
from ..profile.currency import conversion_on
from ..profile.types import Profile
from ..storage import CostStorage
from ..workspace import Clock
from .addresses import Address, addresses_of, budget_for
from .channel import send
from .message import StoredMessages, digest, is_stored_message

GATHER: Final = timedelta(seconds=3)
"""How long a notice waits for others, so that they are sent as one message."""

FIRST_RETRY: Final = timedelta(seconds=30)
LONGEST_RETRY: Final = timedelta(hours=6)
GIVE_UP_AFTER: Final = timedelta(days=3)
KEPT: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver a notice to an address. ``fault`` is empty if it was accepted."""

    notice: QueuedNotice
    address: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """How many notices wait, and those given up in the last days with the reason."""

    waiting: int
    given_up: tuple[tuple[str, str], ...]


def due_at(queued: QueuedNotice, earlier: Delivery | None) -> datetime | None:
    """Return when a notice may be sent to an address next; ``None`` once it was sent or given up."""
    if earlier is None:
        return queued.notice.made_at + GATHER
    return earlier.next_at if earlier.state == "waiting" else None


def note(notices: Notices, attempts: Iterable[Attempt], at: datetime) -> None:
    """Record durably how deliveries went, and when the failed ones are retried.

    Raises:
        StorageUnavailable: the state cannot be written.

    """
    done = list(attempts)
    earlier = {(d.notice, d.address): d for d in notices.deliveries({attempt.notice.id for attempt in done})}
    notices.deliver(
        [_delivery(attempt, earlier.get((attempt.notice.id, attempt.address)), at) for attempt in done]
    )


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
    """Return the wait after that many failed attempts: it grows fourfold each time.

    >>> [str(retry_after(n)) for n in (1, 2, 3, 9)]
    ['0:00:30', '0:02:00', '0:08:00', '6:00:00']
    """
    return min(FIRST_RETRY * (1 << 2 * min(attempts - 1, 10)), LONGEST_RETRY)


def status(notices: Notices, at: datetime) -> QueueStatus:
    """Return how many notices wait, and which were given up within the last 30 days.

    Raises:
        StorageUnavailable: the state cannot be read.

    """
    return QueueStatus(len(notices.waiting()), tuple(notices.given_up(at - timedelta(days=30))))


LINGER: Final = timedelta(minutes=3)
"""A sender waits for retries that are due within this time, and ends if all are due later."""

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
    """Return a digest that names the message of these notices; it is the same when they are sent again."""
    parts = sorted(f"{notice.audience} {notice.key} {notice.made_at.isoformat()}" for notice in notices)
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


def deliver_from(messages: StoredMessages) -> Deliver:
    """Return a function that sends alerts as one digest, and a report as its stored message."""

    def deliver(address: Address, notices: Sequence[Notice]) -> str:
        if not is_stored_message(notices[0].key):
            return deliver_digest(address, notices)
        message = messages.read(notices[0].key)
        return message if isinstance(message, str) else send(address, message, name_of(notices))

    return deliver


@dataclass(frozen=True, slots=True)
class SendPass:
    """What one pass did. ``next_at`` is when the next delivery is due, ``None`` if none waits.

    ``faults`` are the addresses that failed, each with the reason.
    """

    sent: int = 0
    next_at: datetime | None = None
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _DeliveryBatch:
    address: Address
    due: list[QueuedNotice] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sender:
    """Takes notices from the queue to their addresses."""

    queue: Notices
    environ: Mapping[str, str]
    deliver: Deliver = deliver_digest

    def deliver_due(self, now: datetime, *, at_once: bool = False) -> SendPass:
        """Send everything that is due: to each address one digest of all alerts, and each report by itself.

        With ``at_once``, what waits for a later retry is sent too.

        Raises:
            StorageUnavailable: the queue cannot be read or written.
            MissingNotifyExtra: Apprise is not installed; everything stays queued.

        """
        sent, faults = 0, []
        for batch in self._due(now, at_once=at_once):
            fault = self.deliver(batch.address, [_converted(queued.notice) for queued in batch.due])
            note(self.queue, [Attempt(q, batch.address.fingerprint, fault) for q in batch.due], now)
            if fault:
                faults.append((batch.address.name, fault))
            else:
                sent += len(batch.due)
        return SendPass(sent, self._tidy(now), tuple(faults))

    def next_due(self) -> datetime | None:
        """Return when the next delivery is due; ``None`` if none waits."""
        return min((due for _, _, due in self._unsettled()), default=None)

    def _due(self, now: datetime, *, at_once: bool) -> list[_DeliveryBatch]:
        batches: dict[tuple[str, str], _DeliveryBatch] = {}
        for queued, address, due in self._unsettled():
            if at_once or due <= now:
                key = queued.notice.key
                own_message = key if is_stored_message(key) else ""
                batches.setdefault((address.fingerprint, own_message), _DeliveryBatch(address)).due.append(
                    queued
                )
        return list(batches.values())

    def _tidy(self, now: datetime) -> datetime | None:
        """Mark notices that are settled for every address as done; return when the next one is due."""
        waiting = self.queue.waiting()
        still_open = {queued.id: due for queued, _, due in sorted(self._unsettled(), key=_latest_first)}
        done = [queued.id for queued in waiting if queued.id not in still_open]
        if done:
            self.queue.finish(done, now - KEPT)
        return min(still_open.values(), default=None)

    def _unsettled(self) -> Iterator[tuple[QueuedNotice, Address, datetime]]:
        """Yield each delivery that was neither accepted nor given up, with the instant at which it is due."""
        profiles: dict[str, Profile | FileRefused] = {}
        waiting = self.queue.waiting()
        earlier = {(d.notice, d.address): d for d in self.queue.deliveries([queued.id for queued in waiting])}
        for queued in waiting:
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


def _latest_first(delivery: tuple[QueuedNotice, Address, datetime]) -> float:
    return -delivery[2].timestamp()


def _converted(notice: Notice) -> Notice:
    """Return a notice with its amounts in its profile's currency, at the rate of the day it was made."""
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
    """Send until nothing is due soon. Return at once if another sender is running or the storage is gone.

    Raises:
        StorageUnavailable: the queue cannot be read or written.
        MissingNotifyExtra: Apprise is not installed; everything stays queued.

    """
    while storage.root.is_dir():
        with _only_sender(storage) as is_only:
            if not is_only:
                return
            _send_until_quiet(storage, sender, clock, wait)
        # Look again without the lock: another process may have queued a notice after the last pass, and its
        # sender ended because this one still held the lock.
        if not storage.root.is_dir() or not _is_soon(sender.next_due(), clock()):
            return


def _is_soon(due: datetime | None, now: datetime) -> bool:
    return due is not None and due - now <= LINGER


def _send_until_quiet(storage: CostStorage, sender: Sender, clock: Clock, wait: Wait) -> None:
    while storage.root.is_dir():  # opening the queue would recreate a storage that was removed meanwhile
        due = sender.deliver_due(clock()).next_at
        if due is None or not _is_soon(due, clock()):
            return
        wait(min(max((due - clock()).total_seconds(), 0.0), LOOK_AGAIN_SECONDS))


@contextmanager
def _only_sender(storage: CostStorage) -> Iterator[bool]:
    """Hold the sender lock of this storage; yields false if another process has it."""
    file = open_file(storage.root / "notify.lock", write=True, create=True)
    try:
        yield lock(file, 0.0)
    finally:
        close(file)
