"""What the tests of agents' sessions share: an import, and what the ledgers have after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shared.costs.exchange.sessions import files_under
from shared.costs.exchange.sessions.importing import LogPositions, ProgramImport, SessionImport
from shared.costs.model import Entry
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.rollup import Query
from shared.costs.storage import CostStorage
from shared.costs.store.store import Store
from tests.support.agents.billing import COUNTS

CATALOGUE = Catalogue.load()


class Imported(NamedTuple):
    """What one import did, and what the ledgers have since."""

    taken: ProgramImport
    entries: list[Entry]
    sums: dict[str, Counter[str]]
    """Counts by model: what the entries have, taken back ones not."""

    @classmethod
    def of(cls, storage: CostStorage) -> Callable[..., Imported]:
        """Return a function that imports what a folder has of a program."""

        def take(program: str, folder: Path, *, dry_run: bool = False, is_watching: bool = False) -> Imported:
            importer = SessionImport(
                storage,
                Store.of(storage),
                CATALOGUE,
                "ana",
                LogPositions(storage),
                dry_run=dry_run,
                is_watching=is_watching,
            )
            [taken] = importer.run(files_under(folder, [program]))
            importer.positions.close()
            entries = list(Store.of(storage).entries(Query()))
            return cls(taken, entries, summed(entries))

        return take


def summed(entries: list[Entry]) -> dict[str, Counter[str]]:
    """Return the counts of entries by model, with the number of calls."""
    sums: dict[str, Counter[str]] = {}
    for entry in entries:
        mine = sums.setdefault(entry.model, Counter())
        mine["calls"] += entry.sign * max(entry.usage.requests, 1)
        mine.update({name: entry.sign * getattr(entry.usage, name) for name in COUNTS})
    return sums
