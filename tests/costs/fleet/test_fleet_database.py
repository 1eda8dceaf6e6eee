"""Transactions at a real PostgreSQL: each ends within its bound, whatever happens to the server."""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from shared.costs.errors import StorageBusy
from shared.costs.fleet import schema
from shared.costs.fleet.address import DatabaseAddress, read_address
from shared.costs.fleet.database import DOWN_S, SharedDatabase, SharedUnavailable, Transaction
from shared.costs.profile.types import SharedBudget
from tests.support.elapsed import own_time
from tests.support.postgres import Server, require, running


def opened(url: str) -> SharedDatabase:
    return SharedDatabase(read_address(SharedBudget("env:COSTS"), {"COSTS": url}))


def number(db: Transaction) -> int:
    row = db.execute("SELECT ?::int", (7,)).fetchone()
    assert row is not None
    return int(row[0])


def test_the_tables_are_made_once_whoever_comes_first(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        before = list(pool.map(lambda _: opened(database_url).run(schema.init, 30), range(4)))
    assert sorted(before) == [0, *[schema.VERSION] * 3]
    uids = {opened(database_url).run(schema.check, 10) for _ in range(2)}
    assert len(uids) == 1


def test_a_database_without_the_tables_says_what_to_do(database_url: str) -> None:
    with pytest.raises(SharedUnavailable, match="cost-dashboard shared init"):
        opened(database_url).run(schema.check, 10)


def test_tables_of_a_newer_version_are_left_alone(database_url: str) -> None:
    database = opened(database_url)
    database.run(schema.init, 30)
    database.run(lambda db: db.execute("INSERT INTO versions VALUES (99)"), 10)
    for action in (schema.init, schema.check):
        with pytest.raises(SharedUnavailable, match="version 99"):
            database.run(action, 10)


def test_a_role_that_may_not_write_is_told_what_it_lacks(database_url: str) -> None:
    database = opened(database_url)
    database.run(schema.init, 30)
    name = f"r{uuid.uuid4().hex}"
    database.run(lambda db: db.execute(f"CREATE ROLE {name} LOGIN"), 10)
    theirs = opened(database_url.replace("costs@", f"{name}@"))
    with pytest.raises(SharedUnavailable, match=r"or GRANT USAGE ON SCHEMA cost_ledger TO the role"):
        theirs.run(schema.check, 10)
    database.run(lambda db: db.execute(f"GRANT USAGE ON SCHEMA cost_ledger TO {name}"), 10)
    with pytest.raises(SharedUnavailable, match=r"permission denied.*; GRANT SELECT, INSERT, UPDATE, DELETE"):
        theirs.run(schema.check, 10)
    tables = "ALL TABLES IN SCHEMA cost_ledger"
    database.run(lambda db: db.execute(f"GRANT SELECT ON {tables} TO {name}"), 10)
    time.sleep(DOWN_S)
    with pytest.raises(SharedUnavailable, match=r"be read from here, not written.*: GRANT SELECT, INSERT"):
        theirs.run(schema.check, 10)
    database.run(lambda db: db.execute(f"GRANT INSERT, UPDATE, DELETE ON {tables} TO {name}"), 10)
    uid = theirs.run(schema.check, 10)
    assert uid == database.run(schema.check, 10)
    database.run(lambda db: db.execute(f"ALTER ROLE {name} SET default_transaction_read_only = on"), 10)
    reading = opened(database_url.replace("costs@", f"{name}@"))
    with pytest.raises(SharedUnavailable, match=r"not written.*: name a server that is not a standby"):
        reading.run(schema.check, 10)
    with pytest.raises(
        SharedUnavailable, match=r"read-only transaction; name a server that is not a standby"
    ):
        reading.run(lambda db: db.execute("DELETE FROM hosts"), 10)


def test_tables_that_older_programs_may_go_on_with_are_used(database_url: str) -> None:
    database = opened(database_url)
    database.run(schema.init, 30)
    uid = database.run(schema.check, 10)
    database.run(lambda db: db.execute("INSERT INTO versions VALUES (99, ?)", (schema.VERSION,)), 10)
    assert database.run(schema.init, 10) == 99
    assert database.run(schema.check, 10) == uid


def test_tables_of_the_version_before_are_brought_to_this_one(database_url: str) -> None:
    database = opened(database_url)
    database.run(_made_by_version_1, 30)
    with pytest.raises(SharedUnavailable, match="cost-dashboard shared init"):
        database.run(schema.check, 10)
    assert database.run(schema.init, 30) == 1
    database.run(schema.check, 10)
    assert database.run(schema.init, 30) == schema.VERSION


def _made_by_version_1(db: Transaction) -> None:
    db.execute("CREATE SCHEMA cost_ledger")
    db.execute("CREATE TABLE versions (version integer NOT NULL)")
    for statement in schema.STEPS[0]:
        db.execute(statement)
    db.execute("INSERT INTO versions VALUES (1)")
    db.execute("INSERT INTO fleet (uid, server, epoch, since, went_back) VALUES ('a', 'b', 0, now(), '')")


def _made_like(postgres: Server, encoding: str) -> str:
    """Make a database of another encoding; return its address."""
    import psycopg

    name = f"e{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0".encode())
    return postgres.url(name)


