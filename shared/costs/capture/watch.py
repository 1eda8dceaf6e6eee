"""Follows one stream and reports its call once, however the stream ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

from ..model import UNKNOWN, Usage
from .adapter import Adapter, Follower, SessionFollower
from .agent_sessions import CURRENT, compared_with
from .captured import Captured
from .fields import Fields
from .reading import adapter_of_chunk, adapter_of_package, read_response, with_names

log = logging.getLogger("shared.cost_tracker")

Report = Callable[[Captured], object]
"""Called once with each captured call. What it raises is logged and never reaches the stream's reader."""

Waiting = Callable[[], AbstractContextManager[object]]
"""Returns a context manager that is entered while a stream is opened, or while its next chunk is awaited."""

ENDED: Final = "ended"
CLOSED: Final = "was closed early"
DROPPED: Final = "was dropped"
STILL_OPEN: Final = "was still open when the program ended"

_UNSURE_MAX: Final = 16
"""How many chunks are kept while their provider is not known."""


def broke(fault: BaseException) -> str:
    """Return how a broken stream ended. It names the fault's type alone, since its text may hold secrets."""
    return f"broke ({type(fault).__name__})"


@dataclass(frozen=True, slots=True)
class StreamNames:
    """Names that the caller gives a stream. ``service`` and ``model`` win over those in the stream."""

    service: str | None = None
    model: str | None = None
    request_id: str | None = None


NO_NAMES: Final = StreamNames()


class Watch:
    """Follows one stream. It is an object of its own, because the caller may drop the tracked stream.

    A forked child has a copy, which reports nothing unless the child reads the stream: the call belongs to
    the parent, which goes on.
    """

    def __init__(
        self, stream: object, report: Report, names: StreamNames = NO_NAMES, waiting: Waiting = nullcontext
    ) -> None:
        self.waiting = waiting
        self._stream = stream
        self._report = report
        self._names = names
        self._adapter: Adapter | None = adapter_of_package(stream)
        self._follower: Follower | None = None
        self._sessions = CURRENT.get()
        self._unsure: list[Fields] = []
        self._reader = os.getpid()
        self._to_report = [True]  # popped by one thread alone, so that the calls are reported once

    def adopt(self, inner: object) -> None:
        """Continue with the stream that a stream manager opened."""
        self._stream = inner

    def see(self, chunk: object) -> None:
        """Read one chunk. One that cannot be read is logged and does not disturb the stream."""
        self._reader = os.getpid()
        try:
            self._follow(chunk)
            if isinstance(self._follower, SessionFollower):
                # Each turn is recorded when it ends, because a session may last for hours.
                for call in self._follower.finished():
                    self._report(self._with_names(call))
        except Exception as fault:
            # An SDK's object may raise anything when it is read, and the stream's reader must not notice.
            log.warning("a chunk of a stream cannot be counted: %s", fault)

    def _follow(self, chunk: object) -> None:
        if self._follower is None:
            adapter = adapter_of_chunk(chunk)
            if adapter is None:
                self._unsure = [*self._unsure[1 - _UNSURE_MAX :], Fields(chunk)]
                return
            with compared_with(self._sessions):
                self._adapter, self._follower = adapter, adapter.follow()
            for earlier in self._unsure:
                self._follower.add(earlier)
        self._follower.add(Fields(chunk))

    def finish(self, ending: str) -> None:
        """Report what is known, once; later calls do nothing. Raises nothing."""
        if self._reader != os.getpid() and ending != ENDED:
            return
        try:
            self._to_report.pop()
        except IndexError:
            return  # reported already
        try:
            for call in self._calls(ending):
                self._report(call)
        except Exception:
            # Whatever is wrong with recording, the code that reads the stream must go on.
            log.exception("a stream that %s could not be recorded", ending)

    def _calls(self, ending: str) -> Iterable[Captured]:
        for call in self._readable(ending):
            yield self._with_names(call)

    def _with_names(self, call: Captured) -> Captured:
        """Return a call with the caller's names.

        The request id is given to the first call alone, and so is the model, except in a session: there it is
        the model of each turn that names none.
        """
        names = self._names
        if isinstance(self._follower, SessionFollower) and self._follower.is_session:
            model = call.model or names.model
            self._names = StreamNames(names.service, names.model)
        else:
            model = names.model or call.model
            self._names = StreamNames(names.service)
        result = with_names(call, names.service, model)
        return replace(result, request_id=call.request_id or names.request_id)

    def _readable(self, ending: str) -> Iterable[Captured]:
        """Return the calls, or one flagged call without counts if they cannot be read."""
        try:
            return list(self._known(ending))
        except Exception as fault:
            log.warning("the usage of a stream that %s cannot be read: %s", ending, fault)
            return _nothing_known(self._names.service or UNKNOWN, ending)

    def _known(self, ending: str) -> Iterable[Captured]:
        snapshot = _snapshot(self._stream)
        if _is_final(snapshot):
            return read_response(snapshot.raw)
        if self._follower is None and snapshot:
            for chunk in _as_chunks(snapshot):
                self.see(chunk)
        if self._follower is not None:
            return self._follower.result(ending)
        if self._adapter is not None:
            return self._adapter.follow().result(ending)
        if self._names.service is None:
            log.warning("a stream that %s is from an unknown provider, so it is not recorded", ending)
            return ()
        return _nothing_known(self._names.service, ending)


def _nothing_known(service: str, ending: str) -> Iterable[Captured]:
    reason = f"the stream {ending} and nothing in it could be counted"
    return [
        Captured(
            service=service, model="", usage=Usage(), operation="chat", usage_known=False, incomplete=reason
        )
    ]


def _snapshot(stream: object) -> Fields:
    """Return what an SDK's stream helper has accumulated so far.

    Needed if the caller reads through the helper (``text_stream``, ``get_final_message()``): the helper then
    reads the stream itself, and :class:`Watch` sees no chunk.
    """
    for name in ("current_message_snapshot", "current_completion_snapshot"):
        try:
            snapshot = getattr(stream, name, None)
        except (AssertionError, RuntimeError):
            continue  # the helper has not seen its first event
        if snapshot is not None:
            return Fields(snapshot)
    # The public method of OpenAI's response stream would read on, so its private state is used.
    return Fields(Fields(stream).part("_state").get("_completed_response"))


def _is_final(snapshot: Fields) -> bool:
    if not snapshot.has("usage"):
        return False
    return snapshot.text("type") != "message" or snapshot.has("stop_reason")


def _as_chunks(snapshot: Fields) -> Iterable[object]:
    """Return an unfinished snapshot as chunks that would have produced it."""
    if snapshot.text("type") == "message":
        yield {"type": "message_start", "message": snapshot.raw}
        for block in snapshot.parts("content"):
            yield {"type": "content_block_delta", "delta": block.raw}
        return
    messages = [{"delta": choice.get("message")} for choice in snapshot.parts("choices")]
    names = {name: snapshot.get(name) for name in ("id", "model", "service_tier")}
    yield {"object": "chat.completion.chunk", **names, "choices": messages}
