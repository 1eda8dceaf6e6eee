"""Jobs of OpenAI that are asked for again until they are done: videos, and batches as a whole.

Only a job that is over is billed, so one that is under way is no call yet: its polls record nothing.
Sources: ``Video``, ``Batch`` and ``BatchUsage`` of the ``openai`` package (3.57, 2026-11-28).

A line of a batch's output file, as OpenAI writes it and others after it: a whole response inside.

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
    """Return the response inside a batch line; nothing where this is no such line."""
    return fields.part("response").part("body") if fields.has("custom_id") else Fields(None)


def failed(fields: Fields) -> bool:
    """Tell whether a request of the batch failed, which is not billed.

    One that was never sent (the batch expired) has an error in place of a response.
    """
    if body_of(fields):
        return fields.part("response").count("status_code") >= _FAILED
    return fields.has("custom_id", "error")


def read_line(fields: Fields, read: Callable[[Fields], Iterable[Captured]]) -> Iterable[Captured]:
    """Return the calls in a batch line, at the batch price. One without an id has its line's."""
    if failed(fields):
        return
    for call in read(body_of(fields)):
        request_id = call.request_id or fields.part("response").text("request_id") or fields.text("id")
        yield replace(call, service_tier="batch", request_id=request_id)


_USUAL_SIZES: Final = frozenset({"1280x720", "720x1280"})
"""The sizes that the price of a model without further words is for."""


def _video(fields: Fields) -> Iterable[Captured]:
    """Videos are billed by the second, at a rate that depends on their size; failed ones are not.

    A larger picture of Sora is a feature by its name: ``sora-2-pro+1792x1024``.

    Together states in ``outputs.cost`` what it charged for one, in USD (``VideoJob`` of ``together`` 3.1).
    """
    if fields.text("status") not in {None, "completed"}:
        return
    stated = fields.get("seconds")
    seconds = float(stated) if isinstance(stated, str) else fields.number("seconds")
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
    """A batch that is over states the sum over its requests; what expired or was cancelled is not in it."""
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
"""How to read a job, by its ``object``."""
