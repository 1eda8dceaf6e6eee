"""A CSV of token usage: one row a call, with a time and tokens or a cost, and mostly a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ..delimited import csv_rows
from ..foreign import NAMES, known_name
from ..rows import Foreign, Item, NotUnderstood
from . import Import, Sample

_SAYS_HOW_MUCH: Final = frozenset(
    name
    for ours in ("tokens_input", "tokens_output", "tokens_total", "cost", "audio_seconds", "audio_minutes")
    for name in NAMES[ours]
)
_SAYS_WHAT_OR_WHEN: Final = frozenset([*NAMES["model"], *NAMES["timestamp"]])


def is_of_calls(names: Iterable[str]) -> bool:
    """Tell whether these are the names of a call's columns or members, of which our own export has others."""
    known = frozenset(map(known_name, names))
    is_own = "cost_parts" in known
    return not is_own and not known.isdisjoint(_SAYS_WHAT_OR_WHEN) and not known.isdisjoint(_SAYS_HOW_MUCH)


def _recognises(sample: Sample) -> bool:
    return is_of_calls(sample.header)


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
