"""Our own export as an SQLite database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...ledger.columns import COLUMNS, entry_of
from ..exports.sqlite import column_name
from . import CannotRead, Import, Item, NotUnderstood, Sample, opened_database


def _recognises(sample: Sample) -> bool:
    return sample.tables.get("entries", frozenset()) >= {"id", "cost_nanos", "cost_parts"}


def _read(path: Path) -> Iterator[Item]:
    try:
        with opened_database(path) as database:
            rows = database.execute("SELECT * FROM entries ORDER BY rowid")
            ours = {column_name(column): column.name for column in COLUMNS}
            names = [ours.get(str(column[0])) for column in rows.description]
            for number, row in enumerate(rows, start=1):
                yield _item(number, {name: value for name, value in zip(names, row, strict=True) if name})
    except sqlite3.Error as error:
        raise CannotRead(f"{path}: cannot be read as an export: {error}") from error


def _item(number: int, values: dict[str, str | int | float | None]) -> Item:
    try:
        return entry_of(values)
    except ValueError as error:
        return NotUnderstood(f"entries row {number}", str(error))


IMPORT: Final = Import("sqlite", "Our own export as an SQLite database.", _recognises, _read)
