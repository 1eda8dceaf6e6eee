"""Rows in files by a hash of their key, so that a join of millions needs the memory of one file's rows.

The join is a grace hash join: both sides are divided by the same hash, and each part is joined by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from zlib import crc32

import msgspec

PARTS: Final = 64
"""Among how many files rows are divided: a million rows are 16,000 a file."""

_BATCH: Final = 250
"""How many rows wait in memory for each file."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[tuple[Any, ...]]).decode
_SIZE: Final = struct.Struct("<I")

Row = tuple[Any, ...]


def _part_of(key: object) -> int:
    """Return in which part a key is: the same in each process, so that a comparison tells the same again.

    >>> _part_of("chatcmpl-1"), _part_of(("gpt-4o", 1_000, 200))
    (33, 35)
    """
    text = key if isinstance(key, str) else repr(key)
    return crc32(text.encode("utf-8", "surrogatepass")) % PARTS


class Partitions:
    """Rows of one side, divided by the hash of their key. Used as a context, whose end removes the files."""

    def __init__(self, folder: Path, name: str) -> None:
        self._paths = [folder / f"{name}-{number}" for number in range(PARTS)]
        self._files: list[BinaryIO | None] = [None] * PARTS
        self._waiting: list[list[Row]] = [[] for _ in range(PARTS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            if file is not None:
                file.close()

    def add(self, key: object, row: Row) -> None:
        """Take a row."""
        number = _part_of(key)
        waiting = self._waiting[number]
        waiting.append(row)
        if len(waiting) >= _BATCH:
            self._write(number)

    def add_all(self, keys: Iterable[object], rows: Iterable[Row]) -> None:
        """Take many rows, with the key of each."""
        waiting = self._waiting
        for key, row in zip(keys, rows, strict=True):
            waiting[_part_of(key)].append(row)
        for number, each in enumerate(waiting):
            if len(each) >= _BATCH:
                self._write(number)

    def _write(self, number: int) -> None:
        file = self._files[number]
        if file is None:
            file = self._files[number] = self._paths[number].open("x+b")
        packed = _encode(self._waiting[number])
        file.write(_SIZE.pack(len(packed)))
        file.write(packed)
        self._waiting[number].clear()

    def part(self, number: int) -> Iterator[Row]:
        """Yield the rows of one part, in the order in which they were taken."""
        file = self._files[number]
        if file is not None:
            file.seek(0)
            while head := file.read(_SIZE.size):
                yield from _decode(file.read(_SIZE.unpack(head)[0]))
            file.seek(0, 2)
        yield from self._waiting[number]
