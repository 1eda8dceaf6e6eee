"""OpenRouter's activity and LiteLLM's spend logs as bills: their rows are single calls with ids.

OpenRouter's ids were seen to be other ones than the responses' (November 2026), a second apart with equal
tokens; what is inferred under own keys is not in its ``cost_total``. LiteLLM's ``spend`` is its own estimate,
with the margin that was set there; its rows of answers from its own cache are no calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import msgspec

from ...pricing.names import normalize_service
from ..files import csv_records, json_rows
from ..foreign import field_name, nested
from ..imports import Sample, litellm, openrouter
from ..rows import NotUnderstood
from ..sqldump import rows_of_table
from . import BillFormat, BillLine, Statement, count_of, instant, understood

_ONE_DAY: Final = timedelta(days=1)


def _is_litellm(sample: Sample) -> bool:
    return litellm.IMPORT.recognises(sample)


def _is_openrouter(sample: Sample) -> bool:
    return openrouter.IMPORT.recognises(sample)


def _litellm(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
    sample = Sample(path)
    if litellm.is_dump(sample):
        yield from understood(rows_of_table(path, litellm.TABLE), _litellm_line)
    elif sample.text.lstrip()[:1] in ("{", "["):
        yield from understood(json_rows(path, "data"), _litellm_line)
    else:
        yield from _litellm_csv(path)
    statement.has_tiers = False


def _litellm_line(where: str, row: Mapping[str, Any]) -> BillLine | None:
    return _call(where, [row.get(name) for name in _COLUMNS])


_COLUMNS: Final = (
    "request_id",
    "startTime",
    "model",
    "custom_llm_provider",
    "prompt_tokens",
    "completion_tokens",
    "spend",
    "cache_hit",
    "metadata",
)


def _litellm_csv(path: Path) -> Iterator[BillLine | NotUnderstood]:
    """Yield the lines of a CSV, by the places of its columns: there may be millions."""
    header, records = csv_records(path)
    # A column that is not there is read from beyond the record, where there is nothing.
    chosen = itemgetter(*(header.index(name) if name in header else -1 for name in _COLUMNS))
    for found in records:
        if isinstance(found, NotUnderstood):
            yield found
            continue
        number, record = found
        record.append("")
        try:
            line = _call(f"line {number}", chosen(record))
        except (ValueError, ArithmeticError) as error:
            yield NotUnderstood(f"line {number}", str(error))
        else:
            if line is not None:
                yield line


def _call(where: str, cells: Sequence[Any]) -> BillLine | None:
    """Return a row as a call, from the cells under :data:`_COLUMNS`."""
    request_id, start, model, provider, prompt, completion, spend, cache_hit, metadata = cells
    amount = Decimal(spend if isinstance(spend, str) and spend else str(spend or 0))
    if not amount and (str(cache_hit).lower() == "true" or "_cache_hit" in str(request_id)):
        return None
    service, name = str(provider or ""), str(model or "")
    if service and name.startswith(f"{service}/"):
        name = name[len(service) + 1 :]
    return BillLine(
        where,
        _service(service) if service else "",
        _utc(start if isinstance(start, str) else str(start)),
        name or None,
        "model",
        None,
        None,
        str(request_id) or None,
        (int(prompt or 0), int(completion or 0), _cached(metadata), -1),
        1,
        amount or None,
    )


_service: Final = cache(normalize_service)


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens_details: _Details | None = None
    cache_read_input_tokens: int | None = None


class _Metadata(msgspec.Struct, gc=False):
    """What is read of a row's metadata: how many of its tokens came from the provider's cache."""

    usage_object: _Usage | None = None


_decode: Final = msgspec.json.Decoder(_Metadata).decode


def _cached(metadata: Any) -> int:
    if metadata == "{}":
        return -1
    if not isinstance(metadata, str) and isinstance(metadata, Mapping):
        usage = nested(metadata.get("usage_object"))
        details = nested(usage.get("prompt_tokens_details"))
        stated = details.get("cached_tokens", usage.get("cache_read_input_tokens"))
        return int(stated) if stated is not None else -1
    if not metadata or "cache" not in metadata:
        return -1
    try:
        usage_ = _decode(metadata).usage_object
    except msgspec.MsgspecError:
        return -1
    if usage_ is None:
        return -1
    known = usage_.prompt_tokens_details.cached_tokens if usage_.prompt_tokens_details else None
    known = usage_.cache_read_input_tokens if known is None else known
    return -1 if known is None else known


def _utc(text: str) -> datetime:
    # Several times quicker than `instant`, for the two ways in which it is usually written.
    if len(text) == _BARE:
        return datetime.fromisoformat(f"{text}+00:00")
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


_BARE: Final = len("2026-11-22 09:30:00.123456")


def _openrouter(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
    if Sample(path).text.lstrip()[:1] in ("{", "["):
        yield from understood(json_rows(path, "data"), _day(statement))
        return
    header, records = csv_records(path)
    names = [field_name(name) for name in header]
    rows: Iterator[Any] = (
        found
        if isinstance(found, NotUnderstood)
        else (f"line {found[0]}", dict(zip(names, found[1], strict=True)))
        for found in records
    )
    yield from understood(rows, _generation if "generation_id" in names else _day(statement))


def _generation(where: str, row: Mapping[str, Any]) -> BillLine:
    cost = openrouter.cost_of(row)
    return BillLine(
        where,
        "openrouter",
        instant(row["created_at"]),
        row.get("model_permaslug"),
        response_id=row["generation_id"],
        counts=(
            count_of(row.get("tokens_prompt")),
            count_of(row.get("tokens_completion")),
            count_of(row.get("tokens_cached")) if "tokens_cached" in row else -1,
            -1,
        ),
        requests=1,
        amount=cost,
    )


def _day(statement: Statement) -> Callable[[str, Mapping[str, Any]], BillLine]:
    def line(where: str, row: Mapping[str, Any]) -> BillLine:
        named = {field_name(name): value for name, value in row.items()}
        at = instant(str(named["date"])[:10])
        statement.cover(at, at + _ONE_DAY)
        known = named.get("prompt_tokens") not in (None, "")
        counts = (count_of(named.get("prompt_tokens")), count_of(named.get("completion_tokens")), -1, -1)
        return BillLine(
            where,
            "openrouter",
            at,
            named.get("model_permaslug") or named.get("slug") or named.get("model"),
            counts=counts if known else None,
            requests=count_of(named.get("requests")),
            amount=openrouter.cost_of(named),
        )

    return line


BILLS: Final = (
    BillFormat(
        "litellm",
        "LiteLLM's spend logs as CSV, JSON or a dump of its database.",
        _is_litellm,
        _litellm,
        by_id=True,
        estimates=True,
        lateness=timedelta(minutes=5),
    ),
    BillFormat(
        "openrouter",
        "OpenRouter's activity, by call or by day, as CSV or JSON.",
        _is_openrouter,
        _openrouter,
        by_id=True,
        loose_ids=True,
        lateness=timedelta(hours=1),
    ),
)
