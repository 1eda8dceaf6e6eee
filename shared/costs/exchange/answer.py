"""The result of a query: a bounded table for people, and all of it, row by row, for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from io import StringIO
from itertools import islice
from math import isfinite
from typing import Any, Final

from ..formats.csv import safe_text
from ..reports.document import Column, Kind, Note, Report, Table, Value
from .warehouse import Answer

SHOWN: Final = 1_000
"""So many rows are laid out for people, which needs all of them in memory."""
COUNTED: Final = 1_000_000
"""So many rows beyond those are counted: a query may have no end."""

_PIECE: Final = 500


def answer_report(answer: Answer) -> Report:
    """Return the first rows of a query's result as a table, and how many more there are."""
    rows = iter(answer.rows)
    first = list(islice(rows, SHOWN))
    more = sum(1 for _ in islice(rows, COUNTED))
    endless = next(rows, None) is not None
    columns = tuple(
        Column(name, name, _kind([row[n] for row in first])) for n, name in enumerate(answer.columns)
    )
    table = Table("", columns, tuple(tuple(map(_shown, row)) for row in first), empty="no rows")
    count = len(first) + more
    title = f"{'more than ' if endless else ''}{count:,} row{'' if count == 1 else 's'}"
    return Report(title, tables=(table,), notes=tuple(_notes(more, endless)))


def _notes(more: int, endless: bool) -> Iterator[Note]:
    if endless:
        yield Note(f"More than {more:,} more, which are not counted; --format csv or --json has them all.")
    elif more:
        yield Note(f"{more:,} more; --format csv or --json has them all.")


def _kind(values: list[Any]) -> Kind:
    """Return ``count`` for whole numbers; everything else is shown as it is."""
    return "count" if all(type(value) is int for value in values if value is not None) else "text"


def _shown(value: Any) -> Value:  # whatever DuckDB gives
    if isinstance(value, Decimal):
        return _digits(value)
    if value is None or isinstance(value, (int, float, str)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    """Return what is neither a number nor a text as text: lists and structs as JSON."""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)


def _digits(value: Decimal) -> str:
    """Return a decimal; nine places of which most are zeros say nothing more than the digits before them."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def csv_pieces(answer: Answer) -> Iterator[str]:
    """Yield a query's result as CSV, its header first."""
    out = StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(map(safe_text, answer.columns))
    for number, row in enumerate(answer.rows, start=1):
        write(map(_cell, row))
        if number % _PIECE == 0:
            yield _taken(out)
    yield _taken(out)


def _taken(out: StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _cell(value: Any) -> object:  # whatever DuckDB gives
    """Return what the writer of CSV prints as it should be: numbers and ``None`` it knows itself."""
    kind = type(value)
    if kind is str:
        return safe_text(value)
    if kind is int or kind is float or value is None:
        return value
    if kind is bool:
        return "true" if value else "false"
    return _digits(value) if kind is Decimal else safe_text(_text(value))


def json_pieces(answer: Answer) -> Iterator[str]:
    """Yield a query's result as one JSON object: its columns, and an object for each row, one a line."""
    yield f'{{\n  "columns": {json.dumps(answer.columns)},\n  "rows": ['
    number = 0
    for number, row in enumerate(answer.rows, start=1):
        members = dict(zip(answer.columns, map(_plain, row), strict=True))
        yield f"{',' if number > 1 else ''}\n    {json.dumps(members, allow_nan=False)}"
    yield "\n  ]\n}\n" if number else "]\n}\n"


def _plain(value: Any) -> object:  # whatever DuckDB gives
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if isfinite(value) else None  # JSON has no other numbers
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


PIECES: Final[dict[str, Callable[[Answer], Iterable[str]]]] = {"csv": csv_pieces, "json": json_pieces}
"""The formats for programs, by name."""
