"""``cost-dashboard reprice``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import date, datetime, time
from functools import partial

import click

from ....errors import WrongUsage
from ....exchange.ledger_access import BatchWriter, import_lock
from ....ledger.counted import id_for_request
from ....pricing.history import with_corrections
from ....pricing.repricing import Repricing
from ....reports.common import CHECK, plural, usd
from ....reports.document import Column, Figure, Note, Report, Table, derive
from ....reports.queries import zone_of
from ....reports.spec import Option, parse_day
from ....rollup import Query
from ....workspace import Workspace
from ..app import App, dashboard_command, share_bar
from ..options import asked_with


@dashboard_command("Keep in order", "reprice", "reprice --yes", "reprice --all --since 2026-11-01")
@asked_with(
    Option("--since", "Only calls from this day on.", "DATE", parse_day),
    Option("--all", "Also correct calls that have another price.", called="wrong_too", flag=True),
    Option("--dry-run", "Only show the difference, and do not ask.", flag=True),
    Option("--yes", "Append the corrections without asking.", flag=True),
)
def command(app: App, since: date | None, wrong_too: bool, dry_run: bool, yes: bool) -> None:
    """Price calls that had no price by the price list of their own day.

    Appends an adjustment for each; no line is edited, and a second run adds nothing. The difference
    is shown first: on a terminal you are asked, elsewhere nothing is written without --yes.
    """
    if dry_run and yes:
        raise WrongUsage("--dry-run writes nothing and --yes writes; give one of them")
    start = _start(app, since)
    if not yes:
        _work(app, start, wrong_too=wrong_too, write=False)
        if dry_run or not sys.stdin.isatty() or not click.confirm("Append these corrections?", err=True):
            return
    _work(app, start, wrong_too=wrong_too, write=True)


def _start(app: App, since: date | None) -> datetime | None:
    if since is None:
        return None
    return datetime.combine(since, time.min, tzinfo=zone_of(app.reader, None))


def _work(app: App, start: datetime | None, *, wrong_too: bool, write: bool) -> None:
    # What is appended follows from what the ledgers have: nobody else may correct them meanwhile.
    turn = import_lock(app.workspace.storage) if write else nullcontext()
    with turn, share_bar("Repricing") as advance:
        repricing = reprice(app.workspace, start, advance, wrong_too=wrong_too, write=write)
    app.show(repricing_report(repricing, written=write))


def repricing_report(repricing: Repricing, *, written: bool) -> Report:
    """Return what was corrected, or without ``written`` what would be."""
    return Report(
        title=_title(repricing, written=written),
        figures=(
            Figure("examined", "Calls checked", repricing.examined, "count"),
            Figure("repriced", "Corrected", repricing.repriced, "count", _resolved(repricing)),
            Figure("difference", "Difference", repricing.difference, "difference", places=4),
        ),
        tables=(_by_model(repricing),) if repricing.changes else (),
        notes=tuple(_notes(repricing, written=written)),
        data=_data(repricing, written=written),
    )


def _resolved(repricing: Repricing) -> str:
    return f"{repricing.resolved:,} of them had no price" if repricing.resolved else ""


def _title(repricing: Repricing, *, written: bool) -> str:
    if not repricing.repriced:
        return "Nothing to correct"
    return "Corrected" if written else "What would be corrected"


def _by_model(repricing: Repricing) -> Table:
    return Table.of(
        "By model",
        sorted(repricing.changes.items()),
        (Column("model", "Model"), lambda one: one[0].name),
        (Column("priced_by", "Priced by", rank=2), lambda one: f"{one[0].source} {one[0].version}"),
        (Column("calls", "Calls", "count"), lambda one: one[1].calls),
        (Column("unpriced", "Had no price", "count", rank=1), lambda one: one[1].resolved),
        (
            Column("before", "Was", "money", places=4),
            lambda one: None if one[1].resolved == one[1].calls else one[1].before,
        ),
        (Column("after", "Is", "money", places=4), lambda one: one[1].after),
        (
            Column("difference", "Difference", "difference", places=4),
            lambda one: one[1].after - one[1].before,
        ),
    )


def _notes(repricing: Repricing, *, written: bool) -> Iterator[Note]:
    if repricing.repriced:
        calls = plural(repricing.repriced, "call", "calls")
        done = (
            "was appended; no line was edited"
            if written
            else "would be appended; nothing was written yet: add --yes"
        )
        yield Note(f"An adjustment for each of {calls} {done}.")
        if repricing.difference:
            word = "more" if repricing.difference > 0 else "less"
            amount = usd(abs(repricing.difference))  # type: ignore[arg-type]  # the size of an amount is one
            yield Note(f"The months of these calls cost {amount} {word} in total.")
    if repricing.unpriced:
        calls = plural(repricing.unpriced.total(), "call still has", "calls still have")
        models = sorted(repricing.unpriced)
        names = ", ".join(models[:3]) + (", ..." if len(models) > 3 else "")
        yield Note(f"{calls} no price ({names}): {CHECK} says why.", "warning", CHECK)


def _data(repricing: Repricing, *, written: bool) -> dict[str, object]:
    return {
        "written": written,
        **derive(repricing, "examined_calls=examined", "repriced_calls=repriced", "resolved_calls=resolved"),
        **derive(repricing, "difference"),
        "models": [
            {
                **derive(change, "model=name", "source", "version"),
                **derive(sums, "calls", "resolved_calls=resolved", "before", "after"),
            }
            for change, sums in sorted(repricing.changes.items())
        ],
        "unpriced": dict(sorted(repricing.unpriced.items())),
    }


def reprice(
    workspace: Workspace,
    since: datetime | None,
    advance: Callable[[int, int], None],
    *,
    wrong_too: bool = False,
    write: bool = False,
) -> Repricing:
    """Price the calls since an instant again; with ``write`` append a correction of each that needs one.

    Nothing is edited. Ledgers are read one after the other, so that memory stays small; interrupted,
    a part is corrected, and the next run corrects the rest. ``advance`` is called with the number of
    ledgers that are done, and of all.

    Raises:
        FileRefused: the user's prices are refused.
        NotWritten: a ledger cannot be written to.

    """
    index, writer = workspace.index, BatchWriter(workspace.index)
    query = Query(start=since)  # corrections count in the period of their call, so they match as it does
    repricing = Repricing(workspace.catalogue, workspace.clock(), id_for_request, wrong_too)
    index.catch_up_all()
    jobs = index.jobs(query)
    for done, job in enumerate(jobs, 1):
        read = partial(index.entries, query._replace(ledger=job.ledger))
        for correction in repricing.corrections(with_corrections(read)):
            if write:
                writer.write(job.ledger, correction)
        advance(done, len(jobs))
    writer.flush()
    return repricing
