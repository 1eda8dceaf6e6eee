"""Anthropic's usage and cost reports: pages of its Admin API, and its Console's CSVs.

As documented in November 2026. Input tokens do not include cached and cache-written ones, so they are added
up here. The cost report's ``amount`` is a text in *cents* ("123.45" is $1.2345), which other tools read as
dollars (langwatch#6977, claude-code#51198). The Console's cost CSV is in dollars, rounded to cents in each
row, with display names of models. The usage report has no number of requests. Days are UTC.
"""

from __future__ import annotations

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

_ONE_DAY: Final = timedelta(days=1)


def _is_usage(sample: FileSample) -> bool:
    result = first_result(sample, "starting_at")
    if result is not None:
        return not result.keys().isdisjoint({"uncached_input_tokens", "input_tokens"})
    return sample.header >= {"usage_date_utc", "usage_output_tokens"}


def _is_costs(sample: FileSample) -> bool:
    result = first_result(sample, "starting_at")
    if result is not None:
        return "amount" in result or not result
    return sample.header >= {"usage_date_utc", "cost_usd"}


def _is_claude_code(sample: FileSample) -> bool:
    return {"model_breakdown", "date"} <= sample.row.keys()


ToLine = Callable[[Statement, str, BucketResult], BillLine | None]


def _reader(
    page_line: ToLine, console_line: ToLine
) -> Callable[[Path, Statement], Iterator[BillLine | NotUnderstood]]:
    """Return a reader for both pages of the API and the Console's CSV."""

    def read(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
        is_page = FileSample(path).is_json
        rows: Iterator[Any] = (
            results_of(path, statement, "starting_at", "ending_at")
            if is_page
            else _console_rows(path, statement)
        )
        return understood(rows, partial(page_line if is_page else console_line, statement))

    return read


def _usage_line(statement: Statement, where: str, result: BucketResult) -> BillLine | None:
    fields = result.values
    cache_written, cache_read = _cache_written(fields), count_of(fields.get("cache_read_input_tokens"))
    counts = (
        count_of(_uncached(fields)) + cache_read + cache_written,
        count_of(fields.get("output_tokens")),
        cache_read,
        cache_written,
    )
    if not any(counts):
        return None
    statement.has_tiers |= fields.get("service_tier") is not None
    return BillLine(
        where,
        "anthropic",
        result.at,
        fields.get("model"),
        tier=_tier(fields),
        key=fields.get("api_key_id") or fields.get("workspace_id"),
        counts=counts,
    )


def _uncached(fields: Mapping[str, Any]) -> Any:
    """Return the input tokens without the cache, under their current or their former name."""
    return fields["uncached_input_tokens" if "uncached_input_tokens" in fields else "input_tokens"]


def _cache_written(fields: Mapping[str, Any]) -> int:
    """Return the tokens written to the cache: the sum over lifetimes, or the single count of older reports.

    >>> _cache_written({"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}})
    7
    >>> _cache_written({"cache_creation_5m_input_tokens": 3})
    3
    >>> _cache_written({"cache_creation_input_tokens": "5"})
    5
    """
    created = nested(fields.get("cache_creation"))
    names = [(created, f"ephemeral_{ttl}_input_tokens") for ttl in ("5m", "1h")]
    names += [(fields, f"cache_creation_{ttl}_input_tokens") for ttl in ("5m", "1h")]
    by_ttl = [count_of(row[name]) for row, name in names if name in row]
    return sum(by_ttl) if by_ttl else count_of(fields.get("cache_creation_input_tokens"))


def _tier(fields: Mapping[str, Any], name: str = "service_tier") -> str | None:
    """Return the tier in the field ``name`` of a line; fast mode, which costs more, is in ``speed``.

    The Console calls the standard tier ``standard`` in its usage and ``message`` in its costs.

    >>> _tier({"service_tier": "standard", "speed": "fast"}), _tier({"service_tier": "batch"}), _tier({})
    ('fast', 'batch', None)
    >>> _tier({"usage_type": "message"}, "usage_type"), _tier({"usage_type": "message_batch"}, "usage_type")
    (None, 'batch')
    """
    text = str(fields.get(name) or "").lower()
    if "batch" in text:
        return "batch"
    if text not in {"", "standard", "default", "message", "messages"}:
        return text
    return "fast" if str(fields.get("speed") or "").lower() == "fast" else None


def _console_rows(path: Path, statement: Statement) -> Iterator[tuple[str, Any] | NotUnderstood]:
    for item in csv_rows(path):
        if isinstance(item, NotUnderstood):
            yield item
            continue
        number, row = item
        try:
            at = instant(row["usage_date_utc"])
        except (KeyError, ValueError) as error:
            yield NotUnderstood(f"line {number}", f"usage_date_utc {error}")
            continue
        statement.cover(at, at + _ONE_DAY)
        yield f"line {number}", BucketResult(at, row)


def _console_usage(statement: Statement, where: str, result: BucketResult) -> BillLine | None:
    fields = result.values
    cache_read = count_of(fields.get("usage_input_tokens_cache_read"))
    names = [name for name in fields if name.startswith("usage_input_tokens_cache_write")]
    cache_written = sum(count_of(fields[name]) for name in names)
    counts = (
        count_of(fields["usage_input_tokens_no_cache"]) + cache_read + cache_written,
        count_of(fields["usage_output_tokens"]),
        cache_read,
        cache_written,
    )
    statement.has_tiers = True
    return BillLine(
        where,
        "anthropic",
        result.at,
        fields.get("model_version") or None,
        tier=_tier(fields, "usage_type"),
        key=fields.get("api_key") or None,
        counts=counts,
    )


_CENTS: Final = Decimal("0.01")


def _cost_line(statement: Statement, where: str, result: BucketResult) -> BillLine | None:
    fields = result.values
    amount = decimal_of(fields["amount"])
    if amount is None:
        return None
    statement.currency = str(fields.get("currency") or "USD").upper()
    statement.has_tiers |= fields.get("service_tier") is not None
    return _cost(where, result, fields.get("model"), "service_tier", amount * _CENTS)


def _console_cost(statement: Statement, where: str, result: BucketResult) -> BillLine | None:
    fields = result.values
    amount, statement.unit = decimal_of(fields["cost_usd"]), _CENTS
    if amount is None:
        return None
    statement.has_tiers = True
    return _cost(where, result, fields.get("model"), "usage_type", amount)


def _cost(where: str, result: BucketResult, model: Any, tier: str, amount: Decimal) -> BillLine:
    fields: Mapping[str, Any] = result.values
    kind = str(fields.get("cost_type") or "tokens").lower()
    category: Category = "model" if kind in {"tokens", "token", "usage"} else "tool"
    if amount < 0 or "credit" in kind:
        category = "credit"
    key = fields.get("api_key") or fields.get("workspace_id") or fields.get("workspace")
    label = str(fields.get("description") or fields.get("token_type") or kind)
    model_name = model if category == "model" else None
    return BillLine(
        where,
        "anthropic",
        result.at,
        model_name or None,
        category,
        _tier(fields, tier),
        key or None,
        amount=amount,
        label=label,
        kind=_kind(str(fields.get("token_type") or "")),
    )


def _kind(token_type: str) -> int | None:
    """Return the index in ``TOKENS`` of a line's type of token.

    >>> [_kind(name) for name in ("uncached_input_tokens", "output_tokens", "cache_read_input_tokens", "")]
    [0, 1, 2, None]
    """
    text = token_type.lower()
    marks = (("output", 1), ("read", 2), ("creation", 3), ("write", 3), ("input", 0))
    return next((index for mark, index in marks if mark in text), None)


def _read_claude_code(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
    from ..files import json_rows

    def flat() -> Iterator[tuple[str, Any]]:
        for where, row in json_rows(path, "data"):
            for number, part in enumerate(row.get("model_breakdown") or (), start=1):
                yield f"{where}.model_breakdown[{number}]", (row, part)

    yield from understood(flat(), partial(_claude_code_line, statement))


def _claude_code_line(
    statement: Statement, where: str, row_and_part: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> BillLine:
    row, part = row_and_part
    at, tokens, cost = instant(row["date"]), nested(part["tokens"]), nested(part.get("estimated_cost"))
    statement.cover(at, at + _ONE_DAY)
    cache_read, cache_written = count_of(tokens.get("cache_read")), count_of(tokens.get("cache_creation"))
    amount = decimal_of(cost.get("amount"))
    return BillLine(
        where,
        "anthropic",
        at,
        part["model"],
        key=str(nested(row.get("actor")).get("email_address") or "") or None,
        counts=(
            count_of(tokens.get("input")) + cache_read + cache_written,
            count_of(tokens.get("output")),
            cache_read,
            cache_written,
        ),
        amount=None if amount is None else amount * _CENTS,
    )


BILLS: Final = (
    BillFormat(
        "anthropic-usage",
        "Anthropic's usage report, from its API or its Console.",
        _is_usage,
        _reader(_usage_line, _console_usage),
        "anthropic",
        lateness=timedelta(minutes=5),
    ),
    BillFormat(
        "anthropic-costs",
        "Anthropic's cost report, from its API (cents) or its Console (dollars).",
        _is_costs,
        _reader(_cost_line, _console_cost),
        "anthropic",
        lateness=timedelta(hours=24),
    ),
    BillFormat(
        "anthropic-claude-code",
        "Anthropic's report of Claude Code's usage by day.",
        _is_claude_code,
        _read_claude_code,
        "anthropic",
        lateness=timedelta(hours=1),
        estimates=True,
    ),
)
