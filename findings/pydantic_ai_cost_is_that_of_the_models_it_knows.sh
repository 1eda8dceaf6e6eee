#!/usr/bin/env bash
# pydantic-ai-slim 2.68.0: the cost of a run is that of the models whose price it knows, once it knew one; a `cost_limit` of
# $2 then lets any number of calls of another model through, and warns of nothing.
#
# `usage.cost` is documented as None, rather than zero, where a price is not known, "so unknown stays distinguishable from a
# genuine zero". That holds for one request. In a sum None is left out: a run that asked one known model and then an unknown
# one (a fallback, a fine-tuned model, a server of one's own, a model younger than the package) has the first one's cost, beside the tokens
# of both. The warning that a `cost_limit` cannot be enforced depends on a cost of None too, and does not come any more: the
# first call, of a known model, turns it off.
#
# What to do: look at the usage of each response, and take a None among them for "not known".
#
# Seen on 2026-11-30 with Python 3.11, openai 3.57.0, genai-prices 0.2.3; requests of a million tokens, cost_limit $2:
#   unknown alone       1 request,  1000000 tokens, cost None, warned yes
#   known, unknown x 5  6 requests, 6000000 tokens, cost 1.250, warned no
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "pydantic-ai-slim[openai]==2.68.0" "openai==3.57.0" \
  "genai-prices==0.2.3" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
import json
import threading
import warnings
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RunUsage, UsageLimits


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = {"role": "assistant", "content": "Yes."}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": asked["model"]}
        answer |= {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
        answer |= {"usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
provider = OpenAIProvider(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none")
known, unknown = (Agent(OpenAIChatModel(name, provider=provider)) for name in ("gpt-5.1", "our-own-model"))
limits = UsageLimits(cost_limit=Decimal(2))
for name, agents, expected in (
    ("unknown alone", [unknown], (1, 1_000_000, None, True)),
    ("known, unknown x 5", [known, *[unknown] * 5], (6, 6_000_000, Decimal("1.25"), False)),
):
    usage = RunUsage()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for agent in agents:
            agent.run_sync("Hello?", usage=usage, usage_limits=limits)
    warned = any("cost" in str(each.message) for each in caught)
    told = usage.requests, usage.input_tokens, usage.cost, warned
    requests = f"{usage.requests} request{'s' if usage.requests > 1 else ''},"
    print(f"{name:<19} {requests:<11} {usage.input_tokens} tokens, cost {usage.cost}, warned", "yes" if warned else "no")
    assert told == expected, (told, [str(each.message) for each in caught])
PYTHON
