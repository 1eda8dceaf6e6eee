"""Streams of the real SDKs against a loopback provider: logged once, however they end."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shared.costs.capture.captured import Captured
from shared.costs.capture.streams import track_stream
from shared.costs.capture.watch import NO_NAMES, StreamNames, Watch
from shared.costs.model import Usage
from shared.costs.run.stream_usage import without_usage_chunk
from tests.support.lazily import Lazily
from tests.support.provider import ProviderServer, Reply

openai = Lazily("openai")
anthropic = Lazily("anthropic")
genai = Lazily("google.genai")

ASK: Any = [{"role": "user", "content": "Say what the notice says."}]
USAGE: Any = {"include_usage": True}
KEPT: list[Any] = []


@pytest.fixture
def calls() -> list[Captured]:
    return []


def openai_client(server: ProviderServer, kind: str = "OpenAI") -> Any:
    return getattr(openai, kind)(api_key="k", base_url=server.url("openai"), max_retries=0)


def anthropic_client(server: ProviderServer, kind: str = "Anthropic") -> Any:
    return getattr(anthropic, kind)(api_key="k", base_url=server.url("anthropic"), max_retries=0)


def gemini_client(server: ProviderServer) -> Any:
    client = genai.Client(api_key="k", http_options={"base_url": server.url("gemini")})
    KEPT.append(client)  # it closes its connections when it is dropped, also under a stream
    return client


def openai_stream(server: ProviderServer, **more: Any) -> Any:
    return openai_client(server).chat.completions.create(model="gpt-4o", messages=ASK, stream=True, **more)


def anthropic_stream(server: ProviderServer) -> Any:
    client = anthropic_client(server)
    return client.messages.create(model="claude-sonnet-4-6", max_tokens=99, messages=ASK, stream=True)


def gemini_stream(server: ProviderServer) -> Any:
    return gemini_client(server).models.generate_content_stream(model="gemini-2.5-pro", contents="Say it.")


def is_what_was_served(call: Captured, server: ProviderServer) -> None:
    counts = server.served[-1].counts
    assert call.usage == Usage(
        tokens_input=counts.tokens_input,
        tokens_output=counts.tokens_output,
        tokens_cached=counts.tokens_cached,
        tokens_cache_write=counts.tokens_cache_write,
        tokens_reasoning=call.usage.tokens_reasoning,
    )
    assert call.incomplete is None
    assert call.request_id == server.served[-1].request_id


@pytest.mark.parametrize(
    ("begin", "service"),
    [
        (lambda server: openai_stream(server, stream_options=USAGE), "openai"),
        (anthropic_stream, "anthropic"),
        (gemini_stream, "google"),
    ],
)
def test_a_stream_read_to_its_end(
    server: ProviderServer, calls: list[Captured], begin: Callable[[Any], Any], service: str
) -> None:
    server.next_replies(Reply(cached=100, reasoning=12))
    stream = track_stream(begin(server), calls.append)
    assert calls == []
    assert sum(1 for _ in stream) > 3
    [call] = calls
    assert call.service == service
    is_what_was_served(call, server)


# google-genai takes aiohttp where it is installed, which does not like how.
@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
def test_asynchronous_streams(server: ProviderServer, calls: list[Captured]) -> None:
    async def read() -> None:
        client = openai_client(server, "AsyncOpenAI")
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=ASK, stream=True, stream_options=USAGE
        )
        async for _ in track_stream(stream, calls.append):
            pass
        is_what_was_served(calls[0], server)
        other = anthropic_client(server, "AsyncAnthropic")
        async with track_stream(
            await other.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=ASK, stream=True),
            calls.append,
        ) as messages:
            assert (await anext(messages)).type == "message_start"
            async for _ in messages:
                pass
        is_what_was_served(calls[1], server)
        chunks = await gemini_client(server).aio.models.generate_content_stream(
            model="gemini-2.5-pro", contents="Say it."
        )
        tracked = track_stream(chunks, calls.append)
        await anext(tracked)
        await tracked.aclose()

    asyncio.run(read())
    assert len(calls) == 3
    assert "was closed early" in (calls[2].incomplete or "")


def test_openai_sends_no_usage_unless_asked(server: ProviderServer, calls: list[Captured]) -> None:
    assert list(track_stream(openai_stream(server), calls.append))
    [call] = calls
    assert "include_usage" in (call.incomplete or "")
    assert call.usage == Usage(tokens_output=13)  # 52 characters
    assert call.model == "gpt-4o"


class Either:
    """A stream that may be read with ``for`` or with ``async for``, as LiteLLM's."""

    def __init__(self) -> None:
        head = {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": []}
        usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
        self._chunks = iter([head, {**head, "usage": usage}])

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return next(self._chunks)

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


@pytest.mark.parametrize("shown", [lambda stream: stream, without_usage_chunk])
def test_a_stream_that_may_be_read_either_way(calls: list[Captured], shown: Callable[[Any], Any]) -> None:
    def tracked() -> Any:
        return shown(track_stream(Either(), calls.append))

    async def later() -> int:
        return len([chunk async for chunk in tracked()])

    assert len(list(tracked())) == asyncio.run(later()) == 2
    assert [call.usage.tokens_total for call in calls] == [10, 10]


def test_closed_early_by_with(server: ProviderServer, calls: list[Captured]) -> None:
    with track_stream(anthropic_stream(server), calls.append) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
        assert calls == [], "leaving the loop is not the end: the rest may still be read"
    [call] = calls
    assert "was closed early" in (call.incomplete or "")
    assert call.usage.tokens_input == server.served[-1].counts.tokens_input


def test_closed_early_by_close(server: ProviderServer, calls: list[Captured]) -> None:
    stream = track_stream(openai_stream(server), calls.append)
    next(stream)
    stream.close()
    stream.close()
    assert len(calls) == 1


def test_read_on_after_leaving_the_loop(server: ProviderServer, calls: list[Captured]) -> None:
    stream = track_stream(openai_stream(server, stream_options=USAGE), calls.append)
    for _ in stream:
        break
    for _ in stream:
        pass
    [call] = calls
    is_what_was_served(call, server)


def test_dropped(server: ProviderServer, calls: list[Captured]) -> None:
    stream = track_stream(anthropic_stream(server), calls.append)
    next(iter(stream))
    stream.response.close()
    del stream
    gc.collect()
    [call] = calls
    assert "was dropped" in (call.incomplete or "")


@pytest.mark.parametrize("begin", [openai_stream, anthropic_stream, gemini_stream])
def test_broken_by_the_server(
    server: ProviderServer, calls: list[Captured], begin: Callable[[Any], Any]
) -> None:
    server.next_replies(Reply("hang-up"))
    with pytest.raises(Exception, match=r".") as raised:
        list(track_stream(begin(server), calls.append))
    [call] = calls
    assert f"broke ({raised.type.__name__})" in (call.incomplete or "")
    assert call.usage.tokens_output > 0


def test_broken_by_the_reader(server: ProviderServer, calls: list[Captured]) -> None:
    def read() -> None:
        with track_stream(anthropic_stream(server), calls.append) as stream:
            for _ in stream:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()
    assert "broke (ZeroDivisionError)" in (calls[0].incomplete or "")


@pytest.mark.parametrize("how", ["text_stream", "get_final_message", "events", "cut"])
def test_the_stream_helper_of_anthropic(server: ProviderServer, calls: list[Captured], how: str) -> None:
    manager = anthropic_client(server).messages.stream(model="claude-sonnet-4-6", max_tokens=9, messages=ASK)
    with track_stream(manager, calls.append) as stream:
        if how == "text_stream":
            assert "".join(stream.text_stream)
        elif how == "get_final_message":
            assert stream.get_final_message().usage
        elif how == "events":
            assert list(stream)
        else:
            next(stream.text_stream)
    [call] = calls
    if how == "cut":
        assert "was closed early" in (call.incomplete or "")
        assert call.usage.tokens_input == server.served[-1].counts.tokens_input
        assert call.usage.tokens_output > 0
    else:
        is_what_was_served(call, server)


def test_the_asynchronous_stream_helper_of_anthropic(server: ProviderServer, calls: list[Captured]) -> None:
    async def read() -> None:
        client = anthropic_client(server, "AsyncAnthropic")
        manager = client.messages.stream(model="claude-sonnet-4-6", max_tokens=9, messages=ASK)
        async with track_stream(manager, calls.append) as stream:
            assert await stream.get_final_message()

    asyncio.run(read())
    is_what_was_served(calls[0], server)


@pytest.mark.parametrize("how", ["get_final_completion", "events", "cut"])
def test_the_stream_helper_of_openai(server: ProviderServer, calls: list[Captured], how: str) -> None:
    manager = openai_client(server).chat.completions.stream(
        model="gpt-4o", messages=ASK, stream_options=USAGE
    )
    with track_stream(manager, calls.append) as stream:
        if how == "get_final_completion":
            assert stream.get_final_completion().usage
        elif how == "events":
            assert list(stream)
        else:
            iter(stream._iterator).__next__()  # read from within, as get_final_completion() does
    [call] = calls
    if how == "cut":
        assert "was closed early" in (call.incomplete or "")
        assert (call.model, call.usage.tokens_output > 0) == ("gpt-4o", True)
    else:
        is_what_was_served(call, server)


@pytest.mark.parametrize("how", ["create", "get_final_response", "events", "cut", "asynchronous"])
def test_streams_of_responses(server: ProviderServer, calls: list[Captured], how: str) -> None:
    server.next_replies(Reply(cached=100, reasoning=12))
    request: Any = {"model": "gpt-5", "input": "Say what the notice says."}
    client = openai_client(server)
    if how == "create":
        assert list(track_stream(client.responses.create(**request, stream=True), calls.append))
    elif how == "asynchronous":
        asyncio.run(read_a_response(openai_client(server, "AsyncOpenAI"), request, calls))
    else:
        with track_stream(client.responses.stream(**request), calls.append) as stream:
            if how == "get_final_response":
                assert stream.get_final_response().usage
            elif how == "events":
                assert list(stream)
            else:
                for event in stream:
                    if event.type == "response.output_text.delta":
                        break
    [call] = calls
    if how == "cut":
        assert "was closed early" in (call.incomplete or "")
        assert (call.request_id, call.model, call.usage.tokens_output) == ("req-1", "gpt-5", 1)
    else:
        is_what_was_served(call, server)
        assert call.usage.tokens_reasoning == 12


async def read_a_response(client: Any, request: dict[str, Any], calls: list[Captured]) -> None:
    async with track_stream(client.responses.stream(**request), calls.append) as stream:
        assert (await stream.get_final_response()).usage


def test_closing_an_asynchronous_stream(server: ProviderServer, calls: list[Captured]) -> None:
    async def read() -> None:
        client = openai_client(server, "AsyncOpenAI")
        stream = track_stream(
            await client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True), calls.append
        )
        await anext(stream)
        await stream.close()

    asyncio.run(read())
    assert "was closed early" in (calls[0].incomplete or "")


