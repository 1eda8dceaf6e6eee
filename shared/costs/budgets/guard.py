"""The guard against repeated requests: a loop that nobody stops can cost a whole budget.

Requests are counted by their fingerprint, over all processes of a job. A call that is about to be sent can be
denied; one that was made is counted, and the next one like it is denied.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ..errors import BudgetExceeded, Denial, StorageUnavailable
from ..money import Nanos, format_usd
from ..profile.types import Profile
from .limits import Spending
from .port import Level, RequestCounter

log = logging.getLogger("shared.cost_tracker")

WITHIN: Final = timedelta(minutes=10)
"""How long a request is remembered."""


class RepeatLimit(NamedTuple):
    """How often the same request may be sent in ten minutes, and whose guard it is; ``None``: everybody's."""

    owner: str | None
    most: int

    @property
    def scope(self) -> str:
        """How a refusal names the guard."""
        return f"guard of {_owner(self.owner)} against repetition"


def bound_of(profile: Profile, user_id: str) -> RepeatLimit | None:
    """Return the guard that allows a user's requests the fewest repetitions; ``None`` if there is none.

    >>> bound_of(Profile(), "ana") is None
    True
    """
    own, all_of_us = profile.for_user(user_id).budget.guard, profile.organization.guard
    bounds = [
        RepeatLimit(owner, guard.same_request)
        for owner, guard in ((user_id, own), (None, all_of_us))
        if guard.same_request is not None
    ]
    return min(bounds, key=lambda bound: bound.most, default=None)


Tell = Callable[[RepeatLimit, str, Level, str], None]
"""Notifies people of a repeated request: its limit, its fingerprint, the level and the text."""


class RepetitionGuard:
    """Counts requests by their fingerprints. Safe to use from threads.

    If they cannot be counted, a warning is logged and calls go on: an uncounted one does no harm.
    """

    def __init__(self, requests: RequestCounter, clock: Callable[[], datetime], tell: Tell) -> None:
        self._requests = requests
        self._clock = clock
        self._notify = tell

    def sending(self, bound: RepeatLimit, request: str, what: str, override: str | None = None) -> None:
        """Count a request to a model (``what``) that is about to be sent.

        Raises:
            BudgetExceeded: it was sent as often as is allowed, and there is no override.

        """
        before = self._count(request, bound.most if override is None else None)
        if before >= bound.most:
            denied = _repetition_error(bound, what)
            self._notify(bound, request, "critical", str(denied))
            if override is None:
                raise denied
            log.warning("budget check overridden by %s: %s", override, denied)
        elif before + 1 == max(2, bound.most // 2 + 1):
            text = f"{_count_text(what, before + 1)}; from {bound.most + 1} on it is denied"
            log.warning("%s", text)
            self._notify(bound, request, "warning", text)

    def sent(self, bound: RepeatLimit, request: str, what: str) -> None:
        """Count a request that was made, even beyond the limit, and warn of repetitions."""
        number = self._count(request, None) + 1
        if number > bound.most:
            text = (
                f"{_count_text(what, number)}, more than the {bound.most} of the {bound.scope}: stop the "
                f"loop; with input_digest, reserve would deny it"
            )
            log.critical("%s", text)
            self._notify(bound, request, "critical", text)
        elif number == max(2, bound.most // 2 + 1):
            text = f"{_count_text(what, number)}; the {bound.scope} allows {bound.most}"
            log.warning("%s", text)
            self._notify(bound, request, "warning", text)

    def unsent(self, request: str) -> None:
        """Uncount a request that was not sent after all."""
        try:
            self._requests.take_back(request)
        except StorageUnavailable as fault:
            log.info("a request that was not sent counts as sent: %s", fault)

    def _count(self, request: str, most: int | None) -> int:
        try:
            return self._requests.send(request, self._clock(), WITHIN, most)
        except StorageUnavailable as fault:
            log.warning("repetitions of a request cannot be counted: %s", fault)
            return 0


def too_fast(spending: Spending, what: str) -> BudgetExceeded:
    """Return the error for a call after a window of the guard was used up."""
    limit = spending.limit
    spent, allowed = (format_usd(Nanos(amount), 4) for amount in (spending.spent, limit.amount))
    return BudgetExceeded(
        f"{what} is held back: {spent} was spent within the last minute, and the guard of "
        f"{_owner(limit.scope.owner)} allows {allowed}; wait, or raise guard.usd_per_minute in the profile",
        Denial(str(limit.scope), limit.amount, spending.spent, 0, 0),
    )


def _owner(owner: str | None) -> str:
    return "the organization" if owner is None else f"user {owner}"


def _count_text(what: str, number: int) -> str:
    return f"the same request to {what} was sent {number} times within 10 minutes"


def _repetition_error(bound: RepeatLimit, what: str) -> BudgetExceeded:
    most = bound.most
    return BudgetExceeded(
        f"{_count_text(what, most)}, and the {bound.scope} allows no more; change the request, or raise "
        f"guard.same_request in the profile",
        Denial(bound.scope, most, most, 0, 1, "calls"),
    )
