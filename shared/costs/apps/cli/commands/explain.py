"""``cost-dashboard explain``."""

from __future__ import annotations

import click

from ....reports.explain import explain_facts, explain_report
from ....rollup import Query
from ..app import App, dashboard_command
from ..completing import complete_side
from ..options import user_option


@dashboard_command(
    "Look",
    "explain 2026-10 2026-11",
    "explain 2026-W45 2026-W46 --user rpatel",
    "explain job-20261121-rpatel-0001 job-20261122-rpatel-0001",
)
@click.argument("before", metavar="A", shell_complete=complete_side)
@click.argument("after", metavar="B", shell_complete=complete_side)
@user_option
@click.option("--stage", metavar="NAME", help="Only this stage.")
def command(app: App, before: str, after: str, user: str | None, stage: str | None) -> None:
    """Why B cost more or less than A: the difference split exactly by reason.

    A and B are months (2026-11), weeks (2026-W47), days (2026-11-22), stretches
    (2026-11-01..2026-11-15) or jobs. The reasons: retries, volume, models, tiers, caching, size of
    the calls, and prices; they add up to the difference.
    """
    query = Query(user_id=user, stage=stage)
    app.show(explain_report(explain_facts(app.reader, before, after, query)))
