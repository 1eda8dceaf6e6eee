"""``cost-dashboard doctor``."""

from __future__ import annotations

from ....reports.doctor import doctor_facts, doctor_report
from ..app import App, dashboard_command


@dashboard_command("Keep in order", "doctor", "doctor --json", prepares=False)
def command(app: App) -> int:
    """What is wrong with your set-up or your ledgers, and how to mend it.

    Looks at storage, permissions, profile, prices, index, ledgers, clock, spool, unpriced calls,
    reservations and alerts. Mends nothing. Exit code 1 when something is wrong.
    """
    facts = doctor_facts(app.reader)
    app.show(doctor_report(facts))
    return facts.exit_code
