"""``tracker.reserve(...)``: money set aside before a call is sent.

Works with ``with`` and with ``async with``; what it gives is passed to ``log_usage`` as
``reservation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Unpack

from ..budgets.deciding import OVERRIDE_VARIABLE
from ..budgets.gate import EXPIRY, Request
from ..budgets.hold import Hold
from ..model import Unpriced, Usage
from ..money import Nanos
from ..rollup import output_part
from .call import UsageCounts, make_call
from .labels import optional_name
from .stage import current_stage

if TYPE_CHECKING:
    from asyncio import Task

    from ..pricing.catalogue import Catalogue
    from .session import Session

MAX_EXPIRY_S: Final = 7 * 86_400.0
"""The longest time a hold may count as live, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a caller is about to do. ``max_tokens_output`` is ``None`` when it sets no maximum.

    ``override`` says why a refusal is to be overridden; the environment may say so too.
    """

    service: str
    model: str
    usage: Usage
    max_tokens_output: int | None = None
    service_tier: str | None = None
    stage: str | None = None
    override: str | None = None
    expires_after: timedelta = EXPIRY


class ReserveDetails(UsageCounts, total=False):
    """The keyword arguments of ``CostTracker.reserve`` besides the tokens."""

    stage: str | None
    service_tier: str | None
    override: str | None
    expires_after_s: float


def make_intent(
    service: str,
    model: str,
    tokens_input: int = 0,
    max_tokens_output: int | None = None,
    **details: Unpack[ReserveDetails],
) -> Intent:
    """Check the arguments of ``CostTracker.reserve`` and return them as one object.

    Raises:
        TypeError, ValueError: an argument makes no sense.

    """
    override = optional_name("override", details.pop("override", None))
    expires_after_s = details.pop("expires_after_s", EXPIRY.total_seconds())
    if not 0 < expires_after_s <= MAX_EXPIRY_S:
        raise ValueError(f"expires_after_s must be between 0 and {MAX_EXPIRY_S:g}, not {expires_after_s!r}")
    if max_tokens_output is not None:
        Usage(tokens_output=max_tokens_output)  # checked like any other count
    call = make_call(service, model, tokens_input, **details)  # type: ignore[misc]  # what is left are CallDetails
    return Intent(
        service=call.service,
        model=call.model,
        usage=call.usage,
        max_tokens_output=max_tokens_output,
        service_tier=call.service_tier,
        stage=call.stage,
        override=override,
        expires_after=timedelta(seconds=expires_after_s),
    )


class Reserving:
    """A reservation that is made on entering its block, and ended on leaving it."""

    def __init__(self, session: Session, request: Request) -> None:
        self._session = session
        self._request = request
        self._hold: Hold | None = None

    def __enter__(self) -> Hold:
        self._hold = self._session.hold(self._request)
        return self._hold

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hold is not None:
            self._hold.close(failed=kind is not None)

    async def __aenter__(self) -> Hold:
        import asyncio  # ordinary stage scripts do not pay for it

        reserving = asyncio.create_task(asyncio.to_thread(self.__enter__))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            # The thread goes on; what it gets was not used for any request, so it is given back.
            reserving.add_done_callback(_give_back)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not handed to a thread: a task that is being cancelled could not wait for it.
        self.__exit__(kind, error, trace)


def _give_back(reserving: Task[Hold]) -> None:
    if not reserving.cancelled() and reserving.exception() is None:
        reserving.result().void()


def call_request(session: Session, intent: Intent) -> Request:
    """Return what the gate is asked for one call."""
    catalogue = session.recording.catalogue()
    stage = current_stage(session)
    estimate, unknown, unpriced = _highest_cost(catalogue, intent, session.workspace.clock())
    return Request(
        user_id=session.job.user_id,
        service=intent.service,
        model=intent.model,
        estimate=estimate,
        unknown=unknown,
        unpriced=unpriced,
        local=catalogue is not None and catalogue.is_local(intent.service, intent.model),
        job=session.job_ref,
        stage=intent.stage or (stage.name if stage else session.job.work.stage),
        expires_after=intent.expires_after,
        override=_override(session, intent.override),
    )


def block_request(session: Session, stage: str, amount: Nanos, override: str | None) -> Request:
    """Return what the gate is asked for all calls of a stage together."""
    return Request(
        user_id=session.job.user_id,
        service="any",
        model="any",
        estimate=amount,
        job=session.job_ref,
        stage=stage,
        one_call=False,
        override=_override(session, override),
    )


def _highest_cost(
    catalogue: Catalogue | None, intent: Intent, now: datetime
) -> tuple[Nanos | None, str, bool]:
    """Return the most that a call can cost; else ``None``, why in words, and whether a price is missing."""
    if catalogue is None:
        return None, f"the price of {intent.service}/{intent.model} cannot be read now", True
    # One token of output shows whether output is charged where no maximum is given.
    output = 1 if intent.max_tokens_output is None else intent.max_tokens_output
    usage = _with_output(intent.usage, output)
    verdict = catalogue.ceiling(intent.service, intent.model, usage, now, intent.service_tier)
    if intent.max_tokens_output is None and isinstance(verdict, Unpriced):
        verdict = catalogue.ceiling(intent.service, intent.model, intent.usage, now, intent.service_tier)
    if isinstance(verdict, Unpriced):
        return None, verdict.reason, True
    if intent.max_tokens_output is None and output_part(verdict):
        return None, f"no max_tokens_output is given for {intent.service}/{intent.model}", False
    return verdict.total, "", False


def _with_output(usage: Usage, tokens_output: int) -> Usage:
    return Usage(**{**usage.counts(), "tokens_output": tokens_output})  # type: ignore[arg-type]  # counts() keeps each field's type


def _override(session: Session, argument: str | None) -> str | None:
    """Return by what a refusal is overridden: the argument, or the environment variable."""
    if argument:
        return argument
    return OVERRIDE_VARIABLE if session.workspace.environ.get(OVERRIDE_VARIABLE) == "1" else None
