"""``run --budget``: the request that could pass the limit is never sent."""

from __future__ import annotations

import asyncio
import socket
import sys
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.costs.capture.captured import Captured
from shared.costs.errors import BudgetExceeded, BudgetGateUnavailable
from shared.costs.model import Usage
from shared.costs.money import Nanos, from_usd, to_usd
from shared.costs.run.bounds import RequestBounds, bounds_of
from shared.costs.run.calls import WrappedCall
from shared.costs.run.holding import HoldTicket
from shared.costs.run.methods import Method
from shared.costs.run.purse import Purse
from shared.costs.run.sending import SENDERS, Sending, leave_out_credentials, watch_sending
from shared.costs.storage import LEDGER_NAME
from tests.costs.run.run_support import (
    dashboard_run,
    entries,
    needs_anthropic,
    needs_openai,
    script,
    written,
)
from tests.support.lazily import is_there
from tests.support.provider import ProviderServer, Reply

OPENAI = """
import asyncio, openai, sys
ask = [{"role": "user", "content": "Say it."}]
client = openai.OpenAI(api_key="k", base_url=sys.argv[1], max_retries=0)
try:
    client.chat.completions.create(model="gpt-4o", messages=ask, max_tokens=400)
except openai.AuthenticationError:
    print("refused by the provider")
client.chat.completions.create(model="gpt-4o", messages=ask, max_tokens=400)
for chunk in client.chat.completions.create(model="gpt-4o", messages=ask, max_tokens=400, stream=True):
    pass
client.responses.create(model="gpt-4o", input="Say it.", max_output_tokens=400)

async def tried():
    async def one():
        client = openai.AsyncOpenAI(api_key="k", base_url=sys.argv[1], max_retries=0)
        return await client.chat.completions.create(model="gpt-4o", messages=ask, max_tokens=400)
    return await asyncio.gather(*(one() for _ in range(9)), return_exceptions=True)

for answer in asyncio.run(tried()):
    print(type(answer).__name__)
client.chat.completions.create(model="gpt-4o", messages=ask, max_tokens=4000)
"""

ANTHROPIC = """
import anthropic, sys
client = anthropic.Anthropic(api_key="k", base_url=sys.argv[1], max_retries=0)
number = 0
while True:
    ask = [{"role": "user", "content": "Hi"}]
    client.messages.create(model="claude-sonnet-4-6", max_tokens=500, messages=ask)
    number += 1
    print(number, flush=True)
"""


