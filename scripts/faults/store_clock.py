"""Entries around every edge of day and month, in ten time zones over two years.

Around each local midnight that begins a day (all of them at month edges and clock changes, a sample
of the others) calls are logged just before, at and after it. Asked by days and by months, each entry
must be in exactly one day and one month, the one that its local date says, and days must sum to
months. Among them are days of 23, 24 and 25 hours, midnights that do not exist (Asuncion) or occur
twice (Havana), offsets of a quarter of an hour (Kathmandu, Chatham) and of a half; and clocks that
jump by an hour and by a year between two calls.

    python3 scripts/faults/store_clock.py [--months 24] [--seed 1]
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from scripts.faults.command_line import command_line
from scripts.faults.store_histories import PRICED, History, an_entry
from shared.costs.model import Charge, Entry
from shared.costs.money import Nanos
from shared.costs.periods import Period, day, month, zone
from shared.costs.rollup import Query
from shared.costs.store.store import Store

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Asuncion",
    "America/Havana",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Pacific/Chatham",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
FIRST = datetime(2022, 12, 15, tzinfo=UTC)
EXTRA = (datetime(2023, 10, 1, 4, tzinfo=UTC), datetime(2026, 11, 1, 5, tzinfo=UTC))
"""Asuncion has no midnight on the first, Havana has two on the second."""

JUMPS = (timedelta(), timedelta(hours=1), timedelta(hours=-1), timedelta(days=365), timedelta(days=-365))
EDGES = (
    timedelta(microseconds=-1),
    timedelta(),
    timedelta(microseconds=1),
    timedelta(minutes=14, seconds=59),
)


def months_of(tz: ZoneInfo, count: int) -> list[Period]:
    """Return the months to look at: ``count`` in a row, and those of the odd midnights."""
    found = [month(FIRST, tz)]
    while len(found) < count:
        found.append(month(found[-1].end, tz))
    known = {each.start for each in found}
    extra = (month(at, tz) for at in EXTRA)
    return sorted([*found, *(each for each in extra if each.start not in known)], key=lambda each: each.start)


def instants(months: list[Period], chance: random.Random) -> Iterator[datetime]:
    """Return instants around the edges of days: all odd ones and those of months, some of the others."""
    for each in months:
        days = each.days()
        odd = [one for one in days if one.end - one.start != timedelta(days=1)]
        for one in [days[0], days[-1], *odd, *chance.sample(days, 2)]:
            for edge in (one.start, one.end):
                for step in EDGES:
                    yield edge + step + chance.choice(JUMPS)


def check(name: str, count: int, seed: int, folder: Path) -> int:
    """Log calls around the edges of one zone and ask for them; return how many there were."""
    tz, chance = zone(name), random.Random(f"{seed} {name}")
    months = months_of(tz, count)
    history = History(folder)
    ledger = history.job("job")
    entries = []
    for number, at in enumerate(sorted(instants(months, chance), key=lambda _: chance.random())):
        charged = an_entry(chance, timestamp=at, user_id="u", charge=None)
        entries.append(_costing(charged, Nanos(1 + number)))
        history.append(ledger, entries[-1])
    with history.open() as store:
        store.note(ledger)
        _check_sums(store, entries, months)
        store.rebuild()
        _check_sums(store, entries, months)
    return len(entries)


def _costing(entry: Entry, amount: Nanos) -> Entry:
    return replace(entry, charge=Charge({"input": amount}, PRICED))


def _check_sums(store: Store, entries: list[Entry], months: list[Period]) -> None:
    tz = months[0].zone
    by_date: dict[str, int] = {}
    for entry in entries:
        local = entry.timestamp.astimezone(tz).date().isoformat()
        by_date[local] = by_date.get(local, 0) + entry.cost
        assert entry.timestamp in day(entry.timestamp, tz)
        assert entry.timestamp in month(entry.timestamp, tz)
    for each in months:
        days = [store.spend(one.start, one.end, user_id="u") for one in each.days()]
        assert days == [by_date.get(one.name, 0) for one in each.days()], (tz.key, each.name)
        assert store.spend(each.start, each.end, user_id="u") == sum(days), (tz.key, each.name)
        groups = store.groups((), Query(start=each.start, end=each.end))
        assert sum(group.totals.cost for group in groups) == sum(days), (tz.key, each.name)
        buckets = store.spend_by_bucket(each.start, each.end)
        assert sum(buckets.values()) == sum(days), (tz.key, each.name)


def main() -> int:
    """Check all zones and print one line."""
    parser = command_line(__doc__, months=24, seed=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = [check(name, given.months, given.seed, Path(folder, str(n))) for n, name in enumerate(ZONES)]
    print(
        f"store clock: seed {given.seed}, {len(ZONES)} zones x {given.months} months, {sum(counts)} entries: "
        f"held: each in exactly one day and one month"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
