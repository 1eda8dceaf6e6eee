"""Sums by dimensions, jobs and problems, from the index's tables. Only reads.

For the whole UTC days of a period ``days`` has the sums, for the pieces at its ends ``sums`` by bucket.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..ledger.places import LedgerProblem
from ..money import Nanos
from ..rollup import BUCKET_SECONDS, Dimension, Group, JobRef, Query, Totals
from .fold import dim_of
from .span import Span, Sql, between
from .store import MANY_BUCKETS
from .tables import DIM_COLUMNS, SUM_COLUMNS

if TYPE_CHECKING:
    from ..model import Entry

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
) -> Sql:
    """Return the rows to sum: by day where that is fine enough, else by bucket and ledger."""
    span = Span.of(query.start, query.end)
    if ledgers is not None:
        return _of_ledgers(db, span, ledgers)
    if jobs or _FINE & set(by):
        return _fine(span)
    return _coarse(span)


def _coarse(span: Span) -> Sql:
    first, after = span.days()
    where, values = between("day", first, after)
    if first is not None and after is not None and first >= after:
        where, values = " AND 0", []
    pieces = [Sql(f"SELECT dim, {_NAMES} FROM days WHERE 1{where}", tuple(values))]
    for edge in span.edges():
        where, values = between("bucket", edge.start, edge.end)
        pieces.append(Sql(f"SELECT dim, {_NAMES} FROM sums WHERE 1{where}", tuple(values)))
    text = " UNION ALL ".join(piece.text for piece in pieces)
    summed = ", ".join(f"sum({name}) AS {name}" for name in SUM_COLUMNS)
    return Sql(
        f"SELECT dim, {summed} FROM ({text}) GROUP BY dim", tuple(v for piece in pieces for v in piece.values)
    )


def _fine(span: Span) -> Sql:
    where, values = between("bucket", span.start, span.end)
    return Sql(f"SELECT bucket, ledger, dim, {_NAMES} FROM sums WHERE 1{where}", tuple(values))


def _of_ledgers(db: sqlite3.Connection, span: Span, ledgers: Sequence[int]) -> Sql:
    """Return the rows of some ledgers: one look-up for each bucket of their lives, or all."""
    numbers = ", ".join(map(str, ledgers)) or "NULL"
    lives = f"SELECT max(last_bucket - first_bucket) FROM ledgers WHERE id IN ({numbers})"
    longest = db.execute(lives).fetchone()[0]
    where, values = between("s.bucket", span.start, span.end)
    names = ", ".join(f"s.{name}" for name in SUM_COLUMNS)
    if longest is not None and longest >= MANY_BUCKETS:
        text = f"SELECT s.bucket, s.ledger, s.dim, {names} FROM sums s WHERE s.ledger IN ({numbers}){where}"
        return Sql(text, tuple(values))
    return Sql(
        f"""WITH RECURSIVE own (bucket, ledger, last) AS (
            SELECT first_bucket, id, last_bucket FROM ledgers
            WHERE id IN ({numbers}) AND first_bucket <= last_bucket
            UNION ALL SELECT bucket + 1, ledger, last FROM own WHERE bucket < last)
        SELECT s.bucket, s.ledger, s.dim, {names} FROM own
        CROSS JOIN sums s ON s.bucket = own.bucket AND s.ledger = own.ledger WHERE 1{where}""",
        tuple(values),
    )


def _dims_where(query: Query) -> Sql:
    text, values = ["1"], []
    for name in DIM_COLUMNS:
        wanted = query.tag if name == "tags" else getattr(query, name, None)
        if wanted is None:
            continue
        text.append("instr(',' || d.tags || ',', ',' || ? || ',') > 0" if name == "tags" else f"d.{name} = ?")
        values.append(wanted)
    return Sql(" AND ".join(text), tuple(values))


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


def _active(span: Span, user_id: str | None) -> Sql:
    """Return the numbers of the ledgers that have entries in a span: by day, at its edges by bucket."""
    who, user = ("", []) if user_id is None else (" AND user_id = ?", [user_id])
    first, after = span.days()
    pieces: list[Sql] = []
    if first is None or after is None or first < after:
        where, values = between("day", first, after)
        pieces.append(Sql(f"SELECT ledger FROM activity WHERE 1{where}{who}", (*values, *user)))
    for edge in span.edges():
        where, values = between("bucket", edge.start, edge.end)
        pieces.append(
            Sql(f"SELECT ledger FROM sums JOIN dims d ON d.id = dim WHERE 1{where}{who}", (*values, *user))
        )
    text = " UNION ".join(piece.text for piece in pieces)
    return Sql(f"SELECT DISTINCT ledger FROM ({text})", tuple(v for piece in pieces for v in piece.values))


def jobs(db: sqlite3.Connection, query: Query, ledgers: Sequence[int] | None) -> list[tuple[int, JobRef]]:
    """Return number and job of every ledger that has entries that match, by job and path.

    Where the query asks for nothing but a job or a ledger, those without entries are named too.
    """
    if query == Query(job_id=query.job_id, ledger=query.ledger):
        chosen = Sql("SELECT id FROM ledgers" if ledgers is None else f"VALUES {_listed(ledgers)}")
    elif _only_of_user(query):
        chosen = _active(Span.of(query.start, query.end), query.user_id)
    else:
        source, where = _source(db, ("ledger",), query, ledgers, jobs=True), _dims_where(query)
        chosen = Sql(
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
