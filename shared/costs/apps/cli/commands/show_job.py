"""``cost-dashboard show-job``."""

from __future__ import annotations

import click

from ....reports.jobs import find_job
from ....reports.show_job import job_facts, job_report
from ..app import App, dashboard_command
from ..completing import complete_job


@dashboard_command("Look", "show-job job-20261122-rpatel-0001", "show-job out/latest/")
@click.argument("job", shell_complete=complete_job)
def command(app: App, job: str) -> None:
    """The receipt of one job: its stages, models, retries and unpriced calls.

    JOB is the exact id, which is the name of the job's directory, or the directory itself.
    """
    app.show(job_report(job_facts(app.reader, find_job(app.reader, job))))
