#!/usr/bin/env bash
# polars 2.1.0, datafusion 55.0.0 and duckdb 2.0.1: of a log of JSON lines a key that begins on line 101, 1,001 or 20,481 is
# dropped, with no error: that of tokens read from a cache, say, which no call had before.
#
# Lines of a log have the keys that fit the call. Those of a cache, of reasoning, of an error come first when the first call has
# them. These readers take the columns from the first lines, and what is not among them is left out of every later one,
# where a wrong type would be refused. A query for the column then fails, which is the lucky case; `SELECT *`, an export to
# Parquet or a sum over the keys that are there does not. Whether a month's file has the column depends on whose call came first.
#
# What to do: `read_ndjson(path, infer_schema_length=None)` in polars, `sample_size=-1` in DuckDB, `schema_infer_max_records` in
# DataFusion; best name the columns.
#
# Seen on 2026-11-30 with Python 3.11; lines with two keys, then 500 lines with a third, `tokens_cached`:
#   lines before       100     1000    20480
#   polars         dropped  dropped  dropped
#   datafusion        kept  dropped  dropped
#   duckdb            kept     kept  dropped
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "polars==2.1.0" "datafusion==55.0.0" "duckdb==2.0.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import json

import datafusion
import duckdb
import polars

READERS = {
    "polars": (lambda path: polars.read_ndjson(path).columns, 0),
    "datafusion": (lambda path: datafusion.SessionContext().read_json(path).schema().names, 1),
    "duckdb": (lambda path: duckdb.sql(f"SELECT * FROM '{path}'").columns, 2),
}
BEFORE = (100, 1_000, 20_480)
for before in BEFORE:
    calls = [{"id": number, "tokens_input": 1_000} for number in range(before)]
    calls += [{"id": before + number, "tokens_input": 9_000, "tokens_cached": 8_000} for number in range(500)]
    with open(f"calls{before}.json", "w") as file:
        file.writelines(json.dumps(call) + "\n" for call in calls)
print("lines before ", *(f"{before:>8}" for before in BEFORE))
for name, (read, kept) in READERS.items():
    found = ["kept" if "tokens_cached" in read(f"calls{before}.json") else "dropped" for before in BEFORE]
    print(f"{name:<13}", *(f"{each:>8}" for each in found))
    assert found == ["kept"] * kept + ["dropped"] * (3 - kept), (name, found)
PYTHON
