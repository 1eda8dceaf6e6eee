"""OpenAI, and every server that uses its wire format.

Sources: https://platform.openai.com/docs/api-reference (chat, responses, embeddings, audio, images,
batch), and the response types of the ``openai`` package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from ...model import StatedBy, Usage
from ...money import Nanos
from ...pricing.names import infer_service
from ..adapter import UNFINISHED, Adapter, states_any, tier
from ..captured import Captured, first_reason, usage_of, usd_of
from ..fields import Fields
from ._openai_format import SPEECH, Counts, response_id, split_total, token_counts, unread_units
from ._openai_jobs import JOBS, body_of, failed, read_line
from ._openai_stream import OpenAIFollower, is_session_bill, recognises_chunk, session_bills
from ._openai_tools import drawn, image_model, searches_always, tool_counts, unread_tools

_OPERATIONS: Final = {
    "chat.completion": "chat",
    "text_completion": "chat",
    "response": "chat",
    "response.compaction": "chat",
    "realtime.response": "chat",
    "rerank": "rerank",
    SPEECH: "speech",
}


def _recognises(fields: Fields) -> bool:
    return any(matches(fields) for matches, _ in _SHAPES)


def _read(fields: Fields) -> Iterable[Captured]:
    return next((read(fields) for matches, read in _SHAPES if matches(fields)), ())


def _is_line(fields: Fields) -> bool:
    return failed(fields) or (bool(body := body_of(fields)) and _recognises(body))


def _answer(fields: Fields) -> Iterable[Captured]:
    call = _call(fields, _OPERATIONS[fields.text("object") or ""])
    return [call, *_image_tool(fields, call)]


def _read_job(fields: Fields) -> Iterable[Captured]:
    job = _job(fields)
    return job(fields) if job is not None else ()


def _is_moderation(fields: Fields) -> bool:
    return (fields.text("id") or "").startswith("modr-") and fields.has("results", "model")


def _moderation(fields: Fields) -> Captured:
    """Return a call of one request: moderation states no usage, and OpenAI's own models are free."""
    model, request_id = fields.text("model") or "", fields.text("id")
    return Captured(
        service="openai", model=model, usage=Usage(requests=1), request_id=request_id, operation="moderation"
    )


def _job(fields: Fields) -> Callable[[Fields], Iterable[Captured]] | None:
    """Return the reader of a job; a video of Together may lack its ``object``."""
    video = fields.has("status", "seconds", "size", "model")
    return JOBS.get(fields.text("object") or ("video" if video else ""))


def _call(fields: Fields, operation: str) -> Captured:
    usage_fields = fields.usage("usage")
    counts, split_note = token_counts(usage_fields), None
    total = usage_fields.count("total_tokens")
    if total and not counts["tokens_input"] + counts["tokens_output"]:
        if operation == "embeddings":
            counts["tokens_input"] = total  # embeddings have no output tokens
        else:
            counts, split_note = split_total(total)
    model = fields.text("model") or ""
    counts.update(tool_counts(fields) | searches_always(model))
    if operation == SPEECH:
        counts["tokens_audio_output"] = counts["tokens_output"]
    usage, fault = usage_of(counts)
    service = _service(fields)
    stated_amount, stated_by = stated_cost(usage_fields)
    unfinished = fields.text("status") in UNFINISHED
    no_usage = None if usage_fields else f"the response has no usage (status {fields.text('status')})"
    return Captured(
        service=service,
        model=model,
        usage=usage,
        # A background response comes again, with its usage.
        request_id=None if unfinished else response_id(fields),
        service_tier=tier(fields.text("service_tier")),
        operation=operation,
        actual_cost=stated_amount,
        stated_by=stated_by,
        usage_known=bool(usage_fields) or unfinished,
        unpriced_units=_undetailed(fields),
        incomplete=first_reason((no_usage, split_note, fault)),
    )


def _undetailed(fields: Fields) -> dict[str, int | float]:
    """Return what is billed and has no counted units, or units that are not read here."""
    units = unread_units(fields.part("usage")) | unread_tools(fields)
    if not fields.part("tool_usage").has("image_gen") and (pictures := drawn(fields)):
        units["images"] = pictures
    return units


def _image_tool(fields: Fields, call: Captured) -> Iterable[Captured]:
    """Yield the call of the hosted image tool: tokens of a second model, stated separately."""
    usage_fields = fields.part("tool_usage").part("image_gen")
    if usage_fields.count("total_tokens"):
        usage, fault = usage_of(_image_tokens(usage_fields))
        yield replace(
            call,
            model=image_model(fields),
            usage=usage,
            usage_known=True,
            unpriced_units=unread_units(usage_fields),
            actual_cost=None,
            request_id=f"{call.request_id}/image" if call.request_id else None,
            operation="image",
            incomplete=fault,
        )


def _service(fields: Fields) -> str:
    """Return the service of a response, from fields that only its server adds or from the model's name."""
    if fields.has("x_groq"):
        return "groq"
    if fields.has("prompt_filter_results"):
        return "azure"
    is_router = (fields.text("id") or "").startswith("gen-") and fields.has("provider")
    if is_router or fields.part("usage").has("cost", "is_byok"):
        return "openrouter"
    if fields.has("citations") or fields.has("search_results"):
        return "perplexity"
    return infer_service(fields.text("model") or "") or "openai"


