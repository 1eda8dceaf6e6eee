#!/usr/bin/env bash
# polars 2.1.0: a price of $0.15 a million tokens, divided by a million, is 0.00, and so is the cost; the same
# expression in polars' own SQL is right.
#
# Products and quotients of Decimals have more decimals than what they are made of, in Python, SQL, DuckDB and Arrow. In
# polars' expressions they keep the larger scale of the two: a column read from a price list as `0.15` has two, so each
# rate, and each amount that is computed call by call, is rounded to cents. Money that is kept as Decimal in order to
# be exact is lost by it, in silence, while a column of floats would have been right. Where tokens are multiplied first the
# amount is right for millions and 0.00 for a call: a thousand calls of $0.000225 come to nothing.
#
# What to do: cast prices to Decimal(38, 12) first, and keep that scale until the sum.
#
# Seen on 2026-11-29 with Python 3.11:
#   48,000,000 tokens at $0.15 a million   rate first 0.00        tokens first 7.20
#   the same in pl.sql                     rate first 7.20000000  tokens first 7.20000000
#   1,000 calls of 1,500 tokens, summed    Decimal 0.00  Decimal(38, 12) 0.225000000000  Float64 0.225
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "polars==2.1.0" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from decimal import Decimal

import polars as pl

tokens, price = pl.col("tokens"), pl.col("usd_per_million")
big = pl.DataFrame({"tokens": [48_000_000], "usd_per_million": [Decimal("0.15")]})
rate, product = big.select(a=tokens * (price / 1_000_000), b=tokens * price / 1_000_000).row(0)
print(f"48,000,000 tokens at $0.15 a million   rate first {rate}        tokens first {product}")
assert (str(rate), str(product)) == ("0.00", "7.20")

query = "SELECT tokens * (usd_per_million / 1000000), tokens * usd_per_million / 1000000 AS b FROM self"
rate, product = big.sql(query).row(0)
print(f"the same in pl.sql                     rate first {rate}  tokens first {product}")
assert rate == product == Decimal("7.2")

calls = pl.DataFrame({"tokens": [1_500] * 1_000, "usd_per_million": [Decimal("0.15")] * 1_000})
narrow, wide, floating = (
    calls.select((tokens * each / 1_000_000).sum()).item()
    for each in (price, price.cast(pl.Decimal(38, 12)), price.cast(pl.Float64))
)
print(f"1,000 calls of 1,500 tokens, summed    Decimal {narrow}  Decimal(38, 12) {wide}  Float64 {floating:.3f}")
assert (str(narrow), wide) == ("0.00", Decimal("0.225")), (narrow, wide)
PYTHON
