"""The hooks with their real libraries, against a loopback provider."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from capture_sink import Broken, Calls

from shared.costs.capture.agent_sessions import KnownSessions
from shared.costs.capture.hooks.langchain import ModelCalls
from shared.costs.extras import needs
from shared.costs.model import Usage
from shared.costs.run.child import Reporter
from tests.support.elapsed import PATIENCE_S
from tests.support.provider import ProviderServer, Reply


@pytest.fixture
def calls() -> Calls:
    return Calls()


def is_what_was_served(calls: Calls, server: ProviderServer) -> None:
    assert len(calls) == len(server.answered)
    for call, served in zip(calls, server.answered, strict=True):
        assert call.usage.tokens_input == served.counts.tokens_input
        assert call.usage.tokens_output == served.counts.tokens_output
        assert call.usage.tokens_cached == served.counts.tokens_cached
        assert call.incomplete is None


UPSTREAM = {"upstream_inference_cost": 0.0123}


class TestLangChain:
    def model(self, server: ProviderServer, sink: Any, **more: Any) -> Any:
        chat = pytest.importorskip("langchain_openai").ChatOpenAI
        from shared.costs.capture.hooks.langchain import CostCallbackHandler

        settings = {"model": "gpt-4o", "api_key": "k", "base_url": server.url("openai"), "max_retries": 0}
        return chat(**settings, callbacks=[CostCallbackHandler(sink)], **more)

    @pytest.mark.no_cover
    def test_invoke(self, server: ProviderServer, calls: Calls) -> None:
        server.next_replies(Reply(cached=100, reasoning=5))
        self.model(server, calls).invoke("Say it.")
        is_what_was_served(calls, server)
        [call] = calls
        assert (call.service, call.model, call.request_id) == ("openai", "gpt-4o", "req-1")
        assert call.usage.tokens_reasoning == 5

    def test_stream_and_async(self, server: ProviderServer, calls: Calls) -> None:
        model = self.model(server, calls, stream_usage=True)
        assert len(list(model.stream("Say it."))) > 3

        async def ask() -> None:
            await model.ainvoke("Say it.")
            assert [chunk async for chunk in model.astream("Say it.")]

        asyncio.run(ask())
        is_what_was_served(calls, server)
        assert len(calls) == 3

    def test_batches_are_ordinary_calls(self, server: ProviderServer, calls: Calls) -> None:
        self.model(server, calls).batch(["one", "two"], config={"max_concurrency": 1})
        assert len(calls) == 2
        is_what_was_served(calls, server)

    def test_an_error_is_not_billed(self, server: ProviderServer, calls: Calls) -> None:
        server.next_replies(Reply("error"))
        with pytest.raises(Exception, match="500"):
            self.model(server, calls).invoke("Say it.")
        assert calls == []

    def test_a_stream_that_breaks(self, server: ProviderServer, calls: Calls) -> None:
        server.next_replies(Reply("hang-up"))
        with pytest.raises(Exception, match=r"."):
            list(self.model(server, calls, stream_usage=True).stream("Say it."))
        [call] = calls
        assert "broke" in (call.incomplete or "")
        assert call.usage.tokens_output > 0
        assert call.model == "gpt-4o"

    def test_a_sink_that_fails_does_not_reach_the_chain(
        self, server: ProviderServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.model(server, Broken()).invoke("Say it.").content
        assert "disk full" in caplog.text


class TestLangChainsCalls:
    """What the handler makes of LangChain's words, without LangChain."""

    def message(self, **more: Any) -> dict[str, Any]:
        return {
            "generations": [
                [{"message": {"type": "ai", "content": "Hello.", "response_metadata": {}} | more}]
            ]
        }

    def test_names_that_the_response_does_not_repeat(self, calls: Calls) -> None:
        under_way, run = ModelCalls(calls), uuid4()
        under_way.begin(run, {"ls_provider": "google_genai", "ls_model_name": "gemini-2.5-pro"})
        under_way.end(run, self.message(usage_metadata={"input_tokens": 5, "output_tokens": 1}))
        [call] = calls
        assert (call.service, call.model, call.usage.tokens_total) == ("google", "gemini-2.5-pro", 6)

    @pytest.mark.parametrize(
        ("client", "says", "service", "bill"),
        [
            ("azure", {"model_provider": "openai", "model_name": "gpt-4o"}, "azure", None),
            ("openrouter", {"cost": 0.0123, "cost_details": None}, "openrouter", 12_300_000),
            ("openrouter", {"cost": 0.0006, "cost_details": UPSTREAM}, "openrouter", 12_900_000),
            ("openrouter", {"cost": 0.0123, "cost_details": UPSTREAM}, "openrouter", 12_300_000),
            ("openrouter", {"cost": 0.0122, "cost_details": UPSTREAM}, "openrouter", 12_200_000),
            ("openai", {"model_provider": "openai", "model_name": "gpt-4o"}, "openai", None),
            ("google_vertexai", {"model_name": "gpt-4o"}, "vertex", None),
            ("anthropic-bedrock", {"model_provider": "anthropic", "model_name": "gpt-4o"}, "bedrock", None),
            ("anthropic-mantle", {"model_provider": "anthropic", "model_name": "gpt-4o"}, "bedrock", None),
        ],
    )
    def test_who_serves_a_call_and_what_it_bills_where_the_message_says_neither(
        self, calls: Calls, client: str, says: dict[str, Any], service: str, bill: int | None
    ) -> None:
        under_way, run = ModelCalls(calls), uuid4()
        under_way.begin(run, {"ls_provider": client, "ls_model_name": "gpt-4o"})
        used = {"input_tokens": 5, "output_tokens": 1}
        under_way.end(run, self.message(usage_metadata=used, response_metadata=says))
        assert [(call.service, call.model, call.actual_cost) for call in calls] == [(service, "gpt-4o", bill)]

    @pytest.mark.parametrize(
        ("client", "told", "service", "region"),
        [
            ({"vertexai": True, "location": "europe-west1"}, {}, "vertex", "europe-west1"),
            ({"project": "p"}, {"GOOGLE_CLOUD_LOCATION": "global"}, "vertex", "global"),
            ({"credentials": {"type": "not_implemented"}}, {}, "vertex", None),
            ({}, {"GOOGLE_GENAI_USE_VERTEXAI": "True"}, "vertex", None),
            ({"project": "p"}, {"GOOGLE_GENAI_USE_VERTEXAI": "0"}, "google", None),
            ({"vertexai": False, "project": "p"}, {"GOOGLE_GENAI_USE_VERTEXAI": "1"}, "google", None),
            ({"google_api_key": "k"}, {"GOOGLE_CLOUD_LOCATION": "europe-west1"}, "google", None),
        ],
    )
    def test_gemini_by_vertex_is_told_by_its_client_alone(
        self,
        calls: Calls,
        client: dict[str, Any],
        told: dict[str, str],
        service: str,
        region: str | None,
    ) -> None:
        pytest.importorskip("langchain_core")
        from shared.costs.capture.hooks.langchain import CostCallbackHandler

        handler = CostCallbackHandler(calls)
        about = {"model_provider": "google_genai", "model_name": "gemini-2.5-pro"}
        answer = self.message(usage_metadata={"input_tokens": 5, "output_tokens": 1}, response_metadata=about)
        unset = {"GOOGLE_GENAI_USE_VERTEXAI": "", "GOOGLE_CLOUD_LOCATION": ""}
        with patch.dict(os.environ, unset | told):
            for start in (handler.on_llm_start, handler.on_chat_model_start):
                run = uuid4()
                start({"kwargs": client}, [], run_id=run, metadata={"ls_provider": "google_genai"})
                handler.on_llm_end(answer, run_id=run)
        assert [(call.service, call.region) for call in calls] == [(service, region)] * 2

    def test_a_message_of_bedrock_says_so_by_its_id(self, calls: Calls) -> None:
        usage = {"input_tokens": 5, "output_tokens": 1}
        about = {"model_provider": "anthropic", "model_name": "claude-sonnet-4-5", "usage": usage}
        result = self.message(usage_metadata=usage, response_metadata={**about, "id": "msg_bdrk_01"})
        ModelCalls(calls).end(uuid4(), result)
        assert [(call.service, call.usage) for call in calls] == [("bedrock", Usage(5, 1))]

    def test_the_usage_of_a_chat_stands_in_its_result_where_its_messages_have_none(
        self, calls: Calls
    ) -> None:
        result: dict[str, Any] = self.message(response_metadata={"finish_reason": "stop"})
        used = {"prompt_tokens": 70, "completion_tokens": 6, "total_tokens": 76}
        ModelCalls(calls).end(
            uuid4(), {**result, "llm_output": {"token_usage": used, "model_name": "gpt-4o"}}
        )
        assert [(call.service, call.model, call.usage) for call in calls] == [
            ("openai", "gpt-4o", Usage(70, 6))
        ]

    def test_a_call_that_nobody_named(self, calls: Calls) -> None:
        ModelCalls(calls).end(uuid4(), self.message())
        assert (calls[0].service, calls[0].model) == ("langchain", "unknown")

    def test_what_came_before_it_broke(self, calls: Calls) -> None:
        under_way = ModelCalls(calls)
        under_way.fail(uuid4(), self.message(), TimeoutError("secret"))
        [call] = calls
        assert call.usage.tokens_output == 2
        assert "broke (TimeoutError)" in (call.incomplete or "")
        under_way.fail(uuid4(), self.message(content=""), TimeoutError())
        under_way.fail(uuid4(), None, TimeoutError())
        assert len(calls) == 1, "what never answered is not billed"

    def test_an_answer_that_was_cut_off_and_cannot_be_parsed(self, calls: Calls) -> None:
        under_way, run = ModelCalls(calls), uuid4()
        under_way.begin(run, {"ls_provider": "azure", "ls_model_name": "gpt-4o"})
        used = {"prompt_tokens": 70, "completion_tokens": 6, "total_tokens": 76}
        error = ValueError("the length limit was reached")
        error.completion = {  # type: ignore[attr-defined]
            "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o", "choices": [], "usage": used
        }  # fmt: skip
        under_way.fail(run, None, error)
        assert [(call.service, call.model, call.usage, call.incomplete) for call in calls] == [
            ("azure", "gpt-4o", Usage(70, 6), None)
        ]

    def test_a_sink_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        ModelCalls(Broken()).end(uuid4(), self.message())
        assert "disk full" in caplog.text


