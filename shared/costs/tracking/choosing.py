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

    ``name`` is the model as it was given. ``degraded_from`` is the preferred one, if it is another;
    an entry logged with ``hold`` as its reservation records it.
    """

    name: str
    service: str
    model: str
    hold: Hold
    degraded_from: str | None = None


class Candidate(NamedTuple):
    """A model that may be chosen: its name as given, and the request to the gate for it."""

    name: str
    request: GateRequest


def candidates(session: Session, intents: Sequence[tuple[str, Intent]]) -> list[Candidate]:
    """Return the models to choose from in the given order, local ones last."""
    models = [Candidate(name, call_request(session, intent)) for name, intent in intents]
    return sorted(models, key=lambda candidate: candidate.request.local)


def named(name: str) -> tuple[str, str]:
    """Split a name into service and model.

    >>> named("openai/gpt-4o"), named("gpt-4o"), named("local/sumy")
    (('openai', 'gpt-4o'), ('openai', 'gpt-4o'), ('local', 'sumy'))
    """
    service, slash, model = name.partition("/")
    return (service, model) if slash else (infer_service(name) or UNKNOWN, name)


class Choosing:
    """A block that chooses one of several models when it is entered. For ``with`` and ``async with``."""

    def __init__(self, session: Session, among: Sequence[Candidate], instead_of: str | None = None) -> None:
        if not among:
            raise ValueError("choose needs at least one model")
        self._session = session
        self._candidates = among
        self._preferred = instead_of or among[0].name
        self._reserving: Reserving | None = None

    def __enter__(self) -> Choice:
        denied: Exception | None = None
        for candidate in self._candidates:
            reserving = Reserving(self._session, candidate.request)
            try:
                hold = reserving.__enter__()
            except (BudgetExceeded, BudgetGateUnavailable) as refusal:
                denied = refusal
                continue
            return self._choice_of(candidate, reserving, hold)
        assert denied is not None
        raise denied

    async def __aenter__(self) -> Choice:
        denied: Exception | None = None
        for candidate in self._candidates:
            reserving = Reserving(self._session, candidate.request)
            try:
                hold = await reserving.__aenter__()
            except (BudgetExceeded, BudgetGateUnavailable) as refusal:
                denied = refusal
                continue
            return self._choice_of(candidate, reserving, hold)
        assert denied is not None
        raise denied

    def _choice_of(self, candidate: Candidate, reserving: Reserving, hold: Hold) -> Choice:
        self._reserving = reserving
        degraded_from = None if candidate.name == self._preferred else self._preferred
        hold.degraded_from = degraded_from
        return Choice(candidate.name, candidate.request.service, candidate.request.model, hold, degraded_from)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reserving is not None:
            self._reserving.__exit__(kind, error, trace)
            self._reserving = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
