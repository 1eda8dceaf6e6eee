"""Rows of a table as in CSV: from entries, or several times faster directly from ledger lines.

A cell is text, a whole number or ``None``; amounts are decimals in USD without an exponent. Both ways
give the same cells for the same entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from ..model import Entry
from ..money import NANOS_PER_USD, Nanos, json_number
from ..units import FRACTIONAL_FIELDS, USAGE_FIELDS
from .batch import Count, Seconds
from .columns import COLUMN_NAMES, COLUMNS, ColumnKind, Value, dumps, row_of
from .line import decode, is_usual

Cells = list[Value]


def cells_of(entry: Entry) -> Cells:
    """Return an entry's cells in the order of the export's columns."""
    cells = list(row_of(entry))
    for position in _AMOUNTS:
        amount = cells[position]
        if amount is not None:
            cells[position] = json_number(Nanos(int(amount)))
    for position in _DURATIONS:
        cells[position] = seconds_text(float(cells[position] or 0))
    return cells


def cells_of_line(raw: bytes) -> Cells:
    """Return the cells of a ledger line.

    Raises:
        DamagedLine: its seal is broken, or it is not an entry.

    """
    return usual_cells(raw) or cells_of(decode(raw))


def seconds_text(seconds: float) -> str:
    """Return seconds to the microsecond without an exponent, which some readers do not support.

    >>> seconds_text(46), seconds_text(1e-6)
    ('46.0', '0.000001')
    """
    text = f"{abs(seconds):.6f}".rstrip("0")
    return f"{text}0" if text[-1] == "." else text


_AT: Final = {name: position for position, name in enumerate(COLUMN_NAMES)}
_COST, _PARTS, _ACTUAL = _AT["cost_usd"], _AT["cost_parts"], _AT["actual_cost_usd"]
_TAGS, _METADATA = _AT["tags"], _AT["metadata"]
_STATE, _CATALOGUE, _UNITS = _AT["cost_state"], _AT["catalogue_cost_usd"], _AT["unpriced_units"]
_AMOUNTS: Final = (_COST, _ACTUAL, _CATALOGUE)
_DURATIONS: Final = tuple(_AT[name] for name in USAGE_FIELDS if name in FRACTIONAL_FIELDS)
_TIMESTAMP, _PERIOD = _AT["timestamp"], _AT["period_at"]
_SERVICE, _MODEL = _AT["service"], _AT["model"]
_FLAGS: Final = tuple(_AT[name] for name in ("estimated", "resolves_unpriced", "resolves_partial"))
_INPUT, _OUTPUT = _AT["tokens_input"], _AT["tokens_output"]
_SUBSETS: Final = slice(_AT["tokens_cached"], _AT["audio_seconds"])
_IMAGE_CACHED: Final = _AT["tokens_image_cached"]
_PRICED: Final = slice(_AT["priced_as"], _AT["price_unverified"] + 1)
"""The four columns with the price that a call was charged at."""

# --- lines as they are written ----------------------------------------------------------------------

_NULL, _NOTHING = msgspec.Raw(b"null"), msgspec.Raw(b"{}")
_KINDS: Final[dict[ColumnKind, tuple[Any, Any]]] = {
    "text": (str | None, None),
    "instant": (str | None, None),
    "count": (Count, 0),
    "seconds": (Seconds, 0.0),
    "usd": (msgspec.Raw, _NULL),
    "flag": (bool, False),
    "json": (msgspec.Raw, _NOTHING),
}
"""The type of a line's member for each kind of column, and its default if the line leaves it out."""

_MEMBER_TYPES: Final[dict[str, tuple[Any, ...]]] = {
    "id": (Annotated[str, msgspec.Meta(min_length=1)],),
    **dict.fromkeys(("timestamp", "job_id", "user_id", "service", "model"), (str,)),
    "kind": (Literal["usage", "adjustment", "reversal"],),
    "attempt": (Count, 1),
    "cost_usd": (msgspec.Raw,),
    "price_unverified": (bool, msgspec.field(default=False, name="unverified")),
    "tags": (tuple[str, ...], ()),
    "host": (str, ""),
}


def _members() -> Iterator[tuple[str, Any] | tuple[str, Any, Any]]:
    """Return the members of a line in the order of the columns, then those without a column."""
    for column in COLUMNS:
        yield (column.name, *_MEMBER_TYPES.get(column.name, _KINDS[column.kind]))
    yield from (("v", Literal[1]), ("crc", str), ("priced_by", str | None, None))


_decode: Final = msgspec.json.Decoder(
    msgspec.defstruct("_Line", _members(), kw_only=True, forbid_unknown_fields=True, gc=False)
).decode
_astuple: Final = msgspec.structs.astuple

