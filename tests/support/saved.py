"""Writing invented entries into ledgers, as a tracker would have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shared.costs.ledger.line import encode
from shared.costs.model import Entry
from shared.costs.storage import LEDGER_NAME
from shared.costs.workspace import Workspace


def save(entries: Iterable[Entry], folder: Path, workspace: Workspace) -> None:
    """Write each job's entries to its ledger under ``folder``, and register the ledgers."""
    jobs: dict[str, list[bytes]] = {}
    for entry in entries:
        jobs.setdefault(entry.job_id, []).append(encode(entry))
    found = []
    for name, lines in jobs.items():
        ledger = folder / name / LEDGER_NAME
        ledger.parent.mkdir(parents=True)
        ledger.write_bytes(b"".join(lines))
        found.append((ledger, name))
    workspace.index.add(path for path, _ in found)
