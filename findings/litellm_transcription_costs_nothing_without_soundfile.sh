#!/usr/bin/env bash
# litellm 1.110.2: a transcription whose answer states `usage: {"type": "duration", "seconds": 60}` costs $0.0, whatever the
# file, until a package is installed that LiteLLM does not ask for; a recording of a phone stays free even then.
#
# OpenAI states the billed seconds of whisper-1 in the answer. LiteLLM keeps them in `response.usage`, does not read
# them for the cost, and measures the uploaded file by itself with soundfile, which is not among its
# dependencies; where it is missing, or cannot read the format (M4A, WebM, MP4: what phones and browsers record),
# the length is taken for 0 in silence, and `response_cost` is 0.0, not None. Speech recognition is then
# free in every report, and in a budget.
#
# What to do: multiply `response.usage.seconds` yourself; install soundfile for WAV, FLAC, MP3 and Ogg.
#
# Seen on 2026-11-29 with Python 3.11, soundfile 0.14.0; a minute at $0.006, stated by the answer as 60 seconds:
#   without soundfile  WAV 0.0    M4A 0.0
#   with soundfile     WAV 0.006  M4A 0.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "litellm==1.110.2" "imageio-ffmpeg==0.8.1" 2>/dev/null
cat >"$folder/costs.py" <<'PYTHON'
import json
import subprocess
import sys
import threading
import wave
from http.server import BaseHTTPRequestHandler, HTTPServer

import imageio_ffmpeg
import litellm

ANSWER = {"text": "hello", "usage": {"type": "duration", "seconds": 60}}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
with wave.open("minute.wav", "wb") as sound:
    sound.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
    sound.writeframes(bytes(2 * 16_000 * 60))
ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
subprocess.run([ffmpeg, "-y", "-loglevel", "error", "-i", "minute.wav", "minute.m4a"], check=True)
costs = []
for name in ("minute.wav", "minute.m4a"):
    with open(name, "rb") as file:
        base = f"http://127.0.0.1:{server.server_port}/v1"
        answer = litellm.transcription("openai/whisper-1", file=file, api_base=base, api_key="none")
    assert answer.usage.seconds == 60
    costs.append(litellm.completion_cost(answer, model="openai/whisper-1", call_type="transcription"))
print("{:18} WAV {:<5}  M4A {}".format(sys.argv[1], *(round(cost, 9) for cost in costs)))
assert [round(cost, 9) for cost in costs] == json.loads(sys.argv[2]), costs
PYTHON
cd "$folder"
export LITELLM_LOCAL_MODEL_COST_MAP=True
env/bin/python -W ignore costs.py "without soundfile" "[0.0, 0.0]"
env/bin/pip install --quiet --disable-pip-version-check "soundfile==0.14.0" 2>/dev/null
env/bin/python -W ignore costs.py "with soundfile" "[0.006, 0.0]"
