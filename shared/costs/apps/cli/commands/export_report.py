"""``cost-dashboard export-report``."""

from __future__ import annotations

from pathlib import Path

from ....errors import WrongUsage
from ....exchange.exports import exports
from ....formats import names
from ....reports.questions import TimeSpan, UserMonth, query_of
from ....reports.show_job import receipt_facts, receipt_report
from ....reports.spec import MONTH, USER, Option
from ....reports.statement import statement_facts, statement_report
from ..app import App, dashboard_command, last_day
from ..exporting import write_entries
from ..options import asked_with

_REPORTS = [*names(), "md"]
_ENTRIES = [name for name in exports() if name not in _REPORTS]
_NEWEST_FOCUS = max(name for name in exports() if name.startswith("focus"))


@dashboard_command(
    "Record and share",
    "export-report --format html --output november.html",
    "export-report --format md --month 2026-10",
    "export-report --format pdf --output november.pdf",
    "export-report --format json --job job-20261122-rpatel-0001",
    "export-report --format csv --entries --output entries.csv",
)
@asked_with(
    Option(
        "--format",
        "A report as text, json, csv, md, html, pdf; or, in the other formats, the entries themselves.",
        called="format_name",
        choices=(*_REPORTS, "focus", *_ENTRIES),
    ),
    Option("--job", "The receipt of one job, not the month.", "JOB", completes="job"),
    Option("--entries", "The entries themselves, in csv or json.", called="all_entries", flag=True),
    MONTH,
    USER,
)
def command(
    app: App, job: str | None, month_name: str | None, user: str | None, all_entries: bool
) -> int | None:
    """Write a month's report, a job's receipt, or all entries, in the format you need.

    A month's report has what show-monthly, forecast, explain, anomalies and show-optimization say of it;
    as html it is one page to send or print, as pdf the same on paper (pip install '.[pdf]'). Without
    --month, entries are those of the whole history and a report is of the present month. Without
    --output it goes to the terminal. The exit code is 3 where entries are missing because a ledger could
    not be read.
    """
    kind = app.output.format_name
    if all_entries or kind not in _REPORTS:
        if job is not None:
            raise WrongUsage(
                f"the receipt of a job cannot be written as {kind}; leave out --job or --entries"
            )
        filters = {"user": user} if user else {}
        kind = _NEWEST_FOCUS if kind == "focus" else "csv" if kind == "text" else kind
        return write_entries(app, kind, app.output.path or Path("-"), query_of(filters), TimeSpan(month_name))
    if job is not None:
        app.show(receipt_report(receipt_facts(app.reader, job)))
        return None
    facts = statement_facts(app.reader, UserMonth(user, month_name))
    app.show(statement_report(facts), last_day(facts.month))
    return None
