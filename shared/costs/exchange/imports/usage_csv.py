"""A CSV of token usage: one row a call, with a time and tokens or a cost, and mostly a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..files import csv_rows
from ..foreign import NAMES
from ..rows import Foreign, Item, NotUnderstood
from . import Import, Sample

_SAYS_HOW_MUCH: Final = frozenset(
    name
    for ours in ("tokens_input", "tokens_output", "tokens_total", "cost", "audio_seconds", "audio_minutes")
    for name in NAMES[ours]
)
_SAYS_WHAT_OR_WHEN: Final = frozenset([*NAMES["model"], *NAMES["timestamp"]])


def _recognises(sample: Sample) -> bool:
    header = sample.header
    if "cost_parts" in header:
        return False  # our own export, which has a reader of its own
    return not header.isdisjoint(_SAYS_WHAT_OR_WHEN) and not header.isdisjoint(_SAYS_HOW_MUCH)


def _read(path: Path) -> Iterator[Item]:
    for found in csv_rows(path):
        yield found if isinstance(found, NotUnderstood) else Foreign(f"line {found[0]}", found[1])


IMPORT: Final = Import(
    "usage-csv",
    "A CSV with columns such as model, date, input_tokens, cost.",
    _recognises,
    _read,
    general=True,
)
