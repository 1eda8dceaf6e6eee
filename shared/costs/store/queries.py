"""What the sums can be asked. Only reads; for whole UTC days from ``days``, else from ``cells`` by bucket.

>>> span = BucketSpan(95, 3 * DAY_BUCKETS)
>>> span.days(), span.edges()
((1, 3), [BucketSpan(start=95, end=96)])
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from ..ledger.counted import DIM_COLUMNS
from ..ledger.lines import LedgerProblem
from ..money import Nanos
from ..rollup import (
    BUCKET_SECONDS,
    Dimension,
    Group,
    JobOrder,
    JobPage,
    JobRef,
    JobSums,
    Query,
    Totals,
    bucket_of,
)
from . import tables
from .tables import DAY_BUCKETS, SUM_COLUMNS, Mark, Reserved

REPEATED: Final = ("retried_calls", "retried_cost")
"""Sums of ``rollup.Totals`` that follow from the dimension ``repeated``."""

_NAMES: Final = ", ".join(SUM_COLUMNS)
_SUMMED: Final = ", ".join(
    [f"sum(f.{name})" for name in SUM_COLUMNS]
    + [f"sum(iif(d.repeated = '1', f.{name}, 0))" for name in ("calls", "cost")]
)
_COLUMN: Final[dict[Dimension, str]] = {
    **{name: f"d.{name}" for name in DIM_COLUMNS},  # type: ignore[misc]  # names of dimensions
    "ledger": "l.path",
    "job_id": "l.job_id",
    "bucket": f"f.bucket * {BUCKET_SECONDS}",
}
_OF_LEDGER: Final = frozenset({"ledger", "job_id"})
_FINE: Final = _OF_LEDGER | {"bucket"}


class Sql(NamedTuple):
    """A piece of a statement, and the values it binds."""

    text: str
    values: tuple[object, ...] = ()


class BucketSpan(NamedTuple):
    """Buckets from ``start`` to before ``end``; ``None`` where it has no edge."""

    start: int | None
    end: int | None

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, start: datetime | None, end: datetime | None) -> BucketSpan:
        """Return the span between two instants, which should be edges of buckets."""
        return cls(_bucket(start), _bucket(end))

    def has(self, bucket: int) -> bool:
        """Tell whether a bucket lies in the span."""
        return (self.start is None or self.start <= bucket) and (self.end is None or bucket < self.end)

    def days(self) -> tuple[int | None, int | None]:
        """Return the whole days in the span, as first and one after the last."""
        first = None if self.start is None else -(-self.start // DAY_BUCKETS)
        after = None if self.end is None else self.end // DAY_BUCKETS
        return first, after

    def edges(self) -> list[BucketSpan]:
        """Return the pieces of the span that are not a whole day."""
        first, after = self.days()
        if first is not None and after is not None and first >= after:
            return [self]
        edges = []
        if self.start is not None and first is not None and self.start < first * DAY_BUCKETS:
            edges.append(BucketSpan(self.start, first * DAY_BUCKETS))
        if self.end is not None and after is not None and after * DAY_BUCKETS < self.end:
            edges.append(BucketSpan(after * DAY_BUCKETS, self.end))
        return edges

    def on(self, column: str) -> Sql:
        """Return the condition that a column lies in the span."""
        return _between(column, self.start, self.end)

    def whole_days(self) -> Sql | None:
        """Return the condition that ``day`` is a whole day of the span; ``None`` where it has none."""
        first, after = self.days()
        if first is not None and after is not None and first >= after:
            return None
        return _between("day", first, after)


def _bucket(at: datetime | None) -> int | None:
    return None if at is None else bucket_of(at) // BUCKET_SECONDS


def _between(column: str, first: int | None, after: int | None) -> Sql:
    text, values = "TRUE", tuple[int, ...]()
    if first is not None:
        text, values = f"{column} >= ?", (first,)
    if after is not None:
        text, values = f"{text} AND {column} < ?", (*values, after)
    return Sql(text, values)


def _union(pieces: Iterable[Sql], joint: str = " UNION ALL ") -> Sql:
    listed = list(pieces)
    return Sql(joint.join(each.text for each in listed), tuple(v for each in listed for v in each.values))


# --- what users spent


_MEASURED: Final = {
    "cost": "cost",
    "calls": "calls",
    "tokens": "tokens_input + tokens_output",
    "unpriced": "unpriced_calls + partial_calls",
}
_COUNTS: Final = "cost, calls, tokens_input, tokens_output, unpriced_calls, partial_calls"
"""The columns of which those are made."""


def spent(db: sqlite3.Connection, query: Query) -> int:
    """Return what entries that match come to; cheap where only the cost of a user in a time is asked for.

    Of a bucket in which the query begins, all counts.
    """
    if only_of_user(query):
        where = _of_spend(BucketSpan.of(query.start, query.end), query.user_id)
        text, values = f"SELECT coalesce(sum(cost), 0) FROM spend WHERE {where.text}", where.values
    else:
        source = _source(query, fine=False, names=_COUNTS)
        where = conditions(query)
        text = f"""SELECT coalesce(sum({_MEASURED[query.measure]}), 0)
            FROM ({source.text}) f JOIN dims d ON d.id = f.dim WHERE {where.text}"""
        values = (*source.values, *where.values)
    return int(db.execute(text, values).fetchone()[0])


def spend_by_bucket(db: sqlite3.Connection, span: BucketSpan, user_id: str | None) -> dict[int, Nanos]:
    """Return what was spent in each bucket (its start in seconds) that has any cost."""
    where = _of_spend(span, user_id)
    text = f"SELECT bucket, sum(cost) FROM spend WHERE {where.text} GROUP BY 1 HAVING sum(cost) != 0"
    return {bucket * BUCKET_SECONDS: Nanos(cost) for bucket, cost in db.execute(text, where.values)}


def _of_spend(span: BucketSpan, user_id: str | None) -> Sql:
    """Return the condition of one user's spend in a span, or of everyone's."""
    everyone = Sql("user_id IN (SELECT DISTINCT user_id FROM dims)")
    who = everyone if user_id is None else Sql("user_id = ?", (user_id,))
    return _union([who, span.on("bucket")], " AND ")


# --- sums by dimensions


def groups(db: sqlite3.Connection, by: Sequence[Dimension], query: Query) -> list[Group]:
    """Return the sums of the entries that match, grouped; the largest cost first.

    Jobs are counted where nothing is asked by, or only the user, the job or the ledger. Groups whose sums
    are all zero are left out.
    """
    counted = set(by) <= _OF_LEDGER | {"user_id"}
    cheap = counted and not _OF_LEDGER & set(by) and only_of_user(query)
    [result] = _groups_of(db, by, [query], count=counted and not cheap)
    if cheap:
        for group in result:
            user = str(group.key[0] or "") if by else query.user_id
            active = _active(BucketSpan.of(query.start, query.end), user)
            text = f"SELECT count(DISTINCT path) FROM ledgers WHERE id IN ({active.text})"
            group.totals.jobs = int(db.execute(text, active.values).fetchone()[0])
    return result


def groups_by_part(
    db: sqlite3.Connection, by: Sequence[Dimension], query: Query, parts: Sequence[tuple[datetime, datetime]]
) -> list[list[Group]]:
    """Return, for each part of a period, what :func:`groups` would; jobs are not counted.

    One statement reads many parts, each in the ranges that suit it: the days of a month, the months of a
    year.
    """
    results: list[list[Group]] = []
    for start in range(0, len(parts), _PARTS_AT_ONCE):
        queries = [query._replace(start=s, end=e) for s, e in parts[start : start + _PARTS_AT_ONCE]]
        results += _groups_of(db, by, queries)
    return results


_PARTS_AT_ONCE: Final = 64
"""How many parts one statement reads: each binds at most eight values, and older SQLite takes 999."""


def _groups_of(
    db: sqlite3.Connection, by: Sequence[Dimension], queries: Sequence[Query], *, count: bool = False
) -> list[list[Group]]:
    """Return the groups of each query; they differ in their time alone. ``count`` counts their jobs."""
    columns = ["f.part", *(_COLUMN[name] for name in by)]
    fine, join = count or bool(_FINE & set(by)), count or bool(_OF_LEDGER & set(by))
    where = conditions(queries[0])
    cells = _numbered(_source(query, fine=fine) for query in queries)
    units = _numbered(_cells(query, _UNITS, "units") for query in queries)
    number = "count(DISTINCT l.path)" if count else "0"
    parts: list[list[Group]] = [[] for _ in queries]
    for (part, *key), totals in _summed(db, columns, (cells, units), where, number, join=join).items():
        parts[int(part or 0)].append(Group(tuple(key), totals))
    return [largest_first(groups) for groups in parts]


def _numbered(sources: Iterable[Sql]) -> Sql:
    """Return the rows of several sources with the number of their source as ``part``."""
    pieces = enumerate(sources)
    return _union(Sql(f"SELECT {n} AS part, * FROM ({s.text}) piece", s.values) for n, s in pieces)


def largest_first(groups: Iterable[Group]) -> list[Group]:
    """Return groups by their cost, those left out whose sums are all zero."""
    some = [group for group in groups if any(getattr(group.totals, name) for name in SUM_COLUMNS)]
    return sorted(some, key=lambda group: (-group.totals.cost, tuple(map(str, group.key))))


def only_of_user(query: Query) -> bool:
    """Tell whether a query restricts nothing but the time and the user."""
    return query == Query(start=query.start, end=query.end, user_id=query.user_id)


def _grouped(
    db: sqlite3.Connection, columns: Sequence[str], width: int, source: Sql, where: Sql, *, join: bool
) -> sqlite3.Cursor:
    ledgers = " JOIN ledgers l ON l.id = f.ledger" if join else ""
    group = f" GROUP BY {', '.join(map(str, range(1, width + 1)))}" if width else ""
    return db.execute(
        f"SELECT {', '.join(columns)} FROM ({source.text}) f JOIN dims d ON d.id = f.dim{ledgers} "
        f"WHERE {where.text}{group}",
        (*source.values, *where.values),
    )


def _summed(
    db: sqlite3.Connection, columns: Sequence[str], source: _Source, where: Sql, number: str, *, join: bool
) -> dict[tuple[str | int | None, ...], Totals]:
    """Return the sums of cells and units by columns; ``number`` counts their jobs."""
    cells, units = source
    rows = _grouped(db, [*columns, _SUMMED, number], len(columns), cells, where, join=join)
    sums = {tuple(map(_shown, row[: len(columns)])): _totals(row[len(columns) :]) for row in rows}
    if not db.execute("SELECT EXISTS (SELECT 1 FROM units)").fetchone()[0]:
        return sums
    columns = [*columns, "f.unit"]
    rows = _grouped(db, [*columns, "sum(f.amount)"], len(columns), units, where, join=join)
    for *key, unit, amount in rows.fetchall():
        owner = sums.get(tuple(map(_shown, key)))
        if owner is not None and amount:
            owner.units[str(unit)] = int(amount)
    return sums


_UNITS: Final = "bucket, ledger, dim, unit, amount"
_Source = tuple[Sql, Sql]
"""Rows of cells, and rows of units: counts that are rare."""


def _source(query: Query, *, fine: bool, names: str = _NAMES) -> Sql:
    """Return the rows to sum: by day where that is fine enough, else by bucket and ledger."""
    if fine or query.job_id is not None or query.ledger is not None:
        return _cells(query, f"bucket, ledger, dim, {names}")
    span = BucketSpan.of(query.start, query.end)
    days = span.whole_days()
    pieces = [Sql(f"SELECT dim, {names} FROM days WHERE {days.text}", days.values)] if days else []
    for edge in span.edges():
        where = edge.on("bucket")
        pieces.append(Sql(f"SELECT dim, {names} FROM cells WHERE {where.text}", where.values))
    rows = _union(pieces)
    if names != _NAMES:
        return rows  # one number is wanted: it needs no sums by dimensions
    summed = ", ".join(f"sum({name}) AS {name}" for name in SUM_COLUMNS)
    return Sql(f"SELECT dim, {summed} FROM ({rows.text}) pieces GROUP BY dim", rows.values)


def _cells(query: Query, columns: str, table: str = "cells", ledgers: Sequence[int] = ()) -> Sql:
    """Return rows in the time of a query, of the ledgers that it means or of those with some numbers."""
    where = BucketSpan.of(query.start, query.end).on("bucket")
    chosen = Sql(", ".join("?" * len(ledgers)), tuple(ledgers)) if ledgers else ledgers_of(query)
    if chosen is None:
        return Sql(f"SELECT {columns} FROM {table} WHERE {where.text}", where.values)
    # The unary plus: the ledger decides, not the time.
    span = where.text.replace("AND ", "AND +")
    text = f"SELECT {columns} FROM {table} WHERE ledger IN ({chosen.text}) AND +{span}"
    return Sql(text, (*chosen.values, *where.values))


def ledgers_of(query: Query) -> Sql | None:
    """Return which ledgers a query means by job or path; ``None`` for all."""
    chosen = []
    if query.job_id is not None:
        chosen.append(Sql("job_id = ?", (query.job_id,)))
    if query.ledger is not None:
        chosen.append(Sql("path = ?", (os.fsencode(os.path.realpath(query.ledger)),)))
    if not chosen:
        return None
    where = _union(chosen, " AND ")
    return Sql(f"SELECT id FROM ledgers WHERE {where.text}", where.values)


def with_entries(query: Query) -> Sql:
    """Return the numbers of the ledgers that have entries that match."""
    source, where = _cells(query, "ledger, dim"), conditions(query)
    text = f"SELECT f.ledger FROM ({source.text}) f JOIN dims d ON d.id = f.dim WHERE {where.text}"
    return Sql(text, (*source.values, *where.values))


def conditions(query: Query) -> Sql:
    """Return the condition that dimensions, as ``d``, are those that a query asks for."""
    clauses = [Sql("TRUE")]
    for name in DIM_COLUMNS:
        wanted = query.values_of(name)
        if wanted is not None:
            clauses.append(Sql(f"d.{name} IN ({', '.join('?' * len(wanted))})", wanted))
    if query.tag is not None:
        clauses.append(Sql("instr(',' || d.tags || ',', ',' || ? || ',') > 0", (query.tag,)))
    return _union(clauses, " AND ")


def _shown(value: object) -> str | int | None:
    if isinstance(value, bytes):
        return os.fsdecode(value)
    return value if isinstance(value, int) else (str(value) or None)


def _totals(values: Sequence[object]) -> Totals:
    names = (*SUM_COLUMNS, *REPEATED, "jobs")
    totals = Totals(**dict(zip(names, values, strict=True)))  # type: ignore[arg-type]  # integers
    totals.cost_input = Nanos(totals.cost - totals.cost_output)
    return totals


# --- jobs, ledgers, problems


def _active(span: BucketSpan, user_id: str | None) -> Sql:
    """Return the numbers of the ledgers that have entries in a span: by day, at its edges by bucket."""
    who = Sql("") if user_id is None else Sql(" AND user_id = ?", (user_id,))
    pieces, days = list[Sql](), span.whole_days()
    if days is not None:
        pieces.append(
            Sql(f"SELECT ledger FROM activity WHERE {days.text}{who.text}", (*days.values, *who.values))
        )
    for edge in span.edges():
        where = edge.on("bucket")
        text = f"SELECT ledger FROM cells JOIN dims d ON d.id = dim WHERE {where.text}{who.text}"
        pieces.append(Sql(text, (*where.values, *who.values)))
    return _union(pieces, " UNION ")


class ReadableLedger(NamedTuple):
    """A ledger whose lines are asked for. ``number`` is that of its row.

    ``read_to`` is how far the sums have read it, ``None`` where they have not yet; ``uncounted`` are the
    first bytes of lines that do not count; ``gone`` says why it is not what it was, if so. ``mark``
    is by what its content is known again.
    """

    job: JobRef
    read_to: int | None
    uncounted: frozenset[int]
    gone: str | None
    number: int
    mark: Mark


def jobs(db: sqlite3.Connection, query: Query) -> list[ReadableLedger]:
    """Return each ledger with entries that match.

    Where the query asks for nothing but a job or a ledger, those without entries are named too.
    """
    if query == Query(job_id=query.job_id, ledger=query.ledger):
        chosen = ledgers_of(query) or Sql("SELECT id FROM ledgers")
    elif only_of_user(query):
        chosen = _active(BucketSpan.of(query.start, query.end), query.user_id)
    else:
        chosen = with_entries(query)
    there = "(inode != 0 OR is_read = 0 OR gone IS NOT NULL)"
    readable = f"id IN ({chosen.text}) AND {there} ORDER BY job_id, path, id"
    rows = tables.ledgers(db, readable, *chosen.values)
    uncounted: dict[int, set[int]] = {}
    for ledger, offset in db.execute("SELECT ledger, offset FROM problems"):
        uncounted.setdefault(ledger, set()).add(offset)
    return [
        ReadableLedger(
            JobRef(row.job_id, row.file),
            row.offset if row.is_read else None,
            frozenset(uncounted.get(row.id, ())),
            row.gone,
            row.id,
            row.mark,
        )
        for row in rows
    ]


def counted_offsets(db: sqlite3.Connection, ledger: int) -> set[int]:
    """Return where the lines begin that count in a ledger."""
    return {row[0] for row in db.execute("SELECT offset FROM seen WHERE ledger = ?", (ledger,))}


def ids_in(db: sqlite3.Connection, ledger: int) -> set[tuple[int, int]]:
    """Return the ids that count in a ledger, as :func:`.keys.key_of` has them."""
    return set(db.execute("SELECT key, more FROM seen WHERE ledger = ?", (ledger,)))


_ORDERS: Final[dict[JobOrder, str]] = {
    "newest": "max(f.bucket) DESC",
    "cost": "sum(f.cost) DESC",
    "calls": "sum(f.calls) DESC",
    "name": "l.job_id",
}


def job_page(
    db: sqlite3.Connection, query: Query, order: JobOrder, first: int, count: int, named: str
) -> JobPage:
    """Return jobs with entries that match from the ``first`` on, with their sums; see :class:`JobPage`.

    Which jobs are on the page is decided by one sum of each; all sums are read of those alone.
    """
    source, where = _cells(query, "bucket, ledger, dim, calls, cost"), conditions(query)
    named_so = Sql("instr(lower(l.job_id), ?) > 0", (named.lower(),)) if named else Sql("TRUE")
    rows = db.execute(
        f"""SELECT f.ledger, l.job_id, l.path, min(f.bucket), max(f.bucket), count(*) OVER ()
        FROM ({source.text}) f
        JOIN ledgers l ON l.id = f.ledger {"JOIN dims d ON d.id = f.dim" if where.values else ""}
        WHERE {where.text} AND {named_so.text}
        GROUP BY f.ledger ORDER BY {_ORDERS[order]}, l.job_id, l.path, l.id LIMIT ? OFFSET ?""",
        (*source.values, *where.values, *named_so.values, count, first),
    ).fetchall()
    if not rows and first:
        return JobPage((), job_page(db, query, order, 0, 1, named).whole)
    users = _by_user(db, query, [row[0] for row in rows])
    jobs = list[JobSums]()
    for ledger, name, path, *ends, _ in rows:
        whole = Totals()
        for totals in users[ledger].values():
            whole.merge(totals)
        begin, end = (bucket * BUCKET_SECONDS for bucket in ends)
        job = JobRef(name, Path(os.fsdecode(path)))
        jobs.append(JobSums(job, whole, begin, end, tuple(sorted(users[ledger]))))
    return JobPage(tuple(jobs), rows[0][-1] if rows else 0)


def _by_user(db: sqlite3.Connection, query: Query, ledgers: Sequence[int]) -> dict[int, dict[str, Totals]]:
    """Return the sums of ledgers, by their numbers, of each user."""
    totals_by_user, where = {ledger: dict[str, Totals]() for ledger in ledgers}, conditions(query)
    for start in range(0, len(ledgers), _AT_ONCE):
        some = ledgers[start : start + _AT_ONCE]
        cells, units = _cells(query, "*", "cells", some), _cells(query, _UNITS, "units", some)
        sums = _summed(db, ["f.ledger", "d.user_id"], (cells, units), where, "0", join=False)
        for (ledger, user), totals in sums.items():
            totals_by_user[int(ledger or 0)][str(user or "")] = totals
    return totals_by_user


def uncounted(db: sqlite3.Connection, ledger: int) -> frozenset[int]:
    """Return where the lines of a ledger begin that do not count."""
    return frozenset(row[0] for row in db.execute("SELECT offset FROM problems WHERE ledger = ?", (ledger,)))


def problems(db: sqlite3.Connection) -> list[LedgerProblem]:
    """Return damaged lines, lines in conflict, and ledgers that could not be read."""
    rows = db.execute(
        """SELECT l.path, max(p.offset, 0), p.why, p.length, p.kind = 'lost' FROM problems p
        JOIN ledgers l ON l.id = p.ledger
        WHERE p.kind != 'duplicate' AND l.gone IS NULL ORDER BY l.path, p.offset"""
    )
    return [
        LedgerProblem(Path(os.fsdecode(path)), offset, why, length, bool(is_lost))
        for path, offset, why, length, is_lost in rows
    ]


class GoneLedger(NamedTuple):
    """A ledger that is not what it was, or not there: what was counted of it still counts."""

    path: Path
    why: str
    calls: int
    cost: Nanos
    mark: Mark


def gone(db: sqlite3.Connection) -> list[GoneLedger]:
    """Return what still counts of ledgers that are gone, by path."""
    rows = db.execute(
        """SELECT path, gone, coalesce(sum(calls), 0), coalesce(sum(cost), 0), offset, head, tail FROM ledgers
        LEFT JOIN cells ON ledger = id WHERE gone IS NOT NULL GROUP BY id ORDER BY path, id"""
    )
    return [
        GoneLedger(Path(os.fsdecode(path)), why, calls, Nanos(cost), (size, head, tail))
        for path, why, calls, cost, size, head, tail in rows
    ]


def reserved(db: sqlite3.Connection, reservations: Sequence[str]) -> dict[str, Reserved]:
    """Return what all ledgers have under each reservation that has anything."""
    answers: dict[str, Reserved] = {}
    for start in range(0, len(reservations), _AT_ONCE):
        asked = reservations[start : start + _AT_ONCE]
        rows = db.execute(
            f"""SELECT reservation, sum(calls), sum(cost), sum(unpriced) FROM reserved
            WHERE reservation IN ({", ".join("?" * len(asked))}) GROUP BY 1""",
            asked,
        )
        answers |= {name: (calls, cost, unpriced) for name, calls, cost, unpriced in rows}
    return answers


_AT_ONCE: Final = 400
"""How many reservations one statement asks for: older SQLite versions take 999 values."""
