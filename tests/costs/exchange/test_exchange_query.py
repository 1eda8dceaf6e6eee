"""SQL over entries: exact, read-only, and blind to everything but the entries."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import sys
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import pytest
from exchange_samples import charge, entry
from exchange_strategies import entries
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.apps.cli.commands.query import answer_report, csv_pieces, json_pieces
from shared.costs.archive.duck import MissingExtra, connect
from shared.costs.exchange import warehouse
from shared.costs.exchange.exports import ExportContext
from shared.costs.exchange.source import EntrySource, ListedEntries
from shared.costs.exchange.warehouse import BadQuery, QueryResult
from shared.costs.extras import install_command
from shared.costs.ledger.columns import COLUMN_NAMES
from shared.costs.model import Entry
from shared.costs.money import from_usd

pytest.importorskip("duckdb")


class Asked(NamedTuple):
    """A whole answer."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def ask(sql: str, source: EntrySource, context: ExportContext) -> Asked:
    with warehouse.ask(sql, source, context) as answer:
        return Asked(answer.columns, tuple(answer.rows))


@pytest.mark.no_cover
@settings(max_examples=8, deadline=None)
@given(st.lists(entries(), max_size=4))
def test_sums_and_texts_are_exact(given: list[Entry]) -> None:
    (sums,) = ask("SELECT sum(cost_usd), count(*) FROM entries", ListedEntries(given), ExportContext()).rows
    assert (from_usd(sums[0] or 0), sums[1]) == (sum(one.cost for one in given), len(given))
    found = ask(
        "SELECT id, stage, description, metadata FROM entries", ListedEntries(given), ExportContext()
    ).rows
    assert {row[0]: row[1:3] for row in found} == {one.id: (one.stage, one.description) for one in given}


def test_columns_are_the_ledgers_fields_with_plain_types() -> None:
    one = entry(charge=charge(input=1), tags=("a", "b"), estimated=True)
    answer = ask("SELECT * FROM entries", ListedEntries([one]), ExportContext())
    deltas = ("sign", "unpriced_delta", "partial_delta")
    assert answer.columns == (*COLUMN_NAMES, "billing_day", "billing_month", *deltas)
    row = dict(zip(answer.columns, answer.rows[0], strict=True))
    assert row["cost_usd"] == Decimal("0.000000001")
    assert row["timestamp"] == datetime(2026, 11, 22, 9, 30, 0, 123456)  # noqa: DTZ001 - UTC by contract
    assert row["tokens_input"] == 1_000
    assert row["estimated"] is True
    assert row["tags"] == '["a","b"]'
    assert tuple(row[name] for name in deltas) == (one.sign, one.unpriced_delta, one.partial_delta)