@needs_openai
def test_an_openai_script_is_stopped_before_the_request(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    server.next_replies(Reply("refuse"))
    program, report = script(tmp_path, OPENAI), tmp_path / "run.json"
    options = ("--budget", "0.0200", "--job-dir", job, "--format", "json", "--output", report)
    done = dashboard_run(*options, "--", sys.executable, program, server.url("openai"))
    assert done.returncode == 1
    said = done.stdout.split()
    assert said[:4] == ["refused", "by", "the", "provider"]
    answered, denied = said.count("ChatCompletion"), said.count("BudgetExceeded")
    assert (answered + denied, answered >= 2, denied >= 1) == (9, True, True)
    [last] = [line for line in done.stderr.splitlines() if "BudgetExceeded: up to $0.04" in line]
    assert "does not fit into the budget of this run: of $0.0200" in last
    assert len(server.served) == 1 + 3 + answered  # what was denied never came
    found = written(report)
    assert (found["budget_usd"], found["denied_calls"], found["calls"]) == (0.02, denied + 1, 3 + answered)
    assert sum(entry.cost for entry in entries(job)) <= from_usd("0.02")
    assert not list(tmp_path.glob("**/runs/*"))


@needs_anthropic
def test_an_anthropic_script_spends_what_it_may_and_no_more(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    command = (sys.executable, script(tmp_path, ANTHROPIC), server.url("anthropic"))
    done = dashboard_run("--budget", "0.009", "--job-dir", job, "--", *command)
    assert done.returncode == 1
    assert "1 call was not sent: the budget of $0.01 had no room." in done.stderr
    spent = sum(entry.cost for entry in entries(job))
    assert len(server.served) == len(entries(job)) == len(done.stdout.split()) > 0
    one = 15e-6 * 500  # the output alone of the call that was not sent
    assert to_usd(Nanos(spent)) <= 0.009 < to_usd(Nanos(spent)) + one + 3e-6 * 200


FORMATS = {"mistral": "openai", "anthropic, streamed": "anthropic"}
RETRIES = {
    "openai": """
import asyncio, openai, sys
ask = dict(model="gpt-4o", max_tokens=400, messages=[{"role": "user", "content": "Hi"}])
openai.OpenAI(api_key="k", base_url=sys.argv[1]).chat.completions.create(**ask)
print("answered", flush=True)
client = openai.AsyncOpenAI(api_key="k", base_url=sys.argv[1])
print(asyncio.run(client.chat.completions.create(**ask)))
""",
    "anthropic": """
import anthropic, asyncio, sys
ask = dict(model="claude-sonnet-4-6", max_tokens=280, messages=[{"role": "user", "content": "Hi"}])
with anthropic.Anthropic(api_key="k", base_url=sys.argv[1]).messages.stream(**ask) as stream:
    print("answered" if stream.get_final_message().usage else "", flush=True)
client = anthropic.AsyncAnthropic(api_key="k", base_url=sys.argv[1])
print(asyncio.run(client.messages.create(**ask)))
""",
    "anthropic, streamed": """
import anthropic, asyncio, sys
ask = dict(model="claude-sonnet-4-6", max_tokens=280, messages=[{"role": "user", "content": "Hi"}])
client = anthropic.Anthropic(api_key="k", base_url=sys.argv[1])
print("answered" if client.messages.create(**ask).usage else "", flush=True)
with client.with_options(timeout=0.5).messages.stream(**ask) as stream:
    print(stream.get_final_message())
""",
    "gemini": """
import asyncio, sys
from google import genai
from google.genai import types
retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.02, jitter=0.01)
def client(**more):
    options = types.HttpOptions(base_url=sys.argv[1], retry_options=retries, **more)
    return genai.Client(api_key="k", http_options=options)
config = dict(max_output_tokens=1700, automatic_function_calling=dict(disable=True))
ask = dict(model="gemini-2.5-flash", contents="Hi", config=config)
first, second = client(), client(timeout=500)
first.models.generate_content(**ask)
print("answered", flush=True)
print(asyncio.run(second.aio.models.generate_content(**ask)))
""",
    "mistral": """
import asyncio, sys
from mistralai.client import Mistral
from mistralai.client.utils import BackoffStrategy, RetryConfig
config = RetryConfig("backoff", BackoffStrategy(1, 2, 1.1, 9000, 1), True)
client = Mistral(api_key="k", server_url=sys.argv[1].removesuffix("/v1"), retry_config=config)
ask = dict(model="mistral-large-latest", max_tokens=2500, messages=[{"role": "user", "content": "Hi"}])
client.chat.complete(**ask)
print("answered", flush=True)
print(asyncio.run(client.chat.complete_async(**ask)))
""",
}


@needs_openai
@needs_anthropic
@pytest.mark.parametrize("sdk", RETRIES)
def test_a_request_that_the_sdk_repeats_may_be_billed_twice(
    sdk: str, server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    """One call holds up to $0.0045 or so. What was refused for being busy is repeated for nothing."""
    if not is_there({"gemini": "google.genai", "mistral": "mistralai.client"}.get(sdk, "openai")):
        pytest.skip("its SDK is not installed")
    # Google's repeats what takes too long alone, and a stream that breaks off had an answer.
    lost = Reply("stall" if sdk in {"gemini", "anthropic, streamed"} else "hang-up")
    server.next_replies(Reply("busy"), Reply("busy"), Reply(), lost, lost)
    program, report = script(tmp_path, RETRIES[sdk]), tmp_path / "run.json"
    options = ("--budget", "0.0105", "--job-dir", job, "--format", "json", "--output", report)
    done = dashboard_run(*options, "--", sys.executable, program, server.url(FORMATS.get(sdk, sdk)))
    assert done.returncode == 1
    assert done.stdout == "answered\n"
    [last] = [
        line for line in done.stderr.splitlines() if "does not fit into the budget of this run" in line
    ][-1:]
    assert "BudgetExceeded: up to" in last
    assert [line for line in done.stderr.splitlines() if "Error" in line or "Exceeded" in line][-1] == last
    assert [each.status for each in server.served] == [429, 429, 200, -1, -1]
    assert (written(report)["denied_calls"], written(report)["calls"]) == (1, 1)


UNANSWERED = """
import asyncio, httpx, openai, sys
ask = dict(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
openai.OpenAI(api_key="k", base_url=sys.argv[1]).chat.completions.create(**ask)

async def cancelled():
    sent = asyncio.Event()
    async def tell(_):
        sent.set()
    http = httpx.AsyncClient(event_hooks={"request": [tell]})
    client = openai.AsyncOpenAI(api_key="k", base_url=sys.argv[1], max_retries=0, http_client=http)
    call = asyncio.create_task(client.chat.completions.create(**ask))
    await sent.wait()  # what comes before takes longer than that on a busy machine
    await asyncio.wait_for(call, 2)

nobody = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:1", max_retries=1)
for attempt in (lambda: asyncio.run(cancelled()), lambda: nobody.chat.completions.create(**ask)):
    try:
        attempt()
    except Exception as fault:
        print(type(fault).__name__, flush=True)
"""


@needs_openai
def test_requests_without_an_answer_are_calls_of_unknown_cost(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    """As streams that are dropped are: the provider may bill them. What was refused or not sent is none."""
    server.next_replies(Reply("busy"), Reply("hang-up"), Reply(), Reply("stall"))
    program = script(tmp_path, UNANSWERED)
    done = dashboard_run("--job-dir", job, "--", sys.executable, program, server.url("openai"))
    assert done.stdout.split()[:2] == ["TimeoutError", "APIConnectionError"]
    found = [(entry.cost_state, "no answer came" in str(entry.metadata)) for entry in entries(job)]
    assert found == [("unknown", True), ("whole", False), ("unknown", True)]


UNANSWERED_STREAMS = """
import anthropic, sys
from google import genai
def claude():
    client = anthropic.Anthropic(api_key="k", base_url=sys.argv[1], max_retries=0, timeout=1)
    say = [{"role": "user", "content": "Hi"}]
    with client.messages.stream(model="claude-sonnet-4-6", max_tokens=9, messages=say) as stream:
        stream.get_final_message()
def gemini():
    options = genai.types.HttpOptions(base_url=sys.argv[2], timeout=1000)
    client = genai.Client(api_key="k", http_options=options)
    list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="Hi"))
for attempt in (claude, gemini):
    try:
        attempt()
    except Exception as fault:
        print(type(fault).__name__, flush=True)
"""


@needs_anthropic
def test_streams_that_no_answer_came_to_are_calls_of_unknown_cost(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    """They send their request as they are opened, or as their first part is read."""
    pytest.importorskip("google.genai")
    server.next_replies(Reply("stall"), Reply("stall"))
    program = script(tmp_path, UNANSWERED_STREAMS)
    command = (sys.executable, program, server.url("anthropic"), server.url("gemini"))
    done = dashboard_run("--job-dir", job, "--", *command)
    assert done.stdout.split() == ["APITimeoutError", "ReadTimeout"], done.stderr
    found = [
        (entry.service, entry.cost_state, "no answer came" in str(entry.metadata)) for entry in entries(job)
    ]
    assert found == [("anthropic", "unknown", True), ("google", "unknown", True)]


NOT_SENT = """
import anthropic, openai, sys
url, ask = sys.argv[1], dict(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
closed = openai.OpenAI(api_key="k", base_url=url)
closed.close()
for client in (
    closed,
    openai.OpenAI(api_key="k\\n", base_url=url, max_retries=1),
    openai.OpenAI(api_key="k", base_url="localhost:8000/v1", max_retries=1),
):
    try:
        client.chat.completions.create(**ask)
    except (openai.APIConnectionError, RuntimeError) as fault:
        print(type(fault).__name__, flush=True)
for address in ("http://127.0.0.1:1", sys.argv[2]):
    client = anthropic.Anthropic(api_key="k", base_url=address, max_retries=0)
    try:
        with client.messages.stream(model="claude-sonnet-4-6", max_tokens=9, messages=ask["messages"]):
            pass
    except anthropic.APIError as fault:
        print(type(fault).__name__, flush=True)
"""


@needs_openai
@needs_anthropic
def test_what_was_never_sent_and_what_was_refused_is_no_call(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    """A key with a line break, an address without a scheme, a client that was closed, streams too."""
    server.next_replies(Reply("busy"))
    command = (sys.executable, script(tmp_path, NOT_SENT), server.url("openai"), server.url("anthropic"))
    done = dashboard_run("--job-dir", job, "--", *command)
    faults = ["RuntimeError", *["APIConnectionError"] * 3, "RateLimitError"]
    assert done.stdout.split() == [*faults], done.stderr
    assert [each.status for each in server.served] == [429]
    assert not (job / LEDGER_NAME).exists()


NO_TOKEN = """
import socket, sys, threading
from google import genai
from google.oauth2.credentials import Credentials
listening = socket.create_server(("127.0.0.1", 0))
def hang_up():
    while True:
        heard, _ = listening.accept()
        heard.recv(65536)
        heard.close()
threading.Thread(target=hang_up, daemon=True).start()
uri = "http://127.0.0.1:%d/token" % listening.getsockname()[1]
credentials = Credentials(None, refresh_token="r", token_uri=uri, client_id="c", client_secret="s")
options = genai.types.HttpOptions(base_url=sys.argv[1])
where = dict(vertexai=True, project="p", location="us-central1", http_options=options)
client = genai.Client(credentials=credentials, **where)
try:
    client.models.generate_content(model="gemini-2.5-flash", contents="Hi")
except Exception as fault:
    print(type(fault).__name__)
"""


def test_a_request_for_credentials_that_is_lost_is_no_call(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    for module in ("google.genai", "google.oauth2", "opentelemetry.sdk"):
        pytest.importorskip(module)
    done = dashboard_run(
        "--job-dir", job, "--", sys.executable, script(tmp_path, NO_TOKEN), server.url("gemini")
    )
    assert done.stdout.split() == ["TransportError"], done.stderr
    assert (server.served, (job / LEDGER_NAME).exists()) == ([], False)


OWN_REQUESTS = """
import httpx, openai, socket, sys
silent = socket.create_server(("127.0.0.1", 0))
client = openai.OpenAI(api_key="k", base_url=sys.argv[1], max_retries=1)
ask = dict(model="gpt-4o", max_tokens=400, messages=[{"role": "user", "content": "Hi"}])

def ask_for_something_else():
    try:
        httpx.get("http://127.0.0.1:%d" % silent.getsockname()[1], timeout=0.1)
    except Exception as fault:
        print(type(fault).__name__, flush=True)

for chunk in (stream := client.chat.completions.create(**ask, stream=True)):
    ask_for_something_else()
    ask_for_something_else()
    break
for chunk in stream:
    pass
try:
    client.chat.completions.create(**ask)
except Exception as fault:
    print(type(fault).__name__, flush=True)
ask_for_something_else()
"""


@needs_openai
def test_requests_of_the_program_itself_are_none_of_a_call(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    """Neither is one held for that goes unanswered while a stream is read, nor one held back afterwards."""
    server.next_replies(Reply(), Reply("hang-up"))
    program, report = script(tmp_path, OWN_REQUESTS), tmp_path / "run.json"
    options = ("--budget", "0.0080", "--job-dir", job, "--format", "json", "--output", report)
    done = dashboard_run(*options, "--", sys.executable, program, server.url("openai"))
    assert done.stdout.split() == ["ReadTimeout", "ReadTimeout", "BudgetExceeded", "ReadTimeout"]
    assert [each.status for each in server.served] == [200, -1]
    assert written(report)["denied_calls"] == 1


@needs_openai
def test_the_same_request_again_and_again_is_denied(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("budget: {guard: {same_request: 4}}\n")
    loop = """
import openai, os, sys
client = openai.OpenAI(api_key="k", base_url=sys.argv[1])
for number in range(9):
    if number == 2 and os.fork():
        sys.exit(os.wait()[1] != 0)  # it goes on in a process of its own
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Say it."}])
"""
    command = (sys.executable, script(tmp_path, loop), server.url("openai"))
    environ = {"COST_TRACKER_PROFILE": str(profile)}
    done = dashboard_run("--job-dir", job, "--", *command, **environ)
    assert "the same request to openai/gpt-4o was sent 4 times within 10 minutes" in done.stderr
    assert len(server.served) == 4


# --- the parts


def asked_by_aws(of: Any, url: str) -> None:
    of.URLLib3Session().send(pytest.importorskip("botocore.awsrequest").AWSRequest("GET", url).prepare())


def recorded_of(name: str, ask: Callable[[Any, str], object], url: str) -> list[Captured]:
    """Return what is recorded of a call whose SDK sends its request in this way, and gets no answer."""
    module, library = pytest.importorskip(name), SimpleNamespace(__name__=name)
    for client in {sender.partition(".")[0] for sender in SENDERS[name]}:
        setattr(library, client, type(client, (getattr(module, client),), {}))
    watch_sending(library)
    recorded: list[Captured] = []
    ticket = HoldTicket(lambda call, _: float(recorded.append(call) or 0))  # type: ignore[func-returns-value]
    ticket.lost = lambda: Captured(service="openai", model="gpt-4o", usage=Usage())
    with pytest.raises(Exception) as fault, Sending(ticket):  # noqa: PT011  # each module has faults of its own
        ask(library, url)
    ticket.failed(fault.value)
    assert not ticket.has_begun
    return recorded


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("requests", lambda of, url: of.Session().get(url)),
        ("requests", lambda of, _: of.Session().get("http://no-such-host.invalid")),
        ("requests", lambda of, url: of.Session().get("http://localhost", proxies={"http": url})),
        ("httpx", lambda of, url: of.Client().get(url)),
        ("httpx", lambda of, url: of.Client(proxy=url).get("https://localhost")),
        ("httpx", lambda of, url: asyncio.run(of.AsyncClient().get(url.removeprefix("http://")))),
        ("botocore.httpsession", asked_by_aws),
    ],
)
def test_a_request_that_was_not_sent_is_no_call(name: str, ask: Callable[[Any, str], object]) -> None:
    assert recorded_of(name, ask, "http://127.0.0.1:1") == []


def renewed_by_aws(of: Any, url: str) -> None:
    module = pytest.importorskip("botocore.credentials")
    refreshable = type("RefreshableCredentials", (module.RefreshableCredentials,), {})
    leave_out_credentials(SimpleNamespace(__name__=module.__name__, RefreshableCredentials=refreshable))
    until = datetime.now(UTC) - timedelta(hours=1)
    renewing = {"refresh_using": lambda: asked_by_aws(of, url), "method": "sts-assume-role"}
    refreshable("key", "secret", "token", until, **renewing).get_frozen_credentials()


@pytest.mark.parametrize(
    ("name", "ask", "calls"),
    [
        ("requests", lambda of, url: of.Session().get(url), 1),
        ("httpx", lambda of, url: of.Client().get(url), 1),
        ("httpx", lambda of, url: asyncio.run(of.AsyncClient().get(url)), 1),
        ("botocore.httpsession", asked_by_aws, 1),
        ("botocore.httpsession", renewed_by_aws, 0),  # credentials
    ],
)
def test_a_request_that_was_sent_in_vain_is_a_call(
    name: str, ask: Callable[[Any, str], object], calls: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        taken = pool.submit(listening.accept)
        taken.add_done_callback(lambda heard: heard.result()[0].close())
        assert len(recorded_of(name, ask, f"http://127.0.0.1:{listening.getsockname()[1]}")) == calls


CHAT = ("openai.resources.chat.completions.completions", "Completions.create")
COMPLETIONS = ("openai.resources.completions", "Completions.create")
RESPONSES = ("openai.resources.responses.responses", "Responses.create")
CLAUDE = ("anthropic.resources.messages.messages", "Messages.create")
GEMINI = ("google.genai.models", "Models._generate_content")
SAY = [{"role": "user", "content": "Grüße " * 50}]


def edits(kind: str) -> dict[str, Any]:
    return {"context_management": {"edits": [{"type": kind}]}}


PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]


@pytest.mark.parametrize(
    ("method", "given", "at_least", "most"),
    [
        (CHAT, {"messages": SAY, "max_tokens": 9}, 400, 9),
        (CHAT, {"messages": SAY, "max_completion_tokens": 9, "n": 3}, 400, 27),
        (CHAT, {"messages": SAY}, 400, None),
        (CHAT, {"messages": PICTURE, "max_tokens": 9}, None, 9),
        (CHAT, {"messages": SAY, "tools": [{"type": "function", "function": {"name": "f"}}]}, 1424, None),
        (CHAT, {"messages": iter(SAY), "max_tokens": 9}, None, 9),
        (CHAT, {"messages": SAY, "max_tokens": 9, "extra_body": {"max_tokens": 90, "n": 2}}, 400, 180),
        (CHAT, {"messages": SAY, "max_tokens": 9, "web_search_options": {}}, None, 9),
        (CHAT, {"messages": SAY, "max_tokens": 9, "prediction": {"content": "x" * 68}}, 468, 100),
        (CHAT, {"messages": SAY, "max_tokens": 9, "extra_body": {"plugins": [{"id": "web"}]}}, None, 9),
        (COMPLETIONS, {"prompt": "Hi " * 99, "n": 1, "best_of": 5, "max_tokens": 9}, 297, 45),
        (COMPLETIONS, {"prompt": ["Hi", "Ho"], "n": 2, "max_tokens": 9}, 4, 36),
        (COMPLETIONS, {"prompt": [7] * 9, "max_tokens": 9}, 64, 9),
        (RESPONSES, {"prompt": {"id": "pmpt_1"}, "max_output_tokens": 9}, None, 9),
        (RESPONSES, {"input": "Hi", "max_output_tokens": 9}, 2, 9),
        (RESPONSES, {"input": "Hi", "previous_response_id": "r", "max_output_tokens": 9}, None, 9),
        (RESPONSES, {"input": "Hi", "tools": [{"type": "web_search"}], "max_output_tokens": 9}, None, 9),
        (CLAUDE, {"messages": SAY, "system": "Be " * 100, "max_tokens": 9}, 700, 9),
        (CLAUDE, {"messages": SAY, "tools": [{"name": "f", "input_schema": {}}], "max_tokens": 9}, 1424, 9),
        (CLAUDE, {"messages": SAY, "mcp_servers": [{"url": "https://x"}], "max_tokens": 9}, None, 9),
        (CLAUDE, {"messages": SAY, "tools": [{"type": "web_search_20250305"}], "max_tokens": 9}, None, 9),
        (CLAUDE, {"messages": SAY, "output_config": {"format": {"d": "x" * 500}}, "max_tokens": 9}, 900, 9),
        (CLAUDE, {"messages": SAY, "fallbacks": [{"model": "x"}], "max_tokens": 9}, None, 9),
        (CLAUDE, {"messages": SAY, "max_tokens": 9, **edits("compact_20260112")}, None, 9),
        (CLAUDE, {"messages": SAY, "max_tokens": 9, **edits("clear_tool_uses_20250919")}, 400, 9),
        (GEMINI, {"contents": "Hi", "config": {"response_json_schema": {"d": "x" * 500}}}, 500, None),
        (GEMINI, {"contents": "Hi " * 99, "config": {"max_output_tokens": 9, "candidate_count": 2}}, 297, 18),
        (GEMINI, {"contents": "Hi", "config": {"tools": [{"google_search": {}}]}}, None, None),
        (GEMINI, {"contents": [{"inline_data": {"data": b"x"}}]}, None, None),
        (("openai.resources.embeddings", "Embeddings.create"), {"input": ["Hi"] * 9}, 18, 0),
        (("openai.resources.images", "Images.generate"), {"prompt": "x"}, None, None),
    ],
)
def test_what_a_request_can_use_at_most(
    method: tuple[str, str], given: dict[str, Any], at_least: int | None, most: int | None
) -> None:
    found = bounds_of(*method, given)
    assert found.max_tokens_output == most
    assert (found.tokens_input is None) == (at_least is None)
    if at_least is not None:
        assert at_least <= (found.tokens_input or 0) <= at_least + 400


@pytest.mark.parametrize(
    ("method", "given", "tier", "region"),
    [
        (CHAT, {"service_tier": "priority"}, "priority", None),
        (CHAT, {"service_tier": "flex"}, None, None),  # it may be served at the ordinary price
        (CHAT, {"extra_body": {"service_tier": "priority"}}, "priority", None),
        (GEMINI, {"config": {"service_tier": "PRIORITY"}}, "priority", None),
        (CLAUDE, {"speed": "fast", "inference_geo": "us"}, "fast", "us"),
        (CLAUDE, {"inference_geo": "global"}, None, None),
    ],
)
def test_what_costs_more_is_held_at_its_price(
    method: tuple[str, str], given: dict[str, Any], tier: str | None, region: str | None
) -> None:
    found = bounds_of(*method, given)
    assert (found.tier, found.region) == (tier, region)


def test_speech_is_bounded_by_its_characters() -> None:
    given = {"input": "Hello", "model": "tts-1", "voice": "alloy"}
    assert bounds_of("openai.resources.audio.speech", "Speech.create", given) == RequestBounds(0, 0, 5)


def test_a_purse_gives_out_what_it_has_and_no_more(tmp_path: Path) -> None:
    purse = Purse.filled(tmp_path / "runs" / "one", Nanos(1000))

    def spend(number: int) -> int:
        mine = Purse(purse.path)
        try:
            hold = mine.hold(Nanos(60), "m")
        except BudgetExceeded:
            return 0
        mine.settle(hold, Nanos(60 - number % 2))
        return 60 - number % 2

    with ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(spend, range(40)))
    state = purse.state
    assert (state.spent, state.held) == (spent, {})
    assert 940 < spent <= 1000
    purse.hold(None, "m")  # nobody knows what it costs, and something is left
    purse.settle("", Nanos(100))
    with pytest.raises(BudgetExceeded, match="a call of m may not fit"):
        purse.hold(None, "m")
    purse.remove()
    with pytest.raises(BudgetGateUnavailable, match="the budget of this run cannot be used"):
        purse.hold(Nanos(1), "m")


def test_a_purse_that_is_gone_takes_no_answer_from_the_program(tmp_path: Path) -> None:
    """As after the end of the run: the call is recorded once, and what the provider said is what it gets."""
    purse, recorded = Purse.filled(tmp_path / "run.json", from_usd("5")), list[Captured]()

    def record(captured: Captured, _: object) -> float:
        recorded.append(captured)
        return 0.5

    ticket = HoldTicket(record, purse, purse.hold(from_usd("1"), "openai/gpt-4o"))
    refused = HoldTicket(record, purse, purse.hold(from_usd("1"), "openai/gpt-4o"))
    purse.remove()
    call = Captured(service="openai", model="gpt-4o", usage=Usage(tokens_input=1))
    ticket.report(call)
    refused.failed(urllib.error.HTTPError("", 400, "no such model", Message(), None))
    assert recorded == [call]
    with pytest.raises(BudgetGateUnavailable):
        purse.hold(from_usd("1"), "openai/gpt-4o")


@pytest.mark.parametrize(
    ("client", "service"),
    [
        ({"vertexai": True, "_http_options": SimpleNamespace(base_url="http://127.0.0.1:9")}, "vertex"),
        ({"vertexai": False, "_http_options": SimpleNamespace(base_url="http://127.0.0.1:9")}, None),
        ({"base_url": "https://us-east5-aiplatform.googleapis.com/v1"}, "vertex"),
        ({"base_url": "https://api.cerebras.ai/v1/"}, "cerebras"),
        ({"base_url": "https://api.openai.com/v1"}, None),
    ],
)
def test_who_serves_a_call_its_client_or_its_host_tells(client: dict[str, Any], service: str | None) -> None:
    instance = SimpleNamespace(_api_client=SimpleNamespace(**client))
    assert WrappedCall(Method(*GEMINI), instance, (), {}).service == service