def stated_cost(usage: Fields) -> tuple[Nanos | None, StatedBy]:
    """Return the cost that the server states, and whether that is a bill.

    OpenRouter: ``cost``, and with the user's own key also what the provider behind it bills
    (https://openrouter.ai/docs/use-cases/usage-accounting). Perplexity: ``cost.total_cost``
    (https://docs.perplexity.ai/api-reference/chat-completions-post). xAI: ``cost_in_usd_ticks``, ten
    thousand million to the dollar (https://docs.x.ai/docs/api-reference). All read 2026-11-28. A bare
    ``cost`` is also LiteLLM's estimate, in its streams and in those of its proxy: the service decides.

    >>> stated_cost(Fields({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}))
    (20000000, 'bill')
    >>> stated_cost(Fields({"cost": 0.02}))
    (20000000, 'server')
    """
    if (usage.text("currency") or "USD").upper() != "USD":
        return None, "estimate"  # ledgers are in USD
    if (ticks := usage.get("cost_in_usd_ticks")) is not None:
        return usd_of(Fields({"usd": ticks}).number("usd") / _TICKS), "bill"
    if usage.part("cost").has("total_cost"):
        return usd_of(usage.part("cost").get("total_cost")), "bill"
    amount = usd_of(usage.get("cost"))
    upstream = usd_of(usage.part("cost_details").get("upstream_inference_cost"))
    if upstream is not None and usage.get("is_byok") is True:
        return Nanos((amount or 0) + upstream), "bill"
    return amount, "estimate" if amount is None else "server"


_TICKS: Final = 10**10


def _is_embeddings(fields: Fields) -> bool:
    has_vectors = fields.has("usage") or any(item.has("embedding") for item in fields.parts("data")[:1])
    return fields.text("object") == "list" and fields.has("model", "data") and has_vectors


def _is_transcription(fields: Fields) -> bool:
    if fields.has("object") or fields.get("text") is None or fields.has("segments", "model"):
        return False
    has_class_name = type(fields.raw).__name__.startswith(("Transcription", "Translation"))
    return (
        has_class_name
        or fields.part("usage").text("type") in {"tokens", "duration"}
        or fields.has("duration")
    )


def _transcription(fields: Fields) -> Captured:
    """Return a call for a transcription, billed by tokens or duration as its usage says. It has no model."""
    usage_fields = fields.part("usage")
    by_tokens = usage_fields.text("type") == "tokens"
    seconds = 0.0 if by_tokens else usage_fields.number("seconds") or _seconds(fields.get("duration"))
    counts = token_counts(usage_fields) if by_tokens else {"audio_seconds": seconds}
    usage, fault = usage_of(counts)
    known = not usage.is_zero
    no_usage = None if known else "the response has no usage: give the audio's duration to log_usage"
    return Captured(
        service="groq" if fields.has("x_groq") else "openai",
        model=fields.text("model") or "",
        usage=usage,
        request_id=fields.text("_request_id") or fields.part("x_groq").text("id"),
        operation="transcription",
        usage_known=known,
        unpriced_units=unread_units(usage_fields),
        incomplete=first_reason((no_usage, fault)),
    )


def _seconds(duration: object) -> float:
    # Older servers send the duration as text.
    return Fields({"duration": float(duration) if isinstance(duration, str) else duration}).number("duration")


def _is_images(fields: Fields) -> bool:
    """Tell whether this has pictures: OpenAI's response names no model, Together's is a list that does."""
    is_named_list = fields.text("object") == "list" and fields.has("model")
    has_type_or_model = fields.has("object") or fields.has("model")
    return (is_named_list or (fields.has("created") and not has_type_or_model)) and bool(_pictures(fields))


def _pictures(fields: Fields) -> list[Fields]:
    return [item for item in fields.parts("data") if item.has("b64_json") or item.has("url")]


def _images(fields: Fields) -> Iterable[Captured]:
    """Return the calls for pictures, billed by tokens if a usage is stated, otherwise by the picture."""
    usage_fields = fields.part("usage")
    has_usage = states_any(usage_fields)  # LiteLLM fills in zeros if the server states nothing
    counts = _image_tokens(usage_fields) if has_usage else {"images": len(_pictures(fields))}
    usage, fault = usage_of(counts)
    metadata = {name: fields.text(name) for name in ("quality", "size") if fields.text(name)}
    picture = Captured(
        service="openai",
        model=fields.text("model") or "",
        usage=usage,
        request_id=fields.text("_request_id") or (fields.text("id") if fields.has("object") else None),
        operation="image",
        unpriced_units=unread_units(usage_fields),
        incomplete=fault,
        metadata=metadata,
    )
    return [picture, *_svg(fields, picture)]


def _image_tokens(usage: Fields) -> Counts:
    counts = token_counts(usage)
    # Without a breakdown, the output of an image model is image tokens.
    if not counts["tokens_image_output"]:
        counts["tokens_image_output"] = counts["tokens_output"]
    return counts


def _svg(fields: Fields, picture: Captured) -> Iterable[Captured]:
    """Yield the call for drawing an SVG: text output of a second model, which the usage names."""
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


_SHAPES: Final[tuple[tuple[Callable[[Fields], bool], Callable[[Fields], Iterable[Captured]]], ...]] = (
    (_is_line, lambda fields: read_line(fields, _read)),
    (is_session_bill, lambda fields: session_bills(fields, _read)),
    (_is_moderation, lambda fields: [_moderation(fields)]),
    (lambda fields: _job(fields) is not None, _read_job),
    (_is_images, _images),
    (_is_transcription, lambda fields: [_transcription(fields)]),
    (_is_embeddings, lambda fields: [_call(fields, "embeddings")]),
    (lambda fields: fields.text("object") in _OPERATIONS, _answer),
)
"""The shapes of OpenAI's objects, and how each is read; the first that matches is used."""


ADAPTER = Adapter(
    name="OpenAI",
    knows="OpenAI and servers of its format (chat, responses, realtime, embeddings, "
    "transcription, images, videos, batch)",
    packages=frozenset({"openai"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=lambda: OpenAIFollower(_read),
    generic=True,
)
