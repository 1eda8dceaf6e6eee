"""Results of batches: OpenAI's output files and batch objects, Anthropic's results. Each line is one call.

OpenAI's line has the response's id in ``response.body.id``; its ``request_id`` is that of the header. A batch
object sums its lines (``usage``, since 2025-09-07). Neither states amounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ..files import json_rows
from ..foreign import nested
from ..imports import FileSample
from ..rows import NotUnderstood
from . import BillFormat, BillLine, Counts, Statement, count_of, instant, understood

_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Anthropic's results have no time: they are matched only by their ids."""


def _is_openai(sample: FileSample) -> bool:
    row = sample.row
    return {"custom_id", "response"} <= row.keys() or row.get("object") == "batch"


def _is_anthropic(sample: FileSample) -> bool:
    return {"custom_id", "result"} <= sample.row.keys()


def _read_openai(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
    statement.has_tiers = True
    yield from understood(json_rows(path, "data"), _openai_line)


def _openai_line(where: str, row: Mapping[str, Any]) -> BillLine | None:
    if row.get("object") == "batch":
        usage, at = nested(row.get("usage")), row.get("completed_at") or row.get("created_at")
        body: Mapping[str, Any] = {"model": row.get("model")}
    else:
        body = nested(nested(row.get("response")).get("body"))
        usage, at = nested(body.get("usage")), body.get("created") or body.get("created_at")
    if not usage:
        return None  # an error or an expired request: nothing is billed
    return BillLine(
        where,
        "openai",
        instant(at) if at else _NO_TIME,
        body.get("model"),
        tier="batch",
        response_id=body.get("id"),
        counts=_openai_counts(usage),
        requests=1,
    )


def _openai_counts(usage: Mapping[str, Any]) -> Counts:
    details = nested(usage.get("prompt_tokens_details")) or nested(usage.get("input_tokens_details"))
    return (
        count_of(usage.get("prompt_tokens", usage.get("input_tokens"))),
        count_of(usage.get("completion_tokens", usage.get("output_tokens"))),
        count_of(details.get("cached_tokens")),
        count_of(details.get("cache_write_tokens")),
    )


def _read_anthropic(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
    statement.has_tiers = True
    yield from understood(json_rows(path), _anthropic_line)


def _anthropic_line(where: str, row: Mapping[str, Any]) -> BillLine | None:
    result = nested(row["result"])
    if result.get("type") != "succeeded":
        return None
    message = nested(result["message"])
    usage = nested(message["usage"])
    cache_read, cache_written = (
        count_of(usage.get(f"cache_{kind}_input_tokens")) for kind in ("read", "creation")
    )
    counts = (
        count_of(usage["input_tokens"]) + cache_read + cache_written,
        count_of(usage["output_tokens"]),
        cache_read,
        cache_written,
    )
    return BillLine(
        where,
        "anthropic",
        _NO_TIME,
        message.get("model"),
        tier="batch",
        response_id=message["id"],
        counts=counts,
        requests=1,
    )


BILLS: Final = (
    BillFormat(
        "openai-batch",
        "A batch's output file of OpenAI, or the batch object.",
        _is_openai,
        _read_openai,
        by_id=True,
        in_part=True,
        lateness=timedelta(0),
    ),
    BillFormat(
        "anthropic-batch",
        "A batch's results of Anthropic.",
        _is_anthropic,
        _read_anthropic,
        by_id=True,
        in_part=True,
        lateness=timedelta(0),
    ),
)
