"""A JSON file with a list of calls: ``{"calls": [{"model": ..., "prompt_tokens": ...}, ...]}``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..documents import rows_of
from . import Import, Item, Sample


def _recognises(sample: Sample) -> bool:
    document = sample.document
    return isinstance(document, dict) and isinstance(document.get("calls"), list)


def _read(path: Path) -> Iterator[Item]:
    return rows_of(path, "calls")


IMPORT: Final = Import("calls-json", 'A JSON file with a list "calls".', _recognises, _read, general=True)
