"""OpenRouter's activity: its CSV of single calls, its CSV of days, and ``/api/v1/activity`` as JSON.

Seen in November 2026. What OpenRouter states is what it bills. Inference with the user's own keys is not in
its ``cost_total`` and is added, as for recorded calls. Times are UTC without a zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from ..foreign import decimal_of, field_name, leftover, utc_text
from ..rows import ForeignRow, Item, NotUnderstood
from . import FileSample, Import

_CALLS: Final = frozenset({"generation_id", "cost_total", "tokens_prompt"})
_DAYS: Final = (
    frozenset({"date", "slug", "usage", "requests"}),
    frozenset({"date", "model", "usage", "requests"}),
)
_USED: Final = frozenset(
    {
        *("generation_id", "created_at", "date", "cost_total", "byok_usage_inference", "byok_usage", "usage"),
        *(
            "model_permaslug",
            "slug",
            "model",
            "variant",
            "tokens_prompt",
            "tokens_completion",
            "tokens_cached",
        ),
        *("tokens_reasoning", "prompt_tokens", "completion_tokens", "reasoning_tokens", "requests", "user"),
        *("provider_name", "app_name", "api_key_name", "cancelled"),
    }
)


def _recognises(sample: FileSample) -> bool:
    names = {field_name(name) for name in sample.row} or sample.header
    return names >= _CALLS or any(marks <= names for marks in _DAYS)


def item_of(where: str, row: Mapping[str, Any]) -> Item:
    """Return a call or a day's sum as a row with our names."""
    fields = {field_name(name): value for name, value in row.items()}
    is_call = "generation_id" in fields
    try:
        cost = cost_of(fields)
    except ValueError as error:
        return NotUnderstood(where, str(error))
    counts = {
        f"tokens_{ours}": fields.get(f"tokens_{theirs}", fields.get(f"{theirs}_tokens"))
        for ours, theirs in _TOKENS.items()
    }
    metadata: dict[str, object] = {"provider": fields["provider_name"]} if fields.get("provider_name") else {}
    if not cost and str(fields.get("cancelled")).lower() == "true":  # a call that was not billed has no usage
        metadata |= {"cancelled": True} | {
            f"unbilled_{name}": count for name, count in counts.items() if count
        }
        counts = {}
    return ForeignRow(
        where,
        {
            "id": fields.get("generation_id"),
            "request_id": fields.get("generation_id"),
            "timestamp": utc_text(fields.get("created_at") if is_call else str(fields.get("date"))[:10]),
            "service": "openrouter",
            "model": fields.get("model_permaslug") or fields.get("slug") or fields.get("model"),
            "cost": cost,
            "user": fields.get("user"),
            "project": fields.get("app_name"),
            "requests": fields.get("requests"),
            "metadata": metadata,
            **counts,
            **leftover(fields, _USED),
        },
        sum_of=None if is_call else "day",
        id_values=fields,
        billed=True,
    )


_TOKENS: Final = {"input": "prompt", "output": "completion", "cached": "cached", "reasoning": "reasoning"}


def cost_of(fields: Mapping[str, Any]) -> Decimal | None:
    """Return what a row states as paid: to OpenRouter, and with own keys to the provider."""
    cost = decimal_of(fields.get("cost_total", fields.get("usage")))
    own_key_cost = decimal_of(fields.get("byok_usage_inference", fields.get("byok_usage")))
    return cost if cost is None or own_key_cost is None else cost + own_key_cost


IMPORT: Final = Import(
    "openrouter",
    "OpenRouter's activity, by call or by day, as CSV or JSON.",
    _recognises,
    lambda path: FileSample(path).items(item_of, "data"),
)
