"""A month as one JSON file: ``{"month": "2025-10", "user_id": 1, "entries": [{...}, ...]}``.

What the document says beside its entries (user, job, service) holds for entries that do not say it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..documents import rows_of
from . import Import, Item, Sample


def _recognises(sample: Sample) -> bool:
    document = sample.document
    return isinstance(document, dict) and isinstance(document.get("entries"), list)


def _read(path: Path) -> Iterator[Item]:
    return rows_of(path, "entries")


IMPORT: Final = Import(
    "month-json", 'A month as JSON with a list "entries".', _recognises, _read, general=True
)
