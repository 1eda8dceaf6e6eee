"""The rows of JSON documents that other tools keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from .files import document_of, is_lines, json_lines, listed
from .rows import CannotRead, Foreign, Item, NotUnderstood

_OF_ALL: Final = ("user_id", "user", "job_id", "service", "provider", "currency", "project", "workflow")
"""What a document may say once for all of its rows."""


def rows_of(path: Path, key: str) -> Iterator[Item]:
    """Yield the rows of the list ``key`` of a document, of an array, or of JSON Lines, numbered from 1.

    Raises:
        CannotRead: the file is no JSON, or an object without such a list.

    """
    common: dict[str, object] = {}
    if is_lines(path, (key,)):
        rows = json_lines(path)
    else:
        document = document_of(path)
        if isinstance(document, Mapping):
            if not isinstance(document.get(key), list):
                raise CannotRead(f"{path}: has no list {key!r}")
            common = {name: document[name] for name in _OF_ALL if isinstance(document.get(name), (str, int))}
        rows = listed(path, document, (key,))
    for where, row in rows:
        if isinstance(row, Mapping):
            yield Foreign(where, common | _flat(row))
        elif isinstance(row, NotUnderstood):
            yield row
        else:
            yield NotUnderstood(where, f"is no object: {str(row)[:80]}")


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row with the members of ``usage`` and ``tokens`` objects beside its own."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and name in ("usage", "token_usage"):
            flat |= value
        elif isinstance(value, Mapping) and name == "tokens":
            flat |= {f"tokens_{kind}": count for kind, count in value.items()}
        else:
            flat[name] = value
    return flat