def test_an_asynchronous_stream_that_breaks(server: ProviderServer, calls: list[Captured]) -> None:
    async def read() -> None:
        client = anthropic_client(server, "AsyncAnthropic")
        stream = await client.messages.create(
            model="claude-sonnet-4-6", max_tokens=9, messages=ASK, stream=True
        )
        async for _ in track_stream(stream, calls.append):
            pass

    server.next_replies(Reply("hang-up"))
    with pytest.raises(Exception, match=r"^"):
        asyncio.run(read())
    assert "broke" in (calls[0].incomplete or "")


def test_a_tracked_stream_is_as_the_original(server: ProviderServer, calls: list[Captured]) -> None:
    original = openai_stream(server)
    stream = track_stream(original, calls.append)
    assert isinstance(stream, openai.Stream)
    assert stream.response is original.response
    stream.mark = 5
    assert original.mark == 5
    assert set(dir(stream)) >= {"close", "response"}
    assert repr(stream) == repr(original)
    stream.close()


def test_the_dict_of_bedrock(calls: list[Captured]) -> None:
    events = iter(
        [{"metadata": {"usage": {"inputTokens": 7, "outputTokens": 2}, "metrics": {"latencyMs": 1}}}]
    )
    answer = {"ResponseMetadata": {"RequestId": "b-1"}, "stream": events}
    tracked = track_stream(answer, calls.append, StreamNames(model="amazon.nova-lite-v1:0"))
    assert tracked["ResponseMetadata"] is answer["ResponseMetadata"]
    list(tracked["stream"])
    assert (calls[0].request_id, calls[0].usage.tokens_total, calls[0].model) == (
        "b-1",
        9,
        "amazon.nova-lite-v1:0",
    )


