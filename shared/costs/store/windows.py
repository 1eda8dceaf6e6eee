"""Sums from any instant on, exact to the microsecond: what a window that ends now has in it.

Sums are kept by bucket of 15 minutes. Of the one in which a window begins, the entries before its
beginning are read from the ledgers that have any in it, and taken off. Where the lines of a bucket stand
is remembered in this process: 8 bytes a line, and a ledger is read once. Of a ledger that is gone or
cannot be read, the whole bucket counts: a limit is never told less than what was spent.
"""

from __future__ import annotations

import sqlite3
import threading
from array import array
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from ..importing import import_safely
from ..ledger.counted import EPOCH, CountedEntry, dim_of, microseconds
from ..ledger.lines import DamagedLine, line_at
from ..platform import SecureFile
from ..rollup import Query
from . import queries, tables
from .gone import recognised
from .intake import read_counted
from .journal import opened
from .recent import Matcher
from .tables import BUCKET_MICROSECONDS, LedgerRow

BUCKET: Final = timedelta(microseconds=BUCKET_MICROSECONDS)


class Windows:
    """Answers :func:`.queries.spent` for queries that may begin at any instant. Thread-safe."""

    def __init__(self) -> None:
        self._ledgers: dict[int, _BucketOffsets] = {}
        self._lock = threading.Lock()

    def spent(self, db: sqlite3.Connection, query: Query) -> int:
        """Return what the entries that match come to, in the query's measure."""
        whole = queries.spent(db, query)
        start = 0 if query.start is None else microseconds(query.start)
        if not start % BUCKET_MICROSECONDS:
            return whole
        with self._lock:
            return whole - self._before(db, query, start)

    def _before(self, db: sqlite3.Connection, query: Query, start: int) -> int:
        """Return what counts in the bucket of ``start`` before it."""
        bucket, matches, before = start // BUCKET_MICROSECONDS, Matcher(query._replace(start=None)), 0
        begin = EPOCH + bucket * BUCKET
        within = queries.with_entries(query._replace(start=begin, end=begin + BUCKET))
        for row in tables.ledgers(db, f"gone IS NULL AND id IN ({within.text})", *within.values):
            for line in self._lines(db, row, bucket):
                if line.at < start and matches(line, dim_of(line)):
                    before += line.measured(query.measure)
        return before

    def _lines(self, db: sqlite3.Connection, row: LedgerRow, bucket: int) -> list[CountedEntry]:
        """Return the lines of a ledger that count in a bucket; none where it cannot be read."""
        try:
            with opened(row.path) as file:
                if not recognised(row, file):
                    return []
                places = self._ledgers.get(row.uid)
                if places is None or bucket < places.since or places.read_to > row.offset:
                    places = self._ledgers[row.uid] = _BucketOffsets(bucket)
                places.read_on(file, row.offset)
                skipped = queries.uncounted(db, row.id)
                return [line for offset, line in places.lines(file, bucket) if offset not in skipped]
        except OSError:
            return []


class _BucketOffsets:
    """Where the lines of each bucket from ``since`` on stand in one ledger, as far as it was read."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.read_to = 0
        self._offsets: dict[int, array[int]] = {}
        self._last: tuple[int, int, list[tuple[int, CountedEntry]]] = (-1, 0, [])

    def read_on(self, file: SecureFile, end: int) -> None:
        """Read as far as the sums have."""
        for offset, length, line in read_counted(file, self.read_to):
            if offset >= end:
                return
            self.read_to = offset + length
            if not isinstance(line, DamagedLine) and (bucket := line.at // BUCKET_MICROSECONDS) >= self.since:
                self._offsets.setdefault(bucket, array("q")).append(offset)

    def lines(self, file: SecureFile, bucket: int) -> list[tuple[int, CountedEntry]]:
        """Return the lines of a bucket and where they stand; a process asks for the same one for long."""
        offsets = self._offsets.get(bucket, array("q"))
        if self._last[:2] != (bucket, len(offsets)):
            self._last = (bucket, len(offsets), list(_read(file, offsets)))
        return self._last[2]


def _read(file: SecureFile, offsets: array[int]) -> Iterator[tuple[int, CountedEntry]]:
    import_safely("shared.costs.ledger.batch")
    from ..ledger.batch import counted_line  # its decoder takes long to import

    for offset in offsets:
        line = counted_line(line_at(file.fileno(), offset))
        if not isinstance(line, DamagedLine):
            yield offset, line
