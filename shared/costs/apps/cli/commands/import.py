"""``cost-dashboard import``."""  # noqa: N999 - a command is called as its file is

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from ....errors import BAD_NEWS, WrongUsage
from ....exchange.foreign import Defaults
from ....exchange.imported import import_report
from ....exchange.importing import Importer, ImportSource
from ....exchange.imports import CannotRead, import_for, imports
from ....exchange.ledger_access import BatchWriter
from ....exchange.sessions import ProgramLog, files_under, programs, recognised, usual_files
from ....exchange.sessions.importing import LogPositions, ProgramImport, SessionImport
from ....exchange.sessions.reporting import sessions_report
from ....exchange.times import DateOrder
from ....periods import zone
from ....platform import with_home
from ....reports.common import plural, usd
from ....reports.spec import Option, with_formats
from ..app import App, dashboard_command, progress_bar
from ..options import asked_with


@dashboard_command(
    "Record and share",
    "import usage.db --dry-run",
    "import calls.json --user ana --service openai",
    "import 2025-10.csv --source old-laptop --timezone Europe/Berlin",
    "import --from claude-code --dry-run",
    "import --watch",
)
@asked_with(
    Option("", called="file", parse=Path),
    Option(
        "--from",
        "The file's format, or the agent whose sessions these are. Default: detected.",
        called="format_from",
        choices=(*sorted(imports()), *programs()),
    ),
    Option("--watch", "Go on with agents' sessions as they are written, until interrupted.", flag=True),
    Option("--every", "How often --watch looks. Default: 2.", "SECONDS", least=0.1, most=86_400, default=2.0),
    Option("--source", "A name for where it comes from. Default: the file's name.", "NAME"),
    Option("--user --user-id", "Who paid, for rows that do not say so.", "ID"),
    Option("--job", "The job of rows that name none.", "ID"),
    Option("--service", "The provider of rows that do not name one.", "NAME"),
    Option("--model", "The model of rows that do not name one.", "NAME"),
    Option("--timezone", "Where times without a zone are from. Default: the profile's.", "ZONE"),
    Option(
        "--dates",
        "How dates such as 3/10/2026 are meant. Default: such rows are not understood.",
        choices=tuple(get_args(DateOrder)),
    ),
    Option(
        "--zero-is-free/--zero-is-unknown",
        "Believe a cost of $0 beside usage, or, by default, price the row.",
        flag=True,
        called="zero_is_free",
    ),
    Option("--dry-run", "Only show what would be imported.", flag=True),
)
def command(app: App, file: Path | None, *, dry_run: bool, **given: Any) -> int | None:
    """Bring in the history of another tool, the sessions of command-line agents, or one of our own exports.

    Without a FILE, the sessions of all agents that are found in their usual places; a folder is looked
    through for them. Rows keep the cost they state; the others are priced by the price list of their day.
    Rows below zero are refunds of calls, or credits. Importing again, or in another format, adds only what is
    new; rows that --dates, --timezone, --user, --job, --service, --model or --zero-is-free now make other
    entries are recorded anew. A call that was recorded as it was made is recognised by the id of its
    response; a log that states none counts it again (reconcile names such calls).
    Every row that was not understood is listed with the reason; then the exit code is 1.
    """
    sessions = sessions_meant(file, given["format_from"])
    if sessions is not None:
        return import_sessions(app, sessions, dry_run=dry_run, **given)
    if file is None:
        raise WrongUsage(f"--from {given['format_from']} needs a FILE")
    if given["watch"]:
        raise WrongUsage(f"{file}: only sessions of agents can be watched; import it without --watch")
    source, workspace = _source(app, file, **given), app.workspace
    with progress_bar("rows", None) as progress:
        writer = BatchWriter(workspace.index)
        importer = Importer(source, workspace.storage, workspace.catalogue, writer, dry_run, progress)
        tally = importer.run()
    app.show(import_report(tally, f"{file} as {source.format.name}", dry_run=dry_run))
    return BAD_NEWS if tally.refused else None


command.help = with_formats(command.help, {**imports(), **programs()})


