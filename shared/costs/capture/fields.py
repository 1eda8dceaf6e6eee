"""Reading SDK objects and plain dicts alike, without copying or dumping them.

A response may hold megabytes of vectors or images. Only the few fields that an adapter names are read, so
prompts and completions never pass through here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from ..model import plain_number

_ABSENT_TYPES: Final = frozenset({"Unset", "NotGiven", "Omit"})
"""Placeholders of generated SDKs for a field that the server did not send."""


_DIGITS: Final = re.compile(r"\d{1,15}(?:\.\d{1,9})?")


class UnreadableCount(ValueError):
    """A count in a response is not a number from 0 up. The text names the field and its value."""


class Fields:
    """One object of a response. A missing field reads as empty, so that nested lookups need no checks.

    Names are tried in the order given, in snake case and, for JSON of Google and AWS, in camel case.

    >>> usage = Fields({"usage": {"inputTokens": 7}}).part("usage")
    >>> usage.count("input_tokens"), usage.count("output_tokens"), bool(usage.part("cache"))
    (7, 0, False)
    """

    __slots__ = ("raw",)

    def __init__(self, raw: object) -> None:
        self.raw = raw

    def __bool__(self) -> bool:
        return self.raw is not None

    def get(self, *names: str) -> object:
        """Return the first of these fields that has a value, else ``None``."""
        raw = self.raw
        read = raw.get if isinstance(raw, Mapping) else partial(_attribute, raw)
        for name in names:
            for spelling in spellings(name):
                value = read(spelling)
                if value is not None and type(value).__name__ not in _ABSENT_TYPES:
                    result: object = value
                    return result
        return None

    def has(self, *names: str) -> bool:
        """Tell whether all of these fields have a value."""
        return all(self.get(name) is not None for name in names)

    def part(self, *names: str) -> Fields:
        """Return the object in this field; an empty one if the field is missing."""
        return Fields(self.get(*names))

    def usage(self, *names: str) -> Fields:
        """Return the usage in this field; an empty one if it states nothing, which differs from stating zero.

        >>> [bool(Fields({"usage": usage}).usage("usage")) for usage in ({"tokens": None}, [], {"tokens": 0})]
        [False, False, True]
        """
        value = self.get(*names)
        if isinstance(value, (str, bytes, int, float, Sequence)):
            return Fields(None)
        members = value if isinstance(value, Mapping) else getattr(value, "__dict__", None) or {"": value}
        extra = getattr(value, "__pydantic_extra__", None) or {}
        return Fields(value if any(map(_states, (*members.values(), *extra.values()))) else None)

    def parts(self, *names: str) -> list[Fields]:
        """Return the objects of the list in this field."""
        value = self.get(*names)
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            return [Fields(item) for item in value]
        return []

    def header(self, name: str) -> str | None:
        """Return the value of an HTTP header, in any spelling; ``None`` if it is missing.

        >>> Fields({"Character-Cost": "77"}).header("character-cost")
        '77'
        """
        part = self.get("headers")
        headers = self.raw if part is None else part
        pairs = headers.items() if hasattr(headers, "items") else ()
        return next((str(value) for key, value in pairs if str(key).lower() == name), None)

    def text(self, *names: str) -> str | None:
        """Return the text in this field, or the value of an enumeration's member; ``None`` if it is empty."""
        value = self.get(*names)
        value = getattr(value, "value", value)
        return value if isinstance(value, str) and value else None

    def count(self, *names: str) -> int:
        """Return the whole number in this field, 0 if it is missing.

        Raises:
            UnreadableCount: the value is not a whole number from 0 up.

        """
        value = self.number(*names)
        if value != int(value):
            raise UnreadableCount(f"{names[0]} must be a whole number, not {value!r}")
        return int(value)

    def number(self, *names: str) -> int | float:
        """Return the number in this field, 0 if it is missing; digits in a text count as a number.

        Raises:
            UnreadableCount: the value is not a finite number from 0 up.

        >>> Fields({"totalBillableCharacters": "1200"}).number("total_billable_characters")
        1200
        """
        value = plain_number(self.get(*names))
        if value is None:
            return 0
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = float(value) if "." in value else int(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise UnreadableCount(f"{names[0]} must be a number from 0 up, not {value!r}")
        return value


def _states(value: object) -> bool:
    """Tell whether a member of a usage has a value that is not empty."""
    is_empty = isinstance(value, (Mapping, list)) and not value
    return value is not None and not is_empty and type(value).__name__ not in _ABSENT_TYPES


def _attribute(raw: object, name: str) -> object:
    return getattr(raw, name, None)


@functools.cache
def spellings(name: str) -> tuple[str, ...]:
    """Return a name in snake case and, where that differs, in camel case.

    >>> spellings("cache_read_input_tokens"), spellings("id")
    (('cache_read_input_tokens', 'cacheReadInputTokens'), ('id',))
    """
    head, *rest = name.split("_")
    camel = head + "".join(word[:1].upper() + word[1:] for word in rest)
    return (name, camel) if head and rest else (name,)
