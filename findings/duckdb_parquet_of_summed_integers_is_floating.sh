#!/usr/bin/env bash
# duckdb 2.0.1: COPY of a sum of BIGINT to Parquet writes a DOUBLE; a sum of DECIMAL of the same number stays exact.
#
# Whole numbers (nano-dollars, tokens, bytes) are kept as BIGINT because integers do not round. `sum` of a BIGINT is a
# HUGEINT in DuckDB, and Parquet has no such type, so that COPY writes the column as DOUBLE, without a warning:
# from 2^53 on the last digits are gone (in nano-dollars from nine million dollars on, in bytes from 9 PB on). Before that
# the number is right and its type is not: a reader with a schema of integers refuses the file, and one without it prints
# 1000000.0. An INTEGER column does the same. A sum of DECIMAL(18,0) is a DECIMAL(38,0), which Parquet has.
#
# What to do: CAST(sum(x) AS BIGINT), or keep whole numbers as DECIMAL(18,0).
#
# Seen on 2026-11-29 with Python 3.11, pyarrow 26.0.1:
#   sum(BIGINT)                  double            9007199254740992
#   sum(DECIMAL(18,0))           decimal128(38, 0) 9007199254740993
#   CAST(sum(BIGINT) AS BIGINT)  int64             9007199254740993
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "duckdb==2.0.1" "pyarrow==26.0.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import duckdb
import pyarrow.parquet as parquet

database = duckdb.connect()
expected = {
    ("sum(BIGINT)", "sum(n::BIGINT)"): ("double", 9007199254740992),
    ("sum(DECIMAL(18,0))", "sum(n::DECIMAL(18,0))"): ("decimal128(38, 0)", 9007199254740993),
    ("CAST(sum(BIGINT) AS BIGINT)", "CAST(sum(n::BIGINT) AS BIGINT)"): ("int64", 9007199254740993),
}
for (name, expression), (kind, number) in expected.items():
    rows = "(VALUES (9007199254740992), (1)) AS entries(n)"
    database.execute(f"COPY (SELECT {expression} AS total FROM {rows}) TO 'sums.parquet' (FORMAT parquet)")
    column = parquet.read_table("sums.parquet")["total"]
    found = (str(column.type), int(column[0].as_py()))
    print(f"{name:<27}  {found[0]:<17} {found[1]}")
    assert found == (kind, number), found
asked = database.execute("SELECT sum(n) FROM (VALUES (9007199254740992), (1)) AS entries(n)").fetchone()
assert asked == (9007199254740993,), asked
PYTHON
