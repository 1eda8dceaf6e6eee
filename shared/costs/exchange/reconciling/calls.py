"""Our calls for a comparison, read directly from the ledgers' lines, with corrections applied.

A typed decoder reads only what is needed from a line, in some 2 us; calls that were reversed are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from ...ledger.columns import instant_text
from ...ledger.line import SEAL_LENGTH, decode
from ...ledger.lines import DamagedLine
from ...money import NANOS_PER_USD
from ...pricing.catalogue import normal_tier
from ...rollup import Query
from ...store.store import Store
from ..bills import billed_by
from .names import folded

TOOL_PARTS: Final = frozenset(
    {"web_searches", "preview_searches", "maps_searches", "file_searches", "containers", "session_seconds"}
)
"""Parts of a charge that providers bill as tools, not by model."""


class OurCall(NamedTuple):
    """A recorded call. ``at`` is UTC text; ``cost`` is in nano-dollars without ``tools``; ``None``: unpriced.

    ``parts`` is the cost by kind of unit, in dollars.
    """

    entry_id: str
    at: str
    service: str
    model: str
    tier: str | None
    request_id: str | None
    counts: tuple[int, int, int, int]
    cost: int | None
    tools: int
    parts: Mapping[str, float]


class _LedgerLine(msgspec.Struct, gc=False):
    """The fields of a line that are needed; others are skipped."""

    id: str
    kind: str
    timestamp: str
    service: str
    model: str
    cost_usd: float | None
    request_id: str | None = None
    service_tier: str | None = None
    corrects: str | None = None
    tokens_input: int = 0
    tokens_output: int = 0
    tokens_cached: int = 0
    tokens_cache_write: int = 0
    cost_parts: dict[str, float] | None = None


_decode: Final = msgspec.json.Decoder(_LedgerLine).decode
_PROGRESS_EVERY: Final = 1_000


class Corrections(NamedTuple):
    """A call's corrections: the change of its cost, whether one gave it a price, whether it was reversed."""

    change: int = 0
    resolves: bool = False
    is_reversed: bool = False


def calls_between(
    index: Store,
    first: datetime,
    after: datetime,
    services: frozenset[str],
    advance: Callable[[int, int], None],
) -> Iterator[OurCall]:
    """Yield the calls of services in a range of time; ``advance`` gets the calls read and the total."""
    index.catch_up_all()
    # A call counts in the period of its reservation, which may have begun up to a day earlier.
    query = Query(start=first - timedelta(days=1), end=after + timedelta(days=1))
    bounds = instant_text(first), instant_text(after)
    total = sum(group.totals.calls for group in index.groups((), query))
    corrections = _corrections(index, query)
    first_text, after_text = bounds
    for number, raw in enumerate(index.lines(query)):
        if not number % _PROGRESS_EVERY:
            advance(min(number, total), total)
        line = _line(raw)
        if line is None or line.kind != "usage" or line.corrects is not None:
            continue
        if not first_text <= line.timestamp < after_text:
            continue
        correction = corrections.get(line.id) if corrections else None
        is_billed_here = billed_by(line.service, line.model) in services
        if is_billed_here and (correction is None or not correction.is_reversed):
            yield _call(line, correction)
    advance(total, total)


def _corrections(index: Store, query: Query) -> dict[str, Corrections]:
    corrections: dict[str, Corrections] = {}
    for raw in index.lines(query, text=b'"corrects":'):
        if (line := _line(raw)) is None or line.corrects is None:
            continue
        before = corrections.get(line.corrects, Corrections())
        if line.kind == "reversal":
            corrections[line.corrects] = before._replace(is_reversed=True)
        else:
            change = before.change + round((line.cost_usd or 0) * NANOS_PER_USD)
            corrections[line.corrects] = before._replace(change=change, resolves=True)
    return corrections


def _line(raw: bytes) -> _LedgerLine | None:
    """Return the fields of a sealed line; ``None`` for a damaged one, which the sums also leave out."""
    if raw[-SEAL_LENGTH:] != b',"crc":"%08x"}\n' % crc32(raw[:-SEAL_LENGTH]):
        try:
            decode(raw)
        except DamagedLine:
            return None
    try:
        return _decode(raw)
    except msgspec.MsgspecError:
        return None


def _call(line: _LedgerLine, correction: Corrections | None) -> OurCall:
    cost = None if line.cost_usd is None else round(line.cost_usd * NANOS_PER_USD)
    parts = line.cost_parts or {}
    tools = 0
    if parts and not TOOL_PARTS.isdisjoint(parts):
        tools = sum(round(parts[part] * NANOS_PER_USD) for part in TOOL_PARTS & parts.keys())
    if correction is not None and (cost is not None or correction.resolves):
        cost = (cost or 0) + correction.change
    return OurCall(
        line.id,
        line.timestamp,
        billed_by(line.service, line.model),
        folded(line.model),
        normal_tier(line.service_tier) if line.service_tier else None,
        line.request_id,
        (line.tokens_input, line.tokens_output, line.tokens_cached, line.tokens_cache_write),
        None if cost is None else cost - tools,
        tools,
        parts,
    )


def kinds_of(parts: Mapping[str, float]) -> tuple[int, int, int, int]:
    """Return the cost of each kind of tokens in nano-dollars, in the order of a bill's counts."""
    get = parts.get
    fresh = round(get("input", 0) * NANOS_PER_USD)
    output = round((get("output", 0) + get("reasoning", 0)) * NANOS_PER_USD)
    if len(parts) == 2 and "input" in parts and "output" in parts:  # most calls have only these
        return fresh, output, 0, 0
    cache_written = round((get("cache_write", 0) + get("cache_write_1h", 0)) * NANOS_PER_USD)
    return fresh, output, round(get("cached", 0) * NANOS_PER_USD), cache_written
