"""A LiteLLM logger that records every call that goes through LiteLLM.

    import litellm
    from shared.costs.capture.hooks.litellm import CostLogger

    litellm.callbacks = [CostLogger(tracker)]

LiteLLM's own cost is an estimate: it is kept beside ours, and counts only if we have no price. Answers
from its cache are recorded at $0. Streams need
``stream_options={"include_usage": True}`` to state exact usage; without it LiteLLM counts tokens itself,
and the entry is flagged.
"""

from __future__ import annotations

import io
import logging
import wave
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ...extras import needs
from ...model import Usage
from ..adapters.litellm import measured, with_estimate
from ..captured import Captured, Sink, answered_from_cache, first_reason, unreadable, usd_of
from ..fields import Fields
from ..reading import read_response
from ..recordings import wav_seconds

try:
    from litellm.integrations.custom_logger import CustomLogger
except ImportError:
    CustomLogger = needs("litellm")  # its stand-in

log = logging.getLogger("shared.cost_tracker")


class CostLogger(CustomLogger):  # type: ignore[misc]  # Any where it is missing
    """Records each call with ``sink`` (a ``CostTracker``) when LiteLLM reports that it succeeded."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def log_success_event(
        self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a call. Raises nothing."""
        record(self._sink, kwargs, response_obj)

    async def async_log_success_event(
        self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a call of the asynchronous interface, without blocking its event loop. Raises nothing.

        LiteLLM calls this after the call has returned, also when the event loop ends (and cancels what has
        begun) and when the program ends (and no thread can start): the call is recorded in both cases.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        try:
            recorded = loop.run_in_executor(None, record, self._sink, kwargs, response_obj)
        except RuntimeError:
            record(self._sink, kwargs, response_obj)
        else:
            await asyncio.shield(recorded)


def record(sink: Sink, kwargs: Mapping[str, Any], response: object) -> None:
    """Record what LiteLLM passes to its loggers about one call. Raises nothing.

    ``kwargs`` are LiteLLM's details of the call. Of a stream, LiteLLM reports each chunk too; only the whole
    response, which it assembles at the end, is recorded.
    """
    details = Fields(kwargs)
    complete = details.get("complete_streaming_response", "async_complete_streaming_response")
    if details.get("stream") is True and complete is None:
        return
    try:
        for call in _readable(details, complete or response):
            sink.record_captured(call)
    except Exception:
        # Whatever is wrong with recording, the call must succeed.
        log.exception("a LiteLLM call could not be recorded")


def _readable(details: Fields, response: object) -> list[Captured]:
    """Return the calls; one of unknown usage if the response cannot be read."""
    if details.text("call_type") in _SPEECH and isinstance(text := details.get("input"), str):
        return [_speech(details, text)]
    try:
        return list(_calls(details, response))
    except Exception as fault:
        log.warning("a response of LiteLLM is recorded without its usage: %s", fault)
        provider = details.part("litellm_params").text("custom_llm_provider") or ""
        return [unreadable(provider, details.text("model") or "", fault)]


_SPEECH: Final = frozenset({"speech", "aspeech"})


def _speech(details: Fields, text: str) -> Captured:
    """Return a call for speech, counted by its text: the answer is audio, and LiteLLM counts no spaces."""
    call = Captured(
        service=details.part("litellm_params").text("custom_llm_provider") or "openai",
        model=details.text("model") or "unknown",
        usage=Usage(characters=len(text)),
        operation="speech",
    )
    return with_estimate(call, usd_of(details.get("response_cost")))


def _calls(details: Fields, response: object) -> Iterator[Captured]:
    cost = usd_of(details.get("response_cost"))
    provider = details.part("litellm_params").text("custom_llm_provider")
    for call in read_response(response, service=provider, model=details.text("model")):
        served = _with_duration(details, replace(call, service=provider or call.service))
        if details.get("cache_hit") is True:
            yield served if served.stated_by == "cache" else answered_from_cache(served)
            continue
        reason = COUNTED_BY_LITELLM if _counts_by_itself(details, response) else None
        yield with_estimate(replace(served, incomplete=first_reason((served.incomplete, reason))), cost)
        cost = None  # it was the cost of all of them


def _with_duration(details: Fields, call: Captured) -> Captured:
    """Return a transcription of unknown length with the length of its file, if that is a WAV file."""
    if call.operation != "transcription" or call.usage_known:
        return call
    request = details.part("additional_args").part("complete_input_dict")  # ``input`` is only its repr
    seconds = _wav_seconds(request.get("file"))
    return measured(call, seconds) if seconds else call


def _wav_seconds(file: object) -> float:
    """Return the seconds of a WAV file, 0 for any other file.

    ``file`` is what OpenAI's clients accept: bytes, a path, an open file, or a tuple of a name and one of
    these. The position of an open file is not changed.
    """
    content = file[1] if isinstance(file, tuple) and len(file) > 1 else file
    if isinstance(content, io.BytesIO):
        content = content.getvalue()
    path = getattr(content, "name", content)
    with suppress(OSError, EOFError, wave.Error, ZeroDivisionError):
        if isinstance(content, bytes):
            return wav_seconds(io.BytesIO(content))
        if isinstance(path, (str, Path)) and Path(path).is_file():
            with Path(path).open("rb") as opened:
                return wav_seconds(opened)
    return 0.0


COUNTED_BY_LITELLM: Final = "LiteLLM counted these tokens itself: the stream was not asked for its usage"


def _counts_by_itself(details: Fields, response: object) -> bool:
    """Tell whether the counts of a stream are LiteLLM's own, which look like a server's.

    A stream of the Responses API states them without being asked.
    """
    include_usage = details.part("optional_params").part("stream_options").get("include_usage")
    is_chat = Fields(response).text("object") != "response"
    return is_chat and details.get("stream") is True and include_usage is not True
