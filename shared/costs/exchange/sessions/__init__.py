"""Histories of command-line agents, read from the logs that they keep: one module a program.

A module has a constant ``PROGRAM``. To add a program, add a file. What is common to all of them is in
``calls`` (what a log says of one call), ``files`` (reading on where the last import came to, also in logs
that were compressed since), ``recording`` (each call once, in bulk) and ``taking`` (the import itself,
and how far it read).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from ..imports import CannotRead
from .calls import Program
from .files import LogSample, plain_path

MODULES: Final = ("codex", "gemini_cli", "qwen_code", "opencode", "copilot_cli", "claude_code")
"""The programs, in the order in which a file is offered to them."""


class ProgramLog(NamedTuple):
    """A file of a program."""

    program: Program
    path: Path


@cache
def programs() -> Mapping[str, Program]:
    """Return every program whose logs can be read, by its name."""
    found = (import_module(f"{__name__}.{name}").PROGRAM for name in MODULES)
    return {each.name: each for each in found}


def usual_files(names: Iterable[str], home: Path, environ: Mapping[str, str]) -> Iterator[ProgramLog]:
    """Yield the logs of the programs called ``names`` in their usual places, the oldest first."""
    for name in names:
        program = programs()[name]
        yield from _under(program, [place for place in program.places(home, environ) if place.is_dir()])


def files_under(folder: Path, names: Iterable[str]) -> Iterator[ProgramLog]:
    """Yield the logs of the programs called ``names`` under a folder that was given, the oldest first."""
    for name in names:
        yield from _under(programs()[name], [folder])


def recognised(path: Path, names: Iterable[str]) -> Program | None:
    """Return the program that keeps a log such as the file at ``path``; ``None`` where it is of none.

    Raises:
        CannotRead: it is not there, no regular file, or cannot be opened.

    """
    sample = LogSample(path)
    return next((programs()[name] for name in names if programs()[name].recognises(sample)), None)


def _under(program: Program, folders: Iterable[Path]) -> Iterator[ProgramLog]:
    """Yield the files of a program, the oldest first, each once. Links to folders are not followed."""
    found: dict[Path, int] = {}
    for folder in folders:
        for parent, inner, names in os.walk(folder):
            inner.sort()
            for name in names:
                path = Path(parent, name)
                if program.is_log(plain_path(path)):
                    found[path] = _changed_at(path)
    yield from (ProgramLog(program, path) for path in sorted(found, key=lambda path: (found[path], path)))


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # it is told when it is read


__all__ = ["CannotRead", "Program", "ProgramLog", "files_under", "programs", "recognised", "usual_files"]
