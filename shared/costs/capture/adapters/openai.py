"""OpenAI, and every server that speaks its wire format.

Sources: https://platform.openai.com/docs/api-reference (chat, responses, embeddings, audio, images,
batch), and the response types of the ``openai`` package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ...model import Usage
from ...money import Nanos, from_usd
from ...pricing.names import infer_service
from ..adapter import UNFINISHED, Adapter, tier
from ..captured import Captured, first_reason, usage_of
from ..fields import Fields
from ._batch_line import body_of, failed, read_line
from ._openai_format import Counts, response_id, split_total, token_counts
from ._openai_stream import OpenAIFollower, recognises_chunk

_OPERATIONS: Final = {
    "chat.completion": "chat",
    "text_completion": "chat",
    "response": "chat",
    "realtime.response": "chat",
}


def _recognises(fields: Fields) -> bool:
    return (
        fields.text("object") in _OPERATIONS
        or _is_embeddings(fields)
        or _is_transcription(fields)
        or _is_images(fields)
        or failed(fields)
        or (bool(body := body_of(fields)) and _recognises(body))
    )


def _read(fields: Fields) -> Iterable[Captured]:
    if body_of(fields) or failed(fields):
        return read_line(fields, _read)
    if _is_images(fields):
        return _images(fields)
    if _is_transcription(fields):
        return [_transcription(fields)]
    if _is_embeddings(fields):
        return [_call(fields, "embeddings")]
    return [_call(fields, _OPERATIONS[fields.text("object") or ""])]


def _call(fields: Fields, operation: str) -> Captured:
    usage_fields = fields.part("usage")
    counts, split = token_counts(usage_fields), None
    if usage_fields.count("total_tokens") and not counts["tokens_input"] + counts["tokens_output"]:
        counts, split = split_total(usage_fields.count("total_tokens"))
    tools = _tool_calls(fields)
    counts["web_searches"] = tools.pop("web_search_call", 0) or counts.get("web_searches", 0)
    usage, fault = usage_of(counts)
    missing = None if usage_fields else f"the response has no usage (status {fields.text('status')})"
    return Captured(
        service=_service(fields),
        model=fields.text("model") or "",
        usage=usage,
        request_id=_request_id(fields),
        service_tier=tier(fields.text("service_tier")),
        operation=operation,
        actual_cost=_stated_cost(usage_fields),
        incomplete=first_reason((missing, split, fault)),
        metadata=dict(tools),
    )


def _request_id(fields: Fields) -> str | None:
    """Return the response's id; none while it is made in the background: it comes again with its usage."""
    return None if fields.text("status") in UNFINISHED else response_id(fields)


def _tool_calls(fields: Fields) -> dict[str, int]:
    """Count the server's own tools in the output of a response; they are billed apart from tokens.

    Opening a page and finding in it are not billed as searches.
    Source: https://platform.openai.com/docs/pricing (built-in tools).
    """
    counted: dict[str, int] = {}
    for item in fields.parts("output"):
        kind = item.text("type") or ""
        if kind not in {"web_search_call", "file_search_call", "code_interpreter_call"}:
            continue
        if kind == "web_search_call" and item.part("action").text("type") not in {None, "search"}:
            continue
        counted[kind] = counted.get(kind, 0) + 1
    return counted


def _service(fields: Fields) -> str:
    """Tell servers of OpenAI's format apart, by what each alone adds, else by the model's name."""
    if fields.has("x_groq"):
        return "groq"
    if fields.has("prompt_filter_results"):
        return "azure"
    if fields.has("provider") and (fields.text("id") or "").startswith("gen-"):
        return "openrouter"
    if fields.has("citations") or fields.has("search_results"):
        return "perplexity"
    return infer_service(fields.text("model") or "") or "openai"


def _stated_cost(usage: Fields) -> Nanos | None:
    """Return what the server says the call cost.

    OpenRouter: ``usage.cost`` (https://openrouter.ai/docs/use-cases/usage-accounting). Perplexity:
    ``usage.cost.total_cost`` (https://docs.perplexity.ai/api-reference/chat-completions-post).
    """
    cost = usage.part("cost").get("total_cost") or usage.get("cost")
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < 1e6:
        return None
    return from_usd(cost)


def _is_embeddings(fields: Fields) -> bool:
    return fields.text("object") == "list" and fields.has("usage", "model", "data")


def _is_transcription(fields: Fields) -> bool:
    if fields.has("object") or fields.get("text") is None or fields.has("segments", "model"):
        return False
    named = type(fields.raw).__name__.startswith("Transcription")
    return named or fields.part("usage").text("type") in {"tokens", "duration"} or fields.has("duration")


def _transcription(fields: Fields) -> Captured:
    """Billed by tokens or by duration: the usage says which. It names no model."""
    usage_fields = fields.part("usage")
    by_tokens = usage_fields.text("type") == "tokens"
    seconds = 0.0 if by_tokens else usage_fields.number("seconds") or _seconds(fields.get("duration"))
    counts = token_counts(usage_fields) if by_tokens else {"audio_seconds": seconds}
    usage, fault = usage_of(counts)
    missing = (
        None if usage != Usage() else "the response has no usage: give the audio's duration to log_usage"
    )
    return Captured(
        service="openai",
        model=fields.text("model") or "",
        usage=usage,
        request_id=fields.text("_request_id"),
        operation="transcription",
        incomplete=first_reason((missing, fault)),
    )


def _seconds(duration: object) -> float:
    # Older servers send the duration as text.
    return Fields({"duration": float(duration) if isinstance(duration, str) else duration}).number("duration")


def _is_images(fields: Fields) -> bool:
    other = fields.has("object") or fields.has("model")
    return fields.has("created") and not other and bool(_pictures(fields))


def _pictures(fields: Fields) -> list[Fields]:
    return [item for item in fields.parts("data") if item.has("b64_json") or item.has("url")]


def _images(fields: Fields) -> Iterable[Captured]:
    """Billed by tokens where a usage is stated, else by the picture. The response names no model."""
    usage_fields = fields.part("usage")
    counts = _image_tokens(usage_fields) if usage_fields else {"images": len(_pictures(fields))}
    usage, fault = usage_of(counts)
    look = {name: fields.text(name) for name in ("quality", "size") if fields.text(name)}
    picture = Captured(
        service="openai",
        model="",
        usage=usage,
        request_id=fields.text("_request_id"),
        operation="image",
        incomplete=fault,
        metadata=look,
    )
    return [picture, *_svg(fields, picture)]


def _image_tokens(usage: Fields) -> Counts:
    counts = token_counts(usage)
    # Without a breakdown, what an image model puts out is image tokens.
    if not counts["tokens_image_output"]:
        counts["tokens_image_output"] = counts["tokens_output"]
    return counts


def _svg(fields: Fields, picture: Captured) -> Iterable[Captured]:
    """The drawing of an SVG is text output of a second model, which the usage names."""
    svg = fields.part("svg_usage")
    if svg:
        usage, fault = usage_of(
            {
                "tokens_input": svg.count("input_tokens"),
                "tokens_output": svg.count("output_tokens"),
                "tokens_reasoning": svg.count("reasoning_tokens"),
            }
        )
        request_id = f"{picture.request_id}/svg" if picture.request_id else None
        yield replace(
            picture, model=svg.text("model") or "", usage=usage, incomplete=fault, request_id=request_id
        )


ADAPTER = Adapter(
    name="OpenAI",
    knows="OpenAI and servers of its format (chat, responses, embeddings, transcription, images, batch)",
    packages=frozenset({"openai"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=lambda: OpenAIFollower(_read),
    generic=True,
)
