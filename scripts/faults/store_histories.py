"""Ledgers for the tests of the store, and what their sums are by a full fold of every line."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.costs.ledger.counted import new_id
from shared.costs.ledger.line import encode
from shared.costs.ledger.lines import AppendedLine
from shared.costs.ledger.reader import read
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.rollup import Group, Query, Totals
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store
from shared.costs.store.tables import SUM_COLUMNS

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
PRICED = PricedBy("catalogue", "2026-11-22", "openai/gpt-4o")


def an_entry(chance: random.Random, **fields: object) -> Entry:
    """Return a random entry of November 2026; ``fields`` are set as given."""
    usage = Usage(
        tokens_input=(tokens := chance.randrange(5_000)),
        tokens_output=(output := chance.randrange(500)),
        tokens_cached=chance.choice([0, 0, tokens // 2]),
        tokens_reasoning=chance.choice([0, output]),
        audio_seconds=chance.choice([0.0, 0.0, 1.234567]),
    )
    parts = {"input": Nanos(tokens * 2_500), "output": Nanos(output * 10_000)}
    values: dict[str, object] = {
        "id": new_id(),
        "timestamp": BEGIN + timedelta(microseconds=chance.randrange(30 * 86_400 * 10**6)),
        "job_id": "job",
        "user_id": chance.choice(["1", "rpatel", "Zoë"]),
        "service": "openai",
        "model": chance.choice(["gpt-4o", "gpt-4o-mini"]),
        "usage": usage,
        "charge": Charge(parts, PRICED) if chance.random() < 0.9 else None,
        "stage": chance.choice([None, "06_asr", "13_ai_summarization"]),
        "attempt": chance.choice([1, 1, 2]),
        "operation": chance.choice([None, "summarization"]),
        "workflow": chance.choice([None, "transcribe"]),
        "project": chance.choice([None, "alpha"]),
        "tags": chance.choice([(), ("b", "a"), ("a",)]),
        "service_tier": chance.choice([None, "batch"]),
        "estimated": chance.random() < 0.2,
        "host": "worker-1",
        "pid": 4_242,
    }
    return Entry(**{**values, **fields})  # type: ignore[arg-type]  # every field is one of Entry's


@dataclass
class History:
    """A cost storage and the ledgers that are known in it."""

    root: Path
    ledgers: list[Path] = field(default_factory=list)

    @property
    def storage(self) -> CostStorage:
        """Where the store lies."""
        return CostStorage(self.root / "storage")

    def open(self) -> Store:
        """Return a store of its own, as another process has one."""
        self.storage.prepare()
        return Store(self.storage)

    def job(self, name: str) -> Path:
        """Return the ledger of a job, whose directory is made."""
        ledger = self.root / "jobs" / name / LEDGER_NAME
        ledger.parent.mkdir(parents=True, exist_ok=True)
        if ledger not in self.ledgers:
            self.ledgers.append(ledger)
        return ledger

    def append(self, ledger: Path, entry: Entry) -> tuple[AppendedLine, bytes]:
        """Append an entry without telling the store."""
        line = encode(entry)
        return self.append_bytes(ledger, line), line

    def append_bytes(self, ledger: Path, line: bytes) -> AppendedLine:
        """Append any bytes."""
        offset = ledger.stat().st_size if ledger.exists() else 0
        with ledger.open("ab") as file:
            file.write(line)
        ledger.chmod(0o600)
        return AppendedLine(offset, len(line))

    def log(self, store: Store, ledger: Path, entry: Entry) -> None:
        """Append an entry as a tracker does."""
        assert store.note(ledger)
        place, _ = self.append(ledger, entry)
        assert store.appended(ledger, entry, place, encode(entry)) is not None

    def filled(self, chance: random.Random, jobs: int = 3, calls: int = 20) -> History:
        """Log some entries through a store."""
        with self.open() as store:
            for number in range(jobs):
                ledger = self.job(f"job-{number}")
                for _ in range(calls):
                    self.log(store, ledger, an_entry(chance, job_id=ledger.parent.name))
        return self

    def entries(self) -> list[tuple[Path, Entry]]:
        """Return what counts by a full fold: the first entry of each id, in the order of knowing ledgers."""
        seen: dict[str, tuple[Path, Entry]] = {}
        for ledger in self.ledgers:
            if ledger.exists():
                for found in read(ledger):
                    if isinstance(found.content, Entry):
                        seen.setdefault(found.content.id, (ledger, found.content))
        return list(seen.values())


def total(entries: Iterable[tuple[Path, Entry]], query: Query | None = None) -> Totals:
    """Add entries up as the rollup's own type does."""
    found, ledgers = Totals(), set()
    for ledger, entry in entries:
        if query is None or _in_time(entry, query):
            found.add(entry)
            ledgers.add(ledger)
    found.jobs = len(ledgers)
    return found


def _in_time(entry: Entry, query: Query) -> bool:
    if query.user_id not in (None, entry.user_id):
        return False
    return (query.start is None or query.start <= entry.counted_at) and (
        query.end is None or entry.counted_at < query.end
    )


def _counts(sums: Totals) -> bool:
    return any(getattr(sums, name) for name in SUM_COLUMNS)


def assert_is_fold(store: Store, history: History) -> None:
    """Assert that what the store says is what a full fold of the ledgers says."""
    store.catch_up_all()
    entries = history.entries()
    for user_id in (None, "1", "rpatel", "Zoë"):
        query = Query(user_id=user_id)
        [*found] = store.groups((), query)
        whole = total(entries, query)
        assert (found[0].totals if found else Totals()) == (whole if _counts(whole) else Totals())
        assert (
            store.spend(BEGIN - timedelta(days=90), BEGIN + timedelta(days=90), user_id=user_id) == whole.cost
        )
    by_day: dict[int, int] = {}
    for _, entry in entries:
        at = int(entry.counted_at.timestamp()) // 900 * 900
        by_day[at] = by_day.get(at, 0) + entry.cost
    found_by_bucket = store.spend_by_bucket(BEGIN - timedelta(days=90), BEGIN + timedelta(days=90))
    assert found_by_bucket == {at: cost for at, cost in by_day.items() if cost}
    for ledger in history.ledgers:
        own = total((place, entry) for place, entry in entries if place == ledger)
        groups: list[Group] = store.groups((), Query(ledger=ledger))
        assert (groups[0].totals.cost if groups else 0) == own.cost
        assert (groups[0].totals.calls if groups else 0) == own.calls
