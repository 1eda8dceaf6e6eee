"""A LiteLLM logger that records every call that goes through LiteLLM.

    import litellm
    from shared.costs.capture.hooks.litellm import CostLogger

    litellm.callbacks = [CostLogger(tracker)]

LiteLLM's own figure is kept beside ours as the stated cost. Answers from its cache cost nothing and
are not recorded. Streams need ``stream_options={"include_usage": True}`` to state exact usage;
without it LiteLLM counts tokens itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...money import Nanos, from_usd
from ..captured import Captured, Sink
from ..fields import Fields
from ..reading import read_response
from ._needed import needs

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
        """Record a call of the asynchronous interface, without holding up its event loop. Raises nothing."""
        import asyncio

        await asyncio.to_thread(record, self._sink, kwargs, response_obj)


def record(sink: Sink, kwargs: Mapping[str, Any], response: object) -> None:
    """Record what LiteLLM tells its loggers of one call. Raises nothing.

    ``kwargs`` are LiteLLM's own words on the call. While a stream comes, each chunk is told too;
    the whole response, which LiteLLM puts together at the end, is what counts.
    """
    about = Fields(kwargs)
    whole = about.get("complete_streaming_response", "async_complete_streaming_response")
    if about.get("cache_hit") is True or (about.get("stream") is True and whole is None):
        return
    try:
        for call in _calls(about, whole or response):
            sink.record_captured(call)
    except Exception:
        # Whatever is wrong with recording, the call must succeed.
        log.exception("a LiteLLM call could not be recorded")


def _calls(about: Fields, response: object) -> Iterator[Captured]:
    cost = _usd(about.get("response_cost"))
    for call in read_response(response, model=about.text("model")):
        provider = about.part("litellm_params").text("custom_llm_provider")
        stated = call.actual_cost if cost is None else cost
        yield replace(call, service=provider or call.service, actual_cost=stated)
        cost = None  # the cost of all of them


def _usd(cost: object) -> Nanos | None:
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < 1e6:
        return None
    return from_usd(cost)
