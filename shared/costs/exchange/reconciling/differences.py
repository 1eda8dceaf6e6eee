"""The result of a comparison: sums that agree, and differences with their likely reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from ...money import ZERO, Nanos, from_usd
from ..bills import Category
from ..rows import NotUnderstood

Kind = Literal["only_theirs", "only_ours", "priced_differently", "usage_differs", "moved"]
"""``moved`` is the same usage and cost under another day or tier: over the whole range nothing is missing."""

Reason = Literal[
    "not_recorded",
    "retry",
    "recorded_twice",
    "not_billed",
    "late",
    "tier",
    "cache",
    "reasoning",
    "counts",
    "tools",
    "batch_day",
    "day_boundary",
    "time_zone",
    "currency",
    "unit",
    "price",
    "unpriced",
    "margin",
]

TEXTS: Final[dict[Reason, str]] = {
    "not_recorded": "no ledger has this usage: a stage that logs nothing, or another program or person",
    "retry": "a recorded call was billed again: a retry of the client that was answered twice",
    "recorded_twice": "a call was recorded twice and billed once",
    "not_billed": "the bill has no such usage: another account or key, a free tier, a cache of the client",
    "late": "too young to be on the bill: lines come later",
    "tier": "the same usage was billed in another tier than it was recorded in",
    "cache": "cached or cache-written input tokens differ from what was recorded",
    "reasoning": "output tokens that were not recorded: reasoning, most likely",
    "counts": "tokens were counted differently",
    "tools": "fees of tools, such as web searches",
    "batch_day": "a batch is billed on the day it completed",
    "day_boundary": "calls around midnight are billed on the next day",
    "time_zone": "the bill's days are in another time zone than UTC",
    "currency": "amounts are in another currency",
    "unit": "amounts are in another unit",
    "price": "the same usage at another price: a negotiated one, or one that changed",
    "unpriced": "no price is known here",
    "margin": "the router's own estimate, or its margin",
}
"""The text of each reason in reports."""


class Difference(NamedTuple):
    """Usage or money that only one side has, or that differs between the two.

    ``theirs`` and ``ours`` are in nano-dollars, ``None`` if a side states none; ``amount`` is theirs less
    ours.
    ``theirs_tokens`` and ``ours_tokens`` are input and output together. ``settled`` is false if the bill may
    still change. ``lines`` are positions in the bill, ``entries`` ids of ours: examples of each.
    """

    kind: Kind
    reason: Reason
    service: str
    model: str | None
    tier: str | None
    day: str | None
    theirs: Nanos | None
    ours: Nanos | None
    amount: Nanos
    theirs_tokens: int | None = None
    ours_tokens: int | None = None
    calls: int = 0
    factor: float | None = None
    settled: bool = True
    note: str = ""
    lines: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    lacking: tuple[int, int] = (0, 0)
    """Input and output tokens that we lack: theirs less ours."""
    tiers: tuple[str | None, ...] = ()
    """The tiers under which our calls were recorded."""
    invoice: str | None = None
    """The invoice of the lines, if all are on the same one."""
    is_of_calls: bool = False
    """Whether it consists of single calls, which were adjusted one by one."""

    @property
    def text(self) -> str:
        """The likely reason, in words."""
        return f"{TEXTS[self.reason]} ({self.note})" if self.note else TEXTS[self.reason]


@dataclass(slots=True)
class AgreedSums:
    """What agrees: the number of sums or calls, and the amounts of both sides in nano-dollars."""

    count: int = 0
    theirs: int = 0
    ours: int = 0
    calls: int = 0

    @property
    def rounding(self) -> Nanos:
        """The difference that is due to rounding."""
        return Nanos(self.theirs - self.ours)


@dataclass(slots=True)
class UncomparedLines:
    """Lines that are compared with nothing: credits, taxes, storage.

    ``amount`` is in dollars; ``foreign`` is the amount in a currency without a rate.
    """

    category: Category
    service: str
    label: str
    rows: int = 0
    amount: Decimal = Decimal(0)
    foreign: Decimal = Decimal(0)

    @property
    def nanos(self) -> Nanos | None:
        """The amount in nano-dollars; ``None`` if some of it is in a currency without a rate."""
        return None if self.foreign else from_usd(self.amount)


@dataclass(slots=True)
class Comparison:
    """The result of a comparison. ``keys`` counts the bill's lines by key or project, if it states them."""

    agreed: AgreedSums = field(default_factory=AgreedSums)
    differences: list[Difference] = field(default_factory=list)
    uncompared: list[UncomparedLines] = field(default_factory=list)
    keys: Counter[str] = field(default_factory=Counter)
    refused: list[NotUnderstood] = field(default_factory=list)
    refused_count: int = 0
    rows: int = 0
    calls: int = 0
    first: datetime | None = None
    after: datetime | None = None
    incomplete: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    zones: dict[str, str] = field(default_factory=dict)
    currencies: dict[str, float | None] = field(default_factory=dict)

    @property
    def settled(self) -> list[Difference]:
        """The differences that no later line of the bill will resolve and that change what is due."""
        return [
            difference
            for difference in self.differences
            if difference.settled
            and difference.kind != "moved"
            and (difference.theirs is None or difference.amount)
        ]

    def total(self, side: Literal["theirs", "ours"]) -> Nanos:
        """Return the sum of one side, both what agrees and what differs."""
        sums = (getattr(difference, side) or ZERO for difference in self.differences)
        return Nanos(getattr(self.agreed, side) + sum(sums))

    def refuse(self, refusal: NotUnderstood) -> None:
        """Count a row that was not understood, and keep the first ones."""
        self.refused_count += 1
        if len(self.refused) < _MAX_REFUSALS:
            self.refused.append(refusal)


_MAX_REFUSALS: Final = 100


def rate_text(rate: float) -> str:
    """Return the value of one unit of a currency in USD as ``--rate`` accepts it, in six significant digits.

    >>> rate_text(1.16), rate_text(1 / 155.23), rate_text(1 / 26_300)
    ('1.16', '0.00644205', '0.0000380228')
    """
    return f"{Decimal(f'{rate:.6g}'):f}"
