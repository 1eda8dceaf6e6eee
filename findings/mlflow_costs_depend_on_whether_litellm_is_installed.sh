#!/usr/bin/env bash
# mlflow 3.17.2: installing litellm beside it lowers the cost of the same trace of Claude's from $1.035 to $0.66, and doubles that of one of
# Gemini's from $0.385 to $0.765. Each of them is right about the one that the other has wrong.
#
# MLflow writes a cost on each span of a model that it stores, by prices that it ships. Where `litellm` can be imported, which any other
# package may have brought, it asks litellm. What is kept in Claude's cache for an hour costs 2 times the input; MLflow's own
# sum knows that, and does not hand the count to litellm, which then takes all for five minutes (1.25 times). Gemini's price above 200,000
# tokens, 2 times for all of the input, litellm has and MLflow has not. So no set-up prices both, and a dashboard moves on the day on
# which the server's image is built anew. Nothing on the span tells who computed it.
#
# What to do: price the spans' tokens yourself; a cost that stands on a span already is kept.
#
# Seen on 2026-11-30 with Python 3.11, litellm 1.110.2, without network; prices of 2026-11-30: claude-opus-4-8 $5, $25, an hour's
# cache $10; gemini-2.5-pro above 200,000 tokens $2.50, $15:
#                                            alone   with litellm  billed
#   2,000 + 100,000 for an hour + 1,000      1.035   0.66          1.035
#   300,000 + 1,000 of gemini-2.5-pro        0.385   0.765         0.765
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
pip() { "$folder/env/bin/pip" install --quiet --disable-pip-version-check "$@" 2>/dev/null; }
export LITELLM_LOCAL_MODEL_COST_MAP=True MLFLOW_MODEL_CATALOG_URI=""
cat >"$folder/cost.py" <<'PYTHON'
import sys

from mlflow.tracing.utils import calculate_cost_by_model_and_token_usage  # what the server calls as it stores a span

claude = {"input_tokens": 102_000, "output_tokens": 1000, "cache_creation_input_tokens": 100_000}
claude |= {"cache_creation_input_tokens_above_1hr": 100_000}
gemini = {"input_tokens": 300_000, "output_tokens": 1000}
for model, usage, seller in (("claude-opus-4-8", claude, "anthropic"), ("gemini-2.5-pro", gemini, "gemini")):
    cost = calculate_cost_by_model_and_token_usage(model, usage, seller)
    print(sys.argv[1], model, round(cost["total_cost"], 9))
PYTHON
pip "mlflow-skinny==3.17.2"
pip --no-deps "mlflow==3.17.2" # the prices are in the large package, the rest of what it needs is not needed here
{
  "$folder/env/bin/python" -W ignore "$folder/cost.py" alone
  pip "litellm==1.110.2"
  "$folder/env/bin/python" -W ignore "$folder/cost.py" litellm
} | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
alone claude-opus-4-8 1.035
alone gemini-2.5-pro 0.385
litellm claude-opus-4-8 0.66
litellm gemini-2.5-pro 0.765
SEEN
