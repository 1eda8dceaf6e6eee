"""Cells of Cohere, with objects of the ``cohere`` package.

Fourteen tokens of its own around the prompt are processed and not billed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .cell import Api
from .clients import awaited

CHAT = Api("Cohere", "chat", "cohere", "cohere")
EMBED = Api("Cohere", "embed", "cohere", "cohere")
RERANK = Api("Cohere", "rerank", "cohere", "cohere")

COUNTS = {"tokens_input": 1000, "tokens_output": 200}
TEXT = "Sixteen letters."  # 16 characters, taken as 4 tokens where a stream is cut


def typed(module: str, name: str, data: dict[str, Any]) -> Any:
    """The object of an SDK's class with this data."""
    return getattr(import_module(module), name).model_validate(data)


COHERE_USAGE = {
    "billed_units": {"input_tokens": 1000.0, "output_tokens": 200.0},
    "tokens": {"input_tokens": 1014.0, "output_tokens": 202.0},
}
COHERE_ID = {"service": "cohere", "model": "command-a-03-2025", "request_id": "c-1"}
COHERE_SAID = {"model": "command-a-03-2025"}


def cohere_chat(**usage: Any) -> Any:
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
    return typed(
        "cohere.v2.types",
        "V2ChatResponse",
        {"id": "c-1", "finish_reason": "COMPLETE", "message": message, "usage": COHERE_USAGE | usage},
    )


def cohere_events(whole: bool = True) -> list[Any]:
    delta = {"message": {"content": {"text": TEXT}}}
    end = {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}
    events = [
        typed("cohere.types", "ChatMessageStartEvent", {"type": "message-start", "id": "c-1"}),
        typed("cohere.types", "ChatContentDeltaEvent", {"type": "content-delta", "index": 0, "delta": delta}),
        typed("cohere.types", "ChatMessageEndEvent", {"type": "message-end", "id": "c-1", "delta": end}),
    ]
    return events if whole else events[:2]


COHERE_VECTORS = {
    "id": "e-1",
    "embeddings": {"float": [[0.1]]},
    "meta": {"billed_units": {"input_tokens": 64.0}},
    "response_type": "embeddings_by_type",
}
COHERE_RANKS = {
    "id": "k-1",
    "results": [{"index": 0, "relevance_score": 0.9}],
    "meta": {"billed_units": {"search_units": 2.0}},
}


def vectors() -> Any:
    return typed("cohere.types", "EmbedByTypeResponse", COHERE_VECTORS)


def ranks() -> Any:
    return typed("cohere.v2.types", "V2RerankResponse", COHERE_RANKS)


def asked(api: Api, method: str, payload: dict[str, Any], **request: Any) -> Any:
    """What the asynchronous client makes of an answer."""
    from cohere import AsyncClientV2

    async def ask(http: Any) -> Any:
        return await getattr(AsyncClientV2(api_key="k", httpx_client=http), method)(**request)

    return awaited(api, ask, payload)


EMBEDDER = {"model": "embed-v4.0"}
RANKER = {"model": "rerank-v3.5"}
VECTOR = {"service": "cohere", "operation": "embeddings", "request_id": "e-1"}
RANKS = {"service": "cohere", "operation": "rerank", "request_id": "k-1"}
EMBED_REQUEST: dict[str, Any] = EMBEDDER | {
    "input_type": "search_query",
    "texts": ["x"],
    "embedding_types": ["float"],
}
RANK_REQUEST: dict[str, Any] = RANKER | {"query": "x", "documents": ["y"]}

CELLS = [
    CHAT.cell("normal", cohere_chat, COUNTS, COHERE_ID, said=COHERE_SAID),
    CHAT.cell("streamed", cohere_events, COUNTS, COHERE_ID | {"incomplete": None}, said=COHERE_SAID),
    CHAT.cell("cut", lambda: cohere_events(whole=False), {"tokens_output": 4}, COHERE_ID, said=COHERE_SAID),
    CHAT.cell("async", cohere_events, COUNTS, COHERE_ID | {"incomplete": None}, said=COHERE_SAID),
    CHAT.cell(
        "cached",
        lambda: cohere_chat(cached_tokens=512.0),
        COUNTS | {"tokens_cached": 512},
        COHERE_ID,
        said=COHERE_SAID,
    ),
    EMBED.cell(
        "normal",
        vectors,
        {"tokens_input": 64},
        VECTOR,
        said=EMBEDDER,
    ),
    EMBED.cell(
        "async",
        lambda: asked(EMBED, "embed", COHERE_VECTORS, **EMBED_REQUEST),
        {"tokens_input": 64},
        VECTOR,
        said=EMBEDDER,
    ),
    RERANK.cell(
        "normal",
        ranks,
        {"search_units": 2},
        RANKS,
        said=RANKER,
    ),
    RERANK.cell(
        "async",
        lambda: asked(RERANK, "rerank", COHERE_RANKS, **RANK_REQUEST),
        {"search_units": 2},
        RANKS,
        said=RANKER,
    ),
]
NONE = [
    *CHAT.none("counted in the output, not stated apart", "reasoning"),
    *CHAT.none("there is none for chat", "batch"),
    *EMBED.none("vectors come at once", "streamed", "cut"),
    *EMBED.none("the usage has input alone", "cached", "reasoning"),
    *EMBED.none("an embed job leaves a data set, no responses", "batch"),
    *RERANK.none("ranks come at once", "streamed", "cut"),
    *RERANK.none("billed by the search", "cached", "reasoning", "batch"),
]
