"""What exports and their reports look like, kept: other programs read them, people too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from exchange_samples import AT, charge, entry

from shared.costs.apps.cli.commands.query import PIECES, SHOWN, answer_report
from shared.costs.exchange.exports import ExportContext, export_named, exports
from shared.costs.exchange.imported import import_report
from shared.costs.exchange.importing import Tally
from shared.costs.exchange.imports import NotUnderstood
from shared.costs.exchange.source import ListedEntries
from shared.costs.exchange.warehouse import QueryResult
from shared.costs.formats.canvas import Canvas
from shared.costs.formats.text import render
from shared.costs.model import Charge, PricedBy, Usage
from shared.costs.money import Nanos
from tests.support.golden import WIDTH, check, check_report

PRICED = PricedBy("profile", "prices.yaml:3", "azure/gpt-4o", unverified=True)
ENTRIES = [
    entry(1, request_id="req-1", workflow="subtitle", project="=lectures", tags=("night", "retry")),
    entry(2, charge=None, model="gpt-9", metadata={"segments": 12, "ü": ["a"]}, description='a "b", c'),
    entry(
        3,
        service="local",
        model="pocketsphinx",
        usage=Usage(audio_seconds=61.25),
        charge=Charge({}, PricedBy("catalogue", "7", "local/pocketsphinx")),
        host="worker-1",
        pid=42,
    ),
    entry(
        4, usage=Usage(audio_seconds=1e-6), charge=Charge({"audio_seconds": Nanos(1)}, PRICED), estimated=True
    ),
    entry(5, kind="reversal", corrects=f"{1:028x}", why="logged twice", charge=charge(input=-2_000_000)),
    entry(
        6,
        kind="adjustment",
        corrects=f"{2:028x}",
        why="price known",
        usage=Usage(),
        charge=charge(stated=42_000_000),
        period_at=AT - timedelta(days=30),
        resolves_unpriced=True,
        actual_cost=Nanos(10**15),
    ),
]
TEXTS = sorted(name for name, export in exports().items() if export.text)


@pytest.mark.parametrize("name", TEXTS)
def test_exports_as_they_were(name: str, tmp_path: Path) -> None:
    target = tmp_path / "export"
    about = {"exported_at": "2026-11-22T09:30:00+00:00", "budgets": []}
    export_named(name).write(ListedEntries(ENTRIES), target, ExportContext(about))
    check(f"export-{name}{export_named(name).suffix}", target.read_bytes().decode().replace("\r\n", "\n"))


def tally() -> Tally:
    found = Tally(rows=1_234, known=200, zone_assumed=3, zero_stated=4, stated=900, priced=100, unpriced=2)
    found.added, found.cost = 1_002, Nanos(12_345_678_901)
    found.first, found.last = datetime(2025, 1, 2, tzinfo=UTC), datetime(2025, 3, 4, tzinfo=UTC)
    for row in range(32):
        found.refuse(f"line {row + 2}", f"timestamp is not a time: 'never {row}'")
    found.refusals[0] = NotUnderstood("line 2", "a\x1b[31m reason " * 12)
    found.unused.update({"mood": 1_002, "prompt": 7})
    return found


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_report_of_an_import(dry_run: bool) -> None:
    name = "import-dry-run" if dry_run else "import"
    check_report(name, import_report(tally(), "usage.db as usage-sqlite", dry_run=dry_run))


def test_the_report_of_an_empty_import() -> None:
    check_report("import-empty", import_report(Tally(), "usage.csv as usage-csv", dry_run=False))


def test_the_answer_of_a_query() -> None:
    rows = (
        ("13_ai_summarization", Decimal("0.004500000"), 1_200, None, True, datetime(2026, 11, 22)),  # noqa: DTZ001
        ("evil \x1b[2J", Decimal(50), 3, 0.5, False, None),
    )
    answer = QueryResult(("stage", "cost", "calls", "share", "late", "at"), rows)
    for name, given in (("query", answer), ("query-empty", QueryResult(("stage",), ()))):
        check(f"{name}-{WIDTH}.txt", render(answer_report(given), Canvas(WIDTH)))
        for format_name, pieces in PIECES.items():
            check(f"{name}.{format_name}", "".join(pieces(given)))


def test_no_digit_of_a_number_is_cut_and_amounts_line_up() -> None:
    names = [f"a-model-with-a-rather-long-name-{number}" for number in range(5)]
    rows = [(*names, Decimal("1234.054601425")), (*names, Decimal("0.500000000")), (*names, None)]
    shown = render(answer_report(QueryResult((*"abcde", "cost"), rows)), Canvas(60)).splitlines()
    assert [line.rsplit("  ", 1)[-1].strip() for line in shown[3:]] == ["1,234.054601425", "0.500000000", "-"]
    assert len({len(line) for line in shown[2:]}) == 1


def test_many_rows_are_cut_for_people_and_whole_for_programs() -> None:
    rows = [(number, Decimal("-0.500"), float("nan")) for number in range(SHOWN + 1_234)]
    columns = ("number", "cost", "share")
    shown = render(answer_report(QueryResult(columns, iter(rows))))
    assert shown.startswith("2,234 rows\n")
    assert shown.endswith("  1,234 more; --format csv or --json has them all.\n")
    assert len(shown.splitlines()) == SHOWN + 5
    found = json.loads("".join(PIECES["json"](QueryResult(columns, iter(rows)))))["rows"]
    assert (len(found), found[-1]) == (2_234, {"number": 2_233, "cost": -0.5, "share": None})
    lines = "".join(PIECES["csv"](QueryResult(columns, iter(rows)))).splitlines()
    assert (len(lines), lines[-1]) == (2_235, "2233,-0.5,nan")
