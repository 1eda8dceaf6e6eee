"""Jobs that start only if the budget can finish them: what a job will cost, and the money held for it.

To everyone but the job itself, this is a hold like any other; the job's own calls hold their money within
it. It shrinks as the job spends, and ends with the process that made it: nothing of it will be billed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from ..analysis.estimates import StageEstimate, estimate_stages, stage_histories
from ..budgets.gate import GateRequest
from ..budgets.scopes import ANY
from ..model import Usage
from ..money import Nanos, divide, to_usd
from ..rollup import Query
from .reserving import WITHIN_VARIABLE

if TYPE_CHECKING:
    from ..budgets.hold import Hold
    from ..budgets.port import Parts
    from .session import Session

RECENT: Final = timedelta(days=365)
"""Which earlier jobs are used for an estimate, if there are any: older ones had other prices and models."""

_MARGIN_PERCENT: Final = 125


class JobEstimate(NamedTuple):
    """What a job will cost in USD, by earlier ones: the median, the 90th percentile and what to hold.

    ``jobs`` is the number of jobs behind the stage that has fewest; ``by_stage`` is what to hold for each.
    """

    median: float
    ninety: float
    most: float
    jobs: int
    by_stage: Mapping[str, float]


def estimate_job(session: Session, stages: Collection[str], usage: Usage) -> JobEstimate | None:
    """Return what these stages of a job will cost; ``None`` if no earlier job had them.

    The estimate is per minute of audio, or per input token if that is not known. It uses the jobs of the last
    365 days, or older ones if there are none. A stage that never cost anything costs nothing.
    """
    index, since = session.workspace.index, session.workspace.clock() - RECENT
    query = Query(user_id=session.job.user_id)
    for span_query in (query._replace(start=since), query):
        histories = stage_histories(index.groups(("ledger", "stage"), span_query))
        estimates = estimate_stages((history for history in histories if history.stage in stages), usage)
        if estimates:
            return JobEstimate(
                to_usd(Nanos(sum(stage.median for stage in estimates))),
                to_usd(Nanos(sum(stage.ninety for stage in estimates))),
                to_usd(Nanos(sum(map(_amount_to_hold, estimates)))),
                min(stage.jobs for stage in estimates),
                {stage.stage: to_usd(Nanos(_amount_to_hold(stage))) for stage in estimates},
            )
    return None


def _amount_to_hold(stage: StageEstimate) -> int:
    """Return the most that an earlier job took, or a quarter above the 90th percentile if that is more."""
    return max(stage.highest, divide(stage.ninety * _MARGIN_PERCENT, 100))


class Admission:
    """The money held for a job until :meth:`close`."""

    def __init__(self, session: Session, hold: Hold) -> None:
        self._session = session
        self._hold = hold

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with which a process makes its calls within this hold."""
        return {WITHIN_VARIABLE: self._hold.id} if self._hold.id else {}

    def lower(self, usd: float) -> None:
        """Hold at most this many USD from now on. Storage failures do not raise."""
        if self._hold.id:
            self._session.workspace.gate.lower(self._hold.id, Nanos(round(usd * 1e9)))

    def close(self) -> None:
        """Give back what is still held."""
        self._hold.void()


def admit(session: Session, amount: Nanos, parts: Parts = ()) -> Admission:
    """Hold money for a job, and with ``parts`` for those of its stages that have limits of their own.

    Raises:
        BudgetExceeded: a limit that blocks does not have enough left.
        BudgetGateUnavailable: the limits cannot be checked.
    """
    request = GateRequest(
        user_id=session.job.user_id,
        service=ANY,
        model=ANY,
        estimate=amount,
        job=session.job_ref,
        calls=0,
        tokens=0,
        one_call=False,
        admits=True,
        parts=parts,
    )
    return Admission(session, session.hold(request))
