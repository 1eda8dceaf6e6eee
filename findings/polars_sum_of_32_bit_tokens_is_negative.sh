#!/usr/bin/env bash
# polars 2.1.0: a sum of a 32-bit column stays in 32 bits: 3 billion tokens are -1,294,967,296, and 4.5 billion are 205 million, a
# number that nobody doubts.
#
# Token counts fit into 32 bits call by call, and so they stand in Parquet: `int` of Spark, SQL's INTEGER, Java's and Go's
# int32. Their sum does not: a month of prompts passes 2,147,483,647. DuckDB, pyarrow and pandas make the sum of 64 bits or more;
# polars does so for 8 and 16 bits, not for 32, in expressions, in `group_by`, in its SQL and in the streaming engine, and
# raises nothing. Small tests and single days are right. The product with a price in nano-dollars overflows from the first
# long prompt on: 1,000,000 tokens at 15,000 come to 2,115,098,112 in place of 15,000,000,000, in pandas (with NumPy's types)
# too; DuckDB raises an error there.
#
# What to do: cast tokens to Int64 as they are read: pl.scan_parquet(...).cast({pl.Int32: pl.Int64}).
#
# Seen on 2026-11-30 with Python 3.11, duckdb 2.0.1, pandas 3.1.1, pyarrow 26.0.1; three jobs of 1.5 billion tokens:
#   sum      polars 205032704  its SQL 205032704  streaming 205032704  pandas 4500000000  pyarrow 4500000000  duckdb 4500000000
#   of two   polars -1294967296  pandas 3000000000
#   product  polars 2115098112  pandas 2115098112  pyarrow 15000000000  duckdb Out of Range Error
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "polars==2.1.0" "duckdb==2.0.1" "pandas==3.1.1" \
  "pyarrow==26.0.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.compute
from pyarrow import parquet

table = pyarrow.table({"model": ["a", "a", "b"], "tokens": pyarrow.array([1_500_000_000] * 3, pyarrow.int32())})
parquet.write_table(table, "jobs.parquet")
jobs, frame = polars.read_parquet("jobs.parquet"), pandas.read_parquet("jobs.parquet")
tokens = polars.col("tokens").sum()
sums = {
    "polars": jobs["tokens"].sum(),
    "its SQL": polars.SQLContext(jobs=jobs).execute("select sum(tokens) from jobs").collect().item(),
    "streaming": jobs.lazy().select(tokens).collect(engine="streaming").item(),
    "pandas": int(frame["tokens"].sum()),
    "pyarrow": pyarrow.compute.sum(table["tokens"]).as_py(),
    "duckdb": int(duckdb.sql("select sum(tokens) from 'jobs.parquet'").fetchall()[0][0]),
}
print("sum     ", *(f"{name} {count} " for name, count in sums.items()))
assert set(list(sums.values())[:3]) == {205_032_704} and set(list(sums.values())[3:]) == {4_500_000_000}, sums
two = jobs.group_by("model").agg(tokens).sort("model")["tokens"][0], int(frame.groupby("model")["tokens"].sum()["a"])
print(f"of two   polars {two[0]}  pandas {two[1]}")
assert two == (-1_294_967_296, 3_000_000_000), two
products = {
    "polars": jobs.select(polars.lit(1_000_000, polars.Int32) * 15_000).item(),
    "pandas": int((pandas.Series([1_000_000], dtype="int32") * 15_000)[0]),
    "pyarrow": pyarrow.compute.multiply(pyarrow.array([1_000_000], pyarrow.int32()), 15_000)[0].as_py(),
}
try:
    duckdb.sql("select 1000000::integer * 15000").fetchall()
except duckdb.OutOfRangeException as fault:
    products["duckdb"] = str(fault).partition(":")[0]
print("product ", *(f"{name} {count} " for name, count in products.items()))
assert list(products.values()) == [2_115_098_112, 2_115_098_112, 15_000_000_000, "Out of Range Error"], products
PYTHON
