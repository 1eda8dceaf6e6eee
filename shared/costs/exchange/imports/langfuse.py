"""Langfuse's export of observations, as CSV, JSON or JSON Lines.

As its export of November 2026 writes them: kinds of tokens in ``usageDetails`` stand beside each other
(``input`` without ``input_cached_tokens``), costs are USD, times UTC, in CSV without a zone.
Of calls of LangChain that were not streamed, what Claude wrote to its cache stands there as a sum and once
more by age; an answer from LangChain's own cache has a ``total_cost`` of 0 among its tokens (langfuse 5.0.4,
langchain-core 1.8.3, 2026-11-29). Of OpenAI's priority tier the parts stand beside an ``input`` and an
``output`` that have them in: ``findings/langchain_openai_cache_read_vanishes_with_the_tier.sh``.
Spans and events are no calls and are passed over. So is a generation that has in it others of its own counts
together: a wrapped call, as where ``langfuse.openai`` is imported beside a callback of LangChain. What was
asked and answered is not read.
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
_NO_CALLS: Final = frozenset({"SPAN", "EVENT"})


def _recognises(sample: FileSample) -> bool:
    names = {_in_one_word(name) for name in sample.row or sample.header}
    is_ours = names >= _MARKS and not names.isdisjoint(_MODELS)
    return is_ours and not names.isdisjoint({"usagedetails", "inputusage", "prompttokens", "usage"})


def _in_one_word(name: str) -> str:
    """Return a name without what divides its words: the API and the blob export write them differently."""
    return field_name(name).replace("_", "")


def _read(path: Path) -> Iterator[Item]:
    within: dict[str, tuple[int, int]] = {}
    for item, parent in _items(path):
        if isinstance(item, ForeignRow) and parent and any(own := _sides(item)):
            before = within.get(parent, (0, 0))
            within[parent] = before[0] + own[0], before[1] + own[1]
    for item, _ in _items(path):
        if not isinstance(item, ForeignRow) or within.get(str(item.values["id"])) != _sides(item):
            yield item


def _items(path: Path) -> Iterator[tuple[Item, str | None]]:
    """Yield the calls, each with the id of the observation that it stands in."""
    for found in FileSample(path).objects("data", "observations"):
        if isinstance(found, NotUnderstood):
            yield found, None
        elif (item := item_of(*found)) is not None:
            yield item, next((found[1][name] for name in _PARENT if found[1].get(name)), None)


_PARENT: Final = ("parentObservationId", "parent_observation_id")


def _sides(item: ForeignRow) -> tuple[Any, Any]:
    """Return the tokens in and out of a call."""
    return item.values.get("tokens_input", 0), item.values.get("tokens_output", 0)


def item_of(where: str, row: Mapping[str, Any]) -> Item | None:
    """Return an observation under our names; ``None`` where it is no call."""
    named = {_in_one_word(name): value for name, value in row.items()}
    model = named.get("model") or named.get("providedmodelname")
    if str(named.get("type") or "").upper() in _NO_CALLS and not model:
        return None
    try:
        counts, cost = _counts(named), _cost(named)
        repeated = _from_cache(named)
    except ValueError as error:
        return NotUnderstood(where, str(error))
    return ForeignRow(
        where,
        {
            "id": named.get("id"),
            "timestamp": utc_text(named.get("starttime")),
            "model": model,
            "cost": 0 if repeated else cost,
            "operation": named.get("name"),
            "user": named.get("userid"),
            "job": named.get("sessionid"),
            "tags": named.get("tags") or named.get("tracetags"),
            "service_tier": _tier(named),
            **({} if repeated else counts),
            **leftover(named, _USED),
            **({"metadata": _kept(counts)} if repeated else {}),
        },
        id_values={name: named.get(name) for name in ("id", "starttime", "model", "usagedetails")},
    )


def _details(named: Mapping[str, Any]) -> dict[str, Any]:
    stated = nested(named.get("usagedetails")) or nested(named.get("usage"))
    return {kind.lower(): count for kind, count in stated.items()}


def _counts(named: Mapping[str, Any]) -> dict[str, int]:
    details = _details(named)
    hour = {kind for kind in details if _AGE in kind and "1h" in kind}
    whole = any("cache_creation" in kind and _AGE not in kind and count for kind, count in details.items())
    counts = dict.fromkeys(_KINDS, 0)
    sides = sum(int(decimal_of(details.get(kind)) or 0) for kind in ("input", "output"))
    repeats = "total" not in details or int(decimal_of(details["total"]) or 0) == sides
    for kind, stated in details.items():
        side = _side(kind)
        count = int(decimal_of(stated) or 0) if side else 0
        if kind in hour:
            counts["tokens_cache_write_1h"] += count
        if side and not (whole and _AGE in kind):
            counts[side] += 0 if repeats and _TIERED.match(kind) else count
            for name, marks in _PARTS.items():
                counts[name] += count if any(mark in kind for mark in marks) else 0
    if not any(counts.values()):  # versions before usageDetails
        for name, theirs in _BEFORE.items():
            counts[name] = int(next((decimal_of(named[key]) or 0 for key in theirs if named.get(key)), 0))
    return counts


def _tier(named: Mapping[str, Any]) -> str | None:
    """Return the tier that LangChain puts into the names of a call's tokens."""
    return next((found[1] for kind in _details(named) if (found := _TIERED.match(kind))), None)


def _from_cache(named: Mapping[str, Any]) -> bool:
    """Tell whether LangChain answered from its own cache: nothing was sent, whatever Langfuse makes of it."""
    stated = _details(named).get("total_cost")
    return stated is not None and decimal_of(stated) == 0


def _kept(counts: Mapping[str, int]) -> dict[str, Any]:
    return {"answered_from": "cache"} | {f"cached_{name}": count for name, count in counts.items() if count}


_BEFORE: Final = {
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


def _cost(named: Mapping[str, Any]) -> Any:
    details = nested(named.get("costdetails"))
    stated = (details.get("total"), named.get("totalcost"), named.get("calculatedtotalcost"))
    return next((cost for each in stated if (cost := decimal_of(each)) is not None), None)


IMPORT: Final = Import("langfuse", "Langfuse's export of observations, as CSV or JSON.", _recognises, _read)
