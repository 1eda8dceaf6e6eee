"""Cells of Mistral, Cohere, Bedrock, Ollama, LangChain and the Claude Agent SDK, with their own objects.

These SDKs are large, and not installed everywhere (``pip install -e '.[dev-capture]'`` does). Where
one is missing, its cells are read from the plain dicts of its wire format.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from capture_cells import Cell


def made(module: str, name: str, data: dict[str, Any]) -> Any:
    """The object of an SDK's class with this data; the data itself where the SDK is not installed."""
    try:
        cls = getattr(import_module(module), name)
    except ImportError:
        return data
    return cls.model_validate(data)


COUNTS = {"tokens_input": 1000, "tokens_output": 200}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
TEXT = "Sixteen letters."  # 16 characters, taken as 4 tokens where a stream is cut


# --- Mistral

MISTRAL_ID = {"service": "mistral", "model": "mistral-large-latest", "request_id": "m-1", "incomplete": None}


def mistral(**usage: Any) -> Any:
    message = {"role": "assistant", "content": "Hello."}
    return made(
        "mistralai.client.models",
        "ChatCompletionResponse",
        {
            "id": "m-1",
            "object": "chat.completion",
            "created": 1,
            "model": "mistral-large-latest",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": USAGE | usage,
        },
    )


def mistral_events(whole: bool = True) -> list[Any]:
    head = {"id": "m-1", "object": "chat.completion.chunk", "created": 1, "model": "mistral-large-latest"}
    first = head | {"choices": [{"index": 0, "delta": {"content": TEXT}, "finish_reason": None}]}
    last = head | {
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    events = [made("mistralai.client.models", "CompletionEvent", {"data": chunk}) for chunk in (first, last)]
    return events if whole else events[:1]


def mistral_pages() -> Any:
    usage = {"pages_processed": 12, "doc_size_bytes": 4096}
    return made(
        "mistralai.client.models",
        "OCRResponse",
        {"pages": [], "model": "mistral-ocr-latest", "usage_info": usage},
    )


def mistral_transcription() -> Any:
    usage = {"prompt_audio_seconds": 203, "prompt_tokens": 4, "completion_tokens": 635, "total_tokens": 639}
    return made(
        "mistralai.client.models",
        "TranscriptionResponse",
        {"model": "voxtral-mini-2507", "text": "Hi.", "language": "en", "segments": [], "usage": usage},
    )


def mistral_vectors() -> Any:
    usage = {"prompt_tokens": 64, "completion_tokens": 0, "total_tokens": 64}
    return made(
        "mistralai.client.models",
        "EmbeddingResponse",
        {"id": "e-1", "object": "list", "model": "mistral-embed", "data": [], "usage": usage},
    )


MISTRAL = [
    Cell("mistral", "normal", "", mistral, COUNTS, MISTRAL_ID | {"operation": "chat"}),
    Cell("mistral", "normal", "", mistral_pages, {"pages": 12}, {"operation": "ocr"}, variant="ocr"),
    Cell(
        "mistral",
        "normal",
        "",
        mistral_transcription,
        {"audio_seconds": 203, "tokens_input": 4, "tokens_output": 635},
        {"operation": "transcription"},
        variant="audio",
    ),
    Cell(
        "mistral",
        "normal",
        "",
        mistral_vectors,
        {"tokens_input": 64},
        {"operation": "embeddings"},
        variant="embeddings",
    ),
    Cell("mistral", "streamed", "", mistral_events, COUNTS, MISTRAL_ID),
    Cell("mistral", "async", "", mistral_events, COUNTS, MISTRAL_ID),
    Cell(
        "mistral",
        "cut",
        "",
        lambda: mistral_events(False),
        {"tokens_output": 4},
        {"request_id": "m-1"},
    ),
    Cell(
        "mistral",
        "cached",
        "",
        lambda: mistral(prompt_tokens_details={"cached_tokens": 640}),
        COUNTS | {"tokens_cached": 640},
        MISTRAL_ID,
    ),
]


# --- Cohere: 14 tokens of its own around the prompt are processed and not billed

COHERE_USAGE = {
    "billed_units": {"input_tokens": 1000.0, "output_tokens": 200.0},
    "tokens": {"input_tokens": 1014.0, "output_tokens": 202.0},
}
COHERE_ID = {"service": "cohere", "model": "command-a-03-2025", "request_id": "c-1"}
COHERE_SAID = {"model": "command-a-03-2025"}


def cohere_chat(**usage: Any) -> Any:
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
    return made(
        "cohere.v2.types",
        "V2ChatResponse",
        {"id": "c-1", "finish_reason": "COMPLETE", "message": message, "usage": COHERE_USAGE | usage},
    )


def cohere_events(whole: bool = True) -> list[Any]:
    delta = {"message": {"content": {"text": TEXT}}}
    end = {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}
    events = [
        made("cohere.types", "ChatMessageStartEvent", {"type": "message-start", "id": "c-1"}),
        made("cohere.types", "ChatContentDeltaEvent", {"type": "content-delta", "index": 0, "delta": delta}),
        made("cohere.types", "ChatMessageEndEvent", {"type": "message-end", "id": "c-1", "delta": end}),
    ]
    return events if whole else events[:2]


def cohere_vectors() -> Any:
    meta = {"billed_units": {"input_tokens": 64.0}}
    return made(
        "cohere.types", "EmbedByTypeResponse", {"id": "e-1", "embeddings": {"float": [[0.1]]}, "meta": meta}
    )


def cohere_ranks() -> Any:
    meta = {"billed_units": {"search_units": 2.0}}
    results = [{"index": 0, "relevance_score": 0.9}]
    return made("cohere.v2.types", "V2RerankResponse", {"id": "k-1", "results": results, "meta": meta})


COHERE = [
    Cell("cohere", "normal", "", cohere_chat, COUNTS, COHERE_ID, COHERE_SAID),
    Cell(
        "cohere",
        "normal",
        "",
        cohere_vectors,
        {"tokens_input": 64},
        {"operation": "embeddings"},
        {"model": "embed-v4.0"},
        "embeddings",
    ),
    Cell(
        "cohere",
        "normal",
        "",
        cohere_ranks,
        {"requests": 2},
        {"operation": "rerank"},
        {"model": "rerank-v3.5"},
        "rerank",
    ),
    Cell("cohere", "streamed", "", cohere_events, COUNTS, COHERE_ID | {"incomplete": None}, COHERE_SAID),
    Cell("cohere", "async", "", cohere_events, COUNTS, COHERE_ID | {"incomplete": None}, COHERE_SAID),
    Cell("cohere", "cut", "", lambda: cohere_events(False), {"tokens_output": 4}, COHERE_ID, COHERE_SAID),
    Cell(
        "cohere",
        "cached",
        "",
        lambda: cohere_chat(cached_tokens=512.0),
        COUNTS | {"tokens_cached": 512},
        COHERE_ID,
        COHERE_SAID,
    ),
]


# --- Bedrock: answers that botocore itself has checked against the service's model

BEDROCK_SAID = {"model": "anthropic.claude-sonnet-4-5-20250929-v1:0"}
BEDROCK_ID = {"service": "bedrock", **BEDROCK_SAID}
BEDROCK_USAGE = {"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200}
BEDROCK_CACHE = {
    "totalTokens": 6900,
    "cacheReadInputTokens": 5000,
    "cacheWriteInputTokens": 700,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 500}],
}


