r"""The tree of a YAML document as JSON-ready data, to remember it by: nothing of it is lost.

>>> from pathlib import Path
>>> from .reading import parse
>>> tree = parse(b"budget:\n  daily: 5", Path("profile.yaml"))
>>> to_plain(tree)
[1, {'budget': [1, {'daily': [2, '5', True]}]}]
>>> from_plain(to_plain(tree), Path("profile.yaml")) == tree
True
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FileRefused, Place
from .node import Node, Scalar


def to_plain(node: Node) -> list[Any]:
    """Return a tree as lists and maps: each value begins with its line."""
    line, content = node.place.line, node.content
    if isinstance(content, Scalar):
        return [line, content.text, content.plain]
    if isinstance(content, Mapping):
        return [line, {name: to_plain(inner) for name, inner in content.items()}]
    return [line, list(map(to_plain, content))]


def from_plain(
    plain: list[Any], path: Path, refuse: type[FileRefused] = FileRefused, key: str | None = None
) -> Node:
    """Return the tree of :func:`to_plain`, of a document at ``path`` whose values raise ``refuse``."""
    line, content, *written_plain = plain
    place = Place(path, line, key)
    if written_plain:
        return Node(Scalar(content, *written_plain), place, refuse)
    if isinstance(content, dict):
        inner = {name: from_plain(value, path, refuse, _inner(key, name)) for name, value in content.items()}
        return Node(inner, place, refuse)
    items = (from_plain(value, path, refuse, _item(key, n)) for n, value in enumerate(content))
    return Node(tuple(items), place, refuse)


def _inner(key: str | None, name: str) -> str | None:
    return f"{key}.{name}" if key else name or None


def _item(key: str | None, number: int) -> str:
    return f"{key or ''}[{number}]"
