"""LiteLLM's spend logs: its table ``LiteLLM_SpendLogs`` as CSV, JSON or in a dump, and its sums by day.

Seen in LiteLLM 1.110.2 (November 2026). ``spend`` is LiteLLM's own estimate, 0 if it knows no price.
``prompt_tokens`` include cached ones. A row of its own cache repeats the tokens of the first answer under
``ID_cache_hitTIME``: nothing was sent, so nothing was spent. Times are UTC, in CSV and dumps without a zone.
Requests and answers that the table may contain are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ..foreign import decimal_of, leftover, nested, utc_text
from ..rows import ForeignRow, Item, NotUnderstood
from ..sqldump import rows_of_table
from . import FileSample, Import

TABLE: Final = "LiteLLM_SpendLogs"
_MARKS: Final = frozenset({"request_id", "spend", "prompt_tokens", "starttime"})
_USED: Final = frozenset(
    {
        *("request_id", "startTime", "model", "custom_llm_provider", "prompt_tokens", "completion_tokens"),
        *("total_tokens", "spend", "cache_hit", "call_type", "user", "end_user", "team_id", "request_tags"),
        *("metadata", "status"),
    }
)


_BY_LOWER: Final = {name.lower(): name for name in _USED}


def own_name(name: str) -> str:
    """Return the name of a column as LiteLLM writes it: databases and export tools change its case.

    >>> own_name("STARTTIME"), own_name("Team")
    ('startTime', 'Team')
    """
    return _BY_LOWER.get(name.strip().lower(), name)


def _recognises(sample: FileSample) -> bool:
    names = {name.lower() for name in sample.row} or sample.header
    return names >= _MARKS or {"spend", "models", "starttime"} <= names or is_dump(sample)


def is_dump(sample: FileSample) -> bool:
    """Tell whether a file is a PostgreSQL dump, whatever tables it has."""
    return "PostgreSQL database dump" in sample.text or f'"{TABLE}"' in sample.text


def _read(path: Path) -> Iterator[Item]:
    sample = FileSample(path)
    for item in rows_of_table(path, TABLE) if is_dump(sample) else sample.objects("data"):
        if isinstance(item, NotUnderstood):
            yield item
        elif isinstance(item[1].get("models"), dict):
            yield from _sums_of_a_day(*item)
        else:
            yield item_of(*item)


def _sums_of_a_day(where: str, row: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the daily sums of ``/spend/logs``: the spend of each model, without its tokens."""
    for model, spend in (row["models"] or {"": row.get("spend")}).items():
        values = {"timestamp": row.get("startTime"), "model": model, "cost": spend}
        yield ForeignRow(f"{where} {model}", values, sum_of="day")


def item_of(where: str, row: Mapping[str, Any]) -> Item:
    """Return a row of the table with our names."""
    row = {own_name(name): value for name, value in row.items()}
    metadata = nested(row.get("metadata"))
    usage = nested(metadata.get("usage_object"))
    prompt, completion = (
        nested(usage.get("prompt_tokens_details")),
        nested(usage.get("completion_tokens_details")),
    )
    try:
        request_id, cached = str(row.get("request_id") or ""), _from_cache(row)
    except ValueError as error:
        return NotUnderstood(where, str(error))
    model, service = str(row.get("model") or ""), str(row.get("custom_llm_provider") or "")
    counts = {
        "tokens_input": row.get("prompt_tokens"),
        "tokens_output": row.get("completion_tokens"),
        "tokens_cached": prompt.get("cached_tokens") or usage.get("cache_read_input_tokens"),
        "tokens_cache_write": usage.get("cache_creation_input_tokens"),
        "tokens_reasoning": completion.get("reasoning_tokens"),
    }
    row_metadata: dict[str, object] = {"status": "failure"} if row.get("status") == "failure" else {}
    if cached:
        row_metadata |= {"answered_from": "cache"} | {
            f"cached_{name}": count for name, count in counts.items() if count
        }
    return ForeignRow(
        where,
        {
            "id": request_id,
            "request_id": f"{request_id.partition('_cache_hit')[0]}/cache" if cached else request_id,
            "timestamp": utc_text(row.get("startTime")),
            "service": service,
            "model": model.removeprefix(f"{service}/") if service else model,
            "cost": row.get("spend"),
            "operation": row.get("call_type"),
            "user": row.get("end_user") or row.get("user"),
            "project": row.get("team_id"),
            "tags": row.get("request_tags"),
            "metadata": row_metadata,
            **({} if cached else counts),
            **leftover(row, _USED),
        },
        id_values={name: value for name, value in row.items() if name in _USED},
    )


def _from_cache(row: Mapping[str, Any]) -> bool:
    is_hit = str(row.get("cache_hit") or "").lower() == "true" or "_cache_hit" in str(row.get("request_id"))
    return is_hit and not decimal_of(row.get("spend"))


IMPORT: Final = Import(
    "litellm", "LiteLLM's spend logs as CSV, JSON or a dump of its database.", _recognises, _read
)