def converse(**more: Any) -> Any:
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
        "stopReason": "end_turn",
        "usage": BEDROCK_USAGE,
        "metrics": {"latencyMs": 5},
        "ResponseMetadata": {"RequestId": "b-1", "HTTPStatusCode": 200},
    } | more
    try:
        import boto3
        from botocore.stub import Stubber
    except ImportError:
        return answer
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}  # nothing is sent
    client = boto3.client("bedrock-runtime", region_name="eu-central-1", **keys)
    with Stubber(client) as stub:
        stub.add_response("converse", answer)
        return client.converse(modelId=BEDROCK_SAID["model"], messages=[])


def converse_events(whole: bool = True) -> list[Any]:
    events: list[Any] = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": TEXT}}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": BEDROCK_USAGE | BEDROCK_CACHE, "metrics": {"latencyMs": 5}}},
    ]
    return events if whole else events[:2]


BEDROCK_CACHED = {
    "tokens_input": 6700,
    "tokens_output": 200,
    "tokens_cached": 5000,
    "tokens_cache_write": 700,
    "tokens_cache_write_1h": 200,
}
BEDROCK = [
    Cell("bedrock", "normal", "", converse, COUNTS, BEDROCK_ID | {"request_id": "b-1"}, BEDROCK_SAID),
    Cell(
        "bedrock",
        "normal",
        "",
        lambda: converse(serviceTier={"type": "priority"}),
        COUNTS,
        {"service_tier": "priority"},
        BEDROCK_SAID,
        "priority",
    ),
    Cell("bedrock", "streamed", "", converse_events, BEDROCK_CACHED, BEDROCK_ID, BEDROCK_SAID),
    Cell("bedrock", "async", "", converse_events, BEDROCK_CACHED, BEDROCK_ID, BEDROCK_SAID),
    Cell(
        "bedrock",
        "cut",
        "",
        lambda: converse_events(False),
        {"tokens_output": 4},
        BEDROCK_ID,
        BEDROCK_SAID,
    ),
    Cell(
        "bedrock",
        "cached",
        "",
        lambda: converse(usage=BEDROCK_USAGE | BEDROCK_CACHE),
        BEDROCK_CACHED,
        BEDROCK_ID,
        BEDROCK_SAID,
    ),
]


