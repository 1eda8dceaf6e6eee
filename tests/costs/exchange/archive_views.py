"""A history for the views in SQL, and what each of them must answer, added up by the ledger's own adder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from archive_support import PRICED_BY, World, at, call

from shared.costs.exchange.calendar import Calendar
from shared.costs.ledger.columns import COLUMN_NAMES, instant_text, row_of
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import Nanos
from shared.costs.profile.types import NO_BUDGET, Profile, UserSettings
from shared.costs.rollup import Totals

PROFILE = Profile(users={"rpatel": UserSettings("rpatel", ZoneInfo("Asia/Kolkata"), NO_BUDGET)})
SUMS = ("calls", "unpriced_calls", "partial_calls", "tokens_input", "tokens_output", "cost_usd")


def entries() -> Iterator[Entry]:
    """Yield entries of three months: in two zones, without a price, corrected, repeated, without names."""
    for number in range(40):
        user = ("rpatel", "ana", "007")[number % 3]
        yield call(
            at(9 + number % 3, day=30, hour=20),
            job_id=f"job-{number % 4}",
            user_id=user,
            stage=(None, "06_asr", "13_ai_summarization")[number % 3],
            model=("gpt-4o", "gpt-4o-mini")[number % 2],
            attempt=1 + number % 2,
            project=None if number % 2 else "alpha",
            workflow=None if number % 5 else "subtitle",
            charge=Charge({"input": Nanos(number + 1)}, PRICED_BY) if number % 7 else None,
        )
    original = call(at(9), charge=None)
    yield original
    yield replace(
        original,
        id=f"{original.id}a",
        kind="adjustment",
        usage=Usage(),
        corrects=original.id,
        why="price found",
        resolves_unpriced=True,
        charge=Charge({"input": Nanos(999_999_999_999)}, PRICED_BY),
    )
    partly = call(at(9), unpriced_units={"file_searches": 4})
    yield partly
    yield call(at(11), unpriced_units={"pages": 2})
    yield replace(
        partly,
        id=f"{partly.id}a",
        kind="adjustment",
        usage=Usage(),
        corrects=partly.id,
        why="price found",
        unpriced_units={},
        resolves_partial=True,
        charge=Charge({"file_searches": Nanos(10_000_000)}, PRICED_BY),
    )
    taken_back = call(at(10))
    yield taken_back
    yield replace(
        taken_back,
        id=f"{taken_back.id}r",
        kind="reversal",
        corrects=taken_back.id,
        why="sent twice",
        charge=Charge({"input": Nanos(-taken_back.cost)}, PRICED_BY),
    )


def fill(world: World) -> list[Entry]:
    """Write the history into ledgers, one a job."""
    found = list(entries())
    for job in sorted({entry.job_id for entry in found}):
        world.add(job, *(entry for entry in found if entry.job_id == job))
    return found


def expected(found: list[Entry], dimensions: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return what a view by these columns must answer: sums in nano-dollars, by their key."""
    calendar, sums = Calendar(PROFILE), dict[tuple[Any, ...], Totals]()
    for entry in found:
        day, month = calendar.day_and_month(entry.user_id, instant_text(entry.counted_at))
        row = {
            **dict(zip(COLUMN_NAMES, row_of(entry), strict=True)),
            "billing_day": day,
            "billing_month": month,
        }
        sums.setdefault(tuple(row[name] for name in dimensions), Totals()).add(entry)
    rows = (
        (*key, t.calls, t.unpriced_calls, t.partial_calls, t.tokens_input, t.tokens_output, int(t.cost))
        for key, t in sums.items()
    )
    return sorted(rows, key=str)


def plain(rows: list[tuple[Any, ...]], dimensions: int) -> list[tuple[Any, ...]]:
    """Return rows of a view as :func:`expected` has them."""
    found = []
    for row in rows:
        key = [value.isoformat() if hasattr(value, "isoformat") else value for value in row[:dimensions]]
        found.append((*key, *row[dimensions:-1], int(row[-1] * 10**9)))
    return sorted(found, key=str)
