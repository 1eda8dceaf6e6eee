"""Journals: hledger and beancount themselves take them without a complaint, and come to the same amounts."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from exchange_samples import charge, entry
from exchange_strategies import entries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.costs.exchange.exports import ExportContext, export_named
from shared.costs.exchange.exports.journals import AccountNames, exact_usd
from shared.costs.exchange.source import ListedEntries
from shared.costs.model import Entry, Usage

HLEDGER = shutil.which("hledger")
needs_hledger = pytest.mark.skipif(HLEDGER is None, reason="needs hledger (apt-get install hledger)")

ODD_NAMES = [
    "gpt-4o",
    "GPT-4o",
    "gpt-4.1",
    "gpt-4-1",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "a  b",
    "a b",
    "(brackets)",
    "[x]",
    "*star",
    "!bang",
    "; comment",
    "say \"quoted\" \\ 'x'",
    "日本語モデル",
    "éclair",
    "ǆ",
    "-",
    "o1",
    "4o-mini",
    "a:b",
    "a|b",
    "=b",
    "100.00 USD",
    "a,b: c",
    "٣",
]
ODD = [
    *(
        entry(number, model=name, job_id=f"job-{number}", stage=name)
        for number, name in enumerate(ODD_NAMES, 1)
    ),
    *(entry(100 + number, service=name, stage=None) for number, name in enumerate(ODD_NAMES, 1)),
    entry(200, charge=charge(input=1, output=0)),
    entry(201, charge=charge(input=999_999_999_999_999)),
    entry(202, charge=charge()),
    entry(203, charge=None, model="gpt-9\n2026-11-22 fake"),
    entry(204, kind="adjustment", corrects=f"{200:028x}", why="w", usage=Usage(), charge=charge(stated=-1)),
    entry(205, kind="reversal", corrects=f"{201:028x}", why="w", charge=charge(input=-999_999_999_999_999)),
    entry(206, job_id="(job) ; x", user_id='u"1'),
]


def written(name: str, given: Sequence[Entry], folder: Path) -> Path:
    target = folder / f"costs{export_named(name).suffix}"
    assert export_named(name).write(ListedEntries(given), target, ExportContext()) == len(given)
    return target


def costs_of(given: Sequence[Entry]) -> dict[str, Decimal]:
    return {one.id: Decimal(exact_usd(one.cost)) for one in given if one.charge is not None}


def of_hledger(path: Path, *words: str) -> str:
    ran = subprocess.run([str(HLEDGER), "-f", str(path), *words], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout


def posted_in_hledger(path: Path) -> dict[str, Decimal]:
    found = {}
    for transaction in json.loads(of_hledger(path, "print", "-O", "json")):
        amount = transaction["tpostings"][0]["pamount"][0]["aquantity"]
        found[transaction["tcode"]] = Decimal(amount["decimalMantissa"]).scaleb(-amount["decimalPlaces"])
    return found


@needs_hledger
def test_hledger_takes_the_journal_and_comes_to_the_same(tmp_path: Path) -> None:
    path = written("hledger", ODD, tmp_path)
    of_hledger(path, "check", "--strict")
    assert posted_in_hledger(path) == costs_of(ODD)
    total = of_hledger(path, "balance", "expenses", "--depth", "1", "-N").split()
    assert total == [exact_usd(sum(one.cost for one in ODD)), "USD", "expenses"]
    names = {one.model for one in ODD if one.charge and one.service == "openai"}
    accounts = of_hledger(path, "accounts", "--used", "expenses:ai:openai", "--depth", "4").splitlines()
    assert len(set(accounts)) == len(names)


def loaded(path: Path) -> tuple[list[Any], dict[str, Any]]:
    loader = pytest.importorskip("beancount.loader", reason="needs beancount (pip install beancount)")
    found, errors, options = loader.load_file(str(path))
    assert errors == []
    return found, options


def test_beancount_takes_the_journal_and_comes_to_the_same(tmp_path: Path) -> None:
    found, _ = loaded(written("beancount", ODD, tmp_path))
    transactions = [one for one in found if type(one).__name__ == "Transaction"]
    assert {one.meta["entry"]: one.postings[0].units.number for one in transactions} == costs_of(ODD)
    names: dict[str, set[str]] = {}
    for one in transactions:
        names.setdefault(one.postings[1].account, set()).add(one.meta["service"])
        assert one.meta["model"] in {" ".join(each.model.split("\n")) for each in ODD}
    assert all(len(services) == 1 for services in names.values())
    sums: Counter[str] = Counter()
    for one in transactions:
        sums[one.postings[0].account.split(":")[0]] += one.postings[0].units.number
    assert sums["Expenses"] == Decimal(exact_usd(sum(one.cost for one in ODD)))


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=st.lists(entries(), min_size=1, max_size=5, unique_by=lambda one: one.id))
def test_any_entries_are_a_journal(given: list[Entry], tmp_path: Path) -> None:
    found, _ = loaded(written("beancount", given, tmp_path))
    assert len([one for one in found if type(one).__name__ == "Transaction"]) == len(costs_of(given))
    if HLEDGER:
        path = written("hledger", given, tmp_path)
        of_hledger(path, "check", "--strict")
        assert sorted(posted_in_hledger(path).values()) == sorted(costs_of(given).values())


def test_names_that_come_out_alike_stay_apart() -> None:
    names = AccountNames(str.upper)
    assert names.part("", "a") == "A"
    assert names.part("", "A").startswith("A-")
    assert names.part("", "a") == "A"
    assert names.part("x", "A") == "A"
