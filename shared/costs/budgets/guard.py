"""The same request again and again: a loop that nobody stops costs a whole budget.

What is counted is a fingerprint of a request, by all processes of its job together. A call that is about to
be sent can be denied; one that was made is counted, and the next one like it is denied.
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
"""For how long a request is remembered."""


class RepeatLimit(NamedTuple):
    """How often one request may be sent in ten minutes, and whose guard says so; ``None``: everybody's."""

    owner: str | None
    most: int

    @property
    def scope(self) -> str:
        """How a refusal names the guard."""
        return f"guard of {_owner(self.owner)} against repetition"


def bound_of(profile: Profile, user_id: str) -> RepeatLimit | None:
    """Return the guard that allows a user's requests the fewest repetitions; ``None`` where none does.

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
"""Has those told who should know that a request, by its fingerprint, was sent so often: how bad, in words."""


class RepetitionGuard:
    """Counts requests by their fingerprints. Safe to use from threads.

    Where they cannot be counted, a warning says so, and calls go on: one that is not counted does no harm.
    """

    def __init__(self, requests: RequestCounter, clock: Callable[[], datetime], tell: Tell) -> None:
        self._requests = requests
        self._clock = clock
        self._tell = tell

    def sending(self, bound: RepeatLimit, request: str, what: str, override: str | None = None) -> None:
        """Count a request to a model (``what``) that is about to be sent.

        Raises:
            BudgetExceeded: it was sent as often as is allowed, and nothing overrides that.

        """
        before = self._counted(request, bound.most if override is None else None)
        if before >= bound.most:
            denied = _repeated(bound, what)
            self._tell(bound, request, "critical", str(denied))
            if override is None:
                raise denied
            log.warning("budget check overridden by %s: %s", override, denied)
        elif before + 1 == max(2, bound.most // 2 + 1):
            text = f"{_times(what, before + 1)}; from {bound.most + 1} on it is denied"
            log.warning("%s", text)
            self._tell(bound, request, "warning", text)

    def sent(self, bound: RepeatLimit, request: str, what: str) -> None:
        """Count a request that was made, whatever the guard says, and warn of it."""
        number = self._counted(request, None) + 1
        if number > bound.most:
            text = (
                f"{_times(what, number)}, more than the {bound.most} of the {bound.scope}: stop the loop; "
                f"with input_digest, reserve would deny it"
            )
            log.critical("%s", text)
            self._tell(bound, request, "critical", text)
        elif number == max(2, bound.most // 2 + 1):
            text = f"{_times(what, number)}; the {bound.scope} allows {bound.most}"
            log.warning("%s", text)
            self._tell(bound, request, "warning", text)

    def unsent(self, request: str) -> None:
        """Take back the latest count of a request, which was not sent after all."""
        try:
            self._requests.take_back(request)
        except StorageUnavailable as fault:
            log.info("a request that was not sent counts as sent: %s", fault)

    def _counted(self, request: str, most: int | None) -> int:
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


def _times(what: str, number: int) -> str:
    return f"the same request to {what} was sent {number} times within 10 minutes"


def _repeated(bound: RepeatLimit, what: str) -> BudgetExceeded:
    most = bound.most
    return BudgetExceeded(
        f"{_times(what, most)}, and the {bound.scope} allows no more; change the request, or raise "
        f"guard.same_request in the profile",
        Denial(bound.scope, most, most, 0, 1, "calls"),
    )
