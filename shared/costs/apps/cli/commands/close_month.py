"""``cost-dashboard close-month``."""

from __future__ import annotations

from pathlib import Path

import click

from ....replacing import replacing
from ....reports.closing import close_month, closed_report, document_of
from ....reports.spec import Option
from ..app import App, dashboard_command
from ..options import asked_with


@dashboard_command("Keep in order", "close-month 2026-10 sealed-2026-10.json")
@asked_with(
    Option("", "", "YYYY-MM", called="month", required=True),
    Option("", called="file", parse=click.Path(path_type=Path, dir_okay=False), required=True),
)
def command(app: App, month: str, file: Path) -> None:
    """Write the digests of a month that is over into one small file, to keep elsewhere.

    It covers the ledgers that have calls of the month, the profile and your own prices. Later,
    verify --sealed FILE says which of them changed, and in which line. Nothing is locked: corrections can
    still be appended, and are distinguished from changes.
    """
    closed = close_month(app.reader, month)
    with replacing(file) as draft:
        draft.write_text(document_of(closed), encoding="utf-8")
    app.show(closed_report(closed, str(file)))
