"""Rows below zero of imported histories: what they take back, each in a line of its own, and once."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from exchange_samples import Kept, entry

from shared.costs.analysis.calls import net_calls
from shared.costs.apps.cli.program import run as command
from shared.costs.exchange.exports import ExportContext, export_named
from shared.costs.exchange.foreign import Defaults
from shared.costs.exchange.imported import import_report
from shared.costs.exchange.importing import Importer, ImportSource, Tally
from shared.costs.exchange.imports import import_for
from shared.costs.exchange.source import ListedEntries
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.history import PriceHistory, recompute
from shared.costs.rollup import Totals
from shared.costs.storage import CostStorage

HEAD = "timestamp,provider,model,input_tokens,output_tokens,cost,request_id\n"
CALL = "2026-10-03T10:00:00Z,openai,gpt-4o,1000,200,0.0045,\n"
NAMED = "2026-10-03T10:00:00Z,openai,gpt-4o,1000,200,0.0045,chatcmpl-0123456789abcdef\n"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def run(path: Path, kept: Kept, catalogue: Catalogue, **options: Any) -> Tally:
    source = ImportSource(path, import_for(path), "old", **options)
    return Importer(source, CostStorage(path.parent / "storage"), catalogue, kept).run()


def summed(kept: Kept) -> tuple[int, int, int, int]:
    """Return calls, tokens in and out, and nano-dollars of all that counts."""
    totals = Totals()
    for each in kept.entries.values():
        totals.add(each)
    return totals.calls, totals.tokens_input, totals.tokens_output, totals.cost


REFUNDS = {
    "a call taken back": (
        CALL + CALL.replace("1000,200,0", "-1000,-200,-0"),
        ["usage", "reversal"],
        (0, 0, 0, 0),
    ),
    "a part of its cost": (
        CALL + "2026-10-05,openai,gpt-4o,0,0,-0.0015,\n",
        ["usage", "adjustment"],
        (1, 1000, 200, 3_000_000),
    ),
    "counts repeated beside a credit": (
        CALL + CALL.replace(",0.0045", ",-0.0045"),
        ["usage", "adjustment"],
        (1, 1000, 200, 0),
    ),
    "a refund without a cost, priced by the list": (
        CALL + "2026-10-04T10:00:00Z,openai,gpt-4o,-1000,-200,,\n",
        ["usage", "reversal"],
        (0, 0, 0, 0),
    ),
    "a credit that names no model": (
        "2026-10-05,openai,,,,-2.5,\n",
        ["adjustment"],
        (0, 0, 0, -2_500_000_000),
    ),
    "brackets": ("2026-10-05,openai,gpt-4o,,,($2.50),\n", ["adjustment"], (0, 0, 0, -2_500_000_000)),
    "a minus behind": ("2026-10-05,openai,gpt-4o,,,2.50-,\n", ["adjustment"], (0, 0, 0, -2_500_000_000)),
    "a minus that is none of ASCII": (
        "2026-10-05,openai,gpt-4o,\N{MINUS SIGN}7,,\N{MINUS SIGN}0.5,\n",
        ["reversal"],
        (-1, -7, 0, -500_000_000),
    ),
    "an exponent": ("2026-10-05,openai,gpt-4o,-7,,-5E-7,\n", ["reversal"], (-1, -7, 0, -500)),
    "the same two credits of nothing that has an id": (
        "2026-10-05,openai,gpt-4o,,,-1,\n" * 2,
        ["adjustment", "adjustment"],
        (0, 0, 0, -2_000_000_000),
    ),
    "a refund under the id of its response, said twice": (
        NAMED + NAMED.replace("1000,200,0", "-1000,-200,-0") * 2,
        ["usage", "reversal"],
        (0, 0, 0, 0),
    ),
    "nothing below zero": (
        CALL.replace("0.0045", "-0").replace("1000", "-0"),
        ["usage"],
        (1, 0, 200, 2_000_000),
    ),
}


@pytest.mark.parametrize("case", REFUNDS)
def test_a_row_below_zero_takes_back_what_it_says_and_once(
    case: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    rows, kinds, sums = REFUNDS[case]
    path, kept = tmp_path / "history.csv", Kept()
    path.write_text(HEAD + rows)
    tally = run(path, kept, catalogue)
    assert [each.kind for each in kept.entries.values()] == kinds
    assert (*summed(kept), tally.cost) == (*sums, sums[3])
    assert (tally.refunds, tally.refused) == (len(kinds) - kinds.count("usage"), 0)
    again = run(path, kept, catalogue, defaults=Defaults(user_id="ana"), settled=frozenset({"service"}))
    assert (again.added, again.anew, summed(kept)) == (0, 0, sums)


LOCAL = {
    "decimal commas": ("2026-10-05;gpt-4o;;-1.234,50\n", -1_234_500_000_000, 0),
    "decimal commas in brackets": ("2026-10-05;gpt-4o;;(0,05)\n", -50_000_000, 0),
    "thousands or decimals": ("2026-10-05\tgpt-4o\t\t-1,234\n", 0, 1),
    "thousands or decimals in brackets": ("2026-10-05\tgpt-4o\t\t(1,234)\n", 0, 1),
    "a count in thousands or with decimals": ("2026-10-05\tgpt-4o\t-1.000\t-1\n", 0, 1),
}


@pytest.mark.parametrize("case", LOCAL)
def test_amounts_below_zero_are_read_as_those_above(case: str, tmp_path: Path, catalogue: Catalogue) -> None:
    rows, cost, refused = LOCAL[case]
    divider = "\t" if "\t" in rows else ";"
    path, kept = tmp_path / "history.csv", Kept()
    path.write_text("date,model,tokens_input,cost\n".replace(",", divider) + rows)
    tally = run(path, kept, catalogue)
    assert (tally.cost, tally.refused) == (cost, refused)


def test_a_refund_with_the_long_id_of_its_call_is_another_row(tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "spend.json", Kept()
    call = {
        "request_id": "chatcmpl-0123456789abcdef",
        "startTime": "2026-10-03 10:00:00",
        "model": "gpt-4o",
        "custom_llm_provider": "openai",
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "spend": 0.0045,
    }
    back = call | {"prompt_tokens": -1000, "completion_tokens": -200, "spend": -0.0045}
    path.write_text(json.dumps([call, back, call | {"spend": -0.001}]))
    tally = run(path, kept, catalogue)
    assert (tally.added, tally.refused, summed(kept)) == (3, 0, (0, 0, 0, -1_000_000))
    corrections = [each for each in kept.entries.values() if each.kind != "usage"]
    assert [each.request_id for each in corrections] == [None, None]  # it is no other call of this response
    assert {each.metadata["refund_of"] for each in corrections} == {call["request_id"]}


def test_each_of_several_refunds_under_one_id_counts_once(tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    head, row = "id,timestamp,model,cost\n", "{},2026-10-0{}T10:00:00Z,gpt-4o,{}\n".format
    world = "5f0c2a52-8e5f-4e6a-9d0f-0a1b2c3d4e5f"
    path.write_text(head + row(world, 3, "1") + row(world, 4, "-0.2") + row(world, 5, "-0.3") * 2)
    tally = run(path, kept, catalogue)
    assert (tally.added, tally.known, summed(kept)[3]) == (3, 1, 500_000_000)
    path.write_text(head + row("12345", 6, "-0.1"))  # ids of rows, which are those of one file alone
    run(path, kept, catalogue)
    path.write_text(head + row("12345", 7, "-0.1"))
    assert (run(path, kept, catalogue).added, summed(kept)[3]) == (1, 300_000_000)


def test_a_refund_of_what_has_no_price_is_asked_for_its_cost(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"{HEAD}2026-10-05,acme,mystery-1,-10,-5,,\n")
    tally = run(path, Kept(), catalogue)
    assert [each.why for each in tally.refusals] == [
        "takes back a call of acme/mystery-1, of no known price: state its cost"
    ]


def test_what_was_taken_back_is_said_and_agrees_with_the_prices(tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    path.write_text(
        f"{HEAD}{CALL}2026-10-04T10:00:00Z,openai,gpt-4o,-1000,-200,,\n2026-10-05,openai,gpt-4o,,,-1,\n"
    )
    report = import_report(run(path, kept, catalogue), "history.csv", dry_run=False)
    said = [note.text for note in report.notes]
    assert "2 rows take back $1.00: refunds of calls and credits. Limits allow that much more." in said
    assert isinstance(report.data, dict)
    assert (report.data["refund_rows"], report.data["refunded_usd"]) == (2, 1.0045)
    history = PriceHistory(catalogue)
    assert [verdict.outcome for each in kept.entries.values() for verdict in recompute(each, history)] == [
        "agrees"
    ] * 3
    target = tmp_path / "focus.csv"
    export_named("focus-1.2").write(ListedEntries(kept.entries.values()), target, ExportContext())
    with target.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["ChargeDescription"] for row in rows if row["ChargeCategory"] == "Adjustment"] == [
        "gpt-4o: credit"
    ]


def test_show_budget_says_what_credits_took_off_what_was_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path / "storage"))
    monkeypatch.chdir(tmp_path)
    path, asked = tmp_path / "history.csv", ["show-budget", "--month", "2026-10"]
    for rows, told in (
        (CALL, None),
        ("2026-10-05,openai,gpt-4o,9000,9000,7,\n2026-10-05,openai,,,,-2.5,\n", 2.5),  # at one time
        ("2026-10-06,openai,gpt-4o,,,-1,\n", 2.5),  # of a model that cost more
    ):
        path.write_text(HEAD + rows)
        assert command(["import", str(path)]) == 0
        capsys.readouterr()
        assert command([*asked, "--json"]) == 0
        assert json.loads(capsys.readouterr().out).get("taken_back_usd") == told
        assert command(asked) == 0
        said = "took at least $2.50 off what was spent" in " ".join(capsys.readouterr().out.split())
        assert said is bool(told)


def test_one_row_is_spoken_of_as_one() -> None:
    tally = Tally(refused=21, unpriced=1, zero_stated=1, zone_assumed=1)
    said = [note.text.split(":")[0] for note in import_report(tally, "history.csv", dry_run=False).notes]
    assert said == [
        "1 more row was not understood.",
        "1 call has no known price",
        "1 call is stated to cost $0 beside usage",
        "1 time said no zone",
    ]


def test_a_refund_takes_out_one_call_that_is_like_it_or_stands_for_itself(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    back = CALL.replace("1000,200,0", "-1000,-200,-0").replace("03T", "04T")
    path.write_text(HEAD + CALL * 2 + CALL.replace("openai", "azure") + back + back.replace("1000", "999"))
    run(path, kept, catalogue)
    net = [(each.entry.kind, each.entry.service) for each in net_calls(kept.entries.values())]
    assert net == [("usage", "openai"), ("usage", "azure"), ("reversal", "openai")]


def test_a_correction_of_what_is_not_there_is_still_told() -> None:
    [verdict] = recompute(entry(kind="adjustment", corrects="gone"), PriceHistory(Catalogue.load()))
    assert (verdict.outcome, verdict.text) == ("unknown", "the entry gone that it corrects is not there")
