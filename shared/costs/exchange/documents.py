"""The rows of JSON documents that other tools keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .files import document_of, is_lines, json_lines, listed
from .rows import CannotRead, Foreign, Item, NotUnderstood

_OF_ALL: Final = ("user_id", "user", "job_id", "service", "provider", "currency", "project", "workflow")
"""What a document may say once for all of its rows."""


def rows_of(path: Path, key: str) -> Iterator[Item]:
    """Yield the rows of the list ``key`` of a document, of an array, or of JSON Lines, numbered from 1.

    Raises:
        CannotRead: the file is no JSON, or an object without such a list.

    """
    common: dict[str, object] = {}
    if is_lines(path, (key,)):
        rows = json_lines(path)
    else:
        document = document_of(path)
        if isinstance(document, Mapping):
            if not isinstance(document.get(key), list):
                raise CannotRead(f"{path}: has no list {key!r}")
            common = {name: document[name] for name in _OF_ALL if isinstance(document.get(name), (str, int))}
        rows = listed(path, document, (key,))
    for where, row in rows:
        if isinstance(row, Mapping):
            yield Foreign(where, common | flat(row))
        elif isinstance(row, NotUnderstood):
            yield row
        else:
            yield NotUnderstood(where, f"is no object: {str(row)[:80]}")


def flat(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row with the members of its usage beside its own, as providers and trackers nest them.

    >>> flat({"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4, "text_tokens": 5}}})
    {'prompt_tokens': 9, 'cached_tokens': 4, 'prompt_tokens_details.text_tokens': 5}
    >>> flat({"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}})
    {'prompt_tokens': 9, 'completion_tokens': 5, 'reasoning_tokens': 3, 'cached_tokens': 0}
    """
    found: dict[str, object] = {}
    for name, value in row.items():
        if not isinstance(value, Mapping):
            found[name] = value
        elif name in _USAGES:
            found |= flat(value)
        elif name in _OF_GEMINI:
            found |= _gemini(value)
        elif name == "tokens":
            found |= {f"tokens_{kind}": count for kind, count in value.items()}
        elif name in _DETAILS:
            names = _DETAILS[name]
            found |= {names.get(kind, f"{name}.{kind}"): count for kind, count in value.items() if count}
        else:
            found[name] = value
    return found


def _gemini(usage: Mapping[str, Any]) -> dict[str, object]:
    """Return Gemini's counts under names of ours; its thoughts and its tools' input stand beside the rest."""
    told = {name.replace("_", "").lower(): count or 0 for name, count in usage.items()}
    thoughts = told.get("thoughtstokencount", 0)
    return {
        "prompt_tokens": told.get("prompttokencount", 0) + told.get("tooluseprompttokencount", 0),
        "completion_tokens": told.get("candidatestokencount", 0) + thoughts,
        "reasoning_tokens": thoughts,
        "cached_tokens": told.get("cachedcontenttokencount", 0),
    }


_OF_GEMINI: Final = ("usageMetadata", "usage_metadata")
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
"""What stands within usages of OpenAI and Anthropic, under names by which it is known."""
