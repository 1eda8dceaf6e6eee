"""Fixtures for every test and doctest: a cost storage of its own, and no setting from outside."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.support.leftovers import Leftovers, adopt_orphans

if TYPE_CHECKING:
    from shared.cost_tracker import CostTracker
    from tests.support.provider import ProviderServer

# A busy machine is no fault: examples are not timed, and slow data generation is no failure.
# ``--hypothesis-profile thorough`` draws twenty times as many, for a night.
settings.register_profile(
    "unhurried", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("unhurried"), max_examples=1_000)
settings.load_profile("unhurried")

# Hundreds of programs are started here: what they import is compiled once, not by each of them anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell ignores interrupts for what it starts in the background, and so would every program of a test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW = ("faults", "integration", "run", "fleet")
"""Folders of tests, those first that take longest."""
DAY_S = 86_400
LAST_S = 20
"""Longer than what most tests take, in seconds."""
GARBAGE = 10_000
"""After how many new objects garbage is looked for; after Python's 700 it takes a twentieth of the time."""
_DAYS_ENDED = set[float]()
_LEFT = pytest.StashKey[Leftovers]()

VARIABLES = (
    "COST_TRACKER_JOB_DIR",
    "COST_TRACKER_STAGE",
    "COST_TRACKER_USER",
    "COST_TRACKER_PROFILE",
    "COST_TRACKER_OVERRIDE",
    "NO_COLOR",
    "COLUMNS",
    "XDG_DATA_HOME",
)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Let no search for garbage go through the modules and tests, half a million objects, again and again."""
    gc.disable()
    try:
        with _begun(session.config) as first, _not_traced(session.config, first=first):
            return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(
            GARBAGE
        )  # a provider's SDK makes a million objects that stay: they were gone through too
        gc.enable()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Know from now on what is started here, and what that starts in turn."""
    adopt_orphans()
    session.config.stash[_LEFT] = Leftovers()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Let run on after a test what a fixture of several has started."""
    if fixturedef.scope == "function":
        return (yield)
    with request.config.stash[_LEFT].staying():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that leaves a process running: what it still writes fails others."""
    try:
        return (yield)
    finally:
        if left := item.config.stash[_LEFT].end():
            pytest.fail(f"left running: {', '.join(left)}", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin no test in the last seconds of a day (in UTC): what it logs is of yesterday when it asks."""
    day, second = divmod(time.time(), DAY_S)
    if second > DAY_S - LAST_S and day not in _DAYS_ENDED:
        _DAYS_ENDED.add(day)  # a clock that stands still is not waited for again and again
        time.sleep(DAY_S - second)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take seconds each: one that is left for the end has all processes wait."""
    items.sort(key=lambda item: (*SLOW, item.path.parent.name).index(item.path.parent.name))


@contextmanager
def _begun(config: pytest.Config) -> Iterator[bool]:
    """Let one worker find the tests before the others do; give whether this is the one.

    In a fresh checkout it compiles all modules, which each would do at the same time.
    """
    if not hasattr(config, "workerinput"):
        yield True
        return
    found = Path(config.getoption("basetemp")).parent / "found"
    with FileLock(f"{found}.lock"):
        first = not found.exists()
        if first:
            yield True
            found.touch()
    if not first:
        yield False


@contextmanager
def _not_traced(config: pytest.Config, *, first: bool) -> Iterator[None]:
    """Find the tests without tracing, where coverage is measured: it doubles what that takes.

    What modules of ours do when they are imported is traced before, by the first process.
    """
    measuring = config.pluginmanager.getplugin("_cov")
    controller = measuring and measuring.cov_controller
    if not controller or config.pluginmanager.hasplugin("dsession"):  # its workers find them
        yield
        return
    if first:
        import shared

        for module in pkgutil.walk_packages(shared.__path__, "shared."):
            importlib.import_module(module.name)
    controller.pause()
    try:
        yield
    finally:
        controller.resume()


@pytest.fixture(scope="session")
def remembered_prices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The project's own prices as a storage remembers them, parsed once for all tests of this process."""
    from shared.costs.memory import Memory
    from shared.costs.pricing.sources import own_book

    folder = tmp_path_factory.mktemp("prices")
    own_book(Memory(folder))
    return list(folder.iterdir())


@pytest.fixture(autouse=True)
def cost_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered_prices: list[Path]) -> Path:
    """A cost storage of this test's own, also for the programs it starts."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    home = tmp_path / "cost-home"
    monkeypatch.setenv("COST_TRACKER_HOME", str(home))
    remember(remembered_prices, home / "prices")
    # The checkout's own config/profile.yaml must not decide what a test sees.
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(_defaults(tmp_path)))
    return home


@pytest.fixture(autouse=True)
def no_sessions_of_before() -> Iterator[None]:
    """Hold results of agents against those of the same test alone: many tests call their session alike."""
    from shared.costs.capture.agent_sessions import KnownSessions, compared_with

    with compared_with(KnownSessions()):
        yield


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[CostTracker]:
    """A tracker of one job, for tests and for the examples in docstrings."""
    from shared.cost_tracker import CostTracker

    with CostTracker(tmp_path / "jobs" / "job-1", "1") as made:
        made.reset_usage_stats()
        yield made


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    """A provider on the loopback."""
    from tests.support.provider import ProviderServer

    with ProviderServer() as running:
        yield running


def remember(remembered: list[Path], folder: Path) -> None:
    """Let the new storage know the prices: a test that damages the common files costs time, no more."""
    folder.parent.mkdir(mode=0o700)
    folder.mkdir(mode=0o700)
    for path in remembered:
        (folder / path.name).hardlink_to(path)


def _defaults(folder: Path) -> Path:
    path = folder / "no-limits-said.yaml"
    path.write_text("budget: {}\n")
    return path
