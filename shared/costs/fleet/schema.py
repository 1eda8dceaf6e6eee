"""The tables of the shared database: how they are created, upgraded and checked.

They are in the schema ``cost_ledger``. Amounts are in nano-dollars, times in microseconds since 1970. The
tables of sums have the names of those in a cost storage (``../store/tables.py``): the same SQL queries both.

``fleet``     one row: the identity of the database, and whether its server was restarted or restored.
``hosts``     each cost storage that takes part, until when it may use its leases, how it counts calls.
``scopes``    one row for each limit: granting a lease locks it first.
``leases``    what each host may have spent and hold of a limit in a period, in total.
``ledgers``   each ledger of each host, and how far it was published: the outbox is the ledger itself.
``entries``   the figures of each entry, once.
``dims``      each combination of dimensions, once.
``cells`` ``units`` ``days`` ``spend`` ``activity``  the sums, by host.

``instr`` and ``iif`` are functions of SQLite that PostgreSQL has under other names.
"""

from __future__ import annotations

import secrets
from typing import Final

from ..ledger.counted import DIM_COLUMNS
from ..store.tables import SUM_COLUMNS
from .database import GRANT, SCHEMA, WRITABLE, SharedUnavailable, Transaction

_SUMS: Final = ", ".join(f"{name} bigint NOT NULL" for name in SUM_COLUMNS)
_DIMS: Final = ", ".join(f"{name} text NOT NULL" for name in DIM_COLUMNS)

STEPS: Final = (
    (
        """CREATE TABLE fleet (one boolean PRIMARY KEY DEFAULT true CHECK (one), uid text NOT NULL,
            server text NOT NULL, epoch integer NOT NULL, since timestamptz NOT NULL,
            went_back text NOT NULL)""",
        """CREATE TABLE hosts (id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, uid text UNIQUE NOT NULL,
            name text NOT NULL, token text NOT NULL, version bigint NOT NULL, epoch integer NOT NULL,
            lease_s integer NOT NULL, joined timestamptz NOT NULL, seen timestamptz NOT NULL,
            lease_until timestamptz NOT NULL, rests boolean NOT NULL, waiting bigint NOT NULL DEFAULT 0,
            published timestamptz)""",
        "CREATE TABLE scopes (scope text PRIMARY KEY)",
        """CREATE TABLE leases (scope text NOT NULL, starts bigint NOT NULL, ends bigint NOT NULL,
            host integer NOT NULL REFERENCES hosts, period text NOT NULL, granted bigint NOT NULL,
            amount bigint NOT NULL, PRIMARY KEY (scope, starts, ends, host))""",
        "CREATE INDEX leases_by_host ON leases (host)",
        """CREATE TABLE ledgers (id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            host integer NOT NULL REFERENCES hosts, place bytea NOT NULL, path bytea NOT NULL,
            job_id text NOT NULL, gone text, "offset" bigint NOT NULL, head bigint NOT NULL,
            tail bigint NOT NULL)""",
        "CREATE UNIQUE INDEX ledgers_here ON ledgers (host, place) WHERE gone IS NULL",
        "CREATE INDEX ledgers_by_job ON ledgers (job_id)",
        f"""CREATE TABLE dims (id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, key text UNIQUE NOT NULL,
            {_DIMS})""",
        """CREATE TABLE entries (id text PRIMARY KEY, ledger integer NOT NULL, dim integer NOT NULL,
            at bigint NOT NULL, calls integer NOT NULL, cost bigint NOT NULL, tokens_input bigint NOT NULL,
            tokens_output bigint NOT NULL)""",
        f"""CREATE TABLE cells (bucket bigint NOT NULL, ledger integer NOT NULL, dim integer NOT NULL,
            host integer NOT NULL, {_SUMS}, PRIMARY KEY (bucket, ledger, dim))""",
        "CREATE INDEX cells_by_ledger ON cells (ledger)",
        """CREATE TABLE units (bucket bigint NOT NULL, ledger integer NOT NULL, dim integer NOT NULL,
            unit text NOT NULL, amount bigint NOT NULL, PRIMARY KEY (bucket, ledger, dim, unit))""",
        f"""CREATE TABLE days (day bigint NOT NULL, host integer NOT NULL, dim integer NOT NULL, {_SUMS},
            PRIMARY KEY (day, host, dim))""",
        """CREATE TABLE spend (user_id text NOT NULL, bucket bigint NOT NULL, host integer NOT NULL,
            cost bigint NOT NULL, PRIMARY KEY (user_id, bucket, host))""",
        """CREATE TABLE activity (day bigint NOT NULL, user_id text NOT NULL, ledger integer NOT NULL,
            PRIMARY KEY (day, user_id, ledger))""",
        """CREATE FUNCTION instr(text, text) RETURNS integer LANGUAGE sql IMMUTABLE
            AS 'SELECT strpos($1, $2)'""",
        """CREATE FUNCTION iif(boolean, numeric, integer) RETURNS numeric LANGUAGE sql IMMUTABLE
            AS 'SELECT CASE WHEN $1 THEN $2 ELSE $3 END'""",
    ),
    (
        "ALTER TABLE hosts ADD COLUMN counting text NOT NULL DEFAULT ''",
        "ALTER TABLE versions ADD COLUMN oldest integer",
    ),
)
"""The statements that upgrade each version of the schema to the next. A released step is never changed."""

