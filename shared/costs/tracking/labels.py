"""Checks of single arguments: names, numbers that count from 1, flags."""

from __future__ import annotations

import unicodedata
from typing import Final

from ..model import plain_number
from ..storage import printable

MAX_NAME: Final = 200
"""Longest name of a service, model, stage, user or other label, in characters."""


_BEGINNING: Final = 72
"""How much of a name or an id that is too long stays readable, in characters."""


def name(what: str, value: object) -> str:
    """Return a required label as it was given.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, too long, or has control characters or lone surrogates.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {value!r}")
    if not value.strip():
        raise ValueError(f"{what} must not be empty")
    if len(value) > MAX_NAME:
        raise ValueError(f"{what} must have at most {MAX_NAME} characters, not {len(value)}")
    if not value.isascii() or not value.isprintable():
        _refuse_control_characters(what, value)
    return value


def optional_name(what: str, value: object) -> str | None:
    """Return a label, or ``None`` where none (or an empty one) was given."""
    return None if value is None or value == "" else name(what, value)


def fitting(text: str | None) -> str | None:
    """Return a name or an id as an entry can hold it: a proxy's may be longer than a label, or no text line.

    >>> fitting("resp_1"), len(fitting("resp_" + "a" * 300)), fitting("  ")
    ('resp_1', 137, None)
    """
    if text is None or not text.strip():
        return None
    if len(text) <= MAX_NAME and text.isprintable():
        return text
    import hashlib  # nearly every one fits

    beginning = printable(text[:_BEGINNING])
    return f"{beginning}~{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def positive(what: str, value: object) -> int | None:
    """Return a number that counts from 1, or ``None`` where none was given."""
    if value is None:
        return None
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be a whole number, not {value!r}")
    if not 1 <= value <= 1_000_000:
        raise ValueError(f"{what} counts from 1, not {value!r}")
    return value


def user_name(value: object) -> str:
    """Return a user id as text: ``1`` and ``"1"`` are one user."""
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"user_id must be a number or a name, not {value!r}")
    return name("user_id", str(value))


def flag(what: str, value: object) -> bool:
    """Return a flag.

    Raises:
        TypeError: it is neither ``True`` nor ``False``.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, not {value!r}")
    return value


def _refuse_control_characters(what: str, value: str) -> None:
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise ValueError(f"{what} must have no control characters, but has {character!r} in {value!r}")
