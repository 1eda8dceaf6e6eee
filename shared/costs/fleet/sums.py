"""The sums of what all hosts have published, by the queries of ``../store/queries.py``."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from ..budgets.limits import Limit
from ..budgets.scopes import ModelName, scope_of
from ..budgets.spending import stretches
from ..errors import WrongUsage
from ..money import Nanos
from ..profile.plans import FlatRate
from ..rollup import Dimension, Group, JobRef, Query
from ..store import queries
from ..store.queries import BucketSpan, Sql
from .database import Transaction
from .schema import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ledger.lines import LedgerProblem
    from ..store.queries import GoneLedger
    from .database import SharedDatabase

T = TypeVar("T")

QUERY_S: Final = 30.0
"""How long a report waits for the database, in seconds."""

_RATE_DIMENSIONS: Final[tuple[Dimension, ...]] = ("user_id", "service", "model")
"""The dimensions by which flat rates cover calls."""

_MEASURED: Final = {"cost": "cost", "calls": "calls", "tokens": "tokens_input + tokens_output"}


def by_host(db: Transaction, limit: Limit, names: ModelName) -> dict[int, int]:
    """Return what each host has published that counts against a limit, in its measure.

    Calls that flat rates cover do not count.
    """
    sums = _sums_by_host(db, limit, limit.query, names)
    for host, covered in _covered_by_host(db, limit, names).items():
        sums[host] -= covered
    return sums


def _covered_by_host(db: Transaction, limit: Limit, names: ModelName) -> dict[int, int]:
    """Return what each host's calls cost at list price that are covered by the flat rates of a limit."""
    if not limit.flat or limit.query.start is None or limit.query.end is None:
        return {}
    covered: dict[int, int] = {}
    for first, last in stretches(limit.flat, limit.query):
        if rates := [rate for rate in limit.flat if rate.holds_at(first)]:
            stretch = limit.query._replace(start=first, end=last)
            for host, amount in _sums_by_host(db, limit, stretch, names, rates).items():
                covered[host] = covered.get(host, 0) + amount
    return covered


def _sums_by_host(
    db: Transaction, limit: Limit, query: Query, names: ModelName, rates: Sequence[FlatRate] = ()
) -> dict[int, int]:
    """Return what each host has published that counts against a limit, or only what ``rates`` cover of it."""
    dimensions = tuple(dict.fromkeys((*_RATE_DIMENSIONS, *limit.by))) if rates else limit.by
    by_job = "job_id" in dimensions
    columns = ["l.job_id" if name == "job_id" else f"d.{name}" for name in dimensions]
    source, where = _by_host(query, by_job=by_job), queries.conditions(query)
    jobs = "JOIN ledgers l ON l.id = f.ledger" if by_job else ""
    rows = db.execute(
        f"""SELECT f.host, sum({_MEASURED[limit.measure]}) {"".join(f", {column}" for column in columns)}
        FROM ({source.text}) f JOIN dims d ON d.id = f.dim {jobs} WHERE {where.text}
        GROUP BY f.host {"".join(f", {column}" for column in columns)}""",
        (*source.values, *where.values),
    )
    sums: dict[int, int] = {}
    for host, amount, *values in rows:
        call = scope_of(query, dimensions, values)
        counts = not rates or any(
            rate.covers(call.user_id, call.service, call.model, names) for rate in rates
        )
        if counts and (not limit.by or limit.covers(call, names)):
            sums[host] = sums.get(host, 0) + amount
    return sums


def _by_host(query: Query, *, by_job: bool) -> Sql:
    """Return the sums of a period by host and dimensions: whole days from ``days``, its edges by bucket.

    ``days`` has no jobs: for sums by job, everything is read by bucket and ledger.
    """
    columns = "host, dim, cost, calls, tokens_input, tokens_output"
    span = BucketSpan.of(query.start, query.end)
    if by_job:
        within = span.on("bucket")
        return Sql(f"SELECT {columns}, ledger FROM cells WHERE {within.text}", within.values)
    days = span.whole_days()
    pieces = [Sql(f"SELECT {columns} FROM days WHERE {days.text}", days.values)] if days else []
    for edge in span.edges():
        where = edge.on("bucket")
        pieces.append(Sql(f"SELECT {columns} FROM cells WHERE {where.text}", where.values))
    return Sql(" UNION ALL ".join(p.text for p in pieces), tuple(v for p in pieces for v in p.values))


class SharedSums:
    """The sums of all hosts: reports query them instead of this host's own store.

    Entries stay on their hosts, so reports that read entries do not work with it.
    """

    degraded: str | None = None
    """Always ``None``: a query returns complete sums or raises an error."""

    def __init__(self, database: SharedDatabase) -> None:
        self._database = database

    def catch_up_all(self) -> bool:
        """Return true without doing anything: published entries are summed as they arrive."""
        return True

    def problems(self) -> list[LedgerProblem]:
        """Return an empty list: each host reports the problems of its own ledgers."""
        return []

    def unread(self) -> list[Path]:
        """Return an empty list: each host reports what waits to be written there."""
        return []

    def gone(self) -> list[GoneLedger]:
        """Return an empty list: what was published counts even after its ledger was deleted."""
        return []

    def jobs(self, query: Query) -> list[JobRef]:
        """Refuse: a job is reported on the host that has its ledger.

        Raises:
            WrongUsage: always.

        """
        raise WrongUsage(f"{query.job_id or 'a job'} is looked at on its own host: leave out --shared")

    def spends(self, asked: Sequence[Query]) -> list[int]:
        """Return the sum of each query, in nano-dollars or the unit that it measures."""
        return self._query(lambda db: [int(queries.spent(db, query)) for query in asked])

    def spend(self, start: datetime, end: datetime, *, user_id: str | None = None) -> Nanos:
        """Return what one user, or everyone, spent in ``[start, end)``, in nano-dollars."""
        return Nanos(self.spends([Query(start=start, end=end, user_id=user_id)])[0])

    def spend_by_bucket(
        self, start: datetime, end: datetime, *, user_id: str | None = None
    ) -> dict[int, Nanos]:
        """Return what was spent in each 15-minute bucket with any cost, by its start in seconds."""
        return self._query(lambda db: queries.spend_by_bucket(db, BucketSpan.of(start, end), user_id))

    def groups(self, dimensions: Sequence[Dimension], query: Query) -> list[Group]:
        """Return the sums of the matching entries by these dimensions, largest cost first."""
        return self._query(lambda db: queries.groups(db, dimensions, query))

    def groups_by_part(
        self, dimensions: Sequence[Dimension], query: Query, parts: Sequence[tuple[datetime, datetime]]
    ) -> list[list[Group]]:
        """Return what :meth:`groups` returns for each part of a period; jobs are not counted."""
        return self._query(lambda db: queries.groups_by_part(db, dimensions, query, parts))

    def _query(self, question: Callable[[sqlite3.Connection], T]) -> T:
        # These are the statements for SQLite, and all that they use of a connection is `execute`.
        def checked(db: Transaction) -> T:
            require(db)
            return question(cast("sqlite3.Connection", db))

        return self._database.run(checked, QUERY_S)
