"""Ledgers to test the store with, and what their sums are by a plain fold of every line."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from shared.costs.ledger.counted import new_id
from shared.costs.ledger.line import encode
from shared.costs.ledger.lines import AppendedLine
from shared.costs.ledger.reader import read
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.rollup import Dimension, Query, Totals, bucket_of
from shared.costs.storage import LEDGER_NAME, CostStorage, job_id_of
from shared.costs.store.store import Store
from shared.costs.store.tables import SUM_COLUMNS

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
WIDE = Query(start=BEGIN - timedelta(days=90), end=BEGIN + timedelta(days=90))
PRICED = PricedBy("catalogue", "2026-11-22", "openai/gpt-4o")
USERS = ("1", "rpatel", "Zoë")

Placed = tuple[Path, Entry]
"""A ledger and an entry that counts in it."""


def an_entry(chance: random.Random, **fields: object) -> Entry:
    """Return a random entry of November 2026; ``fields`` are set as given."""
    usage = Usage(
        tokens_input=(tokens := chance.randrange(5_000)),
        tokens_output=(output := chance.randrange(500)),
        tokens_cached=chance.choice([0, 0, tokens // 2]),
        tokens_reasoning=chance.choice([0, output]),
        audio_seconds=chance.choice([0.0, 0.0, 1.234567]),
        video_seconds=chance.choice([0.0, 0.0, 0.0, 2.5]),
        images=chance.choice([0, 0, 0, 3]),
        web_searches=chance.choice([0, 0, 0, 1]),
    )
    parts = {"input": Nanos(tokens * 2_500), "output": Nanos(output * 10_000)}
    charge = Charge(parts, PRICED) if chance.random() < 0.9 else None
    values: dict[str, object] = {
        "id": new_id(),
        "timestamp": BEGIN + timedelta(microseconds=chance.randrange(30 * 86_400 * 10**6)),
        "job_id": "job",
        "user_id": chance.choice(USERS),
        "service": "openai",
        "model": chance.choice(["gpt-4o", "gpt-4o-mini"]),
        "usage": usage,
        "charge": charge,
        "unpriced_units": {"images": 3} if charge and usage.images and chance.random() < 0.5 else {},
        "stage": chance.choice([None, "06_asr", "13_ai_summarization"]),
        "attempt": chance.choice([1, 1, 2]),
        "operation": chance.choice([None, "summarization"]),
        "workflow": chance.choice([None, "transcribe"]),
        "project": chance.choice([None, "alpha"]),
        "tags": chance.choice([(), ("b", "a"), ("a",)]),
        "service_tier": chance.choice([None, "batch"]),
        "reservation": chance.choice([None, None, "hold-1", "hold-2"]),
        "estimated": chance.random() < 0.2,
        "host": "worker-1",
        "pid": 4_242,
    }
    return Entry(**{**values, **fields})  # type: ignore[arg-type]  # every field is one of Entry's


def a_call(cost: int, **fields: object) -> Entry:
    """Return a call of November 2026 that costs some nano-dollars, all of it for input."""
    values = {"timestamp": BEGIN, "user_id": "1", "attempt": 1, **fields}
    values.setdefault("unpriced_units", {})
    return replace(
        an_entry(random.Random(cost), id=new_id()),
        charge=Charge({"input": Nanos(cost)}, PRICED),
        **values,  # type: ignore[arg-type]
    )


def reversed_entry(entry: Entry) -> Entry:
    """Return the reversal of a call."""
    return replace(
        entry,
        id=f"undo-{entry.id}",
        kind="reversal",
        corrects=entry.id,
        why="a test",
        charge=None
        if entry.charge is None
        else Charge({k: Nanos(-v) for k, v in entry.charge.parts.items()}, PRICED),
        unpriced_units={},
        resolves_unpriced=entry.charge is None,
    )


def adjusted_entry(entry: Entry, more: int) -> Entry:
    """Return an adjustment of a call by some nano-dollars."""
    return replace(
        entry,
        id=f"adjust-{entry.id}-{more}",
        kind="adjustment",
        corrects=entry.id,
        usage=Usage(),
        charge=Charge({"input": Nanos(more)}, PRICED),
        unpriced_units={},
        resolves_unpriced=entry.charge is None,
    )


class History:
    """A cost storage, ledgers, and all that was ever counted in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledgers: list[Path] = []
        self.counted: dict[str, Placed] = {}
        self.storage = CostStorage(root / "storage")
        self.opened: list[Store] = []

    def open(self) -> Store:
        """Return a store of its own, as another process has it."""
        store = Store(self.storage)
        self.opened.append(store)
        return store

    def close(self) -> None:
        """Close every store."""
        for store in self.opened:
            store.close()

    def job(self, name: str) -> Path:
        """Return the ledger of a job, whose directory is made."""
        ledger = self.root / "jobs" / name / LEDGER_NAME
        ledger.parent.mkdir(parents=True, exist_ok=True)
        if ledger not in self.ledgers:
            self.ledgers.append(ledger)
        return ledger

    def append(self, ledger: Path, entry: Entry, *, counts: bool = True) -> AppendedLine:
        """Append an entry without telling the store."""
        if counts:
            self.counted.setdefault(entry.id, (ledger, entry))
        return self.append_bytes(ledger, encode(entry))

    @staticmethod
    def append_bytes(ledger: Path, line: bytes) -> AppendedLine:
        """Append any bytes."""
        offset = ledger.stat().st_size if ledger.exists() else 0
        with ledger.open("ab") as file:
            file.write(line)
        ledger.chmod(0o600)
        return AppendedLine(offset, len(line))

    def log(self, store: Store, ledger: Path, entry: Entry, asked: Sequence[Query] = ()) -> list[int] | None:
        """Note, append and tell, as a tracker does."""
        assert store.note(ledger)
        return self.tell(store, ledger, entry, asked)

    def tell(self, store: Store, ledger: Path, entry: Entry, asked: Sequence[Query] = ()) -> list[int] | None:
        """Append to a ledger that was noted, and tell."""
        return store.appended(ledger, entry, self.append(ledger, entry), encode(entry), asked)

    def filled(self, chance: random.Random, jobs: int = 3, calls: int = 20) -> History:
        """Log some entries of several jobs."""
        store = self.open()
        for number in range(jobs):
            ledger = self.job(f"job-{number}")
            for _ in range(calls):
                self.log(store, ledger, an_entry(chance, job_id=ledger.parent.name))
        store.close()
        return self

    def there(self) -> list[Placed]:
        """Return what counts by a full fold: the first entry of each id, in the order of the jobs."""
        seen: dict[str, Placed] = {}
        for ledger in self.ledgers:
            for entry in entries_of(ledger, ledger.read_bytes()) if ledger.exists() else ():
                seen.setdefault(entry.id, (ledger, entry))
        return list(seen.values())

    @property
    def owed(self) -> int:
        """What all that was ever counted costs, in nano-dollars."""
        return sum(entry.cost for _, entry in self.counted.values())


