"""Whether a call may be reserved: arithmetic over limits, spends and holds. Pure; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..errors import BudgetExceeded, Denial
from ..money import Nanos
from ..profile.types import Budget, Profile
from ..rollup import Measure
from .limits import Limit, Spending, tightness
from .port import Allotment, HoldStatus, Parts, Reservation
from .scopes import CallScope, ModelName, amount_text

OVERRIDE_VARIABLE: Final = "COST_TRACKER_SKIP_BUDGET_CHECK"


class Need(NamedTuple):
    """The most that a call, or a block of calls, can use. ``None`` if no bound is known.

    ``unknown`` is the reason why its cost is not known.
    """

    cost: Nanos | None
    calls: int | None = 1
    tokens: int | None = None
    unknown: str = ""

    def of(self, measure: Measure) -> int | None:
        """Return the most in one measure."""
        return self.cost if measure == "cost" else self.calls if measure == "calls" else self.tokens


@dataclass(frozen=True, slots=True)
class LimitStanding:
    """A limit with what is spent and what is held within it, in its measure.

    ``orphaned`` is the part of ``held`` whose calls were never reported. ``allotment`` is set if other hosts
    share the limit.
    """

    spending: Spending
    held: int = 0
    orphaned: int = 0
    allotment: Allotment | None = None

    @property
    def room(self) -> int:
        """What may still be reserved here; negative when the limit is overrun."""
        room = self.spending.remaining - self.held
        if self.allotment is None:
            return room
        return min(room, self.allotment.granted - self.spending.spent - self.held)

    def allows(self, need: Need) -> bool:
        """Tell whether a need fits; a need of nothing fits however much is spent."""
        most = need.of(self.spending.limit.measure)
        return most is not None and most <= max(self.room, 0)


@dataclass(frozen=True, slots=True)
class Policy:
    """How the blocking budgets of a call's limits treat what cannot be known."""

    blocking: bool
    allow_on_gate_error: bool
    allow_unpriced: bool
    reserve_cap: Nanos | None

    @classmethod
    def of(cls, profile: Profile, user_id: str, limits: Iterable[Limit]) -> Policy:
        """Return the strictest settings of the budgets that block; the user's own cap comes first."""
        user, everyone = profile.for_user(user_id).budget, profile.organization
        owners = {limit.scope.owner for limit in limits if limit.blocking}
        budgets: list[Budget] = [everyone if owner is None else user for owner in owners]
        return cls(
            blocking=bool(budgets),
            allow_on_gate_error=all(b.on_gate_error == "allow" for b in budgets),
            allow_unpriced=all(b.on_unpriced == "warn" for b in budgets),
            reserve_cap=user.reserve_cap if user.reserve_cap is not None else everyone.reserve_cap,
        )


def standings(
    spendings: Iterable[Spending], holds: Sequence[HoldStatus], names: ModelName
) -> list[LimitStanding]:
    """Return each limit with what is held within it."""
    return [_standing(spending, holds, names) for spending in spendings]


def _standing(spending: Spending, holds: Sequence[HoldStatus], names: ModelName) -> LimitStanding:
    limit = spending.limit
    applicable = [held for held in holds if counts_against(held.reservation, limit, names)]
    orphans = (held for held in applicable if held.reservation.state == "orphaned")
    return LimitStanding(spending, _sum(applicable, limit, names), _sum(orphans, limit, names))


def _sum(holds: Iterable[HoldStatus], limit: Limit, names: ModelName) -> int:
    return sum(_remaining_within(held, limit, names) for held in holds)


def _remaining_within(held: HoldStatus, limit: Limit, names: ModelName) -> int:
    """Return what is left of a hold within a limit; of a job's hold, perhaps only the part of some stages."""
    remaining, reservation = held.left(limit.measure), held.reservation
    if not reservation.parts or any(limit.covers(scope, names) for scope in reservation.scopes):
        return remaining
    return min(remaining, part_within(reservation.parts, reservation.scope, limit, names))


def part_within(parts: Parts, whole: CallScope, limit: Limit, names: ModelName) -> int:
    """Return the sum of a job's stages that count against a limit."""
    covered = (amount for stage, amount in parts if limit.covers(whole._replace(stage=stage), names))
    return sum(covered)


