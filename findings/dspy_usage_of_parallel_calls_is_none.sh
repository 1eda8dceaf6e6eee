#!/usr/bin/env bash
# dspy 3.4.1: `dspy.track_usage()` around a batch or an evaluation counts nothing: four billed calls, and no tokens. Around
# the same calls in a loop it counts all of them.
#
# DSPy's own way to ask many things at once is `module.batch(...)`, and `dspy.Evaluate` and its optimizers go the same way, with
# threads. Each thread gets a copy of the tracker that was opened outside, so that answers can be told apart, and what
# it counted is thrown away with it. The tracker outside stays empty, which looks like a batch that came from the cache. The
# larger a run, the likelier it is one of these.
#
# What to do: `dspy.configure(track_usage=True)` and add up `get_lm_usage()` of each prediction; or count where requests are sent.
#
# Seen on 2026-11-30 with Python 3.11, a server on this machine that bills 1,000 tokens of input a request:
#   a loop         4 requests, 4000 tokens billed; tracked 4000
#   batch          4 requests, 4000 tokens billed; tracked 0
#   Evaluate       4 requests, 4000 tokens billed; tracked 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "dspy==3.4.1" "litellm==1.110.2" 2>/dev/null
cd "$folder"
LITELLM_LOCAL_MODEL_COST_MAP=True DSPY_CACHEDIR="$folder/cache" "$folder/env/bin/python" -W ignore - <<'PYTHON' 2>"$folder/log" || { cat "$folder/log"; exit 1; }
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dspy

SAID = "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1"}
ANSWER |= {"choices": [{"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}]}
ANSWER |= {"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}
requests = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
dspy.configure(lm=dspy.LM("openai/gpt-5.1", api_base=url, api_key="none", cache=False), adapter=dspy.ChatAdapter())
ask = dspy.Predict("question -> answer")
examples = [dspy.Example(question=str(number), answer="yes").with_inputs("question") for number in range(4)]
evaluate = dspy.Evaluate(devset=examples, metric=lambda *_: 1, num_threads=2, display_progress=False)
for name, run, expected in (
    ("a loop", lambda: [ask(question=each.question) for each in examples], 4000),
    ("batch", lambda: ask.batch(examples, num_threads=2), 0),
    ("Evaluate", lambda: evaluate(ask), 0),
):
    requests.clear()
    with dspy.track_usage() as tracker:
        run()
    told = sum(usage["prompt_tokens"] for usage in tracker.get_total_tokens().values())
    billed = len(requests) * 1000
    print(f"{name:<14} {len(requests)} requests, {billed} tokens billed; tracked {told}")
    assert (len(requests), told) == (4, expected), (name, told)
PYTHON
