"""Random sessions of agents and voices: cut, resumed, forked or told again, each turn counts once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.faults.sessions import run


@pytest.mark.no_cover
@settings(max_examples=5)
@given(st.integers(0, 2**32))
def test_each_billed_turn_of_random_sessions_is_recorded_once(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = run(30, seed, Path(folder))
        assert +world.recorded() == +world.billed
