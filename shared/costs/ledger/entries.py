"""Reads many entries of ledgers fast: in some 7 us of CPU each, where :func:`.line.decode` takes 40.

A line in the form in which calls are usually written is taken apart by one typed decoder; everything
else, and whatever raises the least doubt, goes through :func:`.line.decode`. Both ways give the same
entries, which a test holds against each other line by line.

Only those who read whole ledgers import this: its decoder takes longer to import than a call to record.
"""

from __future__ import annotations

from dataclasses import fields, make_dataclass
from datetime import datetime
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Final, Literal

import msgspec

from ..model import NO_UNITS, Charge, Entry, PricedBy, Usage
from ..money import MAX_ENTRY_NANOS, NANOS_PER_USD, Nanos
from ..units import FRACTIONAL_FIELDS, USAGE_FIELDS
from .batch import Amount, Count, Seconds
from .line import decode, is_usual, parse_json

_Name = str | None
_NO_METADATA: Final = msgspec.Raw(b"{}")

_MEMBERS: Final[tuple[tuple[str, Any] | tuple[str, Any, Any], ...]] = (
    ("v", Literal[1]),
    ("kind", Literal["usage"]),
    ("id", Annotated[str, msgspec.Meta(min_length=1)]),
    ("timestamp", str),
    ("period_at", _Name, None),
    ("job_id", str),
    ("user_id", str),
    ("stage", _Name, None),
    ("attempt", Count, 1),
    ("service", str),
    ("model", str),
    *((name, Seconds, 0.0) if name in FRACTIONAL_FIELDS else (name, Count, 0) for name in USAGE_FIELDS),
    ("cost_usd", Amount | None),
    ("cost_parts", dict[str, Amount], msgspec.field(default_factory=dict)),
    ("priced_as", _Name, None),
    ("priced_by", _Name, None),
    ("unverified", bool, False),
    ("estimated", bool, False),
    ("request_id", _Name, None),
    ("service_tier", _Name, None),
    ("region", _Name, None),
    ("reservation", _Name, None),
    ("operation", _Name, None),
    ("description", _Name, None),
    ("workflow", _Name, None),
    ("project", _Name, None),
    ("tags", list[str], msgspec.field(default_factory=list)),
    ("host", _Name, None),
    ("pid", Count, 0),
    ("metadata", msgspec.Raw, _NO_METADATA),
    ("crc", str),
)
"""The members of a usual line in the order in which they are written, which the decoder expects them in."""

_decode: Final = msgspec.json.Decoder(
    msgspec.defstruct("_UsualLine", _MEMBERS, gc=False, forbid_unknown_fields=True, kw_only=True)
).decode
_astuple: Final = msgspec.structs.astuple

_AT: Final = {member[0]: number for number, member in enumerate(_MEMBERS)}
_USAGE: Final = slice(_AT["tokens_input"], _AT["cost_usd"])
_READ: Final = ("timestamp", "period_at", "cost_usd", "cost_parts", "tags", "host", "metadata")
_read_of: Final = itemgetter(*(_AT[name] for name in _READ))
_pricing_of: Final = itemgetter(
    *(_AT[name] for name in ("priced_by", "priced_as", "service", "model", "unverified"))
)

_MADE: Final = ("timestamp", "period_at", "usage", "charge", "tags", "host", "metadata")
_UNUSUAL: Final = {
    "actual_cost": None,
    "catalogue_cost": None,
    "unpriced_units": NO_UNITS,
    "corrects": None,
    "why": None,
    "resolves_unpriced": False,
    "resolves_partial": False,
}
"""Fields that a usual line does not have."""
_SAME: Final = tuple(each.name for each in fields(Entry) if each.name not in (*_MADE, *_UNUSUAL))
_same_of: Final = itemgetter(*(_AT[name] for name in _SAME))

