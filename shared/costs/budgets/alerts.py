"""Alerts told once per scope, period and threshold, whichever process crosses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from .limits import FULL, Crossing
from .port import Alarm, Notice, Notices

NoticeFor = Callable[[Crossing], Notice | None]
"""Gives the notice that is to be sent of a crossing; ``None`` where nobody wants one."""


def fire(
    notices: Notices, crossed: Iterable[Crossing], at: datetime, notice_for: NoticeFor = lambda _: None
) -> list[Crossing]:
    """Return the crossings that nobody was told of yet, and remember them as told.

    What ``notice_for`` gives for them is queued with that: both are kept, or neither. Of two processes
    that ask at once exactly one gets a crossing. Lower thresholds of the same scope and period count as
    told with it: falling back below the higher one is no news.

    Raises:
        StorageUnavailable: the state cannot be read or written; nothing was remembered.

    """
    candidates = list(crossed)
    if not candidates:
        return []
    alarms = [_alarm(each, notice_for(each)) for each in candidates]
    return [candidates[place] for place in notices.fire(alarms, at)]


def _alarm(crossed: Crossing, notice: Notice | None) -> Alarm:
    reached = sorted({t for t in (*crossed.limit.thresholds, FULL) if t <= crossed.threshold})
    return Alarm(crossed.limit.scope.key, crossed.span, crossed.threshold, tuple(reached), notice)
