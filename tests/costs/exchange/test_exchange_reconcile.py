"""A provider's bill against the ledgers: planted differences are found and named, and none is invented."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import synthetic_bills as bills
from synthetic_bills import DAYS, FORMATS, PACIFIC, START, World, plant, recorded, world

from shared.costs.apps.cli.program import run
from shared.costs.exchange import ledger_access
from shared.costs.exchange.bills import BillLine, Statement, bill_format_for, bill_formats
from shared.costs.exchange.exports.focus import COMMON as FOCUS
from shared.costs.exchange.exports.focus import charges
from shared.costs.exchange.ledger_access import BatchWriter
from shared.costs.exchange.reconciling.adjusting import Adjuster
from shared.costs.exchange.reconciling.differences import Comparison
from shared.costs.exchange.reconciling.run import Bill, BillComparison, ComparisonTerms
from shared.costs.exchange.reconciling.sums import BilledSums
from shared.costs.exchange.reports.reconcile import ReconcileFacts, reconciled_report
from shared.costs.money import from_usd
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.rollup import Query
from shared.costs.storage import CostStorage
from shared.costs.store.store import Store
from tests.support.golden import check_report

LATER = START + timedelta(days=60)
JUST_THEN = START + timedelta(days=DAYS, minutes=2)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture(scope="module")
def at_hand(
    tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue
) -> Callable[[str, bool], tuple[World, Store]]:
    """Gives what a service's world, with planted differences or without, and the store of its ledgers are."""

    @cache
    def get(service: str, planted: bool) -> tuple[World, Store]:
        of = plant(world(service)) if planted else world(service)
        return of, recorded(of, CostStorage(tmp_path_factory.mktemp(service) / "storage"), catalogue)

    return get


@contextmanager
def storage_of(of: World, folder: Path, catalogue: Catalogue) -> Iterator[Store]:
    with recorded(of, CostStorage(folder / "storage"), catalogue) as index:
        yield index


def files_of(name: str, of: World, folder: Path, catalogue: Catalogue, at: datetime = LATER) -> list[Bill]:
    found = []
    for file, text in FORMATS[name].write(of, catalogue).items():
        path = folder / file
        path.write_text(text, encoding="utf-8")
        os.utime(path, (at.timestamp(), at.timestamp()))
        found.append(Bill.of_file(path, bill_format_for(path)))
    return found


def compared(
    name: str, of: World, folder: Path, catalogue: Catalogue, at: datetime = LATER, **terms: Any
) -> Comparison:
    with storage_of(of, folder, catalogue) as index:
        return BillComparison(index, at, ComparisonTerms(**terms)).run(
            files_of(name, of, folder, catalogue, at)
        )


def reasons(found: Comparison) -> set[str]:
    return {one.reason for one in found.differences}


def test_every_format_has_a_synthetic_bill() -> None:
    elsewhere = {"openai-batch", "anthropic-batch", "anthropic-claude-code"}
    written = {"openai-usage", "openai-costs", "anthropic-usage", "anthropic-costs", "litellm", "openrouter"}
    clouds = {"aws-cur", "focus", "azure", "google-billing", "google-console"}
    assert set(bill_formats()) == elsewhere | written | clouds
    assert all(each.name == name and each.summary for name, each in bill_formats().items())


@pytest.mark.parametrize("name", FORMATS)
def test_a_bill_of_what_was_recorded_agrees(
    name: str, tmp_path: Path, catalogue: Catalogue, at_hand: Callable[[str, bool], tuple[World, Store]]
) -> None:
    of, index = at_hand(FORMATS[name].service, False)
    found = BillComparison(index, LATER, ComparisonTerms()).run(files_of(name, of, tmp_path, catalogue))
    assert (found.differences, found.refused_count, found.incomplete) == ([], 0, [])
    assert found.agreed.calls == len(of.ours)
    if FORMATS[name].costs:
        exact = sum(round(call.cost(catalogue) * 1_000_000_000) for call in of.ours)
        assert found.agreed.ours == exact
        assert abs(found.agreed.rounding) <= 72 * 5_000_000  # a row of the console is rounded to cents
        assert found.agreed.rounding == 0 or name == "anthropic-console"


