"""Chat models and transcription through the real SDKs, against the loopback provider.

What an engine says it used has to be what the server said: whole and streamed, after 429 and 500,
with cache and reasoning, with a usage that is a total alone or missing, and when the line breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pipeline.audio import Audio, prepare
from pipeline.documents import Segment, Transcript
from pipeline.engines import SPEECH, SUMMARY, TRANSLATION, EngineOptions, Spent
from pipeline.engines.chat import Prompt
from pipeline.engines.chat.refusals import Refused
from pipeline.engines.speech.openai import upload
from pipeline.faults import StageFailed

from tests.support.provider import Counts, ProviderServer, Reply

RECORDING = Path(__file__).resolve().parents[2] / "scripts" / "recordings" / "team-meeting.flac"
SPOKEN = Transcript("en", "test", "test", 2.0, (Segment(0, 2, "good morning everyone"),))
PROVIDERS = ["openai", "anthropic", "gemini"]
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}
USAGES = [Reply(), Reply(cached=7, reasoning=5), Reply(cached=3)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderServer]:
    for variable in KEYS.values():
        monkeypatch.setenv(variable, "a-key-for-the-loopback")
    monkeypatch.setattr("pipeline.engines.chat.gemini.FIRST_PAUSE_SECONDS", 0.001)
    with ProviderServer() as running:
        yield running


def options(server: ProviderServer, provider: str, **more: Any) -> EngineOptions:
    return EngineOptions(model="some-model", base_url=server.url(provider), **more)


def told(counts: Counts) -> dict[str, float]:
    return {name: value for name, value in asdict(counts).items() if value}


def used(spent: Spent) -> dict[str, float]:
    return {name: value for name, value in spent.usage.items() if value}  # type: ignore[misc]  # counts, all numbers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", PROVIDERS)
class TestChat:
    @pytest.mark.parametrize("reply", USAGES, ids=["plain", "cache and reasoning", "cache"])
    def test_used_is_what_the_server_said(
        self, server: ProviderServer, provider: str, stream: bool, reply: Reply
    ) -> None:
        server.next_replies(reply)
        summary = SUMMARY.open(provider, options(server, provider, stream=stream)).summarize(SPOKEN)
        [served] = server.answered
        expected = told(served.counts)
        if provider == "anthropic":
            expected.pop("tokens_reasoning", None)  # its usage has thinking inside the output, uncounted
        assert summary.text == reply.text
        assert used(summary.spent) == expected
        assert summary.spent.request_id == served.request_id
        assert summary.spent.fault is None

    def test_a_service_tier_with_a_price_of_its_own(
        self, server: ProviderServer, provider: str, stream: bool
    ) -> None:
        """An account may be set to another tier than the standard one without the request saying so."""
        server.next_replies(Reply(tier="priority"))
        summary = SUMMARY.open(provider, options(server, provider, stream=stream)).summarize(SPOKEN)
        expected = None if provider == "gemini" else "priority"  # its API states none
        assert summary.spent.usage.get("service_tier") == expected

    def test_the_sdks_own_retries(self, server: ProviderServer, provider: str, stream: bool) -> None:
        server.next_replies(Reply("busy"), Reply("error"))
        summary = SUMMARY.open(provider, options(server, provider, stream=stream)).summarize(SPOKEN)
        assert [served.status for served in server.served] == [429, 500, 200]
        assert used(summary.spent) == told(server.served[-1].counts)

    def test_a_server_that_stays_down_is_raised(
        self, server: ProviderServer, provider: str, stream: bool
    ) -> None:
        server.next_replies(*[Reply("error")] * 9)
        engine = SUMMARY.open(provider, options(server, provider, stream=stream))
        with pytest.raises(Exception, match="loopback answer 500"):
            engine.summarize(SPOKEN)
        assert len(server.served) == 3

    def test_a_refusal_is_told_apart(self, server: ProviderServer, provider: str, stream: bool) -> None:
        server.next_replies(Reply("refuse"))
        with pytest.raises(Refused, match=r"the provider refused the request: .*loopback answer 401"):
            SUMMARY.open(provider, options(server, provider, stream=stream)).summarize(SPOKEN)

    def test_reservations_cover_what_is_used(
        self, server: ProviderServer, provider: str, stream: bool
    ) -> None:
        engine = SUMMARY.open(provider, options(server, provider, stream=stream))
        needs, spent = engine.needs(SPOKEN), engine.summarize(SPOKEN).spent
        assert needs.tokens_input >= spent.usage["tokens_input"]
        assert needs.max_tokens_output == 400


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_breaks_is_told_with_what_is_known(server: ProviderServer, provider: str) -> None:
    server.next_replies(Reply("hang-up"))
    summary = SUMMARY.open(provider, options(server, provider, stream=True)).summarize(SPOKEN)
    assert "the answer broke off" in str(summary.spent.fault)
    assert summary.spent.usage["estimated"] is True
    assert summary.spent.usage["tokens_input"] > 0
    assert 0 < summary.spent.usage["tokens_output"] < 9
    assert Reply().text.startswith(summary.text)
    assert summary.spent.request_id == "req-1"
    with pytest.raises(StageFailed, match="the call is in the ledger"):
        summary.spent.refuse_faulty()


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_after_another_fault_it_is_not_certain_that_nothing_was_served(
    server: ProviderServer, provider: str
) -> None:
    server.next_replies(Reply("error"), Reply("refuse"))
    with pytest.raises(Exception, match="loopback answer 401") as raised:
        SUMMARY.open(provider, options(server, provider)).summarize(SPOKEN)
    assert not isinstance(raised.value, Refused)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_line_that_breaks_is_tried_again(server: ProviderServer, provider: str) -> None:
    server.next_replies(Reply("hang-up"))
    summary = SUMMARY.open(provider, options(server, provider)).summarize(SPOKEN)
    assert used(summary.spent) == told(server.answered[0].counts)
    assert summary.spent.details == {"sdk_retries": 1}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_total_alone_is_passed_on_as_such(server: ProviderServer, stream: bool) -> None:
    server.next_replies(Reply("total-only"))
    summary = SUMMARY.open("openai", options(server, "openai", stream=stream)).summarize(SPOKEN)
    counts = server.served[0].counts
    assert summary.spent.usage == {"tokens_total": counts.tokens_input + counts.tokens_output}


@pytest.mark.parametrize(("provider", "stream"), [("openai", False), ("openai", True), ("gemini", True)])
def test_without_a_usage_it_is_estimated(server: ProviderServer, provider: str, stream: bool) -> None:
    server.next_replies(Reply("silent"))
    spent = SUMMARY.open(provider, options(server, provider, stream=stream)).summarize(SPOKEN).spent
    assert spent.usage["estimated"] is True
    assert spent.usage["tokens_output"] == -(-len(Reply().text) // 4)


@pytest.mark.parametrize(
    ("text", "texts", "fault"),
    [
        ('["buenos días a todos"]', ("buenos días a todos",), None),
        ('["one", "two"]', (), "some-model answered with no JSON list of 1 texts"),
        ("[1]", (), "some-model answered with no JSON list of 1 texts"),
        ("Here you are: hola", (), "some-model answered with no JSON list of 1 texts"),
    ],
)
def test_translation_by_chat(server: ProviderServer, text: str, texts: Any, fault: str | None) -> None:
    server.next_replies(Reply(text=text))
    translated = TRANSLATION.open("openai", options(server, "openai")).translate(["good morning everyone"])
    assert (translated.texts, translated.spent.fault) == (texts, fault)
    assert used(translated.spent) == told(server.served[0].counts)


@pytest.mark.parametrize("before", [[], ["busy"], ["hang-up"]], ids=["at once", "after 429", "after a break"])
def test_transcription_is_billed_as_the_server_said(
    server: ProviderServer, tmp_path: Path, before: list[Any]
) -> None:
    server.next_replies(*map(Reply, before))
    audio = prepare(RECORDING, tmp_path)
    engine = SPEECH.open("openai", options(server, "openai"))
    heard = engine.transcribe(audio)
    assert heard.spent.usage == {"audio_seconds": 14.0}  # 13.9 s, billed by the started second
    assert engine.needs(audio).audio_seconds == 14
    assert heard.spent.request_id == server.answered[0].request_id
    assert heard.segments == (Segment(0.0, 14.0, Reply().text),)


def test_transcription_by_a_model_that_is_billed_by_tokens(server: ProviderServer, tmp_path: Path) -> None:
    audio = prepare(RECORDING, tmp_path)
    engine = SPEECH.open("openai", replace(options(server, "openai"), model="gpt-4o-transcribe"))
    heard = engine.transcribe(audio)
    counts = server.served[0].counts
    assert used(heard.spent) == told(counts) | {"audio_seconds": audio.seconds}
    assert engine.needs(audio).tokens_audio_input >= counts.tokens_audio_input > 0
    assert heard.segments == (Segment(0.0, audio.seconds, Reply().text),)


@pytest.mark.parametrize(
    ("wav", "original", "sent"),
    [
        (100, ("talk.mkv", 10**9), "audio.wav"),
        (25_000_001, ("talk.mp3", 25_000_000), "talk.mp3"),
        (25_000_001, ("talk.mp3", 25_000_001), None),
        (25_000_001, ("talk.mkv", 100), None),
    ],
)
def test_long_recordings_are_sent_as_they_are(
    server: ProviderServer, tmp_path: Path, wav: int, original: tuple[str, int], sent: str | None
) -> None:
    sizes = {"audio.wav": wav, original[0]: original[1]}
    for name, size in sizes.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    audio = Audio(tmp_path / "audio.wav", 800.0, tmp_path / original[0])
    if sent:
        assert upload(audio) == tmp_path / sent
    else:
        with pytest.raises(StageFailed, match=f"{original[0]} cannot be sent"):
            SPEECH.open("openai", options(server, "openai")).needs(audio)
    assert server.served == []


def test_transcription_without_a_usage_is_estimated(server: ProviderServer, tmp_path: Path) -> None:
    server.next_replies(Reply("silent"))
    audio = prepare(RECORDING, tmp_path)
    heard = SPEECH.open("openai", options(server, "openai")).transcribe(audio)
    assert heard.spent.usage == {"audio_seconds": audio.seconds, "estimated": True}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_a_key_nothing_is_sent(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEYS[provider], raising=False)
    with pytest.raises(StageFailed, match=f"set {KEYS[provider]}"):
        SUMMARY.open(provider, EngineOptions(model="some-model"))


def test_a_server_of_ones_own_needs_no_key(server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert SUMMARY.open("openai", options(server, "openai")).summarize(SPOKEN).text == Reply().text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_model_to_pay_for_is_never_guessed(server: ProviderServer, provider: str) -> None:
    with pytest.raises(StageFailed, match="name the model to use: --model"):
        SUMMARY.open(provider, EngineOptions(base_url=server.url(provider)))


def test_the_bound_holds_for_scripts_with_many_bytes() -> None:
    hindi = "नमस्ते दुनिया"
    assert Prompt("", hindi).most_tokens() >= len(hindi.encode())
