"""One module a rendering: each turns *any* report into text, or bytes. Found by their file names.

A format module has ``render(report)``. Adding one is adding one file.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Final, Literal, Protocol, cast, overload

from ..errors import WrongUsage
from ..reports.document import Report

EXACT: Final = frozenset({"json", "csv"})
"""The formats for programs, which keep US dollars whatever currency the profile shows."""

_HELPERS = frozenset({"bars", "canvas", "currency", "drawing", "layout", "mail", "page", "values"})


class Format(Protocol):
    """What a format module offers."""

    def render(self, report: Report) -> str | bytes:
        """Return the whole report: as text that ends in a newline, or as the bytes of a file."""


class TextFormat(Protocol):
    """A format whose files are text."""

    def render(self, report: Report) -> str:
        """Return the whole report as text that ends in a newline."""


class BinaryFormat(Protocol):
    """A format whose files are not text."""

    def render(self, report: Report) -> bytes:
        """Return the whole report as the bytes of a file."""


def names() -> list[str]:
    """Return the names of all formats, sorted.

    >>> names()
    ['csv', 'html', 'json', 'markdown', 'pdf', 'text']
    """
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if name not in _HELPERS)


@overload
def load(name: Literal["csv", "html", "json", "markdown", "md", "text"]) -> TextFormat: ...


@overload
def load(name: Literal["pdf"]) -> BinaryFormat: ...


@overload
def load(name: str) -> Format: ...


def load(name: str) -> Format:
    """Return the format called ``name``; ``md`` is markdown. Only that one is imported.

    Raises:
        WrongUsage: there is none of that name.
    """
    name = {"md": "markdown", "htm": "html", "txt": "text"}.get(name, name)
    if name not in names():
        raise WrongUsage(f"no format is called {name!r}; there are {', '.join(names())}")
    return cast("Format", import_module(f".{name}", __name__))
