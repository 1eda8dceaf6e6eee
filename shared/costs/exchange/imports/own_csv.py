"""Our own export as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...ledger.columns import COLUMN_KINDS, ColumnKind, Value, entry_of
from ...model import Entry
from ...money import from_usd
from ..delimited import csv_rows
from ..exports.csv import unguarded
from ..rows import Item, NotUnderstood
from . import Import, Sample

_MARKS: Final = frozenset({"id", "cost_usd", "cost_parts", "price_source"})


def _recognises(sample: Sample) -> bool:
    return sample.header >= _MARKS


def _read(path: Path) -> Iterator[Item]:
    for found in csv_rows(path, as_written=True):
        yield found if isinstance(found, NotUnderstood) else _item(*found)


def _item(line: int, row: dict[str, str]) -> Item:
    try:
        return _entry(row)
    except ValueError as error:
        return NotUnderstood(f"line {line}", str(error))


def _entry(row: dict[str, str]) -> Entry:
    return entry_of(
        {name: _value(COLUMN_KINDS[name], text) for name, text in row.items() if name in COLUMN_KINDS}
    )


def _value(kind: ColumnKind, text: str) -> Value:
    """Return a cell as the value it was written from.

    Raises:
        ValueError: it is none of its column's kind.

    """
    if not text:
        return None
    if kind == "usd":
        return from_usd(text)
    if kind in ("count", "flag"):
        return int(text)
    if kind == "seconds":
        return float(text)
    return unguarded(text) if kind in ("text", "json") else text


IMPORT: Final = Import("csv", "Our own export as CSV.", _recognises, _read)
