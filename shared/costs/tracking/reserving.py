"""``tracker.reserve(...)``: money set aside before a call is sent.

Works with ``with`` and with ``async with``; pass what it returns to ``log_usage`` as ``reservation``.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Unpack

from ..budgets.deciding import OVERRIDE_VARIABLE
from ..budgets.gate import GateRequest
from ..budgets.hold import Hold
from ..forks import lock_of
from ..model import Unpriced, Usage
from ..money import ZERO, Nanos
from ..rollup import output_part
from .call import UsageCounts, make_call
from .context import current_stage, optional_name

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from ..pricing.catalogue import Catalogue
    from .session import Session
    from .stage import StageOptions

MAX_EXPIRY_S: Final = 7 * 86_400.0
"""The longest time a hold may count as live, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A call that is about to be made. ``max_tokens_output`` is ``None`` if it has no maximum.

    ``override`` is the reason to override a refusal; the environment can give one too.
    ``expires_after`` is how long its calls may wait for their provider, if longer than usual.
    """

    service: str
    model: str
    usage: Usage
    max_tokens_output: int | None = None
    service_tier: str | None = None
    region: str | None = None
    stage: str | None = None
    project: str | None = None
    tags: tuple[str, ...] = ()
    workflow: str | None = None
    operation: str | None = None
    input_digest: str | None = None
    override: str | None = None
    expires_after: timedelta | None = None


class ReserveDetails(UsageCounts, total=False):
    """The keyword arguments of ``CostTracker.reserve`` besides the tokens."""

    stage: str | None
    project: str | None
    tags: Iterable[str]
    workflow: str | None
    operation: str | None
    service_tier: str | None
    region: str | None
    input_digest: str | None
    override: str | None
    expires_after_s: float | None


def make_intent(
    service: str,
    model: str,
    tokens_input: int = 0,
    max_tokens_output: int | None = None,
    **details: Unpack[ReserveDetails],
) -> Intent:
    """Check the arguments of ``CostTracker.reserve`` and return them as one object.

    Raises:
        TypeError, ValueError: an argument is not valid.

    """
    override = optional_name("override", details.pop("override", None))
    expires_after_s = details.pop("expires_after_s", None)
    if expires_after_s is not None and not 0 < expires_after_s <= MAX_EXPIRY_S:
        raise ValueError(f"expires_after_s must be between 0 and {MAX_EXPIRY_S:g}, not {expires_after_s!r}")
    if max_tokens_output is not None:
        max_tokens_output = Usage(tokens_output=max_tokens_output).tokens_output  # like any other count
    call = make_call(service, model, tokens_input, **details)  # type: ignore[misc]  # the rest are CallDetails
    return Intent(
        service=call.service,
        model=call.model,
        usage=call.usage,
        max_tokens_output=max_tokens_output,
        service_tier=call.service_tier,
        region=call.region,
        stage=call.stage,
        project=call.project,
        tags=call.tags,
        workflow=call.workflow,
        operation=call.operation,
        input_digest=call.input_digest,
        override=override,
        expires_after=None if expires_after_s is None else timedelta(seconds=expires_after_s),
    )


class _Handover:
    """A reservation made in a thread for a task, which may be gone by the time it is made.

    Then the thread or the task, whichever comes last, gives it back: it was not used for any request.
    """

    def __init__(self) -> None:
        self._hold: Hold | None = None
        self._given_up = False
        self._lock = lock_of(self, "_lock")

    def made(self, hold: Hold, loop: AbstractEventLoop) -> Hold:
        """Hand over the thread's reservation to a task of ``loop``."""
        with self._lock:
            self._hold = hold
            given_up = self._given_up or loop.is_closed()
        if given_up:
            hold.void()
        return hold

    def give_up(self) -> None:
        """Note that the task is gone."""
        with self._lock:
            self._given_up = True
            hold = self._hold
        if hold is not None:
            hold.void()


class Reserving:
    """A reservation that is made when its block is entered and ends when the block is left.

    It can be used for one block after another, each with its own hold, but not for two at once.
    """

    def __init__(self, session: Session, request: GateRequest) -> None:
        self._session = session
        self._request = request
        self._hold: Hold | None = None

    def __enter__(self) -> Hold:
        self._refuse_second()
        self._hold = self._session.hold(self._request)
        return self._hold

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hold is not None:
            self._hold.close(failed=kind is not None)
            self._hold = None

    async def __aenter__(self) -> Hold:
        from asyncio import get_running_loop  # ordinary stage scripts do not pay for it

        self._refuse_second()
        loop, handover = get_running_loop(), _Handover()

        def reserve() -> Hold:
            return handover.made(self._session.hold(self._request), loop)

        try:
            self._hold = await loop.run_in_executor(None, copy_context().run, reserve)
        except BaseException:
            handover.give_up()
            raise
        return self._hold

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not handed to a thread: a task that is being cancelled could not wait for it.
        self.__exit__(kind, error, trace)

    def _refuse_second(self) -> None:
        if self._hold is not None:
            raise RuntimeError("this reservation is in use: call tracker.reserve() once for each block")


