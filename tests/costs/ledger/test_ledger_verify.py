from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs import platform
from shared.costs.ledger import verify as verify_module
from shared.costs.ledger.line import encode, seal
from shared.costs.ledger.lines import TORN, Line, lines
from shared.costs.ledger.verify import Verifier
from shared.costs.ledger.writer import append
from shared.costs.model import Usage
from tests.costs.ledger.ledger_support import entry


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "job-1" / "cost_ledger.jsonl"


def written(ledger: Path, *lines: bytes) -> Path:
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_bytes(b"".join(lines))
    return ledger


def test_a_sound_ledger_is_all_entries(ledger: Path) -> None:
    for _ in range(3):
        append(ledger, encode(entry()), 1)
    found = Verifier().verify(ledger)
    assert found.lines == {"entry": 3}
    assert found.accounted == found.size == ledger.stat().st_size
    assert (found.totals.calls, found.findings, found.is_sound) == (3, [], True)


def test_each_kind_of_line_has_its_account(ledger: Path) -> None:
    one, other = entry(), entry()
    again = entry(id=one.id, timestamp=one.timestamp.replace(hour=11), pid=7)
    changed = entry(id=one.id, usage=Usage(tokens_input=1))
    newer = seal(encode(entry())[:-19].replace(b'"v":1', b'"v":2', 1))
    lines = [encode(one), encode(again), encode(changed), b"nonsense\n", newer, encode(other), b"torn"]
    found = Verifier().verify(written(ledger, *lines))
    kinds = ["duplicate", "conflict", "damaged", "newer", "torn"]
    assert [each.kind for each in found.findings] == kinds
    numbers = (1, 2, 3, 4, 6)
    places = [(sum(map(len, lines[:number])), len(lines[number])) for number in numbers]
    assert [(each.offset, each.length) for each in found.findings] == places
    assert found.findings[-1].why == TORN
    assert found.lines == {"entry": 2, **dict.fromkeys(kinds, 1)}
    assert found.accounted == found.size == ledger.stat().st_size
    assert (found.totals.calls, found.damaged_lines, found.is_sound) == (3, 2, False)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([b"\n", encode(entry()), b"\r\n", b"\0" * 9]), max_size=9
    )
)
def test_every_byte_is_accounted_for(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    ledger = tmp_path_factory.mktemp("any") / "cost_ledger.jsonl"
    ledger.write_bytes(b"".join(pieces))
    found = Verifier().verify(ledger)
    assert found.accounted == found.size == len(b"".join(pieces))


def test_ids_are_known_across_ledgers(ledger: Path, tmp_path: Path) -> None:
    one = entry()
    verifier = Verifier()
    elsewhere = written(tmp_path / "cost_ledger.jsonl", encode(one))
    assert verifier.verify(written(ledger, encode(one))).lines == {"entry": 1}
    [finding] = verifier.verify(elsewhere).findings
    assert (finding.kind, str(ledger) in finding.why) == ("duplicate", True)


def test_a_line_that_is_being_written_is_no_damage(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "WRITER_S", 0.05)
    first, line = encode(entry()), encode(entry())
    written(ledger, first, line[:50])
    fd = platform.open_file(ledger, append=True)
    assert platform.lock(fd, 1)
    at_work = Verifier().verify(ledger)
    assert (at_work.size, at_work.accounted, at_work.is_sound) == (len(first), len(first), True)
    monkeypatch.setattr(verify_module, "WRITER_S", 5.0)

    def finish() -> None:
        os.write(fd.fileno(), line[50:])
        platform.close(fd)

    writer = threading.Timer(0.05, finish)
    writer.start()
    finished = Verifier().verify(ledger)
    writer.join()
    assert finished.lines == {"entry": 2}
    assert finished.accounted == finished.size == ledger.stat().st_size


def test_a_ledger_that_became_shorter_meanwhile_is_not_sound(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(ledger, encode(entry()), encode(entry()))
    size, real = ledger.stat().st_size, lines

    def cut_first(path: Path, start: int = 0) -> Iterator[Line]:
        os.truncate(path, size // 2)
        return real(path, start)

    monkeypatch.setattr("shared.costs.ledger.verify.lines", cut_first)
    found = Verifier().verify(ledger)
    assert (found.size, found.accounted, found.is_sound) == (size, size // 2, False)


@pytest.mark.parametrize("kind", ["missing", "link", "pipe"])
def test_what_cannot_be_read_is_told(ledger: Path, kind: str) -> None:
    ledger.parent.mkdir()
    if kind == "link":
        ledger.symlink_to(written(ledger.with_name("victim"), encode(entry())))
    elif kind == "pipe":
        os.mkfifo(ledger)
    with pytest.raises(OSError, match=str(ledger)):
        Verifier().verify(ledger)
