"""Cells of Mistral, Cohere, Bedrock, Ollama, LangChain and the Claude Agent SDK, with their own objects."""

from __future__ import annotations

from typing import Any

from capture_cells import Cell

COUNTS = {"tokens_input": 1000, "tokens_output": 200}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
TEXT = "Sixteen letters."  # 16 characters, taken as 4 tokens where a stream is cut


# --- Mistral

MISTRAL_ID = {"service": "mistral", "model": "mistral-large-latest", "request_id": "m-1", "incomplete": None}


def mistral(**usage: Any) -> Any:
    from mistralai.client.models import ChatCompletionResponse

    message = {"role": "assistant", "content": "Hello."}
    return ChatCompletionResponse.model_validate(
        {
            "id": "m-1",
            "object": "chat.completion",
            "created": 1,
            "model": "mistral-large-latest",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": USAGE | usage,
        }
    )


def mistral_events(whole: bool = True) -> list[Any]:
    from mistralai.client.models import CompletionEvent

    head = {"id": "m-1", "object": "chat.completion.chunk", "created": 1, "model": "mistral-large-latest"}
    first = head | {"choices": [{"index": 0, "delta": {"content": TEXT}, "finish_reason": None}]}
    last = head | {
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    made = [CompletionEvent.model_validate({"data": chunk}) for chunk in (first, last)]
    return made if whole else made[:1]


def mistral_pages() -> Any:
    from mistralai.client.models import OCRResponse

    usage = {"pages_processed": 12, "doc_size_bytes": 4096}
    return OCRResponse.model_validate({"pages": [], "model": "mistral-ocr-latest", "usage_info": usage})


def mistral_transcription() -> Any:
    from mistralai.client.models import TranscriptionResponse

    usage = {"prompt_audio_seconds": 203, "prompt_tokens": 4, "completion_tokens": 635, "total_tokens": 639}
    return TranscriptionResponse.model_validate(
        {"model": "voxtral-mini-2507", "text": "Hi.", "language": "en", "segments": [], "usage": usage}
    )


def mistral_vectors() -> Any:
    from mistralai.client.models import EmbeddingResponse

    usage = {"prompt_tokens": 64, "completion_tokens": 0, "total_tokens": 64}
    return EmbeddingResponse.model_validate(
        {"id": "e-1", "object": "list", "model": "mistral-embed", "data": [], "usage": usage}
    )


MISTRAL = [
    Cell("mistral", "normal", "mistralai", mistral, COUNTS, MISTRAL_ID | {"operation": "chat"}),
    Cell("mistral", "normal", "mistralai", mistral_pages, {"pages": 12}, {"operation": "ocr"}, variant="ocr"),
    Cell(
        "mistral",
        "normal",
        "mistralai",
        mistral_transcription,
        {"audio_seconds": 203, "tokens_input": 4, "tokens_output": 635},
        {"operation": "transcription"},
        variant="audio",
    ),
    Cell(
        "mistral",
        "normal",
        "mistralai",
        mistral_vectors,
        {"tokens_input": 64},
        {"operation": "embeddings"},
        variant="embeddings",
    ),
    Cell("mistral", "streamed", "mistralai", mistral_events, COUNTS, MISTRAL_ID),
    Cell("mistral", "async", "mistralai", mistral_events, COUNTS, MISTRAL_ID),
    Cell(
        "mistral",
        "cut",
        "mistralai",
        lambda: mistral_events(False),
        {"tokens_output": 4},
        {"request_id": "m-1"},
    ),
    Cell(
        "mistral",
        "cached",
        "mistralai",
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
    from cohere.v2.types import V2ChatResponse

    message = {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
    return V2ChatResponse.model_validate(
        {"id": "c-1", "finish_reason": "COMPLETE", "message": message, "usage": COHERE_USAGE | usage}
    )


def cohere_events(whole: bool = True) -> list[Any]:
    from cohere.types import ChatContentDeltaEvent, ChatMessageEndEvent, ChatMessageStartEvent

    delta = {"message": {"content": {"text": TEXT}}}
    end = {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}
    made = [
        ChatMessageStartEvent.model_validate({"type": "message-start", "id": "c-1"}),
        ChatContentDeltaEvent.model_validate({"type": "content-delta", "index": 0, "delta": delta}),
        ChatMessageEndEvent.model_validate({"type": "message-end", "id": "c-1", "delta": end}),
    ]
    return made if whole else made[:2]


def cohere_vectors() -> Any:
    from cohere.types import EmbedByTypeResponse

    meta = {"billed_units": {"input_tokens": 64.0}}
    return EmbedByTypeResponse.model_validate({"id": "e-1", "embeddings": {"float": [[0.1]]}, "meta": meta})


def cohere_ranks() -> Any:
    from cohere.v2.types import V2RerankResponse

    meta = {"billed_units": {"search_units": 2.0}}
    results = [{"index": 0, "relevance_score": 0.9}]
    return V2RerankResponse.model_validate({"id": "k-1", "results": results, "meta": meta})


COHERE = [
    Cell("cohere", "normal", "cohere", cohere_chat, COUNTS, COHERE_ID, COHERE_SAID),
    Cell(
        "cohere",
        "normal",
        "cohere",
        cohere_vectors,
        {"tokens_input": 64},
        {"operation": "embeddings"},
        {"model": "embed-v4.0"},
        "embeddings",
    ),
    Cell(
        "cohere",
        "normal",
        "cohere",
        cohere_ranks,
        {"requests": 2},
        {"operation": "rerank"},
        {"model": "rerank-v3.5"},
        "rerank",
    ),
    Cell(
        "cohere", "streamed", "cohere", cohere_events, COUNTS, COHERE_ID | {"incomplete": None}, COHERE_SAID
    ),
    Cell("cohere", "async", "cohere", cohere_events, COUNTS, COHERE_ID | {"incomplete": None}, COHERE_SAID),
    Cell(
        "cohere", "cut", "cohere", lambda: cohere_events(False), {"tokens_output": 4}, COHERE_ID, COHERE_SAID
    ),
    Cell(
        "cohere",
        "cached",
        "cohere",
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
    import boto3
    from botocore.stub import Stubber

    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}  # nothing is sent
    client = boto3.client("bedrock-runtime", region_name="eu-central-1", **keys)
    with Stubber(client) as stub:
        answer = {
            "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
            "stopReason": "end_turn",
            "usage": BEDROCK_USAGE,
            "metrics": {"latencyMs": 5},
            "ResponseMetadata": {"RequestId": "b-1", "HTTPStatusCode": 200},
        }
        stub.add_response("converse", answer | more)
        return client.converse(modelId=BEDROCK_SAID["model"], messages=[])


def converse_events(whole: bool = True) -> list[Any]:
    made: list[Any] = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": TEXT}}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": BEDROCK_USAGE | BEDROCK_CACHE, "metrics": {"latencyMs": 5}}},
    ]
    return made if whole else made[:2]


BEDROCK_CACHED = {
    "tokens_input": 6700,
    "tokens_output": 200,
    "tokens_cached": 5000,
    "tokens_cache_write": 700,
    "tokens_cache_write_1h": 200,
}
BEDROCK = [
    Cell("bedrock", "normal", "boto3", converse, COUNTS, BEDROCK_ID | {"request_id": "b-1"}, BEDROCK_SAID),
    Cell(
        "bedrock",
        "normal",
        "boto3",
        lambda: converse(serviceTier={"type": "priority"}),
        COUNTS,
        {"service_tier": "priority"},
        BEDROCK_SAID,
        "priority",
    ),
    Cell("bedrock", "streamed", "boto3", converse_events, BEDROCK_CACHED, BEDROCK_ID, BEDROCK_SAID),
    Cell("bedrock", "async", "boto3", converse_events, BEDROCK_CACHED, BEDROCK_ID, BEDROCK_SAID),
    Cell(
        "bedrock",
        "cut",
        "boto3",
        lambda: converse_events(False),
        {"tokens_output": 4},
        BEDROCK_ID,
        BEDROCK_SAID,
    ),
    Cell(
        "bedrock",
        "cached",
        "boto3",
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
    from ollama import ChatResponse

    message = {"role": "assistant", "content": TEXT}
    return ChatResponse.model_validate({"model": "llama3.2", "message": message, "done": False} | more)


def ollama_vectors() -> Any:
    from ollama import EmbedResponse

    return EmbedResponse.model_validate(
        {"model": "nomic-embed-text", "embeddings": [[0.1]], "total_duration": 14, "prompt_eval_count": 8}
    )


OLLAMA = [
    Cell(
        "ollama",
        "normal",
        "ollama",
        lambda: ollama(**OLLAMA_END),
        COUNTS,
        OLLAMA_ID | {"metadata": {"seconds": 1.5}},
    ),
    Cell(
        "ollama",
        "normal",
        "ollama",
        ollama_vectors,
        {"tokens_input": 8},
        {"operation": "embeddings"},
        variant="embeddings",
    ),
    Cell("ollama", "streamed", "ollama", lambda: [ollama(), ollama(**OLLAMA_END)], COUNTS, OLLAMA_ID),
    Cell("ollama", "async", "ollama", lambda: [ollama(), ollama(**OLLAMA_END)], COUNTS, OLLAMA_ID),
    Cell("ollama", "cut", "ollama", lambda: [ollama()], {"tokens_output": 4}, OLLAMA_ID),
]


# --- LangChain

LANGCHAIN_ID = {"service": "anthropic", "model": "claude-sonnet-4-5", "request_id": "msg_7"}
LANGCHAIN_USAGE = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}


def langchain(kind: str = "AIMessage", usage: dict[str, Any] | None = None, text: str = TEXT) -> Any:
    import langchain_core.messages

    about = {"model_name": "claude-sonnet-4-5", "model_provider": "anthropic", "id": "msg_7"}
    cls = getattr(langchain_core.messages, kind)
    return cls(content=text, id="run-1", usage_metadata=usage, response_metadata=about)


def langchain_chunks(whole: bool = True) -> list[Any]:
    """Usage of chunks is made to be added up: the input comes first, the output at the end."""
    first = {"input_tokens": 1000, "output_tokens": 0, "total_tokens": 1000}
    first["input_token_details"] = {"cache_read": 600}  # type: ignore[assignment]  # LangChain nests it
    last = {"input_tokens": 0, "output_tokens": 200, "total_tokens": 200}
    made = [
        langchain("AIMessageChunk", first if whole else None),
        langchain("AIMessageChunk", last, text=""),
    ]
    return made if whole else made[:1]


def langchain_result() -> Any:
    """Two prompts, of which one was answered twice: the second answer repeats the usage of the first."""
    from langchain_core.outputs import ChatGeneration, LLMResult

    made = ChatGeneration(message=langchain(usage=LANGCHAIN_USAGE))
    return LLMResult(generations=[[made, made]])


CACHED_DETAILS = {"cache_read": 600, "ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 50}

LANGCHAIN = [
    Cell(
        "langchain",
        "normal",
        "langchain_core",
        lambda: langchain(usage=LANGCHAIN_USAGE),
        COUNTS,
        LANGCHAIN_ID,
    ),
    Cell("langchain", "normal", "langchain_core", langchain_result, COUNTS, LANGCHAIN_ID, variant="result"),
    Cell(
        "langchain",
        "streamed",
        "langchain_core",
        langchain_chunks,
        COUNTS | {"tokens_cached": 600},
        LANGCHAIN_ID | {"incomplete": None},
    ),
    Cell(
        "langchain",
        "async",
        "langchain_core",
        langchain_chunks,
        COUNTS | {"tokens_cached": 600},
        LANGCHAIN_ID,
    ),
    Cell(
        "langchain",
        "cut",
        "langchain_core",
        lambda: langchain_chunks(False),
        {"tokens_output": 4},
        LANGCHAIN_ID,
    ),
    Cell(
        "langchain",
        "cached",
        "langchain_core",
        lambda: langchain(usage=LANGCHAIN_USAGE | {"input_token_details": CACHED_DETAILS}),
        COUNTS | {"tokens_cached": 600, "tokens_cache_write": 150, "tokens_cache_write_1h": 50},
        LANGCHAIN_ID,
    ),
    Cell(
        "langchain",
        "reasoning",
        "langchain_core",
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
    from claude_agent_sdk import ResultMessage

    facts: dict[str, Any] = {
        "total_cost_usd": 0.0123,
        "model_usage": {AGENT_MODEL: AGENT_USAGE},
        "uuid": "u-1",
    }
    return ResultMessage(
        subtype="success",
        duration_ms=9,
        duration_api_ms=8,
        is_error=False,
        num_turns=2,
        session_id="s-1",
        **(facts | more),
    )


def agent_step(message_id: str = "msg_9") -> Any:
    from claude_agent_sdk import AssistantMessage

    usage = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 900}
    return AssistantMessage(
        content=[], model=AGENT_MODEL, usage=usage, message_id=message_id, session_id="s-1", uuid="x"
    )


AGENT = [
    Cell("claude-agent", "normal", "claude_agent_sdk", agent_result, AGENT_COUNTS, AGENT_ID),
    Cell(
        "claude-agent",
        "normal",
        "claude_agent_sdk",
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
        "claude_agent_sdk",
        lambda: [agent_step(), agent_step(), agent_result()],
        AGENT_COUNTS,
        AGENT_ID | {"incomplete": None},
    ),
    Cell(
        "claude-agent",
        "async",
        "claude_agent_sdk",
        lambda: [agent_step(), agent_step(), agent_result()],
        AGENT_COUNTS,
        AGENT_ID,
    ),
    Cell(
        "claude-agent",
        "cut",
        "claude_agent_sdk",
        lambda: [agent_step(), agent_step()],
        {"tokens_input": 1000, "tokens_output": 50, "tokens_cached": 900},
        {"request_id": "msg_9", "model": AGENT_MODEL},
    ),
    Cell("claude-agent", "cached", "claude_agent_sdk", agent_result, AGENT_COUNTS, AGENT_ID),
]

CELLS = [*MISTRAL, *COHERE, *BEDROCK, *OLLAMA, *LANGCHAIN, *AGENT]
