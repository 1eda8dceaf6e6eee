"""A LiteLLM logger that records every call that goes through LiteLLM.

    import litellm
    from shared.costs.capture.hooks.litellm import CostLogger

    litellm.callbacks = [CostLogger(tracker)]

LiteLLM's own figure is an estimate: it is kept beside ours, and counts only where we have no price. Answers
from its cache are recorded as what they are, at $0. Streams need
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
    """Sends each call to ``sink`` (a ``CostTracker``) when LiteLLM says that it succeeded."""

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
        """Record a call of the asynchronous interface, without holding up its event loop. Raises nothing.

        LiteLLM comes here after the call has returned, also when the event loop ends (it then cancels what
        has begun) and when the program ends (no thread can begin any more): the call is recorded in both.
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
    """Record what LiteLLM tells its loggers of one call. Raises nothing.

    ``kwargs`` are LiteLLM's own words on the call. While a stream comes, each chunk is told too;
    the whole response, which LiteLLM puts together at the end, is what counts.
    """
    about = Fields(kwargs)
    whole = about.get("complete_streaming_response", "async_complete_streaming_response")
    if about.get("stream") is True and whole is None:
        return
    try:
        for call in _readable(about, whole or response):
            sink.record_captured(call)
    except Exception:
        # Whatever is wrong with recording, the call must succeed.
        log.exception("a LiteLLM call could not be recorded")


def _readable(about: Fields, response: object) -> list[Captured]:
    """Return the calls; one of unknown usage where the response cannot be read."""
    if about.text("call_type") in _SPEECH and isinstance(text := about.get("input"), str):
        return [_speech(about, text)]
    try:
        return list(_calls(about, response))
    except Exception as fault:
        log.warning("a response of LiteLLM is recorded without its usage: %s", fault)
        provider = about.part("litellm_params").text("custom_llm_provider") or ""
        return [unreadable(provider, about.text("model") or "", fault)]


_SPEECH: Final = frozenset({"speech", "aspeech"})


def _speech(about: Fields, text: str) -> Captured:
    """Return a call for speech by its text: the answer is sound, and LiteLLM's cost leaves the spaces out."""
    call = Captured(
        service=about.part("litellm_params").text("custom_llm_provider") or "openai",
        model=about.text("model") or "unknown",
        usage=Usage(characters=len(text)),
        operation="speech",
    )
    return with_estimate(call, usd_of(about.get("response_cost")))


def _calls(about: Fields, response: object) -> Iterator[Captured]:
    cost = usd_of(about.get("response_cost"))
    provider = about.part("litellm_params").text("custom_llm_provider")
    for call in read_response(response, service=provider, model=about.text("model")):
        named = _heard(about, replace(call, service=provider or call.service))
        if about.get("cache_hit") is True:
            yield named if named.stated_by == "cache" else answered_from_cache(named)
            continue
        guessed = COUNTED_BY_LITELLM if _counts_by_itself(about, response) else None
        yield with_estimate(replace(named, incomplete=first_reason((named.incomplete, guessed))), cost)
        cost = None  # the cost of all of them


def _heard(about: Fields, call: Captured) -> Captured:
    """Return a transcription of unknown length by that of its file, where the file is WAV."""
    if call.operation != "transcription" or call.usage_known:
        return call
    sent = about.part("additional_args").part("complete_input_dict")  # ``input`` is the text of its repr
    seconds = _wav_seconds(sent.get("file"))
    return measured(call, seconds) if seconds else call


def _wav_seconds(file: object) -> float:
    """Return the seconds of a WAV file, 0 of any other.

    It is what OpenAI's clients take: bytes, a path, an open file, or a tuple of a name and one of these. An
    open file stays where the program left it.
    """
    content = file[1] if isinstance(file, tuple) and len(file) > 1 else file
    if isinstance(content, io.BytesIO):
        content = content.getvalue()
    place = getattr(content, "name", content)
    with suppress(OSError, EOFError, wave.Error, ZeroDivisionError):
        if isinstance(content, bytes):
            return wav_seconds(io.BytesIO(content))
        if isinstance(place, (str, Path)) and Path(place).is_file():
            with Path(place).open("rb") as opened:
                return wav_seconds(opened)
    return 0.0


COUNTED_BY_LITELLM: Final = "LiteLLM counted these tokens itself: the stream was not asked for its usage"


def _counts_by_itself(about: Fields, response: object) -> bool:
    """Tell whether the counts of a stream are LiteLLM's own: they look like a server's.

    The stream of a response states them unasked.
    """
    asked = about.part("optional_params").part("stream_options").get("include_usage")
    is_chat = Fields(response).text("object") != "response"
    return is_chat and about.get("stream") is True and asked is not True
