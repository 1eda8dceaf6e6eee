"""Jobs that start only where the budget can finish them: what one will cost, and room that is kept for it.

The room is a hold like any other to everybody but the job itself, whose calls hold for themselves within
it. It becomes smaller as the job spends, and ends with the process that keeps it: nothing of it will be
billed.
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
"""How far back jobs tell what one will cost, where there are any: what prices and models were then."""

_MARGIN_PERCENT: Final = 125


class JobEstimate(NamedTuple):
    """What a job will cost in USD, by earlier ones: in the middle, for nine of ten, and what to keep for it.

    ``jobs`` is how many stand behind the stage with fewest, ``by_stage`` what to keep for each.
    """

    median: float
    ninety: float
    most: float
    jobs: int
    by_stage: Mapping[str, float]


def estimate_job(session: Session, stages: Collection[str], usage: Usage) -> JobEstimate | None:
    """Return what these stages of a job will cost; ``None`` where no earlier job tells.

    Per minute of its audio, or where that is not known per input token; by jobs of the last 365 days, or
    where there is none by older ones. A stage that never cost anything costs nothing.
    """
    index, since = session.workspace.index, session.workspace.clock() - RECENT
    query = Query(user_id=session.job.user_id)
    for asked in (query._replace(start=since), query):
        histories = stage_histories(index.groups(("ledger", "stage"), asked))
        found = estimate_stages((each for each in histories if each.stage in stages), usage)
        if found:
            return JobEstimate(
                to_usd(Nanos(sum(each.median for each in found))),
                to_usd(Nanos(sum(each.ninety for each in found))),
                to_usd(Nanos(sum(map(_most, found)))),
                min(each.jobs for each in found),
                {each.stage: to_usd(Nanos(_most(each))) for each in found},
            )
    return None


def _most(stage: StageEstimate) -> int:
    """Return what to keep: as much as any earlier job took, and a quarter above nine of ten of them."""
    return max(stage.highest, divide(stage.ninety * _MARGIN_PERCENT, 100))


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


def admit(session: Session, amount: Nanos, parts: Parts = ()) -> Admission:
    """Keep room for a job, and with its parts for its stages, where limits are on those.

    Raises:
        BudgetExceeded: a limit that blocks has no room for it.
        BudgetGateUnavailable: that cannot be told.
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
