"""The one line a stage leaves in its log. Pure text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..budgets.wording import percent_text
from ..money import ZERO, Nanos, format_usd


@dataclass(slots=True)
class StageSums:
    """The sums of the calls inside one ``stage()`` block."""

    calls: int = 0
    unpriced: int = 0
    partial: int = 0
    local: int = 0
    cost: Nanos = ZERO

    @property
    def only_local(self) -> bool:
        """Whether every call ran on a local engine, for nothing."""
        return self.calls > 0 and self.local == self.calls and not self.cost


class StageStanding(NamedTuple):
    """Where the job and the user's month stand after a stage. ``limit`` is ``None`` for no limit."""

    job: Nanos
    month: Nanos
    limit: Nanos | None


def cost_line(sums: StageSums, standing: StageStanding) -> str:
    """Return a stage's cost line.

    >>> from shared.costs.money import from_usd
    >>> cost_line(StageSums(calls=1, local=1), StageStanding(ZERO, ZERO, None))
    '💰 Stage cost: $0.0000 (local processing)'
    >>> cost_line(
    ...     StageSums(calls=1, cost=from_usd("0.0045")),
    ...     StageStanding(from_usd("0.0045"), from_usd("40.25"), from_usd(50)),
    ... )
    '💰 Stage cost: $0.0045 | job $0.0045 | month $40.25 of $50.00 (80.5%)'
    >>> cost_line(StageSums(calls=2, partial=1), StageStanding(ZERO, ZERO, None))
    '💰 Stage cost: $0.0000 (1 of 2 calls priced in part) | job $0.0000 | month $0.00'
    """
    start = f"💰 Stage cost: {format_usd(sums.cost, 4)}"
    if sums.only_local:
        return f"{start} (local processing)"
    return f"{start}{_remark(sums)} | job {format_usd(standing.job, 4)} | {_month(standing)}"


def _remark(sums: StageSums) -> str:
    if not sums.calls:
        return " (no calls)"
    doubts = ((sums.unpriced, "unpriced"), (sums.partial, "priced in part"))
    remarks = [f"{count} of {sums.calls} calls {what}" for count, what in doubts if count]
    return f" ({', '.join(remarks)})" if remarks else ""


def _month(standing: StageStanding) -> str:
    if standing.limit is None:
        return f"month {format_usd(standing.month)}"
    used = percent_text(standing.month, standing.limit)
    return f"month {format_usd(standing.month)} of {format_usd(standing.limit)} ({used})"
