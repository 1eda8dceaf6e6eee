"""The rows of JSON documents that other tools write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ..capture.adapters.gemini import generate_counts
from ..capture.adapters.langchain import usage_counts
from ..capture.fields import Fields, UnreadableCount
from .files import documents_of, is_lines, json_lines, listed
from .rows import CannotRead, ForeignRow, Item, NotUnderstood

_COMMON_FIELDS: Final = (
    "user_id",
    "user",
    "job_id",
    "service",
    "provider",
    "currency",
    "project",
    "workflow",
)
"""Fields that a document may have once for all of its rows."""


LISTS: Final = ("data", "rows", "results", "observations", "requests")
"""The keys under which documents of any tool list their rows."""


def rows_of(path: Path, key: str) -> Iterator[Item]:
    """Yield the rows of the list ``key`` of a document, else of one of :data:`LISTS`, of an array, or of JSON
    Lines, numbered from 1.

    Raises:
        CannotRead: the file is not JSON, or an object without such a list.

    """
    for common, where, row in _listed_rows(path, key):
        if isinstance(row, Mapping):
            yield ForeignRow(where, common | flat(row), id_values=common | _id_values(row))
        elif isinstance(row, NotUnderstood):
            yield row
        else:
            yield NotUnderstood(where, f"is not an object: {str(row)[:80]}")


def _listed_rows(path: Path, key: str) -> Iterator[tuple[dict[str, object], str, Any]]:
    """Yield each row with the fields that its document has for all rows, and its position."""
    keys = (key, *LISTS)
    if is_lines(path, keys):
        yield from (({}, *row) for row in json_lines(path))
        return
    for line, document in documents_of(path):
        common: dict[str, object] = {}
        if isinstance(document, Mapping) and any(isinstance(document.get(name), list) for name in keys):
            common = {
                name: document[name] for name in _COMMON_FIELDS if isinstance(document.get(name), (str, int))
            }
        elif isinstance(document, Mapping) and not line:
            raise CannotRead(f"{path}: has no list {key!r}")
        yield from ((common, *row) for row in listed(path, document, keys, line))


def flat(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row with the fields of a nested usage lifted to the top, as providers and trackers nest them.

    >>> flat({"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4, "text_tokens": 5}}})
    {'prompt_tokens': 9, 'cached_tokens': 4, 'prompt_tokens_details.text_tokens': 5}
    >>> flat({"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}})
    {'tokens_input': 9, 'tokens_output': 5, 'tokens_reasoning': 3}
    """
    fields: dict[str, object] = {}
    for name, value in row.items():
        if not isinstance(value, Mapping):
            fields[name] = value
        elif name in _USAGES:
            fields |= flat(value)
        elif name in _METADATA:
            fields |= _counts(value)
        elif name == "tokens":
            fields |= {f"tokens_{kind}": count for kind, count in value.items()}
        elif name in _DETAILS:
            names = _DETAILS[name]
            fields |= {names.get(kind, f"{name}.{kind}"): count for kind, count in value.items() if count}
        else:
            fields[name] = value
    return fields


def _counts(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return the counts of Gemini or LangChain under our names; an unreadable one becomes the input."""
    is_gemini = any(str(name).replace("_", "").lower().endswith("tokencount") for name in metadata)
    read = generate_counts if is_gemini else usage_counts
    try:
        counts = read(Fields(metadata))
    except UnreadableCount as error:
        return {"tokens_input": str(error)}
    return {name: count for name, count in counts.items() if count or name in _ALWAYS}


def _id_values(row: Mapping[str, object]) -> dict[str, object]:
    """Return the values from which a row's id is made.

    They are those of earlier versions, which read less of its usage, so that the row keeps its id.
    """
    id_values: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and name in _USAGES:
            id_values |= value
        elif isinstance(value, Mapping) and name == "tokens":
            id_values |= {f"tokens_{kind}": count for kind, count in value.items()}
        else:
            id_values[name] = value
    return id_values


_ALWAYS: Final = frozenset({"tokens_input", "tokens_output"})
_METADATA: Final = ("usageMetadata", "usage_metadata")
_USAGES: Final = ("usage", "token_usage")
_INPUT: Final = {"cached_tokens": "cached_tokens", "audio_tokens": "tokens_audio_input"}
_OUTPUT: Final = {"reasoning_tokens": "reasoning_tokens", "audio_tokens": "tokens_audio_output"}
_DETAILS: Final[Mapping[str, Mapping[str, str]]] = {
    "prompt_tokens_details": _INPUT,
    "input_tokens_details": _INPUT,
    "completion_tokens_details": _OUTPUT,
    "output_tokens_details": _OUTPUT,
    "cache_creation": {"ephemeral_1h_input_tokens": "tokens_cache_write_1h"},
    "server_tool_use": {"web_search_requests": "web_searches"},
}
"""Nested fields in usages of OpenAI and Anthropic, with the names that the import knows."""
