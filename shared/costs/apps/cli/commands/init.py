"""``cost-dashboard init``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ....platform import close, create_secure, sync
from ....reports.document import Column, Note, Report, Table
from ..app import App, dashboard_command

_TEMPLATES = Path(__file__).parents[3] / "data" / "templates"


@dashboard_command("Budgets", "init", "init ~/pipelines/config")
@click.argument("directory", default="config", type=click.Path(path_type=Path, file_okay=False))
def command(app: App, directory: Path) -> None:
    """Write a commented profile and price overrides to start from.

    DIRECTORY is ./config by default, where every command finds them. Files that are there are
    left alone. Nothing else ever needs this command: without a profile the defaults hold.
    """
    directory = directory.expanduser()
    directory.mkdir(parents=True, exist_ok=True)
    done = {template.name: _copy(template, directory / template.name) for template in _templates()}
    app.show(_report(directory, done))


def _templates() -> list[Path]:
    return sorted(_TEMPLATES.glob("*.yaml"))


def _copy(template: Path, target: Path) -> bool:
    """Write a template where nothing of its name is; return whether it was written."""
    if os.path.lexists(target):
        return False
    descriptor = create_secure(target)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(template.read_bytes())
        sync(descriptor)
    finally:
        close(descriptor)
    return True


def _report(directory: Path, done: dict[str, bool]) -> Report:
    rows = tuple(
        (str(directory / name), "written" if new else "was there, left alone") for name, new in done.items()
    )
    return Report(
        title="Settings to start from",
        tables=(Table("File", (Column("file", "File"), Column("state", "State")), rows),),
        notes=(Note("Next: edit the limits, then see cost-dashboard show-budget."),),
        data={"files": [{"path": path, "written": state == "written"} for path, state in rows]},
    )
