"""Histories of command-line agents, read from their logs: one module for each program.

A module has a constant ``PROGRAM``. To add a program, add a file. What is common to all of them is in
``calls`` (one call of a log), ``files`` (reading on from where the last import stopped, also in logs that
were compressed since), ``recording`` (each call once, in bulk) and ``importing`` (the import itself, and how
far it read).
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
"""The programs, in the order in which they are tried for a file."""


class ProgramLog(NamedTuple):
    """A log and the program that wrote it."""

    program: Program
    path: Path


@cache
def programs() -> Mapping[str, Program]:
    """Return every program whose logs can be read, by its name."""
    known = (import_module(f"{__name__}.{name}").PROGRAM for name in MODULES)
    return {program.name: program for program in known}


def usual_files(names: Iterable[str], home: Path, environ: Mapping[str, str]) -> Iterator[ProgramLog]:
    """Yield the logs of the named programs in their usual folders, oldest first."""
    for name in names:
        program = programs()[name]
        yield from _logs_under(
            program, [folder for folder in program.places(home, environ) if folder.is_dir()]
        )


def files_under(folder: Path, names: Iterable[str]) -> Iterator[ProgramLog]:
    """Yield the logs of the named programs under a given folder, oldest first."""
    for name in names:
        yield from _logs_under(programs()[name], [folder])


def recognised(path: Path, names: Iterable[str]) -> Program | None:
    """Return the program that wrote the log at ``path``; ``None`` if none recognises it.

    Raises:
        CannotRead: it is missing, not a regular file, or cannot be opened.

    """
    sample = LogSample(path)
    return next((programs()[name] for name in names if programs()[name].recognises(sample)), None)


def _logs_under(program: Program, folders: Iterable[Path]) -> Iterator[ProgramLog]:
    """Yield the logs of a program under folders, oldest first, each once. Links to folders are skipped."""
    changed_at: dict[Path, int] = {}
    for folder in folders:
        for parent, inner, names in os.walk(folder):
            inner.sort()
            for name in names:
                path = Path(parent, name)
                if program.is_log(plain_path(path)):
                    changed_at[path] = _changed_at(path)
    yield from (
        ProgramLog(program, path) for path in sorted(changed_at, key=lambda path: (changed_at[path], path))
    )


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # reading it reports the error


__all__ = ["CannotRead", "Program", "ProgramLog", "files_under", "programs", "recognised", "usual_files"]
