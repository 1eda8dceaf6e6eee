"""Voyage AI: embeddings and reranking by the token, pictures and videos by the pixel.

The SDK adds up the requests of one call and keeps neither the model nor an id; the plain answer has the
model, and its counts in a usage. The total of a multimodal call counts 560 pixels as a token, but pictures
and videos are billed by the pixel. Other rerankers have similar answers: Jina's by the token,
OpenRouter's with searches and its bill, DashScope's with its results in an output and no model.
Sources: https://docs.voyageai.com/docs/pricing and the classes of ``voyageai`` 0.5, 2026-11-28;
https://jina.ai/reranker/, https://openrouter.ai/docs/api/api-reference/rerank/create-rerank and
https://www.alibabacloud.com/help/en/model-studio/text-rerank-api, 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...model import UNKNOWN
from ...pricing.names import infer_service
from ..captured import Captured, usage_of
from ..fields import Fields
from ._media import Kinds, unstreamed
from .openai import stated_cost

_PIXELS = ("image_pixels", "video_pixels")


def _counts(fields: Fields) -> Fields:
    """Return the object with the counts: the usage of a plain answer, or the answer itself."""
    usage = fields.part("usage")
    return usage if any(usage.get(name) is not None for name in _PIXELS) else fields


def _is_own(fields: Fields) -> bool:
    if _counts(fields) is not fields:
        return True
    has_results = fields.get("embeddings") is not None or fields.get("results") is not None
    return has_results and fields.get("total_tokens") is not None


def _own(fields: Fields) -> Iterable[Captured]:
    counts = _counts(fields)
    by_pixel = any(counts.get(name) is not None for name in _PIXELS)
    tokens = counts.count("text_tokens") if by_pixel else counts.count("total_tokens")
    pixels = sum(counts.count(name) for name in _PIXELS)
    usage, fault = usage_of({"tokens_input": tokens, "pixels": pixels})
    yield Captured(
        service="voyageai",
        model=fields.text("model") or "",
        usage=usage,
        operation="rerank" if _ranks(fields) else "embeddings",
        usage_known=bool(tokens or pixels),
        incomplete=fault if tokens or pixels else "the answer states no tokens: give them to log_usage",
    )


def _ranks(fields: Fields) -> bool:
    return any(result.has("relevance_score") for result in fields.parts("results")[:1])


_TOKENS = ("total_tokens", "prompt_tokens")


def _is_ranking(fields: Fields) -> bool:
    results = fields.parts("results") or fields.part("output").parts("results")
    usage = fields.part("usage")
    return any(result.has("relevance_score") for result in results[:1]) and (
        usage.has("search_units") or any(usage.get(name) is not None for name in _TOKENS)
    )


def _ranking(fields: Fields) -> Iterable[Captured]:
    usage_fields, model = fields.part("usage"), fields.text("model") or ""
    counts = {
        "tokens_input": usage_fields.count(*_TOKENS),
        "search_units": usage_fields.count("search_units"),
    }
    usage, _ = usage_of(counts)
    cost, stated_by = stated_cost(usage_fields)
    known = not usage.is_zero or cost is not None
    yield Captured(
        service=infer_service(model) or UNKNOWN,
        model=model,
        usage=usage,
        request_id=fields.text("id", "request_id"),
        operation="rerank",
        actual_cost=cost,
        stated_by=stated_by,
        usage_known=known,
        incomplete=None if known else "the answer states no usage: give its counts to log_usage",
    )


_KINDS = Kinds((_is_own, _own), (_is_ranking, _ranking))


ADAPTER = unstreamed(
    "Voyage",
    "Voyage (embeddings, multimodal embeddings, reranking) and rerankers that answer alike",
    "voyageai",
    _KINDS.recognises,
    _KINDS.read,
    "voyageai",
)