def call_request(session: Session, intent: Intent) -> GateRequest:
    """Return the request to the gate for one call."""
    catalogue = session.recording.catalogue()
    stage = current_stage(session)
    now = session.workspace.clock()
    cost = _highest_cost(catalogue, intent, now)

    def cost_as(service: str, model: str) -> Nanos | None:
        return _highest_cost(catalogue, replace(intent, service=service, model=model), now).estimate

    return GateRequest(
        user_id=session.job.user_id,
        service=intent.service,
        model=intent.model,
        estimate=cost.estimate,
        unknown=cost.unknown,
        unpriced=cost.unpriced,
        free=cost.free,
        local=cost.local,
        tokens=_highest_tokens(intent, cost),
        job=session.job_ref,
        stage=intent.stage or (stage.name if stage else session.job.work.stage),
        project=intent.project or (stage.options.project if stage else None),
        tags=intent.tags or (stage.options.tags if stage else ()),
        workflow=intent.workflow or session.job.work.workflow,
        operation=intent.operation,
        within=_within(session),
        expires_after=intent.expires_after,
        override=_override(session, intent.override),
        usage=intent.usage,
        input_digest=intent.input_digest,
        cost_as=cost_as,
    )


def block_request(session: Session, stage: StageOptions, amount: Nanos) -> GateRequest:
    """Return the request to the gate for all calls of a stage together."""
    return GateRequest(
        user_id=session.job.user_id,
        service="any",
        model="any",
        estimate=amount,
        job=session.job_ref,
        stage=stage.name,
        project=stage.project,
        tags=stage.tags,
        workflow=session.job.work.workflow,
        calls=stage.reserve_calls,
        tokens=stage.reserve_tokens,
        one_call=False,
        within=_within(session),
        override=_override(session, stage.override),
    )


WITHIN_VARIABLE: Final = "COST_TRACKER_WITHIN"
"""The environment variable with the id of the reservation that this process makes its calls within."""


def _within(session: Session) -> str | None:
    return session.workspace.environ.get(WITHIN_VARIABLE) or None


class _HighestCost(NamedTuple):
    """The most that a call can cost, in nano-dollars, or ``None`` and the reason why that is unknown.

    ``unpriced``: a price is missing. ``free``: whatever it uses costs nothing. ``local``: because it runs
    here.
    """

    estimate: Nanos | None
    unknown: str = ""
    unpriced: bool = False
    free: bool = False
    local: bool = False


def _highest_tokens(intent: Intent, cost: _HighestCost) -> int | None:
    """Return the most tokens that a call can use; ``None`` if its output has no maximum.

    A call whose cost is known without a maximum, such as an embedding, has no output to count.
    """
    if intent.max_tokens_output is None and (cost.estimate is None or cost.free):
        return None
    return intent.usage.tokens_input + (intent.max_tokens_output or 0)


def _highest_cost(catalogue: Catalogue | None, intent: Intent, now: datetime) -> _HighestCost:
    if catalogue is None:
        return _HighestCost(None, f"the price of {intent.service}/{intent.model} cannot be read now", True)
    if catalogue.is_local(intent.service, intent.model):
        return _HighestCost(ZERO, free=True, local=True)
    # Without a maximum, one token of output shows whether output is charged.
    output = 1 if intent.max_tokens_output is None else intent.max_tokens_output
    usage = _with_output(intent.usage, output)
    terms = now, intent.service_tier, intent.region
    verdict = catalogue.ceiling(intent.service, intent.model, usage, *terms)
    no_price = isinstance(verdict, Unpriced) or "tokens_output" in verdict.missing
    if intent.max_tokens_output is None and no_price:
        verdict = catalogue.ceiling(intent.service, intent.model, intent.usage, *terms)
    if isinstance(verdict, Unpriced):
        return _HighestCost(None, verdict.reason, unpriced=True)
    if verdict.missing:
        units = ", ".join(verdict.missing)
        return _HighestCost(None, f"{verdict.priced_by.model} has no price for {units}", unpriced=True)
    if intent.max_tokens_output is None and output_part(verdict):
        return _HighestCost(None, f"no max_tokens_output is given for {intent.service}/{intent.model}")
    return _HighestCost(verdict.total, free=catalogue.is_free(intent.service, intent.model, now))


def _with_output(usage: Usage, tokens_output: int) -> Usage:
    return Usage(**{**usage.counts(), "tokens_output": tokens_output})  # type: ignore[arg-type]  # counts() keeps each field's type


def _override(session: Session, argument: str | None) -> str | None:
    """Return the reason to override a refusal: the argument, or the name of the environment variable."""
    if argument:
        return argument
    return OVERRIDE_VARIABLE if session.workspace.environ.get(OVERRIDE_VARIABLE) == "1" else None
