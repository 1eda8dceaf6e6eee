"""The formats that entries can be exported to: a module in this package has constants of the type ``Export``.

To add a format, add a file.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, TypeVar

from ...errors import WrongUsage
from ..source import EntrySource


@dataclass(frozen=True, slots=True)
class ExportContext:
    """What an export may contain besides the entries.

    ``about`` goes into formats that can contain it (JSON): how the entries were selected, and budgets.
    ``progress`` is called from time to time with the number of entries written so far.
    """

    about: Mapping[str, object] = field(default_factory=dict)
    progress: Callable[[int], None] = lambda _written: None


Writer = Callable[[EntrySource, Path, ExportContext], int]
"""Writes entries one after the other, without keeping them in memory, into an existing empty file; returns
how many it wrote."""


@dataclass(frozen=True, slots=True)
class Export:
    """One format: its name on the command line, its usual suffix, a sentence of help, and its writer.

    ``text`` formats may go to standard output.
    """

    name: str
    suffix: str
    summary: str
    write: Writer
    text: bool = True


@cache
def exports() -> Mapping[str, Export]:
    """Return every format by its name."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    formats = (value for module in modules for value in vars(module).values() if isinstance(value, Export))
    return {export.name: export for export in sorted(formats, key=lambda export: export.name)}


ALIASES: Final[Mapping[str, str]] = {"focus": "focus-1.4"}
"""Short names. ``focus`` is its newest version."""


def export_named(name: str) -> Export:
    """Return the format called ``name``.

    Raises:
        WrongUsage: there is none; the message lists all formats.

    """
    try:
        return exports()[ALIASES.get(name, name)]
    except KeyError:
        raise WrongUsage(f"no export is called {name!r}; there are {', '.join(exports())}") from None


T = TypeVar("T")


def counted(items: Iterable[T], context: ExportContext) -> Iterator[T]:
    """Yield the items and report progress every thousand."""
    number = 0
    for number, item in enumerate(items, start=1):
        yield item
        if number % 1_000 == 0:
            context.progress(number)
    context.progress(number)
