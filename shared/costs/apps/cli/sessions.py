"""`import` of agents' sessions: which are meant, once or again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import WrongUsage
from ...exchange.imports import CannotRead, imports
from ...exchange.sessions import Found, files_under, programs, recognised, usual_files
from ...exchange.sessions.positions import Positions
from ...exchange.sessions.taking import SessionImport, Taken
from ...exchange.sessions.telling import sessions_report
from ...exits import BAD_NEWS
from ...money import format_usd
from ...reports.common import plural
from .app import App
from .progress import progress_bar


class Sessions:
    """Which logs are meant: of some programs, in their usual places or at a path."""

    def __init__(self, names: list[str], path: Path | None) -> None:
        self.names = names
        self.path = path

    def files(self, app: App) -> Iterator[Found]:
        """Yield the logs that are there now."""
        environ = app.workspace.environ
        if self.path is None:
            yield from usual_files(self.names, Path(environ.get("HOME") or Path.home()), environ)
        elif self.path.is_dir():
            yield from files_under(self.path, self.names)
        else:
            yield Found(programs()[self.names[0]], self.path)


def sessions_meant(path: Path | None, name: str | None) -> Sessions | None:
    """Return the sessions of agents that a path and the name of a format mean; ``None`` for another history.

    Raises:
        CannotRead: the file is not there, or is no regular file.

    """
    if name in imports():
        return None
    names = [name] if name else [*programs()]
    if path is None or path.is_dir():
        return Sessions(names, path)
    if name:
        return Sessions(names, path)
    program = recognised(path, names)
    return Sessions([program.name], path) if program else None


def import_sessions(app: App, sessions: Sessions, *, dry_run: bool, **given: Any) -> int | None:
    """Import sessions and show what was done; with ``watch`` go on until interrupted."""
    _refuse_unused(given)
    if given["watch"] and dry_run:
        raise WrongUsage("--watch writes what comes in; leave --dry-run out, or import once")
    workspace = app.workspace
    importer = SessionImport(
        workspace.storage,
        workspace.index,
        workspace.catalogue,
        given["user"] or app.default_user,
        Positions(workspace.storage),
        dry_run=dry_run,
        is_watching=given["watch"],
    )
    try:
        with progress_bar("logs", None) as importer.progress:
            taken = importer.run(sessions.files(app))
        if not taken and sessions.path is not None:
            raise CannotRead(f"{sessions.path}: has no logs of {', '.join(sessions.names)}")
        app.show(sessions_report(taken, dry_run=dry_run))
        if given["watch"]:
            _watch(app, importer, sessions, given["every"])
    finally:
        importer.positions.close()
    return BAD_NEWS if any(each.remarks.refused for each in taken) else None


def _refuse_unused(given: dict[str, Any]) -> None:
    for name in ("source", "job", "service", "model", "timezone", "zero_is_free"):
        if given[name]:
            raise WrongUsage(
                f"--{name.replace('_', '-')} says nothing about sessions of agents; leave it out"
            )


def _watch(app: App, importer: SessionImport, sessions: Sessions, every_s: float) -> None:
    """Look again and again, and say each time what came in, until interrupted."""
    importer.progress = lambda _files: None
    app.say(f"watching; a look every {every_s:g} s, Ctrl-C ends it")
    try:
        while True:
            time.sleep(every_s)
            for taken in importer.run(sessions.files(app)):
                if text := _came_in(taken):
                    app.say(text)
    except KeyboardInterrupt:
        app.say("stopped watching; what came in is recorded")


def _came_in(taken: Taken) -> str:
    """Return what came in of a program since the last look, in a line; nothing where nothing did."""
    added = taken.added
    if not (added.calls or added.grown or taken.remarks.refused):
        return ""
    refused = (
        f", {plural(taken.remarks.refused, 'line', 'lines')} not understood" if taken.remarks.refused else ""
    )
    calls = plural(added.calls, "call", "calls")
    return f"{taken.program.title}: {calls}, {format_usd(added.cost)}{refused}"