# --- Ollama

OLLAMA_ID = {"service": "ollama", "model": "llama3.2", "request_id": None}
OLLAMA_END = {"done": True, "prompt_eval_count": 1000, "eval_count": 200, "total_duration": 1_500_000_000}


def ollama(**more: Any) -> Any:
    message = {"role": "assistant", "content": TEXT}
    return made("ollama", "ChatResponse", {"model": "llama3.2", "message": message, "done": False} | more)


def ollama_vectors() -> Any:
    return made(
        "ollama",
        "EmbedResponse",
        {"model": "nomic-embed-text", "embeddings": [[0.1]], "total_duration": 14, "prompt_eval_count": 8},
    )


OLLAMA = [
    Cell(
        "ollama",
        "normal",
        "",
        lambda: ollama(**OLLAMA_END),
        COUNTS,
        OLLAMA_ID | {"metadata": {"seconds": 1.5}},
    ),
    Cell(
        "ollama",
        "normal",
        "",
        ollama_vectors,
        {"tokens_input": 8},
        {"operation": "embeddings"},
        variant="embeddings",
    ),
    Cell("ollama", "streamed", "", lambda: [ollama(), ollama(**OLLAMA_END)], COUNTS, OLLAMA_ID),
    Cell("ollama", "async", "", lambda: [ollama(), ollama(**OLLAMA_END)], COUNTS, OLLAMA_ID),
    Cell("ollama", "cut", "", lambda: [ollama()], {"tokens_output": 4}, OLLAMA_ID),
]


# --- LangChain

LANGCHAIN_ID = {"service": "anthropic", "model": "claude-sonnet-4-5", "request_id": "msg_7"}
LANGCHAIN_USAGE = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}


def langchain(kind: str = "AIMessage", usage: dict[str, Any] | None = None, text: str = TEXT) -> Any:
    about = {"model_name": "claude-sonnet-4-5", "model_provider": "anthropic", "id": "msg_7"}
    told = {"content": text, "id": "run-1", "usage_metadata": usage, "response_metadata": about}
    if "input_token_details" in (usage or {}) or usage is None:
        told = {name: value for name, value in told.items() if value is not None}
    return made("langchain_core.messages", kind, told | {"type": "ai" if kind == "AIMessage" else kind})


def langchain_chunks(whole: bool = True) -> list[Any]:
    """Usage of chunks is made to be added up: the input comes first, the output at the end."""
    first = {"input_tokens": 1000, "output_tokens": 0, "total_tokens": 1000}
    first["input_token_details"] = {"cache_read": 600}  # type: ignore[assignment]  # LangChain nests it
    last = {"input_tokens": 0, "output_tokens": 200, "total_tokens": 200}
    events = [
        langchain("AIMessageChunk", first if whole else None),
        langchain("AIMessageChunk", last, text=""),
    ]
    return events if whole else events[:1]


def langchain_result() -> Any:
    """One prompt that was answered twice: the second answer repeats the usage of the first."""
    message = langchain(usage=LANGCHAIN_USAGE)
    try:
        from langchain_core.outputs import ChatGeneration, LLMResult
    except ImportError:
        return {"generations": [[{"message": message}, {"message": message}]]}
    answer = ChatGeneration(message=message)
    return LLMResult(generations=[[answer, answer]])


