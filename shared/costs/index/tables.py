"""The tables of ``index.db``. Amounts in nano-dollars, audio in microseconds, time in UTC.

A *bucket* is the number of a 15-minute stretch since 1970, a *day* that of a UTC day (96 buckets).

``sums``      every ledger x bucket x dimensions: the finest sums, from which a ledger can be taken out again.
``days``      the same over all ledgers, by day: a month of any history is some thousand rows.
``spend``     what one user spent on one day, as 96 integers (one a bucket): the budget check.
``activity``  which ledgers have entries of a user on a day: counts jobs.
``dims``      each combination of dimensions once, as a small integer.
``seen``      the id of every entry and where it stands, for duplicates and look-ups.
``staged``    lines that were just appended, a row each, until they come into the tables above together.
``reserved``  what a ledger has under each reservation, so that the gate counts nothing twice.
``ledgers``   how far each ledger was taken in, and what its file looked like then.
``problems``  lines that do not count, and why.
``meta``      the token and the origin of the ``state.db`` whose ledger numbers these tables use.
``waiting``   ledgers that could not be read when they were last looked at, and why.
"""

from __future__ import annotations

import sqlite3
from typing import Final

FORMAT: Final = 3
"""Version of these tables. An index of another version is built anew."""

PAGE_SIZE: Final = 4096

SUM_COLUMNS: Final = (
    "calls",
    "unpriced_calls",
    "estimated_calls",
    "retried_calls",
    "tokens_input",
    "tokens_output",
    "tokens_cached",
    "tokens_reasoning",
    "audio_microseconds",
    "cost",
    "cost_output",
    "retried_cost",
)
"""The stored sums, in this order: fields of ``rollup.Totals`` (``cost_input`` is what remains)."""

DIM_COLUMNS: Final = (
    "user_id",
    "stage",
    "service",
    "model",
    "operation",
    "workflow",
    "project",
    "tags",
    "service_tier",
)
"""The stored dimensions of an entry, in this order; an empty text where the entry has none."""

Dim = tuple[str, str, str, str, str, str, str, str, str]
"""One value for each of :data:`DIM_COLUMNS`."""

_SUMS = ", ".join(f"{name} INTEGER NOT NULL" for name in SUM_COLUMNS)
_DIMS = ", ".join(f"{name} TEXT NOT NULL" for name in DIM_COLUMNS)

_SCHEMA: Final = (
    "CREATE TABLE meta (format INTEGER NOT NULL, token INTEGER, origin INTEGER) STRICT",
    f"INSERT INTO meta VALUES ({FORMAT}, NULL, NULL)",
    f"CREATE TABLE dims (id INTEGER PRIMARY KEY, {_DIMS}, UNIQUE ({', '.join(DIM_COLUMNS)})) STRICT",
    f"""CREATE TABLE sums (bucket INTEGER NOT NULL, ledger INTEGER NOT NULL, dim INTEGER NOT NULL, {_SUMS},
        PRIMARY KEY (bucket, ledger, dim)) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE days (day INTEGER NOT NULL, dim INTEGER NOT NULL, {_SUMS},
        PRIMARY KEY (day, dim)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE spend (user_id TEXT NOT NULL, day INTEGER NOT NULL, cost INTEGER NOT NULL,
        slots BLOB NOT NULL, PRIMARY KEY (user_id, day)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE activity (day INTEGER NOT NULL, user_id TEXT NOT NULL, ledger INTEGER NOT NULL,
        PRIMARY KEY (day, user_id, ledger)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE seen (key INTEGER NOT NULL, more INTEGER NOT NULL, ledger INTEGER NOT NULL,
        offset INTEGER NOT NULL, PRIMARY KEY (key, more)) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE staged (ledger INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
        tail INTEGER NOT NULL, bucket INTEGER NOT NULL, dim INTEGER NOT NULL, user_id TEXT NOT NULL,
        key INTEGER NOT NULL, more INTEGER NOT NULL, reservation TEXT, {_SUMS},
        PRIMARY KEY (ledger, offset)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE reserved (key INTEGER NOT NULL, more INTEGER NOT NULL, ledger INTEGER NOT NULL,
        calls INTEGER NOT NULL, cost INTEGER NOT NULL,
        PRIMARY KEY (key, more, ledger)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE ledgers (id INTEGER PRIMARY KEY, path TEXT NOT NULL, job_id TEXT NOT NULL,
        device INTEGER NOT NULL, inode INTEGER NOT NULL, offset INTEGER NOT NULL,
        head_length INTEGER NOT NULL, head INTEGER NOT NULL, tail INTEGER NOT NULL,
        first_bucket INTEGER NOT NULL, last_bucket INTEGER NOT NULL) STRICT""",
    """CREATE TABLE problems (ledger INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
        kind TEXT NOT NULL, why TEXT NOT NULL, other INTEGER, PRIMARY KEY (ledger, offset)) STRICT""",
    "CREATE TABLE waiting (ledger INTEGER PRIMARY KEY, path TEXT NOT NULL, why TEXT NOT NULL) STRICT",
)


def create(connection: sqlite3.Connection) -> None:
    """Lay the tables into an empty database, inside the open transaction if there is one."""
    for statement in _SCHEMA:
        connection.execute(statement)


def is_current(connection: sqlite3.Connection) -> bool:
    """Tell whether the database has the tables of this version."""
    try:
        row = connection.execute("SELECT format FROM meta").fetchone()
    except sqlite3.OperationalError as fault:
        if "no such" in str(fault):
            return False
        raise
    return row is not None and row[0] == FORMAT
