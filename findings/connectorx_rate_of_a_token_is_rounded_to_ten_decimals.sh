#!/usr/bin/env bash
# connectorx 0.4.6, what polars 2.1.0 reads databases with by default: of a NUMERIC(18, 12) of PostgreSQL ten decimals
# arrive. A price of $0.000000000125 a token is a fifth too low, and one of $0.00000000005 twice as high.
#
# Prices by the token have more decimals than amounts: $0.0375 a million is 0.0000000375, and with a cache's or a batch's
# discount two or three more. Every NUMERIC becomes decimal128(38, 10), whatever the column's own scale is, and is rounded to
# that without a warning. An amount of nine decimals passes, so the table of calls is right and the table of prices is not; a
# NUMERIC(18, 12) column still says "decimal". psycopg is exact, and polars over it too. Since
# https://github.com/sfu-db/connector-x/pull/806; before, it was a float.
#
# What to do: read_database with a connection of psycopg, or CAST(price AS TEXT) in the query.
#
# Seen on 2026-11-30 with Python 3.11, PostgreSQL 16.2 of pgserver 0.1.4, psycopg 3.3.9; NUMERIC(18, 12):
#   stored          polars, connectorx  polars, psycopg
#   0.000000037500  0.0000000375        0.000000037500
#   0.000000000125  0.0000000001        0.000000000125
#   0.000000000050  0.0000000001        0.000000000050
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "pgserver==0.1.4" "connectorx==0.4.6" "polars==2.1.0" \
  "pyarrow==26.0.1" "psycopg[binary]==3.3.9" 2>/dev/null
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

database.execute("CREATE TABLE prices (per_token NUMERIC(18, 12))")
database.execute("INSERT INTO prices VALUES (0.0375e-6), (0.000125e-6), (0.00005e-6)")
query = "SELECT per_token FROM prices ORDER BY per_token DESC"
stored = [f"{price:f}" for [price] in database.execute(query).fetchall()]
default = [f"{price:f}" for price in pl.read_database_uri(query, url)["per_token"]]
exact = [f"{price:f}" for price in pl.read_database(query, database)["per_token"]]
print(f"{'stored':15} {'polars, connectorx':19} polars, psycopg")
for row in zip(stored, default, exact):
    print(f"{row[0]:15} {row[1]:19} {row[2]}")
assert stored == exact == ["0.000000037500", "0.000000000125", "0.000000000050"], (stored, exact)
assert default == ["0.0000000375", "0.0000000001", "0.0000000001"], default
PYTHON
