from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.costs import platform
from shared.costs.errors import UnsafePath
from shared.costs.ledger.line import decode, encode
from shared.costs.ledger.lines import TORN, AppendedLine, DamagedLine, LedgerProblem, Location
from shared.costs.ledger.reader import read, read_at
from shared.costs.ledger.writer import LockTimeout, append
from shared.costs.model import Entry
from tests.costs.ledger.ledger_support import entry

NINE_ERRNOS = (
    errno.ENOSPC,
    errno.EIO,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EROFS,
    errno.ENOMEM,
    errno.ESTALE,
    errno.EINTR,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "job-1" / "cost_ledger.jsonl"


@pytest.fixture
def held(ledger: Path) -> Iterator[platform.SecureFile]:
    """The ledger's lock, in other hands."""
    append(ledger, encode(entry()), 1)
    fd = platform.open_file(ledger, append=True)
    assert platform.lock(fd, 1)
    yield fd
    platform.close(fd)


def entries(ledger: Path) -> list[Entry]:
    return [one.content for one in read(ledger) if isinstance(one.content, Entry)]


def test_lines_follow_each_other(ledger: Path) -> None:
    first, second = entry(), entry()
    lines = encode(first), encode(second)
    assert append(ledger, lines[0], 1) == AppendedLine(0, len(lines[0]))
    assert append(ledger, lines[1], 1) == AppendedLine(len(lines[0]), len(lines[1]))
    assert entries(ledger) == [first, second]
    assert ledger.stat().st_mode & 0o777 == 0o600
    assert ledger.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_modes_are_the_same_under_any_umask(ledger: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        append(ledger, encode(entry()), 1)
    finally:
        os.umask(before)
    assert ledger.stat().st_mode & 0o777 == 0o600
    assert ledger.parent.stat().st_mode & 0o777 == 0o700


def test_a_torn_line_of_a_killed_writer_does_not_swallow_the_next(ledger: Path) -> None:
    first, torn, last = entry(), encode(entry()), entry()
    append(ledger, encode(first), 1)
    start = ledger.stat().st_size
    for cut in range(1, len(torn)):
        with ledger.open("r+b") as file:
            file.truncate(start)
            file.seek(start)
            file.write(torn[:cut])
        [*_, problem] = [one.content for one in read(ledger)]
        assert problem == LedgerProblem(ledger, start, TORN, cut)
        place = append(ledger, encode(last), 1)
        assert place.offset == start + cut + 1
        # Of a line that lacks its newline alone nothing is missing: healing makes it whole.
        whole = [decode(torn)] if cut == len(torn) - 1 else []
        assert entries(ledger) == [first, *whole, last], cut


def test_a_lock_that_stays_taken_is_given_up(ledger: Path, held: platform.SecureFile) -> None:
    with pytest.raises(LockTimeout, match="another process keeps it locked"):
        append(ledger, encode(entry()), 0.05)
    assert len(entries(ledger)) == 1


def test_a_ledger_renamed_while_waiting_gets_no_line(
    ledger: Path, held: platform.SecureFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = ledger.with_name("archived.jsonl")
    asked, real = threading.Event(), platform.try_lock

    def try_lock(fd: int) -> bool:
        asked.set()
        return real(fd)

    monkeypatch.setattr(platform, "try_lock", try_lock)
    waiting = threading.Thread(target=append, args=(ledger, encode(entry()), 5.0))
    waiting.start()
    asked.wait()
    ledger.rename(moved)
    platform.unlock(held)
    waiting.join()
    assert len(entries(ledger)) == 1
    assert len(entries(moved)) == 1


def failing(
    after: int, number: int, real: Callable[..., int], short: int | None = None
) -> Callable[..., int]:
    """A system call that works ``after`` times, then writes ``short`` bytes once, then fails."""
    calls = iter(range(1000))

    def call(*arguments: object) -> int:
        call_number = next(calls)
        if call_number < after:
            return real(*arguments)
        if short is not None and call_number == after:
            fd, data = arguments
            assert isinstance(data, bytes)
            return real(fd, data[:short])
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", NINE_ERRNOS)
@pytest.mark.parametrize("short", [None, 1, 100])
def test_a_failed_write_leaves_nothing_of_its_own(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, number: int, short: int | None
) -> None:
    append(ledger, encode(entry()), 1)
    before = ledger.read_bytes()
    monkeypatch.setattr(os, "write", failing(0, number, os.write, short))
    with pytest.raises(OSError, match=r"\[Errno") as fault:
        append(ledger, encode(entry()), 1)
    assert fault.value.errno == number
    assert ledger.read_bytes() == before


def test_a_write_in_small_pieces_is_whole_in_the_end(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    one = entry()
    append(ledger, encode(one), 1)
    assert entries(ledger) == [one]


def test_a_write_that_takes_no_bytes_ends(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda fd, data: 0)
    with pytest.raises(OSError, match="accepts no bytes"):
        append(ledger, encode(entry()), 1)


def test_where_cutting_back_fails_the_next_writer_heals(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", failing(0, errno.ENOSPC, os.write, 50))
        broken.setattr(os, "ftruncate", failing(0, errno.EIO, lambda *_: 0))
        with pytest.raises(OSError, match="No space"):
            append(ledger, encode(entry()), 1)
    assert ledger.stat().st_size == 50
    last = entry()
    append(ledger, encode(last), 1)
    assert entries(ledger) == [last]


def test_what_another_wrote_meanwhile_is_not_cut_off(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who does not ask for the lock must not lose bytes to our roll-back."""
    append(ledger, encode(entry()), 1)
    before, real = ledger.read_bytes(), os.write

    def write(fd: int, data: bytes) -> int:
        written = real(fd, data[:20])
        with ledger.open("ab") as other:
            other.write(b"theirs\n")
        monkeypatch.setattr(os, "write", failing(0, errno.ENOSPC, real))
        return written

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        append(ledger, encode(entry()), 1)
    assert ledger.read_bytes().startswith(before)
    assert ledger.read_bytes().endswith(b"theirs\n")


def test_a_failed_sync_is_told_and_not_repeated(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []

    def sync(fd: int) -> None:
        syncs.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", sync)
    with pytest.raises(OSError, match="Input/output"):
        append(ledger, encode(entry()), 1)
    assert len(syncs) == 1


def test_others_may_write_while_a_line_is_brought_to_the_disk(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, real = entry(), entry(), os.fdatasync
    others = iter([other])

    def sync(fd: int) -> None:
        for waiting in others:
            append(ledger, encode(waiting), 0)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    place = append(ledger, encode(one), 0)
    assert entries(ledger) == [one, other]
    assert (place.offset, place.length) == (0, len(encode(one)))


def test_the_name_of_a_new_ledger_is_on_the_disk_before_its_first_byte(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(platform, "sync_directory", lambda _: sizes.append(ledger.stat().st_size))
    ledger.parent.mkdir()
    append(ledger, encode(entry()), 1)
    append(ledger, encode(entry()), 1)
    assert sizes == [0]


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "directory", "second name"])
def test_what_is_no_ledger_of_ours_is_refused_and_unchanged(ledger: Path, tmp_path: Path, kind: str) -> None:
    ledger.parent.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    if kind == "link":
        ledger.symlink_to(victim)
    elif kind == "dangling link":
        ledger.symlink_to(tmp_path / "nothing")
    elif kind == "pipe":
        os.mkfifo(ledger)
    elif kind == "directory":
        ledger.mkdir()
    else:
        os.link(victim, ledger)
    with pytest.raises(UnsafePath):
        append(ledger, encode(entry()), 1)
    assert victim.read_text() == "precious\n"
    assert not (tmp_path / "nothing").exists()


def test_reading_goes_on_after_damage(ledger: Path) -> None:
    lines = [encode(entry()) for _ in range(5)]
    append(ledger, b"".join([*lines[:2], b"rubbish\x85\r\n", *lines[2:]]), 1)
    found = list(read(ledger))
    assert [isinstance(one.content, Entry) for one in found] == [True, True, False, True, True, True]
    assert sum(one.length for one in found) == ledger.stat().st_size
    assert [one.offset for one in found[1:]] == [one.offset + one.length for one in found[:-1]]
    assert list(read(ledger, found[3].offset)) == found[3:]


def test_a_line_may_span_the_pieces_in_which_a_ledger_is_read(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.ledger.lines._PIECE", 7)
    written = [entry() for _ in range(4)]
    append(ledger, b"".join(encode(one) for one in written), 1)
    assert entries(ledger) == written


def test_a_stretch_without_newlines_may_span_many_pieces(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.ledger.lines._PIECE", 10)
    last = entry()
    append(ledger, b"x" * 10_000 + b"\n" + encode(last) + b"y" * 25, 1)
    found = list(read(ledger))
    assert [(one.offset, one.length) for one in found] == [
        (0, 10_001),
        (10_001, len(encode(last))),
        (10_001 + len(encode(last)), 25),
    ]
    assert found[1].content == last


def test_one_entry_can_be_read_by_its_place(ledger: Path) -> None:
    one = entry()
    append(ledger, encode(entry()), 1)
    place = append(ledger, encode(one), 1)
    assert read_at(Location(ledger, place.offset)) == one
    with pytest.raises(DamagedLine):
        read_at(Location(ledger, place.offset + 1))


def test_problems_name_their_place(ledger: Path) -> None:
    assert str(LedgerProblem(ledger, 7, "torn")) == f"{ledger}, byte 7: torn"
