"""Databases of a real PostgreSQL, one for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from shared.costs.fleet.fleet import close_all
from tests.support.postgres import Server, require, shared_by_workers


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of this test run."""
    require()
    base = tmp_path_factory.getbasetemp()
    run_folder = base.parent if base.name.startswith("popen-") else base  # workers share the folder above
    with shared_by_workers(run_folder) as server:
        yield server


@pytest.fixture
def database_url(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database, whose address is in COST_TRACKER_SHARED."""
    url = postgres.fresh(f"t{uuid.uuid4().hex}")
    monkeypatch.setenv("COST_TRACKER_SHARED", url)
    return url


@pytest.fixture(autouse=True)
def closed_fleets() -> Iterator[None]:
    """Close what a test has opened."""
    yield
    close_all()
