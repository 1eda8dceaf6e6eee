"""Every view on DuckDB and on a real Spark Connect server: the same rows, to the nano-dollar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_support import World, at, call
from archive_views import PROFILE, fill

from shared.costs.exchange.calendar import Calendar
from shared.costs.exchange.exports import ExportContext
from shared.costs.exchange.history import StoredHistory
from shared.costs.exchange.spark import NoCluster, ask_spark
from shared.costs.exchange.views import view_named, view_names
from shared.costs.exchange.warehouse import BadQuery, ask
from tests.support.spark import spark_server

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with spark_server(tmp_path_factory.mktemp("spark")) as address:
        yield address


def both(world: World, address: str, sql: str, *, archived: bool) -> list[list[tuple[object, ...]]]:
    archive = world.known.all()[0] if archived else None
    calendar = Calendar(PROFILE)
    here = StoredHistory.of(world.store, archive)
    with ask(sql, here, ExportContext(), calendar, here) as answer:
        local = list(answer.rows)
    there = StoredHistory.of(world.store, archive)
    with ask_spark(sql, address, there, ExportContext(), calendar) as answer:
        return [local, list(answer.rows)]


def test_every_view_answers_alike_on_both_engines(server: str, tmp_path: Path) -> None:
    world = World(tmp_path.resolve(), profile=PROFILE)
    fill(world)
    world.archive("2026-11")
    for name in view_names():
        local, cluster = both(world, server, view_named(name), archived=True)
        assert cluster == local, name
        assert local, name
    world.store.close()


def test_ledgers_alone_and_an_archive_of_several_hosts(server: str, tmp_path: Path) -> None:
    world = World(tmp_path.resolve(), profile=PROFILE)
    other = World(tmp_path.resolve() / "other", location=world.location)
    other.add("job-9", call(at(9), job_id="job-9"))
    other.archive()
    fill(world)
    [alone, same] = both(world, server, view_named("jobs"), archived=False)
    assert alone == same
    world.archive("2026-11")
    assert both(world, server, view_named("jobs"), archived=True) == [alone, alone]
    other.store.close()
    world.store.close()


def test_what_is_only_in_ledgers_is_sent_in_pieces(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.exchange.spark.PIECE_ROWS", 3)
    world = World(tmp_path.resolve(), profile=PROFILE)
    fill(world)
    world.archive("2026-10")
    for archived in (False, True):
        local, cluster = both(world, server, view_named("jobs"), archived=archived)
        assert cluster == local
    world.store.close()


def test_what_goes_wrong_is_said(server: str, tmp_path: Path) -> None:
    world = World(tmp_path.resolve(), profile=PROFILE)
    fill(world)
    with pytest.raises(BadQuery, match="one SELECT"):
        both(world, server, "DROP TABLE entries", archived=False)
    with (
        pytest.raises(BadQuery, match="no_such"),
        ask_spark(
            "SELECT no_such FROM entries",
            server,
            StoredHistory.of(world.store, None),
            ExportContext(),
            Calendar(PROFILE),
        ),
    ):
        pass
    world.archive("2026-11")
    archive = world.known.all()[0]
    for path in Path(world.location).glob("month=*/*.parquet"):
        path.rename(path.with_suffix(".away"))
    history = StoredHistory.of(world.store, archive)
    object.__setattr__(history, "_rest", [])
    with (
        pytest.raises(NoCluster, match="cannot read the archive"),
        ask_spark("SELECT 1 FROM entries", server, history, ExportContext(), Calendar(PROFILE)),
    ):
        pass
    world.store.close()
