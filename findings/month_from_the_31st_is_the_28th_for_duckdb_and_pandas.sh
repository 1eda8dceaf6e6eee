#!/usr/bin/env bash
# duckdb 2.0.1, pandas 3.1.1 and datafusion 55.0.0: monthly periods from 31 January on begin on the 28th from February on,
# for good; in polars 2.1.0 on the last day of each month; and python-dateutil's rule has seven periods a year.
#
# A subscription or a commitment that began on a 31st renews on the 28th of February and on the 31st of March. A series of
# months is made by adding a month to what came before, which loses the day in February, or by adding n months to the first,
# which does not. Both look alike until the first short month. Calls of 28 to 31 March then count to another period than on
# the invoice, each month. dateutil's rrule leaves out months without a 31st, as RFC 5545 says, so that a period has two
# months. In DuckDB and pandas `start + n * month` is right. Known in DuckDB, which does as PostgreSQL does:
# https://github.com/duckdb/duckdb/issues/8284.
#
# What to do: compute each start from the first one: start + to_months(n), relativedelta(months=n).
#
# Seen on 2026-11-30 with Python 3.11, python-dateutil 2.9.0:
#   duckdb               01-31  02-28  03-28  04-28
#   datafusion           01-31  02-28  03-28  04-28
#   pandas               01-31  02-28  03-28  04-28
#   polars               01-31  02-28  03-31  04-30
#   dateutil's rrule     01-31  03-31  05-31  07-31
#   duckdb, start + n    01-31  02-28  03-31  04-30
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "duckdb==2.0.1" "pandas==3.1.1" "datafusion==55.0.0" \
  "polars==2.1.0" "python-dateutil==2.9.0" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from datetime import date, datetime

import datafusion
import duckdb
import pandas as pd
import polars as pl
from dateutil.rrule import MONTHLY, rrule

first, last = date(2026, 1, 31), date(2026, 8, 1)
series = "SELECT unnest(generate_series(DATE '2026-01-31', DATE '2026-08-01', INTERVAL '1 month')) AS day"
added = "SELECT DATE '2026-01-31' + to_months(n::INTEGER) AS day FROM range(4) AS months(n) ORDER BY n"
drifts, stays = ["01-31", "02-28", "03-28", "04-28"], ["01-31", "02-28", "03-31", "04-30"]
for name, starts, expected in (
    ("duckdb", [day for [day] in duckdb.sql(series).fetchall()], drifts),
    ("datafusion", datafusion.SessionContext().sql(series).to_pydict()["day"], drifts),
    ("pandas", pd.date_range(first, last, freq=pd.DateOffset(months=1)), drifts),
    ("polars", pl.date_range(first, last, "1mo", eager=True), stays),
    ("dateutil's rrule", rrule(MONTHLY, datetime(2026, 1, 31), count=4), ["01-31", "03-31", "05-31", "07-31"]),
    ("duckdb, start + n", [day for [day] in duckdb.sql(added).fetchall()], stays),
):
    days = [f"{day:%m-%d}" for day in list(starts)[:4]]
    print(f"{name:20}", "  ".join(days))
    assert days == expected, days
PYTHON