@pytest.mark.parametrize("wrong", [5, {"no": "stream"}, object()])
def test_what_is_no_stream_is_refused(wrong: object, calls: list[Captured]) -> None:
    with pytest.raises(TypeError, match="not a stream"):
        track_stream(wrong, calls.append)


def test_a_stream_of_no_known_provider(calls: list[Captured], caplog: pytest.LogCaptureFixture) -> None:
    assert list(track_stream(iter(["a", "b"]), calls.append)) == ["a", "b"]
    assert calls == []
    assert "an unknown provider" in caplog.text


def test_a_stream_of_a_named_provider_is_never_missing(calls: list[Captured]) -> None:
    list(track_stream(iter(["a"]), calls.append, StreamNames("acme", "acme-1")))
    [call] = calls
    assert (call.service, call.model, call.usage) == ("acme", "acme-1", Usage())
    assert "nothing in it could be counted" in (call.incomplete or "")


def test_a_stream_cut_before_its_first_chunk(server: ProviderServer, calls: list[Captured]) -> None:
    track_stream(openai_stream(server), calls.append).close()
    [call] = calls
    assert (call.service, call.model) == ("openai", "unknown")
    assert call.incomplete


def test_chunks_before_the_first_known_one_are_not_lost(calls: list[Captured]) -> None:
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "12345678"}}
    start = {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 3}}}
    list(track_stream(iter([{"type": "ping"}, delta, start]), calls.append))
    assert calls[0].usage == Usage(tokens_input=3, tokens_output=2)


