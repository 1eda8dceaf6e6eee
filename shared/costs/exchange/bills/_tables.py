"""Rows of clouds' exports, whose names of columns differ in case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..delimited import csv_rows
from ..files import json_rows
from ..imports import Sample
from ..parquet import MAGIC, parquet_rows
from ..rows import NotUnderstood
from . import BillLine, Statement, lowered, understood


def named_rows(path: Path) -> Iterator[tuple[str, Any] | NotUnderstood]:
    """Yield rows under their names in lower case: of a CSV, a Parquet file by DuckDB, or JSON."""
    sample = Sample(path)
    if sample.head.startswith(MAGIC):
        for where, row in parquet_rows(path):
            yield where, lowered(row)
        return
    if sample.text.lstrip()[:1] in ("{", "["):
        for where, row in json_rows(path, "data"):
            yield where, lowered(row) if isinstance(row, Mapping) else row
        return
    for found in csv_rows(path, named=lambda name: name.strip().lower()):
        yield found if isinstance(found, NotUnderstood) else (f"line {found[0]}", found[1])


def reader_of(
    line: Callable[[Statement, str, Mapping[str, Any]], BillLine | None],
) -> Callable[[Path, Statement], Iterator[BillLine | NotUnderstood]]:
    def read(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
        yield from understood(named_rows(path), partial(line, statement))

    return read


def having(*names: str) -> Callable[[Sample], bool]:
    wanted = frozenset(names)

    def recognises(sample: Sample) -> bool:
        return wanted <= sample.columns

    return recognises
