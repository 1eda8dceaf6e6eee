from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pipeline.faults import WrongUsage
from pipeline.job import Job, Media, create_job
from pipeline.jobs import JobFolder, as_media

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SPEECH = "06_whisperx_asr"


def recording(tmp_path: Path, content: bytes = b"sound") -> Media:
    path = tmp_path / f"{content.decode()}.wav"
    path.write_bytes(content)
    return Media.of(path)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return JobFolder(tmp_path / "out", "rpatel").create(recording(tmp_path), NOON)


def test_a_job_lies_under_its_date_and_is_the_latest(job: Job, tmp_path: Path) -> None:
    assert job.path == tmp_path / "out" / "2026-11-22" / "job-20261122-rpatel-0001"
    assert (tmp_path / "out" / "latest").resolve() == job.path
    assert Job(tmp_path / "out" / "latest").id == job.id


def test_numbers_go_on_and_users_have_their_own(tmp_path: Path) -> None:
    media = recording(tmp_path)
    made = [JobFolder(tmp_path, user).create(media, NOON).id for user in ("1", "1", "ann", "1", "a b/ü..")]
    assert made == [
        "job-20261122-1-0001",
        "job-20261122-1-0002",
        "job-20261122-ann-0001",
        "job-20261122-1-0003",
        "job-20261122-a_b_-0001",
    ]


def test_runners_at_once_get_different_jobs(tmp_path: Path) -> None:
    media, made = recording(tmp_path), []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        made.append(JobFolder(tmp_path / "out", "1").create(media, NOON).id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [f"job-20261122-1-{number:04d}" for number in range(1, 9)]


def test_a_recording_is_known_by_its_content(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "out", "1")
    job = folder.create(recording(tmp_path), NOON)
    moved = (tmp_path / "sound.wav").rename(tmp_path / "other name.wav")
    said: list[str] = []
    assert folder.known(said.append)[as_media(moved).sha256].id == job.id
    assert JobFolder(tmp_path / "out", "2").known(said.append) == {}
    assert said == []


def test_a_damaged_job_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "out", "1")
    damaged, whole = (
        folder.create(recording(tmp_path), NOON),
        folder.create(recording(tmp_path, b"more"), NOON),
    )
    (damaged.path / "job.json").write_text("{")
    said: list[str] = []
    assert [job.id for job in folder.known(said.append).values()] == [whole.id]
    assert [text.split(" cannot be read")[0] for text in said] == [str(damaged.path / "job.json")]


def test_states_are_kept_and_attempts_counted(job: Job) -> None:
    assert job.state(SPEECH) is None
    assert job.begin(SPEECH) == 1
    job.end(SPEECH, "failed", "no engine")
    again = Job(job.path)
    assert again.state(SPEECH) == job.state(SPEECH)
    assert not again.completed(SPEECH)
    assert again.begin(SPEECH) == 2
    again.end(SPEECH, "completed")
    job.reload()
    assert job.completed(SPEECH)
    assert job.begin("10_translation") == 1
    assert job.completed(SPEECH)


def test_job_file_reads_well(job: Job) -> None:
    job.begin(SPEECH)
    content = json.loads((job.path / "job.json").read_text())
    assert (content["format"], content["job_id"], content["user_id"]) == (1, job.id, "rpatel")
    assert content["stages"][SPEECH]["status"] == "running"


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"stages": {"06": {"status": 1, "what": 2}}}'])
def test_a_damaged_job_file_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(WrongUsage, match=r"job.json cannot be read"):
        Job(tmp_path)


def test_what_is_no_job_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="is not a job directory"):
        Job(tmp_path)
    with pytest.raises(WrongUsage, match="there is no such recording"):
        as_media(tmp_path / "missing.wav")


def test_a_job_can_be_made_by_hand(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    made = create_job(tmp_path / "mine", recording(tmp_path), "1")
    assert (made.id, made.user_id) == ("mine", "1")
