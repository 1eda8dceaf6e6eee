"""Which profile is in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.costs.profile import find_profile


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    cwd, storage = tmp_path / "cwd", tmp_path / "storage"
    (cwd / "config").mkdir(parents=True)
    storage.mkdir()
    return {
        "argument": tmp_path / "argument.yaml",
        "environment": tmp_path / "environment.yaml",
        "cwd": cwd / "config" / "profile.yaml",
        "storage": storage / "profile.yaml",
    }


def find(places: dict[str, Path], argument: str | Path | None, variable: str) -> Path | None:
    environ = {"COST_TRACKER_PROFILE": variable}
    return find_profile(argument, environ, places["cwd"].parents[1], places["storage"].parent)


@pytest.mark.parametrize("first", ["argument", "environment", "cwd", "storage", None])
def test_the_first_place_wins(places: dict[str, Path], first: str | None) -> None:
    order = list(places)
    there = order[order.index(first) :] if first else []
    for name in there:
        places[name].write_text("")
    argument = places["argument"] if "argument" in there else None
    variable = str(places["environment"]) if "environment" in there else ""
    assert find(places, argument, variable) == (places[first] if first else None)


def test_a_named_profile_is_returned_even_when_it_is_not_there(places: dict[str, Path]) -> None:
    places["storage"].write_text("")
    assert find(places, None, str(places["environment"])) == places["environment"]


def test_a_relative_name_is_taken_from_the_working_directory(places: dict[str, Path]) -> None:
    assert find(places, "mine.yaml", "") == places["cwd"].parents[1] / "mine.yaml"


def test_a_dangling_link_counts_as_a_profile(places: dict[str, Path]) -> None:
    places["cwd"].symlink_to("nowhere.yaml")
    places["storage"].write_text("")
    assert find(places, None, "") == places["cwd"]


def test_one_under_a_home_that_nobody_has_is_named_and_raises_nothing(tmp_path: Path) -> None:
    environ = {"COST_TRACKER_PROFILE": "~nobody-here/costs.yaml"}
    assert find_profile(None, environ, tmp_path, tmp_path) == Path("/~nobody-here/costs.yaml")
