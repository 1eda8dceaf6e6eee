"""Jobs of OpenAI that are polled until they are done: videos, and batches as a whole.

Only a finished job is billed, so polls of a running one record nothing.
Sources: ``Video``, ``Batch`` and ``BatchUsage`` of the ``openai`` package (3.57, 2026-11-28).

A line of a batch's output file, in OpenAI's format, which others use too: it contains a whole response.

Sources: https://platform.openai.com/docs/api-reference/batch/request-output,
https://docs.mistral.ai/capabilities/batch (the same shape).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from ..captured import Captured, usage_of, usd_of
from ..fields import Fields
from ._openai_format import token_counts

_FAILED = 400


def body_of(fields: Fields) -> Fields:
    """Return the response inside a batch line; an empty one if this is not a batch line."""
    return fields.part("response").part("body") if fields.has("custom_id") else Fields(None)


def failed(fields: Fields) -> bool:
    """Tell whether a request of the batch failed, so that it is not billed.

    A request that was never sent (the batch expired) has an error in place of a response.
    """
    if body_of(fields):
        return fields.part("response").count("status_code") >= _FAILED
    return fields.has("custom_id", "error")


def read_line(fields: Fields, read: Callable[[Fields], Iterable[Captured]]) -> Iterable[Captured]:
    """Yield the calls in a batch line, at the batch price. A call without an id gets that of its line."""
    if failed(fields):
        return
    for call in read(body_of(fields)):
        request_id = call.request_id or fields.part("response").text("request_id") or fields.text("id")
        yield replace(call, service_tier="batch", request_id=request_id)


_USUAL_SIZES: Final = frozenset({"1280x720", "720x1280"})
"""The sizes that a model's own price is for."""


def _video(fields: Fields) -> Iterable[Captured]:
    """Yield the call for a video, billed by the second at a rate that depends on its size, unless it failed.

    A larger size of Sora is a feature in the model's name: ``sora-2-pro+1792x1024``.

    Together states in ``outputs.cost`` what it charged, in USD (``VideoJob`` of ``together`` 3.1).
    """
    if fields.text("status") not in {None, "completed"}:
        return
    duration = fields.get("seconds")
    seconds = float(duration) if isinstance(duration, str) else fields.number("seconds")
    usage, fault = usage_of({"video_seconds": seconds})
    charged = usd_of(fields.part("outputs").get("cost"))
    model, size = fields.text("model") or "", fields.text("size")
    is_larger = model.startswith("sora-") and size is not None and size not in _USUAL_SIZES
    yield Captured(
        service="openai",
        model=model,
        usage=usage,
        request_id=fields.text("id"),
        operation="video",
        actual_cost=charged,
        stated_by="estimate" if charged is None else "bill",
        usage_known=bool(seconds),
        incomplete=fault or (None if seconds else "the video states no duration"),
        features=(size,) if size and is_larger else (),
        metadata={"size": size} if size else {},
    )


_OVER: Final = frozenset({"completed", "expired", "cancelled"})


def _batch(fields: Fields) -> Iterable[Captured]:
    """Yield the call of a finished batch: the sum of its requests without expired and cancelled ones."""
    usage_fields = fields.part("usage")
    if fields.text("status") not in _OVER or not usage_fields.count("total_tokens"):
        return
    counts = token_counts(usage_fields)
    counts["requests"] = fields.part("request_counts").count("completed")
    usage, fault = usage_of(counts)
    yield Captured(
        service="openai",
        model=fields.text("model") or "",
        usage=usage,
        request_id=fields.text("id"),
        service_tier="batch",
        operation="batch",
        incomplete=fault,
    )


JOBS: Final[Mapping[str, Callable[[Fields], Iterable[Captured]]]] = {"video": _video, "batch": _batch}
"""The readers of jobs, by ``object``."""
