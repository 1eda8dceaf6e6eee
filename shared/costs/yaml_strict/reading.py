"""Reads YAML files into trees of nodes, from the parser's events, so that nothing is expanded or typed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import FileRefused, Place
from ..small_file import MAX_BYTES, read
from .node import Node, Scalar

if TYPE_CHECKING:
    from yaml.events import Event, ScalarEvent

MAX_DEPTH: Final = 20


def load(path: Path, refuse: type[FileRefused] = FileRefused) -> Node:
    """Read the YAML file at ``path``. An empty file is an empty map.

    Raises:
        FileRefused: (the subclass ``refuse``) when the file cannot be read, is no regular file, is
            above 64 KiB, is not UTF-8, or is not plain YAML with a map at the top.
    """
    return parse(read(path, refuse), path, refuse)


def parse(
    data: bytes, path: Path, refuse: type[FileRefused] = FileRefused, *, limit: int = MAX_BYTES
) -> Node:
    """Return the tree of a YAML document; ``path`` is for messages. Raises as :func:`load` does."""
    if len(data) > limit:
        raise refuse(Place(path), f"the file is larger than {limit // 1024} KiB", "split it or shorten it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refuse(Place(path, line), "the file is not UTF-8 text", "save it as UTF-8") from None
    top = _Builder(path, refuse).tree(text)
    top.map()
    return top


def _pyyaml() -> Any:
    """Import PyYAML: 20 ms that a process without configuration files need not pay.

    An import that a signal handler interrupted leaves parts of a package behind, with which it can never be
    imported again.
    """
    try:
        import yaml
    except (AttributeError, ImportError):
        for name in [name for name in sys.modules if name.partition(".")[0] in {"yaml", "_yaml"}]:
            del sys.modules[name]
        import yaml
    return yaml


class _Builder:
    """Builds the tree from the parser's events, so that nothing is expanded or typed on the way."""

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
                Place(self._path, line), f"not valid YAML: {problem}", "check indentation, quotes and colons"
            ) from None

    def _document(self, events: Iterator[Event]) -> Node:
        top = Node(Scalar("", plain=True), Place(self._path), self._refuse)
        seen = 0
        for event in events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                seen += 1
                if seen > 1:
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
        place = Place(self._path, line or _line(event), key or None)
        if name == "MappingStartEvent":
            return Node(self._map(events, key, depth), place, self._refuse)
        if name == "SequenceStartEvent":
            return Node(self._list(events, key, depth), place, self._refuse)
        return Node(_scalar(event), place, self._refuse)  # type: ignore[arg-type] # the only event that is left

    def _map(self, events: Iterator[Event], key: str, depth: int) -> Mapping[str, Node]:
        found: dict[str, Node] = {}
        while (event := next(events)) and type(event).__name__ != "MappingEndEvent":
            node = self._node(event, events, key, depth + 1)
            if not isinstance(node.content, Scalar) or node.is_null:
                raise node.refused(f"{node.shown} cannot be a key", "write a name before the colon")
            name = node.content.text
            inner = f"{key}.{name}" if key else name
            line = _line(event)
            if name in found:
                first = found[name].place.line
                fault = f"the key {name!r} stands here a second time (first on line {first})"
                raise self._refused(event, inner, fault, "keep one of them")
            found[name] = self._node(next(events), events, inner, depth + 1, line)
        return found

    def _list(self, events: Iterator[Event], key: str, depth: int) -> tuple[Node, ...]:
        found: list[Node] = []
        while (event := next(events)) and type(event).__name__ != "SequenceEndEvent":
            found.append(self._node(event, events, f"{key}[{len(found)}]", depth + 1))
        return tuple(found)

    def _refused(self, event: Event, key: str, fault: str, remedy: str) -> FileRefused:
        return self._refuse(Place(self._path, _line(event), key or None), fault, remedy)


def _scalar(event: ScalarEvent) -> Scalar:
    return Scalar(event.value, plain=not event.style)


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
