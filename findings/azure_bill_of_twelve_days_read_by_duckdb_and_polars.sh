#!/usr/bin/env bash
# duckdb 2.0.1 and polars 2.1.0: Azure's cost export of the first twelve days of a month is read as one day in each month of
# the year, and from the 13th on the same file is read right by one, and as text by the other.
#
# Azure's cost exports have dates as MM/DD/YYYY (https://github.com/Azure/azure-powershell/issues/20185, read
# 2026-11-29). DuckDB's CSV reader tries day/month before month/day, and polars' `try_parse_dates` knows day/month alone.
# While no day is above 12 both fit: 11/02/2026 becomes the 11th of February, and November has one day. A filter on
# the month then keeps a twelfth of the bill; a sum by month spreads it over the year. pandas reads month/day. On the 13th
# DuckDB's answers change by themselves, for the same rows.
#
# What to do: state the format: read_csv(..., dateformat = '%m/%d/%Y'), str.to_date("%m/%d/%Y").
#
# Seen on 2026-11-29 with Python 3.11, pandas 3.1.1; $10 a day from 1 November 2026 on, $ in November:
#   to the 12th  duckdb 10   polars 10    pandas 120
#   to the 28th  duckdb 280  polars text  pandas 280
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "duckdb==2.0.1" "polars==2.1.0" "pandas==3.1.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
from pathlib import Path

import duckdb
import pandas
import polars


def november(days):
    rows = "".join(f"11/{day:02}/2026,gpt 4o 1120 Inp glbl Tokens,10\n" for day in range(1, days + 1))
    Path("bill.csv").write_text("date,meterName,costInUsd\n" + rows)
    month = "date BETWEEN '2026-11-01' AND '2026-11-30'"
    [[in_duckdb]] = duckdb.sql(f"SELECT sum(costInUsd) FROM read_csv('bill.csv') WHERE {month}").fetchall()
    read = polars.read_csv("bill.csv", try_parse_dates=True)
    is_date = read["date"].dtype == polars.Date
    in_polars = read.filter(polars.col("date").dt.month() == 11)["costInUsd"].sum() if is_date else "text"
    frame = pandas.read_csv("bill.csv", parse_dates=["date"])
    in_pandas = int(frame.loc[frame["date"].dt.month == 11, "costInUsd"].sum())
    return int(in_duckdb), in_polars, in_pandas


for days, expected in ((12, (10, 10, 120)), (28, (280, "text", 280))):
    seen = november(days)
    print("to the {}th  duckdb {:<4} polars {:<5} pandas {}".format(days, *seen))
    assert seen == expected, seen
PYTHON
