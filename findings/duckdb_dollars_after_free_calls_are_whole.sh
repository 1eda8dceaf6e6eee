#!/usr/bin/env bash
# duckdb 2.0.1: of a file that begins with 20,480 calls of 0, the call of $0.45 after them is read as $0 and the one of
# $1.50 as $2; of 40 ledgers of which the first 32 are free, none costs anything.
#
# DuckDB takes a column's type from the first 20,480 lines, or the first 32 files. Other readers do so too, and refuse
# what does not fit: polars does, and DuckDB itself for text. A fraction in a column that began with the number 0 is cast to
# BIGINT, rounded, in JSON and in CSV alike, without a warning; the sum is a whole number of dollars. Pipelines begin
# with local, free stages, so that zeros come first. A zero written as 0.0 makes a DOUBLE; Python's json and
# JavaScript's write 0 for an int, and JavaScript for any zero.
#
# What to do: state the types, columns = {cost_usd: 'DECIMAL(18,9)', ...}, or sample_size = -1.
#
# Seen on 2026-11-29 with Python 3.11, polars 2.1.0; $1.95 was spent:
#   read_json  BIGINT 2     all lines sampled: DOUBLE 1.95
#   read_csv   BIGINT 2     all lines sampled: DOUBLE 1.95
#   40 files   BIGINT 0     all lines sampled: DOUBLE 0.45
#   polars     ComputeError: cannot parse '0.45' (f64) as Int64
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "duckdb==2.0.1" "polars==2.1.0" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import json
from pathlib import Path

import duckdb
import polars

costs = [0] * 20_480 + [0.45, 1.5]
Path("calls.jsonl").write_text("".join(json.dumps({"cost_usd": cost}) + "\n" for cost in costs))
Path("calls.csv").write_text("cost_usd\n" + "".join(f"{cost}\n" for cost in costs))
Path("jobs").mkdir()
for number in range(40):
    line = json.dumps({"cost_usd": 0.45 if number == 39 else 0})
    Path(f"jobs/{number:02}.jsonl").write_text(line + "\n")


def summed(reader):
    [[kind, total]] = duckdb.sql(f"SELECT any_value(typeof(cost_usd)), sum(cost_usd) FROM {reader}").fetchall()
    return kind, total


every = "sample_size = -1"
for name, reader, more, read, spent in (
    ("read_json", "read_json('calls.jsonl'{})", every, 2, 1.95),
    ("read_csv", "read_csv('calls.csv'{})", every, 2, 1.95),
    ("40 files", "read_json('jobs/*.jsonl'{})", "maximum_sample_files = 40", 0, 0.45),
):
    short, whole = summed(reader.format("")), summed(reader.format(", " + more))
    print(f"{name:10} {short[0]} {short[1]}     all lines sampled: {whole[0]} {whole[1]}")
    assert short == ("BIGINT", read), short
    assert whole == ("DOUBLE", spent), whole
try:
    polars.read_ndjson("calls.jsonl")
except polars.exceptions.ComputeError as error:
    print("polars     ComputeError:", error)
    assert "as Int64" in str(error)
else:
    raise SystemExit("polars reads the file now")
PYTHON
