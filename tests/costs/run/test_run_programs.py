"""Unmodified programs under ``cost-dashboard run``, against the loopback provider."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.costs.money import to_usd
from tests.costs.run.run_support import (
    PROGRAM,
    can_capture,
    dashboard_run,
    entries,
    measured,
    needs_anthropic,
    needs_openai,
    script,
    written,
)
from tests.support.provider import ProviderServer, Reply

TWO_SDKS = """
import asyncio, sys
import anthropic, openai

ask = [{"role": "user", "content": "Say it."}]
client = openai.OpenAI(api_key="k", base_url=sys.argv[1])
client.chat.completions.create(model="gpt-4o", messages=ask)
said = ""
for chunk in client.chat.completions.create(model="gpt-4o", messages=ask, stream=True):
    said += chunk.choices[0].delta.content or ""  # breaks on a chunk without choices
assert said
with client.chat.completions.create(model="gpt-4o", messages=ask, stream=True) as stream:
    assert isinstance(stream, openai.Stream)
    while True:
        try:
            assert next(stream).choices
        except StopIteration:
            break

with client.chat.completions.stream(model="gpt-4o", messages=ask) as stream:
    assert stream.get_final_completion().choices

client.responses.create(model="gpt-5", input="Say it.")
list(client.responses.create(model="gpt-5", input="Say it.", stream=True))

async def several():
    client = openai.AsyncOpenAI(api_key="k", base_url=sys.argv[1])
    calls = [client.chat.completions.create(model="gpt-4o-mini", messages=ask) for _ in range(4)]
    await asyncio.gather(*calls)
    async with await client.chat.completions.create(model="gpt-4o-mini", messages=ask, stream=True) as stream:
        async for chunk in stream:
            chunk.choices[0]
    stream = await client.chat.completions.create(model="gpt-4o-mini", messages=ask, stream=True)
    while True:
        try:
            assert (await anext(stream)).choices
        except StopAsyncIteration:
            break
    claude = anthropic.AsyncAnthropic(api_key="k", base_url=sys.argv[2])
    await claude.messages.create(**request)
    async for event in await claude.messages.create(**request, stream=True):
        pass
    async with claude.messages.stream(**request) as stream:
        await stream.get_final_message()
    async for event in await client.responses.create(model="gpt-5", input="Say it.", stream=True):
        pass

request = dict(model="claude-sonnet-4-6", max_tokens=99, messages=ask)
asyncio.run(several())
claude = anthropic.Anthropic(api_key="k", base_url=sys.argv[2])
claude.messages.create(**request)
list(claude.messages.create(**request, stream=True))
with claude.messages.stream(**request) as stream:
    stream.get_final_message()
print("the program's own output")
sys.exit(7)
"""

ONE_CALL = """
import openai, sys
client = openai.OpenAI(api_key="k", base_url=sys.argv[1], max_retries=2)
client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Say it."}])
"""


UNFIT = """
import asyncio, sys
import anthropic, openai, pydantic

class Answer(pydantic.BaseModel):
    number: int

ask = [{"role": "user", "content": "Say it."}]
chat = dict(model="gpt-4o", messages=ask, response_format=Answer)
response = dict(model="gpt-5", input="Say it.", text_format=Answer)
message = dict(model="claude-sonnet-4-6", max_tokens=99, messages=ask, output_format=Answer)
client = openai.OpenAI(api_key="k", base_url=sys.argv[1])
later = openai.AsyncOpenAI(api_key="k", base_url=sys.argv[1])
claude = anthropic.Anthropic(api_key="k", base_url=sys.argv[2])

def entered(manager):
    with manager as raw:
        try:
            raw.parse()
        finally:
            raw.json()  # of the same answer

async def entered_later(manager):
    async with manager as raw:
        await raw.parse()

for call in (
    lambda: client.chat.completions.parse(**chat),
    lambda: client.chat.completions.with_raw_response.parse(**chat).parse(),
    lambda: client.responses.parse(**response),
    lambda: asyncio.run(later.chat.completions.parse(**chat)),
    lambda: claude.messages.parse(**message),
    lambda: entered(client.chat.completions.with_streaming_response.parse(**chat)),
    lambda: asyncio.run(entered_later(later.chat.completions.with_streaming_response.parse(**chat))),
):
    try:
        call()
    except pydantic.ValidationError:
        print("no such answer")
