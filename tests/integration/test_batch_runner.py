"""The batch runner as a program: jobs, resuming, faults, signals, and what it shows."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from pipeline.job import Job
from pipeline.progress import LineProgress
from pipeline.table import cost_table

from tests.support.elapsed import PATIENCE_S
from tests.support.provider import ProviderServer, Reply
from tests.support.stages import RECORDINGS, Programs, entries, first_words

SPEECH, TRANSLATION, SUMMARY = "06_whisperx_asr", "10_translation", "13_ai_summarization"
STAGES = [SPEECH, TRANSLATION, SUMMARY]
HAS_APERTIUM = shutil.which("apertium") is not None


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Two seconds of speech, quickly recognised: "good morning everyone"."""
    return first_words(tmp_path)


def jobs(programs: Programs) -> list[Job]:
    return [Job(path.parent) for path in sorted(programs.folder.glob("out/*/*/job.json"))]


def paid(programs: Programs, server: ProviderServer) -> None:
    """Let stage 13 ask the loopback provider."""
    (programs.folder / "config").mkdir(exist_ok=True)
    (programs.folder / "config" / "pipeline.yaml").write_text(
        f"stages: {{{SUMMARY}: {{engine: openai, model: gpt-4o, base_url: {server.url('openai')}}}}}"
    )


def test_recordings_from_end_to_end_and_again(programs: Programs, words: Path) -> None:
    given = [words, first_words(programs.folder, RECORDINGS[0])]
    done = programs.run("run_batch", *given, "--resume", "--user", "rpatel")
    assert done.code == 0, done.err
    made = jobs(programs)
    assert [re.sub(r"\d{8}", "DATE", job.id) for job in made] == [f"job-DATE-rpatel-{n:04d}" for n in (1, 2)]
    assert (programs.folder / "out" / "latest").resolve() == made[-1].path
    ran = [stage for stage in STAGES if HAS_APERTIUM or stage != TRANSLATION]
    ledgers = [[entry["stage"] for entry in entries(job.path)] for job in made]
    assert ledgers == [ran] * 2
    for job in made:
        assert job.log_path.read_text().count("💰 Stage cost: $0.0000 (local processing)") == len(ran)
    assert "good morning everyone" in (made[0].path / "transcript.txt").read_text()
    assert (made[0].path / "summary.txt").read_text().count("\n") == 1
    assert {entry["user_id"] for job in made for entry in entries(job.path)} == {"rpatel"}

    again = programs.run("run_batch", *given, "--resume", "--user", "rpatel")
    assert again.code == 0
    assert [len(entries(job.path)) for job in jobs(programs)] == [len(ran)] * 2
    assert again.out == done.out
    assert done.out.splitlines()[-1] == "Budget of user rpatel: month $0.00 of $50.00"
    assert re.search(r"^all +\$0\.0000", done.out, re.MULTILINE)


def test_without_resume_a_recording_becomes_a_new_job(
    programs: Programs, words: Path, tmp_path: Path
) -> None:
    """Given twice at a time, it is one."""
    shutil.copy(words, tmp_path / "copy.wav")
    done = programs.run("run_batch", words, "copy.wav", "--workflow", "transcribe")
    assert done.code == 0
    assert len(jobs(programs)) == 1
    assert "copy.wav: the same recording as " in done.err
    for more in (["--resume"], []):
        assert programs.run("run_batch", words, "--workflow", "transcribe", *more).code == 0
    assert [len(entries(job.path)) for job in jobs(programs)] == [1, 1]
    assert programs.run("run_batch", jobs(programs)[0].path, "--workflow", "transcribe").code == 0
    assert [len(entries(job.path)) for job in jobs(programs)] == [2, 1]


def test_subtitles(programs: Programs, words: Path) -> None:
    done = programs.run("run_batch", words, "--workflow", "subtitle", "--to", "es")
    assert done.code == 0, done.err
    [job] = jobs(programs)
    made = {path.name for path in job.path.glob("*.srt")}
    assert made == ({"subtitles.en.srt", "subtitles.es.srt"} if HAS_APERTIUM else {"subtitles.en.srt"})
    assert job.state(SUMMARY) is None


