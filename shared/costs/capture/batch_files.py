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
"""States of a batch after which none of its requests runs any more."""


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of a batch. ``tokens_input`` is estimated from its text; ``max_output`` may be unstated."""

    custom_id: str
    service: str
    model: str
    tokens_input: int
    max_output: int | None


class BatchEnd(NamedTuple):
    """A finished batch: its id, and how many of its requests have a result; ``None`` if not stated."""

    batch_id: str
    results: int | None


class BatchResult(NamedTuple):
    """The result of one request: the calls that are billed, none if it failed or never ran."""

    custom_id: str
    calls: tuple[Captured, ...]


def read_request(line: Fields, model: str | None = None) -> BatchRequest:
    """Return the request in a line of a batch's input file; ``model`` is for lines that name none.

    Raises:
        ValueError: the line is not a request of a batch, or names no model.

    >>> body = {"model": "gpt-4o", "max_tokens": 9, "messages": [{"content": "Hello."}]}
    >>> read_request(Fields({"custom_id": "a", "body": body}))
    BatchRequest(custom_id='a', service='openai', model='gpt-4o', tokens_input=2, max_output=9)
    """
    body = line.part("body") or line.part("params") or line.part("request")
    custom_id = line.text("custom_id", "key")
    if not body or custom_id is None:
        raise ValueError(
            "not a request of a batch: it has no custom_id (or key) with a body, params or request"
        )
    model_name = body.text("model") or model
    if model_name is None:
        raise ValueError(f"request {custom_id!r} names no model: name it with --model")
    service = _service(line, model_name)
    places = (body, body.part("generation_config"), body.part("config"))
    names = ("max_completion_tokens", "max_output_tokens", "max_tokens")
    max_output = next((count for place in places if (count := place.count(*names))), None)
    if (line.text("url") or "").endswith("/embeddings"):
        max_output = 0  # vectors are no tokens, and such requests can state no maximum
    tokens = estimated_tokens(_length(body.raw)) + _token_ids(body.raw)
    return BatchRequest(custom_id, service, model_name, tokens, max_output)


def _service(line: Fields, model: str) -> str:
    if line.has("params"):
        return "anthropic"
    return infer_service(model) or ("google" if line.has("key") else "openai")


def _length(value: object) -> int:
    """Return how many characters of text a request has, at any depth."""
    if isinstance(value, str):
        return characters(value)
    if isinstance(value, dict):
        return sum(_length(part) for name, part in value.items() if name not in {"model", "role", "type"})
    return sum(_length(part) for part in value) if isinstance(value, list) else 0


def _token_ids(value: object) -> int:
    """Return how many tokens a request states as their numbers, as `input` and `prompt` of OpenAI's may be.

    Source: `EmbeddingCreateParams.input` of OpenAI's SDKs, 2026-11-30: an array of tokens, or of such arrays.
    """
    if isinstance(value, dict):
        return sum(map(_token_ids, value.values()))
    if not isinstance(value, list):
        return 0
    return sum(1 if type(part) is int else _token_ids(part) for part in value)


def read_result(line: Fields, *, service: str | None = None, model: str | None = None) -> BatchResult | None:
    """Return the result in a line; ``None`` if the line is not a result.

    ``service`` and ``model`` are those of the request, for results that name none.

    Raises:
        UnknownResponse, ValueError: the response in the result cannot be read.

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


def read_end(document: Fields) -> BatchEnd | None:
    """Return the end that a batch object states; ``None`` if it is not a batch, or is still running.

    >>> counts = {"completed": 2, "failed": 1}
    >>> read_end(Fields({"id": "batch_1", "status": "expired", "request_counts": counts}))
    BatchEnd(batch_id='batch_1', results=3)
    """
    status = document.text("status", "processing_status", "state") or document.part("metadata").text("state")
    batch_id = document.text("id", "name")
    if batch_id is None or status not in _OVER:
        return None
    counts = document.part("request_counts")
    results = counts.count("completed", "succeeded") + counts.count("failed", "errored") if counts else None
    return BatchEnd(batch_id, results)


def lines_of(text: str) -> Iterator[Fields]:
    """Yield the objects of a file that holds JSON lines, one JSON list, or one object.

    Raises:
        ValueError: a line is not a JSON object; the text names the line.

    """
    stripped = text.lstrip()
    try:
        document = json.loads(stripped) if stripped else []
    except ValueError:
        yield from _each_line(text)
        return
    requests = (
        document
        if isinstance(document, list)
        else document.get("requests")
        if isinstance(document, dict)
        else None
    )
    for value in requests if isinstance(requests, list) else [document]:
        if not isinstance(value, dict):
            raise ValueError(f"not a JSON object: {str(value)[:60]!r}")  # noqa: TRY004 - a file's
        yield Fields(value)


def _each_line(text: str) -> Iterator[Fields]:
    for number, line in enumerate(text.split("\n"), start=1):  # other line separators may occur within a text
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError(f"line {number} is not a JSON object: {line[:60]!r}")  # noqa: TRY004 - a file's
        yield Fields(value)