"""


@needs_openai
@needs_anthropic
def test_answers_that_do_not_fit_their_class_are_in_the_ledger(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    program = script(tmp_path, UNFIT)
    addresses = [server.url("openai"), server.url("anthropic")]
    done = dashboard_run("--job-dir", job, "--", sys.executable, program, *addresses, **measured())
    assert (done.returncode, done.stdout) == (0, "no such answer\n" * 7), done.stderr
    found = {entry.request_id: entry for entry in entries(job)}
    assert len(server.answered) == len(found) == len(entries(job)) == 7
    for served in server.answered:
        entry = found[served.request_id]
        assert entry.usage.tokens_input == served.counts.tokens_input
        assert entry.usage.tokens_output == served.counts.tokens_output
        assert entry.cost


@needs_openai
@needs_anthropic
def test_every_call_of_two_sdks_is_in_the_ledger(server: ProviderServer, tmp_path: Path, job: Path) -> None:
    server.next_replies(*[Reply(cached=100, reasoning=7)] * 20)
    program = script(tmp_path, TWO_SDKS)
    addresses = [server.url("openai"), server.url("anthropic")]
    command = [sys.executable, str(program), *addresses]
    done = dashboard_run("--job-dir", job, "--stage", "13_x", "--", *command, **measured())
    assert done.returncode == 7, done.stderr
    assert done.stdout == "the program's own output\n"
    found = {entry.request_id: entry for entry in entries(job)}
    assert len(server.answered) == len(found) == 19
    for served in server.answered:
        entry = found[served.request_id]
        assert entry.model == served.asked.model
        assert entry.usage.tokens_input == served.counts.tokens_input
        assert entry.usage.tokens_output == served.counts.tokens_output
        assert entry.usage.tokens_cached == 100
        assert (entry.stage, entry.attempt, entry.estimated) == ("13_x", 1, False)
        assert entry.charge is not None
    assert "Cost of this run" in done.stderr
    assert "gpt-4o-mini" in done.stderr


@needs_openai
def test_a_retry_of_the_sdk_is_one_call_and_a_rerun_is_a_second_attempt(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    command = [sys.executable, str(script(tmp_path, ONE_CALL)), server.url("openai")]
    server.next_replies(Reply("busy"), Reply("busy"), Reply())
    assert dashboard_run("--job-dir", job, "--stage", "13_x", "--", *command).returncode == 0
    assert len(entries(job)) == 1
    done = dashboard_run("--job-dir", job, "--stage", "13_x", "--", *command)
    first, second = entries(job)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.request_id != second.request_id
    assert first.metadata["run"] != second.metadata["run"]
    assert "repeated by a later attempt" in done.stderr


@needs_openai
def test_a_workflow_engine_says_what_the_calls_are_for(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    engine = {
        "AIRFLOW_CTX_DAG_ID": "media",
        "AIRFLOW_CTX_TASK_ID": "summarize",
        "AIRFLOW_CTX_DAG_RUN_ID": "manual__7",
        "PREFECT__FLOW_RUN_ID": "p-1",
        "METAFLOW_RUN_ID": "77",
        "COST_TRACKER_JOB_DIR": str(job),
    }
    command = [sys.executable, str(script(tmp_path, ONE_CALL)), server.url("openai")]
    done = dashboard_run("--", *command, **engine)
    assert done.returncode == 0, done.stderr
    [entry] = entries(job)
    assert (entry.stage, entry.workflow, entry.attempt) == ("summarize", "media", 1)
    told = {"airflow_run": "manual__7", "prefect_run": "p-1", "metaflow_run": "77"}
    assert told.items() <= entry.metadata.items()
    again = dashboard_run("--", *command, **engine | {"AIRFLOW_CTX_TRY_NUMBER": "2"})
    assert again.returncode == 0, again.stderr
    assert [each.attempt for each in entries(job)] == [1, 2]
    assert "repeated by a later attempt" in again.stderr


def test_the_attempt_can_be_said_and_needs_a_stage(job: Path) -> None:
    tell = [sys.executable, "-c", "import os; print(os.environ.get('COST_TRACKER_ATTEMPT'))"]
    assert dashboard_run("--job-dir", job, "--stage", "x", "--attempt", "9", "--", *tell).stdout == "9\n"
    assert dashboard_run("--job-dir", job, "--", *tell).stdout == "None\n"


@needs_openai
def test_streams_without_usage_are_flagged(server: ProviderServer, tmp_path: Path, job: Path) -> None:
    """One is read to its end, one is left open when the program ends."""
    program = script(
        tmp_path,
        "import openai, sys\n"
        "client = openai.OpenAI(api_key='k', base_url=sys.argv[1])\n"
        "request = dict(model='gpt-4o', messages=[{'role': 'user', 'content': 'Say it.'}], stream=True)\n"
        "list(client.chat.completions.create(**request))\n"
        "left = client.chat.completions.create(**request)\n"
        "next(left)\n",
    )
    command = [sys.executable, str(program), server.url("openai")]
    done = dashboard_run("--no-stream-usage", "--job-dir", job, "--", *command)
    read, left = entries(job)
    assert read.estimated
    assert read.charge is None, "nobody states its input"
    assert str(read.metadata["incomplete"]).startswith("the stream ended before its usage")
    assert "2 calls have no price" in done.stderr
    assert left.estimated
    assert "incomplete" in left.metadata
    assert not any(served.asked.usage_in_stream for served in server.served)


@needs_openai
def test_processes_that_the_program_starts_are_captured_too(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    program = script(tmp_path, ONE_CALL)
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import multiprocessing, subprocess, sys, runpy\n"
        f"command = [sys.executable, {str(program)!r}, sys.argv[1]]\n"
        "def call():\n"
        f"    runpy.run_path({str(program)!r})\n"
        "if __name__ == '__main__':\n"
        "    subprocess.run(command, check=True)\n"
        "    call()\n"
        "    child = multiprocessing.get_context('fork').Process(target=call)\n"
        "    child.start(); child.join(); assert child.exitcode == 0\n"
    )
    command = [sys.executable, str(parent), server.url("openai")]
    done = dashboard_run("--job-dir", job, "--", *command)
    assert done.returncode == 0, done.stderr
    found = entries(job)
    assert len(found) == len(server.answered) == 3
    assert len({entry.pid for entry in found}) == 3


@needs_openai
def test_a_program_with_its_own_shared_and_its_own_sitecustomize(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    own = tmp_path / "shared"
    own.mkdir()
    (own / "__init__.py").write_text("NAME = 'the pipeline'\n")
    (own / "tools.py").write_text("def help(): return 'helped'\n")
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import sys\nsys.site_was_here = True\n")
    program = script(
        tmp_path,
        ONE_CALL
        + "import shared, shared.tools\nprint(shared.NAME, shared.tools.help(), sys.site_was_here)\n",
    )
    report = tmp_path / "cost.json"
    command = [sys.executable, str(program), server.url("openai")]
    environ = {"PYTHONPATH": str(site)}
    done = dashboard_run("--output", report, "--job-dir", job, "--", *command, **environ)
    assert done.stdout == "the pipeline helped True\n", done.stderr
    [entry] = entries(job)
    facts = written(report)
    assert (facts["calls"], facts["exit_code"]) == (1, 0)
    assert facts["total_cost"] == to_usd(entry.cost)
    assert list(facts["by_model"]) == ["openai/gpt-4o"]


@needs_anthropic
def test_a_program_that_traces_itself_keeps_its_traces(
    server: ProviderServer, tmp_path: Path, job: Path
) -> None:
    program = script(
        tmp_path,
        "import anthropic, sys\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "kept = InMemorySpanExporter()\n"
        "mine = TracerProvider()\n"
        "mine.add_span_processor(SimpleSpanProcessor(kept))\n"
        "trace.set_tracer_provider(mine)\n"
        "client = anthropic.Anthropic(api_key='k', base_url=sys.argv[1])\n"
        "client.messages.create(model='claude-sonnet-4-6', max_tokens=9,"
        " messages=[{'role': 'user', 'content': 'Say it.'}])\n"
        "assert trace.get_tracer_provider() is mine\n"
        "print(len(kept.get_finished_spans()))\n",
    )
    address = server.url("anthropic")
    done = dashboard_run("--job-dir", job, "--", sys.executable, program, address)
    assert done.stdout == "1\n", done.stderr
    assert "Overriding" not in done.stderr
    assert len(entries(job)) == 1


class Refusing(BaseHTTPRequestHandler):
    """An older server of OpenAI's format, which does not know ``stream_options``."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "stream_options" in asked:
            body = json.dumps({"error": {"message": "unknown field stream_options"}}).encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}
        chunk = head | {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@needs_openai
def test_a_server_that_refuses_to_tell_usage_is_asked_without(tmp_path: Path, job: Path) -> None:
    program = script(
        tmp_path,
        "import asyncio, openai, sys\n"
        "request = dict(model='old-1', messages=[{'role': 'user', 'content': 'Hi'}], stream=True)\n"
        "print([c.choices[0].delta.content for c in"
        " openai.OpenAI(api_key='k', base_url=sys.argv[1]).chat.completions.create(**request)])\n"
        "async def main():\n"
        "    client = openai.AsyncOpenAI(api_key='k', base_url=sys.argv[1])\n"
        "    print([c.choices[0].delta.content async for c in"
        " await client.chat.completions.create(**request)])\n"
        "asyncio.run(main())\n",
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{http.server_port}/v1"
        done = dashboard_run("--job-dir", job, "--", sys.executable, program, address)
        http.shutdown()
        thread.join()
    assert done.stdout == "['Hi.']\n['Hi.']\n", done.stderr
    [entry] = entries(job)  # both have the id c-1
    assert entry.estimated


def test_a_python_without_opentelemetry_runs_all_the_same(tmp_path: Path, job: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    done = dashboard_run("--job-dir", job, "--", python, "-c", "print('ran')")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "pip install opentelemetry-sdk" in done.stderr
    assert "No AI call was captured" in done.stderr


def test_there_is_no_such_program(job: Path) -> None:
    done = dashboard_run("--", "no-such-program-anywhere")
    assert done.returncode == 2
    assert "no-such-program-anywhere" in done.stderr


@pytest.mark.parametrize("wrong", [["--job-dir", "/", "--", "true"], ["--user", "\n", "--", "true"], []])
def test_wrong_usage(wrong: list[str]) -> None:
    assert dashboard_run(*wrong).returncode == 2


def test_options_after_the_program_are_its_own(tmp_path: Path) -> None:
    echo = "import sys; print(sys.argv[1:])"
    done = dashboard_run(sys.executable, "-c", echo, "--json", "--stage", "x", "-h")
    assert done.stdout == "['--json', '--stage', 'x', '-h']\n"


def test_the_death_of_the_program_is_told_as_a_shell_does() -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert dashboard_run("--", sys.executable, "-c", kill).returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_program(number: signal.Signals) -> None:
    waits = (  # blocked until it is waited for: between a handler and a pause it could be missed
        "import signal, sys\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])\n"
        "print('ready', flush=True)\n"
        f"print('got', int(signal.sigwait([{int(number)}])), flush=True)\n"
        "sys.exit(5)\n"
    )
    command = [sys.executable, str(PROGRAM), "run", "--", sys.executable, "-c", waits]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as running:  # type: ignore[call-overload]  # the pipes are as Popen wants them
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        out, err = running.communicate()
    assert out == f"got {int(number)}\n"
    assert running.returncode == 5
    assert "Cost of this run" in err


@pytest.mark.skipif(not can_capture("google.genai"), reason="needs an instrumentation of google-genai")
def test_gemini_with_its_thoughts(server: ProviderServer, tmp_path: Path, job: Path) -> None:
    server.next_replies(Reply(reasoning=900), Reply(reasoning=900))
    program = script(
        tmp_path,
        "import sys\n"
        "from google import genai\n"
        "client = genai.Client(api_key='k', http_options={'base_url': sys.argv[1]})\n"
        "client.models.generate_content(model='gemini-2.5-pro', contents='Say it.')\n"
        "list(client.models.generate_content_stream(model='gemini-2.5-pro', contents='Say it.'))\n",
    )
    command = [sys.executable, str(program), server.url("gemini")]
    done = dashboard_run("--job-dir", job, "--", *command)
    assert done.returncode == 0, done.stderr
    for entry, served in zip(entries(job), server.answered, strict=True):
        assert entry.usage.tokens_output == served.counts.tokens_output > 900
