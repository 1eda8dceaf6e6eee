"""The built wheel, in a clean environment, started from a host pipeline that has its own ``shared/``.

An editable install hides packaging mistakes, so nothing here uses the checkout: the wheel is built
from a copy of the sources, and installed by pip. Its dependencies are lent by the environment that
runs the tests, which keeps this fast and off the network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
EXTEND = "import pkgutil\n__path__ = pkgutil.extend_path(__path__, __name__)\n"
STAGE = """
from shared.media import FRAME_RATE
from shared.cost_tracker import CostTracker

assert FRAME_RATE == 25
with CostTracker("job-1") as tracker:
    print(tracker.log_usage("openai", "gpt-4o", tokens_input=1000, tokens_output=200))
"""
COST = "0.0045\n"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "packaging"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def wheel(workshop: Path) -> Path:
    """The wheel, built once."""
    with FileLock(workshop / "wheel.lock"):
        made = list(workshop.glob("*.whl"))
        return made[0] if made else build_wheel(workshop)


def build_wheel(workshop: Path) -> Path:
    sources = workshop / "sources"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "shared", sources / "shared", ignore=ignore)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, sources / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(workshop), str(sources))
    return next(workshop.glob("*.whl"))


@pytest.fixture(scope="session")
def python(wheel: Path, workshop: Path) -> Path:
    """The interpreter of a clean environment with the wheel installed."""
    home = workshop / "clean"
    with FileLock(workshop / "clean.lock"):
        if not home.exists():
            make_environment(home, wheel)
    return home / "bin" / "python"


def make_environment(home: Path, wheel: Path) -> None:
    venv.create(home, with_pip=False)
    pip("--python", str(home / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    site = next(home.glob("lib/python*/site-packages"))
    # Paths added by a .pth file are searched, but their own .pth files (editable installs) are not read.
    (site / "lent-dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host pipeline with a regular package ``shared`` and a stage script."""
    package = tmp_path / "host" / "shared"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "media.py").write_text("FRAME_RATE = 25\n")
    (package.parent / "stage.py").write_text(STAGE)
    return package.parent


@pytest.fixture
def run(python: Path, host: Path) -> Run:
    """Run a program of the clean environment in the host's folder."""

    def run_there(*arguments: str | Path, path: str | Path = "") -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONPATH": str(path), "COST_TRACKER_PROFILE": ""}
        program, *rest = map(str, arguments)
        command = [str(python.parent / program), *rest]
        return subprocess.run(command, cwd=host, env=environ, capture_output=True, text=True, check=False)

    return run_there


def test_wheel_carries_all_that_works_without_a_checkout(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    data = [str(p.relative_to(ROOT)) for p in (ROOT / "shared" / "costs" / "data").rglob("*") if p.is_file()]
    assert len(data) > 2
    assert set(data) <= set(names)
    assert "shared/costs/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"shared"}


ARCHIVED = """
from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.program import run
with CostTracker("job-1", cost_storage_path="costs") as tracker:
    tracker.log_usage("openai", "gpt-4o", 1000, 200)
    with tracker.reserve("openai", "gpt-4o", max_tokens_output=200) as hold:
        print(tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold))
print(run(["init", "config"]), run(["metrics", "--grafana", "--output", "board.json"]))
print(run(["export-report", "--format", "html", "--output", "month.html", "--cost-storage", "costs"]))
print(run(["query", "--view", "months", "--cost-storage", "costs", "--json"]))
"""


def test_an_archive_on_the_path_serves_as_the_installed_wheel_does(wheel: Path, host: Path) -> None:
    (host / "archived.py").write_text(ARCHIVED)
    outside = {**os.environ, "PYTHONPATH": str(wheel), "COST_TRACKER_PROFILE": ""}
    command = [sys.executable, "-P", "archived.py"]
    done = subprocess.run(command, cwd=host, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0.0045\n")
    assert "unpriced" not in done.stderr
    assert '"cost_usd": 0.009' in done.stdout, done.stdout
    assert (host / "month.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (host / "config" / "profile.yaml").exists()
    assert (host / "board.json").exists()


def test_nothing_in_the_environment_comes_from_the_checkout(run: Run, python: Path) -> None:
    done = run("python", "-P", "-c", "import shared.costs; print(shared.costs.__file__)")
    assert done.stdout.startswith(f"{python.parents[1]}/lib/")


def test_host_package_of_the_kind_without_init(run: Run, host: Path) -> None:
    (host / "shared" / "__init__.py").unlink()
    done = run("python", "stage.py")
    assert (done.stdout, done.returncode) == (COST, 0), done.stderr


def test_host_package_behind_ours_on_the_path(run: Run, host: Path, python: Path) -> None:
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    first = f"import sys; sys.path.insert(0, {str(site)!r}); exec(open('stage.py').read())"
    done = run("python", "-c", first)
    assert (done.stdout, done.returncode) == (COST, 0), done.stderr


def test_host_package_first_on_the_path_hides_ours(run: Run) -> None:
    done = run("python", "stage.py")
    assert done.returncode == 1
    assert "No module named 'shared.cost_tracker'" in done.stderr


def test_one_line_in_the_hosts_init_mends_that(run: Run, host: Path) -> None:
    (host / "shared" / "__init__.py").write_text(EXTEND)
    done = run("python", "stage.py")
    assert (done.stdout, done.returncode) == (COST, 0), done.stderr


def test_copying_ours_into_the_hosts_package_mends_it_too(run: Run, host: Path) -> None:
    for name in ("cost_tracker.py", "user_profile.py"):
        shutil.copy(ROOT / "shared" / name, host / "shared" / name)
    shutil.copytree(ROOT / "shared" / "costs", host / "shared" / "costs")
    done = run("python", "-c", f"{STAGE}\nimport shared.costs; print(shared.costs.__file__)")
    assert done.returncode == 0, done.stderr
    cost, place = done.stdout.splitlines()
    assert cost + "\n" == COST
    assert place == str(host / "shared" / "costs" / "__init__.py")


def test_dashboard_from_a_host_with_its_own_shared(run: Run, host: Path) -> None:
    (host / "shared" / "__init__.py").write_text(EXTEND)
    assert run("python", "stage.py").stdout == COST
    done = run("cost-dashboard", "show-budget", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["spent_usd"] == float(COST)


def test_dashboard_when_the_host_is_on_the_path(run: Run, host: Path) -> None:
    (host / "shared" / "__init__.py").write_text(EXTEND)
    done = run("cost-dashboard", "show-budget", "--json", path=host)
    assert done.returncode == 0, done.stderr


def test_dashboard_uninstalled_and_from_any_directory(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COST_TRACKER_PROFILE", "")
    command = [sys.executable, str(ROOT / "tools" / "cost-dashboard.py"), "show-budget", "--json"]
    uninstalled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert uninstalled.returncode == 0, uninstalled.stderr
    assert uninstalled.stdout == run("cost-dashboard", "show-budget", "--json").stdout
