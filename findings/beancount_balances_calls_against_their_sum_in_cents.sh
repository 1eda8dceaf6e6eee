#!/usr/bin/env bash
# beancount 3.2.3: four calls of $0.0061 are balanced by a payment of $0.02, and $0.0044 are nowhere; with the same payment
# written as $0.0200 the entry is refused.
#
# Beancount allows for rounding by what the amounts of an entry look like, and takes the coarsest of them: one posting with
# two decimals lets half a cent go. A provider's calls cost less than that, so an entry that books calls against an invoice
# in cents may lack one of them, or have its sum wrong by a fifth, and no error is raised. `balance` then holds for both
# accounts, 0.0244 of expenses against an assertion of 0.02 too. Written with four decimals everything is exact. hledger
# (1.25) goes by the finest amount of the entry and refuses the first one: a journal that Beancount takes is not
# one that hledger takes.
#
# What to do: write all amounts of an entry with the same decimals, and a posting of its own for rounding.
#
# Seen on 2026-11-30 with Python 3.11:
#   paid 0.02    accepted, expenses 0.0244, asserted 0.02: holds
#   paid 0.0200  Transaction does not balance: (0.0044 USD)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "beancount==3.2.3" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from beancount import loader

CALLS = "\n".join(["  Expenses:AI  0.0061 USD"] * 4)


def errors(paid, asserted=""):
    journal = f"""
2026-11-01 open Expenses:AI
2026-11-01 open Liabilities:Provider
2026-11-30 * "Four calls, and the invoice"
{CALLS}
  Liabilities:Provider  -{paid} USD
{asserted}"""
    entries, found, _ = loader.load_string(journal)
    spent = sum(p.units.number for e in entries for p in getattr(e, "postings", ()) if "Expenses" in p.account)
    return spent, [error.message for error in found]


balance = "2026-12-01 balance Expenses:AI 0.02 USD\n2026-12-01 balance Liabilities:Provider -0.02 USD"
spent, found = errors("0.02", balance)
print(f"paid 0.02    {'accepted' if not found else found}, expenses {spent}, asserted 0.02: holds")
assert (str(spent), found) == ("0.0244", []), (spent, found)
_, found = errors("0.0200")
print("paid 0.0200 ", *found)
assert found == ["Transaction does not balance: (0.0044 USD)"], found
PYTHON
