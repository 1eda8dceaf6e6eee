"""``cost-dashboard demo``."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from ....demo import SEED, DemoFiles, write_sample
from ....money import to_usd
from ....periods import month, previous_month
from ....reports.document import Figure, Note, Report
from ....reports.spec import Option
from ....workspace import Workspace
from ..app import App, dashboard_command
from ..options import asked_with

TRY = (
    "show-budget --user rpatel",
    "show-monthly",
    "show-job {job}",
    "show-optimization --user rpatel",
    "anomalies",
    "explain {before} {month}",
    "export-report --format html --output costs.html",
    'query "SELECT model, sum(cost_usd) FROM entries GROUP BY 1"',
)
"""What to try with the sample, the best first."""


@dashboard_command(
    "Record and share",
    "demo",
    "demo /tmp/costs --seed 7",
    prepares=False,
    without=("cost_storage", "profile"),
)
@asked_with(
    Option("", called="directory", parse=click.Path(path_type=Path, file_okay=False), default="cost-demo"),
    Option("--seed", "Another seed, another history.", parse=click.INT, default=SEED, shows_default=True),
)
def command(app: App, directory: Path, seed: int) -> None:
    """Write a sample history to look at: three months of an invented team.

    DIRECTORY (default: ./cost-demo) must be empty or not there yet. It gets a cost storage of its
    own; your own costs are not touched. Delete the directory to be rid of it.
    """
    now = app.workspace.clock()
    sample = write_sample(directory, now, seed)
    with Workspace(sample.storage.root, sample.profile, environ=app.workspace.environ) as workspace:
        workspace.index.add(path for path, _ in sample.jobs)
        workspace.index.catch_up_all()
        app._replace(workspace=workspace).show(_report(sample, now))


def _report(sample: DemoFiles, now: datetime) -> Report:
    names = {"job": sample.jobs[-1][1], **_months(now)}
    commands = [f"cost-dashboard {line.format_map(names)}" for line in TRY]
    settings = [
        f"export COST_TRACKER_HOME={shlex.quote(str(sample.storage.root))}",
        f"export COST_TRACKER_PROFILE={shlex.quote(str(sample.profile))}",
    ]
    return Report(
        title=f"A sample history in {sample.root}",
        figures=(
            Figure("jobs", "Jobs", len(sample.jobs), "count"),
            Figure(
                "entries", "Entries", sample.entries, "count", "calls, corrections, one damaged on purpose"
            ),
            Figure("cost", "Cost", sample.cost, "money"),
        ),
        notes=(Note("Try it:"), *(Note(line, remedy=line) for line in (*settings, *commands))),
        data={
            "directory": str(sample.root),
            "cost_storage": str(sample.storage.root),
            "profile": str(sample.profile),
            "jobs": len(sample.jobs),
            "entries": sample.entries,
            "cost_usd": to_usd(sample.cost),
            "damaged_ledger": str(sample.damaged),
            "try": [*settings, *commands],
        },
    )


def _months(now: datetime) -> dict[str, str]:
    """Return the names of the present month and the one before, as the sample's profile has them."""
    this = month(now, ZoneInfo("UTC"))
    return {"month": this.name, "before": previous_month(this).name}
