"""Strict YAML: a tree of values with file and line, each read by an explicit type.

PyYAML's own types are not used. It reads ``1e3`` as text, ``010`` as 8, ``12:30`` as 750 and
``.nan`` as a number that no limit ever stops, and text such as ``'false'`` counts as true. Here a
scalar stays as it was written until :meth:`Node.amount`, :meth:`Node.boolean` and so on read it,
and whatever is ambiguous is refused with file, line, key, value and what to write.

Also refused: files above 64 KiB, aliases and anchors (a few hundred bytes of them expand to
millions of values), tags, duplicate keys, several documents, and nesting deeper than 20.

>>> from pathlib import Path
>>> tree = parse(b"budget: {monthly_limit_usd: 50.00}", Path("profile.yaml"))
>>> tree["budget"]["monthly_limit_usd"].amount()
50000000000
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import FilePosition, FileRefused
from .money import Nanos, from_usd
from .small_file import MAX_BYTES, read

if TYPE_CHECKING:
    from yaml.events import Event, ScalarEvent


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
    """A single value as it was written; ``plain`` if without quotes."""

    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a YAML file: a map, a list or a scalar, and its place.

    The getters raise ``refuse``, a subclass of :class:`FileRefused`, if the value is of another type.
    """

    content: Scalar | Mapping[str, Node] | tuple[Node, ...]
    place: FilePosition
    refuse: type[FileRefused] = FileRefused

    # --- structure

    def __getitem__(self, key: str) -> Node:
        return self.map()[key]

    def __contains__(self, key: str) -> bool:
        return key in self.map()

    def get(self, key: str) -> Node | None:
        """Return the value under ``key``, or ``None`` if the key is missing or its value is null."""
        node = self.map().get(key)
        return None if node is None or node.is_null else node

    def map(self) -> Mapping[str, Node]:
        """Return the keys and values of a map. A null counts as an empty map (a bare ``users:``)."""
        if self.is_null:
            return {}
        if isinstance(self.content, Mapping):
            return self.content
        raise self.wrong("a map", "write `key: value` lines below it")

    def items(self) -> tuple[Node, ...]:
        """Return the values of a list. A null counts as an empty list."""
        if self.is_null:
            return ()
        if isinstance(self.content, tuple):
            return self.content
        raise self.wrong("a list", "write it as [a, b]")

    def only(
        self, known: Collection[str], also: Callable[[str], bool] = lambda _: False
    ) -> Mapping[str, Node]:
        """Return the map; refuse keys that are neither in ``known`` nor accepted by ``also``."""
        for key, node in self.map().items():
            if key not in known and not also(key):
                raise node.refused(f"unknown key {key!r}", _suggestion(key, known))
        return self.map()

    def required(self, key: str) -> Node:
        """Return the value under ``key``; refuse the map if it is missing or null."""
        node = self.get(key)
        if node is None:
            raise self.refused(f"the key {key!r} is missing", f"add a line `{key}: ...`")
        return node

    @property
    def is_null(self) -> bool:
        """Whether this is empty, or ``null`` or ``~`` without quotes."""
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
        """Return a text as written, with or without quotes. Null and bare ``true``/``false`` are refused."""
        scalar = self._scalar("text")
        if scalar.plain and (scalar.text in _NULLS or scalar.text in _BOOLEANS):
            raise self.wrong("text", "put it in quotes if it is meant as text")
        return scalar.text

    def number(self, minimum: float | None = None, maximum: float | None = None) -> Decimal:
        """Return an exact decimal number within the bounds (both included)."""
        scalar = self._scalar("a number")
        if not scalar.plain:
            is_number = _NUMBER.fullmatch(scalar.text)
            raise self.wrong("a number", "remove the quotes" if is_number else _number_remedy(scalar.text))
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
        amount = self.number(minimum, maximum)
        nanos = from_usd(amount)
        if amount and not nanos:
            raise self.refused(f"{self.shown} is below a nano-dollar", "write 0, or at least 0.000000001")
        return nanos

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
        """Return a date, written as 2026-11-22."""
        text = self._scalar("a date").text
        try:
            if len(text) == 10:
                return date.fromisoformat(text)
        except ValueError:
            pass  # refused below, with the right form
        raise self.wrong("a date", "write it as 2026-11-22")

    def instant(self) -> datetime:
        """Return the first instant, in UTC, of a date."""
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
        """The value as messages show it."""
        if isinstance(self.content, Scalar):
            text = self.content.text if len(self.content.text) <= 80 else self.content.text[:77] + "..."
            return repr(text) if not self.content.plain or not text.isprintable() else text or "nothing"
        return "a map" if self.is_map else "a list"

    def refused(self, fault: str, remedy: str) -> FileRefused:
        """Return an error with this value's place."""
        return self.refuse(self.place, fault, remedy)

    def wrong(self, expected: str, remedy: str) -> FileRefused:
        """Return the error that says this value is not ``expected``, such as ``a number``."""
        return self.refused(f"{self.shown} is not {expected}", remedy)

    def _scalar(self, expected: str) -> Scalar:
        if isinstance(self.content, Scalar):
            return self.content
        raise self.wrong(expected, "write a single value")


