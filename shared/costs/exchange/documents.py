"""The rows of JSON documents that other tools keep."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from .imports import CannotRead, Foreign, Item, NotUnderstood

_OF_ALL: Final = ("user_id", "user", "job_id", "service", "provider", "currency", "project", "workflow")
"""What a document may say once for all of its rows."""


def rows_of(path: Path, key: str) -> Iterator[Item]:
    """Yield the rows of the list ``key`` of a document, numbered from 1.

    Raises:
        CannotRead: the file is no JSON object with such a list.

    """
    document = _document(path)
    rows = document.get(key)
    if not isinstance(rows, list):
        raise CannotRead(f"{path}: has no list {key!r}")
    common = {name: document[name] for name in _OF_ALL if isinstance(document.get(name), (str, int))}
    for number, row in enumerate(rows, start=1):
        where = f"{key}[{number}]"
        if isinstance(row, Mapping):
            yield Foreign(where, common | _flat(row))
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


def _document(path: Path) -> Mapping[str, object]:
    try:
        # Amounts are read as they are written: a float would round some before we could.
        found = json.loads(path.read_bytes(), parse_float=Decimal)
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CannotRead(f"{path}: is no JSON: {error}") from None
    if not isinstance(found, Mapping):
        raise CannotRead(f"{path}: is no JSON object")
    return found
