"""Cohere: chat, embed, rerank, classify. A response states billed and processed units separately.

``billed_units`` excludes the tokens that Cohere adds around a prompt, so it is what counts here.
A response names no model. LiteLLM puts the tokens of other rerankers there as ``total_tokens``.
Sources: https://docs.cohere.com/reference/chat (usage), https://docs.cohere.com/docs/how-does-cohere-pricing-work
and the types of the ``cohere`` package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..adapter import Adapter, characters, without_usage
from ..captured import Captured, first_reason, usage_of
from ..fields import Fields
from ..unread import every_number

_BILLED = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "image_tokens",
        "images",
        "pages",
        "search_units",
        "classifications",
        "total_tokens",
    }
)


def _usage_of(fields: Fields) -> Fields:
    """Return the usage: version 2 of chat calls it ``usage``, everything else ``meta``."""
    usage = fields.part("usage")
    return usage if usage.has("billed_units") or usage.has("tokens") else fields.part("meta")


def _recognises(fields: Fields) -> bool:
    usage = _usage_of(fields)
    return usage.has("billed_units") or (usage.has("tokens") and usage.part("tokens").has("input_tokens"))


def _operation(fields: Fields) -> str:
    operations = (("embeddings", "embeddings"), ("results", "rerank"), ("classifications", "classify"))
    return next((name for field, name in operations if fields.has(field)), "chat")


def _read(fields: Fields) -> Iterable[Captured]:
    usage_fields = _usage_of(fields)
    billed, tokens = usage_fields.usage("billed_units"), usage_fields.usage("tokens")
    counted = billed or tokens
    # Tokens of images are billed in addition to those of the text.
    images, text = billed.count("image_tokens"), counted.count("input_tokens", "total_tokens")
    usage, fault = usage_of(
        {
            "tokens_input": text + images,
            "tokens_output": counted.count("output_tokens"),
            # Counted over the processed prompt, which is longer than the billed one.
            "tokens_cached": min(usage_fields.count("cached_tokens"), text),
            "tokens_image_input": images,
            "images": billed.count("images"),
            "pages": billed.count("pages"),
            "search_units": billed.count("search_units"),
            "requests": billed.count("classifications"),
        }
    )
    no_usage = None if counted else "the response has no usage"
    is_merged = ", " in (fields.text("id") or "") and fields.has("embeddings")
    no_image_tokens = (
        "merged from several requests, which drops image tokens: embed with batching=False"
        if is_merged
        else None
    )
    yield Captured(
        service="cohere",
        model=fields.text("model") or "",
        usage=usage,
        request_id=fields.text("id", "response_id", "generation_id"),
        operation=_operation(fields),
        usage_known=bool(counted),
        unpriced_units=every_number(billed, _BILLED),
        incomplete=first_reason((no_usage, fault, no_image_tokens)),
    )


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is an event of a chat stream, of version 2 or 1."""
    kind = chunk.text("type") or ""
    event = chunk.text("event_type") or ""
    return kind in {"message-start", "message-end"} or event in {"stream-start", "stream-end"}


class CohereFollower:
    """Follows a chat stream, whose ``message-end`` (in version 1 ``stream-end``) has the usage."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._response: Fields = Fields(None)
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Read one event."""
        self._id = chunk.text("id", "generation_id") or self._id
        delta = chunk.part("delta")
        content = delta.part("message").part("content")
        self._characters += sum(characters(content.get(name)) for name in ("text", "thinking"))
        if chunk.text("event_type") == "text-generation":
            self._characters += len(chunk.text("text") or "")
        for parent in (delta, chunk.part("response")):
            if _recognises(parent):
                self._response = parent

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, from the usage or, flagged, from what arrived."""
        if self._response:
            [call] = _read(self._response)
        else:
            call = without_usage(ending, self._characters, service="cohere")
        yield replace(call, request_id=call.request_id or self._id)


ADAPTER = Adapter(
    name="Cohere",
    knows="Cohere (chat, embed, rerank, classify)",
    packages=frozenset({"cohere"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=CohereFollower,
)
