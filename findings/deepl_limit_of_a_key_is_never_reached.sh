#!/usr/bin/env bash
# deepl 1.32.0: with an API key that has used up its own limit, `get_usage().any_limit_reached` is False, and the key's count is in
# no attribute.
#
# DeepL's `/v2/usage` has two counts, of the subscription and of the key that asks, each with a limit: a limit by key is how
# a budget is set for one project. It has the characters by product too (translation and improvement), and 10^12 where
# there is no limit (https://developers.deepl.com/api-reference/usage-and-quota). The client reads `character_count` and
# `character_limit`, the subscription's; the rest is dropped, and there is no raw answer to read it from. A guard
# by `any_limit_reached` goes on until requests are refused, and a report by `usage.character.count` puts the characters of
# all keys on each project that asks. "100 of 1000000000000" is what no limit looks like.
#
# What to do: GET /v2/usage with an HTTP client of your own; count `billed_characters` of each answer for a project.
#
# Seen on 2026-11-30 with Python 3.11; the key used 500,000 of 500,000, the subscription 2,100,000:
#   character 2100000 of 1000000000000, any_limit_reached False, key's count anywhere: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "deepl==1.32.0" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from deepl import DeepLClient

KEY = {"api_key_character_count": 500_000, "character_count": 2_100_000}
USAGE = {
    "products": [{"product_type": "translate", **KEY}],
    "api_key_character_count": 500_000,
    "api_key_character_limit": 500_000,
    "start_time": "2026-11-01T00:00:00Z",
    "end_time": "2026-12-01T00:00:00Z",
    "character_count": 2_100_000,
    "character_limit": 10**12,
}


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(USAGE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def held(thing):
    return [thing, *(each for part in vars(thing).values() for each in held(part))] if hasattr(thing, "__dict__") else [thing]


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
usage = DeepLClient("none", server_url=f"http://127.0.0.1:{server.server_port}").get_usage()
kept = 500_000 in held(usage)
print(f"character {usage.character}, any_limit_reached {usage.any_limit_reached}, key's count anywhere: {kept}")
assert (usage.character.count, usage.any_limit_reached, kept) == (2_100_000, False, False), held(usage)
assert 2_100_000 in held(usage)
PYTHON
