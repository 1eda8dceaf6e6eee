"""Holds what a call can cost before a wrapped method sends it, and settles it with what it did cost."""

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
from .methods import MediaMethod, found_at

if TYPE_CHECKING:
    from ..budgets.hold import Hold
    from ..tracking.session import Session
    from .calls import WrappedCall
    from .purse import Purse

_SESSIONS: Final = frozenset({"messages", "message", "opened"})
"""What is read message by message or told in events, none of which is a request of its own."""

Record = Callable[[Captured, "Hold | None"], float]
"""Records a call under a hold, if there is one; returns its USD."""


class HoldTicket:
    """One call that may be sent: tell it of what was read of the call, or of what went wrong.

    Args:
        record: records a call.
        purse: what the run may spend, and in which ``place`` of it this call is held.
        hold: what is held for it in budgets.
        anew: holds the same once more.

    """

    def __init__(
        self,
        record: Record,
        purse: Purse | None = None,
        place: str = "",
        hold: Hold | None = None,
        anew: Callable[[], tuple[str, Hold]] | None = None,
    ) -> None:
        self._record = record
        self._anew = anew
        self._was_unanswered = False
        self.denied: BudgetExceeded | BudgetGateUnavailable | None = None
        """Why its request may not be repeated; SDKs take it for a fault of the connection, and try again."""
        self.unsent: Callable[[], None] = lambda: None
        """Takes back that the request was counted: the provider refused it."""
        self.lost: Callable[[], Captured] | None = None
        """Gives the call behind a request that was sent and not answered."""
        self._purse = purse
        self._place = place
        self._hold = hold

    def report(self, captured: Captured) -> None:
        """Record one call that was made with it; of several, the first ends the hold."""
        hold, self._hold, self._anew = self._hold, None, None
        usd = 0.0
        try:
            usd = self._record(captured, hold)
        finally:
            self._settle(from_usd(usd))
            if hold is not None:
                hold.close()

    def _settle(self, cost: Nanos) -> None:
        # Where the purse cannot be used any more, what was held goes on counting, and later calls are held
        # back; the program must have the answer of this one.
        with suppress(BudgetGateUnavailable):
            if self._purse is not None:
                self._purse.settle(self._place, cost)

    def unanswered(self) -> None:
        """Remember that its request was sent and no answer came."""
        self._was_unanswered = True

    def sending(self) -> None:
        """Hold once more before a request is repeated to which no answer came: both may be billed.

        Raises:
            BudgetExceeded: there is no room for a second one.
            BudgetGateUnavailable: that cannot be told.
        """
        if self.denied is not None:
            raise self.denied
        if self._anew is None or not self._was_unanswered:
            self._record_lost()
            return
        try:
            place, hold = self._anew()
        except (BudgetExceeded, BudgetGateUnavailable) as denied:
            self.denied = denied
            raise
        except Exception as fault:
            self.denied = BudgetGateUnavailable(f"the budget of this run cannot be checked: {fault}")
            raise self.denied from fault
        self._was_unanswered = False
        before, self._place, self._hold = self._hold, place, hold
        if before is not None:
            before.close(failed=True)

    def _record_lost(self) -> None:
        """Record a call of unknown cost where nothing is held for a request that was sent unanswered."""
        if self._was_unanswered and self.lost is not None and self._purse is None:
            self._was_unanswered = False
            self._record(self.lost(), None)

    def failed(self, fault: BaseException) -> None:
        """Give back what was held where the provider refused the request; else it goes on counting."""
        self._anew = None
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
    """Decides on each call of a program before it is sent.

    Args:
        session: opens the session that calls are recorded in.
        purse: what the run may spend; without one, only the guard is asked.
        record: records a call.

    """

    def __init__(self, session: Callable[[], Session], purse: Purse | None, record: Record) -> None:
        self._session = session
        self._purse = purse
        self._record_any = record
        self._counted: set[str] = set()

    def before(self, about: WrappedCall) -> HoldTicket:
        """Hold what a call can cost at most.

        Raises:
            BudgetExceeded: a limit has no room for it, or the same request was sent too often.
            BudgetGateUnavailable: that cannot be told.
        """
        if not about.method.sends:
            return HoldTicket(self._record, self._purse)
        session, name = self._session(), (about.service or about.maker, about.model or "unknown")
        if about.method.reads in _SESSIONS:
            return self._allowed(about, session)
        request = _fingerprint(about)
        session.repeats.sending(*name, request)
        try:
            ticket = self._allowed(about, session)
        except BaseException:
            session.repeats.unsent(*name, request)
            raise
        ticket.unsent = lambda: session.repeats.unsent(*name, request)
        ticket.lost = about.unanswered
        return ticket

    def _record(self, captured: Captured, hold: Hold | None) -> float:
        """Record a call; return what it adds to what was spent: nothing where its bill was read before."""
        usd = self._record_any(captured, hold)
        if captured.request_id is None:
            return usd
        bill = f"{captured.service}/{captured.request_id}"
        if bill in self._counted:
            return 0.0
        self._counted.add(bill)
        return usd

    def _allowed(self, about: WrappedCall, session: Session) -> HoldTicket:
        if self._purse is not None:
            return self._held(about, self._purse)
        for spending in session.watch.guarding():
            if spending.remaining <= 0:
                raise too_fast(spending, f"{about.service or about.maker}/{about.model or 'unknown'}")
        return HoldTicket(self._record)

    def _held(self, about: WrappedCall, purse: Purse) -> HoldTicket:
        from ..tracking.reserving import call_request, make_intent

        service, model = about.service or about.maker, about.model or "unknown"
        bounds = None if about.method.reads in _SESSIONS else about.bounds
        if bounds is None:
            # Nothing in the request says how much it will use: it is sent while anything is left.
            return HoldTicket(self._record, purse, purse.hold(None, f"{service}/{model}"))
        session = self._session()
        extra: dict[str, Any] = {"characters": bounds.characters} if bounds.characters else {}
        extra |= {"service_tier": bounds.tier, "region": bounds.region or about.region}
        intent = make_intent(service, model, bounds.tokens_input or 0, bounds.max_tokens_output, **extra)
        request = call_request(session, intent)
        if bounds.tokens_input is None and not request.free:
            unknown = f"how much a request like this to {request.name} can use is not known"
            request = replace(request, estimate=None, tokens=None, unknown=unknown)
        most = request.estimate

        def held() -> tuple[str, Hold]:
            place = purse.hold(most, request.name)
            try:
                hold = session.hold(request)
            except BaseException:
                purse.settle(place, Nanos(0))
                raise
            hold.intended = None  # the bounds of a request are no usage
            return place, hold

        return HoldTicket(self._record, purse, *held(), held)


def _aws_status(fault: BaseException) -> object:
    return found_at(fault, ("response", "ResponseMetadata", "HTTPStatusCode"))


def _fingerprint(about: WrappedCall) -> str:
    """Return what tells one request from another; nothing can be read back from it."""
    given = sorted((name, _short(value)) for name, value in about.given.items())
    args = () if isinstance(about.method, MediaMethod) else about.args
    return sha256(repr((about.method.name, args, given)).encode(errors="surrogatepass")).hexdigest()


def _short(value: object) -> str:
    """Return what tells a value from another; of sound and pictures a hash, for their text is long."""
    serialized = getattr(getattr(value, "_pb", None), "SerializeToString", None)
    if callable(serialized):
        value = serialized()
    return sha256(value).hexdigest() if isinstance(value, (bytes, bytearray)) else repr(value)