# To set each of so many slots of a frozen object takes three times as long as to make one that is not frozen.
# It has the same slots, so that it may become the other.
_OpenEntry: Final = make_dataclass("_OpenEntry", (*_SAME, *_UNUSUAL, *_MADE), slots=True)
_OpenUsage: Final = make_dataclass("_OpenUsage", USAGE_FIELDS, slots=True)
_NO_USAGE: Final[tuple[int | float, ...]] = attrgetter(*USAGE_FIELDS)(Usage())
_NO_FURTHER: Final = _NO_USAGE[2:]
_FRACTIONS: Final = [(USAGE_FIELDS.index(name), name) for name in sorted(FRACTIONAL_FIELDS)]
_UNUSUAL_VALUES: Final = tuple(_UNUSUAL.values())


def entry_of(raw: bytes) -> Entry:
    """Return the entry of one line, its newline included, exactly as :func:`.line.decode` does.

    Raises:
        DamagedLine: the line cannot be trusted, or says something that no entry can be.

    """
    if is_usual(raw) and (usual := _usual(raw)) is not None:
        return usual
    return decode(raw)


def _usual(raw: bytes) -> Entry | None:
    """Return the entry of a sealed line in the usual form; ``None`` where it takes a closer look."""
    try:
        values = _astuple(_decode(raw))
        timestamp, period_at, total, parts, tags, host, metadata = _read_of(values)
        at = _instant(timestamp)
        counted_at = None if period_at is None else _instant(period_at)
        usage = _usage(values[_USAGE])
        said = {} if metadata is _NO_METADATA else _metadata(bytes(metadata))
    except (msgspec.MsgspecError, ValueError):
        return None
    charge = None
    if total is not None:
        amounts, priced_by = _amounts(total, parts), _priced_by(_pricing_of(values))
        if amounts is None or priced_by is None:
            return None
        charge = Charge(amounts, priced_by)
    entry: Any = _OpenEntry(
        *_same_of(values), *_UNUSUAL_VALUES, at, counted_at, usage, charge, tuple(tags), host or "", said
    )
    entry.__class__ = Entry
    made: Entry = entry
    return made


def _instant(text: str) -> datetime:
    if text[-1:] != "Z":
        raise ValueError("no UTC time")
    return datetime.fromisoformat(text)


def _usage(counts: tuple[Any, ...]) -> Usage:
    """Return a usage whose counts are known to be in their bounds."""
    usage: Any = _OpenUsage(*counts)
    if counts[2:] != _NO_FURTHER:
        for at, name in _FRACTIONS:
            if counts[at]:
                setattr(usage, name, round(counts[at], 6))
        usage.__class__ = Usage
        usage.require_subsets()
    else:
        usage.__class__ = Usage
    made: Usage = usage
    return made


def _metadata(text: bytes) -> dict[str, Any]:
    if text == b"{}":
        return {}
    found = parse_json(text.decode("ascii"))
    if not isinstance(found, dict) or b"\\ud" in text or b"\\uD" in text:  # perhaps half a character
        raise ValueError("no usual metadata")
    return found


def _amounts(total: float, parts: dict[str, float]) -> dict[str, Nanos] | None:
    """Return the parts of a charge in nano-dollars; ``None`` where they are not the whole."""
    amounts = {part: Nanos(round(amount * NANOS_PER_USD)) for part, amount in parts.items()}
    whole = round(total * NANOS_PER_USD)
    return amounts if sum(amounts.values()) == whole <= MAX_ENTRY_NANOS else None


@lru_cache(maxsize=256)
def _priced_by(said: tuple[str | None, str | None, str, str, bool]) -> PricedBy | None:
    """Return what priced a call, of which many say the same; ``None`` where its line does not say."""
    priced_by, priced_as, service, model, unverified = said
    if priced_by is None:
        return None
    source, _, version = priced_by.partition("@")
    return PricedBy(source, version, priced_as or f"{service}/{model}", unverified)
