"""What ``reprice`` does: reads each ledger, and appends the corrections of its calls to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from ...analysis.repricing import Repricing
from ...exchange.shelf import Shelf
from ...ledger.ids import id_for_request
from ...pricing.history import with_corrections
from ...rollup import Query
from ...workspace import Workspace


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
    a part is corrected, and the next run corrects the rest. ``told`` gets ledgers done and in all.

    Raises:
        FileRefused: the user's prices are refused.
        NotWritten: a ledger cannot be written to.

    """
    index, shelf = workspace.index, Shelf(workspace.index)
    query = Query(start=since)  # corrections count in the period of their call, so they match as it does
    found = Repricing(workspace.catalogue, workspace.clock(), id_for_request, wrong_too)
    index.catch_up_all()
    jobs = index.jobs(query)
    for done, job in enumerate(jobs, 1):
        read = partial(index.entries, query._replace(ledger=job.ledger))
        for correction in found.corrections(with_corrections(read)):
            if write:
                shelf.write(job.ledger, correction)
        advance(done, len(jobs))
    shelf.flush()
    return found
