"""A cost storage, a home with logs of agents, and an import of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archive_support import World
from sessions_support import Imported

from shared.costs.storage import CostStorage
from shared.costs.store.store import Store
from tests.support.agents.recordings import FOLDER


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[CostStorage]:
    found = CostStorage(tmp_path.resolve() / "storage")
    found.prepare()
    yield found
    Store.of(found).close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return ledgers, their storage and the place of an archive."""
    found = World(tmp_path.resolve())
    yield found
    found.store.close()


@pytest.fixture
def logs(tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of a program's recording, which a test may change."""

    def copied(program: str) -> Path:
        folder = tmp_path / "logs" / program
        shutil.copytree(FOLDER / program, folder)
        return folder

    return copied


@pytest.fixture
def take(storage: CostStorage) -> Callable[..., Imported]:
    """Import a folder's logs of a program, and return what was done."""
    return Imported.of(storage)
