"""``tracker.choose(...)``: the first of several models that the budget still allows, held for its call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BudgetExceeded, BudgetGateUnavailable
from ..model import UNKNOWN
from ..pricing.names import infer_service
from .reserving import Reserving, call_request

if TYPE_CHECKING:
    from ..budgets.gate import GateRequest
    from ..budgets.hold import Hold
    from .reserving import Intent
    from .session import Session


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that the budget allows, and what is held for its call.

    ``name`` is the model as it was given. ``degraded_from`` is the one that was wanted, where it is another;
    an entry that is logged with ``hold`` as its reservation keeps it.
    """

    name: str
    service: str
    model: str
    hold: Hold
    degraded_from: str | None = None


class Candidate(NamedTuple):
    """A model that may be chosen: its name as given, and what the gate is asked for it."""

    name: str
    request: GateRequest


def candidates(session: Session, intents: Sequence[tuple[str, Intent]]) -> list[Candidate]:
    """Return what may be chosen: in the order given, models that run here after all others."""
    found = [Candidate(name, call_request(session, intent)) for name, intent in intents]
    return sorted(found, key=lambda each: each.request.local)


def named(name: str) -> tuple[str, str]:
    """Return service and model of a name.

    >>> named("openai/gpt-4o"), named("gpt-4o"), named("local/sumy")
    (('openai', 'gpt-4o'), ('openai', 'gpt-4o'), ('local', 'sumy'))
    """
    service, slash, model = name.partition("/")
    return (service, model) if slash else (infer_service(name) or UNKNOWN, name)


class Choosing:
    """A block for which one of several models is chosen on entering it. For ``with`` and ``async with``."""

    def __init__(self, session: Session, among: Sequence[Candidate], instead_of: str | None = None) -> None:
        if not among:
            raise ValueError("choose needs at least one model")
        self._session = session
        self._among = among
        self._wanted = instead_of or among[0].name
        self._open: Reserving | None = None

    def __enter__(self) -> Choice:
        denied: Exception | None = None
        for each in self._among:
            reserving = Reserving(self._session, each.request)
            try:
                hold = reserving.__enter__()
            except (BudgetExceeded, BudgetGateUnavailable) as refusal:
                denied = refusal
                continue
            return self._chosen(each, reserving, hold)
        assert denied is not None
        raise denied

    async def __aenter__(self) -> Choice:
        denied: Exception | None = None
        for each in self._among:
            reserving = Reserving(self._session, each.request)
            try:
                hold = await reserving.__aenter__()
            except (BudgetExceeded, BudgetGateUnavailable) as refusal:
                denied = refusal
                continue
            return self._chosen(each, reserving, hold)
        assert denied is not None
        raise denied

    def _chosen(self, chosen: Candidate, reserving: Reserving, hold: Hold) -> Choice:
        self._open = reserving
        wanted = None if chosen.name == self._wanted else self._wanted
        hold.degraded_from = wanted
        return Choice(chosen.name, chosen.request.service, chosen.request.model, hold, wanted)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.__exit__(kind, error, trace)
            self._open = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