def _suggestion(key: str, known: Collection[str]) -> str:
    import difflib  # only for a refusal

    plain = key.casefold().replace("-", "_")
    longer = sorted(name for name in known if name.startswith(f"{plain}_"))
    if near := longer or difflib.get_close_matches(plain, known, n=1):
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"the keys known here are {', '.join(sorted(known))}"


def _number_remedy(text: str) -> str:
    if re.fullmatch(r"[+-]?0[0-9]+(\.[0-9]*)?", text):
        return "remove the leading zero"
    if re.fullmatch(r"[+-]?[0-9.]+[eE][+-]?[0-9]+", text):
        return "write it out, as in 1000 or 0.001"
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text):
        return "write fewer digits"
    if re.fullmatch(r"[+-]?[0-9][0-9_]*(\.[0-9_]*)?", text):
        return "remove the underscores"
    if text in _AMBIGUOUS:
        return "write digits"
    return "write it as in 50 or 0.25: digits, with a point for decimals, and no other signs"


MAX_DEPTH: Final = 20


def load(path: Path, refuse: type[FileRefused] = FileRefused) -> Node:
    """Read the YAML file at ``path``. An empty file is an empty map.

    Raises:
        FileRefused: (the subclass ``refuse``) when the file cannot be read, is not a regular file, is
            above 64 KiB, is not UTF-8, or is not plain YAML with a map at the top.
    """
    return parse(read(path, refuse), path, refuse)


