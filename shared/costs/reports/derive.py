"""JSON of records, derived from their fields: money in USD under names that say so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from ..money import Nanos, to_usd

_MONEY: Final = "Nanos"


def derive(record: Any, **names: str) -> dict[str, object]:
    """Return the fields of a NamedTuple or a dataclass as JSON has them.

    Fields that are declared as nano-dollars are USD, and their names end in ``_usd``; dates are in ISO
    8601, paths are texts, records and lists within are derived, too. ``names`` has the JSON's names of
    fields that are called otherwise.

    >>> from typing import NamedTuple
    >>> class Sum(NamedTuple):
    ...     model: str
    ...     cost: Nanos | None
    >>> derive(Sum("gpt-4o", Nanos(4_500_000)), model="name")
    {'name': 'gpt-4o', 'cost_usd': 0.0045}
    """
    declared = type(record).__annotations__
    derived: dict[str, object] = {}
    for field in getattr(record, "_fields", None) or declared:
        is_money, value = _MONEY in str(declared[field]), getattr(record, field)
        name = names.get(field, field)
        derived[f"{name}_usd" if is_money else name] = _money(value) if is_money else _plain(value)
    return derived


def _money(value: Any) -> object:
    if value is None or isinstance(value, int):
        return None if value is None else to_usd(Nanos(value))
    if isinstance(value, Mapping):
        return {str(key): _money(each) for key, each in value.items()}
    return [_money(each) for each in value]


def _plain(value: Any) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if hasattr(value, "_fields") or hasattr(value, "__dataclass_fields__"):
        return derive(value)
    return [_plain(each) for each in value]
