"""Bedrock's calls through an unchanged boto3 are recorded under ``run``, and held before they are sent."""

from __future__ import annotations

import base64
import json
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.costs.model import Usage
from shared.costs.money import from_usd
from shared.costs.run.bounds import RequestBounds, bounds_of_bedrock
from tests.costs.run.run_support import dashboard_run, entries, measured, script
from tests.support.lazily import is_there

needs_boto3 = pytest.mark.skipif(
    not (is_there("boto3") and is_there("opentelemetry.sdk")), reason="needs boto3 and the extra capture"
)

USED = {"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1300, "cacheReadInputTokens": 100}
METRICS = {"inputTokenCount": 1000, "outputTokenCount": 200, "cacheReadInputTokenCount": 100}
HEADERS = {
    "x-amzn-bedrock-input-token-count": "1000",
    "x-amzn-bedrock-output-token-count": "200",
    "x-amzn-bedrock-cache-read-input-token-count": "100",
}
OF_CLAUDE = {"input_tokens": 1000, "output_tokens": 200, "cache_read_input_tokens": 100}
CLAUDE = {"type": "message", "role": "assistant", "model": "claude", "content": [], "usage": OF_CLAUDE}
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn",
    "metrics": {"latencyMs": 1},
}


def event(name: str, payload: Any) -> bytes:
    """Return one event as AWS frames it: lengths, headers, payload, with a checksum after each part."""
    stated = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    heads = b"".join(
        bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for key, value in stated.items()
    )
    body = json.dumps(payload).encode()
    begin = struct.pack(">II", 16 + len(heads) + len(body), len(heads))
    message = begin + struct.pack(">I", zlib.crc32(begin)) + heads + body
    return message + struct.pack(">I", zlib.crc32(message))


def parts(*told: Any) -> bytes:
    """Return parts of a maker's own stream in the events of Bedrock's."""
    return b"".join(
        event("chunk", {"bytes": base64.b64encode(json.dumps(one).encode()).decode()}) for one in told
    )


CONVERSED = event("messageStart", {"role": "assistant"}) + event(
    "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hi"}}
)
ANSWERS: dict[str, tuple[bytes, dict[str, str]]] = {
    "claude/converse": (json.dumps({**ANSWER, "usage": USED}).encode(), {}),
    "claude/converse-stream": (
        CONVERSED + event("metadata", {"usage": USED, "metrics": {"latencyMs": 1}}),
        {},
    ),
    "claude/invoke": (json.dumps({**CLAUDE, "id": "msg-1"}).encode(), {}),
    "claude/invoke-with-response-stream": (
        parts(
            {"type": "message_start", "message": {**CLAUDE, "id": "msg-2"}},
            {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 200}},
            {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS},
        ),
        {},
    ),
    "llama/invoke": (json.dumps({"generation": "hi", "stop_reason": "stop"}).encode(), HEADERS),
    "llama/invoke-with-response-stream": (
        parts({"generation": "hi"}, {"generation": "", "amazon-bedrock-invocationMetrics": METRICS}),
        {},
    ),
}
MODELS = {
    "claude": "anthropic.claude-sonnet-4-20250514-v1:0",
    "llama": "meta.llama3-3-70b-instruct-v1:0",
}


