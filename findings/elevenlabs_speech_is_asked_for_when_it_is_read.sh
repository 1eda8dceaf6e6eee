#!/usr/bin/env bash
# elevenlabs 2.78.0: `text_to_speech.convert` returns without having sent anything; the request goes out when the first byte
# is read, where no `try` and no budget of the call is any more.
#
# The call looks like any SDK's: a key, a voice, a text, and audio comes back. It is a generator's, and Python runs nothing
# of a generator before it is asked for the first piece. A refused key, a quota that is used up or a voice that is not there
# is raised in the code that writes the file, not in the block around `convert`; a limit that is checked before and after has
# seen no request; the latency measured is 0. Audio that nobody reads was never made. `convert_with_timestamps` beside it
# sends at once. Others tried to await it: https://github.com/elevenlabs/elevenlabs-python/issues/708.
#
# What to do: audio = b"".join(client.text_to_speech.convert(...)), inside of what guards the call.
#
# Seen on 2026-11-30 with Python 3.11, a server on this machine that refuses the key:
#   convert                  no error, requests 0
#   read                     ApiError 401, requests 1
#   convert_with_timestamps  ApiError 401, requests 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "elevenlabs==2.78.0" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from elevenlabs.client import ElevenLabs
from elevenlabs.core import ApiError

requests = 0


class Refusing(BaseHTTPRequestHandler):
    def do_POST(self):
        global requests
        requests += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
threading.Thread(target=server.serve_forever, daemon=True).start()
speech = ElevenLabs(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}").text_to_speech
audio = None


def convert():
    global audio
    audio = speech.convert("voice", text="Good morning.")


for name, call, expected in (
    ("convert", convert, ("no error", 0)),
    ("read", lambda: b"".join(audio), ("ApiError 401", 1)),
    ("convert_with_timestamps", lambda: speech.convert_with_timestamps("voice", text="Good morning."), ("ApiError 401", 1)),
):
    requests = 0
    try:
        call()
        said = "no error"
    except ApiError as error:
        said = f"ApiError {error.status_code}"
    time.sleep(0.2)
    print(f"{name:24} {said}, requests {requests}")
    assert (said, requests) == expected
PYTHON