def test_an_unpriced_call_is_null_not_zero() -> None:
    (row,) = ask(
        "SELECT count(cost_usd), count(*) FROM entries", ListedEntries([entry(charge=None)]), ExportContext()
    ).rows
    assert row == (0, 1)


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM entries",
        "DROP TABLE entries",
        "SELECT 1; SELECT 2",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "COPY entries TO 'x.csv'",
        "",
        "SELEKT 1",
        "WITH gone AS (DELETE FROM entries RETURNING id) SELECT * FROM gone",
        "SELECT 1 INTO OUTFILE 'x.csv'",
        "EXPLAIN ANALYZE SELECT 1",
        "CREATE TABLE other AS SELECT 1",
        "CREATE MACRO f() AS 1",
        "INSERT INTO entries SELECT * FROM entries",
        "UPDATE entries SET cost_usd = 0",
        "EXPORT DATABASE 'folder'",
        "IMPORT DATABASE 'folder'",
        "LOAD httpfs",
        "CALL pragma_version()",
        "CHECKPOINT",
        "USE memory",
        "RESET lock_configuration",
        "CREATE SECRET (TYPE s3)",
        "SET SESSION lock_configuration = false",
        "SELECT 1; COPY entries TO 'x.csv'",
        "/* SELECT */ DROP TABLE entries",
    ],
)
def test_anything_but_one_select_is_refused(sql: str) -> None:
    with pytest.raises(BadQuery):
        ask(sql, ListedEntries([entry()]), ExportContext())


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "source",
    [
        "read_text('{secret}')",
        "read_csv('{secret}')",
        "'{secret}'",
        "glob('{folder}/*')",
        "read_json('http://127.0.0.1:9/x')",
        "read_blob('{secret}')",
        "read_csv_auto('{secret}')",
        "read_parquet('{secret}')",
        "parquet_scan('{secret}')",
        "parquet_metadata('{secret}')",
        "read_json_auto('{secret}')",
        "read_ndjson('{secret}')",
        "sniff_csv('{secret}')",
        "query('FROM read_csv(''{secret}'')')",
        "query_table('{secret}')",
        "'file://{secret}'",
        "'{folder}/*.csv'",
        "'/proc/self/environ'",
        "read_text('/proc/self/environ')",
        "sqlite_scan('{secret}', 'x')",
        "'https://example.invalid/x.parquet'",
        "(SELECT getenv('HOME'))",
    ],
)
def test_files_and_network_are_out_of_reach(source: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("key\nvalue\n")
    sql = f"SELECT * FROM {source.format(secret=secret, folder=tmp_path)}"
    with pytest.raises(BadQuery):
        ask(sql, ListedEntries([entry()]), ExportContext())


def test_no_setting_opens_what_is_shut_and_the_entries_copy_is_gone_with_it(tmp_path: Path) -> None:
    settings = dict(
        ask(
            "SELECT name, value FROM duckdb_settings()"
            " WHERE name IN ('enable_external_access', 'lock_configuration', 'temp_directory')",
            ListedEntries([entry()]),
            ExportContext(),
        ).rows
    )
    assert settings["enable_external_access"] == "false"
    assert settings["lock_configuration"] == "true"
    assert not Path(settings["temp_directory"]).exists()


def test_columns_called_alike_are_told_apart_so_that_no_value_is_lost() -> None:
    answer = ask("SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a", ListedEntries([]), ExportContext())
    assert len(set(answer.columns)) == 4
    found = json.loads("".join(json_pieces(QueryResult(answer.columns, answer.rows))))
    assert list(found["rows"][0].values()) == [1, 2, 3, 4]


def test_lists_and_structs_are_json_and_no_words_of_python() -> None:
    columns = "[cost_usd, NULL] a, {'at': [DATE '2026-01-01'], 'n': 'nan'::DOUBLE} b, MAP {1: 2.5} c"
    given = ListedEntries([entry(charge=charge(input=500_000_000))])
    whole = {"a": [0.5, None], "b": {"at": ["2026-01-01"], "n": None}, "c": {"1": 2.5}}
    answer = ask(f"SELECT {columns} FROM entries", given, ExportContext())
    answers = [QueryResult(answer.columns, answer.rows)] * 3
    assert json.loads("".join(json_pieces(answers[0])))["rows"] == [whole]
    [row] = csv.DictReader("".join(csv_pieces(answers[1])).splitlines())
    assert {name: json.loads(text) for name, text in row.items()} == whole
    [shown] = answer_report(answers[2]).tables[0].rows
    assert [json.loads(str(text)) for text in shown] == list(whole.values())


def test_a_wrong_column_is_answered_with_those_that_are_there() -> None:
    with pytest.raises(BadQuery, match=r"entries has the columns id, kind, timestamp"):
        ask("SELECT prize FROM entries", ListedEntries([entry()]), ExportContext())


def test_rows_are_fetched_as_they_are_read() -> None:
    sql = "SELECT range, repeat('x', 100) FROM range(100_000_000)"
    with warehouse.ask(sql, ListedEntries([]), ExportContext()) as answer:
        assert [row[0] for row in islice(answer.rows, 2_500)] == list(range(2_500))


def test_a_fault_in_a_later_row_is_told_as_any_other() -> None:
    sql = "SELECT if(range = 5000, error('bad row'), range) FROM range(100_000)"
    with (
        warehouse.ask(sql, ListedEntries([]), ExportContext()) as answer,
        pytest.raises(BadQuery, match="bad row"),
    ):
        list(answer.rows)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM range(10_000_000) a, range(10_000_000) b WHERE a.range + b.range = 1",
        "SELECT a.range FROM range(10_000_000) a, range(10_000_000) b WHERE a.range + b.range < 0",
    ],
)
def test_a_long_query_can_be_interrupted(sql: str) -> None:
    ask("SELECT 1", ListedEntries([]), ExportContext())  # what is loaded at the first query takes its time
    pressed = Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    pressed.start()
    with pytest.raises(KeyboardInterrupt), warehouse.ask(sql, ListedEntries([]), ExportContext()) as answer:
        list(answer.rows)
    pressed.join()


def test_a_statement_that_ctrl_c_interrupts_ends_as_everything_else_does() -> None:
    """DuckDB sees a signal now and then during a statement, and raises this in place of the interrupt."""
    with pytest.raises(KeyboardInterrupt), connect():
        raise RuntimeError("Query interrupted")


def test_a_fault_within_the_block_of_a_database_is_its_own() -> None:
    with pytest.raises(RuntimeError, match="no thread"), connect():
        raise RuntimeError("no thread can be started")


def test_without_duckdb_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtra, match=re.escape(install_command("warehouse"))):
        ask("SELECT 1", ListedEntries([]), ExportContext())


def test_a_query_without_an_end_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.costs.apps.cli.commands.query.COUNTED", 5_000)
    with warehouse.ask("SELECT * FROM range(1000000000000)", ListedEntries([]), ExportContext()) as answer:
        report = answer_report(answer)
    assert report.title == "more than 6,000 rows"
    assert "not counted" in report.notes[0].text