class Bedrock(BaseHTTPRequestHandler):
    """Answers as the service does; what is asked of it is kept by its server."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        served: list[str] = self.server.served  # type: ignore[attr-defined]  # of the fixture below
        _, model, operation = self.path.strip("/").split("/")
        served.append(operation)
        status, (body, headers) = 200, (b"{}", {})
        if model == "refused":
            status, headers = 400, {"x-amzn-ErrorType": "ValidationException"}
        else:
            kind = next(
                (kind for kind, name in MODELS.items() if name.replace(":", "%3A") == model), "claude"
            )
            body, headers = ANSWERS[f"{kind}/{operation}"]
        streams = operation.endswith("stream")
        self.send_response(status)
        self.send_header(
            "content-type", "application/vnd.amazon.eventstream" if streams else "application/json"
        )
        self.send_header("content-length", str(len(body)))
        for name, value in {"x-amzn-RequestId": f"aws-{len(served)}", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def bedrock() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bedrock)
    server.served = []  # type: ignore[attr-defined]  # the operations that came
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


BEGIN = """
import json, sys
import boto3
client = boto3.client(
    "bedrock-runtime", region_name="us-east-1", endpoint_url=sys.argv[1],
    aws_access_key_id="a", aws_secret_access_key="b",
)
ask = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {"maxTokens": 400}}
body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 400})
claude, llama = "anthropic.claude-sonnet-4-20250514-v1:0", "meta.llama3-3-70b-instruct-v1:0"
"""

ALL = """
assert client.converse(modelId=claude, **ask)["usage"]["outputTokens"] == 200
assert [list(each) for each in client.converse_stream(modelId=claude, **ask)["stream"]] == [
    ["messageStart"], ["contentBlockDelta"], ["metadata"],
]
told = client.invoke_model(modelId=claude, body=body)["body"]
assert told.read(1) + told.read() and told.read() == b""
stream = client.invoke_model_with_response_stream(modelId=claude, body=body)["body"]
assert sum(len(each["chunk"]["bytes"]) > 0 for each in stream) == 3
body = json.dumps({"prompt": "Hi", "max_gen_len": 400})
assert json.load(client.invoke_model(modelId=llama, body=body)["body"])["generation"] == "hi"
for each in client.invoke_model_with_response_stream(modelId=llama, body=body)["body"]:
    pass
client.converse_stream(modelId=claude, **ask)["stream"].close()
"""

UNTIL_DENIED = """
try:
    client.converse(modelId="refused", **ask)
except client.exceptions.ValidationException:
    pass
try:
    for call in (
        lambda: client.converse(modelId=claude, **ask),
        lambda: list(client.converse_stream(modelId=claude, **ask)["stream"]),
        lambda: client.invoke_model(modelId=claude, body=body),
        lambda: client.invoke_model_with_response_stream(modelId=claude, body=body),
    ):
        call()
        print("answered", flush=True)
except BaseException as fault:
    print(type(fault).__name__)
"""


def ran(tmp_path: Path, server: ThreadingHTTPServer, text: str, *options: str, **environ: str) -> Any:
    own = {**environ, "COST_TRACKER_HOME": str(tmp_path / "costs")}
    command = (sys.executable, script(tmp_path, BEGIN + text), f"http://127.0.0.1:{server.server_port}")
    return dashboard_run("--job-dir", tmp_path / "job-1", *options, "--", *command, **own)


@needs_boto3
def test_each_call_is_recorded_once_with_what_was_billed(
    tmp_path: Path, bedrock: ThreadingHTTPServer
) -> None:
    done = ran(tmp_path, bedrock, ALL)
    assert done.returncode == 0, done.stderr
    assert "not captured" not in done.stderr
    *found, cut = entries(tmp_path / "job-1")
    used = Usage(tokens_input=1100, tokens_output=200, tokens_cached=100)
    assert [each.usage for each in found] == [used] * 6
    assert {each.service for each in found} == {"bedrock"}
    assert [each.model for each in found] == [MODELS["claude"]] * 4 + [MODELS["llama"]] * 2
    # Per million: 3 for input, 0.30 from the cache, 15 for output; 0.72 for all at Llama, which has no cache.
    assert [each.cost for each in found[:4]] == [from_usd("0.00603")] * 4
    assert [each.request_id for each in found] == ["aws-1", "aws-2", "msg-1", "msg-2", "aws-5", "aws-6"]
    assert {each.region for each in found} == {"us-east-1"}
    assert cut.charge is None
    assert "closed early" in str(cut.metadata)


LATER = """
import asyncio
from aiobotocore.session import get_session
async def all_of_them():
    own = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    async with get_session().create_client("bedrock-runtime", endpoint_url=sys.argv[1], **own) as client:
        assert (await client.converse(modelId=claude, **ask))["usage"]["outputTokens"] == 200
        answer = await client.converse_stream(modelId=claude, **ask)
        assert len([each async for each in answer["stream"]]) == 3
        answer = await client.invoke_model_with_response_stream(modelId=claude, body=body)
        assert len([each async for each in answer["body"]]) == 3
        answer = await client.invoke_model(modelId=llama, body=json.dumps({"prompt": "Hi"}))
        assert json.loads(await answer["body"].read())["generation"] == "hi"
