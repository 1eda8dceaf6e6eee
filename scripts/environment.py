"""The checkout's own virtual environment, ``.venv``: made once, installed into when needed.

Needs nothing but Python and its ``venv``, so that the two commands of the README work on a fresh
clone. An install is repeated only when ``pyproject.toml`` changed or more extras are asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv"
STAMP = FOLDER / "installed.json"
ENGINES = ROOT / ".venv-engines"
"""Where what takes long to install is tried: Spark, with its server."""
OLDEST = (3, 11)
EDITABLE = ("--config-settings", "editable_mode=compat", "-e")
"""By a line in a ``.pth`` file: a finder of setuptools would cost every start of Python 17 ms."""


class SetUpFailed(Exception):
    """The environment could not be made. The text says what to do."""


def program(name: str) -> Path:
    """Return the path of a program of the environment, such as ``python``."""
    return FOLDER / ("Scripts" if os.name == "nt" else "bin") / name


def set_up(*extras: str) -> None:
    """Make the environment and install the project, editable, with ``extras``.

    Raises:
        SetUpFailed: Python is too old, ``venv`` is missing, or the install failed.
    """
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetUpFailed(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {found}")
    wanted = {"project": _fingerprint(), "extras": sorted(set(extras) | set(_installed_extras()))}
    if _stamp() == wanted:
        return
    if not program("pip").exists():  # it comes last: an interrupted making is done again
        say(f"making a virtual environment in {FOLDER}")
        run(
            [sys.executable, "-m", "venv", str(FOLDER)],
            "install Python's venv module (apt install python3-venv)",
        )
    say("installing the project and what it needs (a minute, the first time)")
    project = f"{ROOT}[{','.join(wanted['extras'])}]"
    install = [
        str(program("python")),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *EDITABLE,
        project,
    ]
    run(install, "see pip's message above; is the network there?")
    STAMP.write_text(json.dumps(wanted), encoding="utf-8")


def set_up_engines() -> Path:
    """Make the environment of Spark and return its Python; 500 MB the first time.

    Raises:
        SetUpFailed: there is no Java, or the install failed.
    """
    if shutil.which("java") is None:
        raise SetUpFailed("Spark needs Java 17 or newer: apt install openjdk-17-jre-headless")
    python = ENGINES / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.with_name("pip").exists():
        say(f"making a virtual environment in {ENGINES}")
        run(
            [sys.executable, "-m", "venv", str(ENGINES)],
            "install Python's venv module (apt install python3-venv)",
        )
    say("installing Spark and its client")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*install, *EDITABLE, f"{ROOT}[dev-engines]"], "see pip's message above; is the network there?")
    return python


def run(command: list[str], remedy: str) -> None:
    """Run a step of the set-up.

    Raises:
        SetUpFailed: it failed; ``remedy`` says what to do.
    """
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SetUpFailed(f"{' '.join(command)} failed: {remedy}")


def run_to_its_end(command: list[str]) -> int:
    """Run a program and return its exit code; Ctrl-C, which it gets too, leaves it the time to end."""
    with subprocess.Popen(command, cwd=ROOT) as process:
        while True:
            with suppress(KeyboardInterrupt):
                return process.wait()


def say(text: str) -> None:
    """Say what is going on, on standard error and at once."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def _fingerprint() -> str:
    seed = (ROOT / "pyproject.toml").read_bytes() + f"{sys.version}{ROOT}{EDITABLE}".encode()
    return hashlib.sha256(seed).hexdigest()


def _stamp() -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def _installed_extras() -> list[str]:
    stamp = _stamp()
    return (
        [str(extra) for extra in stamp["extras"]] if stamp and isinstance(stamp.get("extras"), list) else []
    )
