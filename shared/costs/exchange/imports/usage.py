"""Usage as any tool may keep it: a CSV, a JSON document, lines of JSON or an SQLite table, one row a call.

What a document says beside its rows (user, job, service) holds for rows that do not say it.
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
_SAYS_HOW_MUCH: Final = frozenset(
    name
    for ours in ("tokens_input", "tokens_output", "tokens_total", "cost", "audio_seconds", "audio_minutes")
    for name in NAMES[ours]
)
_SAYS_WHAT_OR_WHEN: Final = frozenset([*NAMES["model"], *NAMES["timestamp"]]) - {"day", "month"}
"""Reports have days and months, too: by such a name alone nothing is known for a list of calls."""


def is_of_calls(names: Iterable[str]) -> bool:
    """Tell whether these are the names of a call's columns or members, of which our own export has others."""
    known = frozenset(map(known_name, names))
    is_own = "cost_parts" in known
    return not is_own and not known.isdisjoint(_SAYS_WHAT_OR_WHEN) and not known.isdisjoint(_SAYS_HOW_MUCH)


def _is_json_of_calls(sample: FileSample) -> bool:
    document = sample.document
    return (isinstance(document, dict) and isinstance(document.get("calls"), list)) or is_of_calls(
        flat(sample.row)
    )


def _is_month(sample: FileSample) -> bool:
    document = sample.document
    return isinstance(document, dict) and isinstance(document.get("entries"), list)


def _read_csv(path: Path) -> Iterator[Item]:
    if other := _OTHER_CURRENCY.search(titles_of(path)):
        raise CannotRead(
            f"{path}: says {other[0].strip()} above its columns, and only amounts in USD can be imported"
        )
    for found in csv_rows(path):
        yield found if isinstance(found, NotUnderstood) else ForeignRow(f"line {found[0]}", found[1])


_OTHER_CURRENCY: Final = re.compile(r"[€£¥₹]|\b(?:EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|BRL|SEK|NOK|DKK|PLN)\b")


def _read_sqlite(path: Path) -> Iterator[Item]:
    try:
        with opened_database(path) as database:
            try:
                rows = database.execute("SELECT rowid, * FROM usage_log ORDER BY rowid")
            except sqlite3.OperationalError:  # a view, or a table that has none
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
