"""Rows of a table as CSV has them: from entries, or several times quicker straight from ledger lines.

A cell is text, a whole number or ``None``; amounts are decimals in USD without an exponent. Both ways
give the same cells for the same entry.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any, Final

from ..ledger.line import FORMAT, SEAL_LENGTH, decode, parse_sealed
from ..model import USAGE_FIELDS, Entry
from ..money import Nanos, from_json_number, json_number
from .columns import COLUMN_NAMES, COLUMNS, Value, dumps, row_of

Cells = list[Value]


def cells_of(entry: Entry) -> Cells:
    """Return an entry's cells under the export's columns."""
    found = list(row_of(entry))
    for position in _AMOUNTS:
        amount = found[position]
        if amount is not None:
            found[position] = json_number(Nanos(int(amount)))
    found[_SECONDS] = seconds_text(float(found[_SECONDS] or 0))
    return found


_AMOUNTS: Final = tuple(n for n, column in enumerate(COLUMNS) if column.kind == "usd")
_SECONDS: Final = COLUMN_NAMES.index("audio_seconds")


def cells_of_line(raw: bytes) -> Cells:
    """Return the cells of a ledger line.

    Raises:
        DamagedLine: its seal is broken, or it is no entry.

    """
    found = parse_sealed(raw)
    if found.get("v") != FORMAT:
        return cells_of(decode(raw))
    values = _EMPTY | found
    if found["cost_usd"] is not None:
        _add_charge(values, found)
    if "audio_seconds" in found:
        values["audio_seconds"] = seconds_text(found["audio_seconds"])
    if "actual_cost_usd" in found:
        values["actual_cost_usd"] = _amount(found["actual_cost_usd"])
    for name in _RARE:
        if name in found:
            values[name] = dumps(found[name]) if name == "tags" else int(found[name])
    if found["metadata"]:
        # The last member, so its text can be cut out as it stands: half the price of making it again.
        values["metadata"] = raw[raw.index(_METADATA) + len(_METADATA) : -SEAL_LENGTH].decode("ascii")
    else:
        values["metadata"] = None
    return list(_PICK(values))


_EMPTY: Final[dict[str, Any]] = {
    **dict.fromkeys(COLUMN_NAMES),
    **dict.fromkeys(USAGE_FIELDS, 0),
    "audio_seconds": "0",
    "attempt": 1,
    "estimated": 0,
    "resolves_unpriced": 0,
}
"""What a line means by leaving a field out."""

_METADATA: Final = b',"metadata":'
"""No text can hold these bytes: a quotation mark in a text has a backslash before it."""

_RARE: Final = ("estimated", "tags", "resolves_unpriced")
_PICK: Final = itemgetter(*COLUMN_NAMES)


_NO_PARTS: Final[dict[str, float]] = {}


def _add_charge(values: dict[str, Any], found: dict[str, Any]) -> None:
    values["cost_usd"] = _amount(found["cost_usd"])
    parts = found.get("cost_parts", _NO_PARTS).items()
    values["cost_parts"] = f"{{{','.join([f'{_quoted(part)}:{_amount(amount)}' for part, amount in parts])}}}"
    values["price_source"], _, values["price_version"] = found["priced_by"].partition("@")
    values["price_unverified"] = int(found.get("unverified", False))
    if "priced_as" not in found:
        values["priced_as"] = f"{found['service']}/{found['model']}"


@cache
def _quoted(part: str) -> str:
    """Return the name of a part as JSON; there are only some twenty of them."""
    return dumps(part)


def _amount(amount: float) -> str:
    """Return an amount of a line in decimals.

    A double's shortest form is the decimal it was read from, for amounts below 2**53 nano-dollars.
    """
    text = repr(amount)
    return json_number(from_json_number(amount)) if "e" in text else text


def seconds_text(seconds: float) -> str:
    """Return seconds to the microsecond without an exponent, which some readers do not know."""
    text = f"{seconds:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
