"""The files of batch APIs: requests as they are submitted, results as they come back, the batch itself. Pure.

Sources: https://platform.openai.com/docs/api-reference/batch,
https://docs.anthropic.com/en/api/creating-message-batches, https://ai.google.dev/gemini-api/docs/batch-api;
read 2026-11-28.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..pricing.names import infer_service
from .adapter import characters, estimated_tokens
from .captured import Captured
from .fields import Fields
from .reading import read_response

BATCH_TIER: Final = "batch"

_OVER: Final = frozenset(
    {
        *("completed", "expired", "cancelled", "failed", "ended"),
        *("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"),
    }
)
"""What batches say of themselves when no more of their requests will run."""


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of a batch. ``tokens_input`` is estimated from its text; ``max_output`` may be unstated."""

    custom_id: str
    service: str
    model: str
    tokens_input: int
    max_output: int | None


class BatchEnd(NamedTuple):
    """A batch that is over: its id, and how many of its requests have a result; ``None`` where unsaid."""

    batch_id: str
    results: int | None


class BatchResult(NamedTuple):
    """The result of one request: the calls that are billed, none where it failed or never ran."""

    custom_id: str
    calls: tuple[Captured, ...]


def read_request(line: Fields, model: str | None = None) -> BatchRequest:
    """Return a request as a line of a batch's input states it; ``model`` is for lines that name none.

    Raises:
        ValueError: it is no request of a batch, or names no model.

    >>> body = {"model": "gpt-4o", "max_tokens": 9, "messages": [{"content": "Hello."}]}
    >>> read_request(Fields({"custom_id": "a", "body": body}))
    BatchRequest(custom_id='a', service='openai', model='gpt-4o', tokens_input=2, max_output=9)
    """
    body = line.part("body") or line.part("params") or line.part("request")
    custom_id = line.text("custom_id", "key")
    if not body or custom_id is None:
        raise ValueError("no request of a batch: it has no custom_id (or key) with a body, params or request")
    named = body.text("model") or model
    if named is None:
        raise ValueError(f"request {custom_id!r} names no model: say which with --model")
    service = _service(line, named)
    limits = (body, body.part("generation_config"), body.part("config"))
    names = ("max_completion_tokens", "max_output_tokens", "max_tokens")
    most = next((count for each in limits if (count := each.count(*names))), None)
    return BatchRequest(custom_id, service, named, estimated_tokens(_length(body.raw)), most)


def _service(line: Fields, model: str) -> str:
    if line.has("params"):
        return "anthropic"
    return infer_service(model) or ("google" if line.has("key") else "openai")


def _length(value: object) -> int:
    """Return how many characters of text a request has, wherever they stand."""
    if isinstance(value, str):
        return characters(value)
    if isinstance(value, dict):
        return sum(_length(part) for name, part in value.items() if name not in {"model", "role", "type"})
    return sum(_length(part) for part in value) if isinstance(value, list) else 0


def read_result(line: Fields, *, service: str | None = None, model: str | None = None) -> BatchResult | None:
    """Return the result in a line; ``None`` where the line is none.

    ``service`` and ``model`` are those of the request, for results that name none.

    Raises:
        UnknownResponse, ValueError: it is a result whose response cannot be read.

    """
    custom_id = line.text("custom_id", "key")
    body = line.part("response")
    if custom_id is None or not (body or line.has("error") or line.has("result")):
        return None
    if not body and not line.has("result"):
        return BatchResult(custom_id, ())
    fallback = None if _names_model(line) else model
    calls = read_response(line.raw, service=service, model=fallback)
    return BatchResult(custom_id, calls)


def _names_model(line: Fields) -> bool:
    response = line.part("response")
    bodies = (response.part("body"), response, line.part("result").part("message"))
    return any(body.has("model") or body.has("model_version") for body in bodies)


def read_end(whole: Fields) -> BatchEnd | None:
    """Return what a batch's own object says of its end; ``None`` where it is none, or is not over.

    >>> counts = {"completed": 2, "failed": 1}
    >>> read_end(Fields({"id": "batch_1", "status": "expired", "request_counts": counts}))
    BatchEnd(batch_id='batch_1', results=3)
    """
    status = whole.text("status", "processing_status", "state") or whole.part("metadata").text("state")
    batch_id = whole.text("id", "name")
    if batch_id is None or status not in _OVER:
        return None
    counts = whole.part("request_counts")
    results = counts.count("completed", "succeeded") + counts.count("failed", "errored") if counts else None
    return BatchEnd(batch_id, results)


def lines_of(text: str) -> Iterator[Fields]:
    """Return the objects of a file: of JSON lines, of one JSON list, or of one object.

    Raises:
        ValueError: a line is no JSON object; the text names the line.

    """
    stripped = text.lstrip()
    try:
        whole = json.loads(stripped) if stripped else []
    except ValueError:
        yield from _each_line(text)
        return
    listed = whole if isinstance(whole, list) else whole.get("requests") if isinstance(whole, dict) else None
    for value in listed if isinstance(listed, list) else [whole]:
        if not isinstance(value, dict):
            raise ValueError(f"no JSON object: {str(value)[:60]!r}")  # noqa: TRY004 - a file's
        yield Fields(value)


def _each_line(text: str) -> Iterator[Fields]:
    for number, line in enumerate(text.split("\n"), start=1):  # what else ends lines may stand in a text
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as fault:
            raise ValueError(f"line {number} is no JSON: {fault}") from None
        if not isinstance(value, dict):
            raise ValueError(f"line {number} is no JSON object: {line[:60]!r}")  # noqa: TRY004 - a file's
        yield Fields(value)
