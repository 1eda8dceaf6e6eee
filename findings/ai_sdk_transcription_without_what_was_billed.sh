#!/usr/bin/env bash
# ai 7.0.173 with @ai-sdk/openai 4.0.118 (npm): a transcription has no usage; of gpt-4o-transcribe it has no length either, and
# of whisper-1 a length that is not the billed one.
#
# Text, embeddings and images have `usage` in the AI SDK. `transcribe()` has `durationInSeconds`, which comes from
# `duration` where the answer has one. gpt-4o-transcribe is billed by tokens and states no duration: nothing that could be
# priced is in the result or in `providerMetadata`, and a sum over `durationInSeconds ?? 0` books $0.00. For whisper-1
# OpenAI states the length, 2.5 s, and beside it what it bills, in whole seconds, 3; the result has the first. Of many short
# clips a sixth of the cost is missing.
#
# What to do: read `responses[0].body.usage`: tokens, or the seconds that are billed.
#
# Seen on 2026-11-30 with Node 20:
#   gpt-4o-transcribe  usage undefined  durationInSeconds undefined  responses[0].body.usage 5000 tokens
#   whisper-1          usage undefined  durationInSeconds 2.5        responses[0].body.usage 3 seconds
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund ai@7.0.173 @ai-sdk/openai@4.0.118
cat >call.mjs <<'NODE'
import assert from "node:assert";
import { createOpenAI } from "@ai-sdk/openai";
import { transcribe } from "ai";

const answers = {
  "gpt-4o-transcribe": { text: "Hello.", usage: { type: "tokens", input_tokens: 5000, output_tokens: 10, total_tokens: 5010 } },
  "whisper-1": { text: "Hello.", duration: 2.5, usage: { type: "duration", seconds: 3 } },
};
const seen = [];
for (const [name, answer] of Object.entries(answers)) {
  const headers = { "content-type": "application/json" };
  const fetch = async () => new Response(JSON.stringify(answer), { headers });
  const model = createOpenAI({ apiKey: "none", fetch }).transcription(name);
  const result = await transcribe({ model, audio: new Uint8Array([1, 2, 3]) });
  const body = result.responses[0].body.usage;
  const billed = body.seconds ? `${body.seconds} seconds` : `${body.input_tokens} tokens`;
  const length = String(result.durationInSeconds).padEnd(9);
  console.log(`${name.padEnd(17)}  usage ${result.usage}  durationInSeconds ${length}  responses[0].body.usage ${billed}`);
  seen.push(result.usage, result.durationInSeconds, billed, JSON.stringify(result.providerMetadata));
}
assert.deepEqual(seen, [undefined, undefined, "5000 tokens", "{}", undefined, 2.5, "3 seconds", "{}"]);
NODE
node call.mjs
