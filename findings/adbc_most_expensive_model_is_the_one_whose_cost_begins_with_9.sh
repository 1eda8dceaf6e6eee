#!/usr/bin/env bash
# adbc-driver-postgresql 1.13.0: sums of PostgreSQL arrive as texts. In polars, pandas and DuckDB the most expensive model is
# then the one of $9.50, before the one of $12,345.68.
#
# ADBC is how Arrow reads databases, and what pandas and polars recommend for PostgreSQL. A NUMERIC fits into no type of
# Arrow, so the driver sends text in a type of its own, `arrow.opaque`. So is the sum of BIGINT, which PostgreSQL makes a
# NUMERIC: the column of tokens is of numbers, its sum by model is not. polars and pandas refuse to add them up, which is
# good, and sort and rank them by their characters, which looks like any other table. A list of the ten most expensive
# models, users or jobs is that of costs that begin with 9. Texts are meant:
# https://arrow.apache.org/adbc/current/driver/postgresql.html.
#
# What to do: CAST(sum(cost) AS DOUBLE PRECISION), or sum(tokens)::BIGINT, in the query.
#
# Seen on 2026-11-30 with Python 3.11, PostgreSQL 16.2 of pgserver 0.1.4, pyarrow 26.0.1, polars 2.1.0, pandas 3.1.1, duckdb
# 2.0.1:
#   polars, top_k           small 9.50
#   pandas, sort_values     small 9.50
#   duckdb, ORDER BY        small 9.50
#   polars, top_k, psycopg  large 12345.68
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "pgserver==0.1.4" "adbc-driver-postgresql==1.13.0" \
  "pyarrow==26.0.1" "polars==2.1.0" "pandas==3.1.1" "duckdb==2.0.1" "psycopg[binary]==3.3.9" 2>/dev/null
chmod 755 "$folder"
mkdir -m 777 "$folder/database"
cd "$folder"
env/bin/python - <<'PYTHON'
import atexit
import importlib.util
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import adbc_driver_postgresql.dbapi
import duckdb
import pandas as pd
import polars as pl
import psycopg

# PostgreSQL's own programs, without the package's layer; they refuse to be run by root.
programs = Path(importlib.util.find_spec("pgserver").origin).parent / "pginstall/bin"
account = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
make = [programs / "initdb", "-D", "database/d", "-A", "trust", "-U", "me"]
subprocess.run(make, stdout=subprocess.DEVNULL, check=True, **account)
serve = [programs / "postgres", "-D", "database/d", "-p", str(port), "-h", "127.0.0.1", "-k", ""]
server = subprocess.Popen(serve, stderr=subprocess.DEVNULL, **account)
atexit.register(server.wait)
atexit.register(server.send_signal, signal.SIGINT)
url = f"postgresql://me@127.0.0.1:{port}/postgres"
for _ in range(300):
    try:
        database = psycopg.connect(url, autocommit=True)
        break
    except psycopg.OperationalError:
        time.sleep(0.1)

database.execute("CREATE TABLE calls (model TEXT, cost NUMERIC(18, 2))")
database.execute("INSERT INTO calls VALUES ('small', 4.50), ('small', 5.00), ('large', 12000.00), ('large', 345.68)")
query = "SELECT model, sum(cost) AS cost FROM calls GROUP BY model"
with adbc_driver_postgresql.dbapi.connect(url) as connection:
    by_pandas = pd.read_sql(query, connection).sort_values("cost", ascending=False)
    with connection.cursor() as cursor:
        cursor.execute(query)
        sums = cursor.fetch_arrow_table()
for name, [model, cost], most in (
    ("polars, top_k", pl.read_database_uri(query, url, engine="adbc").top_k(1, by="cost").row(0), "small"),
    ("pandas, sort_values", by_pandas.iloc[0], "small"),
    ("duckdb, ORDER BY", duckdb.sql("FROM sums ORDER BY cost DESC LIMIT 1").fetchall()[0], "small"),
    ("polars, top_k, psycopg", pl.read_database(query, database).top_k(1, by="cost").row(0), "large"),
):
    print(f"{name:23} {model} {cost}")
    assert model == most, (model, cost)
PYTHON
