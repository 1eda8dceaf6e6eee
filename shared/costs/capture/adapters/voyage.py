"""Voyage AI: embeddings and reranking by the token, pictures and videos by the pixel.

The SDK adds up the requests of one call and keeps neither the model nor an id. Of a multimodal call the total
counts pixels as tokens (560 of them one), but what is billed of pictures and videos is the pixel.
Sources: https://docs.voyageai.com/docs/pricing and the classes of ``voyageai`` 0.5, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..adapter import Adapter
from ..captured import Captured, usage_of
from ..fields import Fields
from ._media import NoStream, never_a_chunk

_PIXELS = ("image_pixels", "video_pixels")


def _recognises(fields: Fields) -> bool:
    made = fields.get("embeddings") is not None or fields.get("results") is not None
    return made and fields.get("total_tokens") is not None


def _read(fields: Fields) -> Iterable[Captured]:
    by_pixel = any(fields.get(name) is not None for name in _PIXELS)
    tokens = fields.count("text_tokens") if by_pixel else fields.count("total_tokens")
    pixels = sum(fields.count(name) for name in _PIXELS)
    usage, fault = usage_of({"tokens_input": tokens, "pixels": pixels})
    yield Captured(
        service="voyageai",
        model="",
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
