"""``cost-dashboard export``."""

from __future__ import annotations

from pathlib import Path

import click

from ....exchange.exports import ALIASES, exports
from ....reports.questions import Span, query_of
from ....reports.spec import FILTERS, SPAN
from ..app import App, dashboard_command
from ..exporting import write_entries
from ..formatlist import with_formats
from ..options import asked_with


@dashboard_command(
    "Record and share",
    "export csv costs.csv",
    "export json costs.json --days 30 --user rpatel",
    "export csv - --model openai/gpt-4o",
)
@click.argument("kind", metavar="FORMAT", type=click.Choice(sorted({*exports(), *ALIASES})))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@asked_with(SPAN, FILTERS)
def command(app: App, kind: str, file: Path, span: Span, filters: dict[str, str]) -> int | None:
    """Write the entries themselves to a file, all of them or as filtered.

    FORMAT is one of those below; FILE is - for the terminal. JSON also carries a summary and the
    budgets. Without dates: the whole history. The exit code is 3 where a ledger could not be read: the
    file has all other entries, and verify names what is missing.
    """
    return write_entries(app, kind, file, query_of(filters), span)


_SHORT = ((name, f"The same as {full}.") for name, full in ALIASES.items())
command.help = with_formats(command.help, exports(), _SHORT)
