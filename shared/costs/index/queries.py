"""Answers questions from the index's tables. Only reads.

A period is split into whole UTC days, for which ``days`` has the sums, and at most two pieces of a day
at its ends, which ``sums`` has by bucket. So the answer is exact in every time zone, and a month costs
the same whatever the history.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from ..ledger.places import LedgerProblem
from ..model import Entry
from ..money import Nanos
from ..rollup import BUCKET_SECONDS, Dimension, Group, JobRef, Query, Totals, bucket_of
from .fold import dim_of
from .staging import STAGED, STAGED_WIDTH, Staged
from .store import DAY_BUCKETS, MANY_BUCKETS, SLOTS
from .tables import DIM_COLUMNS, SUM_COLUMNS

_SUMMED: Final = ", ".join(f"sum(f.{name})" for name in SUM_COLUMNS)
_NAMES: Final = ", ".join(SUM_COLUMNS)
_COLUMN: Final[dict[Dimension, str]] = {
    **{name: f"d.{name}" for name in DIM_COLUMNS},
    "ledger": "l.path",
    "job_id": "l.job_id",
    "bucket": f"f.bucket * {BUCKET_SECONDS}",
}
_OF_LEDGER: Final = frozenset({"ledger", "job_id"})
_FINE: Final = _OF_LEDGER | {"bucket"}


class Span(NamedTuple):
    """Buckets from ``start`` to before ``end``; ``None`` where it has no edge."""

    start: int | None
    end: int | None

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, start: datetime | None, end: datetime | None) -> Span:
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

    def edges(self) -> list[Span]:
        """Return the pieces of the span that are no whole day."""
        first, after = self.days()
        if first is not None and after is not None and first >= after:
            return [self]
        edges = []
        if self.start is not None and first is not None and self.start < first * DAY_BUCKETS:
            edges.append(Span(self.start, first * DAY_BUCKETS))
        if self.end is not None and after is not None and after * DAY_BUCKETS < self.end:
            edges.append(Span(after * DAY_BUCKETS, self.end))
        return edges


def _bucket(at: datetime | None) -> int | None:
    return None if at is None else bucket_of(at) // BUCKET_SECONDS


class _Sql(NamedTuple):
    text: str
    values: tuple[object, ...] = ()


class Asked(NamedTuple):
    """The question what was spent in some spans, by one user or by all, as one statement.

    What is staged counts too. ``edges`` are the pieces of days, which are looked up by themselves.
    """

    text: str
    values: tuple[object, ...]
    edges: tuple[tuple[str | None, tuple[Span, ...]], ...]

    @classmethod
    def of(cls, queries: Sequence[Query]) -> Asked:
        """Return the question for the time and user of some queries."""
        pieces, edges = [], []
        for query in queries:
            span = Span.of(query.start, query.end)
            pieces.append(_spend(span, query.user_id))
            edges.append((query.user_id, tuple(span.edges())))
        text = "".join(f", {piece.text}" for piece in pieces)
        values = tuple(value for piece in pieces for value in piece.values)
        return cls(f"SELECT {STAGED}{text} FROM staged", values, tuple(edges))


class Answer(NamedTuple):
    """What was spent in each span asked for, and what is staged."""

    spends: list[Nanos]
    staged: Staged


def spends(db: sqlite3.Connection, asked: Asked, ledger: int = 0) -> Answer:
    """Return what was spent, and what is staged of one ledger and in all."""
    row = db.execute(asked.text, (ledger, ledger, ledger, *asked.values)).fetchone()
    found = [
        Nanos(amount + sum(_edge(db, user_id, edge) for edge in edges) if edges else amount)
        for amount, (user_id, edges) in zip(row[STAGED_WIDTH:], asked.edges, strict=True)
    ]
    return Answer(found, Staged.of(row[:STAGED_WIDTH]))


def _spend(span: Span, user_id: str | None) -> _Sql:
    """Return the sum over whole days and what is staged."""
    first, after = span.days()
    days = (-_EVER if first is None else first, _EVER if after is None else after)
    buckets = (-_EVER if span.start is None else span.start, _EVER if span.end is None else span.end)
    if user_id is None:
        return _Sql(
            f"""coalesce(sum(iif(bucket >= ? AND bucket < ?, cost, 0)), 0) + coalesce((
                {_USERS} SELECT sum(p.cost) FROM u JOIN spend p ON p.user_id = u.name
                WHERE p.day >= ? AND p.day < ?), 0)""",
            (*buckets, *days),
        )
    return _Sql(
        """coalesce(sum(iif(user_id = ? AND bucket >= ? AND bucket < ?, cost, 0)), 0) + coalesce((
            SELECT sum(p.cost) FROM spend p WHERE p.user_id = ? AND p.day >= ? AND p.day < ?), 0)""",
        (user_id, *buckets, user_id, *days),
    )


def _edge(db: sqlite3.Connection, user_id: str | None, edge: Span) -> int:
    users = _users(db) if user_id is None else [user_id]
    return sum(amount for user in users for _, amount in slots(db, edge, user))


_EVER: Final = 1 << 40


def slots(db: sqlite3.Connection, span: Span, user_id: str) -> Iterator[tuple[int, int]]:
    """Return each bucket of a span in which a user spent something, and how much."""
    first = None if span.start is None else span.start // DAY_BUCKETS
    after = None if span.end is None else -(-span.end // DAY_BUCKETS)
    where, values = _between("day", first, after)
    rows = db.execute(f"SELECT day, slots FROM spend WHERE user_id = ?{where}", (user_id, *values))
    for day, packed in rows:
        for slot, amount in enumerate(SLOTS.unpack(packed)):
            bucket = day * DAY_BUCKETS + slot
            if amount and span.has(bucket):
                yield bucket, amount


def spend_by_bucket(db: sqlite3.Connection, span: Span, user_id: str | None) -> dict[int, Nanos]:
    """Return what was spent in each bucket (its start in seconds), by one user or by all."""
    found: dict[int, Nanos] = {}
    for user in _users(db) if user_id is None else [user_id]:
        for bucket, amount in slots(db, span, user):
            at = bucket * BUCKET_SECONDS
            found[at] = Nanos(found.get(at, 0) + amount)
    return found


def _users(db: sqlite3.Connection) -> list[str]:
    """Return every user who ever spent anything, with one look-up each."""
    return [str(row[0]) for row in db.execute(f"{_USERS} SELECT name FROM u WHERE name NOTNULL")]


_USERS: Final = """WITH RECURSIVE u (name) AS (
    SELECT min(user_id) FROM spend
    UNION ALL SELECT (SELECT min(user_id) FROM spend WHERE user_id > name) FROM u WHERE name NOTNULL)"""


def _between(column: str, first: int | None, after: int | None) -> tuple[str, list[int]]:
    text, values = "", []
    if first is not None:
        text, values = f" AND {column} >= ?", [first]
    if after is not None:
        text, values = f"{text} AND {column} < ?", [*values, after]
    return text, values


def groups(
    db: sqlite3.Connection, by: Sequence[Dimension], query: Query, ledgers: Sequence[int] | None
) -> list[Group]:
    """Return the sums of the entries that match, grouped; the largest cost first.

    ``ledgers`` are the numbers of those that the query's job or ledger means. Jobs are counted where
    nothing is asked by, or only the user, the job or the ledger.
    """
    columns = [_COLUMN[name] for name in by]
    counted = set(by) <= _OF_LEDGER | {"user_id"}
    cheap = counted and not _OF_LEDGER & set(by) and _only_of_user(query)
    source, where = _source(db, by, query, ledgers, jobs=counted and not cheap), _dims_where(query)
    join = " JOIN ledgers l ON l.id = f.ledger" if _OF_LEDGER & set(by) else ""
    group = f" GROUP BY {', '.join(map(str, range(1, len(columns) + 1)))}" if columns else ""
    number = "count(DISTINCT f.ledger)" if counted and not cheap else "0"
    rows = db.execute(
        f"SELECT {', '.join([*columns, _SUMMED, number])} FROM ({source.text}) f "
        f"JOIN dims d ON d.id = f.dim{join} WHERE {where.text}{group}",
        (*source.values, *where.values),
    )
    found = [_group(row, len(columns)) for row in rows if row[-2] is not None]
    found = [group for group in found if _counts(group.totals)]
    if cheap:
        for each in found:
            user = str(each.key[0] or "") if by else query.user_id
            each.totals.jobs = count_jobs(db, Span.of(query.start, query.end), user)
    return sorted(found, key=lambda group: (-group.totals.cost, tuple(map(str, group.key))))


def _only_of_user(query: Query) -> bool:
    """Tell whether a query restricts nothing but the time and the user."""
    return query == Query(start=query.start, end=query.end, user_id=query.user_id)


def _source(
    db: sqlite3.Connection,
    by: Sequence[Dimension],
    query: Query,
    ledgers: Sequence[int] | None,
    *,
    jobs: bool,
) -> _Sql:
    """Return the rows to sum: by day where that is fine enough, else by bucket and ledger."""
    span = Span.of(query.start, query.end)
    if ledgers is not None:
        return _of_ledgers(db, span, ledgers)
    if jobs or _FINE & set(by):
        return _fine(span)
    return _coarse(span)


def _coarse(span: Span) -> _Sql:
    first, after = span.days()
    where, values = _between("day", first, after)
    if first is not None and after is not None and first >= after:
        where, values = " AND 0", []
    pieces = [_Sql(f"SELECT dim, {_NAMES} FROM days WHERE 1{where}", tuple(values))]
    for edge in span.edges():
        where, values = _between("bucket", edge.start, edge.end)
        pieces.append(_Sql(f"SELECT dim, {_NAMES} FROM sums WHERE 1{where}", tuple(values)))
    text = " UNION ALL ".join(piece.text for piece in pieces)
    summed = ", ".join(f"sum({name}) AS {name}" for name in SUM_COLUMNS)
    return _Sql(
        f"SELECT dim, {summed} FROM ({text}) GROUP BY dim", tuple(v for piece in pieces for v in piece.values)
    )


def _fine(span: Span) -> _Sql:
    where, values = _between("bucket", span.start, span.end)
    return _Sql(f"SELECT bucket, ledger, dim, {_NAMES} FROM sums WHERE 1{where}", tuple(values))


def _of_ledgers(db: sqlite3.Connection, span: Span, ledgers: Sequence[int]) -> _Sql:
    """Return the rows of some ledgers: one look-up for each bucket of their lives, or all."""
    numbers = ", ".join(map(str, ledgers)) or "NULL"
    lives = f"SELECT max(last_bucket - first_bucket) FROM ledgers WHERE id IN ({numbers})"
    longest = db.execute(lives).fetchone()[0]
    where, values = _between("s.bucket", span.start, span.end)
    names = ", ".join(f"s.{name}" for name in SUM_COLUMNS)
    if longest is not None and longest >= MANY_BUCKETS:
        text = f"SELECT s.bucket, s.ledger, s.dim, {names} FROM sums s WHERE s.ledger IN ({numbers}){where}"
        return _Sql(text, tuple(values))
    return _Sql(
        f"""WITH RECURSIVE own (bucket, ledger, last) AS (
            SELECT first_bucket, id, last_bucket FROM ledgers
            WHERE id IN ({numbers}) AND first_bucket <= last_bucket
            UNION ALL SELECT bucket + 1, ledger, last FROM own WHERE bucket < last)
        SELECT s.bucket, s.ledger, s.dim, {names} FROM own
        CROSS JOIN sums s ON s.bucket = own.bucket AND s.ledger = own.ledger WHERE 1{where}""",
        tuple(values),
    )


def _dims_where(query: Query) -> _Sql:
    text, values = ["1"], []
    for name in DIM_COLUMNS:
        wanted = query.tag if name == "tags" else getattr(query, name, None)
        if wanted is None:
            continue
        text.append("instr(',' || d.tags || ',', ',' || ? || ',') > 0" if name == "tags" else f"d.{name} = ?")
        values.append(wanted)
    return _Sql(" AND ".join(text), tuple(values))


def _group(row: Sequence[object], width: int) -> Group:
    return Group(tuple(_shown(value) for value in row[:width]), _totals(row[width:]))


def _shown(value: object) -> str | int | None:
    return value if isinstance(value, int) else (str(value) or None)


def _totals(values: Sequence[object]) -> Totals:
    *sums, jobs = values
    totals = Totals(**dict(zip(SUM_COLUMNS, sums, strict=True)), jobs=jobs)  # type: ignore[arg-type]  # integers
    totals.cost_input = Nanos(totals.cost - totals.cost_output)
    return totals


def _counts(totals: Totals) -> bool:
    return any(getattr(totals, name) for name in SUM_COLUMNS)


def count_jobs(db: sqlite3.Connection, span: Span, user_id: str | None) -> int:
    """Return how many ledgers have entries in a span, of one user or of any."""
    active = _active(span, user_id)
    return int(db.execute(f"SELECT count(*) FROM ({active.text})", active.values).fetchone()[0])


def _active(span: Span, user_id: str | None) -> _Sql:
    """Return the numbers of the ledgers that have entries in a span: by day, at its edges by bucket."""
    who, user = ("", []) if user_id is None else (" AND user_id = ?", [user_id])
    first, after = span.days()
    pieces: list[_Sql] = []
    if first is None or after is None or first < after:
        where, values = _between("day", first, after)
        pieces.append(_Sql(f"SELECT ledger FROM activity WHERE 1{where}{who}", (*values, *user)))
    for edge in span.edges():
        where, values = _between("bucket", edge.start, edge.end)
        pieces.append(
            _Sql(f"SELECT ledger FROM sums JOIN dims d ON d.id = dim WHERE 1{where}{who}", (*values, *user))
        )
    text = " UNION ".join(piece.text for piece in pieces)
    return _Sql(f"SELECT DISTINCT ledger FROM ({text})", tuple(v for piece in pieces for v in piece.values))


def jobs(db: sqlite3.Connection, query: Query, ledgers: Sequence[int] | None) -> list[tuple[int, JobRef]]:
    """Return number and job of every ledger that has entries that match, by job and path.

    Where the query asks for nothing but a job or a ledger, those without entries are named too.
    """
    if query == Query(job_id=query.job_id, ledger=query.ledger):
        chosen = _Sql("SELECT id FROM ledgers" if ledgers is None else f"VALUES {_listed(ledgers)}")
    elif _only_of_user(query):
        chosen = _active(Span.of(query.start, query.end), query.user_id)
    else:
        source, where = _source(db, ("ledger",), query, ledgers, jobs=True), _dims_where(query)
        chosen = _Sql(
            f"SELECT f.ledger FROM ({source.text}) f JOIN dims d ON d.id = f.dim WHERE {where.text}",
            (*source.values, *where.values),
        )
    rows = db.execute(
        f"SELECT id, job_id, path FROM ledgers WHERE id IN ({chosen.text}) ORDER BY job_id, path",
        chosen.values,
    )
    return [(number, JobRef(job_id, Path(path))) for number, job_id, path in rows]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"({number})" for number in numbers) or "(NULL)"


def uncounted(db: sqlite3.Connection, ledger: int) -> frozenset[int]:
    """Return where the lines of a ledger begin that do not count."""
    return frozenset(row[0] for row in db.execute("SELECT offset FROM problems WHERE ledger = ?", (ledger,)))


def matches(entry: Entry, query: Query) -> bool:
    """Tell whether an entry is one that a query means, its job and ledger apart."""
    at, dim = entry.counted_at, dim_of(entry)
    if (query.start and at < query.start) or (query.end and at >= query.end):
        return False
    if query.tag is not None and query.tag not in entry.tags:
        return False
    wanted = ((getattr(query, name, None), value) for name, value in zip(DIM_COLUMNS, dim, strict=True))
    return all(value is None or value == found for value, found in wanted)


def problems(db: sqlite3.Connection) -> list[LedgerProblem]:
    """Return damaged lines, lines in conflict, and ledgers that could not be read."""
    lines = db.execute(
        """SELECT l.path, p.offset, p.why FROM problems p JOIN ledgers l ON l.id = p.ledger
        WHERE p.kind != 'duplicate' ORDER BY l.path, p.offset"""
    ).fetchall()
    unread = db.execute("SELECT path, 0, why FROM waiting ORDER BY path").fetchall()
    return [LedgerProblem(Path(path), offset, why) for path, offset, why in [*lines, *unread]]
