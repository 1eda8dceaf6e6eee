"""Whether a call may be reserved: arithmetic over limits, spends and holds. Pure; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import BudgetExceeded, Denial
from ..money import ZERO, Nanos, format_usd
from ..profile.types import Budget, Profile
from .limits import Limit, Spending, tightness
from .port import Held, Reservation
from .scopes import ModelName

OVERRIDE_VARIABLE: Final = "COST_TRACKER_SKIP_BUDGET_CHECK"


@dataclass(frozen=True, slots=True)
class Standing:
    """A limit with what is spent and what is held within it, in nano-dollars.

    ``orphaned`` is the part of ``held`` whose calls never reported.
    """

    spending: Spending
    held: Nanos = ZERO
    orphaned: Nanos = ZERO

    @property
    def room(self) -> Nanos:
        """What may still be reserved; negative when the limit is overrun."""
        return Nanos(self.spending.remaining - self.held)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the blocking budgets behind a call's limits say about what cannot be known."""

    blocking: bool
    allow_on_gate_error: bool
    allow_unpriced: bool
    reserve_cap: Nanos | None

    @classmethod
    def of(cls, profile: Profile, user_id: str, limits: Iterable[Limit]) -> Policy:
        """Return the strictest reading of the budgets that block; the user's own cap comes first."""
        user, everyone = profile.for_user(user_id).budget, profile.organization
        owners = {limit.scope.owner for limit in limits if limit.blocking}
        budgets: list[Budget] = [everyone if owner is None else user for owner in owners]
        return cls(
            blocking=bool(budgets),
            allow_on_gate_error=all(b.on_gate_error == "allow" for b in budgets),
            allow_unpriced=all(b.on_unpriced == "warn" for b in budgets),
            reserve_cap=user.reserve_cap if user.reserve_cap is not None else everyone.reserve_cap,
        )


def standings(spendings: Iterable[Spending], holds: Sequence[Held], names: ModelName) -> list[Standing]:
    """Return each limit with what is held within it."""
    return [_standing(spending, holds, names) for spending in spendings]


def _standing(spending: Spending, holds: Sequence[Held], names: ModelName) -> Standing:
    mine = [held for held in holds if counts_against(held.reservation, spending.limit, names)]
    return Standing(spending, _sum(mine), _sum(h for h in mine if h.reservation.state == "orphaned"))


def _sum(holds: Iterable[Held]) -> Nanos:
    return Nanos(sum(held.amount for held in holds))


def counts_against(held: Reservation, limit: Limit, names: ModelName) -> bool:
    """Return whether what is held will be part of the spend that a limit bounds."""
    return limit.covers(held.scope, names)


def tightest(standing: Iterable[Standing]) -> Standing | None:
    """Return the blocking limit that leaves the least room; ``None`` when none blocks."""
    blocking = (s for s in standing if s.spending.limit.blocking)
    return min(blocking, key=lambda s: (s.room, tightness(s.spending)), default=None)


def exceeded(standing: Standing, requested: Nanos, what: str) -> BudgetExceeded:
    """Return the error for a call (``what``) that the limit has no room for."""
    limit, spent = standing.spending.limit, standing.spending.spent
    dollars: Callable[[Nanos], str] = lambda amount: format_usd(amount, 4)  # noqa: E731  # a short name for four uses
    message = (
        f"up to {dollars(requested)} for {what} does not fit into the {limit.scope}: of "
        f"{dollars(limit.amount)}, {dollars(spent)} is spent{_held(standing)}; raise the limit with "
        f"cost-dashboard set-budget, or set {OVERRIDE_VARIABLE}=1 to go over it once, which is recorded"
    )
    return BudgetExceeded(message, denial(standing, requested))


def unbounded(standing: Standing, reason: str) -> BudgetExceeded:
    """Return the error for a call whose highest cost is not known."""
    message = (
        f"{reason}, and the {standing.spending.limit.scope} blocks; set reserve_cap_usd in the "
        f"profile to hold a fixed amount for such calls, or {OVERRIDE_VARIABLE}=1 to make this one"
    )
    return BudgetExceeded(message, denial(standing, ZERO))


def denial(standing: Standing, requested: Nanos) -> Denial:
    """Return the figures of a refusal."""
    limit = standing.spending.limit
    return Denial(str(limit.scope), limit.amount, standing.spending.spent, standing.held, requested)


def _held(standing: Standing) -> str:
    if not standing.held:
        return ""
    text = f" and {format_usd(standing.held, 4)} held for other calls"
    if not standing.orphaned:
        return text
    return (
        f"{text} ({format_usd(standing.orphaned, 4)} of it for calls that never reported: see "
        f"cost-dashboard reservations list)"
    )
