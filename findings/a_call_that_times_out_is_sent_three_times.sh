#!/usr/bin/env bash
# openai 3.57.0, anthropic 2.14.0: a call whose answer is not there within `timeout` is sent three times, without any
# idempotency key, and its `usage` is of the last one; google-genai 3.6.1 sends it once.
#
# Somebody who sets timeout=30 expects one request and an error after 30 s. The provider has each of the three requests and
# goes on answering those that nobody waits for, so that a long answer may be billed three times; for pictures and videos,
# which take longest, too. Nothing in the answer tells: the number stands in the header x-stainless-retry-count of the
# request, and in `retries_taken` of with_raw_response alone. So a cost tracker that adds up `usage` misses two thirds,
# and a budget that holds room for one call lets three pass. google-genai repeats only with http_options.retry_options.
#
# What to do: max_retries=0 on calls that cost much, or streams, whose first event comes early; else count
# with_raw_response's retries_taken, and hold the cost of each request that may be sent.
#
# Seen on 2026-11-30 with Python 3.11 and a server that answers 10 + 20 tokens: the first two requests after 3 s, later
# ones at once; timeout 1 s:
#   openai        3 requests, 0 keys, answered by number 3: usage 30 tokens, retries_taken 2; the server made 90
#   anthropic     3 requests, 0 keys, answered by number 3: usage 30 tokens, retries_taken 2; the server made 90
#   google-genai  1 request, 0 keys: ReadTimeout
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
  "openai==3.57.0" "anthropic==2.14.0" "google-genai==3.6.1" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
from google import genai

CHAT = {"object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}}
MESSAGE = {"type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "stop_reason": "end_turn",
           "stop_sequence": None, "content": [{"type": "text", "text": "x"}],
           "usage": {"input_tokens": 10, "output_tokens": 20}}
came = []


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        came.append(self.headers)
        number = len(came)
        time.sleep(3 if number < 3 else 0)
        answer = MESSAGE if "messages" in self.path else CHAT
        content = json.dumps({"id": str(number), **answer}).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # nobody waits for it any more

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
ask = [{"role": "user", "content": "Hi"}]
given = {"api_key": "k", "timeout": 1.0}
clients = {
    "openai": lambda: openai.OpenAI(base_url=url, **given).chat.completions.with_raw_response.create(
        model="gpt-4o", messages=ask
    ),
    "anthropic": lambda: anthropic.Anthropic(base_url=url, **given).messages.with_raw_response.create(
        model="claude-sonnet-4-6", messages=ask, max_tokens=99
    ),
}
for name, call in clients.items():
    came.clear()
    raw = call()
    answer, sent = raw.parse(), len(came)
    keys = sum("idempotency" in header.lower() for headers in came for header in headers)
    usage = answer.usage.model_dump()
    told = sum(usage.get(part) or 0 for part in ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"))
    print(f"{name:13} {sent} requests, {keys} keys, answered by number {answer.id}: usage {told} tokens, "
          f"retries_taken {raw.retries_taken}; the server made {30 * sent}")
    assert (sent, keys, answer.id, told, raw.retries_taken) == (3, 0, "3", 30, 2)
    assert not any("retr" in field or "attempt" in field for field in answer.model_dump())
came.clear()
google = genai.Client(api_key="k", http_options={"base_url": url, "timeout": 1000})
try:
    google.models.generate_content(model="gemini-2.5-flash", contents="Hi")
except Exception as error:
    print(f"google-genai  {len(came)} request, 0 keys: {type(error).__name__}")
    assert len(came) == 1
else:
    raise SystemExit("google-genai waits now")
PYTHON
