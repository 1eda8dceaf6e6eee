"""The set-up of a fresh clone, tried on a small project of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path
from subprocess import PIPE

import environment
import pytest
from environment import SetUpFailed, set_up

from tests.support.elapsed import PATIENCE_S


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without dependencies, in whose folder the environment is made."""
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "FOLDER", tmp_path / ".venv")
    monkeypatch.setattr(environment, "STAMP", tmp_path / ".venv" / "installed.json")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'nothing'\nversion = '1'\n")
    return tmp_path


def installed(project: Path, *extras: str) -> str:
    """Note an install as done, and return the note."""
    note = json.dumps({"project": environment._fingerprint(), "extras": list(extras)})
    (project / ".venv").mkdir(exist_ok=True)
    environment.STAMP.write_text(note)
    return note


def test_what_is_installed_is_not_installed_again(project: Path) -> None:
    note = installed(project, "dev", "local")
    set_up("local")
    assert environment.STAMP.read_text() == note
    assert not environment.program("python").exists()


def test_a_failed_install_says_what_to_do_and_is_not_noted(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    venv.create(project / ".venv", with_pip=False)
    environment.program("pip").touch()
    note = installed(project, "local")
    with pytest.raises(SetUpFailed, match="failed: see pip's message above"):
        set_up("dev")
    assert environment.STAMP.read_text() == note
    assert "No module named pip" in capfd.readouterr().err


def test_an_environment_whose_making_was_interrupted_is_made_again(project: Path) -> None:
    venv.create(project / ".venv", with_pip=False)
    (project / "pyproject.toml").write_text("[project")  # nothing that pip would go on with
    with pytest.raises(SetUpFailed, match="failed: see pip's message above"):
        set_up("local")
    assert environment.program("pip").exists()


INTERRUPTED = """
import signal, sys, time
def end(*_):
    time.sleep(1)
    sys.exit(130)
signal.signal(signal.SIGINT, end)
print("ready", flush=True)
time.sleep(60)
"""


def test_what_ctrl_c_ends_has_the_time_to_say_how_far_it_came() -> None:
    scripts = Path(environment.__file__).parent
    command = [sys.executable, "-c", INTERRUPTED]
    code = f"import sys, environment; sys.exit(environment.run_to_its_end({command!r}))"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=scripts, stdout=PIPE, stderr=PIPE, start_new_session=True
    ) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == b"ready\n"
        os.killpg(outer.pid, signal.SIGINT)
        _, said = outer.communicate(timeout=PATIENCE_S)
    assert (outer.returncode, said) == (130, b"")


def test_an_old_python_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "OLDEST", (99, 1))
    with pytest.raises(SetUpFailed, match=r"Python 99.1 or newer is needed, this is 3\.\d+\.\d+"):
        set_up("local")


def test_a_damaged_note_means_a_new_install(project: Path) -> None:
    installed(project)
    environment.STAMP.write_text("{")
    assert environment._installed_extras() == []
