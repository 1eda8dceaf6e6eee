#!/usr/bin/env bash
# duckdb 2.0.1: DECIMAL(18,9) * 1000000000 overflows from 1 dollar on; a sum of the same column times that does not.
#
# Amounts are kept as DECIMAL(18,9); nano-dollars are wanted as whole numbers. Whoever expects SQL's widening (18 + 10
# digits, which would fit into DECIMAL(38)) is wrong: a product of a DECIMAL(18) and a literal that is an integer
# stays within 64 bits, so 1.0 * 1000000000 is an "Overflow in multiplication of DECIMAL(18)". 0.9 passes, and so do
# all amounts of a test below a dollar. sum(cost) * 1000000000 passes too, since a sum is DECIMAL(38,9): the same
# expression works over groups and fails over rows.
#
# What to do: CAST(x AS DECIMAL(38,9)) * 1000000000, or sum first.
#
# Seen on 2026-11-29 with Python 3.11:
#   0.9: 900000000
#   1.0: OutOfRangeException: Overflow in multiplication of DECIMAL(18)
#   1.0 summed first: 1000000000
#   1.0 widened first: 1000000000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "duckdb==2.0.1"
"$folder/env/bin/python" - <<'PYTHON'
import duckdb

database = duckdb.connect()
database.execute("CREATE TABLE entries (cost_usd DECIMAL(18,9))")


def asked(amount, expression):
    database.execute("DELETE FROM entries")
    database.execute(f"INSERT INTO entries VALUES ({amount})")
    return database.execute(f"SELECT CAST({expression} AS BIGINT) FROM entries").fetchone()[0]


nanos = "cost_usd * 1000000000"
small = asked("0.9", nanos)
print("0.9:", small)
assert small == 900_000_000
try:
    asked("1.0", nanos)
except duckdb.OutOfRangeException as error:
    said = str(error)
    print("1.0: OutOfRangeException:", said.removeprefix("Out of Range Error: ").partition(" (")[0])
    assert "Overflow in multiplication of DECIMAL(18)" in said
else:
    raise SystemExit("1.0 * 1000000000 no longer overflows")
summed = asked("1.0", "sum(cost_usd) * 1000000000")
widened = asked("1.0", "CAST(cost_usd AS DECIMAL(38,9)) * 1000000000")
print("1.0 summed first:", summed)
print("1.0 widened first:", widened)
assert summed == widened == 1_000_000_000
PYTHON
