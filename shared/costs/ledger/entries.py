"""Reads many entries of ledgers fast: in some 7 us of CPU each, where :func:`.line.decode` takes 40.

A line in the form in which calls are usually written is parsed by one typed decoder; everything else,
and every doubtful line, goes through :func:`.line.decode`. Both give the same entries: a test compares them
line by line.

Import this only to read whole ledgers: importing its decoder takes longer than recording a call.
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
"""The members of a usual line in the order in which they are written, as the decoder expects them."""

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

_CONVERTED: Final = ("timestamp", "period_at", "usage", "charge", "tags", "host", "metadata")
_ABSENT: Final = {
    "actual_cost": None,
    "catalogue_cost": None,
    "unpriced_units": NO_UNITS,
    "corrects": None,
    "why": None,
    "resolves_unpriced": False,
    "resolves_partial": False,
}
"""Fields that a usual line does not have."""
_COPIED: Final = tuple(member.name for member in fields(Entry) if member.name not in (*_CONVERTED, *_ABSENT))
_copied_of: Final = itemgetter(*(_AT[name] for name in _COPIED))

# Setting this many slots of a frozen object takes three times as long as making one that is not frozen. The
# two have the same slots, so that the class can be changed afterwards.
_OpenEntry: Final = make_dataclass("_OpenEntry", (*_COPIED, *_ABSENT, *_CONVERTED), slots=True)
_OpenUsage: Final = make_dataclass("_OpenUsage", USAGE_FIELDS, slots=True)
_NO_USAGE: Final[tuple[int | float, ...]] = attrgetter(*USAGE_FIELDS)(Usage())
_NO_FURTHER: Final = _NO_USAGE[2:]
_FRACTIONS: Final = [(USAGE_FIELDS.index(name), name) for name in sorted(FRACTIONAL_FIELDS)]
_ABSENT_VALUES: Final = tuple(_ABSENT.values())


def entry_of(raw: bytes) -> Entry:
    """Return the entry of one line, its newline included, exactly as :func:`.line.decode` does.

    Raises:
        DamagedLine: the line cannot be trusted, or no entry can have its values.

    """
    if is_usual(raw) and (usual := _usual(raw)) is not None:
        return usual
    return decode(raw)


def _usual(raw: bytes) -> Entry | None:
    """Return the entry of a sealed line in the usual form; ``None`` if ``decode`` must read it."""
    try:
        values = _astuple(_decode(raw))
        timestamp, period_at, total, parts, tags, host, metadata = _read_of(values)
        at = _instant(timestamp)
        counted_at = None if period_at is None else _instant(period_at)
        usage = _usage(values[_USAGE])
        notes = {} if metadata is _NO_METADATA else _metadata(bytes(metadata))
    except (msgspec.MsgspecError, ValueError):
        return None
    charge = None
    if total is not None:
        amounts, priced_by = _amounts(total, parts), _priced_by(_pricing_of(values))
        if amounts is None or priced_by is None:
            return None
        charge = Charge(amounts, priced_by)
    entry: Any = _OpenEntry(
        *_copied_of(values), *_ABSENT_VALUES, at, counted_at, usage, charge, tuple(tags), host or "", notes
    )
    entry.__class__ = Entry
    typed: Entry = entry
    return typed


def _instant(text: str) -> datetime:
    if text[-1:] != "Z":
        raise ValueError("not a UTC time")
    return datetime.fromisoformat(text)


def _usage(counts: tuple[Any, ...]) -> Usage:
    """Return a usage of counts that are known to be within their bounds."""
    usage: Any = _OpenUsage(*counts)
    if counts[2:] != _NO_FURTHER:
        for at, name in _FRACTIONS:
            if counts[at]:
                setattr(usage, name, round(counts[at], 6))
        usage.__class__ = Usage
        usage.require_subsets()
    else:
        usage.__class__ = Usage
    typed: Usage = usage
    return typed


def _metadata(text: bytes) -> dict[str, Any]:
    if text == b"{}":
        return {}
    metadata = parse_json(text.decode("ascii"))
    if not isinstance(metadata, dict) or b"\\ud" in text or b"\\uD" in text:  # perhaps half a character
        raise ValueError("not the usual metadata")
    return metadata


def _amounts(total: float, parts: dict[str, float]) -> dict[str, Nanos] | None:
    """Return the parts of a charge in nano-dollars; ``None`` if they do not sum to the total."""
    amounts = {part: Nanos(round(amount * NANOS_PER_USD)) for part, amount in parts.items()}
    whole = round(total * NANOS_PER_USD)
    return amounts if sum(amounts.values()) == whole <= MAX_ENTRY_NANOS else None


@lru_cache(maxsize=256)
def _priced_by(pricing: tuple[str | None, str | None, str, str, bool]) -> PricedBy | None:
    """Return the price that a call was charged at, cached; ``None`` if its line does not have it."""
    priced_by, priced_as, service, model, unverified = pricing
    if priced_by is None:
        return None
    source, _, version = priced_by.partition("@")
    return PricedBy(source, version, priced_as or f"{service}/{model}", unverified)