def parse(
    data: bytes, path: Path, refuse: type[FileRefused] = FileRefused, *, limit: int = MAX_BYTES
) -> Node:
    """Return the tree of a YAML document; ``path`` is for messages. Raises what :func:`load` raises."""
    if len(data) > limit:
        raise refuse(
            FilePosition(path), f"the file is larger than {limit // 1024} KiB", "split it or shorten it"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refuse(FilePosition(path, line), "the file is not UTF-8 text", "save it as UTF-8") from None
    top = _Builder(path, refuse).tree(text)
    top.map()
    return top


def _pyyaml() -> Any:
    """Return the ``yaml`` module, imported here because it takes 20 ms that many processes do not need.

    An import that a signal handler interrupted leaves parts of the package behind, which have to be removed
    before it can be imported again.
    """
    try:
        import yaml
    except (AttributeError, ImportError):
        for name in [name for name in sys.modules if name.partition(".")[0] in {"yaml", "_yaml"}]:
            del sys.modules[name]
        import yaml
    return yaml


class _Builder:
    """Builds the tree from the parser's events, so that nothing is expanded or typed."""

    def __init__(self, path: Path, refuse: type[FileRefused]) -> None:
        self._path = path
        self._refuse = refuse

    def tree(self, text: str) -> Node:
        yaml = _pyyaml()
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            return self._document(iter(yaml.parse(text, Loader=loader)))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            line = mark.line + 1 if mark else None
            problem = (
                getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
            )
            raise self._refuse(
                FilePosition(self._path, line),
                f"not valid YAML: {problem}",
                "check indentation, quotes and colons",
            ) from None

    def _document(self, events: Iterator[Event]) -> Node:
        top = Node(Scalar("", plain=True), FilePosition(self._path), self._refuse)
        documents = 0
        for event in events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise self._refused(
                        event, "", "a second document begins here", "keep one document, remove `---`"
                    )
                top = self._node(next(events), events, "", 0)
        return top

    def _node(
        self, event: Event, events: Iterator[Event], key: str, depth: int, line: int | None = None
    ) -> Node:
        name = type(event).__name__
        if name == "AliasEvent" or getattr(event, "anchor", None):
            raise self._refused(
                event, key, "anchors and aliases (& and *) are not allowed", "write the value out"
            )
        if getattr(event, "tag", None) not in (None, "!"):
            raise self._refused(
                event, key, f"the tag {getattr(event, 'tag', '')} is not allowed", "remove it"
            )
        if depth > MAX_DEPTH:
            raise self._refused(event, key, f"nested deeper than {MAX_DEPTH}", "make it flatter")
        place = FilePosition(self._path, line or _line(event), key or None)
        if name == "MappingStartEvent":
            return Node(self._map(events, key, depth), place, self._refuse)
        if name == "SequenceStartEvent":
            return Node(self._list(events, key, depth), place, self._refuse)
        return Node(_scalar(event), place, self._refuse)  # type: ignore[arg-type] # the only remaining event

    def _map(self, events: Iterator[Event], key: str, depth: int) -> Mapping[str, Node]:
        nodes: dict[str, Node] = {}
        while (event := next(events)) and type(event).__name__ != "MappingEndEvent":
            node = self._node(event, events, key, depth + 1)
            if not isinstance(node.content, Scalar) or node.is_null:
                raise node.refused(f"{node.shown} cannot be a key", "write a name before the colon")
            name = node.content.text
            inner = f"{key}.{name}" if key else name
            line = _line(event)
            if name in nodes:
                first = nodes[name].place.line
                fault = f"the key {name!r} is here a second time (first on line {first})"
                raise self._refused(event, inner, fault, "keep one of them")
            nodes[name] = self._node(next(events), events, inner, depth + 1, line)
        return nodes

    def _list(self, events: Iterator[Event], key: str, depth: int) -> tuple[Node, ...]:
        nodes: list[Node] = []
        while (event := next(events)) and type(event).__name__ != "SequenceEndEvent":
            nodes.append(self._node(event, events, f"{key}[{len(nodes)}]", depth + 1))
        return tuple(nodes)

    def _refused(self, event: Event, key: str, fault: str, remedy: str) -> FileRefused:
        return self._refuse(FilePosition(self._path, _line(event), key or None), fault, remedy)


def _scalar(event: ScalarEvent) -> Scalar:
    return Scalar(event.value, plain=not event.style)


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def read_name(node: Node) -> str:
    """Return a name as written.

    Raises:
        FileRefused: it is empty, or has control characters.
    """
    text = node.text()
    check_name(text, node)
    return text


def read_names(node: Node) -> tuple[str, ...]:
    """Return a list of names. Raises what :func:`read_name` raises."""
    return tuple(map(read_name, node.items()))


def check_name(text: str, node: Node) -> None:
    """Raise ``FileRefused`` for a name that is empty or has control characters."""
    if not text.strip():
        raise node.refused("an empty name", "write a name")
    if not text.isprintable():
        raise node.refused(f"{text!r} has control characters", "remove them")
