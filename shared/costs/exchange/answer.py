"""The result of a query as a report: one table, and in JSON one object a row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ..views.report import Column, Kind, Report, Table, Value
from .warehouse import Answer


def answer_report(answer: Answer) -> Report:
    """Return the report of a query's result."""
    columns = tuple(
        Column(name, name, _kind([row[n] for row in answer.rows])) for n, name in enumerate(answer.columns)
    )
    rows = tuple(tuple(_shown(value) for value in row) for row in answer.rows)
    table = Table("", columns, rows, empty="no rows")
    return Report(
        title=f"{len(rows):,} row{'' if len(rows) == 1 else 's'}", tables=(table,), data=_data(answer)
    )


def _kind(values: list[Any]) -> Kind:
    """Return ``count`` for whole numbers; everything else is shown as it is."""
    return "count" if all(type(value) is int for value in values if value is not None) else "text"


def _shown(value: Any) -> Value:  # whatever DuckDB gives
    if isinstance(value, Decimal):
        # Nine decimals of which most are zeros say nothing more than the digits before them.
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if value is None or isinstance(value, (int, float, str)):
        return value
    return str(value)


def _plain(value: Any) -> object:  # whatever DuckDB gives
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _data(answer: Answer) -> dict[str, object]:
    rows = [dict(zip(answer.columns, map(_plain, row), strict=True)) for row in answer.rows]
    return {"columns": list(answer.columns), "rows": rows}
