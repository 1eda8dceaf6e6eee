#!/usr/bin/env bash
# ai (the AI SDK of npm): the same program's `result.usage` is that of the last request in 6.0.326, and that of all
# requests in 7.0.173. What stands beside it is still the last one's.
#
# A call with a tool is two requests. Up to version 6 `usage` is the last one's and `totalUsage` the sum; a program
# that adds up `usage` over its calls misses all but the last request of each, half the tokens here. From version 7 on
# `usage` and `totalUsage` are alike: a program that adds `steps[].usage` where it used to take `usage` for "the rest"
# counts twice, and a ledger that stored `usage` has a jump at the update that no price explains. Neither version
# says in the object which it is. `response.id` and `providerMetadata`, which alone splits Anthropic's cache writes
# into those of 5 minutes (1.25 times the input price) and of one hour (2 times), are the last request's in both: in
# version 7 sums stand beside the id of one request.
#
# What to do: read `steps`: each has a request's own usage, id and metadata, in both.
#
# Seen on 2026-11-29 with Node 22, two requests of 4,800 input tokens each, 500 of them written for an hour:
#   ai 6.0.326  usage 4800  totalUsage 9600  steps 4800+4800  id msg_2  written for an hour: 500
#   ai 7.0.173  usage 9600  totalUsage 9600  steps 4800+4800  id msg_2  written for an hour: 500
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/six" "$folder/seven"
cat >"$folder/run.mjs" <<'JS'
import http from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.cwd() + "/");
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const { generateText, stepCountIs, tool, jsonSchema } = await load("ai");
const { createAnthropic } = await load("@ai-sdk/anthropic");

let answers = 0;
const server = http.createServer((request, response) => {
  request.resume().on("end", () => {
    answers += 1;
    const call = { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Oslo" } };
    const usage = {
      input_tokens: 100,
      cache_read_input_tokens: 4000,
      cache_creation_input_tokens: 700,
      cache_creation: { ephemeral_5m_input_tokens: 200, ephemeral_1h_input_tokens: 500 },
      output_tokens: 50,
    };
    const content = answers === 1 ? [call] : [{ type: "text", text: "Sunny." }];
    const stop_reason = answers === 1 ? "tool_use" : "end_turn";
    const message = { id: `msg_${answers}`, type: "message", role: "assistant", model: "claude-opus-4-6" };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ ...message, content, stop_reason, stop_sequence: null, usage }));
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const anthropic = createAnthropic({ baseURL: `http://127.0.0.1:${server.address().port}/v1`, apiKey: "none" });
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = tool({ description: "The weather", inputSchema: jsonSchema(city), execute: async () => "sunny" });
const result = await generateText({
  model: anthropic("claude-opus-4-6"),
  prompt: "The weather in Oslo?",
  tools: { weather },
  stopWhen: stepCountIs(5),
});
server.close();
const hour = result.providerMetadata.anthropic.usage.cache_creation.ephemeral_1h_input_tokens;
const steps = result.steps.map((step) => step.usage.inputTokens).join("+");
const { version } = require("ai/package.json");
const sums = `usage ${result.usage.inputTokens}  totalUsage ${result.totalUsage.inputTokens}  steps ${steps}`;
console.log(`ai ${version}  ${sums}  id ${result.response.id}  written for an hour: ${hour}`);
process.exit();
JS
cd "$folder"
for each in "six ai@6.0.326 @ai-sdk/anthropic@3.0.140" "seven ai@7.0.173 @ai-sdk/anthropic@4.0.105"; do
  read -r place packages <<<"$each"
  cd "$folder/$place"
  npm init --yes >/dev/null
  npm install --no-audit --no-fund --loglevel=error --force $packages node@22.23.3 >/dev/null 2>&1
  node_modules/node/bin/node ../run.mjs 2>/dev/null | tee said
done
same="steps 4800+4800  id msg_2  written for an hour: 500"
[ "$(cat ../six/said)" = "ai 6.0.326  usage 4800  totalUsage 9600  $same" ] || exit 1
[ "$(cat ../seven/said)" = "ai 7.0.173  usage 9600  totalUsage 9600  $same" ] || exit 1