@lru_cache(maxsize=64)
def entries_of(ledger: Path, data: bytes) -> list[Entry]:
    """Return the entries of a ledger, which holds ``data``: read once, however often it is asked."""
    return [found.content for found in read(ledger) if isinstance(found.content, Entry)]


VALUES: dict[Dimension, Callable[[Path, Entry], object]] = {
    "user_id": lambda _, e: e.user_id,
    "job_id": lambda p, _: job_id_of(p.parent),
    "ledger": lambda p, _: str(p),
    "stage": lambda _, e: e.stage,
    "service": lambda _, e: e.service,
    "model": lambda _, e: e.model,
    "operation": lambda _, e: e.operation,
    "workflow": lambda _, e: e.workflow,
    "project": lambda _, e: e.project,
    "tags": lambda _, e: ",".join(sorted(e.tags)) or None,
    "service_tier": lambda _, e: e.service_tier,
    "bucket": lambda _, e: bucket_of(e.counted_at),
}


def means(query: Query, ledger: Path, entry: Entry) -> bool:
    """Tell whether a query means an entry, said plainly."""
    if query.start is not None and entry.counted_at < query.start:
        return False
    if query.end is not None and entry.counted_at >= query.end:
        return False
    if query.ledger is not None and ledger != query.ledger:
        return False
    if query.job_id is not None and job_id_of(ledger.parent) != query.job_id:
        return False
    if query.tag is not None and query.tag not in entry.tags:
        return False
    names = ("user_id", "stage", "service", "model", "operation", "workflow", "project")
    return all(getattr(query, name) in (None, getattr(entry, name)) for name in names)


