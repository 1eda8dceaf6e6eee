"""Fixtures of the site's tests: the sample history of a fixed day, served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from shared.costs.apps.serve.access import Access
from shared.costs.apps.serve.guard import Hosts
from shared.costs.apps.serve.site import Site
from shared.costs.demo import DemoFiles, write_sample
from shared.costs.workspace import Workspace
from tests.costs.serve.serve_support import ACCESS, DAY, ORIGIN, PORT


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    """A history that tests read and do not change."""
    made = write_sample(tmp_path_factory.mktemp("serve") / "demo", DAY)
    with workspace_of(made) as workspace:
        workspace.index.add(path for path, _ in made.jobs)
        workspace.index.catch_up_all()
    return made


def workspace_of(sample: DemoFiles) -> Workspace:
    return Workspace(sample.storage.root, sample.profile, environ={}, clock=lambda: DAY)


@pytest.fixture(scope="session")
def site(sample: DemoFiles) -> Iterator[Site]:
    with workspace_of(sample) as workspace:
        yield Site(workspace, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ("costs.example",)))


@pytest.fixture(scope="session")
def anybody(site: Site) -> Iterator[TestClient]:
    """A client without token or session."""
    with TestClient(site.application(), base_url=ORIGIN, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="session")
def browser(site: Site, access: Access) -> Iterator[TestClient]:
    """A client that opened the printed address."""
    with TestClient(site.application(), base_url=ORIGIN) as client:
        client.get("/", params={"token": access.token})
        yield client


@pytest.fixture(scope="session")
def access() -> Access:
    return ACCESS
