"""Together: OpenAI's shapes, but lists of pictures name their model, and videos state what they cost.

Source: the types of ``together`` 3.1, 2026-11-28.
"""

from __future__ import annotations

from ._openai_sdk import sdk_adapter

ADAPTER = sdk_adapter(
    "Together",
    "Together (chat, embeddings, reranking, transcription, images, videos)",
    "together",
    "together",
)
