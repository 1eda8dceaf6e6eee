#!/usr/bin/env bash
# duckdb 2.0.1: on the night that the clocks go back, `date_trunc('hour', t)` makes one hour of two, and `time_bucket` beside
# it two.
#
# In October the hour from 02:00 comes twice in Berlin, at +02:00 and at +01:00. Grouped by `date_trunc('hour', t)` of a
# TIMESTAMPTZ, which has the offset and could tell them apart, both are one row, labelled with the second: $4 spent in
# it read as $7, and $3 in the hour before as nothing. A limit by the hour, or an alert on the most expensive hour, goes off
# for a night like any other. It is the time zone of the session that decides, by default the machine's: the same
# query is right on a server in UTC. `dt.truncate("1h")` of polars 2.1.0 and `resample("1h")` of pandas 3.1.1 keep the two
# apart.
#
# What to do: `time_bucket(INTERVAL '1 hour', t)`, or `SET timezone = 'UTC'` where hours are counted.
#
# Seen on 2026-11-30 with Python 3.11; $1 at 00:15 and $2 at 00:45 UTC, $4 at 01:15, $8 at 02:15, in Berlin's time:
#   date_trunc  02:00+01 $7  03:00+01 $8
#   time_bucket 02:00+02 $3  02:00+01 $4  03:00+01 $8
#   polars      3 4 8        pandas 3 4 8
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "duckdb==2.0.1" "polars==2.1.0" \
  "pandas==3.1.1" "tzdata==2026.6" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from datetime import UTC, datetime

import duckdb
import pandas as pd
import polars as pl

duckdb.sql("SET timezone = 'Europe/Berlin'")
duckdb.sql(
    "CREATE TABLE calls AS SELECT ('2026-10-25 ' || utc || ':00+00')::TIMESTAMPTZ AS t, usd"
    " FROM (VALUES ('00:15', 1), ('00:45', 2), ('01:15', 4), ('02:15', 8)) AS _(utc, usd)"
)
for name, hour, expected in (
    ("date_trunc", "date_trunc('hour', t)", [("02:00+01", 7), ("03:00+01", 8)]),
    ("time_bucket", "time_bucket(INTERVAL '1 hour', t)", [("02:00+02", 3), ("02:00+01", 4), ("03:00+01", 8)]),
):
    found = duckdb.sql(f"SELECT {hour} AS h, sum(usd)::INTEGER FROM calls GROUP BY h ORDER BY h")
    rows = [(label[11:16] + label[19:], usd) for label, usd in found.project("h::VARCHAR, #2").fetchall()]
    print(f"{name:<11}", "  ".join(f"{label} ${usd}" for label, usd in rows))
    assert rows == expected, rows
times = [datetime(2026, 10, 25, hour, minute, tzinfo=UTC) for hour, minute in ((0, 15), (0, 45), (1, 15), (2, 15))]
hour = pl.col("t").dt.convert_time_zone("Europe/Berlin").dt.truncate("1h")
by_hour = pl.DataFrame({"t": times, "usd": [1, 2, 4, 8]}).group_by(hour, maintain_order=True).agg(pl.col("usd").sum())
index = pd.DatetimeIndex(times).tz_convert("Europe/Berlin")
others = {"polars": by_hour["usd"].to_list(), "pandas": pd.Series([1, 2, 4, 8], index).resample("1h").sum().tolist()}
print("  ".join(f"{name} {' '.join(map(str, sums))}" for name, sums in others.items()))
assert set(map(tuple, others.values())) == {(3, 4, 8)}, others
PYTHON
