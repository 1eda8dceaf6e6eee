#!/usr/bin/env bash
# langchain-openai 1.7.4: an answer that was cut off, or does not fit its class, is billed and in no usage: with
# `with_structured_output(Answer)` the usage callback has none of the 500 output tokens, and `include_raw=True`, which is there
# for this case, raises too.
#
# With method="json_schema", the default, LangChain calls `parse` of OpenAI's SDK, which raises: LengthFinishReasonError where
# max_tokens cut the answer off, a ValidationError of pydantic's where it does not fit. The provider answered with 200 and
# bills it; the exception leaves LangChain before a message with a usage is made. So a retry for answers that do not parse
# pays each time and counts the last. It is so with method="json_mode" too; the same answer without a class is counted. These are
# the longest answers of all: they went to the limit.
#
# What to do: catch LengthFinishReasonError and count its `completion.usage`; of responses nothing has it.
#
# Seen on 2026-11-30 with Python 3.11, openai 3.57.0, an answer of 1,000 and 500 tokens, cut off:
#   chat, json_schema               LengthFinishReasonError  callback 0 + 0
#   chat, json_schema, include_raw  LengthFinishReasonError  callback 0 + 0
#   responses, json_schema          ValidationError          callback 0 + 0
#   chat, json_mode                 LengthFinishReasonError  callback 0 + 0
#   chat, without a class           nothing raised           callback 1000 + 500
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langchain-core==1.8.3" "langchain-openai==1.7.4" \
  "openai==3.57.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from langchain_core.callbacks import get_usage_metadata_callback
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

SAID = '{"number": 1'
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1"}
CHAT |= {"choices": [{"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "length"}]}
CHAT |= {"usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}}
PART = {"type": "output_text", "text": SAID, "annotations": []}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "incomplete", "content": [PART]}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "gpt-5.1", "status": "incomplete"}
RESPONSE |= {"incomplete_details": {"reason": "max_output_tokens"}, "output": [MESSAGE], "tools": []}
RESPONSE |= {"parallel_tool_calls": True, "tool_choice": "auto"}
USAGE = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500, "input_tokens_details": {"cached_tokens": 0}}
RESPONSE |= {"usage": USAGE | {"output_tokens_details": {"reasoning_tokens": 0}}}
answered = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        answered.append(self.path)
        body = json.dumps(RESPONSE if self.path.endswith("/responses") else CHAT).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Answer(BaseModel):
    number: int


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
chat = ChatOpenAI(model="gpt-5.1", base_url=url, api_key="none", max_tokens=500)
responses = ChatOpenAI(model="gpt-5.1", base_url=url, api_key="none", max_tokens=500, use_responses_api=True)
none, all_ = (0, 0), (1000, 500)
for name, model, options, fault, expected in (
    ("chat, json_schema", chat, {"method": "json_schema"}, "LengthFinishReasonError", none),
    ("chat, json_schema, include_raw", chat, {"include_raw": True}, "LengthFinishReasonError", none),
    ("responses, json_schema", responses, {"method": "json_schema"}, "ValidationError", none),
    ("chat, json_mode", chat, {"method": "json_mode"}, "LengthFinishReasonError", none),
    ("chat, without a class", chat, None, "nothing raised", all_),
):
    answered.clear()
    raised = "nothing raised"
    asks = model if options is None else model.with_structured_output(Answer, **options)
    with get_usage_metadata_callback() as callback:
        try:
            asks.invoke("Which number, in JSON?")
        except Exception as error:
            raised = type(error).__name__
    usages = callback.usage_metadata.values()
    told = sum(each["input_tokens"] for each in usages), sum(each["output_tokens"] for each in usages)
    print(f"{name:<31} {raised:<24} callback {told[0]} + {told[1]}")
    assert (len(answered), raised, told) == (1, fault, expected), (name, raised, told)
PYTHON