def total(entries: Iterable[Placed], query: Query = Query()) -> Totals:  # noqa: B008  # a constant
    """Add entries up as the rollup's own type does."""
    found, ledgers = Totals(), set()
    for ledger, entry in entries:
        if means(query, ledger, entry):
            found.add(entry)
            ledgers.add(ledger)
    found.jobs = len(ledgers)
    return found


def plain_groups(
    entries: Iterable[Placed], by: Sequence[Dimension], query: Query
) -> dict[tuple[object, ...], Totals]:
    """Return sums by dimensions, those that are zero left out."""
    found: dict[tuple[object, ...], list[Placed]] = {}
    for ledger, entry in entries:
        if means(query, ledger, entry):
            found.setdefault(tuple(VALUES[name](ledger, entry) for name in by), []).append((ledger, entry))
    totals = {key: total(each) for key, each in found.items()}
    return {key: each for key, each in totals.items() if any(getattr(each, n) for n in SUM_COLUMNS)}


def assert_is_fold(store: Store, history: History) -> None:
    """Assert that what the store says is what a plain fold of the ledgers says."""
    entries = history.there()
    for user_id in (None, *USERS):
        query = Query(user_id=user_id)
        whole = total(entries, query)
        [found] = [group.totals for group in store.groups((), query)] or [Totals()]
        assert found == (whole if any(getattr(whole, n) for n in SUM_COLUMNS) else Totals())
        spans = [WIDE._replace(user_id=user_id), query]
        assert store.spends(spans) == [total(entries, each).cost for each in spans]
    by_bucket = {k[0]: t.cost for k, t in plain_groups(entries, ("bucket",), Query()).items() if t.cost}
    assert store.spend_by_bucket(WIDE.start, WIDE.end) == by_bucket  # type: ignore[arg-type]
    for ledger in history.ledgers:
        own = total(entries, Query(ledger=ledger))
        [found] = [group.totals for group in store.groups((), Query(ledger=ledger))] or [Totals()]
        assert (found.cost, found.calls, found.units) == (own.cost, own.calls, own.units)
    logged = store.logged(["hold-1", "hold-2", "hold-3"])
    for hold in ("hold-1", "hold-2", "hold-3"):
        assert logged.get(hold, (0, 0, 0)) == plain_logged(entries, hold)


def plain_logged(entries: Iterable[Placed], hold: str) -> tuple[int, int, int]:
    """Return what entries are under a reservation: a call that is taken back was reported all the same."""
    under = [(path, entry) for path, entry in entries if entry.reservation == hold]
    reported = total((path, entry) for path, entry in under if entry.kind != "reversal")
    now = total(under)
    return reported.calls, reported.cost, now.unpriced_calls + now.partial_calls


def spent(store: Store) -> int:
    """Return what everybody spent, as a call on its way asks it, in nano-dollars."""
    return store.spends([Query(start=WIDE.start)])[0]


def month(store: Store) -> int:
    """Return what everybody spent, as a view asks it, in nano-dollars."""
    return sum(group.totals.cost for group in store.groups((), Query()))
