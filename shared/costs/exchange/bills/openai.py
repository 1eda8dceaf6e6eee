"""OpenAI's usage and costs: pages of its API, and its dashboard's CSVs.

``/organization/usage/*`` and ``/organization/costs`` as in openai 3.57.0; days are UTC. ``input_tokens``
include cached and cache-written ones. ``amount.value`` is a number or a text of up to 36 decimals
(``0E-6176`` occurs). Batches are on the day on which they completed. Empty buckets of a CSV have only their
times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..delimited import csv_rows
from ..foreign import decimal_of, nested
from ..imports import FileSample
from ..rows import NotUnderstood
from . import BillFormat, BillLine, Category, Statement, count_of, instant, understood
from ._pages import BucketResult, first_result, results_of

_USAGE_MARKS: Final = (
    "input_tokens",
    "num_model_requests",
    "num_sessions",
    "usage_bytes",
    "images",
    "seconds",
)


def _is_usage(sample: FileSample) -> bool:
    result = first_result(sample, "start_time")
    if result is not None:
        return "usage" in str(result.get("object")) or any(mark in result for mark in _USAGE_MARKS)
    return {"start_time", "end_time"} <= sample.header and not sample.header.isdisjoint(_USAGE_MARKS)


def _is_costs(sample: FileSample) -> bool:
    result = first_result(sample, "start_time")
    if result is not None:
        return "costs" in str(result.get("object")) or "amount" in result or not result
    return sample.header >= {"start_time", "end_time", "amount_value", "line_item"}


def _rows(path: Path, statement: Statement) -> Iterator[tuple[str, Any] | NotUnderstood]:
    if FileSample(path).is_json:
        yield from results_of(path, statement, "start_time", "end_time")
        return
    for item in csv_rows(path):
        if isinstance(item, NotUnderstood):
            yield item
            continue
        number, row = item
        try:
            start, end = instant(row["start_time"]), instant(row["end_time"])
        except (KeyError, ValueError) as error:
            yield NotUnderstood(f"line {number}", f"has no bucket: {error}")
            continue
        statement.cover(start, end)
        if any(value for name, value in row.items() if not name.startswith(("start_time", "end_time"))):
            yield f"line {number}", BucketResult(start, row)


def _reader(
    to_line: Callable[[Statement, str, BucketResult], BillLine | None],
) -> Callable[[Path, Statement], Iterator[BillLine | NotUnderstood]]:
    return lambda path, statement: understood(_rows(path, statement), partial(to_line, statement))


def _usage_line(statement: Statement, where: str, result: BucketResult) -> BillLine | None:
    fields = result.values
    if not any(fields.get(name) for name in (*_USAGE_MARKS, "output_tokens", "characters")):
        return None
    kind = str(fields.get("object") or "")
    tier = _tier(fields)
    statement.has_tiers |= (
        tier is not None or _is_set(fields.get("batch")) or _is_set(fields.get("service_tier"))
    )
    category, label = _category(kind, fields)
    return BillLine(
        where,
        "openai",
        result.at,
        fields.get("model") or None,
        category,
        tier,
        fields.get("api_key_id") or fields.get("project_id") or None,
        counts=(
            count_of(fields.get("input_tokens")),
            count_of(fields.get("output_tokens")),
            count_of(fields.get("input_cached_tokens")),
            count_of(fields.get("input_cache_write_tokens")),
        ),
        requests=count_of(fields.get("num_model_requests")) or None,
        label=label,
    )


def _category(kind: str, fields: Mapping[str, Any]) -> tuple[Category, str]:
    if "vector_stores" in kind or fields.get("usage_bytes"):
        return "storage", "vector stores"
    if "code_interpreter" in kind or fields.get("num_sessions"):
        return "tool", "code interpreter"
    return "model", kind.removeprefix("organization.usage.").removesuffix(".result")


def _is_set(value: object) -> bool:
    return value not in (None, "")


def _tier(fields: Mapping[str, Any]) -> str | None:
    if str(fields.get("batch")).lower() == "true":
        return "batch"
    tier = str(fields.get("service_tier") or "").lower()
    return tier if tier not in {"", "default", "auto", "standard"} else None


_TIERS: Final = re.compile(r"(?:(priority|flex|batch)(?: api)?\s*\|\s*)?(.*)", re.IGNORECASE)
_TOOLS: Final = ("tool call", "web search", "file search", "code interpreter", "container", "storage")
_COUNT_INDEXES: Final[Mapping[str, tuple[int, ...]]] = {
    "input": (0,),
    "output": (1,),
    "cached input": (0, 2),
    "cache writes": (0, 3),
}
"""The counts that a line's quantity belongs to: cached input is also input."""


def _cost_line(statement: Statement, where: str, result: BucketResult) -> BillLine | None:
    fields = result.values
    amount = nested(fields.get("amount"))
    value = decimal_of(amount.get("value", fields.get("amount_value")))
    if value is None:
        return None
    currency = str(amount.get("currency") or fields.get("amount_currency") or "usd").upper()
    statement.currency = currency
    item = str(fields.get("line_item") or "")
    match = _TIERS.fullmatch(item)
    tier, rest = (match[1], match[2]) if match else (None, item)
    statement.has_tiers |= bool(item)
    model, comma, kind = rest.partition(", ")
    is_tool = not comma or any(word in item.lower() for word in _TOOLS)
    category: Category = "model" if not is_tool or not item else "tool"
    if item and ("credit" in item.lower() or value < 0):
        category = "credit"
    kind = kind.removesuffix(", long context")
    counts = _counts(kind, fields) if category == "model" and comma else None
    return BillLine(
        where,
        "openai",
        result.at,
        model if category == "model" and item else None,
        category,
        tier.lower() if tier else None,
        fields.get("project_id") or None,
        counts=counts,
        amount=value,
        label=item,
        kind=_COUNT_INDEXES[kind][-1] if kind in _COUNT_INDEXES else None,
    )


def _counts(kind: str, fields: Mapping[str, Any]) -> tuple[int, int, int, int] | None:
    quantity = fields.get("quantity")
    unit = str(fields.get("quantity_unit") or "tokens").lower()
    indexes = _COUNT_INDEXES.get(kind)
    if quantity in (None, "") or indexes is None or "token" not in unit:
        return None
    counts = [0, 0, 0, 0]
    for index in indexes:
        counts[index] = count_of(quantity)
    return counts[0], counts[1], counts[2], counts[3]


BILLS: Final = (
    BillFormat(
        "openai-usage",
        "OpenAI's usage, from its API or its dashboard.",
        _is_usage,
        _reader(_usage_line),
        "openai",
        lateness=timedelta(hours=1),
    ),
    BillFormat(
        "openai-costs",
        "OpenAI's costs, from its API or its dashboard.",
        _is_costs,
        _reader(_cost_line),
        "openai",
        unit=Decimal(0),
        lateness=timedelta(hours=24),
    ),
)
