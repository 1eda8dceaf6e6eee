"""What is sent to others names no place on this machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.costs.formats.html import render as html
from shared.costs.formats.markdown import render as markdown
from shared.costs.formats.text import render as text
from shared.costs.reports.document import Column, Note, Ref, Report, Table
from shared.costs.reports.show_job import receipt_report
from shared.costs.reports.statement import statement_report
from tests.support.history import busy_month
from tests.support.statement import DAMAGED, receipt_facts, statement_facts

LEDGER = "/data/out/job-7/cost_ledger.jsonl"
REPORTS = {
    "statement": statement_report(statement_facts(busy_month())),
    "receipt": receipt_report(receipt_facts(busy_month()[:5])),
    "cells": Report("Ledgers", tables=(Table("", (Column("ledger", "Ledger"),), ((Ref(LEDGER, "path"),),)),)),
}


@pytest.mark.parametrize("render", [html, markdown])
@pytest.mark.parametrize("name", REPORTS)
def test_no_local_path_is_sent(name: str, render: Callable[[Report], str]) -> None:
    assert "/data" in text(REPORTS[name]), "the report names a place on a terminal"
    sent = render(REPORTS[name])
    assert "/data" not in sent
    assert "job" in sent


def test_a_remedy_names_no_place_either() -> None:
    note = Note(f"add it to {LEDGER}", remedy=f"cat {LEDGER}", places=(LEDGER,))
    assert "job-7" in html(Report("R", notes=(note,)))
    assert DAMAGED.problems[0] in text(REPORTS["statement"]).replace("\n      ", " ")
