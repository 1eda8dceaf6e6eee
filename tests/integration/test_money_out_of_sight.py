"""``verify`` and ``doctor`` do not say that all is well while a ledger that nobody knows lies beside jobs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from zlib import crc32

import pytest

from scripts.faults.blackbox import (
    LEDGER,
    MODEL,
    NANOS,
    Answer,
    Month,
    Place,
    cost_of,
    dashboard,
    month,
    storage_files,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A storage that knows two jobs."""
    return two_jobs(tmp_path)


def two_jobs(folder: Path) -> Place:
    """Return a place with one call in each of two jobs."""
    made = Place(folder)
    for job in ("job-a", "job-b"):
        with made.tracker(job) as tracker:
            tracker.log_usage(*MODEL, 1000, 10)
    return made


def foreign(place: Place, job: Path, calls: int = 2) -> Path:
    """Put a ledger somewhere that was written with another storage; return it."""
    other = Place(place.folder / f"elsewhere-{len(list(place.folder.iterdir()))}")
    other.folder.mkdir()
    with other.tracker("job") as tracker:
        for _ in range(calls):
            tracker.log_usage(*MODEL, 200_000, 10)
    job.mkdir(parents=True, exist_ok=True)
    shutil.copy2(other.job("job") / LEDGER, job / LEDGER)
    return job / LEDGER


def says_so(answer: Answer, name: str) -> bool:
    """Whether a command does not say that all is well, and names the job."""
    said = "".join((answer.out + answer.err).split())  # a narrow page breaks a path anywhere
    return answer.code == 1 and name in said


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "where", ["job-c", "job-a/attempt-2", "job-c/attempt-2"], ids=["beside", "inside", "inside one beside"]
)
@pytest.mark.parametrize("command", ["verify", "doctor"])
def test_a_ledger_that_nobody_knows_is_found(place: Place, where: str, command: str) -> None:
    assert dashboard(place.home, command).code == 0
    foreign(place, place.job(where))
    answer = dashboard(place.home, command)
    assert says_so(answer, Path(where).name), answer


@pytest.mark.parametrize("command", ["verify", "doctor"])
def test_a_copy_of_a_known_ledger_is_no_money_out_of_sight(place: Place, command: str) -> None:
    shutil.copytree(place.job("job-a"), place.job("job-a-copy"))
    assert month(place.home).cost == 2 * cost_of(1000, 10)
    assert dashboard(place.home, command).code in {0, 1}  # it may be named; it must not be counted twice
    assert month(place.home).cost == 2 * cost_of(1000, 10)


def test_what_was_found_counts_when_its_job_goes_on(place: Place) -> None:
    ledger = foreign(place, place.job("job-c"))
    with place.tracker(ledger.parent.name) as tracker:
        tracker.log_usage(*MODEL, 1000, 10)
    assert month(place.home).cost == 3 * cost_of(1000, 10) + 2 * cost_of(200_000, 10)
    assert dashboard(place.home, "verify").code == 0


def test_verify_reads_odd_folders_beside_jobs_without_following_links(place: Place, tmp_path: Path) -> None:
    outside = foreign(place, tmp_path / "private" / "deep")
    place.job("link").symlink_to(outside.parent)
    os.mkfifo(place.job("job-a") / "pipe")
    place.job("pipe-job").mkdir()
    os.mkfifo(place.job("pipe-job") / LEDGER)
    answer = dashboard(place.home, "verify", "--json")
    assert answer.code in {0, 1, 3}
    assert "Traceback" not in answer.err
    json.loads(answer.out or "{}")


@pytest.mark.no_cover
@pytest.mark.parametrize("command", ["verify", "doctor"])
def test_a_storage_that_lost_any_one_file_is_mended_or_named(place: Place, command: str) -> None:
    for path in storage_files(place.home):
        try:
            saved = path.read_bytes()
        except FileNotFoundError:
            continue  # the last lines of a process go as soon as the sums have them
        path.unlink()
        answer = dashboard(place.home, command)
        after = month(place.home)
        assert after.cost == 2 * cost_of(1000, 10) or after.refused or answer.code, (path.name, after, answer)
        if not path.exists():
            path.write_bytes(saved)
            path.chmod(0o600)


@pytest.mark.no_cover
def test_what_was_counted_of_a_cleared_job_outlives_any_one_file(tmp_path: Path) -> None:
    number, files = 0, 1
    while number < files:
        place = two_jobs(tmp_path / str(number))
        before = month(place.home)
        shutil.rmtree(place.job("job-a"))
        assert month(place.home) == before == Month(2 * cost_of(1000, 10), 2)
        files = len(storage_files(place.home))
        lost = storage_files(place.home)[number]
        lost.unlink()
        assert month(place.home) == before, lost.name
        number += 1


@pytest.mark.no_cover
def test_a_sum_is_of_all_lines_however_many_are_new(place: Place) -> None:
    """Lines that others appended are read to their end by who asks for a sum."""
    number, added = 0, 40_000
    for job in ("job-a", "job-b"):
        ledger = place.job(job) / LEDGER
        body, _, _ = ledger.read_bytes().rstrip(b"\n").rpartition(b',"crc":"')
        entry = json.loads(body + b"}")["id"].encode()
        lines = []
        for _ in range(added // 2):
            number += 1
            fresh = body.replace(entry, b"%028x" % number)
            lines.append(b'%b,"crc":"%08x"}\n' % (fresh, crc32(fresh)))
        with ledger.open("ab") as file:
            file.writelines(lines)
    with place.tracker("job-a") as tracker:
        assert round(tracker.get_monthly_cost() * NANOS) == (2 + added) * cost_of(1000, 10)
    assert month(place.home).calls == 2 + added
