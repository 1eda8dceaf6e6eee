"""A value in a YAML file, where it stands, and the types it can be read as."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final

from ..errors import FileRefused, Place
from ..money import Nanos, from_usd

_NUMBER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?", re.ASCII)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "false": False}
_AMBIGUOUS: Final = frozenset(
    word
    for base in ("true", "false", "yes", "no", "on", "off")
    for word in (base, base.title(), base.upper())
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as it was written; ``plain`` when without quotes."""

    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a YAML file: a map, a list or a scalar, and where it stands.

    The getters raise ``refuse``, a subclass of :class:`FileRefused`, when the value is of another
    type than the one asked for.
    """

    content: Scalar | Mapping[str, Node] | tuple[Node, ...]
    place: Place
    refuse: type[FileRefused] = FileRefused

    # --- structure

    def __getitem__(self, key: str) -> Node:
        return self.map()[key]

    def __contains__(self, key: str) -> bool:
        return key in self.map()

    def get(self, key: str) -> Node | None:
        """Return the value under ``key``, or ``None`` when the key is missing or its value is null."""
        node = self.map().get(key)
        return None if node is None or node.is_null else node

    def map(self) -> Mapping[str, Node]:
        """Return the keys and values of a map. A null reads as an empty map (``users:`` and no more)."""
        if self.is_null:
            return {}
        if isinstance(self.content, Mapping):
            return self.content
        raise self.wrong("a map", "write `key: value` lines below it")

    def items(self) -> tuple[Node, ...]:
        """Return the values of a list. A null reads as an empty list."""
        if self.is_null:
            return ()
        if isinstance(self.content, tuple):
            return self.content
        raise self.wrong("a list", "write it as [a, b]")

    def only(
        self, known: Collection[str], also: Callable[[str], bool] = lambda _: False
    ) -> Mapping[str, Node]:
        """Return the map after refusing keys that are neither in ``known`` nor accepted by ``also``."""
        for key, node in self.map().items():
            if key not in known and not also(key):
                raise node.refused(f"unknown key {key!r}", _suggestion(key, known))
        return self.map()

    def required(self, key: str) -> Node:
        """Return the value under ``key``; refuse the map when it is missing or null."""
        node = self.get(key)
        if node is None:
            raise self.refused(f"the key {key!r} is missing", f"add a line `{key}: ...`")
        return node

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here, or ``null`` or ``~`` without quotes."""
        return isinstance(self.content, Scalar) and self.content.plain and self.content.text in _NULLS

    @property
    def is_map(self) -> bool:
        """Whether this is a map."""
        return isinstance(self.content, Mapping)

    @property
    def is_list(self) -> bool:
        """Whether this is a list."""
        return isinstance(self.content, tuple)

    # --- values

    def text(self) -> str:
        """Return a text, as written: in quotes or not. Null and bare ``true``/``false`` are refused."""
        scalar = self._scalar("text")
        if scalar.plain and (scalar.text in _NULLS or scalar.text in _BOOLEANS):
            raise self.wrong("text", "put it in quotes if it is meant as text")
        return scalar.text

    def number(self, minimum: float | None = None, maximum: float | None = None) -> Decimal:
        """Return an exact decimal number within the bounds (both included)."""
        scalar = self._scalar("a number")
        if not scalar.plain:
            raise self.wrong("a number", "remove the quotes")
        if not _NUMBER.fullmatch(scalar.text):
            raise self.wrong("a plain decimal number", _number_remedy(scalar.text))
        value = Decimal(scalar.text)
        if minimum is not None and value < Decimal(repr(minimum)):
            raise self.refused(f"{self.shown} is too small", f"write a number of at least {minimum:g}")
        if maximum is not None and value > Decimal(repr(maximum)):
            raise self.refused(f"{self.shown} is too large", f"write a number of at most {maximum:g}")
        return value

    def amount(self, minimum: float = 0, maximum: float = 1_000_000_000) -> Nanos:
        """Return an amount written in USD, in nano-dollars."""
        return from_usd(self.number(minimum, maximum))

    def integer(self, minimum: int | None = None, maximum: int | None = None) -> int:
        """Return a whole number within the bounds (both included)."""
        value = self.number(minimum, maximum)
        if value != int(value):
            raise self.wrong("a whole number", "write it without decimals")
        return int(value)

    def boolean(self) -> bool:
        """Return ``true`` or ``false``. Yes/no, on/off, 0/1 and quoted words are refused."""
        scalar = self._scalar("true or false")
        if not scalar.plain or scalar.text not in _BOOLEANS:
            raise self.wrong("true or false", "write true or false, in lower case and without quotes")
        return _BOOLEANS[scalar.text]

    def day(self) -> date:
        """Return a date written as 2026-11-22."""
        text = self._scalar("a date").text
        try:
            if len(text) == 10:
                return date.fromisoformat(text)
        except ValueError:
            pass  # refused below, with what would be right
        raise self.wrong("a date", "write it as 2026-11-22")

    def instant(self) -> datetime:
        """Return the first instant, in UTC, of a date written as 2026-11-22."""
        return datetime.combine(self.day(), time.min, tzinfo=UTC)

    def choice(self, allowed: Collection[str]) -> str:
        """Return a text that is one of ``allowed``."""
        text = self._scalar("one word").text
        if text not in allowed:
            raise self.refused(
                f"{self.shown} is not known here", f"write one of {', '.join(sorted(allowed))}"
            )
        return text

    # --- refusals

    @property
    def shown(self) -> str:
        """The value as people should see it in a message."""
        if isinstance(self.content, Scalar):
            text = self.content.text if len(self.content.text) <= 80 else self.content.text[:77] + "..."
            return repr(text) if not self.content.plain or not text.isprintable() else text or "nothing"
        return "a map" if self.is_map else "a list"

    def refused(self, fault: str, remedy: str) -> FileRefused:
        """Return the error that names this value's place."""
        return self.refuse(self.place, fault, remedy)

    def wrong(self, wanted: str, remedy: str) -> FileRefused:
        """Return the error that says this value is not ``wanted``."""
        return self.refused(f"{self.shown} is not {wanted}", remedy)

    def _scalar(self, wanted: str) -> Scalar:
        if isinstance(self.content, Scalar):
            return self.content
        raise self.wrong(wanted, "write a single value")


def _suggestion(key: str, known: Collection[str]) -> str:
    import difflib  # only for a refusal

    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"the keys known here are {', '.join(sorted(known))}"


def _number_remedy(text: str) -> str:
    if re.fullmatch(r"[+-]?0[0-9]+(\.[0-9]*)?", text):
        return "remove the leading zero"
    if re.fullmatch(r"[+-]?[0-9.]+[eE][+-]?[0-9]+", text):
        return "write it out, as in 1000 or 0.001"
    if text in _AMBIGUOUS:
        return "write digits"
    return "write it as in 50 or 0.25: digits, with a point for decimals, and no other signs"
