"""The receipt of a job to keep and to pass on: what ``show-job`` has, and the job call by call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ..analysis.sums import UNNAMED
from ..model import Entry
from .common import plural
from .document import Column, Note, Report, Row, Table
from .jobs import find_job
from .reader import Reader
from .show_job import JobFacts, entries_of_job, job_facts, job_report

CALLS: Final = 500
"""How many calls a receipt lists; an export of the entries has all of them."""


class ReceiptFacts(NamedTuple):
    """What the report shows: the job as `show-job` has it, and its entries in order."""

    job: JobFacts
    entries: Sequence[Entry]


def receipt_facts(reader: Reader, name: str) -> ReceiptFacts:
    """Return one job's sums, limits and entries, in the order of its ledger."""
    facts = job_facts(reader, name)
    entries, _ = entries_of_job(reader, find_job(reader, name))
    return ReceiptFacts(facts, entries)


def receipt_report(facts: ReceiptFacts) -> Report:
    """Return the receipt of one job."""
    receipt = job_report(facts.job)
    if not facts.entries:
        return receipt
    return receipt._replace(
        tables=(*receipt.tables, _calls(facts)), notes=(*receipt.notes, *_left_out(facts.entries))
    )


def _calls(facts: ReceiptFacts) -> Table:
    columns = (
        Column("at", "At"),
        Column("stage", "Stage", rank=1),
        Column("model", "Model"),
        Column("attempt", "Attempt", "count", rank=3),
        Column("tokens_input", "Input", "tokens", rank=2),
        Column("tokens_cached", "Cached", "tokens", rank=3),
        Column("tokens_output", "Output", "tokens", rank=2),
        Column("cost", "Cost", "money", places=4),
    )
    rows = tuple(_row(entry, facts) for entry in facts.entries[:CALLS])
    return Table("Call by call", columns, rows)


def _row(entry: Entry, facts: ReceiptFacts) -> Row:
    usage = entry.usage
    model = f"{entry.service}/{entry.model}"
    return (
        f"{entry.timestamp.astimezone(facts.job.zone):%Y-%m-%d %H:%M:%S}",
        entry.stage or UNNAMED,
        model if entry.kind == "usage" else f"{model} ({entry.kind})",
        entry.attempt,
        usage.tokens_input,
        usage.tokens_cached,
        usage.tokens_output,
        None if entry.charge is None else entry.cost,
    )


def _left_out(entries: Sequence[Entry]) -> tuple[Note, ...]:
    more = len(entries) - CALLS
    if more <= 0:
        return ()
    return (Note(f"{plural(more, 'more entry is', 'more entries are')} not listed; export has them all."),)