CACHED_DETAILS = {"cache_read": 600, "ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 50}

LANGCHAIN = [
    Cell(
        "langchain",
        "normal",
        "",
        lambda: langchain(usage=LANGCHAIN_USAGE),
        COUNTS,
        LANGCHAIN_ID,
    ),
    Cell("langchain", "normal", "", langchain_result, COUNTS, LANGCHAIN_ID, variant="result"),
    Cell(
        "langchain",
        "streamed",
        "",
        langchain_chunks,
        COUNTS | {"tokens_cached": 600},
        LANGCHAIN_ID | {"incomplete": None},
    ),
    Cell(
        "langchain",
        "async",
        "",
        langchain_chunks,
        COUNTS | {"tokens_cached": 600},
        LANGCHAIN_ID,
    ),
    Cell(
        "langchain",
        "cut",
        "",
        lambda: langchain_chunks(False),
        {"tokens_output": 4},
        LANGCHAIN_ID,
    ),
    Cell(
        "langchain",
        "cached",
        "",
        lambda: langchain(usage=LANGCHAIN_USAGE | {"input_token_details": CACHED_DETAILS}),
        COUNTS | {"tokens_cached": 600, "tokens_cache_write": 150, "tokens_cache_write_1h": 50},
        LANGCHAIN_ID,
    ),
    Cell(
        "langchain",
        "reasoning",
        "",
        lambda: langchain(usage=LANGCHAIN_USAGE | {"output_token_details": {"reasoning": 150}}),
        COUNTS | {"tokens_reasoning": 150},
        LANGCHAIN_ID,
    ),
]


# --- Claude Agent SDK

AGENT_MODEL = "claude-sonnet-4-5-20250929"
AGENT_USAGE = {
    "inputTokens": 100,
    "outputTokens": 200,
    "cacheReadInputTokens": 800,
    "cacheCreationInputTokens": 100,
    "webSearchRequests": 1,
    "costUSD": 0.0123,
    "contextWindow": 200_000,
    "maxOutputTokens": 64_000,
}
AGENT_COUNTS = COUNTS | {"tokens_cached": 800, "tokens_cache_write": 100, "web_searches": 1}
AGENT_ID = {
    "service": "anthropic",
    "model": AGENT_MODEL,
    "operation": "agent",
    "actual_cost": 12_300_000,
    "request_id": f"u-1/{AGENT_MODEL}",
}


def agent_result(**more: Any) -> Any:
    facts: dict[str, Any] = {
        "subtype": "success",
        "duration_ms": 9,
        "duration_api_ms": 8,
        "is_error": False,
        "num_turns": 2,
        "session_id": "s-1",
        "total_cost_usd": 0.0123,
        "model_usage": {AGENT_MODEL: AGENT_USAGE},
        "uuid": "u-1",
    }
    return agent_message("ResultMessage", facts | more)


def agent_step(message_id: str = "msg_9") -> Any:
    usage = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 900}
    facts = {"content": [], "model": AGENT_MODEL, "usage": usage, "message_id": message_id}
    return agent_message("AssistantMessage", facts | {"session_id": "s-1", "uuid": "x"})


def agent_message(name: str, facts: dict[str, Any]) -> Any:
    """A message, which is a data class; its fields where the SDK is not installed."""
    try:
        import claude_agent_sdk
    except ImportError:
        return facts
    return getattr(claude_agent_sdk, name)(**facts)


AGENT = [
    Cell("claude-agent", "normal", "", agent_result, AGENT_COUNTS, AGENT_ID),
    Cell(
        "claude-agent",
        "normal",
        "",
        lambda: agent_result(model_usage=None, usage={"input_tokens": 1000, "output_tokens": 200}),
        COUNTS,
        {"actual_cost": 12_300_000, "request_id": "u-1"},
        {"model": AGENT_MODEL},
        "without-models",
    ),
    # Two messages of one step have one id and one usage; the result sums all up.
    Cell(
        "claude-agent",
        "streamed",
        "",
        lambda: [agent_step(), agent_step(), agent_result()],
        AGENT_COUNTS,
        AGENT_ID | {"incomplete": None},
    ),
    Cell(
        "claude-agent",
        "async",
        "",
        lambda: [agent_step(), agent_step(), agent_result()],
        AGENT_COUNTS,
        AGENT_ID,
    ),
    Cell(
        "claude-agent",
        "cut",
        "",
        lambda: [agent_step(), agent_step()],
        {"tokens_input": 1000, "tokens_output": 50, "tokens_cached": 900},
        {"request_id": "msg_9", "model": AGENT_MODEL},
    ),
    Cell("claude-agent", "cached", "", agent_result, AGENT_COUNTS, AGENT_ID),
]

CELLS = [*MISTRAL, *COHERE, *BEDROCK, *OLLAMA, *LANGCHAIN, *AGENT]
