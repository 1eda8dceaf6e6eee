"""Ledgers packed away: nothing that can be asked answers otherwise, and no moment of packing loses a line."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from archive_support import World, at, call, ids

from shared.costs import platform
from shared.costs.archive.known import KnownArchive
from shared.costs.errors import UnknownEntry
from shared.costs.exchange import packing
from shared.costs.exchange.packing import PackingResult, pack, packed_paths, unpack
from shared.costs.ledger.line import encode, seal
from shared.costs.reports.closing import check_seal, close_month, document_of
from shared.costs.reports.reader import Reader
from shared.costs.reports.verify import VerifyFacts, VerifyQuestion, verify_facts
from shared.costs.rollup import Query
from shared.costs.store.store import Store
from shared.costs.tracking.corrections import corrected_entry
from shared.costs.workspace import Workspace

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def silent(_done: int, _all: int) -> None:
    """Show no progress."""


def packed(world: World) -> PackingResult:
    return pack(world.store, KnownArchive(world.place, world.archive().manifest), silent)


def answers(store: Store) -> dict[str, Any]:
    """What can be asked of a storage, as far as no offset of a file is in it."""
    missed: list[Path] = []
    entries = list(store.entries(Query(), lambda ledger, _: missed.append(ledger)))
    return {
        "entries": ids(entries),
        "lines": sorted(store.lines(Query())),
        "groups": store.groups(("user_id", "stage", "model"), Query()),
        "jobs": [job.job_id for job in store.jobs(Query())],
        "problems": store.problems(),
        "gone": store.gone(),
        "ledgers": sorted(store.ledgers()),
        "october": ids(store.entries(Query(start=at(10, 1, 0), end=at(11, 1, 0)))),
        "missed": missed,
    }


def verified(world: World, *paths: Path) -> VerifyFacts:
    with Workspace(world.storage.root, world.root / "none.yaml", clock=lambda: NOW) as workspace:
        return verify_facts(Reader(workspace), VerifyQuestion(paths=paths, prices=False))


@pytest.fixture
def filled(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two jobs that are over and one that goes on, none of them with a writer."""
    monkeypatch.setattr("shared.costs.store.presence.Presence.alive", lambda *_: False)
    world.add("job-1", call(at(9)), call(at(10)))
    world.add("job-2", call(at(10), user_id="bob", stage="06_asr"), call(at(10)))
    world.add("job-3", call(at(10)), call(at(11)))
    world.store.catch_up_all()
    (world.root / "none.yaml").write_text("{}\n")
    return world


def test_nothing_that_can_be_asked_answers_otherwise(filled: World) -> None:
    before, facts = answers(filled.store), verified(filled)
    result = packed(filled)
    assert result.stayed == ()
    assert [path.parent.name for path in result.ledgers] == ["job-1", "job-2"]
    assert [path.exists() for path in map(filled.ledger, ("job-1", "job-2", "job-3"))] == [False, False, True]
    assert answers(filled.store) == before
    assert verified(filled) == facts
    assert facts.exit_code == 0
    again = packed(filled)
    assert (again.ledgers, again.stayed, answers(filled.store)) == ((), (), before)


def test_lost_sums_come_back_with_everything(filled: World) -> None:
    before = answers(filled.store)
    packed(filled)
    filled.store.close()
    for path in filled.storage.root.glob("sums.db*"):
        path.unlink()
    assert answers(filled.store) == before
    filled.store.rebuild()
    assert answers(filled.store) == before


@pytest.mark.no_cover
def test_what_is_written_to_the_job_later_comes_beside_it(filled: World) -> None:
    packed(filled)
    late = call(at(9, day=20))
    filled.add("job-1", late)
    assert late.id in answers(filled.store)["entries"]
    assert len(answers(filled.store)["entries"]) == 7
    facts = verified(filled)
    assert facts.exit_code == 0
    assert [account.ledger.parent.name for account in facts.accounts] == ["job-1", "job-1", "job-2", "job-3"]
    before = answers(filled.store)
    assert packed(filled).ledgers == (filled.ledger("job-1"),)
    assert answers(filled.store) == before
    assert len(filled.store.entries_in(filled.ledger("job-1"))) == 3


def test_unpacked_ledgers_are_what_they_were(filled: World) -> None:
    paths = [filled.ledger("job-1"), filled.ledger("job-2")]
    contents, before = [path.read_bytes() for path in paths], answers(filled.store)
    packed(filled)
    shutil.rmtree(paths[0].parent)
    assert list(packed_paths(filled.store, ["job-2"])) == [paths[1]]
    result = unpack(filled.store, packed_paths(filled.store, []), silent)
    assert (result.ledgers, result.stayed) == (tuple(paths), ())
    assert [path.read_bytes() for path in paths] == contents
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600, 0o600]
    assert answers(filled.store) == before
    assert list(filled.store.packed(paths)) == []


def test_unpacking_never_overwrites_a_newer_ledger(filled: World) -> None:
    packed(filled)
    path = filled.add("job-1", call(at(11)))
    content = path.read_bytes()
    result = unpack(filled.store, [path], silent)
    assert (result.ledgers, path.read_bytes()) == ((), content)
    assert "a newer ledger is there" in result.stayed[0].why
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_month_that_was_closed_is_as_it_was(filled: World) -> None:
    sealed = filled.root / "sealed.json"
    with Workspace(filled.storage.root, filled.root / "none.yaml", clock=lambda: NOW) as workspace:
        reader = Reader(workspace)
        sealed.write_text(document_of(close_month(reader, "2026-10")))
        packed(filled)
        assert check_seal(reader, sealed).exit_code == 0
        assert close_month(reader, "2026-10")._replace(at=NOW).files == close_month(reader, "2026-10").files
        filled.add("job-1", call(at(10, day=20)))
        later = check_seal(reader, sealed)
        assert ([each.entries for each in later.later], later.found) == ([1], [])


