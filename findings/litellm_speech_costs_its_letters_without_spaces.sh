#!/usr/bin/env bash
# litellm 1.110.2: the cost of speech leaves the spaces out of the characters, for every provider: $0.01080 where OpenAI
# bills $0.01350.
#
# Speech is sold by the character of the input, spaces and line breaks included, by OpenAI, Azure, ElevenLabs and AWS. One
# seller's rule does not count white space: Google's for Gemini's characters, and LiteLLM's one function for
# counting characters is that one. `response_cost`, which callbacks get and the proxy books, is a fifth too low
# for English text, and right for text without spaces, such as Chinese. The price itself is right, so a look at the
# price list finds nothing.
#
# What to do: take len(text) times model_cost[...]["input_cost_per_character"], or the characters that the answer states.
#
# Seen on 2026-11-29 with Python 3.11, tts-1 at $15 a million characters:
#   English  900 characters, 720 without spaces: response_cost 0.01080, billed 0.01350
#   Chinese  100 characters, 100 without spaces: response_cost 0.00150, billed 0.00150
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "litellm==1.110.2" 2>/dev/null
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/env/bin/python" -W ignore - <<'PYTHON'
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import litellm


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("content-type", "audio/mpeg")
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"sound")

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
logged = []
litellm.success_callback = [lambda call, answer, began, ended: logged.append(call["response_cost"])]
rate = litellm.model_cost["tts-1"]["input_cost_per_character"]
for name, text, expected in (
    ("English", "The quick brown fox jumps over the lazy dog. " * 20, (900, 720)),
    ("Chinese", "你好，世界" * 20, (100, 100)),
):
    logged.clear()
    base = f"http://127.0.0.1:{server.server_port}/v1"
    litellm.speech("openai/tts-1", input=text, voice="alloy", api_base=base, api_key="none")
    until = time.monotonic() + 10
    while not logged and time.monotonic() < until:
        time.sleep(0.01)
    counts = len(text), len("".join(text.split()))
    print("{}  {} characters, {} without spaces: ".format(name, *counts), end="")
    print(f"response_cost {logged[0]:.5f}, billed {len(text) * rate:.5f}")
    assert counts == expected
    assert abs(logged[0] - counts[1] * rate) < 1e-9, logged
PYTHON
