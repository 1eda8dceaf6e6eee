"""Helicone's requests, as its API and its export tool write them: JSON, JSON Lines or CSV.

Fields as its API documents them (https://docs.helicone.ai/rest/request/post-v1requestquery-clickhouse,
November 2026). Cached tokens are included in ``prompt_tokens`` or not, which the total shows. An answer from
its own cache names the request that it repeats: nothing was sent. Bodies are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from ..foreign import decimal_of, leftover, nested, utc_text
from ..rows import ForeignRow, Item, NotUnderstood
from . import FileSample, Import

_MARKS: Final = frozenset({"request_id", "request_created_at", "response_status"})
_USED: Final = frozenset(
    {
        *(
            "request_id",
            "response_id",
            "request_created_at",
            "response_created_at",
            "response_status",
            "model",
        ),
        *("response_model", "request_model", "model_override", "provider", "prompt_tokens", "total_tokens"),
        *("completion_tokens", "prompt_cache_read_tokens", "prompt_cache_write_tokens", "cost", "costUSD"),
        *("prompt_audio_tokens", "completion_audio_tokens", "request_user_id", "cache_reference_id"),
        *(
            "request_body",
            "response_body",
            "request_properties",
            "properties",
            "llmSchema",
            "signed_body_url",
        ),
    }
)
_NO_REQUEST: Final = "00000000-0000-0000-0000-000000000000"


def _recognises(sample: FileSample) -> bool:
    return frozenset(sample.row) >= _MARKS or sample.header >= _MARKS


def item_of(where: str, row: Mapping[str, Any]) -> Item:
    """Return a request as a row with our names."""
    try:
        counts = _counts(row)
    except ValueError as error:
        return NotUnderstood(where, str(error))
    cached = str(row.get("cache_reference_id") or _NO_REQUEST) != _NO_REQUEST
    metadata: dict[str, object] = {"status": row.get("response_status")} if _has_failed(row) else {}
    if cached:
        metadata |= {"answered_from": "cache"} | {
            f"cached_{name}": count for name, count in counts.items() if count
        }
    properties = nested(row.get("request_properties")) or nested(row.get("properties"))
    return ForeignRow(
        where,
        {
            "id": row.get("request_id"),
            "timestamp": utc_text(row.get("request_created_at")),
            "service": str(row.get("provider") or "").lower(),
            "model": next((row[name] for name in _MODELS if row.get(name)), None),
            "cost": 0 if cached else row.get("costUSD") or row.get("cost"),
            "user": row.get("request_user_id"),
            "job": properties.get("Helicone-Session-Id"),
            "metadata": metadata,
            **({} if cached else counts),
            **leftover(row, _USED),
        },
        id_values={"id": row.get("request_id"), "at": row.get("request_created_at")},
    )


_MODELS: Final = ("response_model", "model", "model_override", "request_model")


def _has_failed(row: Mapping[str, Any]) -> bool:
    return str(row.get("response_status") or "200")[:1] != "2"


def _counts(row: Mapping[str, Any]) -> dict[str, int]:
    def count(name: str) -> int:
        return int(decimal_of(row.get(name)) or Decimal(0))

    cache_read, cache_written = count("prompt_cache_read_tokens"), count("prompt_cache_write_tokens")
    prompt, completion = count("prompt_tokens"), count("completion_tokens")
    is_additional = (
        count("total_tokens") == prompt + completion + cache_read + cache_written
        or cache_read + cache_written > prompt
    )
    return {
        "tokens_input": prompt + (cache_read + cache_written if is_additional else 0),
        "tokens_output": completion,
        "tokens_cached": cache_read,
        "tokens_cache_write": cache_written,
        "tokens_audio_input": count("prompt_audio_tokens"),
        "tokens_audio_output": count("completion_audio_tokens"),
    }


IMPORT: Final = Import(
    "helicone",
    "Helicone's requests, as CSV or JSON.",
    _recognises,
    lambda path: FileSample(path).items(item_of, "data"),
)
