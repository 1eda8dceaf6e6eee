#!/usr/bin/env bash
# @langchain/google-genai 2.3.2 (npm): a streamed Gemini answer read 1,600 tokens from the cache of an input of 1,000, and its thoughts are in
# no field; @langchain/google 0.2.6 has both right.
#
# Each chunk of a Gemini stream states the whole usage so far. LangChain adds chunks up, so that this package takes what the
# chunk before had out of the input and the output of each. It does not for `cache_read`: the 400 cached tokens come once a
# chunk, more than the input after three. The rest, which is what is priced in full, is then less than nothing, and a price by
# these fields falls with the length of the answer: here below zero for the input. What the model thought is billed as output; it is
# in `total_tokens` alone, streamed and not. Not streamed, `cache_read` is right. LangChain's package for Python
# (langchain-google-genai 4.4.3) has all of it right.
#
# What to do: @langchain/google; else take the output from total_tokens - input_tokens, and the cache of no stream.
#
# Seen on 2026-11-30 with Node 22; 1,000 input (400 of them cached), 100 output, 50 thoughts, in four chunks:
#   google-genai  invoke  input 1000  cache_read 400   output 100  total 1150
#   google-genai  stream  input 1000  cache_read 1600  output 100  total 1150
#   google        stream  input 1000  cache_read 400   output 150  total 1150
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error node@22.23.3 @langchain/core@1.4.0 @langchain/google-genai@2.3.2 \
  @langchain/google@0.2.6 >/dev/null 2>&1
cat >ask.mjs <<'JS'
import assert from "node:assert";
import http from "node:http";
import { ChatGoogle } from "@langchain/google";
import { ChatGoogleGenerativeAI } from "@langchain/google-genai";

const chunk = (text, output, finishReason) => ({
  candidates: [{ content: { role: "model", parts: [{ text }] }, index: 0, finishReason }],
  usageMetadata: {
    promptTokenCount: 1000,
    cachedContentTokenCount: 400,
    candidatesTokenCount: output,
    thoughtsTokenCount: 50,
    totalTokenCount: 1050 + output,
  },
  modelVersion: "gemini-2.5-flash",
});
const parts = [chunk("One. ", 25), chunk("Two. ", 50), chunk("Three. ", 75), chunk("Four.", 100, "STOP")];
const server = http.createServer((request, response) => {
  request.resume().on("end", () => {
    const streamed = request.url.includes("stream");
    response.writeHead(200, { "content-type": streamed ? "text/event-stream" : "application/json" });
    const events = parts.map((each) => `data: ${JSON.stringify(each)}\r\n\r\n`).join("");
    response.end(streamed ? events : JSON.stringify(chunk("One. Two.", 100, "STOP")));
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const here = `http://127.0.0.1:${server.address().port}`;
const real = globalThis.fetch;
globalThis.fetch = (asked, more) => {
  const url = new URL(asked.url ?? asked);
  return real(here + url.pathname + url.search, more ?? { method: asked.method, body: asked.body, duplex: "half" });
};

async function streamed(model) {
  let whole;
  for await (const each of await model.stream("Hello?")) whole = whole ? whole.concat(each) : each;
  return whole.usage_metadata;
}

const of = { model: "gemini-2.5-flash", apiKey: "none" };
const seen = [
  ["google-genai  invoke", (await new ChatGoogleGenerativeAI(of).invoke("Hello?")).usage_metadata],
  ["google-genai  stream", await streamed(new ChatGoogleGenerativeAI(of))],
  ["google        stream", await streamed(new ChatGoogle(of))],
].map(([name, usage]) => [name, usage.input_tokens, usage.input_token_details.cache_read, usage.output_tokens, usage.total_tokens]);
for (const [name, input, cached, output, total] of seen)
  console.log(`${name}  input ${input}  cache_read ${String(cached).padEnd(4)}  output ${output}  total ${total}`);
assert.deepStrictEqual(seen.map((each) => each.slice(1)), [
  [1000, 400, 100, 1150],
  [1000, 1600, 100, 1150],
  [1000, 400, 150, 1150],
]);
process.exit(0);
JS
node_modules/node/bin/node ask.mjs
