"""Commands in what is printed, as they work there: called as this program was, on the same data."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from ...reports.document import Note, Report

PROGRAM: Final = "cost-dashboard"

_COMMAND: Final = re.compile(rf"(?<![\w/.-]){PROGRAM} ([a-z]+(?:-[a-z]+)*)(?![\w=])")

Takes = Callable[[str], Collection[str] | None]
"""Gives the options of a command by its name, or ``None`` where there is no such command."""


class Here(NamedTuple):
    """How this run was called: the program, and the options that say whose costs and limits it is about.

    >>> here = Here(lambda name: {"--profile"}, "bin/cost-dashboard", (("--profile", "my profile.yaml"),))
    >>> here.text("See cost-dashboard doctor.")
    "See bin/cost-dashboard doctor --profile 'my profile.yaml'."
    """

    takes: Takes
    program: str = PROGRAM
    options: tuple[tuple[str, str], ...] = ()

    def text(self, text: str) -> str:
        """Return a text with its commands as they are to be typed here."""
        if PROGRAM not in text or (self.program == PROGRAM and not self.options):
            return text
        return _COMMAND.sub(self._typed, text)

    def _typed(self, match: re.Match[str]) -> str:
        taken = self.takes(match[1])
        if taken is None:
            return match[0]
        given = [word for name, value in self.options if name in taken for word in (name, value)]
        return f"{self.program} {shlex.join([match[1], *given])}"

    def report(self, report: Report) -> Report:
        """Return a report whose notes and empty tables name commands as they are to be typed here."""
        return report._replace(
            notes=tuple(map(self._note, report.notes)),
            tables=tuple(each._replace(empty=self.text(each.empty)) for each in report.tables),
        )

    def _note(self, note: Note) -> Note:
        return note._replace(text=self.text(note.text), remedy=self.text(note.remedy))


def program_called(argument: str) -> str:
    """Return how the running program is called again, of ``sys.argv[0]``.

    >>> program_called("/nowhere/bin/cost-dashboard"), program_called("tools/cost-dashboard.py").split()[1]
    ('/nowhere/bin/cost-dashboard', 'tools/cost-dashboard.py')
    >>> program_called("-c")
    'cost-dashboard'
    """
    name = os.path.basename(argument)
    if name == PROGRAM:
        return PROGRAM if _is(shutil.which(PROGRAM), argument) else shlex.quote(argument)
    if name == f"{PROGRAM}.py":
        python = "python3" if _is(shutil.which("python3"), sys.executable) else sys.executable
        return shlex.join([python, argument])
    return PROGRAM


def _is(place: str | None, other: str) -> bool:
    return place is not None and os.path.realpath(place) == os.path.realpath(other)
