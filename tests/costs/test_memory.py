"""What is remembered of prices and profiles: used when intact, and otherwise only time is lost."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.costs.memory import Memory
from shared.costs.model import Usage
from shared.costs.pricing import sources
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.storage import CostStorage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DATA: dict[str, Any] = {"names": {"a": 1}, "models": {"x": [1, 2, 3]}}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "prices")
    assert memory.read("one-1.0") is None
    assert memory.write("one-1.0", DATA)
    assert memory.read("one-1.0") == DATA
    assert memory.write("one-1.0", {"other": []})
    assert memory.read("one-1.0") == {"other": []}
    assert [path.name for path in (tmp_path / "prices").iterdir()] == ["one-1.0.json"]


def test_files_are_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Memory(tmp_path / "prices").write("one", DATA)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "prices").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "prices" / "one.json").stat().st_mode) == 0o600


def test_names_are_those_of_what_is_remembered(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "prices")
    assert memory.names() == Memory(None).names() == []
    for name in ("b-2", "a-1"):
        memory.write(name, DATA)
    (tmp_path / "prices" / ".a.json.123.ab").write_text("a draft that a killed process left")
    assert memory.names() == ["a-1", "b-2"]


def test_no_folder_remembers_nothing() -> None:
    memory = Memory(None)
    assert not memory.write("one", DATA)
    assert memory.read("one") is None


@pytest.mark.parametrize("name", ["../one", "a/b", "", ".hidden", "x" * 200, "a\nb"])
def test_names_that_are_no_file_names(tmp_path: Path, name: str) -> None:
    memory = Memory(tmp_path / "prices")
    assert not memory.write(name, DATA)
    assert memory.read(name) is None
    assert not (tmp_path / "prices").exists()


def test_damage_of_any_byte_is_noticed(tmp_path: Path) -> None:
    memory, path = Memory(tmp_path), tmp_path / "one.json"
    memory.write("one", DATA)
    raw = path.read_bytes()
    for position in range(len(raw)):
        for bit in range(8):
            path.write_bytes(raw[:position] + bytes([raw[position] ^ (1 << bit)]) + raw[position + 1 :])
            assert memory.read("one") is None
        path.write_bytes(raw[:position])
        assert memory.read("one") is None
    path.write_bytes(raw + b" ")
    assert memory.read("one") is None


def test_another_format_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(tmp_path)
    memory.write("one", DATA)
    monkeypatch.setattr("shared.costs.memory._FORMAT", 99)
    assert memory.read("one") is None


def test_links_and_folders_in_its_place_are_not_read(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "prices")
    memory.write("real", DATA)
    (tmp_path / "prices" / "link.json").symlink_to(tmp_path / "prices" / "real.json")
    (tmp_path / "prices" / "folder.json").mkdir()
    assert memory.read("link") is None
    assert memory.read("folder") is None
    assert not memory.write("folder", DATA)
    assert memory.write("link", {"new": 1})
    assert memory.read("real") == DATA


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "prices")

    def write(number: int) -> object:
        memory.write("one", {"number": [number] * 1_000})
        return memory.read("one")

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(write, range(64)):
            assert isinstance(found, dict)
            assert len(set(found["number"])) == 1
    assert [path.name for path in (tmp_path / "prices").iterdir()] == ["one.json"]


@pytest.mark.no_cover
def test_prices_are_the_same_with_damaged_memory(tmp_path: Path) -> None:
    storage = CostStorage(tmp_path)
    usage = Usage(3_000, 1_000)
    calls = [("openai", "gpt-4o"), ("openai", "gpt-4.1"), ("google", "gemini-2.5-pro"), ("openai", "gpt-9")]

    def priced() -> list[object]:
        sources._own_books.clear()  # as another process, which has read nothing yet
        catalogue = Catalogue.load(storage)
        return [catalogue.charge(service, model, usage, NOW) for service, model in calls]

    first = priced()
    assert priced() == first
    for path in storage.prices_memory.iterdir():
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 4
        path.write_bytes(raw)
    assert priced() == first
    for path in storage.prices_memory.iterdir():
        path.write_bytes(b"")
    assert priced() == first
