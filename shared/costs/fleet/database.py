"""Transactions at the shared database, each within a bound, whatever the network does.

A statement may hang where the network is cut, a name is looked up or the server stands still, and no
setting of the client ends all of that. So each transaction runs in a thread of its own, and who waits
for it gives up in time; a connection that was given up on is not used again.

Everything is set within the transaction (``SET LOCAL``) and nothing is prepared, so that a pooler in
transaction mode may stand between. The isolation is READ COMMITTED: who decides on a sum locks first, in a
statement before the one that sums.
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
"""For how long a database that could not be reached is not tried again by those who have no time."""

GRANT: Final = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO the role"
"""What lets a role take part."""

WRITABLE: Final = "name a server that is no standby, and a role that is not read-only"
"""What to do where nothing may be written."""

_TRIES: Final = 3


class SharedUnavailable(StorageUnavailable):
    """The shared database cannot be reached or used."""


class SharedBusy(StorageBusy):
    """Others held the shared database for longer than this caller may wait."""


class Transaction:
    """One open transaction. Statements have ``?`` for their values, as those for SQLite have."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> Cursor[Any]:
        """Run one statement; a ``%`` in it stands for itself."""
        text = statement.replace("%", "%%").replace("?", "%s") if values else statement
        return self.connection.execute(text, list(values) or None)

    def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write many rows into a table in one go."""
        with self.connection.cursor() as cursor:
            names = ", ".join(columns)
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)


class _Settlement(NamedTuple):
    result: Any = None
    fault: BaseException | None = None


_Job = tuple["Callable[[Transaction], Any]", "SimpleQueue[_Settlement]"]


class SharedDatabase:
    """One connection, made when it is first needed. Safe to use from threads and after a fork."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.address = address
        self._line = _ConnectionThread(address)
        self._lock = lock_of(self, "_lock")
        self._down: tuple[float, str] = (0.0, "")

    def __del__(self) -> None:
        self._line.abandon()

    def run(self, action: Callable[[Transaction], T], wait_s: float) -> T:
        """Return what an action gives in one transaction, within ``wait_s`` seconds.

        The action may be called again where the transaction was rolled back. Where this raises, it may have
        been committed all the same.

        Raises:
            SharedBusy: others held what it needs.
            SharedUnavailable: the database cannot be reached, or not in time.

        """
        until, why = self._down
        if time.monotonic() < until:
            raise SharedUnavailable(why)
        answers: SimpleQueue[_Settlement] = SimpleQueue()
        line = self._mine()
        try:
            line.ask(action, answers)
            outcome = answers.get(timeout=wait_s)
        except Empty:
            self._give_up(line)
            raise self._gone(f"no answer within {wait_s:g} s") from None
        except RuntimeError as fault:  # no thread can be started: the interpreter ends
            raise self._gone(str(fault)) from None
        if outcome.fault is not None:
            raise self._translated(outcome.fault) from None
        return cast("T", outcome.result)

    def close(self) -> None:
        """Close the connection; the next use makes a new one."""
        self._give_up(self._line)

    def _mine(self) -> _ConnectionThread:
        with self._lock:
            if self._line.owner != os.getpid():  # a connection of the parent is the parent's alone
                self._line.forget()
                self._line, self._down = _ConnectionThread(self.address), (0.0, "")
            return self._line

    def _give_up(self, line: _ConnectionThread) -> None:
        """Let a connection go; what is still under way in it ends by itself, and closes it."""
        with self._lock:
            if self._line is line:
                self._line = _ConnectionThread(self.address)
        line.abandon()

    def _gone(self, why: str) -> SharedUnavailable:
        text = f"the shared database ({self.address.source}) cannot be used: {why}"
        self._down = (time.monotonic() + DOWN_S, text)
        return SharedUnavailable(text)

    def _translated(self, fault: BaseException) -> BaseException:
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
        why = self.address.without_secrets(_last_line(str(fault)))
        return self._gone("; ".join([why, *_remedies(fault)]))


class _ConnectionThread:
    """A connection, and the thread that alone uses it, one transaction after another."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.owner = os.getpid()
        self._address = address
        self._connection: Connection[Any] | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._works = False

    def ask(self, action: Callable[[Transaction], Any], answers: SimpleQueue[_Settlement]) -> None:
        """Have an action done; its outcome is put where it is waited for."""
        self._jobs.put((action, answers))
        with self._lock:
            if not self._works:
                threading.Thread(target=self._work, name="cost-ledger-shared", daemon=True).start()
                self._works = True

    def abandon(self) -> None:
        """Let the thread end, and close its connection, once what is under way has ended."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            action, answers = job
            try:
                answers.put(_Settlement(self._done(action)))
            except BaseException as fault:  # whatever it is, who waits gets it
                answers.put(_Settlement(fault=fault))
            del job, action, answers
        self._close()

    def _done(self, action: Callable[[Transaction], T]) -> T:
        from psycopg import errors

        for _ in range(_TRIES - 1):
            try:
                return self._once(action)
            except (errors.SerializationFailure, errors.DeadlockDetected):
                continue
        return self._once(action)

    def _once(self, action: Callable[[Transaction], T]) -> T:
        import psycopg

        kept, begun = self._connection, False
        connection = kept or self._connected()
        try:
            with connection.transaction():
                connection.execute(_SETTINGS)
                begun = True
                return action(Transaction(connection))
        except psycopg.OperationalError:
            if begun or kept is None:
                raise
        finally:
            if connection.broken:
                self._close()
        self._close()  # the server was restarted since: nothing of the action was done
        return self._once(action)

    def _connected(self) -> Connection[Any]:
        import psycopg

        parameters = {**_DEFAULTS, **self._address.parameters}
        self._connection = psycopg.connect(autocommit=True, prepare_threshold=None, **parameters)
        self._connection.adapters.register_loader("numeric", _whole_numbers())
        return self._connection

    def forget(self) -> None:
        """Let the parent's connection be, in a forked child: closing it would say goodbye for both."""
        if self._connection is not None:
            _OF_PARENTS.append(self._connection)
            self._connection = None

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is broken: there is nothing else to do with it
                connection.close()


def _whole_numbers() -> type[Loader]:
    """Return what reads sums of integers, which PostgreSQL gives as decimals, as integers."""
    from psycopg.adapt import Loader

    class WholeNumbers(Loader):
        def load(self, data: Buffer) -> int:
            return int(bytes(data))

    return WholeNumbers


_OF_PARENTS: Final[list[object]] = []
"""Connections that a forked child inherited: kept, so that no finaliser ends them."""

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
    """Give what to do about a fault of the server or of the way to it, where that is known."""
    import psycopg
    from psycopg import errors

    if isinstance(fault, errors.InsufficientPrivilege):
        yield GRANT
    elif isinstance(fault, errors.ReadOnlySqlTransaction):
        yield WRITABLE
    elif isinstance(fault, psycopg.OperationalError) and fault.sqlstate is None:
        yield "see that its server is up and the address right"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[0] if lines else "the connection was lost"
