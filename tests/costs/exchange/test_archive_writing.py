"""Closed months in Parquet: each entry once, under its billing month, and nothing of months that go on."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from archive_support import PRICED_BY, World, at, call, ids
from exchange_strategies import entries
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.apps.cli.commands.archive import archived_report
from shared.costs.archive.known import ArchiveBusy, KnownArchive, KnownArchives
from shared.costs.archive.manifest import DamagedArchive, HeldLedger, Manifest
from shared.costs.archive.places import Folder, OtherManifest, StoredManifest
from shared.costs.archive.restoring import restored
from shared.costs.errors import StorageUnavailable, WrongUsage
from shared.costs.exchange import staging
from shared.costs.exchange.archiving import check_archive
from shared.costs.exchange.calendar import Calendar
from shared.costs.exchange.staging import NotArchived, PartWriter
from shared.costs.ledger.columns import instant_text
from shared.costs.ledger.line import encode, seal
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import Nanos
from shared.costs.periods import day, month
from shared.costs.profile.types import NO_BUDGET, Profile, UserSettings
from shared.costs.replacing import CannotWrite


def silent(_done: int, _all: int) -> None:
    """Show no progress."""


def test_entries_of_closed_months_are_archived_once(world: World) -> None:
    september, october, open_one = call(at(9)), call(at(10)), call(at(11))
    world.add("job-1", september, october, open_one)
    world.add("job-2", other := call(at(10)))
    first = world.archive()
    assert world.archived_ids() == ids([september, october, other])
    assert [(part.month, part.rows) for part in first.written] == [("2026-09", 1), ("2026-10", 2)]
    sums = first.manifest.sums_by_month()
    assert sums["2026-10"].cost == october.cost + other.cost
    assert [held.is_whole for held in first.manifest.ledgers] == [False, True]
    again = world.archive()
    assert (again.written, again.manifest) == ((), first.manifest)


def test_where_there_is_nothing_to_archive_there_is_no_archive(world: World) -> None:
    world.add("job-1", call(at(11)))
    archived = world.archive()
    assert (archived.manifest, world.known.all(), Path(world.location).exists()) == (Manifest(), [], False)
    assert "there is no archive" in archived_report(archived, world.location, "2026-11").notes[0].text


def test_a_late_entry_becomes_a_further_part(world: World) -> None:
    world.add("job-1", call(at(9)))
    before = world.archive()
    world.add("job-1", late := call(at(9, day=20)))
    after = world.archive()
    assert [part.rows for part in after.written] == [1]
    assert after.manifest.parts[: len(before.manifest.parts)] == before.manifest.parts
    assert late.id in world.archived_ids()
    assert after.manifest.ledgers[0].is_whole


def test_a_month_that_closes_later_is_read_from_where_it_was_left(world: World) -> None:
    mixed = [call(at(11)), call(at(9)), call(at(11, day=16)), call(at(10))]
    path = world.add("job-1", *mixed)
    world.archive("2026-11")
    [held] = world.manifest().ledgers
    assert (held.rest, held.is_whole) == (0, False)
    assert world.archive("2026-12").known == 2
    assert world.archived_ids() == ids(mixed)
    [held] = world.manifest().ledgers
    [(_, content)] = restored(KnownArchive(world.place, world.manifest()), [held])
    assert content == path.read_bytes()


def test_a_copy_of_a_ledger_adds_nothing(world: World) -> None:
    path = world.add("job-1", call(at(9)), call(at(10)))
    world.archive()
    copy = world.ledger("copy")
    copy.parent.mkdir()
    shutil.copy(path, copy)
    path.unlink()
    world.store.add([copy])
    assert world.archive().written == ()
    assert len(world.archived_ids()) == 2


def test_a_ledger_that_was_moved_stays_the_same_one(world: World) -> None:
    path = world.add("job-1", call(at(9)))
    world.archive()
    moved = world.ledger("renamed")
    moved.parent.mkdir()
    path.rename(moved)
    world.store.add([moved])
    world.add("renamed", call(at(9, day=20)))
    world.archive()
    [held] = world.manifest().ledgers
    assert (held.path, held.is_whole, len(world.archived_ids())) == (str(moved), True, 2)


def test_a_ledger_with_lines_that_another_one_had_is_not_held_whole(world: World) -> None:
    shared_line = call(at(9))
    path = world.add("job-1", shared_line, call(at(9)))
    world.archive()
    path.unlink()
    world.store.catch_up_all()
    world.add("job-2", own := call(at(10)), shared_line)  # the line counts here now
    archived = world.archive()
    assert (archived.known, len(world.archived_ids())) == (1, 3)
    held = next(held for held in archived.manifest.ledgers if held.path == str(world.ledger("job-2")))
    assert (held.is_whole, held.rest) == (False, len(encode(own)))


def test_lines_that_do_not_count_or_are_damaged_stay_out(world: World) -> None:
    first = call(at(9))
    path = world.add("job-1", first, first)
    with path.open("ab") as file:
        file.write(b"nonsense\n")
    world.archive()
    assert world.archived_ids() == [first.id]
    [held] = world.manifest().ledgers
    assert held.rest == len(encode(first))
    assert not held.is_whole


def test_a_line_that_its_columns_do_not_give_back_is_kept_as_it_is(world: World) -> None:
    dollars = call(at(9), charge=Charge({"input": Nanos(2 * 10**9)}, PRICED_BY))
    body = encode(dollars).partition(b',"crc"')[0]
    older = seal(body.replace(b":2.0", b":2"))  # as lines were written before amounts always had decimals
    path = world.add("job-1")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(older + encode(call(at(9))))
    path.chmod(0o600)
    world.archive()
    assert [row[0] is None for row in world.rows("original, id")].count(True) == 1
    [held] = world.manifest().ledgers
    [(_, content)] = restored(KnownArchive(world.place, world.manifest()), [held])
    assert content == path.read_bytes()


def test_durations_come_back_as_they_were_written(world: World) -> None:
    def spoken(seconds: float) -> Entry:
        return call(at(9), usage=Usage(audio_seconds=seconds, video_seconds=seconds))

    mixed = call(at(9), usage=Usage(audio_seconds=600, video_seconds=600.0))
    path = world.add("job-1", spoken(600), spoken(600.0), spoken(0.5), mixed)
    world.archive()
    assert world.rows("audio_seconds, whole_seconds, original IS NULL") == [
        (0.5, False, True),
        (600.0, False, False),
        (600.0, False, True),
        (600.0, True, True),
    ]
    [(_, content)] = restored(KnownArchive(world.place, world.manifest()), world.manifest().ledgers)
    assert content == path.read_bytes()


@pytest.mark.no_cover
@settings(max_examples=12, deadline=None)
@given(st.lists(entries(), min_size=1, max_size=6, unique_by=lambda entry: entry.id))
def test_any_entry_comes_back_to_the_byte(given_entries: list[Entry]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder).resolve())
        path = world.add("job-1", *given_entries)
        world.archive("2100-02")
        manifest = world.manifest()
        assert [held.is_whole for held in manifest.ledgers] == [True]
        [(_, content)] = restored(KnownArchive(world.place, manifest), manifest.ledgers)
        assert content == path.read_bytes()
        world.store.close()


# --- days and months


def test_billing_days_and_months_follow_the_zone_of_the_user(tmp_path: Path) -> None:
    kolkata = UserSettings("rpatel", ZoneInfo("Asia/Kolkata"), NO_BUDGET)
    world = World(tmp_path.resolve(), profile=Profile(users={"rpatel": kolkata}))
    late = datetime(2026, 9, 30, 20, tzinfo=UTC)
    world.add("job-1", call(late, user_id="rpatel"), call(late, user_id="ana"))
    world.archive()
    assert world.rows("user_id, billing_day, billing_month") == [
        ("ana", date(2026, 9, 30), "2026-09"),
        ("rpatel", date(2026, 10, 1), "2026-10"),
    ]
    world.store.close()


ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Asia/Beirut", "Pacific/Apia")


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.integers(1, 31),
    st.datetimes(datetime(2005, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
    st.sampled_from([timedelta(), timedelta(microseconds=1)]),
)
def test_the_calendar_agrees_with_periods(
    zone: str, billing_day: int, when: datetime, before: timedelta
) -> None:
    tz = ZoneInfo(zone)
    calendar = Calendar(Profile(timezone=tz, billing_day=billing_day))
    for instant in (when, day(when, tz).start - before, month(when, tz, billing_day).start - before):
        expected = day(instant, tz).name, month(instant, tz, billing_day).name
        assert calendar.day_and_month("ana", instant_text(instant)) == expected


def test_a_month_is_open_as_long_as_it_is_for_one_user() -> None:
    west = UserSettings("bob", ZoneInfo("Pacific/Honolulu"), NO_BUDGET)
    calendar = Calendar(Profile(users={"bob": west}))
    now = datetime(2026, 12, 1, 5, tzinfo=UTC)
    assert calendar.open_month(now) == "2026-11"
    assert calendar.begun_everywhere("2026-12") == datetime(2026, 12, 1, 10, tzinfo=UTC)


# --- ends at any moment


class Dying(Folder):
    """A folder whose process is killed at the n-th thing that is done with it."""

    def __init__(self, root: Path, steps: int) -> None:
        super().__init__(root)
        self.steps = steps

    def _step(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def put(self, name: str, draft: Path) -> None:
        self._step()
        super().put(name, draft)
        self._step()

    def commit(self, document: bytes, before: StoredManifest | None) -> None:
        self._step()
        super().commit(document, before)
        self._step()

    def remove(self, name: str) -> None:
        self._step()
        super().remove(name)


def killed(action: Callable[[], object]) -> bool:
    """Do something in a child of its own; tell whether that was killed."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_any_step_the_next_run_has_everything_once(world: World) -> None:
    entries = [call(at(9)), call(at(10)), call(at(11))]
    world.add("job-1", *entries)
    world.store.catch_up_all()
    step = 0
    while killed(partial(world.archive, place=Dying(Path(world.location), step + 1))):
        step += 1
        assert set(world.archived_ids()) <= set(ids(entries[:2]))
    assert step >= 6, "two parts and a manifest, each before and after"
    assert world.archived_ids() == ids(entries[:2])
    check = check_archive(world.place, silent)
    assert (check.faults, check.surplus) == ((), ())
    assert sorted(p.name for p in Path(world.location).iterdir() if p.name.startswith("_")) == [
        "_manifest.json",
        "_manifest.lock",
    ]


