"""OpenRouter's activity: its CSV of single calls, its CSV of days, and ``/api/v1/activity`` as JSON.

Seen in November 2026. What OpenRouter states is what it bills. Inference under own keys stands beside its
``cost_total`` and is added, as for calls that are recorded. Times are UTC without a zone.
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
    """Return a call or a day's sum under our names."""
    named = {field_name(name): value for name, value in row.items()}
    is_call = "generation_id" in named
    try:
        cost = cost_of(named)
    except ValueError as error:
        return NotUnderstood(where, str(error))
    counts = {
        f"tokens_{ours}": named.get(f"tokens_{theirs}", named.get(f"{theirs}_tokens"))
        for ours, theirs in _TOKENS.items()
    }
    kept: dict[str, object] = {"provider": named["provider_name"]} if named.get("provider_name") else {}
    if not cost and str(named.get("cancelled")).lower() == "true":  # what was not billed has no usage
        kept |= {"cancelled": True} | {f"unbilled_{name}": n for name, n in counts.items() if n}
        counts = {}
    return ForeignRow(
        where,
        {
            "id": named.get("generation_id"),
            "request_id": named.get("generation_id"),
            "timestamp": utc_text(named.get("created_at") if is_call else str(named.get("date"))[:10]),
            "service": "openrouter",
            "model": named.get("model_permaslug") or named.get("slug") or named.get("model"),
            "cost": cost,
            "user": named.get("user"),
            "project": named.get("app_name"),
            "requests": named.get("requests"),
            "metadata": kept,
            **counts,
            **leftover(named, _USED),
        },
        sum_of=None if is_call else "day",
        id_values=named,
        billed=True,
    )


_TOKENS: Final = {"input": "prompt", "output": "completion", "cached": "cached", "reasoning": "reasoning"}


def cost_of(named: Mapping[str, Any]) -> Decimal | None:
    """Return what a row says was paid: to OpenRouter, and under own keys to the provider."""
    stated = decimal_of(named.get("cost_total", named.get("usage")))
    own = decimal_of(named.get("byok_usage_inference", named.get("byok_usage")))
    return stated if stated is None or own is None else stated + own


IMPORT: Final = Import(
    "openrouter",
    "OpenRouter's activity, by call or by day, as CSV or JSON.",
    _recognises,
    lambda path: FileSample(path).items(item_of, "data"),
)
