"""A line of a batch's output file, as OpenAI writes it and others after it: a whole response inside.

Sources: https://platform.openai.com/docs/api-reference/batch/request-output,
https://docs.mistral.ai/capabilities/batch (the same shape).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..captured import Captured
from ..fields import Fields

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
