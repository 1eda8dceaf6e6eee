#!/usr/bin/env bash
# crewai 1.15.30: three agents that share one LLM object use three times what was billed, and a crew's second run contains its
# first.
#
# `crew.kickoff().token_usage` adds up a counter for each agent. The counter belongs to the LLM object, which counts all that
# was ever asked through it. One object for all agents is how most crews are written, since model, address and key stand in
# one place; three agents then count everything thrice, a crew of eight eight times. With an LLM for each agent the first
# run is right. Run again, as in a loop over documents, both begin with the sum of all runs before: of
# ten runs that are added up, the first counts ten times. `successful_requests` is wrong in the same way.
#
# What to do: subtract `llm.get_token_usage_summary()` before a run from that after it, once for each LLM object.
#
# Seen on 2026-11-30 with Python 3.11; three agents with a task each, each request 1,000 input tokens:
#   an LLM each     first run   3 requests  token_usage  3000 in  3 requests   second   3 requests  token_usage  6000 in  6 requests
#   one LLM for all first run   3 requests  token_usage  9000 in  9 requests   second   3 requests  token_usage 18000 in 18 requests
#   what the shared LLM itself counts after both: 6000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "crewai==1.15.30" 2>/dev/null
cat >"$folder/crews.py" <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from crewai import LLM, Agent, Crew, Task

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
MESSAGE = {"role": "assistant", "content": "Thought: I now can give a great answer\nFinal Answer: Done."}
ANSWER = {"object": "chat.completion", "created": 1790000000, "model": "gpt-5.1", "usage": USAGE}
ANSWER |= {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
requests = 0


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global requests
        requests += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"id": f"chatcmpl-{requests}", **ANSWER}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def llm():
    return LLM(model="openai/gpt-5.1", base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none")


def runs(models):
    global requests
    agents = [Agent(role="writer", goal="write", backstory="writes", llm=model) for model in models]
    tasks = [Task(description="Write.", expected_output="Done", agent=agent) for agent in agents]
    crew = Crew(agents=agents, tasks=tasks)
    for _ in range(2):
        requests = 0
        used = crew.kickoff().token_usage
        yield requests, used.prompt_tokens, used.successful_requests


shared = llm()
seen = {"an LLM each": list(runs([llm(), llm(), llm()])), "one LLM for all": list(runs([shared] * 3))}
for name, ((sent, tokens, told), (again, tokens_2, told_2)) in seen.items():
    first = f"{sent} requests  token_usage {tokens:>5} in {told:>2} requests"
    print(f"{name:<15} first run {first}   second {again} requests  token_usage {tokens_2:>5} in {told_2:>2} requests", file=sys.stderr)
itself = shared.get_token_usage_summary().prompt_tokens
print(f"what the shared LLM itself counts after both: {itself}", file=sys.stderr)
assert seen["an LLM each"] == [(3, 3000, 3), (3, 6000, 6)], seen
assert seen["one LLM for all"] == [(3, 9000, 9), (3, 18000, 18)] and itself == 6000, seen
PYTHON
export HOME="$folder" CREWAI_DISABLE_TELEMETRY=true CREWAI_TRACING_ENABLED=false OTEL_SDK_DISABLED=true
"$folder/env/bin/python" -W ignore "$folder/crews.py" </dev/null 2>&1 >/dev/null | grep -v WARNING
