"""Cells of LiteLLM, with objects of the ``litellm`` package: OpenAI's format, provider and cost beside it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .cell import Api

COMPLETION = Api("LiteLLM", "completion", "litellm", "litellm")
EMBEDDING = Api("LiteLLM", "embedding", "litellm", "litellm")

COUNTS = {"tokens_input": 1000, "tokens_output": 200}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
HIDDEN = {"custom_llm_provider": "anthropic", "response_cost": 0.0123}
ID = {"service": "anthropic", "model": "claude-sonnet-4-5", "request_id": "chatcmpl-A9"}
STATED = ID | {"actual_cost": 12_300_000, "incomplete": None}
TEXT = "Sixteen letters."  # 16 characters, taken as 4 tokens where a stream is cut


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the package's own warnings to itself: it gives them while it builds its types, which is late."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def types() -> Any:
    """The package's types; its prices are not to be fetched."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from litellm.types import utils

    return utils


@quiet()
def completion(**usage: Any) -> Any:
    """A completion."""
    message = {"role": "assistant", "content": TEXT}
    made = types().ModelResponse(
        id="chatcmpl-A9",
        model="claude-sonnet-4-5",
        choices=[{"index": 0, "finish_reason": "stop", "message": message}],
        usage=types().Usage(**USAGE, **usage),
    )
    made._hidden_params = dict(HIDDEN)
    return made


@quiet()
def chunks(whole: bool = True) -> list[Any]:
    """A stream, with the usage in its last chunk."""
    head: dict[str, Any] = {"id": "chatcmpl-A9", "model": "claude-sonnet-4-5"}
    first = types().ModelResponseStream(**head, choices=[{"index": 0, "delta": {"content": TEXT}}])
    last = types().ModelResponseStream(**head, choices=[], usage=types().Usage(**USAGE))
    for chunk in (first, last):
        chunk._hidden_params = {"custom_llm_provider": "anthropic"}
    return [first, last] if whole else [first]


@quiet()
def embedding() -> Any:
    """A vector."""
    usage = types().Usage(prompt_tokens=64, completion_tokens=0, total_tokens=64)
    data = [{"object": "embedding", "index": 0, "embedding": [0.1]}]
    made = types().EmbeddingResponse(model="text-embedding-3-small", usage=usage, data=data)
    made._hidden_params = {"custom_llm_provider": "openai", "response_cost": 0.00000128}
    return made


VECTOR = {"service": "openai", "operation": "embeddings", "actual_cost": 1_280}
WRITTEN = {"cached_tokens": 600, "cache_creation_tokens": 150}
WRITTEN_COUNTS = {"tokens_cached": 600, "tokens_cache_write": 150, "tokens_cache_write_1h": 50}

CELLS = [
    COMPLETION.cell("normal", completion, COUNTS, STATED),
    COMPLETION.cell("streamed", chunks, COUNTS, ID | {"incomplete": None}),
    COMPLETION.cell("cut", lambda: chunks(whole=False), {"tokens_output": 4}, ID),
    COMPLETION.cell("async", chunks, COUNTS, ID | {"incomplete": None}),
    COMPLETION.cell(
        "cached",
        lambda: completion(
            prompt_tokens_details=WRITTEN
            | {"cache_creation_token_details": {"ephemeral_1h_input_tokens": 50}}
        ),
        COUNTS | WRITTEN_COUNTS,
        STATED,
    ),
    COMPLETION.cell(
        "reasoning",
        lambda: completion(completion_tokens_details={"reasoning_tokens": 150}),
        COUNTS | {"tokens_reasoning": 150},
        STATED,
    ),
    EMBEDDING.cell("normal", embedding, {"tokens_input": 64}, VECTOR),
    EMBEDDING.cell("async", embedding, {"tokens_input": 64}, VECTOR),
]
NONE = [
    *COMPLETION.none("it hands on the output files of the providers", "batch"),
    *EMBEDDING.none("vectors come at once", "streamed", "cut"),
    *EMBEDDING.none("the usage has input alone", "cached", "reasoning"),
    *EMBEDDING.none("it hands on the output files of the providers", "batch"),
]
