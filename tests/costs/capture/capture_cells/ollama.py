"""Cells of Ollama, with objects of the ``ollama`` package."""

from __future__ import annotations

import asyncio
from typing import Any

from .cell import Api

CHAT = Api("Ollama", "chat", "ollama", "ollama")
EMBED = Api("Ollama", "embed", "ollama", "ollama")

COUNTS = {"tokens_input": 1000, "tokens_output": 200}
TEXT = "Sixteen letters."  # 16 characters, taken as 4 tokens where a stream is cut
OLLAMA_ID = {"service": "ollama", "model": "llama3.2", "request_id": None}
OLLAMA_END = {"done": True, "prompt_eval_count": 1000, "eval_count": 200, "total_duration": 1_500_000_000}


def ollama(**more: Any) -> Any:
    message = {"role": "assistant", "content": TEXT}
    from ollama import ChatResponse

    return ChatResponse.model_validate({"model": "llama3.2", "message": message, "done": False} | more)


OLLAMA_VECTORS = {
    "model": "nomic-embed-text",
    "embeddings": [[0.1]],
    "total_duration": 14,
    "prompt_eval_count": 8,
}


def ollama_vectors() -> Any:
    from ollama import EmbedResponse

    return EmbedResponse.model_validate(OLLAMA_VECTORS)


def awaited_vectors() -> Any:
    """What the asynchronous client makes of an answer."""
    import httpx
    import ollama

    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=OLLAMA_VECTORS))
    client = ollama.AsyncClient(transport=transport)
    return asyncio.run(client.embed(model="nomic-embed-text", input="x"))


VECTOR = {"service": "ollama", "operation": "embeddings"}

CELLS = [
    CHAT.cell("normal", lambda: ollama(**OLLAMA_END), COUNTS, OLLAMA_ID | {"metadata": {"seconds": 1.5}}),
    CHAT.cell("streamed", lambda: [ollama(), ollama(**OLLAMA_END)], COUNTS, OLLAMA_ID),
    CHAT.cell("cut", lambda: [ollama()], {"tokens_output": 4}, OLLAMA_ID),
    CHAT.cell("async", lambda: [ollama(), ollama(**OLLAMA_END)], COUNTS, OLLAMA_ID),
    EMBED.cell("normal", ollama_vectors, {"tokens_input": 8}, VECTOR),
    EMBED.cell("async", awaited_vectors, {"tokens_input": 8}, VECTOR),
]
NONE = [
    *CHAT.none("its cache is not counted, and nothing is billed", "cached"),
    *CHAT.none("counted in the output, not stated apart", "reasoning"),
    *CHAT.none("there is none", "batch"),
    *EMBED.none("vectors come at once", "streamed", "cut"),
    *EMBED.none("the usage has input alone", "cached", "reasoning"),
    *EMBED.none("there is none", "batch"),
]
