#!/usr/bin/env bash
# beanquery 0.2.0 on beancount 3.2.3: a CSV of calls of $0.0061 and $0.0033 has $0.01 and $0.00 as soon as the ledger has
# rent and food in it; of the calls' ledger alone it has all four decimals.
#
# `bean-query -f csv` is for programs, and rounds as for people: an amount (`position`, `balance`, `sum(position)`) has the
# number of decimals that most amounts of its currency in the whole ledger have. A few entries in cents outweigh the calls
# that are included from a file of their own: 40 % of the smaller and of the larger call are gone or made up, in the rows,
# and the sum is rounded once more. It depends on what else was booked, so that the same query is exact in the year's first
# week. `number` is exact, and so is a query by the library. That amounts are shown so is meant
# (https://github.com/beancount/beanquery/issues/275); CSV has no other way.
#
# What to do: select `number, currency` and `sum(number)`, never `position`, for what is read by a program.
#
# Seen on 2026-11-30 with Python 3.11:
#   calls alone              position 0.0061 0.0033  number 0.0061 0.0033
#   with three rents         position 0.01 0.00      number 0.0061 0.0033
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "beancount==3.2.3" "beanquery==0.2.0" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import csv
import subprocess
from pathlib import Path


def entry(name, account, amount):
    return f'2026-11-30 * "{name}"\n  {account}  {amount} USD\n  Liabilities:Card\n'


opened = "".join(f"2026-01-01 open {name}\n" for name in ("Expenses:AI", "Expenses:Rent", "Liabilities:Card"))
calls = opened + entry("call", "Expenses:AI", "0.0061") + entry("call", "Expenses:AI", "0.0033")
Path("calls.beancount").write_text(calls)
Path("all.beancount").write_text(calls + entry("rent", "Expenses:Rent", "900.00") * 3)
for name, ledger, shown in (
    ("calls alone", "calls.beancount", ["0.0061", "0.0033"]),
    ("with three rents", "all.beancount", ["0.01", "0.00"]),
):
    query = "SELECT position, number WHERE account = 'Expenses:AI'"
    done = subprocess.run(["env/bin/bean-query", "-f", "csv", ledger, query], capture_output=True, text=True, check=True)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    positions = [row["position"].split()[0] for row in rows]
    numbers = [row["number"].strip() for row in rows]
    print(f"{name:24} position {' '.join(positions):14}  number", *numbers)
    assert (positions, numbers) == (shown, ["0.0061", "0.0033"]), rows
PYTHON
