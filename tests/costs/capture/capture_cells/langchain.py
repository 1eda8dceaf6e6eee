"""Cells of LangChain, with objects of the ``langchain-core`` package."""

from __future__ import annotations

from typing import Any

from .cell import Api

MESSAGES = Api("LangChain", "messages", "langchain_core", "langchain-core")

COUNTS = {"tokens_input": 1000, "tokens_output": 200}
TEXT = "Sixteen letters."  # 16 characters, taken as 4 tokens where a stream is cut
LANGCHAIN_ID = {"service": "anthropic", "model": "claude-sonnet-4-5", "request_id": "msg_7"}
LANGCHAIN_USAGE = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}


def langchain(kind: str = "AIMessage", usage: dict[str, Any] | None = None, text: Any = TEXT) -> Any:
    from langchain_core import messages

    about = {"model_name": "claude-sonnet-4-5", "model_provider": "anthropic", "id": "msg_7"}
    told = {"content": text, "id": "run-1", "usage_metadata": usage, "response_metadata": about}
    if "input_token_details" in (usage or {}) or usage is None:
        told = {name: value for name, value in told.items() if value is not None}
    return getattr(messages, kind).model_validate(told)


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
    from langchain_core.outputs import ChatGeneration, LLMResult

    message = langchain(usage=LANGCHAIN_USAGE)
    answer = ChatGeneration(message=message)
    return LLMResult(generations=[[answer, answer]])


CACHED_DETAILS = {"cache_read": 600, "ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 50}
BLOCKS = [{"type": "thinking", "thinking": "Four"}, {"type": "text", "text": "Twelve chars"}]

CELLS = [
    MESSAGES.cell("normal", lambda: langchain(usage=LANGCHAIN_USAGE), COUNTS, LANGCHAIN_ID),
    MESSAGES.cell("normal", langchain_result, COUNTS, LANGCHAIN_ID, variant="result"),
    MESSAGES.cell(
        "streamed",
        langchain_chunks,
        COUNTS | {"tokens_cached": 600},
        LANGCHAIN_ID | {"incomplete": None},
    ),
    MESSAGES.cell("cut", lambda: langchain_chunks(whole=False), {"tokens_output": 4}, LANGCHAIN_ID),
    MESSAGES.cell(
        "cut",
        lambda: [langchain("AIMessageChunk", text=BLOCKS)],
        {"tokens_output": 4},
        LANGCHAIN_ID,
        variant="blocks",
    ),
    MESSAGES.cell("async", langchain_chunks, COUNTS | {"tokens_cached": 600}, LANGCHAIN_ID),
    MESSAGES.cell(
        "cached",
        lambda: langchain(usage=LANGCHAIN_USAGE | {"input_token_details": CACHED_DETAILS}),
        COUNTS | {"tokens_cached": 600, "tokens_cache_write": 150, "tokens_cache_write_1h": 50},
        LANGCHAIN_ID,
    ),
    MESSAGES.cell(
        "reasoning",
        lambda: langchain(usage=LANGCHAIN_USAGE | {"output_token_details": {"reasoning": 150}}),
        COUNTS | {"tokens_reasoning": 150},
        LANGCHAIN_ID,
    ),
]
NONE = MESSAGES.none("model.batch() makes ordinary calls", "batch")
