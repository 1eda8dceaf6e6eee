"""Shared by the clouds' exports: reading rows by names in any case, and names of meters and SKUs."""

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
"""How long after the usage lines of clouds' bills appear."""


class UsageMeter(NamedTuple):
    """What a usage type, meter or SKU counts: its model, kind of tokens, tier, and tokens per unit."""

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
"""Parts of names and the kind of tokens that they mean; the first match decides."""

_COUNT_INDEXES: Final[Mapping[str, tuple[int, ...]]] = {
    "input": (0,),
    "output": (1,),
    "cached": (0, 2),
    "cache_write": (0, 3),
}


def kind_of(name: str) -> str | None:
    """Return the kind of tokens in a meter's name.

    >>> kind_of("Claude4.6Opus-cache-read-input-token-count"), kind_of("gpt 4o 1120 Outp glbl Tokens")
    ('cached', 'output')
    """
    text = re.sub(r"[\s_]+", "-", name.lower())
    if "token" not in text and "count" not in text and "character" not in text and "prediction" not in text:
        return None
    return next((kind for word, kind in _WORDS if word in text), None)


def tier_of(name: str) -> str | None:
    """Return the service tier in a meter's name."""
    text = name.lower()
    return next((tier for tier in ("batch", "flex", "priority") if re.search(rf"\b{tier}\b", text)), None)


def counts_of(kind: str | None, quantity: Decimal | None, scale: int) -> Counts | None:
    """Return a quantity of one kind of tokens as counts of all kinds."""
    if kind is None or quantity is None:
        return None
    counts = [0, 0, 0, 0]
    for index in _COUNT_INDEXES[kind]:
        counts[index] = round(quantity * scale)
    return counts[0], counts[1], counts[2], counts[3]


def index_of(kind: str | None) -> int | None:
    """Return the index of a kind of tokens in ``TOKENS``."""
    return _COUNT_INDEXES[kind][-1] if kind else None


def scale_of(unit: str, usual: int) -> int:
    """Return how many tokens a unit is, by its name; ``usual`` if the name does not say.

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
    """Yield the rows of a CSV, a Parquet file (read by DuckDB) or JSON, with names in lower case."""
    sample = FileSample(path)
    is_parquet = sample.head.startswith(MAGIC)
    if not (is_parquet or sample.is_json):
        yield from sample.rows(named=lambda name: name.strip().lower())
        return
    for where, row in parquet_rows(path) if is_parquet else json_rows(path, "data"):
        yield where, lowered(row) if isinstance(row, Mapping) else row


def reader_of(
    to_line: Callable[[Statement, str, Mapping[str, Any]], BillLine | None],
) -> Callable[[Path, Statement], Iterator[BillLine | NotUnderstood]]:
    def read(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
        yield from understood(named_rows(path), partial(to_line, statement))

    return read


def having(*names: str) -> Callable[[FileSample], bool]:
    required = frozenset(names)

    def recognises(sample: FileSample) -> bool:
        return required <= sample.columns

    return recognises
