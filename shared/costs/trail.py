"""The audit trail's records of changes to settings files. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import ndiff
from hashlib import sha256
from typing import Any, Final

TRAIL: Final = "changes"
"""The name of the log of changed settings."""

MOST_LINES: Final = 40
"""How many changed lines a record has at most."""


def change_of(path: str, before: str | None, after: str, at: float) -> dict[str, Any]:
    r"""Return the record of a file's change; ``before`` is ``None`` if it was read for the first time.

    >>> change_of("p.yaml", "a: 1\nb: 2\n", "a: 1\nb: 3\n", 0.0)["lines"]
    ['- 2: b: 2', '+ 2: b: 3']
    """
    lines = [] if before is None else list(changed_lines(before, after))
    return {
        "at": at,
        "path": path,
        "digest": sha256(after.encode()).hexdigest()[:16],
        "first": before is None,
        "lines": lines[:MOST_LINES],
        "more": max(0, len(lines) - MOST_LINES),
    }


def changed_lines(before: str, after: str) -> Iterator[str]:
    """Yield the removed lines (``-``) and the added ones (``+``), with their numbers."""
    old = new = 0
    for line in ndiff(before.splitlines(), after.splitlines()):
        mark, text = line[:1], line[2:]
        old += mark in " -"
        new += mark in " +"
        if mark == "-":
            yield f"- {old}: {text.rstrip()}"
        elif mark == "+":
            yield f"+ {new}: {text.rstrip()}"
