"""A class name means one thing in the whole project."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).resolve().parents[1]


def shared_names(folder: Path) -> dict[str, list[str]]:
    """Return the names that several classes below a folder have, private ones too, each with its places."""
    places = defaultdict[str, list[str]](list)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name.strip("_")].append(f"{path.relative_to(folder)}:{node.lineno}")
    return {name: where for name, where in places.items() if len(where) > 1}


def test_no_two_classes_have_one_name() -> None:
    assert shared_names(ROOT / "shared") == {}


def test_the_test_itself_sees_two_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class Line: ...\n", encoding="utf-8")
    (tmp_path / "two.py").write_text("def f():\n    class _Line: ...\n", encoding="utf-8")
    assert shared_names(tmp_path) == {"Line": ["one.py:1", "two.py:2"]}
