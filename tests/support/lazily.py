"""SDKs that take a second to import: by the process that runs their tests, not by each that finds them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest


def is_there(module: str) -> bool:
    """Tell whether a module is installed, its packages too."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class Lazily:
    """A module that is imported when it is asked for something; tests of one that is missing are skipped."""

    def __init__(self, name: str) -> None:
        if not is_there(name):
            pytest.skip(f"{name} is not installed", allow_module_level=True)
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):
            raise AttributeError(attribute)  # who looks for tests asks each object what it is
        return getattr(import_module(self._name), attribute)