LITELLM_PYTHON = os.environ.get("LITELLM_PYTHON", sys.executable)
LITELLM_PROGRAM = """
import asyncio, json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
from shared.costs.capture.hooks.litellm import CostLogger

class Calls(list):
    def record_captured(self, call):
        self.append(call)
        return 0.0

calls = Calls()
litellm.callbacks = [CostLogger(calls)]
said = [{"role": "user", "content": "Say it."}]
ask = dict(model="openai/gpt-4o", messages=said, api_key="k", api_base=sys.argv[1])
stream = dict(stream=True, stream_options={"include_usage": True})

async def main():
    await litellm.acompletion(**ask)
    async for chunk in await litellm.acompletion(**ask, **stream):
        pass
    claude = dict(model="anthropic/claude-sonnet-4-6", max_tokens=99, api_base=sys.argv[2])
    await litellm.acompletion(**{**ask, **claude})
    for _ in range(200):
        if len(calls) == 3:
            break
        await asyncio.sleep(0.05)

asyncio.run(main())
litellm.completion(**ask)
for chunk in litellm.completion(**ask, **stream):
    pass
import time
for _ in range(200):  # LiteLLM logs synchronous calls from threads of its own
    if len(calls) == 5:
        break
    time.sleep(0.05)
from shared.costs.capture.reading import read_response
logged = calls[:]  # the next one is logged too, by and by
direct = read_response(litellm.completion(**ask))[0]
print(json.dumps([[c.service, c.model, c.usage.tokens_input, c.usage.tokens_output, c.usage.tokens_cached,
                   c.usage.tokens_cache_write, c.actual_cost, c.incomplete] for c in [*logged, direct]]))
"""