def test_a_database_that_keeps_bytes_gives_texts(postgres: Server) -> None:
    database = opened(_made_like(postgres, "SQL_ASCII"))
    assert database.run(schema.init, 30) == 0
    assert database.run(schema.check, 10) == database.run(schema.check, 10)
    assert database.run(lambda db: db.execute("SELECT ? || 'é'", ("日",)).fetchone(), 10) == ("日é",)


def test_a_database_that_cannot_hold_every_name_is_refused(postgres: Server) -> None:
    with pytest.raises(SharedUnavailable, match=r"has the encoding LATIN1.*ENCODING 'UTF8'"):
        opened(_made_like(postgres, "LATIN1")).run(schema.init, 30)


def test_settings_of_a_database_change_nothing(database_url: str) -> None:
    for setting in (
        "DateStyle = 'German'",
        "TimeZone = 'Asia/Kolkata'",
        "search_path = 'elsewhere'",
        "default_transaction_isolation = 'serializable'",
    ):
        statement = f'ALTER DATABASE "{database_url.rpartition("/")[2]}" SET {setting}'
        opened(database_url).run(partial(Transaction.execute, statement=statement), 10)
    database = opened(database_url)
    database.run(schema.init, 30)
    row = database.run(lambda db: db.execute("SELECT now(), since FROM fleet").fetchone(), 10)
    assert row is not None
    assert row[1] <= row[0]


def test_a_transaction_that_fails_changes_nothing(database_url: str) -> None:
    database = opened(database_url)
    database.run(schema.init, 30)

    def half(db: Transaction) -> None:
        db.execute("INSERT INTO scopes VALUES ('a')")
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        database.run(half, 10)
    assert database.run(lambda db: db.execute("SELECT count(*) FROM scopes").fetchone(), 10) == (0,)


def test_who_waits_for_a_lock_is_told_so_and_can_go_on(database_url: str) -> None:
    one, other = opened(database_url), opened(database_url)
    one.run(schema.init, 30)

    def locked(db: Transaction) -> None:
        db.execute("SELECT pg_advisory_xact_lock(1)")
        with pytest.raises(StorageBusy, match="busy"):
            other.run(impatient, 10)

    def impatient(inner: Transaction) -> None:
        inner.execute("SET LOCAL lock_timeout = '50ms'")
        inner.execute("SELECT pg_advisory_xact_lock(1)")

    one.run(locked, 20)
    assert other.run(number, 10) == 7


def test_an_answer_that_does_not_come_is_not_waited_for(database_url: str) -> None:
    database = opened(database_url)
    began = own_time()
    with pytest.raises(SharedUnavailable, match=r"no answer within 0\.2 s"):
        database.run(lambda db: db.execute("SELECT pg_sleep(3)"), 0.2)
    assert own_time() - began < 2
    with pytest.raises(SharedUnavailable, match="no answer"):
        database.run(number, 5)  # it is not tried again at once
    time.sleep(DOWN_S)
    assert database.run(number, 10) == 7


def test_a_connection_that_was_cut_is_made_again(database_url: str, postgres: Server) -> None:
    database = opened(database_url)
    pid = database.run(lambda db: db.execute("SELECT pg_backend_pid()").fetchone(), 10)
    opened(postgres.url()).run(lambda db: db.execute("SELECT pg_terminate_backend(?, 5000)", pid or ()), 10)
    assert database.run(number, 10) == 7


def test_a_child_that_was_forked_has_a_connection_of_its_own(database_url: str) -> None:
    database = opened(database_url)
    mine = database.run(lambda db: db.execute("SELECT pg_backend_pid()").fetchone(), 10)
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        row = database.run(lambda db: db.execute("SELECT pg_backend_pid()").fetchone(), 10)
        os.write(write_end, b"other" if row != mine else b"the same")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read_end, 100) == b"other"
    assert database.run(lambda db: db.execute("SELECT pg_backend_pid()").fetchone(), 10) == mine
    os.close(read_end)
    os.close(write_end)


def test_a_server_that_is_gone_is_named_without_its_address() -> None:
    require()
    with running(fsync="off") as server:
        database = opened(server.url())
        assert database.run(number, 10) == 7
        server.kill()
        with pytest.raises(SharedUnavailable) as gone:
            database.run(number, 5)
        assert "env:COSTS" in str(gone.value)
        assert "127.0.0.1" not in str(gone.value)
        with pytest.raises(SharedUnavailable, match="see that its server is up and the address right"):
            opened(server.url()).run(number, 5)
        server.start(fsync="off")
        time.sleep(DOWN_S)
        assert database.run(number, 10) == 7


def test_a_message_leaves_out_what_an_address_says() -> None:
    address = DatabaseAddress("env:COSTS", {"host": "db.example.org", "user": "ana", "password": "s3cret"})
    said = address.without_secrets('password "s3cret" of user "ana" at db.example.org is wrong')
    assert said == "password ... of user ... at ... is wrong"
    short = DatabaseAddress("env:COSTS", {"host": "127.0.0.1", "user": "a"})
    assert (
        short.without_secrets('a call of user "a" failed at "127.0.0.1"')
        == "... call of user ... failed at ..."
    )
