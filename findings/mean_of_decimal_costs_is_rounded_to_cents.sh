#!/usr/bin/env bash
# pandas 3.1.1 and pyarrow 26.0.1: the mean of a column of decimals is rounded to the column's own decimals; of duckdb 2.0.1
# the median is, while its mean is not; polars 2.1.0 rounds neither.
#
# Costs that are kept exact stand in Parquet as decimals, with as many places as amounts are billed in. What a call costs on
# average is a fraction of that: three calls of $0.01, $0.02 and $0.02 cost $0.0167 each. pyarrow, and so pandas with
# `dtype_backend="pyarrow"`, answers $0.02, also in `groupby().mean()`, a fifth too much, and three models that differ
# by a factor of two look alike. DuckDB's `avg` is a double and right; its `median`, in the next column of the same query, is
# a decimal again and right to a cent only. Multiplied by the number of calls, the mean is not the sum.
#
# What to do: cast to double, or to more places, before averaging: sums stay exact, means do not need to be.
#
# Seen on 2026-11-30 with Python 3.11; $0.01, $0.02, $0.02, and for the median $0.01, $0.02:
#   pandas   mean 0.02, by group 0.02; x 3 = 0.06, sum 0.05
#   pyarrow  mean 0.02
#   duckdb   mean 0.016667  median 0.01
#   polars   mean 0.016667  median 0.015
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "pandas==3.1.1" "pyarrow==26.0.1" "duckdb==2.0.1" \
  "polars==2.1.0" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from decimal import Decimal

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.compute

calls, two = (
    pyarrow.table({"usd": pyarrow.array(map(Decimal, costs), pyarrow.decimal128(10, 2))})
    for costs in (["0.01", "0.02", "0.02"], ["0.01", "0.02"])
)
usd = calls.to_pandas(types_mapper=pandas.ArrowDtype)["usd"]
grouped = usd.groupby([1, 1, 1]).mean().item()
exact = polars.from_arrow(calls)["usd"].mean(), polars.from_arrow(two)["usd"].median()
asked = duckdb.sql("select (select avg(usd) from calls), median(usd) from two").fetchall()[0]
arrow = pyarrow.compute.mean(calls["usd"]).as_py()
print(f"pandas   mean {usd.mean()}, by group {grouped}; x 3 = {usd.mean() * 3}, sum {usd.sum()}")
print(f"pyarrow  mean {arrow}")
print(f"duckdb   mean {asked[0]:.6f}  median {asked[1]}")
print(f"polars   mean {exact[0]:.6f}  median {exact[1]}")
assert [str(each) for each in (usd.mean(), grouped, usd.sum(), arrow)] == ["0.02", "0.02", "0.05", "0.02"]
assert (round(asked[0], 6), str(asked[1])) == (0.016667, "0.01"), asked
assert (round(exact[0], 6), exact[1]) == (0.016667, 0.015), exact
PYTHON
