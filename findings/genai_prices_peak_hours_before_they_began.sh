#!/usr/bin/env bash
# genai-prices 0.2.3: a request of June 2026 is priced by peak hours that DeepSeek introduced in August.
#
# `calc_price` takes the time of a request, and prices have start dates. But a price has either a start date or a
# time of day, never both, and those with a time of day come last and win. So a request of DeepSeek V4 Pro on
# 1 June 2026 at 02:00 UTC costs $1.32 for a million input tokens, the peak price in force since 17 August 2026
# (https://api-docs.deepseek.com/updates), and at 05:00 of the same day $0.435, which was the price at any hour
# then. The same holds on Saturdays and Sundays, when there is no peak: the amount for 22 November 2026, a Sunday, at
# 02:00 is the peak price too. The package says so in the comments of its data; the result does not.
#
# What to do: keep prices with hours in a list of your own, with start dates and days of the week.
#
# Seen on 2026-11-28 with Python 3.11:
#   2026-06-01 02:00 Monday  1.320
#   2026-06-01 05:00 Monday  0.435000
#   2026-11-22 02:00 Sunday  1.320
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "genai-prices==0.2.3"
"$folder/env/bin/python" - <<'PYTHON'
from datetime import UTC, datetime
from decimal import Decimal

from genai_prices import Usage, calc_price

million = Usage(input_tokens=1_000_000, output_tokens=0)
expected = {
    datetime(2026, 6, 1, 2, tzinfo=UTC): Decimal("1.32"),
    datetime(2026, 6, 1, 5, tzinfo=UTC): Decimal("0.435"),
    datetime(2026, 11, 22, 2, tzinfo=UTC): Decimal("1.32"),
}
for at, amount in expected.items():
    found = calc_price(million, "deepseek-v4-pro", provider_id="deepseek", genai_request_timestamp=at)
    print(f"{at:%Y-%m-%d %H:%M %A}  {found.total_price}")
    assert found.total_price == amount, (at, found.total_price)
PYTHON
