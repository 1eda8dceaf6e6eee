#!/usr/bin/env bash
# pandas 3.1.1: of three calls whose ids are texts of digits `read_json` makes one id, if any of them is over 2^63; keys of
# users lose their zeros.
#
# Ids of spans, operations and requests are 64 bits, often without a sign, and in JSON they stand as texts since numbers
# would lose digits there. `read_json` turns a column of texts that look like numbers into numbers all the same. Since 3.0
# whole numbers up to 2^63 stay exact (https://github.com/pandas-dev/pandas/issues/44684 has the fault of before). One id
# above, half of all 64-bit ones, makes the whole column floating, other calls' ids with it: `drop_duplicates("request_id")`,
# the usual step before costs are added up, keeps one call of several. A file of few calls is right and one of many is not.
# "007" and "7" are one user, and the account 012345678901 of a bill of AWS's has 11 digits.
#
# What to do: dtype=False, or dtype={"request_id": str}; polars and DuckDB leave texts alone.
#
# Seen on 2026-11-30 with Python 3.11, polars 2.1.0, duckdb 2.0.1; three calls of $1, two users:
#   pandas               1 request, $1, users 7, account 12345678901
#   pandas, dtype=False  3 requests, $3, users 007 7, account 012345678901
#   polars               3 requests, $3, users 007 7, account 012345678901
#   duckdb               3 requests, $3, users 007 7, account 012345678901
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "pandas==3.1.1" "polars==2.1.0" "duckdb==2.0.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import json

import duckdb
import pandas as pd
import polars as pl

ids = ["11529215046068469760", "11529215046068469761", "11529215046068469762"]
lines = [
    {"request_id": request, "user": user, "account": "012345678901", "cost_usd": 1}
    for request, user in zip(ids, ("007", "7", "7"))
]
with open("calls.jsonl", "w") as file:
    file.writelines(json.dumps(line) + "\n" for line in lines)
fields = "request_id", "user", "account", "cost_usd"
for name, read in (
    ("pandas", lambda: pd.read_json("calls.jsonl", lines=True).to_dict("records")),
    ("pandas, dtype=False", lambda: pd.read_json("calls.jsonl", lines=True, dtype=False).to_dict("records")),
    ("polars", lambda: pl.read_ndjson("calls.jsonl").to_dicts()),
    ("duckdb", lambda: [dict(zip(fields, row)) for row in duckdb.sql("FROM 'calls.jsonl'").fetchall()]),
):
    kept = list({row["request_id"]: row for row in reversed(read())}.values())
    users, accounts = ({str(row[field]) for row in read()} for field in ("user", "account"))
    requests = f"{len(kept)} request{'s' if len(kept) > 1 else ''}"
    print(f"{name:20} {requests}, ${sum(row['cost_usd'] for row in kept)},", "users", *sorted(users), end=", ")
    print("account", *accounts)
    if name == "pandas":
        assert (len(kept), users, accounts) == (1, {"7"}, {"12345678901"}), (kept, users, accounts)
    else:
        assert (len(kept), users, accounts) == (3, {"007", "7"}, {"012345678901"}), (kept, users, accounts)
PYTHON