def _source(app: App, file: Path, **given: Any) -> ImportSource:
    return ImportSource(
        file,
        import_for(file, given["format_from"]),
        source_name(given["source"] or file.stem),
        _defaults(app, given["user"] or app.default_user, **given),
        given["zero_is_free"],
        frozenset(decided for option, decided in _SETTLES.items() if given[option]),
    )


_SETTLES: Final = {
    "dates": "timestamp",
    "timezone": "timestamp",
    "user": "user_id",
    "job": "job_id",
    "service": "service",
    "model": "model",
}
"""Which field of the entries of its rows an option decides."""


def _defaults(app: App, user_id: str, **given: Any) -> Defaults:
    try:
        stated = given["timezone"]
        where = zone(stated) if stated else app.workspace.profile.for_user(user_id).timezone
    except ValueError as fault:
        raise WrongUsage(str(fault)) from fault
    return Defaults(user_id, given["job"], given["service"], given["model"], where, given["dates"])


def source_name(stated: str) -> str:
    """Return a name as it can stand in a path: letters, digits, dots, dashes.

    >>> source_name("Old laptop (2025)")
    'Old-laptop-2025'
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stated).strip("-.")[:60]
    if not name:
        raise WrongUsage(f"{stated!r} has no letter or digit to make a name of; give one with --source")
    return name


class LogSelection:
    """Which logs are meant: of some programs, in their usual places or at a path."""

    def __init__(self, names: list[str], path: Path | None) -> None:
        self.names = names
        self.path = path
        self._is_folder = path is not None and path.is_dir()

    def files(self, app: App) -> Iterator[ProgramLog]:
        """Yield the logs that are there now."""
        environ = app.workspace.environ
        if self.path is None:
            yield from usual_files(self.names, Path(environ.get("HOME") or with_home("~")), environ)
        elif self._is_folder:  # also while it is away: watched, it may come back
            yield from files_under(self.path, self.names)
        else:
            yield ProgramLog(programs()[self.names[0]], self.path)


def sessions_meant(path: Path | None, name: str | None) -> LogSelection | None:
    """Return the sessions of agents that a path and the name of a format mean; ``None`` for another history.

    Raises:
        CannotRead: the file is not there, or is not a regular file.

    """
    if name in imports():
        return None
    names = [name] if name else [*programs()]
    if path is None or path.is_dir():
        return LogSelection(names, path)
    if name:
        return LogSelection(names, path)
    program = recognised(path, names)
    return LogSelection([program.name], path) if program else None


def import_sessions(app: App, sessions: LogSelection, *, dry_run: bool, **given: Any) -> int | None:
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
        LogPositions(workspace.storage),
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
    for name in ("source", "job", "service", "model", "timezone", "dates", "zero_is_free"):
        if given[name]:
            raise WrongUsage(
                f"--{name.replace('_', '-')} says nothing about sessions of agents; leave it out"
            )


def _watch(app: App, importer: SessionImport, sessions: LogSelection, every_s: float) -> None:
    """Look again and again, and say each time what came in, until interrupted."""
    importer.progress = lambda _files: None
    app.say(f"watching; a look every {every_s:g} s, Ctrl-C ends it")
    refused = set[str]()
    try:
        while True:
            time.sleep(every_s)
            looked = importer.run(sessions.files(app))
            for text in filter(None, map(_came_in, looked)):
                app.say(text)
            before, refused = refused, {text for taken in looked for text in _refused(taken)}
            for text in sorted(refused - before):  # what is still so is not said again at each look
                app.say(text)
    except KeyboardInterrupt:
        app.say("stopped watching; what came in is recorded")


def _came_in(taken: ProgramImport) -> str:
    """Return what came in of a program since the last look, in a line; nothing where nothing did."""
    added = taken.added
    if not (added.calls or added.grown):
        return ""
    calls = plural(added.calls, "call", "calls")
    return f"{taken.program.title}: {calls}, {usd(added.cost)}"


def _refused(taken: ProgramImport) -> Iterator[str]:
    """Yield what was not understood of a program's logs, each in a line with its reason."""
    for each in taken.remarks.refusals:
        yield f"{taken.program.title}: not understood: {each.row}: {each.why}"
