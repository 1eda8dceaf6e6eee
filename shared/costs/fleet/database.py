"""Transactions at the shared database, each within a time limit, whatever the network does.

A statement can hang while a name is resolved, or after the network was cut or the server stopped, and no
client setting covers all of these. So transactions run in a thread of their own, and the caller gives up
when its time is over; an abandoned connection is not used again.

Everything is set within the transaction (``SET LOCAL``) and nothing is prepared, so that a connection pooler
in transaction mode works. The isolation level is READ COMMITTED: code that decides by a sum takes its lock in
a statement before the one that computes the sum.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from ..errors import CostError, StorageBusy, StorageUnavailable
from ..forks import lock_of
from .address import DatabaseAddress, missing_driver

if TYPE_CHECKING:
    from psycopg import Connection, Cursor
    from psycopg.abc import Buffer
    from psycopg.adapt import Loader

T = TypeVar("T")

SCHEMA: Final = "cost_ledger"

CONNECT_S: Final = 3
"""How long connecting to one address may take, in seconds; libpq takes 2 at least."""

STATEMENT_S: Final = 30
"""How long one statement may take at the server, in seconds."""

LOCK_S: Final = 5
"""How long one statement may wait for a lock at the server, in seconds."""

DOWN_S: Final = 1.0
"""How long after a failed attempt callers fail at once instead of trying to connect, in seconds."""

GRANT: Final = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO the role"
"""The SQL statement that gives a role the rights it needs."""

WRITABLE: Final = "name a server that is not a standby, and a role that is not read-only"
"""The advice for a database that cannot be written to."""

_TRIES: Final = 3


class SharedUnavailable(StorageUnavailable):
    """The shared database cannot be reached or used."""


class SharedBusy(StorageBusy):
    """Others locked what this caller needs for longer than it may wait."""


class Transaction:
    """One open transaction. Statements have ``?`` as placeholders, as for SQLite."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> Cursor[Any]:
        """Run one statement; a ``%`` in it is taken literally."""
        text = statement.replace("%", "%%").replace("?", "%s") if values else statement
        return self.connection.execute(text, list(values) or None)

    def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write many rows into a table with one COPY."""
        with self.connection.cursor() as cursor:
            names = ", ".join(columns)
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)


class _JobOutcome(NamedTuple):
    result: Any = None
    fault: BaseException | None = None


_Job = tuple["Callable[[Transaction], Any]", "SimpleQueue[_JobOutcome]"]


class SharedDatabase:
    """One connection, opened on first use. Safe to use from threads and after a fork."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.address = address
        self._worker = _ConnectionThread(address)
        self._lock = lock_of(self, "_lock")
        self._down: tuple[float, str] = (0.0, "")

    def __del__(self) -> None:
        self._worker.abandon()

    def run(self, action: Callable[[Transaction], T], wait_s: float) -> T:
        """Run an action in one transaction and return its result, within ``wait_s`` seconds.

        The action is called again if the transaction was rolled back. If this raises, the transaction may
        have been committed nevertheless.

        Raises:
            SharedBusy: others hold locks that the action needs.
            SharedUnavailable: the database cannot be reached, or not in time.

        """
        down_until, why = self._down
        if time.monotonic() < down_until:
            raise SharedUnavailable(why)
        outcomes: SimpleQueue[_JobOutcome] = SimpleQueue()
        worker = self._worker_of_this_process()
        try:
            worker.submit(action, outcomes)
            outcome = outcomes.get(timeout=wait_s)
        except Empty:
            self._abandon(worker)
            raise self._unreachable(f"no answer within {wait_s:g} s") from None
        except RuntimeError as fault:  # no thread can be started: the interpreter ends
            raise self._unreachable(str(fault)) from None
        if outcome.fault is not None:
            raise self._as_our_error(outcome.fault) from None
        return cast("T", outcome.result)

    def close(self) -> None:
        """Close the connection; the next use makes a new one."""
        self._abandon(self._worker)

    def _worker_of_this_process(self) -> _ConnectionThread:
        with self._lock:
            if self._worker.owner != os.getpid():  # a child must not use its parent's connection
                self._worker.forget()
                self._worker, self._down = _ConnectionThread(self.address), (0.0, "")
            return self._worker

    def _abandon(self, worker: _ConnectionThread) -> None:
        """Replace a connection; its thread finishes what is still running, then closes it."""
        with self._lock:
            if self._worker is worker:
                self._worker = _ConnectionThread(self.address)
        worker.abandon()

    def _unreachable(self, why: str) -> SharedUnavailable:
        text = f"the shared database ({self.address.source}) cannot be used: {why}"
        self._down = (time.monotonic() + DOWN_S, text)
        return SharedUnavailable(text)

    def _as_our_error(self, fault: BaseException) -> BaseException:
        if isinstance(fault, CostError):
            return fault
        if isinstance(fault, ImportError):
            return SharedUnavailable(missing_driver())
        import psycopg
        from psycopg import errors

        if isinstance(fault, errors.LockNotAvailable | errors.QueryCanceled | errors.DeadlockDetected):
            return SharedBusy(f"the shared database ({self.address.source}) is busy; try again")
        if isinstance(fault, errors.UndefinedTable | errors.InvalidSchemaName | errors.UndefinedColumn):
            return SharedUnavailable(
                f"the shared database ({self.address.source}) has no tables of this version that its role "
                f"may see: cost-dashboard shared init, or GRANT USAGE ON SCHEMA {SCHEMA} TO the role"
            )
        if not isinstance(fault, psycopg.Error | OSError):
            return fault
        why = self.address.without_secrets(_first_line(str(fault)))
        return self._unreachable("; ".join([why, *_remedies(fault)]))


