"""SQL over an archive and the ledgers beside it: every view, to the nano-dollar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from archive_support import World, at, call
from archive_views import PROFILE, SUMS, expected, fill, plain

from shared.costs.archive.known import KnownArchive
from shared.costs.errors import WrongUsage
from shared.costs.exchange.calendar import Calendar
from shared.costs.exchange.exports import ExportContext
from shared.costs.exchange.history import StoredHistory
from shared.costs.exchange.packing import pack
from shared.costs.exchange.views import view_named, view_names
from shared.costs.exchange.warehouse import BadQuery, ask


@pytest.fixture
def viewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("shared.costs.store.presence.Presence.alive", lambda *_: False)
    return World(tmp_path.resolve(), profile=PROFILE)


def archive_of(world: World) -> KnownArchive:
    return world.known.all()[0]


def answered(
    world: World, sql: str, archive: KnownArchive | None
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    history = StoredHistory.of(world.store, archive)
    with ask(sql, history, ExportContext(), Calendar(PROFILE), history) as answer:
        columns, rows = answer.columns, list(answer.rows)
    assert history.missed == []
    return columns, rows


def asked(world: World, sql: str, archive: KnownArchive | None) -> list[tuple[Any, ...]]:
    return answered(world, sql, archive)[1]


def columns_of(world: World, sql: str) -> tuple[str, ...]:
    with ask(sql, StoredHistory.of(world.store, None), ExportContext()) as answer:
        return answer.columns


@pytest.mark.no_cover
def test_every_view_is_exact_with_and_without_an_archive(viewed: World) -> None:
    found = fill(viewed)
    ways: list[KnownArchive | None] = [None]
    viewed.archive("2026-11")
    ways.append(archive_of(viewed))
    for packed in (False, True):
        if packed:
            pack(viewed.store, archive_of(viewed), lambda _done, _all: None)
        for name in view_names():
            sql = view_named(name)
            (columns, rows), beside = [answered(viewed, sql, archive) for archive in ways]
            assert (columns, rows) == beside, name
            if columns[-len(SUMS) :] == SUMS:
                dimensions = columns[: -len(SUMS)]
                assert plain(rows, len(dimensions)) == expected(found, dimensions), name


def test_every_view_says_what_it_shows_and_quotes_nothing() -> None:
    assert {"months", "days", "models", "jobs"} <= set(view_names())
    for name in view_names():
        text = view_named(name)
        assert text.startswith("-- "), name
        assert '"' not in text, "quoted, it is a text for Spark"
        assert "GROUP BY ALL" not in text
    with pytest.raises(WrongUsage, match="no view is called 'x'"):
        view_named("x")


@pytest.mark.no_cover
def test_a_query_is_the_same_whatever_was_archived_and_packed(viewed: World) -> None:
    fill(viewed)
    sql = "SELECT * FROM entries ORDER BY id"
    before = asked(viewed, sql, None)
    viewed.archive("2026-10")
    assert asked(viewed, sql, archive_of(viewed)) == before
    viewed.archive("2026-12")
    pack(viewed.store, archive_of(viewed), lambda _done, _all: None)
    assert asked(viewed, sql, archive_of(viewed)) == asked(viewed, sql, None) == before
    viewed.add("job-0", call(at(9)))
    assert len(asked(viewed, sql, archive_of(viewed))) == len(before) + 1


def test_entries_of_other_hosts_in_the_same_archive_stay_out(viewed: World, tmp_path: Path) -> None:
    other = World(tmp_path.resolve() / "other", location=viewed.location)
    other.add("job-9", call(at(9), job_id="job-9"))
    other.archive()
    viewed.add("job-1", mine := call(at(9)))
    viewed.archive()
    assert asked(viewed, "SELECT id FROM entries", archive_of(viewed)) == [(mine.id,)]
    other.store.close()


def test_a_line_that_is_in_both_counts_once(viewed: World) -> None:
    path = viewed.add("job-1", call(at(9)))
    viewed.archive()
    moved = viewed.ledger("job-2")
    moved.parent.mkdir()
    path.rename(moved)
    viewed.store.add([moved])
    assert asked(viewed, "SELECT count(*) FROM entries", archive_of(viewed)) == [(1,)]


def test_sql_reaches_the_archive_and_nothing_beside_it(viewed: World) -> None:
    found = fill(viewed)
    viewed.archive()
    secret = viewed.root / "secret.csv"
    secret.write_text("a\n1\n")
    assert asked(viewed, "SELECT count(*) FROM entries", archive_of(viewed)) == [(len(found),)]
    for sql in (f"FROM read_csv('{secret}')", f"FROM read_text('{viewed.location}/_manifest.json')"):
        with pytest.raises(BadQuery, match=r"disabled|not allowed|denied"):
            asked(viewed, sql, archive_of(viewed))


def test_the_columns_are_named_where_sql_is_wrong(viewed: World) -> None:
    with pytest.raises(BadQuery, match="billing_day, billing_month"):
        asked(viewed, "SELECT no_such FROM entries", None)
    assert json.dumps(columns_of(viewed, "SELECT billing_month FROM entries")) == '["billing_month"]'
