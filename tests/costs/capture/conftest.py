"""What every test of reading responses starts from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.costs.capture.agent_sessions import Sessions, held_against


@pytest.fixture(autouse=True)
def no_sessions_of_before() -> Iterator[None]:
    """Hold results of agents against those of the same test alone: many tests call their session alike."""
    with held_against(Sessions()):
        yield