class _ConnectionThread:
    """A connection and the only thread that uses it, one transaction after another."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.owner = os.getpid()
        self._address = address
        self._connection: Connection[Any] | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_started = False

    def submit(self, action: Callable[[Transaction], Any], outcomes: SimpleQueue[_JobOutcome]) -> None:
        """Queue an action; its outcome is put into ``outcomes``."""
        self._jobs.put((action, outcomes))
        with self._lock:
            if not self._is_started:
                threading.Thread(target=self._work, name="cost-ledger-shared", daemon=True).start()
                self._is_started = True

    def abandon(self) -> None:
        """Let the thread finish what is queued, close its connection and end."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            action, outcomes = job
            try:
                outcomes.put(_JobOutcome(self._run_with_retries(action)))
            except BaseException as fault:  # raised again in the thread that waits for it
                outcomes.put(_JobOutcome(fault=fault))
            del job, action, outcomes
        self._close()

    def _run_with_retries(self, action: Callable[[Transaction], T]) -> T:
        from psycopg import errors

        for _ in range(_TRIES - 1):
            try:
                return self._run_once(action)
            except (errors.SerializationFailure, errors.DeadlockDetected):
                continue
        return self._run_once(action)

    def _run_once(self, action: Callable[[Transaction], T]) -> T:
        import psycopg

        reused, has_begun = self._connection, False
        connection = reused or self._connect()
        try:
            with connection.transaction():
                connection.execute(_SETTINGS)
                has_begun = True
                return action(Transaction(connection))
        except psycopg.OperationalError:
            if has_begun or reused is None:
                raise
        finally:
            if connection.broken:
                self._close()
        self._close()  # the server was restarted since the last use: the action has not begun
        return self._run_once(action)

    def _connect(self) -> Connection[Any]:
        import psycopg

        parameters = {**_DEFAULTS, **self._address.parameters}
        self._connection = psycopg.connect(autocommit=True, prepare_threshold=None, **parameters)
        self._connection.adapters.register_loader("numeric", _whole_numbers())
        return self._connection

    def forget(self) -> None:
        """Keep the parent's connection open in a forked child: closing it would end the parent's session."""
        if self._connection is not None:
            _INHERITED_CONNECTIONS.append(self._connection)
            self._connection = None

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is broken, and nothing else can be done with it
                connection.close()


def _whole_numbers() -> type[Loader]:
    """Return the loader that reads sums of integers, which PostgreSQL returns as ``numeric``, as integers."""
    from psycopg.adapt import Loader

    class WholeNumbers(Loader):
        def load(self, data: Buffer) -> int:
            return int(bytes(data))

    return WholeNumbers


_INHERITED_CONNECTIONS: Final[list[object]] = []
"""Connections that a forked child inherited: referenced here, so that no finaliser closes them."""

_SETTINGS: Final = (
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
    f"SET LOCAL search_path = {SCHEMA}, pg_temp; "
    "SET LOCAL DateStyle = 'ISO'; "
    f"SET LOCAL statement_timeout = '{STATEMENT_S}s'; "
    f"SET LOCAL lock_timeout = '{LOCK_S}s'; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{STATEMENT_S}s'"
)

_DEFAULTS: Final = {
    "application_name": "cost-ledger",
    "client_encoding": "UTF8",
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def _remedies(fault: BaseException) -> Iterator[str]:
    """Yield advice on a fault of the server or the connection, as far as it is known."""
    import psycopg
    from psycopg import errors

    if isinstance(fault, errors.InsufficientPrivilege):
        yield GRANT
    elif isinstance(fault, errors.ReadOnlySqlTransaction):
        yield WRITABLE
    elif isinstance(fault, psycopg.OperationalError) and fault.sqlstate is None:
        yield "see that its server is up and the address right"


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[0] if lines else "the connection was lost"