def counts_against(held: Reservation, limit: Limit, names: ModelName) -> bool:
    """Return whether a hold will be part of the spend that a limit bounds."""
    stages = (held.scope._replace(stage=stage) for stage, _ in held.parts)
    return any(limit.covers(scope, names) for scope in (*held.scopes, *stages))


def tightest(standing: Iterable[LimitStanding]) -> LimitStanding | None:
    """Return the blocking limit with the least left; ``None`` if none blocks."""
    blocking = (s for s in standing if s.spending.limit.blocking)
    return min(blocking, key=lambda s: tightness(s.spending, s.room), default=None)


def refusal(
    standing: Iterable[LimitStanding], need_of: Callable[[Limit], Need], what: str
) -> BudgetExceeded | None:
    """Return the error of the tightest blocking limit that does not allow a call (``what``), if any.

    ``need_of`` gives what the call needs of a limit.
    """
    stand = tightest(each for each in standing if not each.allows(need_of(each.spending.limit)))
    if stand is None:
        return None
    need = need_of(stand.spending.limit)
    most = need.of(stand.spending.limit.measure)
    return _unbounded(stand, need, what) if most is None else exceeded(stand, most, what)


def exceeded(standing: LimitStanding, requested: int, what: str) -> BudgetExceeded:
    """Return the error for a call (``what``) that does not fit into the limit."""
    limit = standing.spending.limit
    amount: Callable[[int], str] = lambda n: amount_text(n, limit.measure, 4)  # noqa: E731  # a short name for four uses
    where = "in the profile" if limit.scope.kind == "rolling" else "with cost-dashboard set-budget"
    message = (
        f"up to {amount(requested)} for {what} does not fit into the {limit.scope}: of "
        f"{amount(limit.amount)}, {amount(standing.spending.spent)} is spent{_held_text(standing)}"
        f"{_elsewhere_text(standing)}; raise the limit {where}, or set {OVERRIDE_VARIABLE}=1 to go over it "
        f"once, which is recorded"
    )
    return BudgetExceeded(message, denial(standing, requested))


_UNKNOWN_COUNTS: Final = {"calls": "how many calls", "tokens": "how many tokens"}
_REMEDIES: Final = {
    "calls": "say it with reserve_calls",
    "tokens": "give max_tokens_output, or reserve_tokens for a block",
}


def _unbounded(standing: LimitStanding, need: Need, what: str) -> BudgetExceeded:
    """Return the error for a call whose highest cost, number of calls or tokens are not known."""
    measure = standing.spending.limit.measure
    if measure == "cost":
        reason, remedy = (
            need.unknown,
            "set reserve_cap_usd in the profile to hold a fixed amount for such calls",
        )
    else:
        reason, remedy = f"{_UNKNOWN_COUNTS[measure]} {what} can take is not known", _REMEDIES[measure]
    message = (
        f"{reason}, and the {standing.spending.limit.scope} blocks; {remedy}, or {OVERRIDE_VARIABLE}=1 to "
        f"make this one"
    )
    return BudgetExceeded(message, denial(standing, 0))


def denial(standing: LimitStanding, requested: int) -> Denial:
    """Return the figures of a refusal."""
    limit = standing.spending.limit
    spent, held, allotment = standing.spending.spent, standing.held, standing.allotment
    if allotment is not None:
        spent += allotment.spent_elsewhere
        held += allotment.leased_elsewhere + allotment.orphaned_elsewhere
    return Denial(str(limit.scope), limit.amount, spent, held, requested, limit.measure)


def _held_text(standing: LimitStanding) -> str:
    if not standing.held:
        return ""
    measure = standing.spending.limit.measure
    text = f" and {amount_text(standing.held, measure, 4)} held for other calls"
    if not standing.orphaned:
        return text
    return (
        f"{text} ({amount_text(standing.orphaned, measure, 4)} of it for calls that never reported: see "
        f"cost-dashboard reservations list)"
    )


def _elsewhere_text(standing: LimitStanding) -> str:
    """Return the text about other hosts' share of a limit."""
    allotment = standing.allotment
    if allotment is None or not any(allotment[1:]):
        return ""
    measure = standing.spending.limit.measure
    spent, leased, orphaned = (amount_text(amount, measure, 4) for amount in allotment[1:])
    text = f"; other hosts have spent {spent} and may spend {leased} more"
    if allotment.orphaned_elsewhere:
        text += f", and {orphaned} counts for hosts that do not report (see cost-dashboard shared status)"
    return text
