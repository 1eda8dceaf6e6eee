"""Langfuse's export of observations, as CSV, JSON or JSON Lines.

As its export of November 2026 writes them: kinds of tokens in ``usageDetails`` exclude each other (``input``
without ``input_cached_tokens``), costs are in USD, times in UTC, in CSV without a zone.
For LangChain calls that were not streamed, tokens that Claude wrote to its cache are there as a sum and once
more by lifetime; an answer from LangChain's own cache has a ``total_cost`` of 0 among its tokens (langfuse
5.0.4, langchain-core 1.8.3, 2026-11-29). For OpenAI's priority tier there are, besides the parts, an
``input`` and an ``output`` that include them:
``findings/langchain_openai_cache_read_vanishes_with_the_tier.sh``. Spans and events are not calls and are
skipped. So is a generation that contains others which together have its counts: a wrapped call, as when
``langfuse.openai`` is imported together with a callback of LangChain. Prompts and answers are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ..foreign import decimal_of, field_name, leftover, nested, utc_text
from ..rows import ForeignRow, Item, NotUnderstood
from . import FileSample, Import

_MARKS: Final = frozenset({"traceid", "starttime"})
_MODELS: Final = frozenset({"model", "providedmodelname"})
_USED: Final = frozenset(
    {
        *(
            "id",
            "traceid",
            "type",
            "name",
            "starttime",
            "model",
            "providedmodelname",
            "usagedetails",
            "usage",
        ),
        *("costdetails", "totalcost", "calculatedtotalcost", "inputusage", "outputusage", "prompttokens"),
        *("completiontokens", "userid", "sessionid", "tags", "tracetags", "input", "output", "metadata"),
        *("totalusage", "totaltokens", "inputcost", "outputcost", "parentobservationid"),
    }
)
_NOT_CALLS: Final = frozenset({"SPAN", "EVENT"})


def _recognises(sample: FileSample) -> bool:
    names = {_joined_name(name) for name in sample.row or sample.header}
    is_ours = names >= _MARKS and not names.isdisjoint(_MODELS)
    return is_ours and not names.isdisjoint({"usagedetails", "inputusage", "prompttokens", "usage"})


def _joined_name(name: str) -> str:
    """Return a name without separators of words, in which the API and the blob export differ."""
    return field_name(name).replace("_", "")


def _read(path: Path) -> Iterator[Item]:
    inner_sides: dict[str, tuple[int, int]] = {}
    for item, parent in _items(path):
        if isinstance(item, ForeignRow) and parent and any(sides := _input_and_output(item)):
            sum_so_far = inner_sides.get(parent, (0, 0))
            inner_sides[parent] = sum_so_far[0] + sides[0], sum_so_far[1] + sides[1]
    for item, _ in _items(path):
        if not isinstance(item, ForeignRow) or inner_sides.get(str(item.values["id"])) != _input_and_output(
            item
        ):
            yield item


def _items(path: Path) -> Iterator[tuple[Item, str | None]]:
    """Yield the calls, each with the id of the observation that contains it."""
    for observation in FileSample(path).objects("data", "observations"):
        if isinstance(observation, NotUnderstood):
            yield observation, None
        elif (item := item_of(*observation)) is not None:
            yield item, next((observation[1][name] for name in _PARENT if observation[1].get(name)), None)


_PARENT: Final = ("parentObservationId", "parent_observation_id")


def _input_and_output(item: ForeignRow) -> tuple[Any, Any]:
    """Return the input and output tokens of a call."""
    return item.values.get("tokens_input", 0), item.values.get("tokens_output", 0)


def item_of(where: str, row: Mapping[str, Any]) -> Item | None:
    """Return an observation as a row with our names; ``None`` if it is not a call."""
    fields = {_joined_name(name): value for name, value in row.items()}
    model = fields.get("model") or fields.get("providedmodelname")
    if str(fields.get("type") or "").upper() in _NOT_CALLS and not model:
        return None
    try:
        counts, cost = _counts(fields), _cost(fields)
        is_from_cache = _from_cache(fields)
    except ValueError as error:
        return NotUnderstood(where, str(error))
    return ForeignRow(
        where,
        {
            "id": fields.get("id"),
            "timestamp": utc_text(fields.get("starttime")),
            "model": model,
            "cost": 0 if is_from_cache else cost,
            "operation": fields.get("name"),
            "user": fields.get("userid"),
            "job": fields.get("sessionid"),
            "tags": fields.get("tags") or fields.get("tracetags"),
            "service_tier": _tier(fields),
            **({} if is_from_cache else counts),
            **leftover(fields, _USED),
            **({"metadata": _cached_metadata(counts)} if is_from_cache else {}),
        },
        id_values={name: fields.get(name) for name in ("id", "starttime", "model", "usagedetails")},
    )


def _details(fields: Mapping[str, Any]) -> dict[str, Any]:
    details = nested(fields.get("usagedetails")) or nested(fields.get("usage"))
    return {kind.lower(): count for kind, count in details.items()}


def _counts(fields: Mapping[str, Any]) -> dict[str, int]:
    details = _details(fields)
    one_hour_kinds = {kind for kind in details if _AGE in kind and "1h" in kind}
    has_sum = any("cache_creation" in kind and _AGE not in kind and count for kind, count in details.items())
    counts = dict.fromkeys(_KINDS, 0)
    in_and_out = sum(int(decimal_of(details.get(kind)) or 0) for kind in ("input", "output"))
    has_all = "total" not in details or int(decimal_of(details["total"]) or 0) == in_and_out
    for kind, detail in details.items():
        side = _side(kind)
        count = int(decimal_of(detail) or 0) if side else 0
        if kind in one_hour_kinds:
            counts["tokens_cache_write_1h"] += count
        if side and not (has_sum and _AGE in kind):
            counts[side] += 0 if has_all and _TIERED.match(kind) else count
            for name, marks in _PARTS.items():
                counts[name] += count if any(mark in kind for mark in marks) else 0
    if not any(counts.values()):  # versions without usageDetails
        for name, theirs in _EARLIER_FIELDS.items():
            counts[name] = int(next((decimal_of(fields[key]) or 0 for key in theirs if fields.get(key)), 0))
    return counts


def _tier(fields: Mapping[str, Any]) -> str | None:
    """Return the tier that LangChain puts into the names of a call's tokens."""
    return next((match[1] for kind in _details(fields) if (match := _TIERED.match(kind))), None)


