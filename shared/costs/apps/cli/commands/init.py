"""``cost-dashboard init``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ....errors import CostError, WrongUsage
from ....platform import create_file, sync, with_home
from ....pricing.catalogue import Catalogue
from ....profile.loading import PROFILE_NAME, load_profile
from ....reports.document import Column, Note, Report, Table
from ....reports.spec import Option
from ....shipped import DATA
from ....workspace import PRICES_NAME
from ..app import App, dashboard_command
from ..options import asked_with

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@dashboard_command(
    "Budgets",
    "init",
    "init ~/pipelines/config",
    "init --profile costs/profile.yaml",
    without=("cost_storage",),
)
@asked_with(Option("", called="directory", parse=click.Path(path_type=Path, file_okay=False)))
def command(app: App, directory: Path | None) -> None:
    """Write a commented profile and price overrides to start from.

    DIRECTORY is ./config by default, where every command finds them; --profile FILE names the profile
    itself, and the prices go beside it. Files that are there are left alone. Nothing else ever needs this
    command: without a profile the defaults hold.
    """
    if directory is not None and app.profile is not None:
        raise WrongUsage("give DIRECTORY or --profile, not both")
    profile = app.profile or with_home(directory or Path("config")) / PROFILE_NAME
    profile.parent.mkdir(parents=True, exist_ok=True)
    prices = profile.with_name(PRICES_NAME)
    places = {PROFILE_NAME: profile, PRICES_NAME: prices}
    done = {place: _copy(DATA / "templates" / name, place) for name, place in places.items()}
    app.show(_report(done, [*_faults(profile, prices)]))


def _faults(profile: Path, prices: Path) -> Iterator[str]:
    """Yield why a file that was there cannot be used."""
    for read in (lambda: load_profile(profile), lambda: Catalogue.load(None, prices)):
        try:
            read()
        except CostError as fault:
            yield str(fault)


def _copy(template: Traversable, target: Path) -> bool:
    """Write a template where nothing of its name is; return whether it was written."""
    if os.path.lexists(target):
        return False
    with create_file(target) as file:
        with open(file.fileno(), "wb", closefd=False) as buffered:
            buffered.write(template.read_bytes())
        sync(file)
    return True


def _report(done: dict[Path, bool], faults: Sequence[str]) -> Report:
    rows = tuple(
        (str(path), "written" if new else "was there, left alone") for path, new in sorted(done.items())
    )
    following = Note("Next: edit the limits, then: cost-dashboard show-budget")
    return Report(
        title="New settings",
        tables=(Table("File", (Column("file", "File"), Column("state", "State")), rows),),
        notes=tuple(Note(fault, "warning") for fault in faults) or (following,),
        data={
            "files": [{"path": path, "written": state == "written"} for path, state in rows],
            "faults": [*faults],
        },
    )
