"""What ``run`` records of an unchanged program is what ``log_response`` makes of the same objects."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.model import Entry
from tests.costs.run.run_support import dashboard_run, entries, needs_anthropic, needs_openai

SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}
DRAWN = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "aGk="}
IMAGE = {
    "input_tokens": 50,
    "output_tokens": 4160,
    "total_tokens": 4210,
    "input_tokens_details": {"text_tokens": 50, "image_tokens": 0},
    "output_tokens_details": {"image_tokens": 4160, "text_tokens": 0},
}
RESPONSE = {
    "id": "resp_0123456789abcdef",
    "object": "response",
    "created_at": 1795618492,
    "model": "gpt-5.5",
    "status": "completed",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [{"type": "image_generation", "model": "gpt-image-2"}],
    "output": [SEARCH, SEARCH | {"id": "ws_2"}, DRAWN],
    "tool_usage": {"image_gen": IMAGE, "web_search": {"num_requests": 2}},
    "usage": {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 100,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 1100,
    },
}
COMPACTED = {
    "id": "resp_fedcba9876543210",
    "object": "response.compaction",
    "created_at": 1795618492,
    "output": [{"id": "cmp_1", "type": "compaction", "encrypted_content": "x"}],
    "usage": RESPONSE["usage"],
}
CHAT = {
    "id": "chatcmpl-0123456789",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200},
}
NO_CACHE = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
MESSAGE = {
    "id": "msg_01abc",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5",
    "stop_sequence": None,
    "content": [{"type": "text", "text": "x"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 1000,
        "output_tokens": 100,
        "speed": "fast",
        "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        "iterations": [
            {"type": "message", "input_tokens": 1000, "output_tokens": 100, **NO_CACHE},
            {"type": "compaction", "input_tokens": 50000, "output_tokens": 2000, **NO_CACHE},
        ],
    },
}
GENERATED = {
    "candidates": [
        {
            "content": {"parts": [{"text": "x"}], "role": "model"},
            "finishReason": "STOP",
            "groundingMetadata": {"webSearchQueries": ["a", "b"]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
    "modelVersion": "gemini-3-flash-preview",
    "responseId": "r-1",
}
HEAD = {
    "id": "chatcmpl-9876543210",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
}
CHUNKS = [
    HEAD | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "abcd"}}]},
    HEAD | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]
MAGISTRAL = CHAT | {"model": "mistral-large-latest"}
COMMAND = {
    "id": "c-1",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
    "usage": {
        "billed_units": {"input_tokens": 1000, "output_tokens": 200},
        "tokens": {"input_tokens": 1070, "output_tokens": 200},
    },
}
RANKED = {
    "id": "r-1",
    "results": [{"index": 0, "relevance_score": 0.5}],
    "meta": {"billed_units": {"search_units": 1}},
}
EVENTS: dict[str, list[dict[str, Any]]] = {
    "/mistral/": [
        {
            **MAGISTRAL,
            "id": "m-2",
            "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}],
        }
    ],
    "/v2/chat": [
        {"type": "message-start", "id": "c-2", "delta": {"message": {"role": "assistant"}}},
        {
            "type": "message-end",
            "id": "c-2",
            "delta": {"finish_reason": "COMPLETE", "usage": COMMAND["usage"]},
        },
    ],
}
ANSWERS: dict[str, dict[str, Any]] = {
    "/odd/": {"said": "x"},
    "/mistral/": MAGISTRAL,
    "/v2/chat": COMMAND,
    "/v2/rerank": RANKED,
    "/responses/compact": COMPACTED,
    "/responses": RESPONSE,
    "/messages": MESSAGE,
    "generateContent": GENERATED,
    "/chat/completions": CHAT,
}


class Handler(BaseHTTPRequestHandler):
    """Answers as the providers do; a chat stream states its usage only where it was asked for.

    A chat that names a user is answered under that name as its id.
    """

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked.get("stream") and (events := next((e for p, e in EVENTS.items() if p in self.path), None)):
            lines = [f"event: {each.get('type', '')}\ndata: {json.dumps(each)}\n\n" for each in events]
            self._answer("text/event-stream", "".join(lines))
        elif asked.get("stream"):
            usage = [HEAD | {"choices": [], "usage": CHAT["usage"]}] if asked.get("stream_options") else []
            known = {"id": asked.get("user", HEAD["id"])}
            lines = [f"data: {json.dumps(chunk | known)}\n\n" for chunk in [*CHUNKS, *usage]]
            self._answer("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]))
        else:
            answer = dict(next(each for part, each in ANSWERS.items() if part in self.path))
            answer.update({"id": asked["user"]} if "user" in asked else {})
            self._answer("application/json", "{" if "/broken/" in self.path else json.dumps(answer))

    def _answer(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def ran(program: str, url: str, job: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return dashboard_run("--job-dir", job, *options, "--", sys.executable, "-c", program, url)


def told(entry: Entry) -> tuple[Any, ...]:
    """What an entry says about what was used and what it costs."""
    counts = (entry.usage, entry.cost, entry.cost_state, dict(entry.unpriced_units))
    return (entry.service, entry.model, entry.service_tier, entry.request_id, *counts)


def logged(tmp_path: Path, *answers: Any) -> list[tuple[Any, ...]]:
    """What ``log_response`` makes of the same objects."""
    job = tmp_path / "logged"
    with CostTracker(job, "1") as tracker:
        for answer in answers:
            tracker.log_response(answer)
    return [told(entry) for entry in entries(job)]


@needs_openai
@needs_anthropic
def test_what_is_charged_beside_tokens_is_recorded_as_by_log_response(url: str, tmp_path: Path) -> None:
    pytest.importorskip("google.genai")
    program = """
