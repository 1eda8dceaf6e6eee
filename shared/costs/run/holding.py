"""Holds what a call can cost before a wrapped method sends it, and settles it with the actual cost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ..budgets.guard import too_fast
from ..capture.captured import Captured
from ..errors import BudgetExceeded, BudgetGateUnavailable
from ..money import Nanos, from_usd
from .methods import MediaMethod, value_at

if TYPE_CHECKING:
    from ..budgets.hold import Hold
    from ..tracking.session import Session
    from .calls import WrappedCall
    from .purse import Purse

_SESSIONS: Final = frozenset({"messages", "message", "opened"})
"""Sessions that are read by message or report events, none of which is a request of its own."""

Record = Callable[[Captured, "Hold | None"], float]
"""Records a call under a hold, if there is one, and returns its USD."""


class HoldTicket:
    """One call that may be sent. It is notified of what was read of the call, or of what went wrong.

    Args:
        record: records a call.
        purse: the budget of the run.
        purse_hold: id of this call's hold in ``purse``.
        hold: the call's hold in budgets.
        hold_again: holds the same amounts once more; returns both holds.

    """

    def __init__(
        self,
        record: Record,
        purse: Purse | None = None,
        purse_hold: str = "",
        hold: Hold | None = None,
        hold_again: Callable[[], tuple[str, Hold]] | None = None,
    ) -> None:
        self._record = record
        self._hold_again = hold_again
        self._was_unanswered = False
        self.denied: BudgetExceeded | BudgetGateUnavailable | None = None
        """Why the request may not be repeated; SDKs retry after this error as after a connection fault."""
        self.unsent: Callable[[], None] = lambda: None
        """Uncounts the request, if the provider refused it."""
        self.lost: Callable[[], Captured] | None = None
        """Returns the call behind a request that was sent and not answered."""
        self.has_begun: bool | None = None
        """Whether an answer to the last request has begun and is not a refusal; ``None`` if none was sent."""
        self._purse = purse
        self._purse_hold = purse_hold
        self._hold = hold

    def report(self, captured: Captured) -> None:
        """Record one call that was made under this ticket; of several, the first settles the hold."""
        hold, self._hold, self._hold_again = self._hold, None, None
        usd = 0.0
        try:
            usd = self._record(captured, hold)
        finally:
            self._settle(from_usd(usd))
            if hold is not None:
                hold.close()

    def _settle(self, cost: Nanos) -> None:
        # If the purse is no longer usable, the amount stays held and later calls are denied, but the program
        # must get the answer of this one.
        with suppress(BudgetGateUnavailable):
            if self._purse is not None:
                self._purse.settle(self._purse_hold, cost)

    def unanswered(self) -> None:
        """Note that the request was sent and no answer came."""
        self._was_unanswered = True

    def sending(self) -> None:
        """Hold once more before an unanswered request is repeated, since both may be billed.

        Raises:
            BudgetExceeded: a second request does not fit into the budget.
            BudgetGateUnavailable: the budget cannot be checked.
        """
        if self.denied is not None:
            raise self.denied
        if self._hold_again is None or not self._was_unanswered:
            self._record_lost()
            return
        try:
            purse_hold, hold = self._hold_again()
        except (BudgetExceeded, BudgetGateUnavailable) as denied:
            self.denied = denied
            raise
        except Exception as fault:
            self.denied = BudgetGateUnavailable(f"the budget of this run cannot be checked: {fault}")
            raise self.denied from fault
        self._was_unanswered = False
        before, self._purse_hold, self._hold = self._hold, purse_hold, hold
        if before is not None:
            before.close(failed=True)

    def _record_lost(self) -> None:
        """Record a call of unknown cost for an unanswered request, unless an amount is held for it."""
        if self._was_unanswered and self.lost is not None and self._purse is None:
            self._was_unanswered = False
            self._record(self.lost(), None)

    def failed(self, fault: BaseException) -> None:
        """Release the hold if the provider refused the request; otherwise it stays held."""
        self._hold_again = None
        self._record_lost()
        status = getattr(fault, "status_code", None) or getattr(fault, "code", None) or _aws_status(fault)
        refused = isinstance(status, int) and 400 <= status < 500
        if refused:
            self.unsent()
            self._settle(Nanos(0))
        if self._hold is not None:
            if refused:
                self._hold.void()
            self._hold.close(failed=True)


class Holding:
    """Admits or denies each call of a program before it is sent.

    Args:
        session: opens the session that calls are recorded in.
        purse: the budget of the run; without one, only the guard is checked.
        record: records a call.

    """

    def __init__(self, session: Callable[[], Session], purse: Purse | None, record: Record) -> None:
        self._session = session
        self._purse = purse
        self._record_any = record
        self._counted: set[str] = set()

    def before(self, call: WrappedCall) -> HoldTicket:
        """Hold the most that a call can cost.

        Raises:
            BudgetExceeded: the call does not fit into a limit, or the same request was sent too often.
            BudgetGateUnavailable: the budget cannot be checked.
        """
        if not call.method.sends:
            return HoldTicket(self._record, self._purse)
        session, names = self._session(), (call.service or call.maker, call.model or "unknown")
        if call.method.reads in _SESSIONS:
            return self._ticket(call, session)
        request = _fingerprint(call)
        session.repeats.sending(*names, request)
        try:
            ticket = self._ticket(call, session)
        except BaseException:
            session.repeats.unsent(*names, request)
            raise
        ticket.unsent = lambda: session.repeats.unsent(*names, request)
        ticket.lost = call.unanswered_call
        return ticket

    def _record(self, captured: Captured, hold: Hold | None) -> float:
        """Record a call; return what it adds to the spend in USD, 0 if its bill was read before."""
        usd = self._record_any(captured, hold)
        if captured.request_id is None:
            return usd
        bill_id = f"{captured.service}/{captured.request_id}"
        if bill_id in self._counted:
            return 0.0
        self._counted.add(bill_id)
        return usd

    def _ticket(self, call: WrappedCall, session: Session) -> HoldTicket:
        if self._purse is not None:
            return self._ticket_with_hold(call, self._purse)
        for spending in session.watch.guarding():
            if spending.remaining <= 0:
                raise too_fast(spending, f"{call.service or call.maker}/{call.model or 'unknown'}")
        return HoldTicket(self._record)

    def _ticket_with_hold(self, call: WrappedCall, purse: Purse) -> HoldTicket:
        from ..tracking.reserving import call_request, make_intent

        service, model = call.service or call.maker, call.model or "unknown"
        bounds = None if call.method.reads in _SESSIONS else call.bounds
        if bounds is None:
            # Nothing in the request limits its usage, so it is sent while anything remains.
            return HoldTicket(self._record, purse, purse.hold(None, f"{service}/{model}"))
        session = self._session()
        extra: dict[str, Any] = {"characters": bounds.characters} if bounds.characters else {}
        extra |= {"service_tier": bounds.tier, "region": bounds.region or call.region}
        intent = make_intent(service, model, bounds.tokens_input or 0, bounds.max_tokens_output, **extra)
        request = call_request(session, intent)
        if bounds.tokens_input is None and not request.free:
            unknown = f"how much a request like this to {request.name} can use is not known"
            request = replace(request, estimate=None, tokens=None, unknown=unknown)
        most = request.estimate

        def hold_both() -> tuple[str, Hold]:
            purse_hold = purse.hold(most, request.name)
            try:
                hold = session.hold(request)
            except BaseException:
                purse.settle(purse_hold, Nanos(0))
                raise
            hold.intended = None  # the bounds of a request are not its usage
            return purse_hold, hold

        return HoldTicket(self._record, purse, *hold_both(), hold_both)


def _aws_status(fault: BaseException) -> object:
    return value_at(fault, ("response", "ResponseMetadata", "HTTPStatusCode"))


def _fingerprint(call: WrappedCall) -> str:
    """Return a hash that identifies a request; its content cannot be read back from it."""
    arguments = sorted((name, _short(value)) for name, value in call.arguments.items())
    args = () if isinstance(call.method, MediaMethod) else call.args
    return sha256(repr((call.method.name, args, arguments)).encode(errors="surrogatepass")).hexdigest()


def _short(value: object) -> str:
    """Return a text that identifies a value; a hash for audio and pictures, whose ``repr`` is long."""
    serialized = getattr(getattr(value, "_pb", None), "SerializeToString", None)
    if callable(serialized):
        value = serialized()
    return sha256(value).hexdigest() if isinstance(value, (bytes, bytearray)) else repr(value)