@pytest.mark.parametrize("name", FORMATS)
def test_planted_differences_are_found_and_named_and_none_invented(
    name: str, tmp_path: Path, catalogue: Catalogue, at_hand: Callable[[str, bool], tuple[World, Store]]
) -> None:
    form = FORMATS[name]
    of, index = at_hand(form.service, True)
    found = BillComparison(index, JUST_THEN, ComparisonTerms()).run(
        files_of(name, of, tmp_path, catalogue, JUST_THEN)
    )
    expected = set(of.planted) - set(form.cannot) | ({"not_billed"} if form.by_id else set())
    assert reasons(found) == expected
    assert len(found.differences) == len(expected)
    by_reason = {one.reason: one for one in found.differences}
    assert by_reason["recorded_twice"].calls == by_reason["retry"].calls == 1
    if form.costs:
        cost = {call.id: round(call.cost(catalogue) * 1_000_000_000) for call in of.theirs + of.ours}
        twice = next(cost[call.id] for call in of.ours if call.suffix)
        again = next(cost[call.id] for call in of.theirs if call.suffix)
        near = 60_000_000 if name == "anthropic-console" else 1_000
        assert by_reason["recorded_twice"].amount == pytest.approx(-twice, abs=near)
        assert by_reason["retry"].amount == pytest.approx(again, abs=near)
    if "tools" in expected:
        assert by_reason["tools"].amount == 250_000_000
    if "late" in expected:
        assert not by_reason["late"].settled
    credited = [one for one in found.uncompared if one.category == "credit"]
    assert [one.nanos for one in credited] == ([-5_000_000_000] if form.has_credit else [])
    assert all(one.category in ("credit", "tax") for one in found.uncompared)


TOGETHER = {
    "missing and doubled calls": ("not_recorded", "recorded_twice"),
    "a doubled call and other kinds of tokens": ("recorded_twice", "cache"),
    "a retry and other kinds of tokens": ("retry", "cache"),
    "another tier and other kinds of tokens": ("tier", "cache"),
    "another tier and a retry": ("tier", "retry"),
    "a doubled call and a retry": ("recorded_twice", "retry"),
    "another tier and a batch": ("tier", "batch_day"),
}


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("name", "together"),
    [
        (name, together)
        for name in ("openai-usage+costs", "anthropic-costs", "focus", "azure")
        for together, reasons_ in TOGETHER.items()
        if name != "anthropic-costs" or "tier" not in reasons_  # it states no tokens
    ],
)
def test_two_differences_of_one_model_and_day_are_told_apart_and_adjusted(
    name: str, together: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    day, chosen = [5] * (DAYS - 1) + [DAYS - 1], TOGETHER[together]
    of = plant(world(FORMATS[name].service), day, chosen)
    with storage_of(of, tmp_path, catalogue) as index:
        files = files_of(name, of, tmp_path, catalogue)

        def once(adjuster: Adjuster | None = None) -> Comparison:
            return BillComparison(index, LATER, ComparisonTerms(), adjuster).run(files)

        found = once()
        assert sorted(one.reason for one in found.differences) == sorted(chosen)
        days = {one: START + timedelta(days=6 if one == "batch_day" else 5) for one in chosen}
        assert {one.reason: one.day for one in found.differences} == {
            one: f"{day:%Y-%m-%d}" for one, day in days.items()
        }
        first, second = (
            Adjuster(index, BatchWriter(index), CostStorage(tmp_path / "storage"), LATER, "1") for _ in "12"
        )
        once(first)
        assert once(second).settled == []
        assert first.written > second.written == 0
        left = sum(line.cost for line in index.entries(Query()))
    billed = sum(round(call.cost(catalogue) * 1_000_000_000) for call in of.theirs)
    assert left == pytest.approx(billed, abs=100)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, form in FORMATS.items()
        if not form.by_id
        and "google-console" not in name
        and "page" not in name
        and name
        not in (
            "openai-usage+costs",
            "openai-csv",
            "openai-usage",
            "openai-costs",
            "openai-costs-bare",
            "google-billing",
        )
    ],
)
def test_days_of_another_time_zone_are_recognised(name: str, tmp_path: Path, catalogue: Catalogue) -> None:
    of = world(FORMATS[name].service, hour=3)
    of.zone = PACIFIC
    # Their first and last days lie outside our days: they have calls of both.
    found = compared(name, of, tmp_path, catalogue)
    assert "time_zone" in reasons(found)
    assert reasons(found) <= {"time_zone"}
    assert set(found.zones.values()) <= {"America/Los_Angeles", "UTC-08:00", "UTC-07:00"}
    assert found.settled == []


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    "name",
    ["aws-cur", "focus", "azure", "google-console", "openai-usage+costs", "openai-costs", "anthropic-costs"],
)
def test_another_currency_is_recognised_and_converted(
    name: str, given: bool, tmp_path: Path, catalogue: Catalogue
) -> None:
    of = world(FORMATS[name].service)
    of.currency, of.rate = "EUR", Decimal("0.86")
    rates = {"EUR": 1 / of.rate} if given else {}
    found = compared(name, of, tmp_path, catalogue, rates=rates)
    assert reasons(found) == (set() if given else {"currency"})
    assert found.settled == []
    assert found.currencies == ({} if given else {"EUR": pytest.approx(1 / 0.86, rel=1e-4)})


