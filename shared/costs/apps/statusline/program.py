"""The program: prints one line, whatever is wrong, and ends with 0. A prompt must never break.

It starts without click and without the reports: a prompt waits for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from ...errors import CostError
from ...workspace import Workspace
from .line import NOT_KNOWN, PLACES, LineStyle, Place, dressed, line
from .standing import AgentSession, standing

OPTIONS = {
    "--for": "place",
    "--template": "template",
    "--user": "user",
    "--user-id": "user",
    "--cost-storage": "storage",
    "--profile": "profile",
}


class LineArguments(NamedTuple):
    """What the line is asked for; ``fault`` says which word was not understood."""

    place: Place = ""
    template: str | None = None
    user: str | None = None
    storage: str | None = None
    profile: str | None = None
    fault: str = ""


def asked(words: Sequence[str]) -> LineArguments:
    """Return what the words of a command line ask for.

    >>> asked(["--for", "tmux", "--user=rpatel"])[:3]
    ('tmux', None, 'rpatel')
    >>> asked(["--colour"]).fault
    "'--colour' is not an option of statusline; see cost-dashboard statusline --help"
    """
    given: dict[str, str] = {}
    waiting = list(words)
    while waiting:
        name, equals, value = waiting.pop(0).partition("=")
        if name not in OPTIONS or not (equals or waiting):
            why = "needs a value" if name in OPTIONS else "is not an option of statusline"
            return _asked(given, f"{name!r} {why}; see cost-dashboard statusline --help")
        given[OPTIONS[name]] = value if equals else waiting.pop(0)
    return _asked(given, "")


def _asked(given: dict[str, str], fault: str) -> LineArguments:
    place = given.get("place", "")
    if place not in PLACES:
        place, fault = "", f"--for is tmux, zsh or claude, not {place!r}"
    return LineArguments(
        PLACES[place],
        given.get("template"),
        given.get("user"),
        given.get("storage"),
        given.get("profile"),
        fault,
    )


def main(words: Sequence[str]) -> int:
    """Print the line; return 0. What went wrong is said on stderr."""
    question = asked(words)
    if question.fault:
        _say(question.fault)
    print_line(question, os.environ)
    return 0


def print_line(question: LineArguments, environ: Mapping[str, str]) -> None:
    """Print the line, or that the costs are not known."""
    look = _look(question, environ)
    session = AgentSession()
    try:
        if question.place == "claude":
            from .agent import session_on  # a prompt waits for each import

            session = session_on(0)
        with Workspace(question.storage, question.profile, environ=environ) as workspace:
            stood = standing(workspace, question.user or environ.get("COST_TRACKER_USER") or "1")
        text = line(stood, look, session)
        if why := stood.refused or stood.doubt:
            _say(why)
    except Exception as fault:  # a status line that fails takes the prompt or the agent's display with it
        _say(str(fault) if isinstance(fault, CostError) else f"{type(fault).__name__}: {fault}")
        text = dressed(NOT_KNOWN, look._replace(colour=False), "ok")
    with suppress(OSError, ValueError):  # closed, or nobody reads: there is nothing left to tell it to
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _look(question: LineArguments, environ: Mapping[str, str]) -> LineStyle:
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    colour = bool(question.place) or (sys.stdout is not None and sys.stdout.isatty())
    plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
    return LineStyle(question.place, question.template, colour and not plain, encoding.startswith("utf"))


def _say(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"cost-dashboard: {text}\n")