asyncio.run(all_of_them())
"""


@needs_boto3
@pytest.mark.skipif(not is_there("aiobotocore"), reason="needs aiobotocore")
def test_asynchronous_calls_are_recorded_too(tmp_path: Path, bedrock: ThreadingHTTPServer) -> None:
    done = ran(tmp_path, bedrock, LATER)
    assert done.returncode == 0, done.stderr
    found = entries(tmp_path / "job-1")
    assert [each.usage for each in found] == [
        Usage(tokens_input=1100, tokens_output=200, tokens_cached=100)
    ] * 4
    assert [each.request_id for each in found] == ["aws-1", "aws-2", "msg-2", "aws-4"]


@needs_boto3
def test_the_request_that_could_pass_the_limit_is_never_sent(
    tmp_path: Path, bedrock: ThreadingHTTPServer
) -> None:
    done = ran(tmp_path, bedrock, UNTIL_DENIED, "--budget", "0.0205")
    # Each holds up to $0.0065 and costs $0.00603: the fourth does not fit, and the refused one gave back.
    assert done.stdout.split() == ["answered"] * 3 + ["BudgetExceeded"], done.stderr
    assert len(bedrock.served) == 4  # type: ignore[attr-defined]  # of the fixture
    assert sum(each.cost for each in entries(tmp_path / "job-1")) == from_usd("0.01809")


@needs_boto3
def test_a_repeated_request_to_which_no_answer_came_is_held_again(
    tmp_path: Path, bedrock: ThreadingHTTPServer
) -> None:
    bedrock.RequestHandlerClass = _Silent
    done = ran(tmp_path, bedrock, "client.converse(modelId=claude, **ask)", "--budget", "0.0100")
    assert done.returncode == 1
    assert "BudgetExceeded" in done.stderr
    assert len(bedrock.served) == 1  # type: ignore[attr-defined]  # of the fixture


class _Silent(Bedrock):
    """Takes requests, and ends the connection."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.served.append("")  # type: ignore[attr-defined]  # of the fixture
        self.close_connection = True


def step(kind: str, **told: Any) -> bytes:
    """Return an event with one step of an agent's trace."""
    trace = {"trace": {"orchestrationTrace": {kind: told}}, "agentId": "a", "sessionId": "s"}
    return event("trace", trace)


