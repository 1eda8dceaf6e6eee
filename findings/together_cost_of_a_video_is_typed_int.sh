#!/usr/bin/env bash
# together 3.1.1: the cost of a video is typed `int`, arrives as a fraction of a dollar, and cannot be read back.
#
# `VideoJob.outputs.cost` is what the owner's account was charged, in dollars. Its type is `int`, so a reader, a type
# checker and a column made from the type all take it for whole units (cents, at best). The client builds
# answers without validation, so 0.57 passes through as a float. Stored with `model_dump()` and read again with
# `model_validate()`, the same job is refused. The answer here comes from a server on this machine.
#
# What to do: take the number as dollars, keep it as a decimal, and store the job's plain JSON, not its type.
#
# Seen on 2026-11-29 with Python 3.11:
#   typed int, arrived as float: 0.57
#   read back: ValidationError, int_from_float
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "together==3.1.1"
"$folder/env/bin/python" - <<'PYTHON'
import json
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer

from pydantic import ValidationError
from together import Together
from together.types import VideoJob

JOB = {
    "id": "v1",
    "object": "video",
    "created_at": 1790000000,
    "model": "ByteDance/Seedance-1.0-pro",
    "seconds": "5",
    "size": "1280x720",
    "status": "completed",
    "outputs": {"cost": 0.57, "video_url": "https://example.com/v1.mp4"},
}


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(JOB).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Together(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}")
job = client.videos.retrieve("v1")
declared = type(job.outputs).model_fields["cost"].annotation
print(f"typed {declared.__name__}, arrived as {type(job.outputs.cost).__name__}: {job.outputs.cost}")
assert (declared, job.outputs.cost) == (int, 0.57)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    stored = job.model_dump()
try:
    VideoJob.model_validate(stored)
except ValidationError as error:
    kinds = [each["type"] for each in error.errors()]
    print(f"read back: {type(error).__name__}, {', '.join(kinds)}")
    assert kinds == ["int_from_float"]
else:
    raise SystemExit("a stored video job is no longer refused")
PYTHON
