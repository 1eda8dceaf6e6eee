"""Counts of a usage that no adapter reads: billed, for all that is known, so the call they are of is partial.

Providers add fields to their usage before anybody here has heard of them. Each adapter says which names it
reads, or knows to be facts beside what is billed; any other that has the name of a count is kept as a unit
without a price, so that the charge says what is missing instead of leaving it out.
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
"""How many units of one usage are kept: a line of a ledger stays short, whatever a server sends."""

_LONGEST: Final = 64


def unread_counts(usage: Fields, known: Collection[str]) -> dict[str, int | float]:
    """Return the counts in a usage whose names are not ``known``, in snake case, by the way to them.

    A part whose name is known is not looked into; in one that is not, every count is unread. Totals are
    left out, since what they sum is counted.

    >>> tried = [{"prompt_tokens": 5}, {"prompt_tokens": 6}]
    >>> usage = {"prompt_tokens": 9, "videoTokens": 40, "attempts": tried}
    >>> unread_counts(Fields(usage), {"prompt_tokens"})
    {'video_tokens': 40, 'attempts_prompt_tokens': 11}
    """
    found: dict[str, int | float] = {}
    for name, value in _members(usage.raw):
        if (plain := _plain(name)) not in known:
            _collect(plain, value, found, _DEEPEST)
    return dict(list(found.items())[:_MOST_UNITS])


def every_number(usage: Fields, known: Collection[str]) -> dict[str, int | float]:
    """Return the numbers in a usage that states nothing but what is billed, whatever they are called.

    >>> every_number(Fields({"pages": 3, "widgets": 2, "took": 0}), {"pages"})
    {'widgets': 2}
    """
    named = ((_plain(name), _number(value)) for name, value in _members(usage.raw))
    return dict([(name, n) for name, n in named if n is not None and name not in known][:_MOST_UNITS])


def names_in(usage: Fields) -> list[str]:
    """Return the names of the fields of a usage, as they are spelt there."""
    return [name for name, _ in _members(usage.raw)]


def _collect(name: str, value: object, found: dict[str, int | float], depth: int) -> None:
    if (number := _number(value)) is not None:
        if _COUNT.search(name) and not _TOTAL.search(name):
            found[name] = found.get(name, 0) + number
    elif depth and not isinstance(value, (str, bytes, int, float)):
        if isinstance(value, (list, tuple)):
            for each in value:
                _collect(name, each, found, depth - 1)
        else:
            for inner, part in _members(value):
                _collect(f"{name}_{_plain(inner)}"[:_LONGEST], part, found, depth - 1)


def _number(value: object) -> int | float | None:
    """Return a number above zero, a whole one as such; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        return None
    return int(value) if value == int(value) else value


def _members(raw: object) -> Iterable[tuple[str, object]]:
    """Return the fields of a dict or of an SDK's object, with those that its type does not know."""
    if isinstance(raw, Mapping):
        return [(str(name), value) for name, value in raw.items()]
    if dataclasses.is_dataclass(raw) and not isinstance(raw, type):
        return [(field.name, getattr(raw, field.name)) for field in dataclasses.fields(raw)]
    own = vars(raw) if hasattr(raw, "__dict__") and not isinstance(raw, type) else {}
    extra = getattr(raw, "__pydantic_extra__", None)
    return [(name, value) for name, value in {**own, **(extra or {})}.items() if not name.startswith("_")]


_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ODD: Final = re.compile(r"[^a-z0-9_]+")


def _plain(name: str) -> str:
    return _ODD.sub("_", _HUMP.sub("_", name).lower())[:_LONGEST]
