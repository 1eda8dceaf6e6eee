"""Sends entries through an export, to a file or to the terminal, with progress on stderr."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...errors import FAILED, WrongUsage
from ...exchange.exports import ExportContext, export_named
from ...exchange.source import IndexedEntries, MissedLedger
from ...replacing import replacing
from ...reports.common import limit_row, plural
from ...reports.queries import limits_in, month_of, period_of, spendings
from ...reports.questions import TimeSpan
from ...rollup import Query
from .app import App, progress_bar


def write_entries(app: App, kind: str, file: Path, query: Query, span: TimeSpan) -> int | None:
    """Write the entries that match to ``file`` (``-`` is stdout); return 3 where some are missing.

    Raises:
        WrongUsage: a format that is not text cannot go to stdout.
        UnsafePath: the file is a link, a pipe or a device.
    """
    export = export_named(kind)
    to_terminal = str(file) == "-"
    if to_terminal and not export.text:
        raise WrongUsage(f"{kind} is not a text format; name a file to write it to")
    query = _bounded(app, query, span)
    app.workspace.index.catch_up_all()
    expected = sum(group.totals.calls for group in app.reader.tagged.groups((), query))
    source = IndexedEntries(app.reader.tagged, query)
    with progress_bar("Exporting", expected) as progress:
        context = ExportContext(_about(app, query), progress)
        target = _to_stdout() if to_terminal else replacing(file)
        with target as draft:
            written = export.write(source, draft, context)
    app.say(f"wrote {plural(written, 'entry', 'entries')}" + ("" if to_terminal else f" to {file}"))
    return told_incomplete(app, source.missed)


def told_incomplete(app: App, missed: Sequence[MissedLedger]) -> int | None:
    """Say on stderr that entries are missing, and return the exit code for it; ``None`` where none are."""
    if not missed:
        return None
    ledgers = plural(len(missed), "ledger", "ledgers")
    more = "" if len(missed) == 1 else ", and so on"
    app.say(
        f"Incomplete: the entries of {ledgers} are missing: {missed[0].ledger} cannot be read: "
        f"{missed[0].why}{more}; see cost-dashboard verify"
    )
    return FAILED


def _bounded(app: App, query: Query, span: TimeSpan) -> Query:
    """Return the query within the dates that were given; without any, over the whole history."""
    if span == TimeSpan():
        return query
    period = period_of(app.reader, span, query.user_id)
    return query._replace(start=period.start, end=period.end)


def _about(app: App, query: Query) -> dict[str, object]:
    """Return what an export may say beside its entries: when, of what, and how the budgets stand."""
    now = app.workspace.clock()
    user = query.user_id or app.default_user
    standing = spendings(app.reader, limits_in(app.reader, user, month_of(app.reader, user)))
    return {
        "exported_at": now.isoformat(),
        "start": query.start.isoformat() if query.start else None,
        "end": query.end.isoformat() if query.end else None,
        "budgets": [limit_row(spending) for spending in standing],
    }


@contextmanager
def _to_stdout() -> Iterator[Path]:
    """Give a private file whose content goes to stdout when it is complete."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "entries"
        draft.touch(0o600)
        yield draft
        with draft.open("rb") as file:
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
