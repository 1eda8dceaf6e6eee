#!/usr/bin/env bash
# genai-prices 0.2.3: a model that Azure sells is priced at its maker's price, and the answer names Azure.
#
# Asked for `deepseek-v3.2` of the provider `azure`, `calc_price` neither has a price of Azure's nor raises
# LookupError, as it does for a model it does not know. It looks on among the models of the provider's
# `fallback_model_providers` and answers with what DeepSeek charges: $0.572 for a million tokens in and out. The
# result says `provider.id == "azure"`. Azure's own list has $0.58 and $1.68, so $2.26
# (https://learn.microsoft.com/en-us/azure/foundry/foundry-models/concepts/models-sold-directly-by-azure, read
# 2026-11-28). Whoever takes the result's provider for the seller of the price is off by a factor of four.
#
# What to do: take a price only where the model is in that provider's own `models`.
#
# Seen on 2026-11-28 with Python 3.11:
#   provider azure, model deepseek-v3.2, total 0.5720
#   in azure's own list: False, in deepseek's: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "genai-prices==0.2.3"
"$folder/env/bin/python" - <<'PYTHON'
from decimal import Decimal

from genai_prices import Usage, calc_price
from genai_prices.data import providers

million = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
found = calc_price(million, "deepseek-v3.2", provider_id="azure")
own = {provider.id: any(m.id == "deepseek-v3.2" for m in provider.models) for provider in providers}
print(f"provider {found.provider.id}, model {found.model.id}, total {found.total_price}")
print(f"in azure's own list: {own['azure']}, in deepseek's: {own['deepseek']}")
assert found.provider.id == "azure"
assert found.total_price == Decimal("0.5720")
assert (own["azure"], own["deepseek"]) == (False, True)
try:
    calc_price(million, "no-such-model", provider_id="azure")
except LookupError as error:
    print(f"a model that nobody has raises {type(error).__name__}")
else:
    raise SystemExit("an unknown model no longer raises LookupError")
PYTHON
