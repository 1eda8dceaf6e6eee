"""Real SDKs against the loopback provider, into the ledger: what is recorded is what the server said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.ledger.reader import read
from shared.costs.model import Entry
from tests.support.lazily import Lazily
from tests.support.provider import ProviderServer, Reply

openai = Lazily("openai")
anthropic = Lazily("anthropic")
genai = Lazily("google.genai")

ASK: Any = [{"role": "user", "content": "Say what the notice says."}]
KEPT: list[Any] = []
"""Gemini's clients close their connections when they are dropped, also under a stream."""


@dataclass(frozen=True)
class Sdk:
    """One SDK's way to ask: ``client(server, asynchronous, retries)``, and a call that may stream."""

    name: str
    service: str
    client: Callable[[ProviderServer, bool, int], Any]
    ask: Callable[[Any, bool], Any]


def openai_client(server: ProviderServer, asynchronous: bool, retries: int) -> Any:
    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    return kind(api_key="k", base_url=server.url("openai"), max_retries=retries)


def openai_chat(client: Any, stream: bool) -> Any:
    more: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return client.chat.completions.create(model="gpt-4o", messages=ASK, **more)


def openai_response(client: Any, stream: bool) -> Any:
    return client.responses.create(model="gpt-5", input="Say it.", stream=stream)


def anthropic_client(server: ProviderServer, asynchronous: bool, retries: int) -> Any:
    kind = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
    return kind(api_key="k", base_url=server.url("anthropic"), max_retries=retries)


def anthropic_message(client: Any, stream: bool) -> Any:
    return client.messages.create(model="claude-sonnet-4-6", max_tokens=99, messages=ASK, stream=stream)


def gemini_client(server: ProviderServer, asynchronous: bool, retries: int) -> Any:
    again = genai.types.HttpRetryOptions(attempts=retries + 1, initial_delay=0.001, jitter=0.001)
    options = genai.types.HttpOptions(base_url=server.url("gemini"), retry_options=again)
    KEPT.append(genai.Client(api_key="k", http_options=options))
    return KEPT[-1].aio if asynchronous else KEPT[-1]


def gemini_content(client: Any, stream: bool) -> Any:
    send = client.models.generate_content_stream if stream else client.models.generate_content
    return send(model="gemini-2.5-pro", contents="Say it.")


SDKS = [
    Sdk("openai-chat", "openai", openai_client, openai_chat),
    Sdk("openai-responses", "openai", openai_client, openai_response),
    Sdk("anthropic", "anthropic", anthropic_client, anthropic_message),
    Sdk("gemini", "google", gemini_client, gemini_content),
]

pytestmark = [
    pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name),
    pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"]),
    # google-genai takes aiohttp where it is installed, which does not like how.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]


@dataclass(frozen=True)
class Bench:
    """Makes calls with an SDK and records them as people do."""

    tracker: CostTracker
    server: ProviderServer
    sdk: Sdk
    asynchronous: bool

    def call(self, *, stream: bool = False, retries: int = 0) -> None:
        """One call, recorded when it has its answer."""
        if self.asynchronous:
            asyncio.run(self._awaited(stream, retries))
            return
        answer = self.sdk.ask(self.sdk.client(self.server, False, retries), stream)
        if not stream:
            self.tracker.log_response(answer)
            return
        for _ in self.tracker.log_stream(answer):
            pass

    async def _awaited(self, stream: bool, retries: int) -> None:
        answer: Awaitable[Any] = self.sdk.ask(self.sdk.client(self.server, True, retries), stream)
        if not stream:
            await self.tracker.alog_response(await answer)
            return
        async for _ in self.tracker.log_stream(await answer):
            pass

    @property
    def entries(self) -> list[Entry]:
        """What is in the ledger."""
        ledger = self.tracker._session.job.ledger
        found = [located.content for located in read(ledger)] if ledger.exists() else []
        return [entry for entry in found if isinstance(entry, Entry)]

    def recorded_is_served(self) -> None:
        """The one entry says what the server said when it answered well."""
        [entry], [served] = self.entries, self.server.answered
        usage, counts = entry.usage, served.counts
        assert (entry.service, entry.model) == (self.sdk.service, served.asked.model)
        assert entry.request_id == served.request_id
        assert (usage.tokens_input, usage.tokens_output) == (counts.tokens_input, counts.tokens_output)
        assert usage.tokens_cached == counts.tokens_cached == 100
        assert usage.tokens_reasoning == (0 if self.sdk.name == "anthropic" else counts.tokens_reasoning)
        assert not entry.estimated
        assert entry.cost > 0


@pytest.fixture
def bench(tracker: CostTracker, server: ProviderServer, sdk: Sdk, asynchronous: bool) -> Bench:
    return Bench(tracker, server, sdk, asynchronous)


NORMAL = Reply(cached=100, reasoning=12)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
class TestServed:
    def test_an_answer(self, bench: Bench, stream: bool) -> None:
        bench.server.next_replies(NORMAL)
        bench.call(stream=stream)
        bench.recorded_is_served()

    @pytest.mark.no_cover
    def test_an_answer_after_two_tries(self, bench: Bench, stream: bool) -> None:
        bench.server.next_replies(Reply("busy"), Reply("error"), NORMAL)
        bench.call(stream=stream, retries=2)
        assert [served.status for served in bench.server.served] == [429, 500, 200]
        bench.recorded_is_served()

    @pytest.mark.no_cover
    def test_an_error_is_not_billed(self, bench: Bench, stream: bool) -> None:
        bench.server.next_replies(Reply("error"))
        with pytest.raises(Exception, match="500"):
            bench.call(stream=stream)
        assert bench.entries == []


def test_a_line_that_breaks_in_the_middle_of_a_stream(bench: Bench) -> None:
    bench.server.next_replies(Reply("hang-up", cached=100))
    with suppress(Exception):  # google-genai, where it works with aiohttp, lets it pass for the end
        bench.call(stream=True)
    [entry] = bench.entries
    assert entry.estimated
    assert str(entry.metadata["incomplete"]).startswith(("the stream broke (", "the stream ended before"))
    assert entry.request_id == bench.server.served[-1].request_id
    assert 0 < entry.usage.tokens_output < 9, "what had come of nine words"


def test_a_line_that_breaks_in_the_middle_of_an_answer(bench: Bench) -> None:
    bench.server.next_replies(Reply("hang-up"))
    with pytest.raises(Exception, match=r"^"):
        bench.call()
    assert bench.entries == [], "nothing came that tells of the call: a reservation would go on counting"