@pytest.mark.parametrize("step", [2, 4, 5])
def test_killed_once_nothing_is_left_of_that_run(world: World, step: int) -> None:
    world.add("job-1", call(at(9)), call(at(10)))
    world.store.catch_up_all()
    assert killed(lambda: world.archive(place=Dying(Path(world.location), step)))
    assert len(world.place.parts()) in (1, 2)
    world.archive()
    check = check_archive(world.place, silent)
    assert (check.faults, check.surplus, len(world.archived_ids())) == ((), (), 2)


def test_killed_while_it_writes_parquet_it_leaves_no_draft(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("job-1", call(at(9)), call(at(10)))
    world.store.catch_up_all()

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(staging, "_part", die)
        assert killed(world.archive)
    assert [path.name[:8] for path in Path(world.location).iterdir()] == ["_drafts-"]
    world.archive()
    assert not list(Path(world.location).glob("_drafts-*"))


# --- several writers


class Overtaken(Folder):
    """A folder in which another host commits a manifest in between, the first time."""

    def __init__(self, root: Path, other: Callable[[], object], times: int = 1) -> None:
        super().__init__(root)
        self.other, self.times = other, times

    def commit(self, document: bytes, before: StoredManifest | None) -> None:
        if self.times:
            self.times -= 1
            self.other()
        super().commit(document, before)


def test_a_host_that_was_overtaken_begins_again(world: World, tmp_path: Path) -> None:
    other = World(tmp_path.resolve() / "other", location=world.location)
    world.add("job-1", mine := call(at(9)))
    other.add("job-1", theirs := call(at(9)))
    place = Overtaken(Path(world.location), other.archive)
    archived = world.archive(place=place)
    assert world.archived_ids() == ids([mine, theirs])
    assert [held.number for held in archived.manifest.ledgers] == [1, 2]
    check = check_archive(world.place, silent)
    assert (check.faults, check.surplus) == ((), ())
    other.store.close()


def test_one_that_is_overtaken_again_and_again_gives_up_and_says_so(world: World) -> None:
    world.add("job-1", call(at(9)))
    place = Overtaken(Path(world.location), lambda: None, times=99)

    def other() -> None:
        stored = place.manifest()
        manifest = Manifest.parsed(stored.document, "") if stored else Manifest()
        [*ledgers] = manifest.ledgers
        more = Manifest((), tuple(each._replace(number=each.number + 1) for each in ledgers)).document()
        (Path(world.location) / "_manifest.json").write_bytes(more + b"\n" * place.times)

    place.other = other
    with pytest.raises(OtherManifest, match="try again"):
        world.archive(place=place)


def test_two_processes_of_one_storage_do_not_archive_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.archive.known.LOCK_S", 0.0)
    with world.known.writing(world.place), pytest.raises(ArchiveBusy, match="another process"):
        KnownArchives(world.storage).writing(world.place).__enter__()


# --- what goes wrong


def test_what_was_written_is_compared_with_what_was_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("job-1", call(at(9)))
    sums_of = staging.sums_of

    def less(row: Any) -> Any:
        return sums_of(row)._replace(cost=Nanos(1))

    monkeypatch.setattr(staging, "sums_of", less)
    with pytest.raises(NotArchived, match="2026-09: 1 entries"):
        world.archive()
    assert world.archived_ids() == []


def test_a_ledger_that_cannot_be_read_is_named_and_the_rest_archived(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("job-1", call(at(9)))
    gone = world.add("job-2", call(at(9)))
    add_lines = staging.Staging.add_lines

    def fail(self: Any, number: int, *rest: Any) -> int:
        if number == 2:
            raise OSError(5, "Input/output error")
        return add_lines(self, number, *rest)

    monkeypatch.setattr(staging.Staging, "add_lines", fail)
    archived = world.archive()
    assert archived.unread == ((gone, "Input/output error"),)
    assert len(archived.manifest.ledgers) == 1


def test_a_full_disk_is_said_and_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add("job-1", call(at(9)))

    def missing(self: PartWriter, *_: object) -> list[Path]:
        import duckdb

        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(PartWriter, "_copy_to_parquet", missing)
    with pytest.raises(CannotWrite, match="No space left"):
        world.archive()
    assert world.place.manifest() is None


@pytest.mark.no_cover
def test_a_part_that_is_too_large_is_split_and_keeps_its_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "PART_BYTES", 200_000)
    monkeypatch.setattr(staging, "SPLIT_ROWS", 2_048)  # DuckDB goes no lower
    entries = [call(at(9), metadata={"random": os.urandom(90).hex()}) for _ in range(8_192)]
    path = world.add("job-1", *entries)
    archived = world.archive()
    assert len(archived.written) > 1
    assert max(part.size for part in archived.written) < sum(part.size for part in archived.written) / 2
    [(_, content)] = restored(KnownArchive(world.place, archived.manifest), archived.manifest.ledgers)
    assert content == path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: text.replace(b'"rows":1', b'"rows":2'), "digest does not match"),
        (lambda text: text.replace(b'"version":1', b'"version":9'), "of another format"),
        (lambda text: text[:50], "not the manifest"),
        (lambda _: b"[]", "not the manifest"),
    ],
)
def test_a_damaged_manifest_is_refused(world: World, damage: Callable[[bytes], bytes], why: str) -> None:
    world.add("job-1", call(at(9)))
    world.archive()
    manifest = Path(world.location) / "_manifest.json"
    manifest.write_bytes(damage(manifest.read_bytes()))
    with pytest.raises(DamagedArchive, match=f"{why}.*; put it back from a copy of the archive"):
        world.archive()


