"""Counts in a usage that no adapter reads. They may be billed, so their call is marked partial.

Providers add fields to their usage before this project knows of them. Each adapter lists the names that it
reads or knows not to be billed. Any other field named like a count is kept as a unit without a price, so that
the charge states what is missing.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from .fields import Fields

_COUNT: Final = re.compile(
    r"(?:^|_)(?:tokens?|counts?|seconds|minutes|hours|requests|calls|searches|queries|characters|chars|pages"
    r"|images|pictures|videos|pixels|units|credits|steps|sessions|frames|documents|bytes|(?:num|n)_\w+)$"
)
_TOTAL: Final = re.compile(r"(?:^|_)total_\w+$")
_DEEPEST: Final = 4
_MOST_UNITS: Final = 16
"""How many units of one usage are kept, so that a ledger line stays short whatever a server sends."""

_LONGEST: Final = 64


def unread_counts(usage: Fields, known: Collection[str]) -> dict[str, int | float]:
    """Return the counts in a usage whose names are not ``known``, by their path in snake case.

    A part with a known name is skipped; in any other part every count is unread. Totals are left out, since
    what they sum is counted already.

    >>> tried = [{"prompt_tokens": 5}, {"prompt_tokens": 6}]
    >>> usage = {"prompt_tokens": 9, "videoTokens": 40, "attempts": tried}
    >>> unread_counts(Fields(usage), {"prompt_tokens"})
    {'video_tokens': 40, 'attempts_prompt_tokens': 11}
    """
    counts: dict[str, int | float] = {}
    for name, value in _members(usage.raw):
        if (field := _plain(name)) not in known:
            _collect(field, value, counts, _DEEPEST)
    return dict(list(counts.items())[:_MOST_UNITS])


def every_number(usage: Fields, known: Collection[str]) -> dict[str, int | float]:
    """Return the numbers in a usage in which every number is billed, whatever they are called.

    >>> every_number(Fields({"pages": 3, "widgets": 2, "took": 0}), {"pages"})
    {'widgets': 2}
    """
    numbers = ((_plain(name), _number(value)) for name, value in _members(usage.raw))
    return dict([(name, n) for name, n in numbers if n is not None and name not in known][:_MOST_UNITS])


def names_in(usage: Fields) -> list[str]:
    """Return the names of the fields of a usage, spelt as the provider spells them."""
    return [name for name, _ in _members(usage.raw)]


def _collect(name: str, value: object, counts: dict[str, int | float], depth: int) -> None:
    if (number := _number(value)) is not None:
        if _COUNT.search(name) and not _TOTAL.search(name):
            counts[name] = counts.get(name, 0) + number
    elif depth and not isinstance(value, (str, bytes, int, float)):
        if isinstance(value, (list, tuple)):
            for item in value:
                _collect(name, item, counts, depth - 1)
        else:
            for field, member in _members(value):
                _collect(f"{name}_{_plain(field)}"[:_LONGEST], member, counts, depth - 1)


def _number(value: object) -> int | float | None:
    """Return a number above zero, as an ``int`` if it is whole; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        return None
    return int(value) if value == int(value) else value


def _members(raw: object) -> Iterable[tuple[str, object]]:
    """Return the fields of a dict or an SDK object, including those that its type does not declare."""
    if isinstance(raw, Mapping):
        return [(str(name), value) for name, value in raw.items()]
    if dataclasses.is_dataclass(raw) and not isinstance(raw, type):
        return [(field.name, getattr(raw, field.name)) for field in dataclasses.fields(raw)]
    attributes = vars(raw) if hasattr(raw, "__dict__") and not isinstance(raw, type) else {}
    extra = getattr(raw, "__pydantic_extra__", None)
    return [
        (name, value) for name, value in {**attributes, **(extra or {})}.items() if not name.startswith("_")
    ]


_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ODD: Final = re.compile(r"[^a-z0-9_]+")


def _plain(name: str) -> str:
    return _ODD.sub("_", _HUMP.sub("_", name).lower())[:_LONGEST]
