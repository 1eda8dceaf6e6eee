"""``cost-dashboard check``."""

from __future__ import annotations

from typing import Any

import click

from ....reports.check import Bounds, check_facts, check_report
from ....reports.jobs import find_job
from ..app import App, dashboard_command
from ..completing import complete_job
from ..money_option import Usd
from ..options import user_option


@dashboard_command(
    "Budgets",
    "check",
    "check --user rpatel --strict --forecast",
    "check --job out/latest/ --max-per-job 0.50 --max-increase 20",
    "check --max-per-minute 0.01 --format md",
)
@user_option
@click.option("--strict", is_flag=True, help="A warning counts as over.")
@click.option("--forecast", is_flag=True, help="Also fail when the month is on course to pass its limit.")
@click.option("--max-per-job", type=Usd(), metavar="USD", help="Fail when a job of this month cost more.")
@click.option("--max-per-minute", type=Usd(), metavar="USD", help="Fail when a minute of audio cost more.")
@click.option(
    "--max-increase",
    type=click.FloatRange(min=0),
    metavar="PERCENT",
    help="Fail when the newest job cost this much more than the median of those before.",
)
@click.option(
    "--last", type=click.IntRange(3), default=10, show_default=True, help="How many jobs to compare with."
)
@click.option(
    "--job", metavar="JOB", shell_complete=complete_job, help="Ask about this job, not all of the month."
)
def command(app: App, user: str | None, strict: bool, job: str | None, **asked: Any) -> int:
    """Answer scripts and CI: exit code 0 within budget, 1 over, 3 when it cannot tell.

    With --strict 1 also when an alert threshold is crossed. Without --user: the default user.
    """
    bounds = Bounds(
        forecast=asked["forecast"],
        max_per_job=asked["max_per_job"],
        max_per_minute=asked["max_per_minute"],
        more_percent=asked["max_increase"],
        last=asked["last"],
        job=find_job(app.reader, job) if job else None,
    )
    facts = check_facts(app.reader, user or app.default_user, bounds, strict=strict)
    app.show(check_report(facts))
    return facts.exit_code
