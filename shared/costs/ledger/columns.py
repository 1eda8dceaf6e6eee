"""The columns of an exported table of entries, and an entry as a row under them.

One set of columns serves CSV, SQLite, Parquet and SQL queries, under the names of the ledger's own
fields. A row holds plain values: text, integers, amounts in nano-dollars, times as UTC text, and
JSON texts for lists and objects. :func:`entry_of` turns a row back into an entry equal to the original.

>>> from datetime import UTC, datetime
>>> at = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
>>> entry = Entry(id="0c", timestamp=at, job_id="job-1", user_id="1", service="local", model="sphinx")
>>> entry_of(dict(zip(COLUMN_NAMES, row_of(entry), strict=True))) == entry
True
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final, Literal, cast

from ..model import Charge, Entry, PricedBy, Usage
from ..money import Nanos, from_usd, json_number
from ..units import FRACTIONAL_FIELDS, USAGE_FIELDS, Kind

ColumnKind = Literal["text", "count", "seconds", "usd", "instant", "flag", "json"]
"""``usd`` values are nano-dollars in a row; ``instant`` ones are text such as
``2026-11-22T09:30:00.000000Z``; ``json`` ones are JSON text. ``None`` is *not stated*."""

Value = str | int | float | None
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class EntryColumn:
    """A column: its name, the kind of its values, and how to get an entry's value."""

    name: str
    kind: ColumnKind
    get: Callable[[Entry], Value]


def instant_text(at: datetime) -> str:
    """Return an instant in UTC with microseconds, as in ledger lines."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def parts_json(charge: Charge | None) -> str | None:
    """Return the parts of a charge as JSON, exact to the nano-dollar; ``None`` if unpriced."""
    if charge is None:
        return None
    return f"{{{','.join(f'{dumps(part)}:{json_number(nanos)}' for part, nanos in charge.parts.items())}}}"


dumps = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
"""Encodes JSON as in ledger lines: ASCII, without spaces."""


def _attribute(name: str, kind: ColumnKind = "text") -> EntryColumn:
    return EntryColumn(name, kind, attrgetter(name))


def _count(name: str) -> EntryColumn:
    kind: ColumnKind = "seconds" if name in FRACTIONAL_FIELDS else "count"
    return EntryColumn(name, kind, attrgetter(f"usage.{name}"))


def _priced(name: str, get: Callable[[PricedBy], Value], kind: ColumnKind = "text") -> EntryColumn:
    return EntryColumn(name, kind, lambda entry: get(entry.charge.priced_by) if entry.charge else None)


COLUMNS: Final[tuple[EntryColumn, ...]] = (
    _attribute("id"),
    _attribute("kind"),
    EntryColumn("timestamp", "instant", lambda entry: instant_text(entry.timestamp)),
    EntryColumn(
        "period_at", "instant", lambda entry: instant_text(entry.period_at) if entry.period_at else None
    ),
    *(_attribute(name) for name in ("job_id", "user_id", "stage")),
    _attribute("attempt", "count"),
    *(_attribute(name) for name in ("service", "model")),
    *(_count(name) for name in USAGE_FIELDS),
    EntryColumn("cost_usd", "usd", lambda entry: entry.charge.total if entry.charge else None),
    EntryColumn("cost_parts", "json", lambda entry: parts_json(entry.charge)),
    EntryColumn("actual_cost_usd", "usd", lambda entry: entry.actual_cost),
    EntryColumn("catalogue_cost_usd", "usd", lambda entry: entry.catalogue_cost),
    _attribute("cost_state"),
    EntryColumn(
        "unpriced_units",
        "json",
        lambda entry: dumps(dict(entry.unpriced_units)) if entry.unpriced_units else None,
    ),
    _priced("priced_as", lambda by: by.model),
    _priced("price_source", lambda by: by.source),
    _priced("price_version", lambda by: by.version),
    _priced("price_unverified", lambda by: int(by.unverified), "flag"),
    EntryColumn("estimated", "flag", lambda entry: int(entry.estimated)),
    *(
        _attribute(name)
        for name in (
            "service_tier",
            "region",
            "request_id",
            "reservation",
            "operation",
            "description",
            "workflow",
            "project",
        )
    ),
    EntryColumn("tags", "json", lambda entry: dumps(entry.tags) if entry.tags else None),
    *(_attribute(name) for name in ("corrects", "why")),
    EntryColumn("resolves_unpriced", "flag", lambda entry: int(entry.resolves_unpriced)),
    EntryColumn("resolves_partial", "flag", lambda entry: int(entry.resolves_partial)),
    _attribute("host"),
    _attribute("pid", "count"),
    EntryColumn("metadata", "json", lambda entry: dumps(dict(entry.metadata)) if entry.metadata else None),
)

COLUMN_NAMES: Final = tuple(column.name for column in COLUMNS)
COLUMN_KINDS: Final[Mapping[str, ColumnKind]] = {column.name: column.kind for column in COLUMNS}

_GETTERS: Final = tuple(column.get for column in COLUMNS)


def row_of(entry: Entry) -> Row:
    """Return the entry's values in the order of :data:`COLUMNS`."""
    return tuple([get(entry) for get in _GETTERS])


