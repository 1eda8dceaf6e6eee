"""What all hosts have published, asked as the sums of one host are: see ``../store/queries.py``."""

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
from ..store.queries import Span, Sql
from .database import Transaction
from .schema import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ledger.places import LedgerProblem
    from ..store.queries import Gone
    from .database import SharedDatabase

T = TypeVar("T")

ASK_S: Final = 30.0
"""How long a view waits for the database, in seconds."""

_OF_RATES: Final[tuple[Dimension, ...]] = ("user_id", "service", "model")
"""By what flat rates cover calls."""

_MEASURED: Final = {"cost": "cost", "calls": "calls", "tokens": "tokens_input + tokens_output"}


def by_host(db: Transaction, limit: Limit, names: ModelName) -> dict[int, int]:
    """Return what each host has published of what a limit bounds, in its measure.

    What flat rates cover is no part of it.
    """
    sums = _sums_by_host(db, limit, limit.query, names)
    for host, covered in _covered_by_host(db, limit, names).items():
        sums[host] -= covered
    return sums


def _covered_by_host(db: Transaction, limit: Limit, names: ModelName) -> dict[int, int]:
    """Return what the flat rates of a limit cover of each host's calls, at list price."""
    if not limit.flat or limit.query.start is None or limit.query.end is None:
        return {}
    found: dict[int, int] = {}
    for first, last in stretches(limit.flat, limit.query):
        if rates := [rate for rate in limit.flat if rate.holds_at(first)]:
            stretch = limit.query._replace(start=first, end=last)
            for host, amount in _sums_by_host(db, limit, stretch, names, rates).items():
                found[host] = found.get(host, 0) + amount
    return found


def _sums_by_host(
    db: Transaction, limit: Limit, query: Query, names: ModelName, rates: Sequence[FlatRate] = ()
) -> dict[int, int]:
    """Return what each host has published that counts against a limit; with ``rates`` what those cover."""
    by = tuple(dict.fromkeys((*_OF_RATES, *limit.by))) if rates else limit.by
    by_job = "job_id" in by
    columns = ["l.job_id" if name == "job_id" else f"d.{name}" for name in by]
    source, where = _by_host(query, by_job=by_job), queries.conditions(query)
    jobs = "JOIN ledgers l ON l.id = f.ledger" if by_job else ""
    rows = db.execute(
        f"""SELECT f.host, sum({_MEASURED[limit.measure]}) {"".join(f", {each}" for each in columns)}
        FROM ({source.text}) f JOIN dims d ON d.id = f.dim {jobs} WHERE {where.text}
        GROUP BY f.host {"".join(f", {each}" for each in columns)}""",
        (*source.values, *where.values),
    )
    sums: dict[int, int] = {}
    for host, amount, *values in rows:
        call = scope_of(query, by, values)
        is_meant = not rates or any(
            rate.covers(call.user_id, call.service, call.model, names) for rate in rates
        )
        if is_meant and (not limit.by or limit.covers(call, names)):
            sums[host] = sums.get(host, 0) + amount
    return sums


def _by_host(query: Query, *, by_job: bool) -> Sql:
    """Return the sums of a period by host and dimensions: whole days from ``days``, its edges by bucket.

    Days know of no jobs: where those are told apart, all of it comes by bucket and ledger.
    """
    columns = "host, dim, cost, calls, tokens_input, tokens_output"
    span = Span.of(query.start, query.end)
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
    """The sums of all hosts: what reports ask instead of this host's own store.

    Entries stay on their hosts, so what reads entries is not answered here.
    """

    degraded: str | None = None
    """Sums of a shared database are there, or an error is raised."""

    def __init__(self, database: SharedDatabase) -> None:
        self._database = database

    def catch_up_all(self) -> bool:
        """Nothing is to be read first: what hosts publish is added up as it comes."""
        return True

    def problems(self) -> list[LedgerProblem]:
        """Return none: what is wrong in ledgers is known on their hosts."""
        return []

    def unread(self) -> list[Path]:
        """Return none: what waits to be written is looked at where it waits."""
        return []

    def gone(self) -> list[Gone]:
        """Return none: what was published counts, whatever became of its ledger."""
        return []

    def jobs(self, query: Query) -> list[JobRef]:
        """Refuse: jobs are looked at where their ledgers are.

        Raises:
            WrongUsage: always.

        """
        raise WrongUsage(f"{query.job_id or 'a job'} is looked at on its own host: leave out --shared")

    def spends(self, asked: Sequence[Query]) -> list[int]:
        """Return what the entries that match each query come to, in nano-dollars or what it measures."""
        return self._ask(lambda db: [int(queries.spent(db, query)) for query in asked])

    def spend(self, start: datetime, end: datetime, *, user_id: str | None = None) -> Nanos:
        """Return what one user, or everyone, spent in ``[start, end)``, in nano-dollars."""
        return Nanos(self.spends([Query(start=start, end=end, user_id=user_id)])[0])

    def spend_by_bucket(
        self, start: datetime, end: datetime, *, user_id: str | None = None
    ) -> dict[int, Nanos]:
        """Return what was spent in each 15-minute bucket that has any cost, by its start in seconds."""
        return self._ask(lambda db: queries.spend_by_bucket(db, Span.of(start, end), user_id))

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        """Return the sums of the entries that match, by the dimensions asked for; largest cost first."""
        return self._ask(lambda db: queries.groups(db, by, query))

    def groups_by_part(
        self, by: Sequence[Dimension], query: Query, parts: Sequence[tuple[datetime, datetime]]
    ) -> list[list[Group]]:
        """Return what :meth:`groups` would for each part of a period; jobs are not counted."""
        return self._ask(lambda db: queries.groups_by_part(db, by, query, parts))

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        # The statements are those for SQLite, and all that they need of a connection is `execute`.
        def asked(db: Transaction) -> T:
            require(db)
            return question(cast("sqlite3.Connection", db))

        return self._database.run(asked, ASK_S)
