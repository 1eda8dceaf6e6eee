"""``cost-dashboard doctor``."""

from __future__ import annotations

from ...views.upkeep import doctor_report
from ..app import App, dashboard_command
from ..facts.doctor import doctor_facts


@dashboard_command("Keep in order", "doctor", "doctor --json", prepares=False)
def command(app: App) -> int:
    """What is wrong with your set-up or your ledgers, and how to mend it.

    Looks at storage, permissions, profile, prices, index, ledgers, clock, spool, unpriced calls,
    reservations and alerts. Mends nothing. Exit code 1 when something is wrong.
    """
    facts = doctor_facts(app.workspace)
    app.show(doctor_report(facts))
    return facts.exit_code