def test_what_is_kept_of_an_archive_here_may_be_damaged_and_is_said(world: World) -> None:
    world.add("job-1", call(at(9)))
    world.archive()
    [kept] = world.storage.archives_dir.glob("*.json")
    kept.write_text("{}")
    with pytest.raises(StorageUnavailable, match="archive --to"):
        world.known.all()


def test_an_address_of_another_kind_is_refused(world: World) -> None:
    with pytest.raises(WrongUsage, match="gs://bucket"):
        world.known.place("gs://bucket/x")


# --- reading back


def broken(world: World, change: Callable[[bytes], bytes]) -> None:
    path = world.place.file(world.manifest().parts[0].name)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-1], "bytes are not the"),
        (lambda data: bytes([data[0] ^ 1]) + data[1:], "SHA-256"),
    ],
)
def test_verify_finds_a_changed_byte(world: World, change: Callable[[bytes], bytes], why: str) -> None:
    world.add("job-1", call(at(9)))
    world.archive()
    broken(world, change)
    check = check_archive(world.place, silent)
    assert (len(check.faults), check.exit_code) == (1, 1)
    assert why in check.faults[0].why


def test_verify_finds_what_the_manifest_does_not_say(world: World) -> None:
    world.add("job-1", call(at(9)), call(at(10)))
    manifest = world.archive().manifest
    first, second = manifest.parts
    place = world.place
    copied = place.file(second.name).with_name("part-copy.parquet")
    shutil.copy(place.file(second.name), copied)
    twice = second._replace(name=f"month={second.month}/part-copy.parquet")
    wrong = first._replace(sums=first.sums._replace(cost=Nanos(first.sums.cost + 1)))
    place.commit(Manifest((wrong, second, twice), manifest.ledgers).document(), place.manifest())
    (copied.with_name("part-left.parquet")).write_bytes(b"")
    check = check_archive(place, silent)
    assert (check.faults[0].name, check.faults[0].why.split()[0]) == (first.name, "has")
    assert any("twice" in fault.why for fault in check.faults)
    assert check.surplus == (f"month={second.month}/part-left.parquet",)
    place.file(first.name).unlink()
    assert "put it back" in check_archive(place, silent).faults[0].why


