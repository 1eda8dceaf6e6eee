"""Reads ledgers back from Parquet: the lines that were archived, to the byte and in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from ..errors import CostError
from ..ledger.columns import COLUMN_KINDS, COLUMN_NAMES, Value, entry_of
from ..ledger.line import encode
from ..units import FRACTIONAL_FIELDS
from .duck import connect
from .known import KnownArchive, fingerprint_of
from .manifest import DamagedArchive, HeldLedger

BATCH_BYTES: Final = 8 << 20
"""How many bytes of ledgers are read back at once."""

_ROWS: Final = 1_000


def plain_columns() -> str:
    """Return the columns of an entry in SQL, with times as text and amounts in nano-dollars.

    For Python objects with a time zone DuckDB needs a library that it does not install.
    """
    return ", ".join(_PLAIN.get(kind, "{0}").format(name) for name, kind in COLUMN_KINDS.items())


_PLAIN: Final = {
    "instant": "strftime(make_timestamp(epoch_us({0})), '%Y-%m-%dT%H:%M:%S.%fZ') AS {0}",
    "usd": "CAST(CAST({0} AS DECIMAL(38,9)) * 1000000000 AS BIGINT) AS {0}",
}


def values_of(row: Sequence[Any]) -> dict[str, Value]:  # what DuckDB gives for plain_columns()
    """Return a row's values by column, as :func:`entry_of` expects them."""
    return dict(zip(COLUMN_NAMES, row, strict=True))


Content = bytes | CostError
"""The content of a ledger, or why it cannot be read back."""


def restored(archive: KnownArchive, ledgers: Iterable[HeldLedger]) -> Iterator[tuple[HeldLedger, Content]]:
    """Yield each ledger that an archive holds whole with its content, or the error that prevents reading it.

    Some megabytes of ledgers are read at a time. Content that differs in a byte from what was archived is an
    error.
    """
    for batch in _batches(ledgers):
        try:
            contents = dict(_contents(archive, batch))
        except CostError as fault:
            yield from ((held, fault) for held in batch)
            continue
        for held in batch:
            content = contents.get(held.number, b"")
            is_same = fingerprint_of(content) == (held.size, held.head, held.tail)
            yield held, content if is_same else _cannot_read_back(archive, held)


def _cannot_read_back(archive: KnownArchive, held: HeldLedger) -> DamagedArchive:
    place = archive.place.location
    return DamagedArchive(
        f"{held.path} cannot be read back from {place}; cost-dashboard archive verify --to {place} says why"
    )


def _batches(ledgers: Iterable[HeldLedger]) -> Iterator[list[HeldLedger]]:
    batch, size = list[HeldLedger](), 0
    for held in ledgers:
        if batch and size + held.size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(held)
        size += held.size
    if batch:
        yield batch


def _contents(archive: KnownArchive, ledgers: Sequence[HeldLedger]) -> Iterator[tuple[int, bytes]]:
    numbers = [held.number for held in ledgers]
    parts = [part for part in archive.manifest.parts if any(map(part.may_have, numbers))]
    if not parts:
        return
    files = [str(archive.place.file(part.name)) for part in parts]
    with connect() as database:
        import duckdb  # installed, because connect() succeeded

        sql = f"""SELECT ledger, original, whole_seconds, {plain_columns()}
            FROM read_parquet(?, hive_partitioning = false)
            WHERE ledger IN ({", ".join(map(str, numbers))}) ORDER BY ledger, ledger_offset"""  # noqa: S608
        try:
            result = database.execute(sql, [files])
            for number, lines in groupby(_rows_of(result), key=itemgetter(0)):
                yield number, b"".join(map(_line, lines))
        except (duckdb.Error, ValueError) as fault:
            raise DamagedArchive(f"{archive.place.location}: cannot be read: {fault}") from fault


def _rows_of(result: Any) -> Iterator[tuple[Any, ...]]:  # DuckDB's connection
    while rows := result.fetchmany(_ROWS):
        yield from rows


def _line(row: tuple[Any, ...]) -> bytes:
    _, original, whole_seconds, *cells = row
    if original is not None:
        return str(original).encode("ascii")
    values = values_of(cells)
    if whole_seconds:
        values |= {name: _without_fraction(values[name]) for name in FRACTIONAL_FIELDS}
    return encode(entry_of(values))


def _without_fraction(seconds: Value) -> Value:
    return int(seconds) if isinstance(seconds, float) and seconds.is_integer() else seconds