class Agents(Bedrock):
    """Answers as Bedrock's agents do: with a trace where it is asked for, not all of it with usage."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = event("chunk", {"bytes": base64.b64encode(b"hi").decode()})
        if asked.get("enableTrace"):
            usage = {"metadata": {"usage": {"inputTokens": 3000, "outputTokens": 40}}}
            body += step("modelInvocationInput", traceId="t-0", foundationModel=MODELS["claude"])
            body += step("modelInvocationOutput", traceId="t-0", **usage) + step("rationale", traceId="t-0")
            body += step("modelInvocationInput", traceId="t-1", foundationModel=MODELS["llama"])
            body += step("modelInvocationOutput", traceId="t-2", **usage)
        plain = {
            "/rerank": {"results": []},
            "/retrieveAndGenerate": {"output": {"text": "x"}, "sessionId": "s"},
        }
        agent = self.path not in plain
        body = body if agent else json.dumps(plain[self.path]).encode()
        self.send_response(200)
        self.send_header(
            "content-type", "application/vnd.amazon.eventstream" if agent else "application/json"
        )
        self.send_header("content-length", str(len(body)))
        if agent:
            self.send_header("x-amzn-bedrock-agent-content-type", "application/json")
            self.send_header("x-amz-bedrock-agent-session-id", "s")
        self.end_headers()
        self.wfile.write(body)


OF_AGENTS = """
agents = boto3.client(
    "bedrock-agent-runtime", region_name="us-west-2", endpoint_url=sys.argv[1],
    aws_access_key_id="a", aws_secret_access_key="b",
)
ask = {"agentId": "A" * 10, "agentAliasId": "B" * 10, "sessionId": "s1", "inputText": "Hi"}
assert len(list(agents.invoke_agent(**ask, enableTrace=True)["completion"])) == 6
assert len(list(agents.invoke_agent(**ask)["completion"])) == 1
arn = "arn:aws:bedrock:us-west-2::foundation-model/cohere.rerank-v3-5:0"
text = {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "x"}}}
ranked = {"bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": arn}}}
agents.rerank(
    queries=[{"type": "TEXT", "textQuery": {"text": "q"}}], sources=[text] * 101,
    rerankingConfiguration={"type": "BEDROCK_RERANKING_MODEL", **ranked},
)
base = {"knowledgeBaseId": "C" * 10, "modelArn": claude}
agents.retrieve_and_generate(
    input={"text": "q"},
    retrieveAndGenerateConfiguration={"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": base},
)
"""


@needs_boto3
def test_an_agent_is_recorded_by_its_traces_and_a_reranker_by_its_documents(
    tmp_path: Path, bedrock: ThreadingHTTPServer
) -> None:
    bedrock.RequestHandlerClass = Agents
    done = ran(tmp_path, bedrock, OF_AGENTS, **measured())
    assert done.returncode == 0, done.stderr
    found = {
        (each.model, each.request_id): each.cost if each.charge else None
        for each in entries(tmp_path / "job-1")
    }
    ranker = "arn:aws:bedrock:us-west-2::foundation-model/cohere.rerank-v3-5:0"
    assert found == {
        (MODELS["claude"], "t-0"): from_usd("0.0096"),  # 3,000 at $3 and 40 at $15 a million
        (MODELS["llama"], "t-1"): None,
        ("unknown", "t-2"): None,
        ("unknown", None): None,
        (ranker, None): from_usd("0.004"),  # two queries at $2 a thousand, for 101 documents
        (MODELS["claude"], None): None,
    }


HI = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
PICTURE = {
    "messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}]
}
STORED = {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/a.mp4"}}}}


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ({**HI, "inferenceConfig": {"maxTokens": 9}}, (True, 9, None)),
        ({**HI, "additionalModelRequestFields": {"max_tokens": 99}}, (True, 99, None)),
        ({**HI, "performanceConfig": {"latency": "optimized"}}, (True, None, "optimized")),
        ({**HI, "serviceTier": {"type": "priority"}}, (True, None, "priority")),
        ({**PICTURE, "inferenceConfig": {"maxTokens": 9}}, (False, 9, None)),
        ({"messages": [{"role": "user", "content": [STORED]}]}, (False, None, None)),
        ({**HI, "guardrailConfig": {"guardrailIdentifier": "g"}}, (False, None, None)),
        ({**HI, "toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, (False, None, None)),
        ({**HI, "modelId": "arn:aws:bedrock:us-east-1:1:prompt/x:1"}, (False, None, None)),
        ({"body": b'{"prompt": "Hi", "max_gen_len": 9}'}, (True, 9, None)),
        ({"body": '{"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 9}}'}, (True, 9, None)),
        ({"body": '{"inputText": "Hi"}', "modelId": "amazon.titan-embed-text-v2:0"}, (True, 0, None)),
        ({"body": '{"inputText": "Hi", "inputImage": "aGk="}'}, (False, None, None)),
        ({"body": '{"textToImageParams": {"text": "Hi"}}'}, (False, None, None)),
        ({"body": b"no JSON"}, (False, None, None)),
    ],
)  # fmt: skip
def test_what_a_request_can_use_stands_in_it_or_has_no_bound(
    given: dict[str, Any], bounds: tuple[bool, int | None, str | None]
) -> None:
    found = bounds_of_bedrock({"modelId": "m", **given})
    assert (found.tokens_input is not None, found.max_tokens_output, found.tier) == bounds
    assert found.tokens_input is None or found.tokens_input >= 2
    assert isinstance(found, RequestBounds)
