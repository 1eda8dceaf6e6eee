"""Voyage AI: embeddings and reranking by the token, pictures and videos by the pixel.

The SDK adds up the requests of one call and keeps neither the model nor an id; the plain answer has its
counts in a usage, and the model. Of a multimodal call the total counts pixels as tokens (560 of them one),
but what is billed of pictures and videos is the pixel.
Sources: https://docs.voyageai.com/docs/pricing and the classes of ``voyageai`` 0.5, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..adapter import Adapter
from ..captured import Captured, usage_of
from ..fields import Fields
from ._media import NoStream, never_a_chunk

_PIXELS = ("image_pixels", "video_pixels")


def _counts(fields: Fields) -> Fields:
    """Return where the counts are: in the usage of a plain answer, or on top."""
    usage = fields.part("usage")
    return usage if any(usage.get(name) is not None for name in _PIXELS) else fields


def _recognises(fields: Fields) -> bool:
    if _counts(fields) is not fields:
        return True
    made = fields.get("embeddings") is not None or fields.get("results") is not None
    return made and fields.get("total_tokens") is not None


def _read(fields: Fields) -> Iterable[Captured]:
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


ADAPTER = Adapter(
    name="Voyage",
    knows="Voyage (embeddings, multimodal embeddings, reranking)",
    packages=frozenset({"voyageai"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=never_a_chunk,
    follow=lambda: NoStream("voyageai"),
)
