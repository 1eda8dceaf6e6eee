"""A cost storage with ledgers of several months, and an archive of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from shared.costs.archive.known import KnownArchives
from shared.costs.archive.manifest import Manifest
from shared.costs.archive.places import ArchiveStorage
from shared.costs.exchange.archiving import ArchiveResult, archive
from shared.costs.exchange.calendar import Calendar
from shared.costs.ledger.line import encode
from shared.costs.ledger.writer import append
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.profile.types import Profile
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store

PRICED_BY = PricedBy("catalogue", "2026-11-22", "openai/gpt-4o")
_numbers = count(1)


def at(month: int, day: int = 15, hour: int = 12) -> datetime:
    """An instant of 2026."""
    return datetime(2026, month, day, hour, 30, 0, 123456, tzinfo=UTC)


def call(when: datetime, **changes: Any) -> Entry:
    """A call with an id and a cost of its own."""
    number = next(_numbers)
    usual: dict[str, Any] = {
        "id": f"{number:028x}",
        "timestamp": when,
        "job_id": "job-1",
        "user_id": "ana",
        "stage": "13_ai_summarization",
        "service": "openai",
        "model": "gpt-4o",
        "usage": Usage(tokens_input=1_000 + number, tokens_output=number),
        "charge": Charge({"input": Nanos(2_500_000 + number), "output": Nanos(number)}, PRICED_BY),
        "operation": "summarization",
        "host": "worker-1",
        "pid": 42,
        "metadata": {"segments": number},
    }
    return Entry(**{**usual, **changes})


@dataclass
class World:
    """Ledgers, their storage, and the place of an archive. A test adds entries and archives them."""

    root: Path
    location: str = ""
    profile: Profile = field(default_factory=Profile)

    def __post_init__(self) -> None:
        self.storage = CostStorage(self.root / "storage")
        self.storage.prepare()
        self.store = Store.of(self.storage)
        self.known = KnownArchives(self.storage)
        self.location = self.location or str(self.root / "archive")

    @property
    def place(self) -> ArchiveStorage:
        return self.known.place(self.location)

    def ledger(self, job: str) -> Path:
        return self.root / "out" / job / LEDGER_NAME

    def add(self, job: str, *entries: Entry) -> Path:
        """Append entries to a job's ledger, known to the storage."""
        path = self.ledger(job)
        self.store.note(path)
        append(path, b"".join(map(encode, entries)), 2.0)
        return path

    def archive(self, before: str = "2026-11", place: ArchiveStorage | None = None) -> ArchiveResult:
        return archive(self.store, Calendar(self.profile), self.known, place or self.place, before)

    def manifest(self) -> Manifest:
        stored = self.place.manifest()
        return Manifest.parsed(stored.document, self.location) if stored else Manifest()

    def rows(self, columns: str = "id", where: str = "true") -> list[tuple[Any, ...]]:
        """What the parts that the manifest names have, by a plain reader of Parquet."""
        files = [str(self.place.file(part.name)) for part in self.manifest().parts]
        if not files:
            return []
        sql = f"SELECT {columns} FROM read_parquet(?, hive_partitioning = false) WHERE {where} ORDER BY ALL"
        return duckdb.connect().execute(sql, [files]).fetchall()

    def archived_ids(self) -> list[str]:
        return [row[0] for row in self.rows()]


def ids(entries: Iterable[Entry]) -> list[str]:
    return sorted(entry.id for entry in entries)
