"""``cost-dashboard verify``."""

from __future__ import annotations

from pathlib import Path

import click

from ....errors import WrongUsage
from ....reports.jobs import find_job
from ....reports.verify import verify_facts, verify_report
from ....storage import LEDGER_NAME
from ..app import App, dashboard_command
from ..completing import complete_job
from ..progress import share_bar


@dashboard_command(
    "Keep in order", "verify", "verify out/2026-11-22/job-20261122-rpatel-0001", "verify --prices"
)
@click.argument("paths", nargs=-1, metavar="[LEDGER_OR_JOB_DIR]...", type=click.Path(path_type=Path))
@click.option("--job", metavar="JOB", shell_complete=complete_job, help="Only the ledger of this job.")
@click.option("--prices", is_flag=True, help="Also recompute every charge from the price that made it.")
def command(app: App, paths: tuple[Path, ...], job: str | None, prices: bool) -> int:
    """Account for every byte of every known ledger, or of those named.

    Nothing is changed. Exit code 1 when a line is damaged, torn or contradicts another, or when the
    index or a charge does not agree with the lines; 3 when a ledger could not be read.
    """
    if paths and job:
        raise WrongUsage("name ledgers or give --job, not both")
    ledgers = [path / LEDGER_NAME if path.is_dir() else path for path in paths]
    ledgers += [find_job(app.reader, job).ledger] if job else []
    with share_bar("Verifying") as told:
        facts = verify_facts(app.reader, ledgers or None, told, prices=prices)
    app.show(verify_report(facts))
    return facts.exit_code