def test_verify_needs_an_archive(world: World) -> None:
    with pytest.raises(WrongUsage, match="no archive"):
        check_archive(world.place, silent)


def test_a_ledger_that_is_not_given_back_is_never_given_at_all(world: World) -> None:
    world.add("job-1", call(at(9)))
    manifest = world.archive().manifest
    [held] = manifest.ledgers
    archive = KnownArchive(world.place, manifest)

    def given(of: KnownArchive, ledger: HeldLedger = held) -> str:
        [(_, fault)] = restored(of, [ledger])
        return str(fault)

    assert "cannot be read back" in given(archive, held._replace(size=held.size + 1))
    assert "cannot be read back" in given(KnownArchive(world.place, Manifest()))
    broken(world, lambda data: data[: len(data) // 2])
    assert "cannot be read" in given(archive)


@pytest.mark.no_cover
@settings(max_examples=4, deadline=None)
@given(st.data())
def test_any_history_in_any_steps_is_archived_once(data: st.DataObject) -> None:
    """Whatever is appended between runs, each entry of a closed month is there once; ledgers come back."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder).resolve())
        written: list[Entry] = []
        for before in ("2026-09", "2026-10", "2026-12"):
            for job in ("job-1", "job-2"):
                months = data.draw(st.lists(st.integers(8, 11), max_size=4))
                added = [call(at(each), job_id=job) for each in months]
                written += added
                if added:
                    world.add(job, *added)
            world.archive(before)
            assert world.archived_ids() == ids(e for e in written if f"2026-{e.timestamp.month:02d}" < before)
        manifest = world.manifest()
        for held, content in restored(KnownArchive(world.place, manifest), manifest.ledgers):
            assert content == Path(held.path).read_bytes()
        world.store.close()