@pytest.mark.parametrize(("currency", "rate"), [("EUR", "0.8613"), ("JPY", "155.23"), ("KRW", "1472.4")])
def test_a_rate_that_is_told_serves_as_the_rate_of_the_bill(
    currency: str, rate: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    of = world("openai")
    of.currency, of.rate = currency, Decimal(rate)
    found = compared("openai-costs", of, tmp_path, catalogue)
    report = reconciled_report(ReconcileFacts(["bill"], found))
    told = [each.note for each in found.differences if each.reason == "currency"]
    told += [note.text for note in report.notes if "Give its rate" in note.text]
    assert len(told) == 2
    for text in told:
        assert float(text.partition(" USD")[0].rpartition(" ")[2]) == pytest.approx(1 / float(rate), rel=1e-5)


def test_amounts_that_take_a_rate_nobody_knows_are_unknown_and_not_nothing(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    of = world("openai")
    of.currency, of.rate, of.credit, of.ours = "EUR", Decimal("0.86"), Decimal(-5), []
    found = compared("openai-costs", of, tmp_path, catalogue)
    report = reconciled_report(ReconcileFacts(["bill"], found))
    shown = {figure.key: figure.value for figure in report.figures}
    assert (shown["billed"], shown["apart"], report.data["billed_usd"]) == (None, None, None)
    assert any("count in no sum: they take a rate" in note.text for note in report.notes)


def test_an_account_in_another_currency_has_its_own_rate_in_the_export(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    of = world("google")
    of.currency, of.rate = "EUR", Decimal("0.86")
    assert compared("google-billing", of, tmp_path, catalogue).settled == []


def test_a_discount_throughout_is_a_price_not_a_loss(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("openai")
    of.rate = Decimal("0.9")
    found = compared("openai-usage+costs", of, tmp_path, catalogue)
    assert reasons(found) == {"price"}
    assert {round(one.factor or 0, 6) for one in found.differences} == {0.9}


def test_cents_read_as_dollars_are_named(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("openai")
    of.rate = Decimal(100)
    found = compared("openai-usage+costs", of, tmp_path, catalogue)
    assert {(one.reason, one.note) for one in found.differences} == {("unit", "cents read as dollars")}


def test_a_call_around_midnight_may_stand_on_the_next_day(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("openai")
    moved = of.theirs[40]
    of.theirs[40] = replace(moved, at=moved.at + timedelta(days=1))
    for name in ("openai-usage+costs", "openai-costs-bare"):
        folder = tmp_path / name
        folder.mkdir()
        [one] = compared(name, of, folder, catalogue).differences
        assert (one.kind, one.reason, one.amount) == ("moved", "day_boundary", 0)


def test_reasoning_tokens_that_were_not_recorded(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("openai")
    of.theirs[50] = replace(of.theirs[50], tokens_output=of.theirs[50].tokens_output + 4_000)
    for name in ("openai-usage+costs", "openai-costs-bare", "litellm"):
        folder = tmp_path / name
        folder.mkdir()
        [one] = compared(name, of, folder, catalogue).differences
        assert (one.reason, one.amount) == ("reasoning", 4_000 * 10_000)


def test_ids_of_a_router_may_be_other_ones(tmp_path: Path, catalogue: Catalogue) -> None:
    of = plant(world("openrouter"))
    with storage_of(of, tmp_path, catalogue) as index:
        path = tmp_path / "activity.csv"
        path.write_text(bills.openrouter_calls(of, catalogue, own_ids=True))
        found = BillComparison(index, LATER, ComparisonTerms()).run(
            [Bill.of_file(path, bill_format_for(path))]
        )
    assert found.agreed.calls >= len(of.theirs) - 8
    assert reasons(found) <= {"not_recorded", "retry", "not_billed", "cache", "recorded_twice"}
    assert {"not_recorded", "retry"} <= reasons(found)


# --- adjusting


@pytest.mark.parametrize(
    "name",
    [name for name, form in FORMATS.items() if form.costs and name not in ("litellm", "anthropic-console")],
)
def test_adjusted_ledgers_come_to_the_bill_and_a_second_run_adds_nothing(
    name: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    of, form = plant(world(FORMATS[name].service)), FORMATS[name]
    storage = CostStorage(tmp_path / "storage")
    with storage_of(of, tmp_path, catalogue) as index:
        made = files_of(name, of, tmp_path, catalogue, LATER)

        def once() -> tuple[Comparison, Adjuster]:
            adjuster = Adjuster(index, BatchWriter(index), storage, LATER, "1")
            return BillComparison(index, LATER, ComparisonTerms(), adjuster).run(made), adjuster

        before, first = once()
        assert first.written > 0
        after, second = once()
        assert second.written == 0
        left = {one.reason for one in after.settled}
        assert left <= {"not_billed", "late"}  # nothing tells whose calls are not on the bill
        gap = sum(one.amount for one in after.settled)
        assert abs(after.total("theirs") - after.total("ours") - gap) <= 1_000
        lines = [entry for entry in index.entries(Query()) if entry.kind == "adjustment"]
        assert lines
        assert all("bill_line" in entry.metadata and entry.corrects for entry in lines)
        added = [entry for entry in index.entries(Query()) if entry.operation == "billed"]
        invoice = bills.INVOICE if name in ("aws-cur", "azure", "azure-focus", "focus") else None
        assert {dict(FOCUS)["InvoiceId"](row) for one in lines + added for row in charges(one)} == {invoice}
        assert all(str(tmp_path) in str(entry.metadata["bill_line"]) for entry in added)
    assert before.settled
    assert form.service


def test_what_a_router_only_estimates_is_never_written(tmp_path: Path, catalogue: Catalogue) -> None:
    of = plant(world("openai"))
    with storage_of(of, tmp_path, catalogue) as index:
        adjuster = Adjuster(index, BatchWriter(index), CostStorage(tmp_path / "storage"), LATER, "1")
        found = BillComparison(index, LATER, ComparisonTerms(), adjuster).run(
            files_of("litellm", of, tmp_path, catalogue)
        )
    assert found.settled
    assert adjuster.written == 0


def test_single_calls_are_adjusted_though_another_row_is_not_understood(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    of = plant(world("openrouter"))
    with storage_of(of, tmp_path, catalogue) as index:
        made = files_of("openrouter-calls", of, tmp_path, catalogue)
        with (tmp_path / "activity.csv").open("a") as file:
            file.write("cut off\n")
        before = len([*index.entries(Query())])
        adjuster = Adjuster(index, BatchWriter(index), index.storage, LATER, "1")
        found = BillComparison(index, LATER, ComparisonTerms(), adjuster).run(made)
        written = len([*index.entries(Query())]) - before
    assert found.refused_count == 1
    assert written == adjuster.written > 0


# --- files


def test_what_is_missing_in_a_report_is_said_and_never_zero(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("openai")
    pages = json.loads(bills.openai_page(bills.openai_usage_rows(of, catalogue)))
    del pages["data"][5:7]
    pages["has_more"] = True
    path = tmp_path / "usage.json"
    path.write_text(json.dumps(pages))
    with storage_of(of, tmp_path, catalogue) as index:
        found = BillComparison(index, LATER, ComparisonTerms()).run(
            [Bill.of_file(path, bill_format_for(path))]
        )
    assert [why.partition(": ")[2] for why in found.incomplete] == [
        "2026-11-06 00:00 to 2026-11-08 00:00 is missing",
        "it ends at 2026-11-13 00:00, and says that there is more (has_more)",
    ]
    assert found.settled == []


def test_exports_that_overlap_count_once(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("anthropic")
    with storage_of(of, tmp_path, catalogue) as index:
        for name in ("first.csv", "second.csv"):
            (tmp_path / name).write_text(bills.console_usage(of, catalogue))
        files = [
            Bill.of_file(tmp_path / name, bill_format_for(tmp_path / name))
            for name in ("first.csv", "second.csv")
        ]
        found = BillComparison(index, LATER, ComparisonTerms()).run(files)
    assert found.differences == []
    assert len(found.notes) == DAYS


@pytest.mark.parametrize("names", [("a.json", "b.json"), ("b.json", "a.json")])
def test_of_two_exports_of_a_day_the_newer_one_counts_in_whatever_order(
    names: tuple[str, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    of, early = world("openai"), world("openai")
    early.theirs = early.theirs[:50]
    for name, side, days in (("a.json", early, 5), ("b.json", of, 6)):
        path, at = tmp_path / name, (LATER + timedelta(days=days)).timestamp()
        path.write_text(bills.openai_page(bills.openai_cost_rows(side, catalogue)))
        os.utime(path, (at, at))
    with storage_of(of, tmp_path, catalogue) as index:
        files = [Bill.of_file(tmp_path / name, bill_format_for(tmp_path / name)) for name in names]
        found = BillComparison(index, LATER + timedelta(days=9), ComparisonTerms()).run(files)
    assert found.differences == []
    assert all(note.endswith("the newest one counts") for note in found.notes)


@pytest.mark.parametrize("told", ["api_key_id", "model", "object"])
def test_reports_about_different_things_of_one_day_are_added(
    told: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    of = world("openai")
    rows = [(day, row | {told: row[told] or "one"}) for day, row in bills.openai_usage_rows(of, catalogue)]
    others = [
        (day, row | {"input_tokens": 0, "output_tokens": 7, "input_cached_tokens": 0, told: "another"})
        for day, row in rows
    ]
    paths = [tmp_path / name for name in ("one.json", "another.json", "another, later.json")]
    for path, part in zip(paths, (rows, others, others), strict=True):
        path.write_text(bills.openai_page(part))
    with storage_of(of, tmp_path, catalogue) as index:
        files = [Bill.of_file(path, bill_format_for(path)) for path in paths]
        found = BillComparison(index, LATER, ComparisonTerms()).run(files)
    more = sum((one.theirs_tokens or 0) - (one.ours_tokens or 0) for one in found.differences)
    assert more == 7 * len(rows)


def test_a_credit_in_the_files_of_two_projects_lets_neither_replace_the_other() -> None:
    of, billed = bill_formats()["openai-costs"], BilledSums("openai")
    at, statement = datetime(2026, 11, 3, tzinfo=UTC), Statement()
    for number, project in enumerate(("one", "another", "another")):
        where = f"{project}.json"
        called = BillLine(where, "openai", at, "gpt-4o", key=project, amount=Decimal(5))
        credit = BillLine(where, "openai", at, category="credit", amount=Decimal(-1), label="Credit")
        for line in (called, credit):
            billed.add(line, of, number, statement, {})
    billed.finish({of.name: (of, statement)})
    assert [cell.cost for cell in billed.cells().values()] == [from_usd("10")]
    assert [lines.amount for lines in billed.uncompared()] == [Decimal(-2)]


def test_only_lines_of_the_keys_that_are_asked_for(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("openai")
    rows = bills.openai_usage_rows(of, catalogue)
    others = [(day, row | {"api_key_id": "key_other", "model": "gpt-4.1"}) for day, row in rows]
    mine = [(day, row | {"api_key_id": "key_mine"}) for day, row in rows]
    path = tmp_path / "usage.json"
    path.write_text(bills.openai_page(mine + others))
    with storage_of(of, tmp_path, catalogue) as index:
        files = [Bill.of_file(path, bill_format_for(path))]
        assert reasons(BillComparison(index, LATER, ComparisonTerms()).run(files)) == {"not_recorded"}
        found = BillComparison(index, LATER, ComparisonTerms(keys=frozenset({"key_mine"}))).run(files)
    assert found.differences == []
    assert found.keys == {"key_mine": 24, "key_other": 24}


BATCH: dict[str, dict[str, Any]] = {
    "openai": {
        "id": "batch_req_1",
        "custom_id": "a",
        "response": {
            "status_code": 200,
            "request_id": "req_1",
            "body": {
                "id": "resp-openai-000001",
                "created": int(START.timestamp()),
                "model": "gpt-4o-2024-08-06",
                "usage": {
                    "prompt_tokens": 1137,
                    "completion_tokens": 211,
                    "prompt_tokens_details": {"cached_tokens": 100},
                },
            },
        },
        "error": None,
    },
    "anthropic": {
        "custom_id": "a",
        "result": {
            "type": "succeeded",
            "message": {
                "id": "resp-anthropic-000001",
                "model": "claude-haiku-4-5-20251001",
                "usage": {"input_tokens": 1037, "output_tokens": 211, "cache_read_input_tokens": 100},
            },
        },
    },
}


@pytest.mark.parametrize("service", BATCH)
def test_results_of_batches_are_found_by_their_ids(
    service: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    of = world(service)
    line = BATCH[service]
    failed: dict[str, Any] = (
        {"custom_id": "b", "response": None, "error": {"code": "batch_expired"}}
        if service == "openai"
        else {"custom_id": "b", "result": {"type": "expired"}}
    )
    unknown = json.loads(json.dumps(line).replace("-000001", "-999999"))
    path = tmp_path / "results.jsonl"
    path.write_text(bills.json_lines([line, failed, unknown]))
    with storage_of(of, tmp_path, catalogue) as index:
        found = BillComparison(index, LATER, ComparisonTerms()).run(
            [Bill.of_file(path, bill_format_for(path))]
        )
    assert found.agreed.count == 1
    [one] = found.differences
    assert (one.kind, one.reason, one.calls) == ("only_theirs", "not_recorded", 1)


def test_claude_code_by_day(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("anthropic")
    rows = []
    for day, model, _tier, _calls, kinds in bills.buckets(of, catalogue):
        tokens = {
            "input": kinds["input"][0],
            "output": kinds["output"][0],
            "cache_read": kinds["cached"][0],
            "cache_creation": 0,
        }
        cost = sum((cost for _, cost in kinds.values()), Decimal(0)) * 100
        part = {
            "model": model,
            "tokens": tokens,
            "estimated_cost": {"currency": "USD", "amount": float(cost)},
        }
        rows.append(
            {
                "date": f"{day:%Y-%m-%d}T00:00:00Z",
                "actor": {"email_address": "a@example.org"},
                "model_breakdown": [part],
            }
        )
    path = tmp_path / "claude_code.json"
    path.write_text(json.dumps({"data": rows, "has_more": False}))
    with storage_of(of, tmp_path, catalogue) as index:
        found = BillComparison(index, LATER, ComparisonTerms()).run(
            [Bill.of_file(path, bill_format_for(path))]
        )
    assert (found.differences, found.agreed.count) == ([], 24)


def test_rows_that_cannot_be_are_listed_and_the_others_compared(tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("azure")
    text = bills.as_csv(bills.azure_rows(of, catalogue)).splitlines()
    text.insert(3, text[1].replace("11/01/2026", "13/45/2026"))
    text.insert(5, "too,few")
    path = tmp_path / "azure.csv"
    path.write_text("\n".join(text) + "\n")
    with storage_of(of, tmp_path, catalogue) as index:
        found = BillComparison(index, LATER, ComparisonTerms()).run(
            [Bill.of_file(path, bill_format_for(path))]
        )
    assert (found.refused_count, found.differences) == (2, [])


# --- the report and the command


def facts(tmp_path: Path, catalogue: Catalogue, at: datetime) -> ReconcileFacts:
    of = plant(world("openai"))
    found = compared("openai-usage+costs", of, tmp_path, catalogue, at)
    text = json.dumps([str(tmp_path)])[2:-2]
    found.differences = [
        one._replace(lines=tuple(line.replace(f"{text}/", "") for line in one.lines))
        for one in found.differences
    ]
    return ReconcileFacts(["usage.json as openai-usage", "costs.json as openai-costs"], found)


def test_the_report_of_a_bill_that_differs(tmp_path: Path, catalogue: Catalogue) -> None:
    check_report("reconcile", reconciled_report(facts(tmp_path, catalogue, JUST_THEN)))


def test_the_report_of_a_bill_that_agrees() -> None:
    check_report(
        "reconcile-empty", reconciled_report(ReconcileFacts(["costs.json as openai-costs"], Comparison()))
    )


@pytest.fixture
def bill(tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> Path:
    of = plant(world("openai"))
    recorded(of, CostStorage(tmp_path / "storage"), catalogue).close()
    files_of("openai-costs", of, tmp_path, catalogue, datetime.now(UTC))
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path / "storage"))
    return tmp_path / "costs.json"


def test_the_command_tells_scripts_by_its_exit_code(
    bill: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["reconcile", str(bill), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["agrees"] is False
    assert run(["reconcile", str(bill), f"{bill.parent}/./{bill.name}", "--json"]) == 1
    named_twice = json.loads(capsys.readouterr().out)
    assert named_twice["billed_usd"] == told["billed_usd"]
    assert {one["reason"] for one in told["differences"]} >= {"retry", "tier", "tools"}
    for form in ("text", "md", "html", "csv"):
        assert run(["reconcile", str(bill), "--format", form]) == 1
        assert "retry" in capsys.readouterr().out
    monkeypatch.setattr(ledger_access, "LOCK_WAIT_S", 0.05)
    with ledger_access.import_lock(CostStorage(bill.parent / "storage")):
        assert run(["reconcile", str(bill), "--adjust"]) == 3
        assert "reconcile --adjust has been at work" in capsys.readouterr().err
        assert run(["reprice", "--yes"]) == 3
        assert "reprice or reconcile --adjust has been at work" in capsys.readouterr().err
    assert run(["reconcile", str(bill), "--adjust", "--json"]) == 0
    adjusted = json.loads(capsys.readouterr().out)["adjusted"]
    assert adjusted > 0
    assert run(["reconcile", str(bill), "--adjust", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["adjusted"] == 0


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["nowhere.json"], 3, "cannot be read"),
        ([], 2, "name a bill"),
        (["{bill}", "--days", "3"], 2, "dates are for --fetch"),
        (["{bill}", "--rate", "EUR"], 2, "is not a rate"),
        (["{bill}", "--timezone", "Mars/Olympus"], 2, "no time zone is called"),
        (["{storage}/jobs/job-01/cost_ledger.jsonl"], 3, "is not a known bill"),
    ],
)
def test_what_cannot_be_compared_is_said(
    words: list[str], code: int, complaint: str, bill: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(bill=bill, storage=bill.parent / "storage") for word in words]
    assert run(["reconcile", *given]) == code
    assert complaint in capsys.readouterr().err