VERSION: Final = len(STEPS)

OLDEST: Final = 1
"""The oldest version of programs that may still use these tables while others are upgraded."""

SERVER: Final = "pg_postmaster_start_time()::text || ' ' || 'cost_ledger.fleet'::regclass::oid"
"""Identifies one start of the server and one creation of the tables: it changes with a restart, a failover
and a restored backup. The tables cannot know which of them it was."""


def init(db: Transaction) -> int:
    """Create the tables or upgrade them to this version; return the version before, 0 for none.

    May run on several hosts at once.

    Raises:
        SharedUnavailable: the tables are of a newer version, or the database's encoding lacks characters.

    """
    db.execute("SELECT pg_advisory_xact_lock(hashtext(?))", (SCHEMA,))
    db.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    db.execute("CREATE TABLE IF NOT EXISTS versions (version integer NOT NULL)")
    before = _version(db)
    if before > VERSION:
        require(db)
        return before
    if before == 0:
        _require_full_encoding(db)
    for version, statements in enumerate(STEPS[before:], before + 1):
        for statement in statements:
            db.execute(statement)
        db.execute("INSERT INTO versions VALUES (?)", (version,))
    db.execute("UPDATE versions SET oldest = ? WHERE version = ?", (OLDEST, VERSION))
    if before == 0:
        db.execute(
            f"INSERT INTO fleet (uid, server, epoch, since, went_back) VALUES (?, {SERVER}, 0, now(), '')",
            (secrets.token_hex(16),),
        )
    return before


def check(db: Transaction) -> str:
    """Return the identity of the database, if its tables are of this version and can be written.

    Raises:
        SharedUnavailable: they are of another version, or read-only.

    """
    if _version(db) < VERSION:
        raise SharedUnavailable(
            "the shared database has tables of an older version: cost-dashboard shared init"
        )
    require(db)
    row = db.execute(
        f"""SELECT uid, current_setting('transaction_read_only') = 'off', (SELECT bool_and({_MAY_WRITE})
        FROM pg_class WHERE relnamespace = ?::regnamespace AND relkind = 'r' AND relname <> 'versions')
        FROM fleet""",
        (SCHEMA,),
    ).fetchone()
    assert row is not None  # inserted when the tables are created
    uid, is_writable, may_write = row
    if not (is_writable and may_write):
        remedy = GRANT if is_writable else WRITABLE
        raise SharedUnavailable(
            f"the shared database can be read from here, not written, so no call can be held or published: "
            f"{remedy}"
        )
    return str(uid)


_MAY_WRITE: Final = " AND ".join(
    f"has_table_privilege(oid, '{right}')" for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
)


def require(db: Transaction) -> None:
    """Refuse tables that only newer programs understand: they may be upgraded while this one runs.

    Raises:
        SharedUnavailable: only newer programs understand them.

    """
    row = db.execute("SELECT max(version), max(coalesce(oldest, version)) FROM versions").fetchone()
    if row is not None and (row[1] or 0) > VERSION:
        raise SharedUnavailable(
            f"the shared database has tables of version {row[0]}, this program of {VERSION}: upgrade it"
        )


def _require_full_encoding(db: Transaction) -> None:
    """Refuse a database whose encoding cannot store every name of a user or job."""
    row = db.execute("SELECT current_setting('server_encoding')").fetchone()
    if row is not None and row[0] not in _FULL_ENCODINGS:
        raise SharedUnavailable(
            f"the shared database has the encoding {row[0]}, in which not every name can be written: make "
            f"one with CREATE DATABASE costs ENCODING 'UTF8' TEMPLATE template0"
        )


_FULL_ENCODINGS: Final = ("UTF8", "SQL_ASCII")
"""The encodings that store any text; the second one stores bytes as they are sent."""


def _version(db: Transaction) -> int:
    row = db.execute("SELECT max(version) FROM versions").fetchone()
    return int(row[0] or 0) if row else 0
