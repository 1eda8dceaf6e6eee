"""``cost-dashboard import``."""  # noqa: N999 - a command is called as its file is

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from ....errors import WrongUsage
from ....exchange.foreign import Defaults
from ....exchange.imported import import_report
from ....exchange.importing import Importer, Source
from ....exchange.imports import import_for, imports
from ....exchange.sessions import programs
from ....exchange.shelf import Shelf
from ....exits import BAD_NEWS
from ....periods import zone
from ....reports.spec import with_formats
from ..app import App, dashboard_command
from ..progress import progress_bar
from ..sessions import import_sessions, sessions_meant


@dashboard_command(
    "Record and share",
    "import usage.db --dry-run",
    "import calls.json --user ana --service openai",
    "import 2025-10.csv --source old-laptop --timezone Europe/Berlin",
    "import --from claude-code --dry-run",
    "import --watch",
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--from",
    "format_from",
    type=click.Choice([*sorted(imports()), *programs()]),
    help="The file's format, or the agent whose sessions these are. Default: as it looks.",
)
@click.option(
    "--watch", is_flag=True, help="Go on with agents' sessions as they are written, until interrupted."
)
@click.option(
    "--every",
    type=click.FloatRange(0.1, 86_400),
    default=2.0,
    metavar="SECONDS",
    help="How often --watch looks. Default: 2.",
)
@click.option("--source", metavar="NAME", help="A name for where it comes from. Default: the file's name.")
@click.option("--user", "--user-id", "user", metavar="ID", help="Who paid, for rows that do not say it.")
@click.option("--job", metavar="ID", help="The job of rows that name none.")
@click.option("--service", metavar="NAME", help="The provider of rows that do not say it.")
@click.option("--model", metavar="NAME", help="The model of rows that do not name one.")
@click.option(
    "--timezone", metavar="ZONE", help="Where times without a zone are from. Default: the profile's."
)
@click.option(
    "--zero-is-free/--zero-is-unknown",
    help="Believe a cost of $0 beside usage, or, by default, price the row.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be imported.")
def command(app: App, file: Path | None, *, dry_run: bool, **given: Any) -> int | None:
    """Bring in the history of another tool, the sessions of command-line agents, or one of our own exports.

    Without a FILE, the sessions of all agents that are found in their usual places; a folder is looked
    through for them. Rows keep the cost they state; the others are priced by the price list of their day.
    Importing again adds only what is new, and a call that was recorded as it was made is told by the id of
    its response; a log that states none counts it again (reconcile names such calls). The answer tells every
    row that was not understood, and why; then the exit code is 1.
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
        shelf = Shelf(workspace.index)
        importer = Importer(source, workspace.storage, workspace.catalogue, shelf, dry_run, progress)
        tally = importer.run()
    app.show(import_report(tally, f"{file} as {source.format.name}", dry_run=dry_run))
    return BAD_NEWS if tally.refused else None


command.help = with_formats(command.help, {**imports(), **programs()})


def _source(app: App, file: Path, **given: Any) -> Source:
    return Source(
        file,
        import_for(file, given["format_from"]),
        source_name(given["source"] or file.stem),
        _defaults(app, given["user"] or app.default_user, **given),
        given["zero_is_free"],
    )


def _defaults(app: App, user_id: str, **given: Any) -> Defaults:
    try:
        stated = given["timezone"]
        where = zone(stated) if stated else app.workspace.profile.for_user(user_id).timezone
    except ValueError as fault:
        raise WrongUsage(str(fault)) from fault
    return Defaults(user_id, given["job"], given["service"], given["model"], where)


def source_name(stated: str) -> str:
    """Return a name as it can stand in a path: letters, digits, dots, dashes.

    >>> source_name("Old laptop (2025)")
    'Old-laptop-2025'
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stated).strip("-.")[:60]
    if not name:
        raise WrongUsage(f"{stated!r} has no letter or digit to make a name of; give one with --source")
    return name
