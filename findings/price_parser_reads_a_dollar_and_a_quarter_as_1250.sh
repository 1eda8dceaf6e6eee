#!/usr/bin/env bash
# price-parser 0.5.1: "$1.250" a million tokens is 1250, "$0.125" is 125 and "$0.006 / minute" is 6; "$0.0061" and "$1.25" are right.
#
# The parser for prices on web pages takes three digits behind a point for thousands, as a German shop writes them, also after
# a zero, which no thousands begin with, and beside a dollar sign. In shops three decimals are rare. Prices of models have them:
# those of cached input, of a minute, of a thousand characters. A table that is read from a provider's page is then right
# for most rows and a thousand times too high for some, and a price with four decimals is right again, so that a check of a few
# looks well. `currency_hint` and "US$" change nothing. Open since 2021: https://github.com/scrapinghub/price-parser/issues/46.
#
# What to do: Price.fromstring(text, decimal_separator=".").
#
# Seen on 2026-11-30 with Python 3.11:
#   $2.50 / 1M tokens    2.50     with decimal_separator 2.50
#   $1.250 / 1M tokens   1250     with decimal_separator 1.250
#   $0.125 / 1M tokens   125      with decimal_separator 0.125
#   $0.0061 / 1K tokens  0.0061   with decimal_separator 0.0061
#   US$0.006 / minute    6        with decimal_separator 0.006
#   $15.000 / 1M chars   15000    with decimal_separator 15.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "price-parser==0.5.1" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from decimal import Decimal

from price_parser import Price

for text, read, meant in (
    ("$2.50 / 1M tokens", "2.50", "2.50"),
    ("$1.250 / 1M tokens", "1250", "1.250"),
    ("$0.125 / 1M tokens", "125", "0.125"),
    ("$0.0061 / 1K tokens", "0.0061", "0.0061"),
    ("US$0.006 / minute", "6", "0.006"),
    ("$15.000 / 1M chars", "15000", "15.000"),
):
    found = Price.fromstring(text, currency_hint="USD").amount
    told = Price.fromstring(text, decimal_separator=".").amount
    print(f"{text:20} {found!s:8} with decimal_separator {told}")
    assert (found, told) == (Decimal(read), Decimal(meant)), text
PYTHON
