"""Our own export as one JSON document, read line by line: each entry stands on a line of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...ledger.line import DamagedLine, decode
from ...ledger.places import MAX_LINE
from ..files import opened
from . import OWN_DOCUMENT, CannotRead, Import, Item, NotUnderstood, Sample


def _recognises(sample: Sample) -> bool:
    return sample.text.startswith(OWN_DOCUMENT)


def _read(path: Path) -> Iterator[Item]:
    try:
        with opened(path) as file:
            for number, raw in enumerate(iter(lambda: file.readline(2 * MAX_LINE), b""), start=1):
                if raw.startswith(b'{"v":'):
                    yield _item(f"line {number}", raw.rstrip(b",\r\n") + b"\n")
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error


def _item(where: str, raw: bytes) -> Item:
    try:
        return decode(raw)
    except DamagedLine as error:
        return NotUnderstood(where, str(error))


IMPORT: Final = Import("json", "Our own export as JSON.", _recognises, _read)
