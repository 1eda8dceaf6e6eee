"""Runs first in a program that ``cost-dashboard run`` started, and leaves the program unchanged.

No error in here may keep the program from running.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

_HERE = str(Path(__file__).resolve().parent)
_NAME = "_cost_ledger"


def _run_hidden_sitecustomize() -> None:
    """Run the environment's own ``sitecustomize``, which this one hides, if there is one."""
    other_entries = [entry for entry in sys.path if str(Path(entry or ".").resolve()) != _HERE]
    spec = PathFinder.find_spec("sitecustomize", other_entries)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _begin() -> None:
    """Load the capturing code under its own name, because the program may have a package ``shared``."""
    package = ModuleType(_NAME)
    package.__path__ = [str(Path(__file__).resolve().parents[3])]
    sys.modules[_NAME] = package
    import_module(f"{_NAME}.costs.run.child").begin()


if __name__ == "sitecustomize":
    _run_hidden_sitecustomize()
    try:
        _begin()
    except Exception as fault:
        name = os.environ.get("COST_TRACKER_RUN", "")
        sys.stderr.write(f"cost tracking of run {name} is off in {sys.executable}: {fault}\n")