import sys
from openai import OpenAI
OpenAI(base_url=sys.argv[1] + "/v1", api_key="k").responses.create(model="gpt-5.5", input="x")
from anthropic import Anthropic
ask = dict(model="claude-opus-5", max_tokens=9, messages=[dict(role="user", content="x")])
Anthropic(base_url=sys.argv[1], api_key="k").beta.messages.create(**ask)
from google import genai
client = genai.Client(api_key="k", http_options={"base_url": sys.argv[1]})
client.models.generate_content(model="gemini-3-flash-preview", contents="x")
"""
    done = ran(program, url, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert [told(entry) for entry in entries(tmp_path / "run")] == logged(
        tmp_path, RESPONSE, MESSAGE, GENERATED
    )


COMPACTIONS = """
import asyncio, sys
from openai import AsyncOpenAI, OpenAI
to = dict(base_url=sys.argv[1] + "/v1", api_key="k")
ask = [dict(model="gpt-5.5", input="x", extra_body={"user": f"resp_{number}"}) for number in range(3)]
OpenAI(**to).responses.compact(**ask[0])
OpenAI(**to).responses.with_raw_response.compact(**ask[1])
asyncio.run(AsyncOpenAI(**to).responses.compact(**ask[2]))
"""


@needs_openai
def test_compactions_are_calls_of_the_model_that_was_asked(url: str, tmp_path: Path) -> None:
    done = ran(COMPACTIONS, url, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    with CostTracker(tmp_path / "logged", "1") as tracker:
        for number in range(3):
            tracker.log_response(COMPACTED | {"id": f"resp_{number}"}, model="gpt-5.5")
    assert [told(entry) for entry in entries(tmp_path / "run")] == [
        told(entry) for entry in entries(tmp_path / "logged")
    ]
    stopped = ran(COMPACTIONS, url, tmp_path / "stopped", "--budget", "0.000001")
    assert "1 call was not sent" in stopped.stderr  # how long a compaction is is not known before the first
    assert len(entries(tmp_path / "stopped")) == 1


MISTRAL_AND_COHERE = """
import asyncio, cohere, sys
from mistralai.client import Mistral
ask = dict(model="mistral-large-latest", messages=[dict(role="user", content="x")], max_tokens=9)
mistral = Mistral(api_key="k", server_url=sys.argv[1] + "/mistral")
mistral.chat.complete(**ask)
with mistral.chat.stream(**ask) as stream:
    assert len(list(stream)) == 1
ask["model"] = "command-a-03-2025"
client = cohere.ClientV2(api_key="k", base_url=sys.argv[1])
client.chat(**ask)
client.rerank(model="rerank-v3.5", query="x", documents=["a", "b"])

async def streams():
    async for _ in cohere.AsyncClientV2(api_key="k", base_url=sys.argv[1]).chat_stream(**ask):
        pass
    async for _ in await mistral.chat.stream_async(**ask, http_headers={"x-second": "1"}):
        pass

