"""A CSV of token usage: one row a call, with a model, a time and tokens or a cost."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..foreign import NAMES
from . import CannotRead, Foreign, Import, Item, NotUnderstood, Sample

_SAYS_HOW_MUCH: Final = frozenset(
    name
    for ours in ("tokens_input", "tokens_output", "tokens_total", "cost", "audio_seconds", "audio_minutes")
    for name in NAMES[ours]
)


def _recognises(sample: Sample) -> bool:
    header = sample.header
    if "cost_parts" in header:
        return False  # our own export, which has a reader of its own
    return not header.isdisjoint(NAMES["model"]) and not header.isdisjoint(_SAYS_HOW_MUCH)


def _read(path: Path) -> Iterator[Item]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="(more)")
            for row in reader:
                yield _item(reader.line_num, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CannotRead(f"{path}: cannot be read as CSV: {error}") from error


def _item(line: int, row: dict[str, str | None]) -> Item:
    where = f"line {line}"
    if "(more)" in row or None in row.values():
        return NotUnderstood(where, "has another number of cells than the header")
    return Foreign(where, row)


IMPORT: Final = Import(
    "usage-csv", "A CSV with columns such as model, date, input_tokens, cost.", _recognises, _read
)