def entry_of(values: Mapping[str, Value]) -> Entry:
    """Return the entry of a row, given by column name; missing columns get their defaults.

    Raises:
        ValueError: no entry can have these values; the text names the column.

    """
    try:
        return _entry(values)
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def _entry(values: Mapping[str, Value]) -> Entry:
    kind = values.get("kind") or "usage"
    if kind not in ("usage", "adjustment", "reversal"):
        raise ValueError(f"kind is none of usage, adjustment, reversal: {kind!r}")
    return Entry(
        id=_text(values, "id"),
        kind=cast("Kind", kind),
        timestamp=_instant(_text(values, "timestamp")),
        period_at=_instant(str(values["period_at"])) if values.get("period_at") else None,
        usage=_usage(values),
        charge=_charge(values),
        attempt=int(values.get("attempt") or 1),
        actual_cost=_optional_nanos(values.get("actual_cost_usd")),
        catalogue_cost=_optional_nanos(values.get("catalogue_cost_usd")),
        unpriced_units=_parsed(values, "unpriced_units") or {},
        estimated=bool(values.get("estimated")),
        tags=tuple(_parsed(values, "tags") or ()),
        resolves_unpriced=bool(values.get("resolves_unpriced")),
        resolves_partial=bool(values.get("resolves_partial")),
        host=str(values.get("host") or ""),
        pid=int(values.get("pid") or 0),
        metadata=_parsed(values, "metadata") or {},
        job_id=_text(values, "job_id"),
        user_id=_text(values, "user_id"),
        service=_text(values, "service"),
        model=_text(values, "model"),
        **cast("dict[str, Any]", {name: _optional_text(values, name) for name in _OPTIONAL_TEXTS}),
    )


_OPTIONAL_TEXTS: Final = (
    *("stage", "service_tier", "region", "request_id", "reservation", "operation", "description"),
    *("workflow", "project", "corrects", "why"),
)


def _usage(values: Mapping[str, Value]) -> Usage:
    # The type checker cannot see that these names are Usage's own; Usage checks what they hold.
    counts = {name: value for name in USAGE_FIELDS if (value := values.get(name))}
    return Usage(**cast("dict[str, Any]", counts))


def _charge(values: Mapping[str, Value]) -> Charge | None:
    total = _optional_nanos(values.get("cost_usd"))
    if total is None:
        return None
    parts = {str(part): from_usd(amount) for part, amount in (_parsed(values, "cost_parts") or {}).items()}
    if sum(parts.values()) != total:
        raise ValueError(f"cost_parts do not sum to cost_usd: {values.get('cost_parts')!r}")
    model = _optional_text(values, "priced_as") or f"{values['service']}/{values['model']}"
    source, version = (_optional_text(values, name) or "" for name in ("price_source", "price_version"))
    return Charge(parts, PricedBy(source, version, model, unverified=bool(values.get("price_unverified"))))


def _optional_nanos(value: Value) -> Nanos | None:
    return None if value is None else Nanos(int(value))


def _text(values: Mapping[str, Value], name: str) -> str:
    text = values.get(name)
    if not isinstance(text, str) or not text:
        raise ValueError(f"{name} is missing")
    return text


def _optional_text(values: Mapping[str, Value], name: str) -> str | None:
    value = values.get(name)
    return None if value is None else str(value)


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time needs a zone: {text!r}")
    return at.astimezone(UTC)


def _parsed(values: Mapping[str, Value], name: str) -> Any:
    value = values.get(name)
    if value is None:
        return None
    parsed = json.loads(str(value))
    if not isinstance(parsed, list if name == "tags" else dict):
        raise ValueError(f"{name} is not as exported: {value!r}")  # noqa: TRY004 - a value of the file
    return parsed
