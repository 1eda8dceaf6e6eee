"""Rows in a file, partitioned by a hash of their key, so that a join of millions needs memory for one part.

The join is a grace hash join: both sides are partitioned by the same hash, and each part is joined by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from zlib import crc32

import msgspec

PARTS: Final = 256
"""The number of parts: with a million rows, each has about 4,000."""

_BATCH: Final = 64
"""How many rows of each part are collected in memory before they are written."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[tuple[Any, ...]]).decode

Row = tuple[Any, ...]


def _part_of(key: object) -> int:
    """Return the number of a key's part; it is the same in every process, so that results can be repeated.

    >>> _part_of("chatcmpl-1"), _part_of(("gpt-4o", 1_000, 200))
    (161, 227)
    """
    text = key if isinstance(key, str) else repr(key)
    return crc32(text.encode("utf-8", "surrogatepass")) % PARTS


class Partitions:
    """The rows of one side, partitioned by a hash of their key. As a context manager it closes its file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / name
        self._file: BinaryIO | None = None
        self._written = 0
        self._blocks: list[list[tuple[int, int]]] = [[] for _ in range(PARTS)]
        """The blocks of each part in the file: offset and length in bytes."""
        self._waiting: list[list[Row]] = [[] for _ in range(PARTS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, key: object, row: Row) -> None:
        """Add a row."""
        number = _part_of(key)
        waiting = self._waiting[number]
        waiting.append(row)
        if len(waiting) >= _BATCH:
            self._write(number)

    def add_all(self, keys: Iterable[object], rows: Iterable[Row]) -> None:
        """Add many rows, with the key of each."""
        waiting = self._waiting
        for key, row in zip(keys, rows, strict=True):
            waiting[_part_of(key)].append(row)
        for number, rows_of_part in enumerate(waiting):
            if len(rows_of_part) >= _BATCH:
                self._write(number)

    def _write(self, number: int) -> None:
        if self._file is None:
            self._file = self._path.open("x+b")
        packed = _encode(self._waiting[number])
        self._file.write(packed)
        self._blocks[number].append((self._written, len(packed)))
        self._written += len(packed)
        self._waiting[number].clear()

    def part(self, number: int) -> Iterator[Row]:
        """Yield the rows of one part, in the order in which they were added."""
        if self._file is not None:
            self._file.flush()
            for start, length in self._blocks[number]:
                yield from _decode(os.pread(self._file.fileno(), length, start))
        yield from self._waiting[number]
