"""What clouds' exports share: rows whose names differ in case, and what the names of meters and SKUs tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..files import json_rows
from ..imports import FileSample
from ..parquet import MAGIC, parquet_rows
from ..rows import NotUnderstood
from . import BillLine, Counts, Statement, lowered, understood

TWO_DAYS: Final = timedelta(days=2)
"""How late lines of clouds' bills come."""


class UsageMeter(NamedTuple):
    """What a usage type, meter or SKU counts: of which model, which kind of tokens, how many a unit."""

    model: str | None
    kind: str | None
    tier: str | None
    scale: int


_WORDS: Final = (
    ("cache-read", "cached"),
    ("cached", "cached"),
    ("cchd", "cached"),
    ("cache-write", "cache_write"),
    ("cachewrite", "cache_write"),
    ("cacheread", "cached"),
    ("thinking", "output"),
    ("output", "output"),
    ("outp", "output"),
    ("opt", "output"),
    ("response", "output"),
    ("input", "input"),
    ("inp", "input"),
    ("prompt", "input"),
)
"""What in a name tells the kind of tokens; the first that is there decides."""

_PLACES: Final[Mapping[str, tuple[int, ...]]] = {
    "input": (0,),
    "output": (1,),
    "cached": (0, 2),
    "cache_write": (0, 3),
}


def kind_of(name: str) -> str | None:
    """Return the kind of tokens that a meter's name tells.

    >>> kind_of("Claude4.6Opus-cache-read-input-token-count"), kind_of("gpt 4o 1120 Outp glbl Tokens")
    ('cached', 'output')
    """
    text = re.sub(r"[\s_]+", "-", name.lower())
    if "token" not in text and "count" not in text and "character" not in text and "prediction" not in text:
        return None
    return next((kind for word, kind in _WORDS if word in text), None)


def tier_of(name: str) -> str | None:
    """Return the service tier that a meter's name tells."""
    text = name.lower()
    return next((tier for tier in ("batch", "flex", "priority") if re.search(rf"\b{tier}\b", text)), None)


def counts_of(kind: str | None, quantity: Decimal | None, scale: int) -> Counts | None:
    """Return a quantity of one kind of tokens as counts."""
    if kind is None or quantity is None:
        return None
    counts = [0, 0, 0, 0]
    for place in _PLACES[kind]:
        counts[place] = round(quantity * scale)
    return counts[0], counts[1], counts[2], counts[3]


def place_of(kind: str | None) -> int | None:
    """Return the place of a kind of tokens among those that are compared."""
    return _PLACES[kind][-1] if kind else None


def scale_of(unit: str, usual: int) -> int:
    """Return how many tokens a unit is, as its name says.

    >>> scale_of("1K tokens", 1), scale_of("1m", 1), scale_of("tokens", 1_000)
    (1000, 1000000, 1)
    """
    text = unit.lower().replace(",", "")
    if re.search(r"\b1?\s*(k|1000|thousand)\b", text) or "1k" in text:
        return 1_000
    if re.search(r"\b1?\s*(m|1000000|million)\b", text) or "1m" in text:
        return 1_000_000
    return 1 if text in {"token", "tokens", "count", "requests"} else usual


def named_rows(path: Path) -> Iterator[tuple[str, Any] | NotUnderstood]:
    """Yield rows under their names in lower case: of a CSV, a Parquet file by DuckDB, or JSON."""
    sample = FileSample(path)
    is_parquet = sample.head.startswith(MAGIC)
    if not (is_parquet or sample.is_json):
        yield from sample.rows(named=lambda name: name.strip().lower())
        return
    for where, row in parquet_rows(path) if is_parquet else json_rows(path, "data"):
        yield where, lowered(row) if isinstance(row, Mapping) else row


def reader_of(
    line: Callable[[Statement, str, Mapping[str, Any]], BillLine | None],
) -> Callable[[Path, Statement], Iterator[BillLine | NotUnderstood]]:
    def read(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
        yield from understood(named_rows(path), partial(line, statement))

    return read


def having(*names: str) -> Callable[[FileSample], bool]:
    wanted = frozenset(names)

    def recognises(sample: FileSample) -> bool:
        return wanted <= sample.columns

    return recognises
