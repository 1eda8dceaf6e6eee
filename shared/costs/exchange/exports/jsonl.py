"""One ledger line an entry, as in the ledgers themselves: sealed, and readable by every reader of ledgers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...ledger.line import encode
from ..source import Source
from . import Context, Export, counted


def write(source: Source, target: Path, context: Context) -> int:
    """Write the entries as ledger lines."""
    written = 0
    with target.open("wb") as file:
        for entry in counted(source.entries(), context):
            file.write(encode(entry))
            written += 1
    return written


EXPORT: Final = Export("jsonl", ".jsonl", "Ledger lines, one JSON object each, with their checksums.", write)
