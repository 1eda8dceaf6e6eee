"""The three stages: real engines on this machine, real SDKs against the loopback provider.

Each runs as a program with each kind of engine; what else they do and say is tried inside this process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline.job import Job

from shared.cost_tracker import CostTracker
from tests.support.provider import ProviderServer, Reply
from tests.support.stages import KEY, ROOT, Done, Programs, entries

SPEECH, TRANSLATION, SUMMARY = "06_whisperx_asr", "10_translation", "13_ai_summarization"
LOCAL_LINE = "💰 Stage cost: $0.0000 (local processing)"
needs_apertium = pytest.mark.skipif(shutil.which("apertium") is None, reason="apertium is not on PATH")

MODELS = {
    "openai": ("gpt-4o", "openai"),
    "anthropic": ("claude-3-haiku-20240307", "anthropic"),
    "gemini": ("gemini-1.5-flash", "google"),
}
# Nano-dollars per token: input, cached input, cache write, output. The figures of the price facts.
RATES = {"openai": (2500, 1250, 0, 10_000), "anthropic": (250, 30, 300, 1250), "gemini": (75, 18.75, 0, 300)}


def named(server: ProviderServer, provider: str = "openai") -> list[str]:
    """The options that let stage 13 ask a model of the loopback provider."""
    model, _ = MODELS[provider]
    return ["--engine", provider, "--model", model, "--base-url", server.url(provider)]


def summarize(programs: Programs, job: Job, server: ProviderServer, *more: object) -> Done:
    return programs.within(SUMMARY, job.path, *named(server), *more)


def status(job: Job, stage: str = SUMMARY) -> tuple[str, int]:
    job.reload()
    state = job.state(stage)
    assert state is not None
    return state.status, state.attempt


def assert_discreet(job: Job, done: Done) -> None:
    """No key is left behind anywhere, and no text of the job in its ledger and its log."""
    ledger, log = (job.path / "cost_ledger.jsonl").read_text(), job.log_path.read_text()
    for text in (ledger, log, done.err, (job.path / "job.json").read_text()):
        assert KEY not in text
    assert "garden" not in ledger + log


def reserved(programs: Programs) -> float:
    """What is held or orphaned, in USD, as the dashboard tells it."""
    tool = [sys.executable, str(ROOT / "tools" / "cost-dashboard.py"), "show-budget", "--json"]
    shown = subprocess.run(tool, env=programs.whole_environ(), capture_output=True, text=True, check=True)
    return float(json.loads(shown.stdout)["reserved_usd"])


class TestOnThisMachine:
    def test_speech_recognition(self, programs: Programs) -> None:
        job = programs.job(transcribed=False)
        done = programs.run(SPEECH, job.path, "--subtitles")
        assert done.code == 0, done.err
        assert LOCAL_LINE in done.err.splitlines()
        assert "good morning everyone" in (job.path / "transcript.txt").read_text()
        assert (job.path / "subtitles.en.srt").read_text().startswith("1\n00:00:0")
        [entry] = entries(job.path)
        assert (entry["service"], entry["model"], entry["stage"]) == ("local", "pocketsphinx", SPEECH)
        assert (entry["cost_usd"], entry["audio_seconds"]) == (0, 3)
        assert entry["metadata"] == {"backend": "pocketsphinx", "segments": 1}
        assert status(job, SPEECH) == ("completed", 1)
        assert LOCAL_LINE in job.log_path.read_text()
        assert not list(job.path.glob("tmp*")), "the decoded audio was left behind"

    @needs_apertium
    def test_translation(self, programs: Programs) -> None:
        job = programs.job()
        done = programs.run(TRANSLATION, job.path, "--to", "es", "--subtitles")
        assert done.code == 0, done.err
        assert LOCAL_LINE in done.err.splitlines()
        assert (job.path / "transcript.es.txt").read_text().count("\n") == 3
        assert (job.path / "subtitles.es.srt").exists()
        [entry] = entries(job.path)
        assert entry["cost_usd"] == 0
        assert entry["metadata"]["target_languages"] == ["es"]
        assert entry["metadata"]["segments"] == 3

    @needs_apertium
    def test_translation_does_what_it_can_and_resumes_with_the_rest(self, programs: Programs) -> None:
        job = programs.job()
        done = programs.run(TRANSLATION, job.path, "--to", "es", "is")
        assert done.code == 0
        assert "Skipped: is: no engine is at hand" in done.err
        assert status(job, TRANSLATION)[0] == "skipped"
        programs.run(TRANSLATION, job.path, "--to", "es", "is", "--resume")
        assert len(entries(job.path)) == 1

    def test_translation_without_an_engine_says_how_to_get_one(
        self, programs: Programs, tmp_path: Path
    ) -> None:
        programs.environ["PATH"] = str(tmp_path)
        job = programs.job()
        done = programs.run(TRANSLATION, job.path)
        assert done.code == 0
        assert "apt install apertium apertium-eng-spa" in done.err
        assert status(job, TRANSLATION) == ("skipped", 1)
        assert entries(job.path) == []

    def test_summary(self, programs: Programs) -> None:
        job = programs.job()
        done = programs.run(SUMMARY, job.path, "--sentences", "1")
        assert (done.code, done.err.splitlines()[-1]) == (0, LOCAL_LINE)
        assert "water" in (job.path / "summary.txt").read_text()
        assert [entry["cost_usd"] for entry in entries(job.path)] == [0]

    def test_resume_does_nothing_twice_and_a_plain_rerun_counts(self, programs: Programs) -> None:
        job = programs.job()
        for more in ([], ["--resume"], []):
            assert programs.within(SUMMARY, job.path, *more).code == 0
        assert [entry.get("attempt", 1) for entry in entries(job.path)] == [1, 2]
        assert status(job) == ("completed", 2)


class TestProviders:
    @pytest.mark.parametrize(
        ("provider", "more", "reply"),
        [
            ("openai", [], Reply(cached=9, reasoning=4)),
            ("openai", ["--stream"], Reply(cached=9)),
            ("anthropic", ["--stream"], Reply(cached=8, written=6)),
            ("gemini", [], Reply(cached=8, reasoning=3)),
        ],
    )
    def test_ledger_holds_what_the_server_said(
        self, programs: Programs, server: ProviderServer, provider: str, more: list[str], reply: Reply
    ) -> None:
        job = programs.job()
        server.next_replies(Reply("busy"), reply)
        done = programs.run(SUMMARY, job.path, *named(server, provider), *more)
        assert done.code == 0, done.err
        assert (job.path / "summary.txt").read_text() == reply.text + "\n"
        [entry], counts = entries(job.path), server.answered[0].counts
        assert (entry["tokens_input"], entry["tokens_output"]) == (counts.tokens_input, counts.tokens_output)
        assert entry.get("tokens_cached", 0) == counts.tokens_cached
        assert entry["service"] == MODELS[provider][1]
        assert entry["request_id"] == server.answered[0].request_id
        fresh = counts.tokens_input - counts.tokens_cached - counts.tokens_cache_write
        amounts = (fresh, counts.tokens_cached, counts.tokens_cache_write, counts.tokens_output)
        nanos = sum(amount * rate for amount, rate in zip(amounts, RATES[provider], strict=True))
        assert entry["cost_usd"] == pytest.approx(nanos / 1e9, abs=0.6e-9)  # one rounding a part
        assert_discreet(job, done)
        assert f"💰 Stage cost: ${entry['cost_usd']:.4f} | job ${entry['cost_usd']:.4f} | month" in done.err

    def test_transcription(self, programs: Programs, server: ProviderServer) -> None:
        job = programs.job(transcribed=False)
        options = ("--engine", "openai", "--model", "whisper-1", "--base-url", server.url("openai"))
        done = programs.run(SPEECH, job.path, *options)
        assert done.code == 0, done.err
        [entry] = entries(job.path)
        assert (entry["audio_seconds"], entry["cost_usd"]) == (3, 0.0003)  # $0.006 a minute

    def test_translation(self, programs: Programs, server: ProviderServer) -> None:
        job = programs.job()
        server.next_replies(Reply(text='["a", "b", "c"]'))
        options = ("--engine", "openai", "--model", "gpt-4o-mini", "--base-url", server.url("openai"))
        done = programs.run(TRANSLATION, job.path, *options, "--to", "hi")
        assert done.code == 0, done.err
        assert (job.path / "transcript.hi.txt").read_text() == "a\nb\nc\n"
        [entry] = entries(job.path)
        assert entry["tokens_input"] == server.served[0].counts.tokens_input
        assert entry["metadata"]["target_languages"] == ["hi"]

    @needs_apertium
    def test_a_long_translation_is_many_calls_and_ends_locally_when_the_budget_does(
        self, programs: Programs, server: ProviderServer
    ) -> None:
        programs.profile("budget: {monthly_limit_usd: 0.003, block_at_limit: true}")
        job = programs.job(segments=60)
        server.next_replies(
            Reply(text=json.dumps(["a"] * 25), reasoning=2000), Reply(text=json.dumps(["b"] * 25))
        )
        options = ("--engine", "openai", "--model", "gpt-4o-mini", "--base-url", server.url("openai"))
        done = programs.within(TRANSLATION, job.path, *options, "--max-output-tokens", "3000")
        assert done.code == 0, done.err
        calls = [(entry["service"], entry["metadata"]["segments"]) for entry in entries(job.path)]
        assert calls == [("openai", 25), ("local", 25), ("local", 10)]
        lines = (job.path / "transcript.es.txt").read_text().splitlines()
        assert (len(lines), lines[:25], "a" in lines[25:]) == (60, ["a"] * 25, False)

    def test_a_total_alone_is_split_and_flagged(self, programs: Programs, server: ProviderServer) -> None:
        job = programs.job()
        server.next_replies(Reply("total-only"))
        assert summarize(programs, job, server).code == 0
        [entry], counts = entries(job.path), server.served[0].counts
        total = counts.tokens_input + counts.tokens_output
        assert entry["tokens_input"] + entry["tokens_output"] == total
        assert entry["tokens_input"] == round(total * 0.8)
        assert entry["estimated"] is True

    def test_an_answer_that_cannot_be_used_is_paid_for_and_fails(
        self, programs: Programs, server: ProviderServer
    ) -> None:
        job = programs.job()
        server.next_replies(Reply(text="no list"), Reply(text='["a", "b", "c"]'))
        options = ("--engine", "openai", "--model", "gpt-4o-mini", "--base-url", server.url("openai"))
        done = programs.within(TRANSLATION, job.path, *options)
        assert done.code == 3
        assert "answered with no JSON list of 3 texts; the call is in the ledger" in job.log_path.read_text()
        assert status(job, TRANSLATION) == ("failed", 1)
        assert programs.within(TRANSLATION, job.path, *options, "--resume").code == 0
        assert [entry.get("attempt", 1) for entry in entries(job.path)] == [1, 2]
        assert all(entry["cost_usd"] > 0 for entry in entries(job.path))

    def test_a_stream_that_breaks_leaves_its_cost_and_its_error(
        self, programs: Programs, server: ProviderServer
    ) -> None:
        job = programs.job()
        server.next_replies(Reply("hang-up"))
        done = summarize(programs, job, server, "--stream")
        assert done.code == 3
        [entry] = entries(job.path)
        assert entry["estimated"] is True
        assert entry["cost_usd"] > 0
        assert "the answer broke off" in job.log_path.read_text()
        assert not (job.path / "summary.txt").exists()

    def test_a_server_that_is_down_fails_the_stage_without_a_traceback(
        self, programs: Programs, server: ProviderServer
    ) -> None:
        job = programs.job()
        server.next_replies(*[Reply("error")] * 3)
        done = summarize(programs, job, server)
        assert done.code == 3
        assert "Failed: InternalServerError" in done.err
        assert "Traceback" not in done.err
        assert "Traceback" in job.log_path.read_text()
        assert entries(job.path) == []
        assert status(job) == ("failed", 1)

    def test_a_refused_request_gives_its_reservation_back(
        self, programs: Programs, server: ProviderServer
    ) -> None:
        programs.profile("budget: {monthly_limit_usd: 50, block_at_limit: true}")
        server.next_replies(Reply("refuse"), *[Reply("error")] * 3)
        held = []
        for _ in range(2):
            assert summarize(programs, programs.job(), server).code == 3
            held.append(reserved(programs))
        assert held[0] == 0  # it is certain that nothing was served
        assert held[1] > 0  # it is not: what was reserved goes on counting


class TestBudget:
    """A profile whose limit is nearly used."""

    WARNING = "⚠️  WARNING: Budget threshold reached! $40.00 / $50.00 (80.0%) | Remaining: $10.00"
    CRITICAL = "🚨 CRITICAL: Budget limit reached! $50.00 / $50.00 (100.0%)"

    def spend(self, job: Job, micro_dollars: int) -> None:
        """Log calls of gpt-4, whose output costs 60 micro-dollars a token and input 30."""
        with CostTracker(job.path, "1") as tracker:
            cost = tracker.log_usage("openai", "gpt-4", tokens_input=micro_dollars // 30)
        assert cost == micro_dollars // 30 * 30 / 1e6

    def test_each_alert_is_printed_once(self, programs: Programs, server: ProviderServer) -> None:
        programs.profile("budget: {monthly_limit_usd: 50.00}")
        job = programs.job()
        self.spend(job, 39_999_990)
        said = [summarize(programs, job, server).err for _ in range(2)]
        assert [text.splitlines().count(self.WARNING) for text in said] == [1, 0]
        self.spend(job, 9_999_480)
        said = [summarize(programs, job, server).err]
        said += [programs.run(SUMMARY, job.path, *named(server)).err]  # also not by another process
        assert [text.splitlines().count(self.CRITICAL) for text in said] == [1, 0]
        assert len(server.answered) == 4  # nothing is blocked without block_at_limit

    @pytest.mark.parametrize(
        ("on_budget", "code", "ended", "calls"),
        [
            ("fallback", 0, "completed", ["extractive-summary"]),
            ("skip", 0, "skipped", []),
            ("stop", 1, "failed", []),
        ],
    )
    def test_blocked_it_sends_nothing_and_does_as_told(
        self,
        programs: Programs,
        server: ProviderServer,
        on_budget: str,
        code: int,
        ended: str,
        calls: list[str],
    ) -> None:
        programs.profile("budget: {monthly_limit_usd: 50.00, block_at_limit: true}")
        self.spend(programs.job(), 49_999_980)
        job = programs.job()
        done = summarize(programs, job, server, "--on-budget", on_budget)
        assert (done.code, server.served) == (code, []), done.err
        assert status(job)[0] == ended
        assert [entry["model"] for entry in entries(job.path)] == calls
        assert all(entry["metadata"]["degraded_from"] == "openai/gpt-4o" for entry in entries(job.path))
        assert "monthly" in done.err.lower()
        assert (job.path / "summary.txt").exists() == bool(calls)

    def test_a_cheaper_model_is_used_where_the_budget_allows_that(
        self, programs: Programs, server: ProviderServer
    ) -> None:
        programs.profile("budget: {monthly_limit_usd: 0.004, block_at_limit: true}")
        job = programs.job()
        done = summarize(programs, job, server, "--or", "gpt-4", "gpt-4o-mini")
        assert done.code == 0, done.err
        assert "The budget does not allow openai/gpt-4o: openai/gpt-4o-mini is used." in done.err
        [entry] = entries(job.path)
        assert (entry["model"], entry["metadata"]["degraded_from"]) == ("gpt-4o-mini", "openai/gpt-4o")

    def test_an_override_sends_it_and_is_recorded(self, programs: Programs, server: ProviderServer) -> None:
        programs.profile("budget: {monthly_limit_usd: 0, block_at_limit: true}")
        job = programs.job()
        done = summarize(programs, job, server, "--skip-budget-check")
        assert (done.code, len(server.answered)) == (0, 1), done.err
        [entry] = entries(job.path)
        assert entry["metadata"]["budget_override"] == "--skip-budget-check"

    def test_local_work_is_never_blocked(self, programs: Programs) -> None:
        programs.profile("budget: {monthly_limit_usd: 0, block_at_limit: true}")
        job = programs.job()
        done = programs.within(SUMMARY, job.path)
        assert (done.code, status(job)) == (0, ("completed", 1)), done.err

    def test_a_profile_that_cannot_be_read_blocks_paid_calls(
        self, programs: Programs, server: ProviderServer
    ) -> None:
        programs.profile("budget: {monthly_limit: 50}")
        job = programs.job()
        done = summarize(programs, job, server)
        assert (done.code, server.served) == (0, []), done.err
        assert "monthly_limit" in done.err
        assert [entry["service"] for entry in entries(job.path)] == ["local"]


class TestWrongUsage:
    def test_what_is_no_job(self, programs: Programs, tmp_path: Path) -> None:
        done = programs.run(SPEECH, tmp_path / "nothing")
        assert done.code == 2
        assert "is not a job directory" in done.err

    @pytest.mark.parametrize("stage", [SPEECH, TRANSLATION, SUMMARY])
    def test_help(self, programs: Programs, stage: str) -> None:
        done = programs.run(stage, "--help")
        assert done.code == 0
        assert "Only when named, since they send data away: openai" in " ".join(done.out.split())

    def test_a_wrong_configuration(self, programs: Programs, tmp_path: Path) -> None:
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "pipeline.yaml").write_text(f"stages: {{{SUMMARY}: {{engine: loud}}}}")
        done = programs.run(SUMMARY, programs.job().path)
        assert done.code == 2
        assert "'loud' is none of auto" in done.err
