"""Where the entries of an export come from: the store, or any list of entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from ..ledger.cells import Cells, cells_of, cells_of_line
from ..ledger.lines import DamagedLine
from ..model import Entry
from ..rollup import Query
from ..store.store import Store


class EntrySource(Protocol):
    """A source of entries, whole or as rows of cells, which are faster to read."""

    def entries(self) -> Iterator[Entry]:
        """Return the entries."""
        ...

    def cells(self) -> Iterator[Cells]:
        """Return the same entries as rows of cells."""
        ...


@dataclass(frozen=True, slots=True)
class ListedEntries:
    """Entries from a list."""

    listed: Iterable[Entry]

    def entries(self) -> Iterator[Entry]:
        """Return the entries."""
        return iter(self.listed)

    def cells(self) -> Iterator[Cells]:
        """Return the entries as rows of cells."""
        return map(cells_of, self.listed)


class MissedLedger(NamedTuple):
    """A ledger that could not be read, so that its entries are missing, and the reason."""

    ledger: Path
    why: str


@dataclass(frozen=True, slots=True)
class IndexedEntries:
    """The entries of the ledgers that match a query. ``missed`` fills while they are read."""

    index: Store
    query: Query
    missed: list[MissedLedger] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        """Return the entries."""
        return self.index.entries(self.query, self._record_missed)

    def cells(self) -> Iterator[Cells]:
        """Return the entries as rows of cells; directly from the lines if no condition applies to them."""
        if self.query != Query(ledger=self.query.ledger, job_id=self.query.job_id):
            return map(cells_of, self.entries())
        return self._cells_of_lines()

    def _record_missed(self, ledger: Path, fault: OSError) -> None:
        self.missed.append(MissedLedger(ledger, fault.strerror or str(fault)))

    def _cells_of_lines(self) -> Iterator[Cells]:
        for line in self.index.lines(self.query, self._record_missed):
            try:
                yield cells_of_line(line)
            except DamagedLine:
                continue  # damaged since it was counted: entries() leaves it out as well
