"""The facts of a job's receipt, for ``export-report --job``."""

from __future__ import annotations

from ...rollup import JobRef
from ...views.receipt import ReceiptFacts
from ...workspace import Workspace
from .job import entries_of_job, job_facts


def receipt_facts(workspace: Workspace, job: JobRef) -> ReceiptFacts:
    """Return one job's sums, limits and entries, in the order of its ledger."""
    facts = job_facts(workspace, job)
    entries, _ = entries_of_job(workspace, job)
    return ReceiptFacts(facts, entries)
