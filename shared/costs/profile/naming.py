"""Names that a profile gives: not empty, and without control characters."""

from __future__ import annotations

from ..yaml_strict import Node


def read_name(node: Node) -> str:
    """Return a name, as written.

    Raises:
        FileRefused: it is empty, or has control characters.
    """
    text = node.text()
    check_name(text, node)
    return text


def read_names(node: Node) -> tuple[str, ...]:
    """Return a list of names; raises as :func:`read_name`."""
    return tuple(map(read_name, node.items()))


def check_name(text: str, node: Node) -> None:
    """Raise ``FileRefused`` for a name that is empty or has control characters."""
    if not text.strip():
        raise node.refused("an empty name", "write a name")
    if not text.isprintable():
        raise node.refused(f"{text!r} has control characters", "remove them")
