#!/usr/bin/env bash
# langchain 1.5.2: after an agent with SummarizationMiddleware ran, the messages of its result have the usage of two of eleven
# requests: it removes the messages that it sums up, with what they cost, and its own requests are in none.
#
# Each AIMessage carries the usage of its request, so that adding up `result["messages"]` is how an agent's run is counted in
# most guides, and it is right for a short one. Once the conversation is long the middleware replaces old messages by a
# summary. Their usages go with them, and the summary, which a model was asked for, is a HumanMessage and has none. The sum
# falls while the bill grows: the longer an agent works the less it cost. A budget on that sum is never reached.
#
# What to do: `get_usage_metadata_callback()` around the run, which has all; never the messages of a state.
#
# Seen on 2026-11-30 with Python 3.11, langchain-openai 1.7.4, 1,000 tokens of input a request:
#   without a summary  8 requests; messages say 8000 tokens, the callback 8000
#   with summaries    11 requests; messages say 2000 tokens, the callback 11000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langchain==1.5.2" "langchain-core==1.8.3" \
  "langchain-openai==1.7.4" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_openai import ChatOpenAI

requests = []


def message(asked, number):
    """Look something up seven times, then end; sum up where no tools are offered."""
    if asked.get("tools") and sum("tools" in each for each in requests) < 8:
        function = {"name": "look", "arguments": '{"at": "it"}'}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    return {"role": "assistant", "content": "It was looked at."}, "stop"


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        requests.append(asked)
        said, reason = message(asked, len(requests))
        answer = {"id": f"chatcmpl-{len(requests)}", "object": "chat.completion", "created": 1790000000}
        answer |= {"model": asked["model"], "choices": [{"index": 0, "message": said, "finish_reason": reason}]}
        answer |= {"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def look(at: str) -> str:
    """Look at something."""
    return f"{at} is there"


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
model = ChatOpenAI(model="gpt-5.1", base_url=url, api_key="none")
summary = SummarizationMiddleware(model, trigger=("messages", 6), keep=("messages", 2))
for name, middleware, expected in (
    ("without a summary", [], (8, 8000, 8000)),
    ("with summaries", [summary], (11, 2000, 11000)),
):
    requests.clear()
    agent = create_agent(model, [look], middleware=middleware)
    with get_usage_metadata_callback() as callback:
        result = agent.invoke({"messages": [{"role": "user", "content": "Look."}]})
    usages = [usage for each in result["messages"] if (usage := getattr(each, "usage_metadata", None))]
    told = sum(usage["input_tokens"] for usage in usages)
    counted = sum(usage["input_tokens"] for usage in callback.usage_metadata.values())
    print(f"{name:<18} {len(requests):>2} requests; messages say {told} tokens, the callback {counted}")
    assert (len(requests), told, counted) == expected, (len(requests), told, counted)
PYTHON
