"""The documents for who works on the project name only what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("shared/costs/ARCHITECTURE.md", ".github/CONTRIBUTING.md")
PLACE = re.compile(r"`((?:shared|tests|scripts|config|\.github)/[^`*\s]*)`")
FILE = re.compile(r"`(\w+\.py)`")
PACKAGES = ROOT / "shared" / "costs"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_exists(name: str) -> None:
    named = PLACE.findall((ROOT / name).read_text(encoding="utf-8"))
    assert named
    assert [place for place in named if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_named_without_its_folder_exists(name: str) -> None:
    there = {path.name for folder in ("shared", "scripts", "tests") for path in (ROOT / folder).rglob("*.py")}
    assert set(FILE.findall((ROOT / name).read_text(encoding="utf-8"))) - there == set()


def test_every_package_is_in_the_map() -> None:
    shown = (ROOT / DOCUMENTS[0]).read_text(encoding="utf-8")
    packages = {path.parent.relative_to(ROOT).as_posix() for path in PACKAGES.glob("*/__init__.py")}
    left_out = {"shared/costs/apps"}
    assert {name for name in packages - left_out if f"`{name}/" not in shown} == set()
