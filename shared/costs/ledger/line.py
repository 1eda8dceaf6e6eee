r"""The format of a ledger line: one ASCII JSON object and a newline, sealed with a CRC-32.

The seal is the last member, always 18 bytes: ``,"crc":"xxxxxxxx"}`` with the CRC-32 (as in zlib and
gzip) of every byte before that comma, in lower-case hexadecimal. It is the same in every format
version, so that a line can be checked without being understood. To check one by hand::

    head -c -19 <<<"$line" | gzip -c | tail -c8 | hexdump -n4 -e '"%08x"'

Times are UTC with microseconds; amounts are JSON numbers in USD with at most nine decimals; counts that
are zero, and optional fields that are empty, are left out. ``cost_state`` is ``partial`` if units had no
price (``unpriced_units``) and ``unknown`` if a call's usage is not known; without it, a cost is whole, and
a cost of ``null`` is unknown.

>>> from datetime import UTC, datetime
>>> at = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
>>> entry = Entry(id="0c", timestamp=at, job_id="job-1", user_id="1", service="local", model="sphinx")
>>> print(encode(entry).decode()[:73])
{"v":1,"kind":"usage","id":"0c","timestamp":"2026-11-22T09:30:00.000000Z"
>>> decode(encode(entry)) == entry
True
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import isinf
from operator import attrgetter
from typing import Any, Final, NoReturn
from zlib import crc32

from ..model import MAX_COUNT, TEXT_COUNTS, Charge, Entry, PricedBy, Units, Usage
from ..money import MAX_ENTRY_NANOS, NANOS_PER_USD, ZERO, Nanos, from_json_number, json_number
from ..units import USAGE_FIELDS, Kind
from .lines import MAX_LINE, DamagedLine

FORMAT: Final = 1
"""The version of the format that is written. Of newer lines, the known members are read."""

USUAL_LENGTH: Final = 1500
"""Longer lines, which are few, are read by :func:`decode` alone: whatever it refuses for its size (the line,
nested lists, the digits of a number) is longer than this."""

SEAL_LENGTH: Final = 19
"""The length of the seal in bytes, its newline included."""

_ABOVE_ANY_USD: Final = 2 * MAX_ENTRY_NANOS // NANOS_PER_USD

_KINDS: Final[frozenset[Kind]] = frozenset({"usage", "adjustment", "reversal"})
_OTHER_COUNTS: Final = tuple(n for n in USAGE_FIELDS if n not in ("tokens_input", "tokens_output"))
_counts_of: Final = attrgetter(*_OTHER_COUNTS)
_FURTHER: Final = TEXT_COUNTS - 2
_NO_FURTHER: Final = _counts_of(Usage())[_FURTHER:]
_TEXTS: Final = ("service_tier", "region", "reservation", "operation", "description", "workflow", "project")
_texts_of: Final = attrgetter(*_TEXTS)


def seal(body: bytes) -> bytes:
    """Return the line for a JSON object without its closing brace."""
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def is_sealed(raw: bytes) -> bool:
    """Tell whether a line, its newline included, ends in the CRC-32 of what comes before.

    >>> is_sealed(seal(b'{"v":1')), is_sealed(seal(b'{"v":1').replace(b"1", b"2", 1))
    (True, False)
    """
    return raw[-SEAL_LENGTH:] == b',"crc":"%08x"}\n' % crc32(raw[:-SEAL_LENGTH])


def is_usual(raw: bytes) -> bool:
    """Tell whether a line is sealed, ASCII and short, so that the fast readers can try it."""
    return len(raw) <= USUAL_LENGTH and is_sealed(raw) and raw.isascii()


def parse_sealed(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a sealed line.

    Raises:
        DamagedLine: it is too long, its seal is broken, or it is not a JSON object.

    """
    if len(raw) > MAX_LINE:
        raise DamagedLine(f"longer than {MAX_LINE} bytes")
    if not is_sealed(raw):
        raise DamagedLine(_why_unsealed(raw))
    try:
        parsed = parse_json(_replace_surrogates(raw.decode("ascii")))
    except (ValueError, RecursionError) as error:
        raise DamagedLine(f"not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise DamagedLine("not a JSON object")
    return parsed


def _why_unsealed(raw: bytes) -> str:
    if not raw.strip(b"\n"):
        return "empty line"
    if raw[-SEAL_LENGTH:-11] != b',"crc":"' or raw[-3:] != b'"}\n':
        return "cut off: it has no checksum at its end"
    return "damaged: its checksum does not match"


# --- writing -------------------------------------------------------------------------------------


def encode(entry: Entry) -> bytes:
    r"""Return the line for an entry.

    Lone surrogates, which are not text, become U+FFFD.

    Raises:
        ValueError: the id is empty, a time has no zone, an amount is above one million USD, the
            metadata contain NaN or an infinity, or the line would exceed 8 KiB.
        TypeError: the metadata contain something that JSON cannot express.

    """
    if not entry.id:
        raise ValueError("an entry needs an id")
    text = f"{_before_money(entry)}{_money_members(entry)}{_after_money(entry)}"
    line = seal((_replace_surrogates(text) if "\\" in text else text).encode("ascii"))
    if len(line) > MAX_LINE:
        raise ValueError(
            f"an entry must fit in {MAX_LINE} bytes, this one has {len(line)}; shorten its texts"
        )
    return line


# Members are joined as text: starting the encoder on an object takes longer than encoding all its texts.


def _before_money(entry: Entry) -> str:
    usage = entry.usage
    period = f',"period_at":"{_time(entry.period_at)}"' if entry.period_at is not None else ""
    attempt = f',"attempt":{entry.attempt}' if entry.attempt != 1 else ""
    return (
        f'{{"v":{FORMAT},"kind":"{entry.kind}","id":{_quoted(entry.id)},"timestamp":"{_time(entry.timestamp)}"'
        f'{period},"job_id":{_name(entry.job_id)},"user_id":{_name(entry.user_id)},"stage":{_name(entry.stage)}'
        f'{attempt},"service":{_name(entry.service)},"model":{_name(entry.model)}'
        f',"tokens_input":{usage.tokens_input},"tokens_output":{usage.tokens_output}{_other_counts(usage)}'
    )


@lru_cache(maxsize=256)
def _name(value: str | None) -> str:
    """Return a name as JSON, cached because a process writes few different ones."""
    return _text_or_null(value)


def _text_or_null(value: str | None) -> str:
    return "null" if value is None else _quoted(value)


def _other_counts(usage: Usage) -> str:
    values = _counts_of(usage)
    if values[_FURTHER:] == _NO_FURTHER:  # tokens of text alone, as most calls have
        values = values[:_FURTHER]
        if not any(values):
            return ""
    return "".join(
        [f',"{name}":{value!r}' for name, value in zip(_OTHER_COUNTS, values, strict=False) if value]
    )


def _money_members(entry: Entry) -> str:
    """Return the amounts as JSON members after a comma, without the exponent that ``json`` would write."""
    charge, actual, catalogue = entry.charge, entry.actual_cost, entry.catalogue_cost
    total = charge.total if charge else ZERO
    amounts = [total, actual or 0, catalogue or 0, *(charge.parts.values() if charge else ())]
    if max(map(abs, amounts)) > MAX_ENTRY_NANOS:
        raise ValueError(f"an amount of one entry must not exceed {json_number(MAX_ENTRY_NANOS)} USD")
    members = f',"cost_usd":{json_number(total) if charge else "null"}'
    if charge and charge.parts:
        parts = ",".join([f"{_name(part)}:{json_number(nanos)}" for part, nanos in charge.parts.items()])
        members += f',"cost_parts":{{{parts}}}'
    if actual is not None:
        members += f',"actual_cost_usd":{json_number(actual)}'
    if catalogue is not None:
        members += f',"catalogue_cost_usd":{json_number(catalogue)}'
    if entry.unpriced_units:
        # A server can report any count, but the line must be readable.
        units = {unit: min(count, MAX_COUNT) for unit, count in entry.unpriced_units.items()}
        members += f',"cost_state":"{entry.cost_state}","unpriced_units":{_dumps(units)}'
    return members


def _after_money(entry: Entry) -> str:
    members = [_priced(entry, entry.charge.priced_by)] if entry.charge else []
    if entry.estimated:
        members.append(',"estimated":true')
    request = "null" if entry.request_id is None else _quoted(entry.request_id)
    members.append(f',"request_id":{request}')
    if any(texts := _texts_of(entry)):
        members += [f',"{name}":{_quoted(text)}' for name, text in zip(_TEXTS, texts, strict=True) if text]
    if entry.tags:
        members.append(f',"tags":{_dumps(entry.tags)}')
    if entry.corrects is not None:
        members.append(_correction(entry))
    metadata = _metadata(entry.metadata) if entry.metadata else "{}"
    members.append(f',"host":{_name(entry.host)},"pid":{entry.pid},"metadata":{metadata}')
    return "".join(members)


def _metadata(metadata: Mapping[str, object]) -> str:
    if all(value.__class__ is str for value in metadata.values()):
        return _texts_by_name(*metadata.items())
    return _dumps(dict(metadata))


@lru_cache(maxsize=256)
def _texts_by_name(*texts: tuple[str, object]) -> str:
    """Return metadata of texts alone as JSON, cached because many entries of one origin share them."""
    return _dumps(dict(texts))


def _priced(entry: Entry, price: PricedBy) -> str:
    priced_as = (
        "" if price.model == f"{entry.service}/{entry.model}" else f',"priced_as":{_name(price.model)}'
    )
    unverified = ',"unverified":true' if price.unverified else ""
    return f'{priced_as},"priced_by":{_name(f"{price.source}@{price.version}")}{unverified}'


def _correction(entry: Entry) -> str:
    resolves = ',"resolves_unpriced":true' if entry.resolves_unpriced else ""
    if entry.resolves_partial:
        resolves += ',"resolves_partial":true'
    return f',"corrects":{_text_or_null(entry.corrects)},"why":{_text_or_null(entry.why)}{resolves}'


def _time(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError(f"a time needs a zone: {at.isoformat()}")
    at = at if at.tzinfo is UTC else at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:26] + "Z"


_dumps: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_quoted: Final = json.encoder.encode_basestring_ascii
"""Returns a text as JSON, as ``_dumps`` would."""

# Matches every escape of a JSON text: first surrogate pairs, which are one character, then lone halves.
_ESCAPE = re.compile(r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|.)", re.IGNORECASE)


def _replace_surrogates(text: str) -> str:
    """Return JSON without lone surrogates, which files and databases refuse."""
    if "\\" not in text:  # as in most lines; this takes a twentieth of the time of searching for both
        return text
    return _ESCAPE.sub(_replace_lone_surrogate, text) if "\\ud" in text or "\\uD" in text else text


def _replace_lone_surrogate(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape[1] else escape[0]


# --- reading -------------------------------------------------------------------------------------


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _number(text: str) -> float | str:
    """Return a number; as text if no float is that large, as 1e999: metadata keep it, amounts refuse it."""
    value = float(text)
    return text if isinf(value) else value


parse_json: Final = json.JSONDecoder(parse_float=_number, parse_constant=_refuse_constant).decode
"""Parses JSON; raises ``ValueError`` for NaN, infinities and text that is not JSON."""


def decode(raw: bytes) -> Entry:
    """Return the entry of one line, its newline included. Lone surrogates become U+FFFD.

    A line of a newer format is read leniently: it counts if its time and its cost are valid, and
    unknown members are ignored.

    Raises:
        DamagedLine: the line cannot be trusted, or no entry can have its values.

    """
    members = parse_sealed(raw)
    version = members.get("v")
    if type(version) is not int or version < 1:
        raise DamagedLine(f"no format version: {version!r}")
    try:
        return _entry(members, _usage(members)) if version <= FORMAT else _newer_entry(members)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DamagedLine(reason) from None


def _newer_entry(members: dict[str, Any]) -> Entry:
    try:
        usage = _usage(members)
    except (ValueError, TypeError):
        usage = Usage()
    if members.get("kind") not in _KINDS:
        members["kind"] = "adjustment"  # its money counts; whether it counts as a call is not known
    cost = members.get("cost_usd")
    if cost is not None and _parts_sum(members) != _nanos(cost):
        members["cost_parts"] = {"other": cost}
    if not isinstance(members.get("priced_by"), str):
        members["priced_by"] = ""
    return _entry(members, usage)


def _entry(members: dict[str, Any], usage: Usage) -> Entry:
    kind = members["kind"]
    if kind not in _KINDS:
        raise DamagedLine(f"unknown kind: {kind!r}")
    if not members["id"]:
        raise DamagedLine("no id")
    period_at = members.get("period_at")
    return Entry(
        id=_text(members, "id"),
        kind=kind,
        timestamp=_instant(members["timestamp"]),
        period_at=None if period_at is None else _instant(period_at),
        job_id=_text(members, "job_id"),
        user_id=_text(members, "user_id"),
        stage=_optional_text(members, "stage"),
        attempt=_count(members.get("attempt", 1)),
        service=_text(members, "service"),
        model=_text(members, "model"),
        usage=usage,
        charge=_charge(members),
        actual_cost=_optional_nanos(members, "actual_cost_usd"),
        catalogue_cost=_optional_nanos(members, "catalogue_cost_usd"),
        unpriced_units=_units(members.get("unpriced_units", {})),
        estimated=members.get("estimated", False) is True,
        request_id=_optional_text(members, "request_id"),
        service_tier=_optional_text(members, "service_tier"),
        region=_optional_text(members, "region"),
        reservation=_optional_text(members, "reservation"),
        operation=_optional_text(members, "operation"),
        description=_optional_text(members, "description"),
        workflow=_optional_text(members, "workflow"),
        project=_optional_text(members, "project"),
        tags=_tags(members.get("tags", ())),
        corrects=_optional_text(members, "corrects"),
        why=_optional_text(members, "why"),
        resolves_unpriced=members.get("resolves_unpriced", False) is True,
        resolves_partial=members.get("resolves_partial", False) is True,
        host=_optional_text(members, "host") or "",
        pid=_count(members.get("pid", 0)),
        metadata=_mapping(members.get("metadata", {}), "metadata"),
    )


def _usage(members: dict[str, Any]) -> Usage:
    return Usage(**{name: members[name] for name in USAGE_FIELDS if name in members})


def _charge(members: dict[str, Any]) -> Charge | None:
    cost = members["cost_usd"]
    if cost is None:
        return None
    parts = {
        part: _nanos(amount) for part, amount in _mapping(members.get("cost_parts", {}), "cost_parts").items()
    }
    if sum(parts.values()) != _nanos(cost):
        raise DamagedLine("cost_parts do not sum to cost_usd")
    return Charge(parts, _priced_by(members))


def _parts_sum(members: dict[str, Any]) -> int | None:
    try:
        return sum(_nanos(amount) for amount in members["cost_parts"].values())
    except (KeyError, AttributeError, ValueError):
        return None


def _priced_by(members: dict[str, Any]) -> PricedBy:
    source, _, version = _text(members, "priced_by").partition("@")
    model = _optional_text(members, "priced_as") or f"{members['service']}/{members['model']}"
    return PricedBy(source, version, model, unverified=members.get("unverified", False) is True)


def _nanos(amount: object) -> Nanos:
    if type(amount) not in (int, float):
        raise DamagedLine(f"not an amount: {amount!r}")
    # In USD first: a float such as 1e300 would not survive the multiplication.
    if abs(amount) <= _ABOVE_ANY_USD:  # type: ignore[arg-type]  # narrowed by the lines above
        nanos = from_json_number(amount)  # type: ignore[arg-type]
        if abs(nanos) <= MAX_ENTRY_NANOS:
            return nanos
    raise DamagedLine(f"amount out of range: {amount!r}")


def _optional_nanos(members: Mapping[str, Any], name: str) -> Nanos | None:
    amount = members.get(name)
    return None if amount is None else _nanos(amount)


def _units(value: object) -> Units:
    units = _mapping(value, "unpriced_units")
    for name, count in units.items():
        if type(count) not in (int, float) or not 0 <= count <= MAX_COUNT:
            raise DamagedLine(f"unpriced_units has no count of {name}: {count!r}")
    return units


def _instant(text: object) -> datetime:
    if not isinstance(text, str) or not text.endswith("Z"):
        raise DamagedLine(f"not a UTC time: {text!r}")
    return datetime.fromisoformat(text)


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    if not isinstance(value, str):
        raise DamagedLine(f"{name} is not text: {value!r}")
    return value


def _optional_text(members: Mapping[str, Any], name: str) -> str | None:
    return None if members.get(name) is None else _text(members, name)


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise DamagedLine(f"not a count: {value!r}")
    return value


def _tags(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(tag, str) for tag in value):
        raise DamagedLine(f"tags are not a list of texts: {value!r}")
    return tuple(value)


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamagedLine(f"{name} is not an object: {value!r}")
    return value
