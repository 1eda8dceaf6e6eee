"""Calls as JSON: ``{"calls": [{"model": ..., "prompt_tokens": ...}]}``, an array of them, or a line each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..documents import flat, rows_of
from . import Import, Item, Sample
from .usage_csv import is_of_calls


def _recognises(sample: Sample) -> bool:
    document = sample.document
    return (isinstance(document, dict) and isinstance(document.get("calls"), list)) or is_of_calls(
        flat(sample.row)
    )


def _read(path: Path) -> Iterator[Item]:
    return rows_of(path, "calls")


IMPORT: Final = Import(
    "calls-json",
    'A JSON file with a list "calls", or a list or lines of calls.',
    _recognises,
    _read,
    general=True,
)