def test_one_call_is_found_and_can_be_taken_back(filled: World) -> None:
    [wanted] = filled.store.entries(Query(user_id="bob"))
    packed(filled)
    assert filled.store.entry(wanted.id) == wanted
    assert corrected_entry(wanted.id, filled.store, filled.ledger("job-2")).call == wanted
    with pytest.raises(UnknownEntry):
        corrected_entry("nobody", filled.store, filled.ledger("job-2"))
    assert filled.store.entry("nobody") is None


# --- what stays


def test_ledgers_stay_that_somebody_may_write_to(world: World) -> None:
    world.add("job-1", call(at(9)))
    result = packed(world)
    assert [each.why for each in result.stayed] == [
        "another process may still write to it, or not all of its lines count"
    ]
    assert world.ledger("job-1").exists()


def test_a_ledger_stays_whose_bytes_the_archive_does_not_give_back(filled: World) -> None:
    usual = encode(call(at(9)))
    spaced = seal(usual.partition(b',"crc"')[0].replace(b'"kind":"usage"', b'"kind": "usage"'))
    path = filled.add("job-4")
    path.write_bytes(spaced)
    result = packed(filled)
    assert [each.ledger for each in result.stayed] == [path]
    assert "cannot be read back" in result.stayed[0].why
    assert path.read_bytes() == spaced


def test_a_ledger_stays_that_grew_since(filled: World) -> None:
    archive = KnownArchive(filled.place, filled.archive().manifest)
    filled.add("job-1", call(at(11)))
    result = pack(filled.store, archive, silent)
    assert [(each.ledger.parent.name, each.why) for each in result.stayed] == [
        ("job-1", "lines were added since it was archived")
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + encode(call(at(11)))), "lines were added"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"ana", b"eva")), "its very bytes"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_a_ledger_stays_that_changes_at_the_last_moment(
    filled: World, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], why: str
) -> None:
    let_go = Store.let_go

    def meanwhile(self: Store, marks: Any) -> set[Path]:
        done = let_go(self, marks)
        change(filled.ledger("job-1"))
        return done

    monkeypatch.setattr(Store, "let_go", meanwhile)
    result = packed(filled)
    assert [each.ledger.parent.name for each in result.stayed] == ["job-1"]
    assert why in result.stayed[0].why


def test_a_ledger_stays_that_is_locked(filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LOCK_S", 0.0)
    archive = KnownArchive(filled.place, filled.archive().manifest)
    with platform.open_file(filled.ledger("job-1")) as file:
        assert platform.lock(file.fileno(), 0)
        result = pack(filled.store, archive, silent)
    assert [(each.ledger, each.why) for each in result.stayed] == [
        (filled.ledger("job-1"), "another process keeps it locked")
    ]


def test_an_archive_that_is_away_is_said_and_the_sums_stay(filled: World) -> None:
    before = answers(filled.store)
    packed(filled)
    Path(filled.location).rename(filled.root / "away")
    now = answers(filled.store)
    assert now["groups"] == before["groups"]
    assert {path.parent.name for path in now["missed"]} == {"job-1", "job-2"}
    facts = verified(filled)
    assert (facts.exit_code, len(facts.unread)) == (3, 2)
    with pytest.raises(OSError, match="put it back"):
        filled.store.entries_in(filled.ledger("job-1"))
    result = unpack(filled.store, [filled.ledger("job-1")], silent)
    assert "put it back" in result.stayed[0].why
    (filled.root / "away").rename(filled.location)
    assert answers(filled.store) == before


def test_what_is_known_of_an_archive_may_be_damaged(filled: World) -> None:
    packed(filled)
    [kept] = filled.storage.archives_dir.glob("*.json")
    kept.write_text("{}")
    now = answers(filled.store)
    assert (len(now["gone"]), len(now["missed"])) == (2, 2)
    filled.archive()
    assert answers(filled.store)["gone"] == []


# --- ends at any moment


def dying(step: int) -> Callable[..., Callable[..., Any]]:
    """Make functions whose process is killed before or after the n-th call of any of them."""
    left = [step]

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            for now in (False, True):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                if not now:
                    result = function(*given, **named)
            return result

        return run

    return wrap


def killed_while_packing(world: World, step: int) -> bool:
    child = os.fork()
    if child == 0:
        wrap = dying(step)
        Store.let_go = wrap(Store.let_go)  # type: ignore[method-assign]
        packing._PackingRun._remove_file = wrap(packing._PackingRun._remove_file)  # type: ignore[method-assign]
        Path.unlink = wrap(Path.unlink)  # type: ignore[method-assign]
        packed(world)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.no_cover
def test_killed_at_any_step_of_packing_nothing_is_lost(filled: World) -> None:
    before = answers(filled.store)
    filled.archive()
    step = 1
    while killed_while_packing(filled, step):
        assert answers(filled.store) == before, f"killed at step {step}"
        for path in (filled.ledger("job-1"), filled.ledger("job-2")):
            if not path.exists():
                unpack(filled.store, [path], silent)
        step += 1
    assert step > 8
    assert answers(filled.store) == before
    assert verified(filled).exit_code == 0
