#!/usr/bin/env bash
# apsw 3.54.1.0 (SQLite), duckdb 2.0.1 and datafusion 55.0.0: a query that asks a model once for each row, by a function written in
# Python, asks up to three times: SQLite 30 and the others 20 times for ten rows, though the query names the function once.
#
# `WITH asked AS (SELECT ask(text) AS answer FROM calls)` reads like a step that is done before what follows. The planner puts
# the expression itself in each place that names `answer`: once to filter, once for each column that is made of it. For an
# arithmetic that is cheap; here each is a request that is billed, and the answer that was filtered is not the one that is
# returned. SQLite does it with `deterministic=True`, too, which allows it to ask once. For DuckDB and DataFusion functions are
# pure unless they are declared otherwise. The same query without a filter asks once per row, so that a trial shows nothing.
# Told of random numbers: https://github.com/duckdb/duckdb/issues/7828.
#
# What to do: AS MATERIALIZED, or answers in a table of their own; side_effects=True in DuckDB, "volatile" in DataFusion.
#
# Seen on 2026-11-30 with Python 3.11; ten rows, requests:
#                          answers  filtered  two columns, filtered  a CASE of two  materialized
#   sqlite                 10       20        30                     20             10
#   sqlite, deterministic  10       20        30                     20             10
#   duckdb                 10       20        20                     10             10
#   duckdb, side_effects   10       10        10                     10             10
#   datafusion             10       20        20                     10             -
#   datafusion, volatile   10       10        10                     10             -
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "apsw==3.54.1.0" "duckdb==2.0.1" "datafusion==55.0.0" \
  "pyarrow==26.0.1" "numpy==2.4.6" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import apsw
import datafusion
import duckdb
import pyarrow

requests = 0
ROWS = [(number, f"text {number}") for number in range(10)]
ASKED = "WITH asked AS (SELECT ask(text) AS answer FROM calls) "
QUERIES = (
    ASKED + "SELECT answer FROM asked",
    ASKED + "SELECT answer FROM asked WHERE answer <> ''",
    ASKED + "SELECT answer, length(answer) FROM asked WHERE answer <> ''",
    ASKED + "SELECT CASE WHEN answer = 'YES' THEN 1 WHEN answer = 'NO' THEN 0 END FROM asked",
    ASKED.replace("AS (", "AS MATERIALIZED (") + "SELECT answer, length(answer) FROM asked WHERE answer <> ''",
)


def ask(text: str) -> str:
    global requests
    requests += 1
    return text.upper()


def sqlite(deterministic):
    database = apsw.Connection(":memory:")
    database.execute("CREATE TABLE calls (id INT, text TEXT)")
    database.executemany("INSERT INTO calls VALUES (?, ?)", ROWS)
    database.create_scalar_function("ask", ask, 1, deterministic=deterministic)
    return lambda query: database.execute(query).fetchall()


def duck(side_effects):
    database = duckdb.connect()
    database.execute("CREATE TABLE calls (id INT, text VARCHAR)")
    database.executemany("INSERT INTO calls VALUES (?, ?)", ROWS)
    database.create_function("ask", ask, side_effects=side_effects)
    return lambda query: database.execute(query).fetchall()


def fusion(volatility):
    context = datafusion.SessionContext()
    context.from_pydict({"id": [row[0] for row in ROWS], "text": [row[1] for row in ROWS]}, name="calls")
    asks = lambda texts: pyarrow.array([ask(text.as_py()) for text in texts])  # noqa: E731
    context.register_udf(datafusion.udf(asks, [pyarrow.string()], pyarrow.string(), volatility, name="ask"))
    return lambda query: context.sql(query).collect()


for name, run, expected in (
    ("sqlite", sqlite(False), [10, 20, 30, 20, 10]),
    ("sqlite, deterministic", sqlite(True), [10, 20, 30, 20, 10]),
    ("duckdb", duck(False), [10, 20, 20, 10, 10]),
    ("duckdb, side_effects", duck(True), [10, 10, 10, 10, 10]),
    ("datafusion", fusion("immutable"), [10, 20, 20, 10]),
    ("datafusion, volatile", fusion("volatile"), [10, 10, 10, 10]),
):
    found = []
    for query in QUERIES[: len(expected)]:  # DataFusion knows no MATERIALIZED
        requests = 0
        run(query)
        found.append(requests)
    print(f"{name:22}", *found)
    assert found == expected, (name, found)
PYTHON