_AMOUNT: Final = r"(?!-0\.0\b)-?\d{1,6}\.(?:0|\d{0,8}[1-9])"
"""An amount as ``money.json_number`` writes it, below a million USD. Older lines have whole dollars without
decimals, and are read by ``decode``."""

_is_amount: Final = re.compile(_AMOUNT).fullmatch
_are_parts: Final = re.compile(rf'\{{(?:"\w+":{_AMOUNT}(?:,(?=")|(?=\}})))*\}}').fullmatch
_parts_of: Final = msgspec.json.Decoder(dict[str, float]).decode
_plain: Final = msgspec.json.Decoder().decode


def usual_cells(raw: bytes) -> Cells | None:
    """Return the cells of a line in the form that is written today; ``None`` for any other."""
    if not is_usual(raw):
        return None
    try:
        *cells, _, _, priced_by = _astuple(_decode(raw))
        usual = _set_charge(cells, priced_by) and _set_others(cells) and _is_whole(cells)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return cells if usual else None


def _set_charge(cells: list[Any], priced_by: str | None) -> bool:
    """Set the cells of the charge; ``False`` if ``decode`` must read the line."""
    cost = str(cells[_COST], "ascii")
    if cost == "null":
        cells[_COST] = cells[_PARTS] = None
        cells[_STATE] = "unknown"
        cells[_PRICED] = (None, None, None, None)
        return True
    parts = str(cells[_PARTS], "ascii")
    if priced_by is None or not _is_amount(cost) or not _are_sum(parts, cost):
        return False
    cells[_COST], cells[_PARTS], cells[_STATE] = cost, parts, "whole"
    model, _, _, unverified = cells[_PRICED]
    source, _, version = priced_by.partition("@")
    cells[_PRICED] = (
        model or f"{cells[_SERVICE]}/{cells[_MODEL]}",
        source,
        version,
        int(unverified),
    )
    return True


def _are_sum(parts: str, cost: str) -> bool:
    """Tell whether the parts are written as usual, each once, and sum to the cost."""
    if not _are_parts(parts):
        return False
    amounts = _parts_of(parts).values()
    nanos = sum([round(amount * NANOS_PER_USD) for amount in amounts])
    return nanos == round(float(cost) * NANOS_PER_USD) and len(amounts) == parts.count(":")


def _set_others(cells: list[Any]) -> bool:
    """Set the other cells that differ from the line's members; ``False`` if ``decode`` must read the line."""
    metadata, actual = str(cells[_METADATA], "ascii"), str(cells[_ACTUAL], "ascii")
    if cells[_UNITS] is not _NOTHING or cells[_CATALOGUE] is not _NULL:
        return False
    cells[_UNITS] = cells[_CATALOGUE] = None
    for position in _DURATIONS:
        cells[position] = seconds_text(cells[position]) if cells[position] else "0.0"
    cells[_METADATA] = None if metadata == "{}" else metadata
    cells[_ACTUAL] = None if actual == "null" else actual
    cells[_TAGS] = dumps(cells[_TAGS]) if cells[_TAGS] else None
    for position in _FLAGS:
        cells[position] = int(cells[position])
    return (metadata == "{}" or _is_plain(metadata)) and (actual == "null" or _is_amount(actual) is not None)


def _is_plain(metadata: str) -> bool:
    """Tell whether an object is written in the one canonical way: no blanks, no repeated names."""
    return (
        metadata[0] == "{"
        and metadata.isprintable()
        and msgspec.json.encode(_plain(metadata)) == metadata.encode()
    )


def _is_whole(cells: list[Any]) -> bool:
    """Tell whether an entry can have these counts and times; ``False`` if ``decode`` must read the line."""
    cached, written, written_1h, reasoning, *others = cells[_SUBSETS]
    return (
        cached + written <= cells[_INPUT]
        and written_1h <= written
        and reasoning <= cells[_OUTPUT]
        and not any(others)
        and not cells[_IMAGE_CACHED]
        and _is_instant(cells[_TIMESTAMP])
        and (cells[_PERIOD] is None or _is_instant(cells[_PERIOD]))
    )


def _is_instant(text: str) -> bool:
    """Tell whether a time is written as usual.

    Raises:
        ValueError: it is not a time.

    """
    datetime.fromisoformat(text)
    # Every other form has another length, or other characters in these positions.
    return len(text) == _INSTANT_LENGTH and text[10:20:9] == "T." and text[26] == "Z" and text[5] != "W"


_INSTANT_LENGTH: Final = len("2026-11-22T09:30:00.000000Z")
