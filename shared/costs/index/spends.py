"""What users spent in stretches of time: the questions of every budget check. Only reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ..money import Nanos
from ..rollup import BUCKET_SECONDS, Query
from .span import Span, Sql, between
from .staging import STAGED, STAGED_WIDTH, Staged
from .store import DAY_BUCKETS, SLOTS


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


def _spend(span: Span, user_id: str | None) -> Sql:
    """Return the sum over whole days and what is staged."""
    first, after = span.days()
    days = (-_EVER if first is None else first, _EVER if after is None else after)
    buckets = (-_EVER if span.start is None else span.start, _EVER if span.end is None else span.end)
    if user_id is None:
        return Sql(
            f"""coalesce(sum(iif(bucket >= ? AND bucket < ?, cost, 0)), 0) + coalesce((
                {_USERS} SELECT sum(p.cost) FROM u JOIN spend p ON p.user_id = u.name
                WHERE p.day >= ? AND p.day < ?), 0)""",
            (*buckets, *days),
        )
    return Sql(
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
    where, values = between("day", first, after)
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
