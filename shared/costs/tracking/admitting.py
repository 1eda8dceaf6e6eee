"""Jobs that start only where the budget can finish them: what one will cost, and room that is kept for it.

The room is a hold like any other to everybody but the job itself, whose calls hold for themselves within
it. It becomes smaller as the job spends, and ends with the process that keeps it: nothing of it will be
billed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final, NamedTuple

from ..analysis.estimates import Quantiles, StageHistory, stage_histories
from ..budgets.gate import Request
from ..budgets.scopes import ANY
from ..model import Usage
from ..money import Nanos, divide, to_usd
from ..rollup import Query
from .reserving import WITHIN_VARIABLE

if TYPE_CHECKING:
    from ..budgets.hold import Hold
    from .session import Session

_MARGIN_PERCENT: Final = 125
_MINUTE: Final = 60_000_000
_THOUSAND: Final = 1_000


class JobEstimate(NamedTuple):
    """What a job will cost in USD, by earlier ones: in the middle, for nine of ten, and what to keep for it.

    ``jobs`` is how many stand behind the stage with fewest.
    """

    median: float
    ninety: float
    most: float
    jobs: int


def estimate_job(session: Session, stages: Collection[str], usage: Usage) -> JobEstimate | None:
    """Return what these stages of a job will cost; ``None`` where no earlier job tells.

    Per minute of its audio, or where that is not known per input token. A stage that never cost
    anything costs nothing.
    """
    groups = session.workspace.index.groups(("ledger", "stage"), Query(user_id=session.job.user_id))
    histories = [history for history in stage_histories(groups) if history.stage in stages]
    found = [rated for history in histories for rated in _rates(history, usage)]
    if not found:
        return None
    return JobEstimate(
        to_usd(Nanos(sum(each.at(50) for each in found))),
        to_usd(Nanos(sum(each.at(90) for each in found))),
        to_usd(Nanos(sum(map(_most, found)))),
        min(len(each.rates.samples) for each in found),
    )


class _Rated(NamedTuple):
    """Rates of earlier jobs, and how many of their unit this one has."""

    rates: Quantiles
    amount: int
    unit: int

    def at(self, percent: int) -> int:
        return divide(self.rates.at(percent) * self.amount, self.unit)


def _rates(history: StageHistory, usage: Usage) -> list[_Rated]:
    if usage.audio_seconds and history.per_minute:
        return [_Rated(history.per_minute, usage.audio_microseconds, _MINUTE)]
    if usage.tokens_input and not usage.audio_seconds and history.per_thousand:
        return [_Rated(history.per_thousand, usage.tokens_input, _THOUSAND)]
    return []


def _most(rated: _Rated) -> int:
    """Return what to keep: as much as any earlier job took, and a quarter above nine of ten of them."""
    return max(rated.at(100), divide(rated.at(90) * _MARGIN_PERCENT, 100))


class Admission:
    """Room that is kept for a job, from when it is made until :meth:`close`."""

    def __init__(self, session: Session, hold: Hold) -> None:
        self._session = session
        self._hold = hold

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment, so that its calls are made within this room."""
        return {WITHIN_VARIABLE: self._hold.id} if self._hold.id else {}

    def lower(self, usd: float) -> None:
        """Keep no more than this, once a part of the job is done. Raises nothing for the storage."""
        if self._hold.id:
            self._session.workspace.gate.lower(self._hold.id, Nanos(round(usd * 1e9)))

    def close(self) -> None:
        """Keep no room any more."""
        self._hold.void()


def admit(session: Session, amount: Nanos) -> Admission:
    """Keep room for a job.

    Raises:
        BudgetExceeded: a limit that blocks has no room for it.
        BudgetGateUnavailable: that cannot be told.
    """
    request = Request(
        user_id=session.job.user_id,
        service=ANY,
        model=ANY,
        estimate=amount,
        job=session.job_ref,
        calls=0,
        tokens=0,
        one_call=False,
        admits=True,
    )
    return Admission(session, session.hold(request))