def test_a_chunk_that_cannot_be_counted(calls: list[Captured], caplog: pytest.LogCaptureFixture) -> None:
    head: dict[str, Any] = {"object": "chat.completion.chunk", "model": "gpt-4o"}
    good = head | {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    start = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": "many"}}}
    assert len(list(track_stream(iter([good, head | {"choices": [{"delta": 5}]}]), calls.append))) == 2
    assert calls[0].usage.tokens_total == 4
    list(track_stream(iter([start]), calls.append))
    assert "input_tokens must be a number from 0 up, not 'many'" in caplog.text
    assert (calls[1].service, calls[1].model, calls[1].usage) == ("unknown", "unknown", Usage())
    assert calls[1].incomplete, "flagged, but never missing"


def test_a_chunk_that_raises_when_it_is_looked_at_does_not_disturb_the_reader(calls: list[Captured]) -> None:
    class Chunk:
        @property
        def object(self) -> str:
            raise RuntimeError("not parsed yet")

    good = {"object": "chat.completion.chunk", "model": "gpt-4o", "usage": {"prompt_tokens": 3}}
    assert len(list(track_stream(iter([Chunk(), good]), calls.append))) == 2
    assert calls[0].usage == Usage(3)


def test_what_the_sink_raises_never_reaches_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    def broken(call: Captured) -> None:
        raise OSError("disk full")

    chunk = {
        "object": "chat.completion.chunk",
        "model": "gpt-4o",
        "choices": [],
        "usage": {"prompt_tokens": 1},
    }
    assert len(list(track_stream(iter([chunk]), broken))) == 1
    assert "disk full" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_many_ends_at_once_are_one(calls: list[Captured]) -> None:
    watch = Watch(object(), calls.append, StreamNames("acme", "m"))
    threads = [threading.Thread(target=watch.finish, args=("ended",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert StreamNames() == NO_NAMES


def test_a_stream_left_open_is_reported_at_exit() -> None:
    script = (
        "from shared.costs.capture.streams import track_stream\n"
        "chunks = iter([{'object': 'chat.completion.chunk', 'model': 'gpt-4o',"
        " 'choices': [{'delta': {'content': 'four'}}]}] * 3)\n"
        "stream = track_stream(chunks, lambda call: print(call.model, call.incomplete))\n"
        "next(stream)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("gpt-4o the stream was dropped before its usage")
