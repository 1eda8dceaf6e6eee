"""Our own export as JSONL, and any ledger: lines with a checksum each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...ledger.line import DamagedLine, decode, is_sealed
from ...ledger.places import MAX_LINE
from ..files import opened
from . import CannotRead, Import, Item, NotUnderstood, Sample


def _recognises(sample: Sample) -> bool:
    return any(is_sealed(line) for line in sample.head.splitlines(keepends=True)[:20])


def _read(path: Path) -> Iterator[Item]:
    try:
        with opened(path) as file:
            number = 0
            # A line that is too long comes in pieces, each of which is reported as damaged.
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                yield _item(f"line {number}", raw)
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error


def _item(where: str, raw: bytes) -> Item:
    try:
        return decode(raw)
    except DamagedLine as error:
        return NotUnderstood(where, str(error))


IMPORT: Final = Import("jsonl", "Our own export as JSONL, or a ledger.", _recognises, _read)
