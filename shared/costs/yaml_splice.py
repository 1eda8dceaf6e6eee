r"""Sets one value in YAML text and leaves every other character as it is.

PyYAML gives the positions of values; only those characters are replaced or added to. A round trip
through an object tree would reformat other lines.

>>> print(put("budget:\n  job_limit_usd:   3   # agreed\n", ("budget", "job_limit_usd"), "5.00"), end="")
budget:
  job_limit_usd:   5.00   # agreed
>>> put("users: {ana: {}}", ("users", "ana", "budget", "job_limit_usd"), "1.00")
'users: {ana: {budget: {job_limit_usd: 1.00}}}'
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

Node = Any
"""A node of PyYAML's tree; its published types lack ``id`` and ``flow_style``."""

STEP: Final = "  "

# Words that need no quotes, whatever a YAML reader takes for numbers, dates or booleans.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./@+-]*", re.ASCII)
_LITERAL: Final = re.compile(r"-?\d[\d_]*(\.\d+)?|\d{4}-\d\d-\d\d|true|false|null", re.ASCII)
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def scalar(text: str) -> str:
    """Return ``text`` as a YAML scalar, in quotes where it could be read as something else.

    >>> scalar("openai/gpt-4"), scalar("2"), scalar("on")
    ('openai/gpt-4', '"2"', '"on"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def flow(value: Any) -> str:
    """Return maps, lists and texts as YAML on one line; numbers, dates and booleans stay as written.

    >>> flow({"since": "2026-11-22", "source": "a: b", "tiers": ["batch"]})
    '{since: 2026-11-22, source: "a: b", tiers: [batch]}'
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{scalar(key)}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return value if _LITERAL.fullmatch(value) else scalar(value)


def prepend(text: str, place: Sequence[str], values: Iterable[str]) -> str:
    """Return the YAML ``text`` with ``values``, written in YAML, before the first item of a list."""
    top = _compose(text)
    node, depth = _follow(top, place) if top is not None else (None, 0)
    if node is None or depth < len(place) or node.id != "sequence" or not node.value:
        return put(text, place, f"[{', '.join(values)}]")
    start = int(node.value[0].start_mark.index)
    if node.flow_style:
        return text[:start] + "".join(f"{value}, " for value in values) + text[start:]
    begin = text.rindex("-", 0, start)
    indent = text[text.rfind("\n", 0, begin) + 1 : begin]
    lines = "".join(f"- {value}{_newline(text)}{indent}" for value in values)
    return text[:begin] + lines + text[begin:]


def put(text: str, place: Sequence[str], value: str) -> str:
    """Return the YAML ``text`` with ``value`` (written in YAML) under the keys in ``place``.

    Missing maps on the path are added. ``text`` must be a map at the top, or empty.
    """
    top = _compose(text)
    if top is None:
        return _append_lines(text, _block(place, value, "", _newline(text)))
    node, depth = _follow(top, place)
    if depth == len(place):
        return _replace_value(text, node, value)
    rest = place[depth:]
    if _is_filled_map(node):
        return _add_key(text, node, rest, value)
    return _begin_map(text, node, rest, value, _column(top, place[:depth]))


def _compose(text: str) -> Node | None:
    import yaml  # 20 ms that only editing and reading profiles need

    top = yaml.compose(text, Loader=yaml.SafeLoader)
    return top if isinstance(top, yaml.MappingNode) else None


def _follow(top: Node, place: Sequence[str]) -> tuple[Node, int]:
    """Follow the keys as far as they exist; return the last value and how many keys were found."""
    node = top
    for depth, name in enumerate(place):
        child = _child(node, name)
        if child is None:
            return node, depth
        node = child
    return node, len(place)


def _child(node: Node, name: str) -> Node | None:
    if node.id != "mapping":
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _is_filled_map(node: Node) -> bool:
    return node.id == "mapping" and bool(node.value)


def _column(top: Node, place: Sequence[str]) -> int | None:
    """Return the column of the last key in ``place``; ``None`` inside braces."""
    node, column = top, 0
    for name in place:
        if node.flow_style:
            return None
        column = next(key.start_mark.column for key, _ in node.value if key.value == name)
        node = _child(node, name) or node
    return column


# --- the three ways to change text


def _replace_value(text: str, node: Node, value: str) -> str:
    start, end = node.start_mark.index, _end(node)
    if start == end:  # an empty value: `key:`
        value = f" {value}"
    return text[:start] + value + text[end:]


def _add_key(text: str, node: Node, rest: Sequence[str], value: str) -> str:
    """Add a key to a map that is not empty, after its last one."""
    end = _end(node.value[-1][1])
    if node.flow_style:
        return f"{text[:end]}, {_flow(rest, value)}{text[end:]}"
    indent = " " * node.value[0][0].start_mark.column
    return _after_line(text, end, _block(rest, value, indent, _newline(text)))


def _begin_map(text: str, node: Node, rest: Sequence[str], value: str, column: int | None) -> str:
    """Write a map in place of an empty value or an empty map."""
    start, end = node.start_mark.index, _end(node)
    if start == end and column is not None:
        indent = " " * column + STEP
        return _after_line(text, end, _block(rest, value, indent, _newline(text)))
    flow_map = f"{{{_flow(rest, value)}}}"
    return text[:start] + (" " if start == end else "") + flow_map + text[end:]


def _end(node: Node) -> int:
    """Return the position after a value's last character; a block's end mark is at the next token instead."""
    if node.id != "scalar" and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if node.id == "mapping" else last)
    return int(node.end_mark.index)


def _after_line(text: str, end: int, lines: str) -> str:
    """Insert whole lines after the one on which ``end`` lies, behind its comment."""
    while end and text[end - 1] in "\r\n":  # the end of a literal block is the next line's beginning
        end -= 1
    stop = text.find("\n", end)
    if stop < 0:
        return _append_lines(text, lines)
    return text[: stop + 1] + lines + text[stop + 1 :]


def _append_lines(text: str, lines: str) -> str:
    return text + ("" if not text or text.endswith("\n") else _newline(text)) + lines


def _block(place: Sequence[str], value: str, indent: str, newline: str) -> str:
    first, *rest = place
    if not rest:
        return f"{indent}{scalar(first)}: {value}{newline}"
    return f"{indent}{scalar(first)}:{newline}" + _block(rest, value, indent + STEP, newline)


def _flow(place: Sequence[str], value: str) -> str:
    first, *rest = place
    return f"{scalar(first)}: " + (f"{{{_flow(rest, value)}}}" if rest else value)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
