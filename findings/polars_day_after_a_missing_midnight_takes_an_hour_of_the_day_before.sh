#!/usr/bin/env bash
# polars 2.1.0: where the clocks go forward at midnight, `group_by_dynamic(every="1d")` counts the last hour of one day to
# the next and labels that day with the date of the day before.
#
# Egypt, Lebanon, Chile and Paraguay change their clocks at midnight: 2026-04-24 in Cairo begins at 01:00. Of two ways
# to sum costs by local day, `dt.truncate("1d")` begins it there. `group_by_dynamic` begins it an hour early, at 23:00 of
# the 23rd: what was spent in that hour leaves its own day, a daily limit is compared with the wrong sum, and
# `.dt.date()` of the labels has the 23rd twice and the 24th never. There is no error; pandas 3.1.1 raises one here.
#
# What to do: group by `dt.truncate("1d")` or by `dt.date()` of the local time.
#
# Seen on 2026-11-30 with Python 3.11; $1 at 12:00 and $2 at 23:30 of the 23rd, $4 at 01:30 and $8 at 12:00 of the 24th:
#   dt.truncate       2026-04-23 00:00 +02:00 $3  2026-04-24 01:00 +03:00 $12
#   group_by_dynamic  2026-04-23 00:00 +02:00 $1  2026-04-23 23:00 +02:00 $14
#   pandas' resample  2026-04-24 00:00:00 is a nonexistent time due to daylight savings time. ...
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "polars==2.1.0" "pandas==3.1.1" \
  "tzdata==2026.6" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from datetime import UTC, datetime

import pandas as pd
import polars as pl

at = [(23, 10, 0), (23, 21, 30), (23, 22, 30), (24, 9, 0)]
times = [datetime(2026, 4, day, hour, minute, tzinfo=UTC) for day, hour, minute in at]
cairo = pl.col("at").dt.convert_time_zone("Africa/Cairo")
calls = pl.DataFrame({"at": times, "usd": [1, 2, 4, 8]}).with_columns(cairo)
usd = pl.col("usd").sum()
for name, days, expected in (
    ("dt.truncate", calls.group_by(pl.col("at").dt.truncate("1d")).agg(usd), [(0, 3), (1, 12)]),
    ("group_by_dynamic", calls.group_by_dynamic("at", every="1d").agg(usd), [(0, 1), (23, 14)]),
):
    rows = days.sort("at").rows()
    print(f"{name:<16}", *(f" {day.isoformat(' ', 'minutes')[:16]} {day.isoformat()[-6:]} ${sum_}" for day, sum_ in rows), sep="")
    assert [(day.hour, sum_) for day, sum_ in rows] == expected, rows
assert [day.day for day in days["at"]] == [23, 23], days
try:
    pd.Series([1, 2, 4, 8], pd.DatetimeIndex(times).tz_convert("Africa/Cairo")).resample("1D").sum()
except ValueError as error:
    print(f"pandas' resample  {error}")
    assert "nonexistent" in str(error), error
else:
    raise SystemExit("pandas sums over a missing midnight now")
PYTHON
