"""The durable state: rooms plug in their tables, versions lead from one to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.costs.errors import StorageUnavailable
from shared.costs.index.state import StateDb, Tables

FIRST = Tables("notes", ("CREATE TABLE notes (text TEXT) STRICT; INSERT INTO notes VALUES ('a;b')",))
SECOND = Tables("notes", (*FIRST.steps, "ALTER TABLE notes ADD COLUMN at INTEGER DEFAULT 7"))


def _notes(state: StateDb, columns: str = "text") -> list[tuple[object, ...]]:
    with state.reading() as db:
        return db.execute(f"SELECT {columns} FROM notes").fetchall()


def test_tables_are_made_once_and_kept(tmp_path: Path) -> None:
    for _ in range(2):
        state = StateDb(tmp_path / "state.db")
        state.use(FIRST)
        state.use(FIRST)
        assert _notes(state) == [("a;b",)]
        state.close()


def test_an_older_file_is_brought_up(tmp_path: Path) -> None:
    old = StateDb(tmp_path / "state.db")
    old.use(FIRST)
    old.close()
    new = StateDb(tmp_path / "state.db")
    new.use(SECOND)
    assert _notes(new, "text, at") == [("a;b", 7)]
    new.close()


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    new = StateDb(tmp_path / "state.db")
    new.use(SECOND)
    new.close()
    old = StateDb(tmp_path / "state.db")
    with pytest.raises(StorageUnavailable, match="newer version"):
        old.use(FIRST)
    old.close()


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    state = StateDb(tmp_path / "state.db")
    with pytest.raises(StorageUnavailable):
        state.use(Tables("bad", ("CREATE TABLE good (x TEXT) STRICT; CREATE NONSENSE",)))
    with state.reading() as db:
        assert db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'good'").fetchone() is None
    state.close()


def test_tables_come_back_after_the_file_was_lost(tmp_path: Path) -> None:
    state = StateDb(tmp_path / "state.db")
    state.use(FIRST)
    for path in tmp_path.glob("state.db*"):
        path.unlink()
    assert _notes(state) == [("a;b",)]
    state.close()


def test_tables_can_be_used_inside_a_transaction(tmp_path: Path) -> None:
    state = StateDb(tmp_path / "state.db")
    with state.transaction() as db:
        state.use(FIRST)
        db.execute("INSERT INTO notes VALUES ('more')")
    assert _notes(state) == [("a;b",), ("more",)]
    state.close()
