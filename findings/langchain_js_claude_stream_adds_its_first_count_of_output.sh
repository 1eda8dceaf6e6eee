#!/usr/bin/env bash
# @langchain/anthropic 1.5.11 (npm): a streamed answer of Claude has more output tokens than were billed: a word that is billed with 4 has 8,
# and what is in the output by its first count, up to all of it, counts twice.
#
# A stream of Claude's states its output twice: `message_start` has the tokens so far, and `message_delta` at its end the whole,
# which contains them. LangChain puts chunks' usages together by addition, and this package makes of both events chunks with
# `output_tokens`, of the input one only. For long answers it is a token or some in a thousand, less than anybody notices.
# Classifiers and routers, which answer with a word, have nothing else: up to twice the output in `usage_metadata`. The same call by
# `invoke` is right.
#
# What to do: subtract the first chunk's `usage_metadata.output_tokens`; or `invoke` where an answer is a word.
#
# Seen on 2026-11-30 with Node 20, @langchain/core 1.4.0; input and output tokens:
#   message_start 4, message_delta 4       invoke 1000 + 4    stream 1000 + 8
#   message_start 3, message_delta 100     invoke 1000 + 100  stream 1000 + 103
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error @langchain/anthropic@1.5.11 @langchain/core@1.4.0 >/dev/null 2>&1
cat >calls.mjs <<'JAVASCRIPT'
import assert from "node:assert";
import { createServer } from "node:http";
import { ChatAnthropic } from "@langchain/anthropic";

const INPUT = { input_tokens: 1000, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
let first, whole;
const server = createServer((request, response) => {
  let text = "";
  request.on("data", (data) => (text += data));
  request.on("end", () => {
    const block = { type: "text", text: "Yes" };
    const message = { id: "msg_1", type: "message", role: "assistant", model: "claude-sonnet-4-5", content: [block] };
    Object.assign(message, { stop_reason: "end_turn", stop_sequence: null, usage: { ...INPUT, output_tokens: whole } });
    if (!JSON.parse(text).stream) {
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify(message));
    }
    const usage = { ...INPUT, output_tokens: first };
    response.setHeader("content-type", "text/event-stream");
    for (const event of [
      { type: "message_start", message: { ...message, content: [], stop_reason: null, usage } },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Yes" } },
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: whole } },
      { type: "message_stop" },
    ]) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    response.end();
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const anthropicApiUrl = `http://127.0.0.1:${server.address().port}`;
const model = new ChatAnthropic({ model: "claude-sonnet-4-5", apiKey: "none", anthropicApiUrl });
const said = ({ usage_metadata: of }) => `${of.input_tokens} + ${of.output_tokens}`;
for ([first, whole] of [[4, 4], [3, 100]]) {
  const invoked = said(await model.invoke("Is it?"));
  let all;
  for await (const chunk of await model.stream("Is it?")) all = all ? all.concat(chunk) : chunk;
  console.log(`message_start ${first}, message_delta ${whole}`.padEnd(37), `invoke ${invoked}`.padEnd(18), `stream ${said(all)}`);
  assert.equal(invoked, `1000 + ${whole}`);
  assert.equal(said(all), `1000 + ${first + whole}`);
}
server.closeAllConnections();
server.close();
JAVASCRIPT
node calls.mjs
