#!/usr/bin/env bash
# genai-prices 0.2.3: the service tier that prices a call of OpenAI's changes nothing for Gemini, and "batch" nothing for anyone.
#
# `calc_price(..., price_context={"service_tier": ...})` halves the price of `gpt-5` for "flex" and doubles it for
# "priority". For Gemini, which has tiers of the same names (flex half, priority 1.8 times the standard rates:
# https://ai.google.dev/gemini-api/docs/priority-inference), the same call returns the standard price, and so it does
# for OpenAI's batches, which cost half, and for a tier that nobody has. Nothing is raised, and the result has
# no field that says whether the context was used. pydantic-ai 2.68.0 passes what a response says of its tier as this
# context and writes the price into `usage.cost`, which is right for one provider and off by two for another.
#
# What to do: for the tiers of others multiply by hand, and treat an unchanged price under a tier as unknown.
#
# Seen on 2026-11-30 with Python 3.11; 100,000 tokens in, 10,000 out:
#   gpt-5             standard 0.2250  flex 0.1125  priority 0.4500  batch 0.2250  no-such-tier 0.2250
#   gemini-2.5-flash  standard 0.0550  flex 0.0550  priority 0.0550  batch 0.0550  no-such-tier 0.0550
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "genai-prices==0.2.3" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from decimal import Decimal

from genai_prices import Usage, calc_price

used = Usage(input_tokens=100_000, output_tokens=10_000)
TIERS = ("standard", "flex", "priority", "batch", "no-such-tier")
for model, seller, expected in (
    ("gpt-5", "openai", ("0.225", "0.1125", "0.45", "0.225", "0.225")),
    ("gemini-2.5-flash", "google", ("0.055",) * 5),
):
    found = [
        calc_price(
            used, model, provider_id=seller, price_context=None if tier == "standard" else {"service_tier": tier}
        ).total_price
        for tier in TIERS
    ]
    print(f"{model:<16}", *(f" {tier} {price:.4f}" for tier, price in zip(TIERS, found)))
    assert found == [Decimal(each) for each in expected], (model, found)
PYTHON
