"""``cost-dashboard rebuild-index``."""

from __future__ import annotations

from pathlib import Path

import click

from ...errors import WrongUsage
from ...views.upkeep import rebuilt_report
from ..app import App, dashboard_command
from ..progress import share_bar


@dashboard_command("Keep in order", "rebuild-index", "rebuild-index --root ~/pipelines/out")
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also look for ledgers under this directory; may be repeated.",
)
def command(app: App, roots: tuple[Path, ...]) -> int:
    """Build the index anew from the ledgers, which are never changed.

    Only needed when doctor says so, or, with --root, when the list of ledgers was lost.
    """
    for root in roots:
        if not root.is_dir():
            raise WrongUsage(f"{root} is no directory")
    index = app.workspace.index
    added = sum(index.add_ledgers_under(root.resolve()) for root in roots)
    with share_bar("Rebuilding") as told:
        found = index.rebuild(told)
    app.show(rebuilt_report(found, added))
    return 1 if found.unread else 0
