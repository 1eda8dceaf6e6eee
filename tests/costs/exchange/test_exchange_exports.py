"""Every export: registered, whole or not there, refused at unsafe targets, exact when read back."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from exchange_samples import AT, charge, entry
from exchange_strategies import entries
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.errors import UnsafePath, WrongUsage
from shared.costs.exchange.exports import ExportContext, export_named, exports
from shared.costs.exchange.exports.csv import guarded, unguarded
from shared.costs.exchange.source import IndexedEntries, ListedEntries
from shared.costs.ledger.cells import cells_of, cells_of_line
from shared.costs.ledger.columns import COLUMN_NAMES, entry_of, row_of
from shared.costs.ledger.line import SEAL_LENGTH, decode, encode, seal
from shared.costs.ledger.lines import DamagedLine
from shared.costs.ledger.writer import append
from shared.costs.model import Entry, Usage
from shared.costs.money import from_json_number, from_usd
from shared.costs.replacing import CannotWrite, replacing
from shared.costs.rollup import Query, Totals
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store


def written(name: str, given: list[Entry], folder: Path) -> Path:
    export = export_named(name)
    target = folder / f"costs{export.suffix}"
    with replacing(target) as draft:
        assert export.write(ListedEntries(given), draft, ExportContext(about={"budgets": []})) == len(given)
    return target


def total(given: list[Entry]) -> int:
    return sum(entry.cost for entry in given)


def decimal_sum(values: list[str]) -> int:
    return from_usd(sum((Decimal(value) for value in values if value), Decimal(0)))


@pytest.mark.parametrize("name", sorted(exports()))
def test_every_export_is_readable_by_its_owner_alone(name: str, tmp_path: Path) -> None:
    target = written(name, [entry()], tmp_path)
    assert target.stat().st_mode & 0o777 == 0o600


@settings(max_examples=20)
@given(entries())
def test_a_row_turns_back_into_the_entry_it_was_made_of(one: Entry) -> None:
    assert entry_of(dict(zip(COLUMN_NAMES, row_of(one), strict=True))) == one


@settings(deadline=None)
@given(st.text(max_size=8) | st.from_regex(r"'*[=+\-@\t\r].*", fullmatch=True))
def test_guarding_a_cell_is_undone_exactly_and_leaves_no_formula(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.no_cover
@settings(max_examples=8)
@given(given=st.lists(entries(), max_size=4))
@pytest.mark.parametrize("name", sorted(exports()))
def test_sums_read_back_are_exact(
    name: str, given: list[Entry], tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = written(name, given, tmp_path_factory.mktemp("export"))
    assert READ_BACK[name](target) == total(given)


def read_csv(target: Path) -> int:
    with target.open(encoding="utf-8", newline="") as file:
        return decimal_sum([row["cost_usd"] for row in csv.DictReader(file)])


def read_focus(target: Path) -> int:
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for column in ("EffectiveCost", "ListCost", "ContractedCost"):
        assert [row[column] for row in rows] == [row["BilledCost"] for row in rows]
    return decimal_sum([row["BilledCost"] for row in rows])


def read_json(target: Path) -> int:
    found = json.loads(target.read_text())
    costs = [from_json_number(line["cost_usd"] or 0) for line in found["entries"]]
    sums = json.loads(target.read_text(), parse_float=Decimal)["summary"]
    assert from_usd(sums["cost_usd"]) == sum(costs)
    assert sums["entries"] == len(costs)
    return sum(costs)


def read_jsonl(target: Path) -> int:
    return sum(decode(line).cost for line in target.read_bytes().splitlines(keepends=True))


def read_sqlite(target: Path) -> int:
    with closing(sqlite3.connect(target)) as database:
        return int(database.execute("SELECT COALESCE(SUM(cost_nanos), 0) FROM entries").fetchone()[0])


def read_parquet(target: Path) -> int:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as database:
        found = database.execute("SELECT SUM(cost_usd) FROM read_parquet(?)", [str(target)]).fetchone()
    return from_usd(found[0] or 0)


def read_journal(target: Path) -> int:
    """Sum what goes to expenses; the programs themselves are asked in test_exchange_journals.py."""
    lines = target.read_text(encoding="utf-8").splitlines()
    posted = [
        line for line in lines if line.startswith("  ") and line.strip().lower().startswith("expenses:")
    ]
    return decimal_sum([line.split()[-2] for line in posted])


READ_BACK = {
    "beancount": read_journal,
    "csv": read_csv,
    "focus-1.2": read_focus,
    "focus-1.3": read_focus,
    "focus-1.4": read_focus,
    "hledger": read_journal,
    "json": read_json,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "sqlite": read_sqlite,
}


def test_every_export_is_registered_under_its_name_with_help_and_a_check() -> None:
    assert set(exports()) == set(READ_BACK)
    for name, export in exports().items():
        assert export.name == name
        assert export.suffix.startswith(".")
        assert export.summary.endswith(".")


def test_an_unknown_format_is_wrong_usage_and_lists_the_known_ones() -> None:
    with pytest.raises(WrongUsage, match=r"no export is called 'xls'; there are .*csv"):
        export_named("xls")
    assert export_named("focus") == exports()[max(name for name in exports() if name.startswith("focus"))]


def test_csv_keeps_numbers_numbers_and_disarms_text(tmp_path: Path) -> None:
    one = entry(
        stage="=cmd()", description="a,b\nc", charge=charge(input=-5), usage=Usage(audio_seconds=1e-6)
    )
    with written("csv", [one], tmp_path).open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["stage"] == "'=cmd()"
    assert row["description"] == "a,b\nc"
    assert row["cost_usd"] == "-0.000000005"
    assert row["audio_seconds"] == "0.000001"
    assert row["timestamp"] == "2026-11-22T09:30:00.123456Z"


def test_unpriced_is_empty_in_csv_and_null_elsewhere(tmp_path: Path) -> None:
    one = entry(charge=None)
    with written("csv", [one], tmp_path).open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["cost_usd"] == ""
    with closing(sqlite3.connect(written("sqlite", [one], tmp_path))) as database:
        assert database.execute("SELECT cost_usd FROM entries_usd").fetchone() == (None,)
    found = json.loads(written("json", [one], tmp_path).read_text())
    assert found["entries"][0]["cost_usd"] is None
    assert found["summary"]["unpriced_calls"] == 1


def test_json_carries_what_it_is_given_about_budgets(tmp_path: Path) -> None:
    found = json.loads(written("json", [], tmp_path).read_text())
    assert found["budgets"] == []
    assert found["entries"] == []
    assert found["format"] == "cost-ledger entries"


def test_progress_is_told_every_thousand_and_at_the_end(tmp_path: Path) -> None:
    told: list[int] = []
    target = tmp_path / "x"
    export_named("jsonl").write(
        ListedEntries(entry(n) for n in range(2_001)), target, ExportContext(progress=told.append)
    )
    assert told == [1_000, 2_000, 2_001]


# --- FOCUS ---------------------------------------------------------------------------------------


def focus_rows(name: str, given: list[Entry], folder: Path) -> list[dict[str, str]]:
    with written(name, given, folder).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_focus_1_4_is_clean_in_the_eyes_of_a_linter_of_its_own(tmp_path: Path) -> None:
    # As far as single rows and columns go; scripts/focus_lint.py asks the foundation's validator about 1.2.
    cli = pytest.importorskip("focus_data_toolkit.cli")
    given = [
        entry(1, service_tier="batch", user_id="ana", project="lectures", tags=("a", "b")),
        entry(2, charge=None),
        entry(3, usage=Usage(audio_seconds=61.5), charge=charge(audio=6_150_000), model="whisper-1"),
        entry(4, kind="reversal", corrects="a", charge=charge(input=-2_000_000)),
        entry(5, kind="adjustment", corrects="a", why="a price", usage=Usage(), charge=charge(stated=7)),
        entry(6, service="local", model="apertium", charge=charge(input=0)),
    ]
    target = written("focus-1.4", given, tmp_path)
    assert cli.main(["validate", "--dataset", "cost-and-usage", str(target)]) == 0
    target.write_text(target.read_text().replace("USD", "dollars"))
    assert cli.main(["validate", "--dataset", "cost-and-usage", str(target)]) != 0


def test_focus_has_a_row_for_each_part_with_its_quantity(tmp_path: Path) -> None:
    rows = focus_rows("focus-1.2", [entry(service_tier="batch")], tmp_path)
    shown = [
        (row["SkuMeter"], row["ConsumedQuantity"], row["ConsumedUnit"], row["BilledCost"]) for row in rows
    ]
    assert shown == [
        ("Input Tokens", "800.0", "Tokens", "0.002"),
        ("Cached Input Tokens", "200.0", "Tokens", "0.00025"),
        ("Output Tokens", "200.0", "Tokens", "0.002"),
    ]
    assert [row["x_TokensInput"] for row in rows] == ["1000", "", ""]
    assert rows[0]["SkuPriceId"] == "openai/gpt-4o/input/batch"


def test_focus_periods_are_whole_hours_and_months_in_utc(tmp_path: Path) -> None:
    (row,) = focus_rows(
        "focus-1.2", [entry(period_at=AT.replace(month=12, day=31), charge=charge())], tmp_path
    )
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (
        "2026-12-31T09:00:00Z",
        "2026-12-31T10:00:00Z",
    )
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (
        "2026-12-01T00:00:00Z",
        "2027-01-01T00:00:00Z",
    )


def test_focus_flags_an_unpriced_call_and_charges_it_nothing(tmp_path: Path) -> None:
    (row,) = focus_rows("focus-1.4", [entry(charge=None)], tmp_path)
    assert (row["BilledCost"], row["x_Unpriced"], row["ConsumedUnit"]) == ("0.0", "true", "Requests")
    assert "unpriced" in row["ChargeDescription"]


def test_focus_undoes_a_reversal_and_counts_nothing_for_an_adjustment(tmp_path: Path) -> None:
    undone = entry(1, kind="reversal", corrects="a", charge=charge(input=-2_000_000))
    adjusted = entry(2, kind="adjustment", corrects="a", why="price", usage=Usage(), charge=charge(input=7))
    back, more = focus_rows("focus-1.4", [undone, adjusted], tmp_path)
    assert (back["ChargeCategory"], back["ConsumedQuantity"], back["x_Calls"]) == ("Usage", "-1000.0", "-1")
    assert (more["ChargeCategory"], more["ConsumedQuantity"], more["SkuId"]) == ("Adjustment", "", "")


@pytest.mark.parametrize(
    ("name", "there", "missing"),
    [
        ("focus-1.2", "ProviderName", "HostProviderName"),
        ("focus-1.3", "HostProviderName", "InvoiceDetailId"),
        ("focus-1.4", "ServiceProviderName", "PublisherName"),
    ],
)
def test_focus_versions_differ_in_their_columns(name: str, there: str, missing: str, tmp_path: Path) -> None:
    (first, *_) = focus_rows(name, [entry()], tmp_path)
    assert there in first
    assert missing not in first
    pascal = re.compile(r"(x_)?[A-Z][A-Za-z0-9]*")
    assert all(pascal.fullmatch(column) for column in first)


@pytest.mark.no_cover
@settings(max_examples=30)
@given(st.lists(entries(), max_size=3))
def test_own_counts_of_focus_rows_sum_to_those_of_the_entries(given: list[Entry]) -> None:
    from shared.costs.exchange.exports.focus import OWN, charges

    get = dict(OWN)["x_TokensInput"]
    found = sum(int(get(row) or 0) for one in given for row in charges(one))
    totals = Totals()
    for one in given:
        if one.kind != "adjustment":
            totals.add(one)
    assert found == totals.tokens_input


# --- the file ------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty


def test_the_file_is_private_and_replaces_the_old_one_whole(folder: Path) -> None:
    target = folder / "costs.csv"
    target.write_text("old")
    old = os.umask(0o777)
    try:
        with replacing(target) as draft:
            draft.write_text("new")
            assert target.read_text() == "old"
    finally:
        os.umask(old)
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["costs.csv"]


def test_an_interrupted_export_leaves_the_old_file_and_no_draft(folder: Path) -> None:
    target = folder / "costs.csv"
    target.write_text("old")

    def write_half() -> None:
        with replacing(target) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "old"
    assert [path.name for path in folder.iterdir()] == ["costs.csv"]


@pytest.mark.no_cover
@pytest.mark.parametrize("name", sorted(exports()))
def test_an_interrupt_at_any_time_leaves_the_old_file_and_nothing_else(name: str, folder: Path) -> None:
    target = folder / "costs"
    target.write_text("old")

    def interrupted(_written: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), replacing(target) as draft:
        export_named(name).write(
            ListedEntries(entry(n) for n in range(1_500)), draft, ExportContext(progress=interrupted)
        )
    assert target.read_text() == "old"
    assert [path.name for path in folder.iterdir()] == ["costs"]


@pytest.mark.no_cover
def test_parquet_ends_a_row_group_by_rows_and_by_bytes_and_keeps_the_order(folder: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    given = [entry(n, metadata={"text": f"{n:04}" * 1_800}) for n in range(3_000)]
    target = written("parquet", given, folder)
    with duckdb.connect() as database:
        found = database.execute("SELECT id FROM read_parquet(?)", [str(target)]).fetchall()
        groups = database.execute(
            "SELECT count(DISTINCT row_group_id) FROM parquet_metadata(?)", [str(target)]
        ).fetchone()
    assert [row[0] for row in found] == [one.id for one in given]
    assert groups[0] > 1  # 21 MB, and a group holds 16


def test_unsafe_targets_are_refused_and_untouched(folder: Path) -> None:
    victim = folder / "victim"
    victim.write_text("safe")
    (folder / "link").symlink_to(victim)
    (folder / "dangling").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    os.link(victim, folder / "second")
    (folder / "folder").mkdir()
    before = sorted(path.name for path in folder.iterdir())
    for name in ("link", "dangling", "pipe", "second", "folder"):
        with pytest.raises(UnsafePath), replacing(folder / name):
            pytest.fail("was opened")
    assert victim.read_text() == "safe"
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_link_put_there_meanwhile_is_not_followed(folder: Path) -> None:
    victim = folder / "victim"
    victim.write_text("safe")
    target = folder / "costs.csv"
    with pytest.raises(UnsafePath), replacing(target):
        target.symlink_to(victim)
    assert victim.read_text() == "safe"


def test_a_missing_folder_and_a_full_disk_are_plain_errors(folder: Path) -> None:
    with pytest.raises(CannotWrite, match="cannot be written here"), replacing(folder / "no" / "x"):
        pytest.fail("was opened")
    with pytest.raises(CannotWrite, match="writing failed: No space"), replacing(folder / "x"):
        raise OSError(28, "No space left on device")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"id": ""}, "id is missing"),
        ({"service": None}, "service is missing"),
        ({"kind": "gift"}, "kind is none of"),
        ({"timestamp": "2026-11-22T09:30:00"}, "a time needs a zone"),
        ({"timestamp": "yesterday"}, "Invalid isoformat"),
        ({"cost_parts": '{"input":1}'}, "cost_parts do not sum"),
        ({"tags": "{}"}, "tags is not as exported"),
        ({"metadata": "[]"}, "metadata is not as exported"),
        ({"tokens_input": -1}, "tokens_input must be between"),
        ({"tokens_input": "x"}, "tokens_input must be a number"),
    ],
)
def test_a_row_that_is_no_entry_says_why(changed: dict[str, str | int | None], complaint: str) -> None:
    values = dict(zip(COLUMN_NAMES, row_of(entry()), strict=True))
    with pytest.raises(ValueError, match=complaint):
        entry_of(values | changed)


# --- from ledger lines ---------------------------------------------------------------------------


@settings(max_examples=20)
@given(entries())
def test_cells_from_a_line_are_those_of_its_entry(one: Entry) -> None:
    assert cells_of_line(encode(one)) == cells_of(one)


def test_a_line_of_a_newer_format_is_read_as_an_entry() -> None:
    newer = seal(encode(entry()).replace(b'{"v":1', b'{"v":2,"new":[1]', 1)[:-SEAL_LENGTH])
    assert cells_of_line(newer) == cells_of(entry())


# What follows a usual line's members: of members of one name, the last one holds.
BY_ANOTHER_HAND = {
    "parts that do not sum": '"cost_parts":{"input":1}',
    "a part twice": '"cost_usd":1,"cost_parts":{"input":0,"input":1}',
    "a part out of range": '"cost_usd":1,"cost_parts":{"input":2000000,"output":-1999999}',
    "parts that are none": '"cost_parts":null',
    "too many decimals": '"cost_usd":0.5,"cost_parts":{"input":0.5000000001}',
    "zero with a sign": '"cost_usd":0,"cost_parts":{"input":-0}',
    "an amount with an exponent": '"cost_usd":5e-10,"cost_parts":{"input":5e-10}',
    "an amount no float can be": '"actual_cost_usd":1e300',
    "more cached than read": '"tokens_cached":10000000',
    "more written to the cache than read": '"tokens_cache_write":10000000',
    "more reasoning than output": '"tokens_reasoning":10000000',
    "images without tokens": '"tokens_image_input":10000000',
    "no such time": '"timestamp":"2026-02-30T09:30:00.000000Z"',
    "a time with a blank": '"timestamp":"2026-11-22 09:30:00.000000Z"',
    "a time by weeks": '"timestamp":"2026-W47-7T09:30:00.123456Z"',
    "a time with a comma": '"period_at":"2026-11-22T09:30:00,000000Z"',
    "no time at all": '"period_at":"..........................Z"',
    "an empty id": '"id":""',
    "metadata that are none": '"metadata":null',
    "metadata with blanks": '"metadata":{"a": 1}',
    "metadata with a name twice": '"metadata":{"a":1,"a":2}',
    "metadata with escapes": r'"metadata":{"\u0061":"\/"}',
    "metadata with a delete character": '"metadata":{"a":"\x7f"}',
    "metadata with a number no float can be": '"metadata":{"a":1e999}',
    "metadata with half a surrogate pair": r'"metadata":{"a":"\ud800"},"stage":"\uDC00"',
    "metadata with a long number": f'"metadata":{{"a":{"1" * 5_000}}}',
    "metadata that are deep": f'"metadata":{{"a":{"[" * 1_200}{"]" * 1_200}}}',
    "an attempt no database can hold": '"attempt":100000000000000000000',
}


@pytest.mark.parametrize("name", BY_ANOTHER_HAND)
def test_cells_from_a_line_by_another_hand_are_those_of_its_entry_or_none(name: str, tmp_path: Path) -> None:
    line = seal(b"%b,%b" % (encode(entry())[:-SEAL_LENGTH], BY_ANOTHER_HAND[name].encode()))
    try:
        one = decode(line)
    except DamagedLine:
        with pytest.raises(DamagedLine):
            cells_of_line(line)
        return
    assert cells_of_line(line) == cells_of(one)
    for export in ("csv", "sqlite", "jsonl"):
        assert READ_BACK[export](written(export, [one], tmp_path)) == one.cost


def test_a_line_without_a_cost_is_refused() -> None:
    """That of an unpriced call says ``null``."""
    line = encode(entry(charge=None))
    assert cells_of_line(line) == cells_of(decode(line))
    with pytest.raises(DamagedLine):
        cells_of_line(seal(line[:-SEAL_LENGTH].replace(b'"cost_usd":null,', b"")))


def test_exports_from_the_index_are_those_of_its_entries(tmp_path: Path) -> None:
    given, ledger = (
        [entry(n, user_id="ana" if n % 2 else "kim") for n in range(1, 6)],
        tmp_path / "job-1" / LEDGER_NAME,
    )
    with Store.of(CostStorage(tmp_path / "storage")) as index:
        index.note(ledger)
        append(ledger, b"".join(map(encode, given)), 1.0)
        index.catch_up(ledger)
        damaged = ledger.read_bytes().replace(b'"ana"', b'"anb"', 1)
        assert list(IndexedEntries(index, Query()).cells()) == [cells_of(one) for one in given]
        assert list(IndexedEntries(index, Query(user_id="kim")).cells()) == [
            cells_of(one) for one in given if one.user_id == "kim"
        ]
        ledger.write_bytes(damaged)  # after it was taken in
        lines = IndexedEntries(index, Query(ledger=ledger))
        assert [row[0] for row in lines.cells()] == [one.id for one in lines.entries()]
        assert len(list(lines.cells())) == 4


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(exports()))
@pytest.mark.parametrize("limit", [0, 20_000])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(name: str, limit: int, folder: Path) -> None:
    if name == "parquet":
        pytest.importorskip("duckdb")
    target = folder / "costs"
    target.write_text("old")
    many = [entry(n, description=str(n) * 40, request_id=f"{n * 7919:x}") for n in range(2_000)]
    with pytest.raises(CannotWrite), largest_file(limit), replacing(target) as draft:
        export_named(name).write(ListedEntries(many), draft, ExportContext())
    assert target.read_text() == "old"
    assert [path.name for path in folder.iterdir()] == ["costs"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no file beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