asyncio.run(streams())
"""


def test_mistral_and_cohere_are_captured_and_stopped_by_a_budget(url: str, tmp_path: Path) -> None:
    """Neither needs an instrumentation; version 3 of Mistral's package is a folder without a module."""
    pytest.importorskip("mistralai.client")
    pytest.importorskip("cohere")
    pytest.importorskip("opentelemetry.sdk")
    done = ran(MISTRAL_AND_COHERE, url, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    found = [told(entry) for entry in entries(tmp_path / "run")]
    mistral, second = (("mistral", "mistral-large-latest", None, each) for each in (CHAT["id"], "m-2"))
    command = ("cohere", "command-a-03-2025", None)
    assert [each[:4] for each in found] == [
        mistral, second, (*command, "c-1"), ("cohere", "rerank-v3.5", None, "r-1"), (*command, "c-2"),
    ]  # fmt: skip
    assert [each[5] for each in found] == [800_000, 800_000, 4_500_000, 2_000_000, 4_500_000]
    stopped = ran(MISTRAL_AND_COHERE, url, tmp_path / "stopped", "--budget", "0.0059")
    assert "BudgetExceeded: a call of cohere/rerank-v3.5 may not fit" in stopped.stderr
    assert [entry.service for entry in entries(tmp_path / "stopped")] == ["mistral", "mistral", "cohere"]


LITELLM = """
import asyncio, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
ask = dict(messages=[dict(role="user", content="x")], max_tokens=9)
here = dict(api_base=sys.argv[1] + "/v1", api_key="k")
litellm.completion("openai/gpt-4o", user="whole", **here, **ask)
assert len(list(litellm.completion(model="openai/gpt-4o", user="stream", stream=True, **here, **ask))) >= 1
there = dict(api_base=sys.argv[1] + "/mistral/v1", api_key="k")

async def both():
    await litellm.acompletion(model="mistral/mistral-large-latest", **there, **ask)
    chunks = await litellm.acompletion(model="openai/gpt-4o", user="later", stream=True, **here, **ask)
    async for chunk in chunks:
        assert chunk.choices

asyncio.run(both())
assert list(litellm.responses(model="mistral/mistral-large-latest", input="x", stream=True, **there))
"""


def test_litellm_is_captured_once_though_it_goes_past_the_methods_of_sdks(url: str, tmp_path: Path) -> None:
    for module in ("litellm", "opentelemetry.sdk"):
        pytest.importorskip(module)
    done = ran(LITELLM, url, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    found = entries(tmp_path / "run")
    assert [(entry.service, entry.usage.tokens_input, entry.cost) for entry in found] == [
        ("openai", 1000, 4_500_000),
        ("openai", 1000, 4_500_000),
        ("mistral", 1000, 800_000),
        ("openai", 1000, 4_500_000),
        ("mistral", 1000, 800_000),
    ]
    stopped = ran(LITELLM, url, tmp_path / "stopped", "--budget", "0.0095")
    assert "does not fit into the budget of this run: of $0.0095, $0.0098 is spent" in stopped.stderr
    assert len(entries(tmp_path / "stopped")) == 3


REFUSED_BY_LITELLM = """
import asyncio, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

def says_no(text):
    return False

litellm.post_call_rules = [says_no]
ask = dict(messages=[dict(role="user", content="x")], max_tokens=9, api_key="k", max_retries=0)
here, there = ({"api_base": sys.argv[1] + path} for path in ("/v1", "/mistral/v1"))
for attempt in (
    lambda: litellm.completion("openai/gpt-4o", **here, **ask),
    lambda: asyncio.run(litellm.acompletion("mistral/mistral-large-latest", **there, **ask)),
):
    try:
        attempt()
    except Exception as fault:
        assert "post-call-rule" in str(fault), fault
    else:
        raise AssertionError
"""


def test_answers_that_litellm_refuses_are_billed(url: str, tmp_path: Path) -> None:
    for module in ("litellm", "opentelemetry.sdk"):
        pytest.importorskip(module)
    done = ran(REFUSED_BY_LITELLM, url, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    found = [(entry.service, entry.usage.tokens_input, entry.cost) for entry in entries(tmp_path / "run")]
    assert found == [("openai", 1000, 4_500_000), ("mistral", 1000, 800_000)]


UNREADABLE = """
import sys
from openai import OpenAI
ask = dict(model="gpt-4o", messages=[dict(role="user", content="x")])
odd = OpenAI(base_url=sys.argv[1] + "/odd/v1", api_key="k").chat.completions
broken = OpenAI(base_url=sys.argv[1] + "/broken/v1", api_key="k").chat.completions
with odd.with_streaming_response.create(**ask) as response:
    print(response.json())
print(broken.with_raw_response.create(**ask).text)
"""


@needs_openai
def test_a_program_has_its_response_whatever_is_wrong_with_reading_it_here(url: str, tmp_path: Path) -> None:
    done = ran(UNREADABLE, url, tmp_path / "run")
    assert (done.returncode, done.stdout) == (0, "{'said': 'x'}\n{\n"), done.stderr
    found = [(entry.service, entry.model, entry.cost_state) for entry in entries(tmp_path / "run")]
    assert found == [("openai", "gpt-4o", "unknown")] * 2


RAW = {
    "raw, parsed": "print(raw.with_raw_response.create(**ask).parse().usage.prompt_tokens)",
    "raw, as text": "assert len(raw.with_raw_response.create(**ask).text) > 9",
    "raw, not looked at": "raw.with_raw_response.create(**ask)",
    "streaming, parsed": "with raw.with_streaming_response.create(**ask) as r: r.parse()",
    "streaming, as JSON": "with raw.with_streaming_response.create(**ask) as r: r.json()",
    "streaming, line by line": "with raw.with_streaming_response.create(**ask) as r: list(r.iter_lines())",
    "streaming, by bytes": "with raw.with_streaming_response.create(**ask) as r: list(r.iter_bytes())",
}
STREAMS = {
    "plain": "assert len(list(raw.create(**ask, stream=True))) == 2",
    "raw": "assert len(list(raw.with_raw_response.create(**ask, stream=True).parse())) == 2",
    "streaming": "with raw.with_streaming_response.create(**ask, stream=True) as r: list(r.parse())",
}
OPENAI = """
import sys
from openai import OpenAI
raw = OpenAI(base_url=sys.argv[1] + "/v1", api_key="k").chat.completions
ask = dict(model="gpt-4o", messages=[dict(role="user", content="x")])
"""


def all_of(ways: Mapping[str, str]) -> str:
    """Return a program that goes every way, and says which with each request."""
    return OPENAI + "\n".join(f"ask['user'] = {name!r}\n{way}" for name, way in ways.items())


@needs_openai
def test_each_way_of_reading_a_raw_response_is_captured(url: str, tmp_path: Path) -> None:
    done = ran(all_of(RAW), url, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    expected = logged(tmp_path, *(CHAT | {"id": way} for way in RAW))
    assert [told(entry) for entry in entries(tmp_path / "run")] == expected


@needs_openai
def test_streams_are_asked_for_their_usage_however_they_are_opened(url: str, tmp_path: Path) -> None:
    done = ran(all_of(STREAMS), url, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    found = {entry.request_id: entry for entry in entries(tmp_path / "run")}
    assert list(found) == list(STREAMS)
    for way, entry in found.items():
        usage = (entry.usage.tokens_input, entry.usage.tokens_output, entry.cost_state)
        assert usage == (1000, 200, "whole"), way


SESSION = """
import gc, json, types, weakref
from openai.resources.realtime.realtime import RealtimeConnection
about = {"type": "realtime", "model": "gpt-realtime"}
session = {"type": "session.created", "event_id": "a", "session": about}
usage = {"total_tokens": 1200, "input_tokens": 1000, "output_tokens": 200}
answer = {"id": "resp_rt", "object": "realtime.response", "status": "completed", "output": [], "usage": usage}
events = iter([session, {"type": "response.done", "event_id": "b", "response": answer}])
socket = types.SimpleNamespace(recv=lambda decode: json.dumps(next(events)).encode())
connection = RealtimeConnection(socket)
connection.recv()
connection.recv()
dropped = weakref.ref(connection)
del connection
gc.collect()
print("held" if dropped() else "freed")
"""


@needs_openai
def test_a_session_ends_where_the_program_drops_its_connection(tmp_path: Path) -> None:
    """What held the connection would tell of its rest as the program ends alone, and keep all of them."""
    pytest.importorskip("websockets")
    done = ran(SESSION, "", tmp_path / "run")
    assert (done.stdout.split(), done.returncode) == (["freed"], 0), done.stderr
    [entry] = entries(tmp_path / "run")
    assert (entry.model, entry.usage.tokens_input, entry.usage.tokens_output) == ("gpt-realtime", 1000, 200)


def test_a_run_that_captured_nothing_says_unknown(tmp_path: Path) -> None:
    done = dashboard_run("--job-dir", tmp_path / "job", "--", sys.executable, "-c", "pass")
    assert "unknown" in done.stderr
    assert "$0.00" not in done.stderr
    done = dashboard_run("--json", "--job-dir", tmp_path / "job", "--", sys.executable, "-c", "pass")
    assert json.loads(done.stdout)["total_cost"] is None
