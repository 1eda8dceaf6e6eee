"""No file imports, by way of others, itself: neither when it is loaded nor later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.test_layers import ROOT, imports, module_name, modules_of, statements

pytestmark = pytest.mark.no_cover

Graph = Mapping[str, set[str]]


def uses(path: Path, known: set[str]) -> Iterator[str]:
    """The modules of ours that a file imports, but for those whose names are only written in annotations."""
    _, types = statements(path)
    for line, name in imports(path):
        if line not in types:
            yield from {name, name.rpartition(".")[0]} & known


def circles(graph: Graph) -> list[list[str]]:
    """Take away, again and again, what uses or is used by nothing that is left: what stays is in a circle.

    Or between two: who mends one sees the other then.
    """
    left = {name: set(used) - {name} for name, used in graph.items()}
    while True:
        used_by_others = set[str]().union(*left.values())
        stays = {name for name, used in left.items() if used & left.keys() and name in used_by_others}
        if len(stays) == len(left):
            return [sorted(left)] if left else []
        left = {name: used & stays for name, used in left.items() if name in stays}


def test_no_file_uses_itself_by_way_of_others() -> None:
    files = {module_name(path): path for path in modules_of("shared")}
    graph = {name: set(uses(path, set(files))) for name, path in files.items()}
    assert circles(graph) == []


def test_the_test_itself_sees_a_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}, "e": set()}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_modules_are_found() -> None:
    assert ROOT / "shared" / "costs" / "money.py" in modules_of("shared")
