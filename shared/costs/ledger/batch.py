"""Reads many lines of a ledger fast: each as what it counts as, in some 3.5 us of CPU.

A line in the form in which calls are usually written is taken apart by one typed decoder; everything
else, and whatever raises the least doubt, goes through :func:`.line.decode`. Both ways give the same,
which a test holds against each other line by line.

Only those who read whole ledgers import this: its decoder takes longer to import than a call to record.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Annotated, Any, Final, Literal
from zlib import crc32

import msgspec

from ..model import MAX_COUNT, MAX_SECONDS, TEXT_COUNTS, Usage, is_text
from ..money import MAX_ENTRY_NANOS, NANOS_PER_USD
from ..rollup import OUTPUT_PARTS
from ..units import FRACTIONAL_FIELDS, USAGE_FIELDS
from .counted import EPOCH, NAMES, NO_FURTHER_USAGE, CountedEntry, counted, usage_counts
from .line import FORMAT, SEAL_LENGTH, USUAL_LENGTH, decode
from .lines import DamagedLine, split

CountedLine = tuple[int, int, CountedEntry | DamagedLine]
"""A complete line's first byte, its length with the newline, and what it counts as, or why it does not."""


def read_counted(descriptor: int, start: int = 0, end: int | None = None) -> Iterator[CountedLine]:
    """Return each complete line from the byte ``start`` on, which must be the beginning of one.

    What follows the last newline is left: a writer may be at work there. ``end`` is as in
    :func:`.reader.split`. Whoever needs a line itself asks :func:`.reader.line_at` for it.

    Raises:
        OSError: the ledger cannot be read.

    """
    for offset, length, raw in split(descriptor, start, end):
        if raw[-1:] != b"\n":
            return
        yield offset, length, counted_line(raw)


def counted_line(raw: bytes) -> CountedEntry | DamagedLine:
    """Return what one line, its newline included, counts as, or why it does not."""
    # As `is_usual` says it, without the calls.
    if (
        len(raw) <= USUAL_LENGTH
        and raw[-SEAL_LENGTH:] == b',"crc":"%08x"}\n' % crc32(raw[:-SEAL_LENGTH])
        and raw.isascii()
        and (usual := _usual(raw)) is not None
    ):
        return usual
    try:
        return counted(decode(raw))
    except DamagedLine as damage:
        return damage


Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
"""A count as a usage takes it."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
"""A duration as a usage takes it, and other counts with fractions."""

_MAX_USD: Final = MAX_ENTRY_NANOS // NANOS_PER_USD
Amount = Annotated[int, msgspec.Meta(ge=0, le=_MAX_USD)] | Annotated[float, msgspec.Meta(ge=0, le=_MAX_USD)]
"""An amount of a call in USD."""

_Name = str | None


class _Parts(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The usual parts of a charge, in USD."""

    input: Amount = 0
    output: Amount = 0
    cached: Amount = 0
    cache_write: Amount = 0


class _Object(msgspec.Struct, gc=False):
    """Any JSON object, of which nothing is kept."""


_MEMBERS: Final[tuple[tuple[str, Any] | tuple[str, Any, Any], ...]] = (
    ("v", Literal[1]),
    ("kind", Literal["usage"]),
    ("id", Annotated[str, msgspec.Meta(min_length=1)]),
    ("timestamp", str),
    ("job_id", str),
    ("user_id", str),
    ("stage", _Name, None),
    ("attempt", Count, 1),
    ("service", str),
    ("model", str),
    *((unit, Seconds if unit in FRACTIONAL_FIELDS else Count, 0) for unit in USAGE_FIELDS),
    ("cost_usd", Amount | None),
    ("cost_parts", _Parts | None, None),
    ("priced_as", _Name, None),
    ("priced_by", _Name, None),
    ("estimated", bool, False),
    ("request_id", _Name, None),
    ("service_tier", _Name, None),
    ("reservation", _Name, None),
    ("operation", _Name, None),
    ("description", _Name, None),
    ("workflow", _Name, None),
    ("project", _Name, None),
    ("host", _Name, None),
    ("pid", Count, 0),
    ("metadata", _Object, None),
    ("crc", str),
)
"""The members of a usual line in the order in which they are written, which the decoder expects them in."""

_AT: Final = {member[0]: number for number, member in enumerate(_MEMBERS)}
_USAGE: Final = slice(_AT["tokens_input"], _AT["cost_usd"])
_FURTHER: Final = slice(_USAGE.start + 2, _USAGE.stop)
_BEYOND_TEXT: Final = slice(_USAGE.start + TEXT_COUNTS, _USAGE.stop)
_TEXT_ALONE: Final = NO_FURTHER_USAGE[TEXT_COUNTS - 2 :]
_names_of: Final = itemgetter(*(_AT[name] for name in NAMES))
_OTHERS: Final = (
    "id",
    "timestamp",
    "attempt",
    "cost_usd",
    "cost_parts",
    "priced_by",
    "estimated",
    "reservation",
)
_others_of: Final = itemgetter(*(_AT[name] for name in _OTHERS))

# What is written in the code below and above about the format, the counts and the parts.
assert FORMAT == 1
assert USAGE_FIELDS[:2] == ("tokens_input", "tokens_output")
assert "output" in OUTPUT_PARTS
assert not OUTPUT_PARTS & {"input", "cached", "cache_write"}

_decode: Final = msgspec.json.Decoder(
    msgspec.defstruct("_Usual", _MEMBERS, gc=False, forbid_unknown_fields=True, kw_only=True)
).decode
_astuple: Final = msgspec.structs.astuple
_new: Final = tuple.__new__  # the usual way to make a named tuple takes twice as long
_NO_TAGS: Final[tuple[str, ...]] = ()


def _usual(raw: bytes) -> CountedEntry | None:
    """Return what a sealed line in the usual form counts as; ``None`` where it takes a closer look."""
    try:
        values = _astuple(_decode(raw))
        entry_id, timestamp, attempt, total, parts, priced_by, estimated, reservation = _others_of(values)
        if timestamp[-1:] != "Z":
            return None
        since = datetime.fromisoformat(timestamp) - EPOCH
        at = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        usage = values[_USAGE]
        if values[_FURTHER] != NO_FURTHER_USAGE and not (
            values[_BEYOND_TEXT] == _TEXT_ALONE and is_text(*usage[:TEXT_COUNTS])
        ):
            usage = usage_counts(Usage(*usage))
    except (msgspec.MsgspecError, ValueError):
        return None
    cost = output = 0
    if total is not None:
        if parts is None or priced_by is None:
            return None
        cost, output = round(total * NANOS_PER_USD), round(parts.output * NANOS_PER_USD)
        others = round(parts.input * NANOS_PER_USD)
        if parts.cached or parts.cache_write:
            others += round(parts.cached * NANOS_PER_USD) + round(parts.cache_write * NANOS_PER_USD)
        if others + output != cost or cost > MAX_ENTRY_NANOS:
            return None
    return _new(
        CountedEntry,
        (
            entry_id,
            "usage",
            at,
            _names_of(values),
            _NO_TAGS,
            attempt,
            estimated,
            int(total is None),
            cost,
            output,
            usage,
            reservation,
            None,
            0,
        ),
    )
