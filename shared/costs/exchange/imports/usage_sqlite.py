"""An SQLite database with a table ``usage_log``, one row a call."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from . import CannotRead, Foreign, Import, Item, Sample, opened_database

TABLE: Final = "usage_log"


def _recognises(sample: Sample) -> bool:
    return TABLE in sample.tables


def _read(path: Path) -> Iterator[Item]:
    try:
        with opened_database(path) as database:
            try:
                rows = database.execute("SELECT rowid, * FROM usage_log ORDER BY rowid")
            except sqlite3.OperationalError:  # a view, or a table that has none
                rows = database.execute("SELECT row_number() OVER (), * FROM usage_log")
            names = [str(column[0]) for column in rows.description]
            for row in rows:
                values = dict(zip(names[1:], row[1:], strict=True))
                yield Foreign(f"{TABLE} row {row[0]}", {"id": row[0], **values})
    except sqlite3.Error as error:
        raise CannotRead(f"{path}: cannot be read as a database with a table {TABLE}: {error}") from error


IMPORT: Final = Import(
    "usage-sqlite", "An SQLite database with a table usage_log.", _recognises, _read, general=True
)
