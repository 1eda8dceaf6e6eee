"""OpenRouter's activity and LiteLLM's spend logs as bills: their rows are single calls with ids.

OpenRouter's ids were seen to differ from those of the responses (November 2026), with times a second apart
and equal tokens; inference with the user's own keys is not in its ``cost_total``. LiteLLM's ``spend`` is its
own estimate, with the margin configured there; its rows of answers from its own cache are not calls. An
amount below zero is a refund, not a call, whatever id it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from ...pricing.names import infer_service
from ..delimited import LocalNumber, Records, csv_batches
from ..files import json_rows
from ..foreign import MOST, decimal_of, field_name, nested
from ..imports import FileSample, litellm, openrouter
from ..rows import NotUnderstood
from ..sqldump import rows_of_table
from . import BillFormat, BillLine, CallColumns, Read, Statement, billed_by, count_of, instant, understood

_ONE_DAY: Final = timedelta(days=1)


def _is_litellm(sample: FileSample) -> bool:
    return litellm.IMPORT.recognises(sample)


def _is_openrouter(sample: FileSample) -> bool:
    return openrouter.IMPORT.recognises(sample)


def _read_litellm(path: Path, statement: Statement) -> Iterator[Read]:
    sample = FileSample(path)
    if litellm.is_dump(sample):
        yield from understood(rows_of_table(path, litellm.TABLE), _litellm_line)
    elif sample.is_json:
        yield from understood(json_rows(path, "data"), _litellm_line)
    else:
        yield from _litellm_csv(path)
    statement.has_tiers = False


def _litellm_line(where: str, row: Mapping[str, Any]) -> BillLine | None:
    row = {litellm.own_name(name): value for name, value in row.items()}
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


def _litellm_csv(path: Path) -> Iterator[Read]:
    """Yield the lines of a CSV, as columns if every record of a batch is an ordinary call."""
    header, batches = csv_batches(path)
    header = [*map(litellm.own_name, header)]
    # The index of a missing column is one beyond the record, where an empty cell is appended.
    indexes = [header.index(name) if name in header else len(header) for name in _COLUMNS]
    for batch in batches:
        if isinstance(batch, NotUnderstood):
            yield batch
        else:
            yield from _calls(batch, indexes)


_SPLIT_DOWN_TO: Final = 8
"""A batch with an unusual record is split in halves down to this size, then read record by record."""


def _calls(batch: Records, indexes: Sequence[int]) -> Iterator[Read]:
    columns, count = _columns(batch, indexes), len(batch.numbers)
    if columns is not None:
        yield columns
    elif count > _SPLIT_DOWN_TO:
        for part in (slice(count // 2), slice(count // 2, None)):
            yield from _calls(Records(batch.numbers[part], batch.records[part]), indexes)
    else:
        rows = ((f"line {number}", [*record, ""]) for number, record in zip(*batch, strict=True))
        yield from understood(rows, lambda where, cells: _call(where, [cells[index] for index in indexes]))


def _columns(batch: Records, indexes: Sequence[int]) -> CallColumns | None:
    """Return records as columns; ``None`` if one of them must be read by itself."""
    if isinstance(batch.records[0][0], LocalNumber):
        return None
    by_column = [*zip(*batch.records, strict=True), [""] * len(batch.numbers)]
    ids, starts, models, providers, prompts, completions, spends, _, metadata = (
        by_column[index] for index in indexes
    )
    named = set(zip(providers, models, strict=True))
    if not (all(ids) and all(spends) and all(provider and model for provider, model in named)):
        return None
    names = {pair: (billed_by(*pair), _model(*pair)) for pair in named}
    pairs = [names[pair] for pair in zip(providers, models, strict=True)]
    try:
        amounts = [*map(Decimal, spends)]
        inputs, outputs = [*map(int, prompts)], [*map(int, completions)]
        times = _times(starts)
    except (ValueError, ArithmeticError):
        return None
    if not (all(amounts) and all(map(Decimal.is_finite, amounts))):  # 0: perhaps from the proxy's own cache
        return None
    numbers: tuple[Decimal | int, ...] = (*amounts, *inputs, *outputs)
    if not 0 <= min(numbers) <= max(numbers) < MOST or max(times).year > _LAST_YEAR:
        return None
    services, bare = zip(*pairs, strict=True)
    cached = [*map(_cached, metadata)]
    return CallColumns(batch.numbers, services, times, bare, ids, inputs, outputs, cached, amounts)


def _call(where: str, cells: Sequence[Any]) -> BillLine | None:
    """Return a row as a call, from its cells in the order of :data:`_COLUMNS`."""
    request_id, start, model, provider, prompt, completion, spend, cache_hit, metadata = cells
    amount = decimal_of(spend) or Decimal(0)
    if not amount and (str(cache_hit).lower() == "true" or "_cache_hit" in str(request_id)):
        return None
    service, name = str(provider or ""), str(model or "")
    known, at = billed_by(service or infer_service(name) or "", name), instant(start)
    if amount < 0:
        return _refund(where, known, at, amount)
    return BillLine(
        where,
        known,
        at,
        _model(service, name) or None,
        "model",
        None,
        None,
        str(request_id) or None,
        (count_of(prompt), count_of(completion), _cached(metadata), -1),
        1,
        amount or None,
    )


def _refund(where: str, service: str, at: datetime, amount: Decimal) -> BillLine:
    return BillLine(where, service, at, category="credit", amount=amount, label="refund")


def _model(service: str, name: str) -> str:
    """Return a model's name without the prefix of its provider.

    >>> _model("openai", "openai/gpt-4o"), _model("openrouter", "openai/gpt-4o")
    ('gpt-4o', 'openai/gpt-4o')
    """
    return name.removeprefix(f"{service}/") if service else name


class _RouterTokenDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _RouterUsage(msgspec.Struct, gc=False):
    prompt_tokens_details: _RouterTokenDetails | None = None
    cache_read_input_tokens: int | None = None


class _RouterMetadata(msgspec.Struct, gc=False):
    """The part of a row's metadata that says how many of its tokens came from the provider's cache."""

    usage_object: _RouterUsage | None = None


_decode: Final = msgspec.json.Decoder(_RouterMetadata).decode


def _cached(metadata: Any) -> int:
    if metadata == "{}":
        return -1
    if not isinstance(metadata, str) and isinstance(metadata, Mapping):
        usage = nested(metadata.get("usage_object"))
        details = nested(usage.get("prompt_tokens_details"))
        cached = details.get("cached_tokens", usage.get("cache_read_input_tokens"))
        return int(cached) if cached is not None else -1
    if not metadata or "cache" not in metadata:
        return -1
    try:
        usage_object = _decode(metadata).usage_object
    except msgspec.MsgspecError:
        return -1
    if usage_object is None:
        return -1
    cached_tokens = (
        usage_object.prompt_tokens_details.cached_tokens if usage_object.prompt_tokens_details else None
    )
    cached_tokens = usage_object.cache_read_input_tokens if cached_tokens is None else cached_tokens
    return -1 if cached_tokens is None else cached_tokens


_LAST_YEAR: Final = 9998
"""The last year that is representable in every zone."""


def _times(texts: Sequence[str]) -> list[datetime]:
    # Several times faster than `instant` for the usual notation, which has no zone.
    with suppress(ValueError):  # a text that has a zone cannot have a second one
        times = [datetime.fromisoformat(f"{text}+00:00") for text in texts]
        if all(time.tzinfo for time in times):  # after a date without a time it is read as a time of day
            return times
    times = [*map(datetime.fromisoformat, texts)]
    return [time if time.tzinfo else time.replace(tzinfo=UTC) for time in times]


def _read_openrouter(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
    sample = FileSample(path)
    is_of_calls = "generation_id" in sample.header
    rows = sample.rows("data", named=field_name)
    return understood(rows, _generation_line if is_of_calls else _day_line(statement))


def _generation_line(where: str, row: Mapping[str, Any]) -> BillLine:
    cost, at = openrouter.cost_of(row), instant(row["created_at"])
    if cost is not None and cost < 0:
        return _refund(where, "openrouter", at, cost)
    return BillLine(
        where,
        "openrouter",
        at,
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


def _day_line(statement: Statement) -> Callable[[str, Mapping[str, Any]], BillLine]:
    def line(where: str, row: Mapping[str, Any]) -> BillLine:
        fields = {field_name(name): value for name, value in row.items()}
        at = instant(str(fields["date"])[:10])
        statement.cover(at, at + _ONE_DAY)
        has_tokens = fields.get("prompt_tokens") not in (None, "")
        counts = (count_of(fields.get("prompt_tokens")), count_of(fields.get("completion_tokens")), -1, -1)
        return BillLine(
            where,
            "openrouter",
            at,
            fields.get("model_permaslug") or fields.get("slug") or fields.get("model"),
            counts=counts if has_tokens else None,
            requests=count_of(fields.get("requests")),
            amount=openrouter.cost_of(fields),
        )

    return line


BILLS: Final = (
    BillFormat(
        "litellm",
        "LiteLLM's spend logs as CSV, JSON or a dump of its database.",
        _is_litellm,
        _read_litellm,
        by_id=True,
        estimates=True,
        lateness=timedelta(minutes=5),
    ),
    BillFormat(
        "openrouter",
        "OpenRouter's activity, by call or by day, as CSV or JSON.",
        _is_openrouter,
        _read_openrouter,
        by_id=True,
        loose_ids=True,
        lateness=timedelta(hours=1),
    ),
)
