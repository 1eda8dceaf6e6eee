"""Usage as many tools write it: a CSV, a JSON document, JSON Lines or an SQLite table, one row per call.

Fields of the document (user, job, service) are the defaults of its rows.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ..delimited import csv_rows, titles_of
from ..documents import flat, rows_of
from ..foreign import NAMES, known_name
from ..rows import CannotRead, ForeignRow, Item, NotUnderstood
from . import FileSample, Import, opened_database

TABLE: Final = "usage_log"
_QUANTITY_NAMES: Final = frozenset(
    name
    for ours in ("tokens_input", "tokens_output", "tokens_total", "cost", "audio_seconds", "audio_minutes")
    for name in NAMES[ours]
)
_CALL_NAMES: Final = frozenset([*NAMES["model"], *NAMES["timestamp"]]) - {"day", "month"}
"""Names by which rows are recognised as calls; not ``day`` and ``month``, which reports also have."""


def is_of_calls(names: Iterable[str]) -> bool:
    """Tell whether these are the names of a call's columns or fields, but not those of our own export."""
    known = frozenset(map(known_name, names))
    is_own = "cost_parts" in known
    return not is_own and not known.isdisjoint(_CALL_NAMES) and not known.isdisjoint(_QUANTITY_NAMES)


def _is_json_of_calls(sample: FileSample) -> bool:
    document = sample.document
    return (isinstance(document, dict) and isinstance(document.get("calls"), list)) or is_of_calls(
        flat(sample.row)
    )


def _is_month(sample: FileSample) -> bool:
    document = sample.document
    return isinstance(document, dict) and isinstance(document.get("entries"), list)


def _read_csv(path: Path) -> Iterator[Item]:
    if currency := _OTHER_CURRENCY.search(titles_of(path)):
        raise CannotRead(
            f"{path}: says {currency[0].strip()} above its columns, and only amounts in USD can be imported"
        )
    for item in csv_rows(path):
        yield item if isinstance(item, NotUnderstood) else ForeignRow(f"line {item[0]}", item[1])


_OTHER_CURRENCY: Final = re.compile(r"[€£¥₹]|\b(?:EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|BRL|SEK|NOK|DKK|PLN)\b")


def _read_sqlite(path: Path) -> Iterator[Item]:
    try:
        with opened_database(path) as database:
            try:
                rows = database.execute("SELECT rowid, * FROM usage_log ORDER BY rowid")
            except sqlite3.OperationalError:  # a view, or a table without rowid
                rows = database.execute("SELECT row_number() OVER (), * FROM usage_log")
            names = [str(column[0]) for column in rows.description]
            for row in rows:
                values = dict(zip(names[1:], row[1:], strict=True))
                numbered = {"id": row[0], **values}
                yield ForeignRow(f"{TABLE} row {row[0]}", values, former_id_values=numbered)
    except sqlite3.Error as error:
        raise CannotRead(f"{path}: cannot be read as a database with a table {TABLE}: {error}") from error


CALLS_JSON: Final = Import(
    "calls-json",
    'A JSON file with a list "calls", or a list or lines of calls.',
    _is_json_of_calls,
    lambda path: rows_of(path, "calls"),
    general=True,
)
MONTH_JSON: Final = Import(
    "month-json",
    'A month as JSON with a list "entries".',
    _is_month,
    lambda path: rows_of(path, "entries"),
    general=True,
)
USAGE_CSV: Final = Import(
    "usage-csv",
    "A CSV with columns such as model, date, input_tokens, cost.",
    lambda sample: is_of_calls(sample.header),
    _read_csv,
    general=True,
)
USAGE_SQLITE: Final = Import(
    "usage-sqlite",
    "An SQLite database with a table usage_log.",
    lambda sample: TABLE in sample.tables,
    _read_sqlite,
    general=True,
)