def test_a_failed_job_does_not_hold_the_others_up(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    done = programs.run("run_batch", "broken.wav", transcribed(programs).path, "--resume")
    assert done.code == 1
    good, broken = jobs(programs)
    assert [state and state.status for state in map(broken.state, STAGES)] == ["failed", None, None]
    assert good.completed(SUMMARY)
    assert "cannot be read as a recording" in broken.log_path.read_text()
    assert f"{broken.id} {SUMMARY}: not run, the stage before it has no result" in done.err
    assert re.search(rf"^{broken.id} +failed +not run +not run", done.out, re.MULTILINE)
    assert re.search(rf"^broken.wav: no transcript; see out/.*/{broken.id}/job.log$", done.out, re.MULTILINE)


def test_paid_stages_in_the_table_and_the_budget_line(programs: Programs, server: ProviderServer) -> None:
    paid(programs, server)
    programs.profile("budget: {monthly_limit_usd: 0.0001}")
    job = transcribed(programs)
    done = programs.run("run_batch", job.path, "--resume")
    assert done.code == 0, done.err
    [cost] = [entry["cost_usd"] for entry in entries(job.path) if entry["service"] == "openai"]
    assert re.search(rf"^{job.id} .* \${cost:.4f}  \${cost:.4f}$", done.out, re.MULTILINE)
    assert "Budget of user 1: month $0.00 of $0.00" in done.out
    assert "🚨 CRITICAL: Budget limit reached!" in done.out


def test_jobs_run_side_by_side(programs: Programs, server: ProviderServer) -> None:
    paid(programs, server)
    ready = [programs.job(), programs.job()]
    for job in ready:
        job.begin(SPEECH)
        job.end(SPEECH, "completed")
        job.end(TRANSLATION, "completed")
    server.next_replies(Reply("stall"), Reply("stall"))
    with programs.start("run_batch", *(job.path for job in ready), "--resume", "--jobs", "2") as runner:
        for _ in ready:  # with one job at a time the second request would never come
            assert server.arrived.acquire(timeout=PATIENCE_S)
        server.release()
        out, err = runner.communicate(timeout=PATIENCE_S)
    assert runner.returncode == 0, err
    assert out.count("$0.0") >= 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_stages(programs: Programs, server: ProviderServer, number: signal.Signals) -> None:
    paid(programs, server)
    job = transcribed(programs)
    server.next_replies(Reply("stall"))
    with programs.start("run_batch", job.path, "--resume") as runner:
        assert server.arrived.acquire(timeout=PATIENCE_S)
        runner.send_signal(number)
        out, err = runner.communicate(timeout=PATIENCE_S)
    assert runner.returncode == 130, err
    assert "interrupted" in out
    assert "Interrupted: the same command with --resume goes on from here." in err
    job.reload()
    state = job.state(SUMMARY)
    assert state is not None
    assert (state.status, state.note) == ("interrupted", "ended by a signal")
    assert not stages_of(job)


def test_a_killed_stage_is_told_and_can_be_resumed(programs: Programs, server: ProviderServer) -> None:
    paid(programs, server)
    job = transcribed(programs)
    server.next_replies(Reply("stall"))
    with programs.start("run_batch", job.path, "--resume") as runner:
        assert server.arrived.acquire(timeout=PATIENCE_S)
        [stage] = stages_of(job)
        os.kill(stage, signal.SIGKILL)
        _, err = runner.communicate(timeout=PATIENCE_S)
    assert runner.returncode == 1, err
    assert f"{SUMMARY}: ended by signal 9" in job.log_path.read_text()
    assert programs.run("run_batch", job.path, "--resume").code == 0
    assert [entry["attempt"] for entry in entries(job.path)] == [2]


def test_two_runners_do_not_run_one_stage_twice(programs: Programs, server: ProviderServer) -> None:
    paid(programs, server)
    job = transcribed(programs)
    server.next_replies(Reply("stall"))
    with programs.start("run_batch", job.path, "--resume") as first:
        assert server.arrived.acquire(timeout=PATIENCE_S)
        second = programs.run("run_batch", job.path, "--resume")
        server.release()
        first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 0
    assert "another process is running a stage of this job" in second.err
    assert len(entries(job.path)) == 1


def transcribed(programs: Programs) -> Job:
    """A job whose only stage left is the summary."""
    job = programs.job()
    job.begin(SPEECH)
    job.end(SPEECH, "completed")
    job.end(TRANSLATION, "completed")
    return job


def stages_of(job: Job) -> list[int]:
    """The processes that run a stage of ``job``."""
    found = subprocess.run(
        ["pgrep", "-f", f"{SUMMARY}.py {job.path}"], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.wav"], "there is no such recording or job directory"),
        (["."], "is not a job directory"),
        ([str(RECORDINGS[0]), "--jobs", "0"], "jobs must be a whole number from 1"),
        ([str(RECORDINGS[0]), "--config", "missing.yaml"], "cannot be read"),
        ([str(RECORDINGS[0]), "--workflow", "dance"], "invalid choice"),
    ],
)
def test_wrong_usage_makes_no_job(programs: Programs, arguments: list[str], said: str) -> None:
    done = programs.run("run_batch", *arguments)
    assert done.code == 2
    assert said in done.err
    assert jobs(programs) == []


@pytest.mark.parametrize("columns", [120, 80, 60])
def test_the_table_fits_the_terminal(programs: Programs, columns: int) -> None:
    job = programs.job()
    job.begin(SPEECH)
    job.end(SPEECH, "interrupted")
    table = cost_table([job], STAGES, {job.id: {SPEECH: 1.5}}, columns)
    assert max(map(len, table.splitlines())) <= columns
    shown = re.sub(r"\s", "", table)
    assert all(part in table for name in (*STAGES, job.id) for part in re.split("[_-]", name))
    assert "interrupted" in shown
    assert "$1.5000" in shown
    assert (job.id in table, STAGES[0] in table) == (columns > 60, columns > 80)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_fits_the_line(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    job, terminal = programs.job(), _Terminal()
    progress = LineProgress(3, terminal)
    progress.started(job, SPEECH)
    job.begin(SPEECH)
    job.end(SPEECH, "completed")
    progress.ended(job, SPEECH, "💰 Stage cost: $0.0000 (local processing)\n")
    progress.close()
    drawn = terminal.getvalue()
    assert drawn.startswith("\r\x1b[K0/3 stages, 0 s: job-")
    assert f"[1/3] {job.id} {SPEECH}: completed\n" in drawn
    assert all(len(piece) < 40 for piece in drawn.split("\r\x1b[K") if "\n" not in piece)
    assert drawn.endswith("\r\x1b[K")
