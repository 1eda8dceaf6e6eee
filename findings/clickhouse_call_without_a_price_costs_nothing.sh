#!/usr/bin/env bash
# chdb 4.4.0 (ClickHouse in a process): a call of a model that is in no price list costs 0 after a LEFT JOIN, not NULL, so
# that a query for calls without a price finds none.
#
# A left join keeps the calls whose model has no price yet, and in SQL what is missing is NULL: the sum leaves it out, and
# `WHERE price IS NULL` names it. ClickHouse fills in the type's default: 0 for a price, 1970-01-01 for a date, '' for a
# name. New models are those without a price; their calls are free and counted as priced. `coalesce(price, other_price)`
# never comes to the second. DuckDB reads the same query by the standard. It is a setting, off unless set:
# https://clickhouse.com/docs/operations/settings/settings#join_use_nulls.
#
# What to do: SET join_use_nulls = 1 for every query with prices, or a price of type Nullable.
#
# Seen on 2026-11-30 with Python 3.11, duckdb 2.0.1; a call of a known model, and one of a new model:
#   clickhouse                      cost of the new model 0     without a price 0
#   clickhouse, join_use_nulls = 1  cost of the new model NULL  without a price 1
#   duckdb                          cost of the new model NULL  without a price 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "chdb==4.4.0" "duckdb==2.0.1" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
import json

import chdb
import duckdb

QUERY = """
SELECT max(CASE WHEN c.model = 'new' THEN c.tokens * p.price END) AS cost, count(CASE WHEN p.price IS NULL THEN 1 END) AS unpriced
FROM (SELECT 'known' AS model, 1000 AS tokens UNION ALL SELECT 'new', 1000) AS c
LEFT JOIN (SELECT 'known' AS model, 0.25 AS price) AS p ON c.model = p.model
"""


def clickhouse(settings):
    [row] = json.loads(str(chdb.query(QUERY + settings, "JSON")))["data"]
    return row["cost"], int(row["unpriced"])


for name, answer, expected in (
    ("clickhouse", clickhouse(""), (0, 0)),
    ("clickhouse, join_use_nulls = 1", clickhouse("SETTINGS join_use_nulls = 1"), (None, 1)),
    ("duckdb", duckdb.sql(QUERY).fetchall()[0], (None, 1)),
):
    cost = "NULL" if answer[0] is None else f"{answer[0]:g}"
    print(f"{name:30}  cost of the new model {cost:4}  without a price {answer[1]}")
    assert answer == expected, answer
PYTHON