def _from_cache(fields: Mapping[str, Any]) -> bool:
    """Tell whether LangChain answered from its own cache: nothing was sent, whatever cost Langfuse states."""
    total_cost = _details(fields).get("total_cost")
    return total_cost is not None and decimal_of(total_cost) == 0


def _cached_metadata(counts: Mapping[str, int]) -> dict[str, Any]:
    return {"answered_from": "cache"} | {f"cached_{name}": count for name, count in counts.items() if count}


_EARLIER_FIELDS: Final = {
    "tokens_input": ("inputusage", "prompttokens"),
    "tokens_output": ("outputusage", "completiontokens"),
}
_AGE: Final = "ephemeral"
_TIERED: Final = re.compile(r"(?:input|output)_(priority|flex)(?:_|$)")
_PARTS: Final = {
    "tokens_cached": ("cached", "cache_read"),
    "tokens_cache_write": ("cache_creation", "cache_write", _AGE),
    "tokens_reasoning": ("reasoning",),
}
_KINDS: Final = ("tokens_input", "tokens_output", *_PARTS, "tokens_cache_write_1h")


def _side(kind: str) -> str | None:
    if kind.startswith(("input", "cache", "prompt")) and "cost" not in kind:
        return "tokens_input"
    return "tokens_output" if kind.startswith(("output", "completion", "reasoning")) else None


def _cost(fields: Mapping[str, Any]) -> Any:
    details = nested(fields.get("costdetails"))
    costs = (details.get("total"), fields.get("totalcost"), fields.get("calculatedtotalcost"))
    return next((cost for value in costs if (cost := decimal_of(value)) is not None), None)


IMPORT: Final = Import("langfuse", "Langfuse's export of observations, as CSV or JSON.", _recognises, _read)
