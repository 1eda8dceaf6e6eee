"""``cost-dashboard export``."""

from __future__ import annotations

from pathlib import Path

import click

from ....errors import WrongUsage
from ....exchange.exports import ALIASES, exports
from ....reports.questions import TimeSpan, query_of
from ....reports.spec import FILTERS, SPAN, Option, with_formats
from ..app import App, dashboard_command
from ..exporting import write_entries
from ..options import asked_with

_KINDS = sorted({*exports(), *ALIASES})


@dashboard_command(
    "Record and share",
    "export csv costs.csv",
    "export json costs.json --days 30 --user rpatel",
    "export csv - --model openai/gpt-4o",
    "export --format parquet --output costs.parquet",
)
@asked_with(
    Option("", "", "[FORMAT]", called="kind", choices=tuple(_KINDS)),
    Option(
        "",
        "",
        "[FILE]",
        click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        called="file",
    ),
    Option("--format", "The same as FORMAT.", "FORMAT", called="format_name", choices=tuple(_KINDS)),
    SPAN,
    FILTERS,
)
def command(
    app: App, kind: str | None, file: Path | None, span: TimeSpan, filters: dict[str, str]
) -> int | None:
    """Write the entries themselves to a file, all or filtered.

    FORMAT is one of those below; FILE is - for the terminal. They can also be given as --format and
    --output. JSON also carries a summary and the budgets. Without dates: the whole history. The exit code
    is 3 where a ledger could not be read: the file has all other entries, and verify names what is missing.
    """
    asked = None if app.output.format_name == "text" else app.output.format_name
    if (kind and asked and kind != asked) or (file and app.output.path):
        raise WrongUsage("give the format and the file once: export csv FILE, or --format csv --output FILE")
    kind = kind or asked
    if kind is None:
        raise WrongUsage("which format? cost-dashboard export csv FILE; see --help for all")
    return write_entries(app, kind, file or app.output.path or Path("-"), query_of(filters), span)


_SHORT = ((name, f"The same as {full}.") for name, full in ALIASES.items())
command.help = with_formats(command.help, exports(), _SHORT)