def has_litellm() -> bool:
    look = [
        LITELLM_PYTHON,
        "-c",
        "import importlib.util, sys; sys.exit(not importlib.util.find_spec('litellm'))",
    ]
    return subprocess.run(look, check=False).returncode == 0


@pytest.mark.skipif(
    not has_litellm(), reason="litellm is not installed (350 MB); LITELLM_PYTHON may name one"
)
def test_litellm(server: ProviderServer) -> None:
    """In a process of its own: importing LiteLLM takes seconds and changes the process."""
    import json

    server.next_replies(*[Reply(cached=100, written=20)] * 6)
    root = Path(__file__).parents[3]
    addresses = [server.url("openai"), server.url("anthropic")]
    done = subprocess.run(
        [LITELLM_PYTHON, "-c", LITELLM_PROGRAM, *addresses],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    calls = json.loads(done.stdout.splitlines()[-1])
    assert len(calls) == 6, done.stderr
    assert sorted(call[0] for call in calls) == ["anthropic", *["openai"] * 5]
    served = sorted((s.counts.tokens_input, s.counts.tokens_output) for s in server.answered)
    assert sorted((call[2], call[3]) for call in calls) == served
    for *_, cached, written, cost, incomplete in calls:
        assert (cached, written) == (100, 20)
        assert cost > 0, "LiteLLM states a cost"
        assert incomplete is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_a_fork_while_a_thread_is_in_a_hook(calls: Calls) -> None:
    """Another thread's lock stays held in the child for ever: its first call would not return."""
    from opentelemetry.sdk.trace import TracerProvider

    from shared.costs.capture.hooks.opentelemetry import CostSpanProcessor

    processor, chains = CostSpanProcessor(calls), ModelCalls(calls)
    sessions, reporter = KnownSessions(), Reporter()
    provider = TracerProvider()
    provider.add_span_processor(processor)
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with processor._lock, chains._lock, sessions._lock, reporter._lock:
            held.set()
            over.wait()

    def call() -> None:
        chains.begin(uuid4(), None)
        provider.get_tracer("calls").start_span("chat").end()
        sessions.add_steps("s", {})
        reporter._holding()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = multiprocessing.get_context("fork").Process(target=call)
    child.start()
    child.join(PATIENCE_S)
    code = child.exitcode
    child.kill()
    over.set()
    thread.join()
    assert code == 0, "the child waits for a thread that it does not have"


ENDINGS_PROGRAM = """
import asyncio, atexit, sys, threading, types
custom = types.ModuleType("litellm.integrations.custom_logger")
custom.CustomLogger = object
sys.modules["litellm.integrations.custom_logger"] = custom
from concurrent.futures import ThreadPoolExecutor
from shared.costs.capture.hooks.litellm import CostLogger

class Sink:
    def record_captured(self, call):
        print(call.usage.tokens_input, flush=True)
        return 0.0

usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
answer = {"object": "chat.completion", "model": "gpt-4o", "usage": usage}
about = {"model": "gpt-4o", "litellm_params": {"custom_llm_provider": "openai"}}

def told(number):
    usage["prompt_tokens"] = number
    said = {"kwargs": about, "response_obj": {**answer, "usage": dict(usage)}, "start_time": 0, "end_time": 0}
    return CostLogger(Sink()).async_log_success_event(**said)

async def main():
    loop, free = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    loop.run_in_executor(None, free.wait)
    begun = asyncio.create_task(told(1))
    await asyncio.sleep(0)  # it waits for a thread now
    begun.cancel()
    await asyncio.gather(begun, return_exceptions=True)
    free.set()

atexit.register(lambda: asyncio.new_event_loop().run_until_complete(told(2)))
asyncio.run(main())
"""


def test_litellm_tells_of_calls_as_loop_and_program_end() -> None:
    """As LiteLLM 1.110.2 does: it cancels callbacks that have begun, and begins the others at exit."""
    program, root = [sys.executable, "-c", ENDINGS_PROGRAM], Path(__file__).parents[3]
    done = subprocess.run(program, cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["1", "2"], "")


def test_a_missing_library_says_what_to_install() -> None:
    with pytest.raises(ImportError, match="pip install acme-sdk"):
        needs("acme-sdk")()
