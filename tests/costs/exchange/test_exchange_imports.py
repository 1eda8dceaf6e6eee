"""Each format of a history: a sample, what is understood in it, and what is not and why."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from exchange_samples import Kept, entry
from exchange_strategies import entries
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.errors import WrongUsage
from shared.costs.exchange.exports import ExportContext, export_named, exports
from shared.costs.exchange.files import parsed
from shared.costs.exchange.foreign import Defaults, understand
from shared.costs.exchange.importing import (
    Importer,
    ImportSource,
    Tally,
    content_of,
    entry_id,
    folder_name,
    former_content_of,
)
from shared.costs.exchange.imports import CannotRead, ForeignRow, NotUnderstood, import_for, imports
from shared.costs.exchange.source import ListedEntries
from shared.costs.exchange.times import DateOrder
from shared.costs.model import Entry
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.replacing import replacing
from shared.costs.storage import CostStorage

ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "timestamp": "2025-03-01T10:00:00Z",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 1000,
        "output_tokens": 200,
        "cost": 0.0045,
        "category": "summary",
        "description": "first",
    },
    {
        "id": 2,
        "timestamp": "2025-03-02T10:00:00",
        "provider": "anthropic",
        "model": "claude-3-haiku",
        "input_tokens": 1000,
        "output_tokens": 1000,
        "cost": None,
        "category": "translate",
        "description": "priced here",
    },
    {
        "id": 3,
        "timestamp": "2025-03-03T10:00:00Z",
        "provider": "acme",
        "model": "mystery-1",
        "input_tokens": 10,
        "output_tokens": 1,
        "cost": None,
        "category": "test",
        "description": "no price",
    },
    {
        "id": 4,
        "timestamp": "not a time",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 1,
        "output_tokens": 1,
        "cost": 1,
        "category": "",
        "description": "",
    },
]
COST = 4_500_000 + 1_500_000  # 1,000 tokens each way on claude-3-haiku: 0.25 and 1.25 a million


def calls_json(path: Path) -> None:
    path.write_text(json.dumps({"calls": ROWS, "total_cost": 1.0045, "user_id": 1}))


def month_json(path: Path) -> None:
    path.write_text(json.dumps({"month": "2025-03", "user_id": 1, "entries": ROWS, "total_cost": 1.0045}))


def usage_csv(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)


def usage_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE usage_log (id INTEGER PRIMARY KEY, timestamp TEXT, provider TEXT, model TEXT, "
            "input_tokens INTEGER, output_tokens INTEGER, cost REAL, category TEXT, description TEXT)"
        )
        database.executemany(
            "INSERT INTO usage_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [tuple(row.values()) for row in ROWS]
        )


SAMPLES: dict[str, Callable[[Path], None]] = {
    "calls-json": calls_json,
    "month-json": month_json,
    "usage-csv": usage_csv,
    "usage-sqlite": usage_sqlite,
}
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
OWN = ("csv", "json", "jsonl", "parquet", "sqlite")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def run(path: Path, kept: Kept, catalogue: Catalogue, **options: Any) -> Tally:
    source = ImportSource(path, import_for(path), "old")
    return Importer(source, CostStorage(path.parent / "storage"), catalogue, kept, **options).run()


def exported(name: str, given: list[Entry], folder: Path) -> Path:
    target = folder / f"export{export_named(name).suffix}"
    with replacing(target) as draft:
        export_named(name).write(ListedEntries(given), draft, ExportContext())
    return target


def test_every_import_is_registered_with_help_and_a_sample() -> None:
    assert set(imports()) == {*SAMPLES, *OWN, "litellm", "openrouter", "langfuse", "helicone"}
    assert all(each.name == name and each.summary for name, each in imports().items())


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_each_foreign_format(name: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "history", Kept()
    SAMPLES[name](path)
    assert import_for(path).name == name
    tally = run(path, kept, catalogue)
    assert (tally.rows, tally.added, tally.refused) == (4, 3, 1)
    assert (tally.stated, tally.priced, tally.unpriced, tally.zone_assumed) == (1, 1, 1, 1)
    assert tally.cost == COST
    assert "timestamp is not a time" in tally.refusals[0].why
    assert "4" in tally.refusals[0].row or "5" in tally.refusals[0].row
    first = next(one for one in kept.entries.values() if one.description == "first")
    assert first.charge is not None
    assert first.charge.priced_by.source == "stated"
    assert (first.service, first.user_id, first.job_id, first.operation) == (
        "openai",
        "1",
        "imported-old",
        "summary",
    )
    assert kept.ledgers == {tmp_path / "storage/imported/old/imported-old/cost_ledger.jsonl"}


@pytest.mark.parametrize("name", SAMPLES)
def test_importing_again_changes_nothing(name: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "history", Kept()
    SAMPLES[name](path)
    run(path, kept, catalogue)
    before = dict(kept.entries)
    again = run(path, kept, catalogue)
    assert (again.added, again.known, again.cost) == (0, 3, 0)
    assert kept.entries == before


def test_what_another_import_recorded_until_it_let_go_of_the_lock_is_known(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    path = tmp_path / "history"
    calls_json(path)

    class Meanwhile(Kept):
        def import_lock(self) -> AbstractContextManager[object]:
            run(path, other, catalogue)
            self.entries |= other.entries
            return nullcontext()

    other = Kept()
    tally = run(path, Meanwhile(), catalogue)
    assert (tally.added, tally.known) == (0, 3)


HEAD = "timestamp,model,input_tokens,output_tokens,cost_usd\n"
LINE = "2026-10-03T10:00:00,gpt-4o,1000,500,0.0525\n"
LOCAL = HEAD.replace(",", ";")
TABLES = {
    "semicolons": ((HEAD + LINE).replace(",", ";"), (0.0525, 1000, 0)),
    "tabs": ((HEAD + LINE).replace(",", "\t"), (0.0525, 1000, 0)),
    "bars": ((HEAD + LINE).replace(",", "|"), (0.0525, 1000, 0)),
    "returns alone": ((HEAD + LINE).replace("\n", "\r"), (0.0525, 1000, 0)),
    "a spreadsheet's hint": (f"sep=;\r\n{(HEAD + LINE).replace(',', ';')}", (0.0525, 1000, 0)),
    "decimal commas": (f"{LOCAL}03.10.2026 10:00;gpt-4o;1.000;500;0,0525\n", (0.0525, 1000, 0)),
    "decimal commas and exponents": (
        f"{LOCAL}2026-10-03;gpt-4o;1E3;500;4,5E-6\n2026-10-03;gpt-4o;7;5;1,5E+1\n",
        (15.0000045, 1007, 0),
    ),
    "decimal commas and signs": (f"{LOCAL}03.10.2026;gpt-4o;1.000;500;1.234,50 $\n", (1234.5, 1000, 0)),
    "decimal commas in quotes": (f'{HEAD}2026-10-03,gpt-4o,1.000,500,"0,052"\n', (0.052, 1000, 0)),
    "groups": (f'{HEAD}2026-10-03,gpt-4o,"1,234,567",500,"$1,234.50"\n', (1234.5, 1234567, 0)),
    "other groups": (f'{HEAD}2026-10-03,gpt-4o,"1,23,456",500,1 234.5 USD\n', (1234.5, 123456, 0)),
    "groups as the Swiss write them": (
        f"{HEAD}2026-10-03,gpt-4o,1'234,500,1\N{RIGHT SINGLE QUOTATION MARK}234.5\n",
        (1234.5, 1234, 0),
    ),
    "a comma that may be either": (
        f'{HEAD}2026-10-03,gpt-4o,7,500,0.5\n2026-10-03,gpt-4o,7,5,"0,5"\n',
        (0.5, 7, 1),
    ),
    "a count in thousands or with decimals": (
        f"{LOCAL}2026-10-03;gpt-4o;7;5;0,5\n2026-10-03;gpt-4o;1,000;5;0,5\n",
        (0.5, 7, 1),
    ),
    "a version beside decimal commas": (
        f"{LOCAL.strip()};version\n2026-10-03;gpt-4o;7;5;0,5;2.1\n2026-10-03;gpt-4o;7;5;1,234;2.1\n",
        (0.5, 7, 1),
    ),
    "a fraction with a dot beside decimal commas": (
        f"{LOCAL}2026-10-03;gpt-4o;7;5;0,5\n2026-10-03;gpt-4.1;7;5;0.125\n",
        (0.625, 14, 0),
    ),
    "decimal commas beside a currency's name": (
        f"{LOCAL}2026-10-03;gpt-4o;7;5;0,5 USD\n2026-10-03;gpt-4o;7;5;USD 1,234\n",
        (1.734, 14, 0),
    ),
    "decimal commas after as much as a file is known by": (
        LOCAL + "2026-10-03;gpt-4o;0;500;1\n" * 3_000 + "2026-10-03;gpt-4o;1.000;500;1,234\n",
        (3_001.234, 1000, 0),
    ),
    "an amount in thousands or with decimals": (
        f'{HEAD}2026-10-03,gpt-4o,"1,000",5,"1,234"\n2026-10-03,gpt-4o,"1,000",5,2\n',
        (2, 1000, 1),
    ),
    "thousands beside decimals": (
        f'{HEAD}2026-10-03,gpt-4o,7,5,"1,234"\n2026-10-03,gpt-4o,7,5,0.5\n',
        (1234.5, 14, 0),
    ),
    "a day and a time of it": (
        "date,time,model,tokens_input,cost\n"
        "2026-10-03,10:00:00,gpt-4o,7,0.5\n03.10.2026,9:30 PM,gpt-4o,7,0.5\n",
        (1.0, 14, 0),
    ),
    "months, and a week that is in no one month": (
        "month,model,input_tokens,cost\n2026-10,gpt-4o,7,0.5\n2026-W40,gpt-4o,7,0.5\n",
        (0.5, 7, 1),
    ),
    "months by name": (
        'date,model,input_tokens,cost\n"Oct 3, 2026, 10:00 AM",gpt-4o,7,0.5\n3 October 2026,gpt-4o,7,0.5\n',
        (1.0, 14, 0),
    ),
    "names of the dollar": (
        "date,model,input_tokens,cost,currency\n2026-10-03,gpt-4o,7,0.5,US$\n2026-10-03,gpt-4o,7,0.5,EUR\n",
        (0.5, 7, 1),
    ),
    "two columns of one name": (
        "date,model,tokens,tokens,cost\n2026-10-03,gpt-4o,1000,200,0.5\n",
        (0.5, 800, 0),
    ),
    "lines without a word": (f"{HEAD}\n{LINE}   \n,,,,\n\n", (0.0525, 1000, 0)),
    "files put together": (f"{HEAD}{LINE}{HEAD}{LINE}", (0.105, 2000, 0)),
    "a row of totals": (f"{HEAD}{LINE}2026-10-31,Grand Total,1000,500,0.0525\n", (0.0525, 1000, 1)),
    "totals without a model": (
        "date,operation,input_tokens,cost\n2026-10-03,chat,7,0.5\n2026-10-31,TOTAL,7,0.5\n",
        (0.5, 7, 1),
    ),
    "names in one word": (
        "createdAt,modelName,promptTokens,completionTokens,totalCost\n" + LINE,
        (0.0525, 1000, 0),
    ),
    "another currency's sign": (f"{HEAD}2026-10-03,gpt-4o,1000,500,€0.05\n", (0, 0, 1)),
    "an array": (
        '[{"createdAt": 1793446200000000, "model": "gpt-4o", "inputTokens": 7, "cost": 0.5}]',
        (0.5, 7, 0),
    ),
    "an object with a list of rows": (
        '{"user": "ana", "data": [{"ts": 20261003, "model": "gpt-4o", "tokens_in": 7, "cost": 0.5}]}',
        (0.5, 7, 0),
    ),
    "an array of raw usage": (
        '[{"model": "gpt-4o", "created": 1793446200, "usage": {"prompt_tokens": 7, "completion_tokens": 2}}]',
        (0.0000375, 7, 0),
    ),
    "titles above the header": (
        f"Usage of Acme\nFrom,2026-10-01\n\nTo:,2026-10-31,,\n{HEAD}{LINE}{LINE}",
        (0.105, 2000, 0),
    ),
    "titles with commas of their own": (
        f'"Acme, Inc."\nUsage, October 3, 2026\n{HEAD}{LINE}',
        (0.0525, 1000, 0),
    ),
    "titles that a spreadsheet filled up": (
        f"Report;;;;\n;;;;\n{LOCAL}03.10.2026;gpt-4o;1.000;500;0,0525\n",
        (0.0525, 1000, 0),
    ),
    "titles over lines, after a spreadsheet's hint": (
        f'sep=,\n"Report\nof October"\n{HEAD}{LINE}',
        (0.0525, 1000, 0),
    ),
    "a header that a longer row follows": (f"{HEAD}2026-10-03,gpt-4o,7,5,0.5,a\n{LINE}", (0.0525, 1000, 1)),
    "objects over several lines": (
        "\n".join(json.dumps({"ts": 20261003, "model": "gpt-4o", "cost": cost}, indent=2) for cost in (1, 2)),
        (3.0, 0, 0),
    ),
    "objects on one line": (
        '{"ts": 20261003, "model": "gpt-4o", "cost": 1}{"ts": 20261004, "model": "gpt-4o", "cost": 2}',
        (3.0, 0, 0),
    ),
    "objects on lines, two on one, with commas": (
        '{"ts": 20261003, "model": "gpt-4o", "cost": 1},\n'
        '{"ts": 20261004, "model": "gpt-4o", "cost": 2} {"ts": 20261005, "model": "gpt-4o", "cost": 4},\n',
        (7.0, 0, 0),
    ),
    "a text sequence of JSON, one cut off": (
        '\x1e{"ts": 20261003, "model": "gpt-4o", "cost": 1}\n\x1e{"ts": 2026\n'
        '\x1e{"ts": 20261004, "model": "gpt-4o", "cost": 2}\n',
        (3.0, 0, 1),
    ),
    "documents of months, one damaged": (
        '{"month": "2026-10", "entries": [{"ts": 20261003, "model": "gpt-4o", "cost": 1}]}\n'
        '{"month": "2026-11",\n "entries": [{]}\n'
        '{"month": "2026-12", "user": "ana", "entries": [{"ts": 20261203, "model": "gpt-4o", "cost": 2}]}\n',
        (3.0, 0, 1),
    ),
    "lines of JSON": ('{"ts": 20261003, "model": "gpt-4o", "tokens_in": 7, "cost": 0.5}\n' * 2, (1.0, 14, 0)),
}


ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "name", ["tabs", "an array of raw usage", "lines of JSON", "objects over several lines"]
)
def test_a_table_is_read_in_each_encoding(
    name: str, encoding: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    text, expected = TABLES[name]
    if encoding[-3:] in ("-le", "-be") and text[0] != "{":
        text = f"\ufeff{text}"  # by its first sign alone JSON is known
    path, kept = tmp_path / "history", Kept()
    path.write_bytes(text.encode(encoding))
    tally = run(path, kept, catalogue)
    assert (tally.cost / 1e9, tally.refused) == (expected[0], 0)


def test_a_currency_above_the_columns_is_believed(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"Costs in EUR\n{HEAD}{LINE}")
    with pytest.raises(CannotRead, match="says EUR above its columns, and only amounts in USD"):
        run(path, Kept(), catalogue)


USAGES = {
    "OpenAI's": (
        {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
        (9, 5, 4, 0, 0),
    ),
    "OpenAI's responses": (
        {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3},
        },
        (9, 5, 4, 0, 3),
    ),
    "Anthropic's": (
        {
            "input_tokens": 9,
            "output_tokens": 5,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 6,
            "cache_creation": {"ephemeral_1h_input_tokens": 2},
        },
        (19, 5, 4, 2, 0),
    ),
    "Gemini's": (
        {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 14},
        (9, 5, 0, 0, 3),
    ),
    "Gemini's with numbers as text": (
        {"promptTokenCount": "9", "candidatesTokenCount": "2", "cachedContentTokenCount": "4"},
        (9, 2, 4, 0, 0),
    ),
    "LangChain's": (
        {
            "input_tokens": 9,
            "output_tokens": 5,
            "input_token_details": {"cache_read": 4, "cache_creation": 0, "ephemeral_1h_input_tokens": 2},
            "output_token_details": {"reasoning": 3},
        },
        (9, 5, 4, 2, 3),
    ),
}


@pytest.mark.parametrize("whose", USAGES)
def test_usage_as_providers_state_it_counts_as_they_mean_it(
    whose: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    usage, counts = USAGES[whose]
    name = {"Gemini's": "usageMetadata", "LangChain's": "usage_metadata"}.get(
        whose.partition(" ")[0], "usage"
    )
    row = {"id": "chatcmpl-AbCdEfGh1", "model": "gpt-4o", "created": 1793446200, name: usage}
    path, kept = tmp_path / "calls.json", Kept()
    path.write_text(json.dumps([row]))
    assert run(path, kept, catalogue).refused == 0
    [entry] = kept.entries.values()
    found = entry.usage
    one_hour = found.tokens_cache_write_1h
    parts = (found.tokens_input, found.tokens_output, found.tokens_cached, one_hour, found.tokens_reasoning)
    assert (parts, entry.request_id) == (counts, "chatcmpl-AbCdEfGh1")


def test_sound_in_gemini_s_usage_is_sound_and_a_count_that_is_none_is_told(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    path, kept = tmp_path / "calls.json", Kept()
    sound = [{"modality": "AUDIO", "tokenCount": 600}, {"modality": "TEXT", "tokenCount": 400}]
    told = {"promptTokenCount": 1000, "promptTokensDetails": sound}, {"promptTokenCount": 1.5}
    rows = [{"model": "gemini-2.5-flash", "created": 1793446200, "usageMetadata": each} for each in told]
    path.write_text(json.dumps(rows))
    tally = run(path, kept, catalogue)
    # 600 x $1.00 and 400 x $0.30 a million
    assert (tally.cost, tally.added, tally.refused) == (720_000, 1, 1)


def test_rows_that_were_imported_before_their_details_were_read_are_known_again(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    details = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}
    path.write_text(json.dumps([{"model": "gpt-4o", "usage": details}]))
    [row] = imports()["calls-json"].read(path)
    assert isinstance(row, ForeignRow)
    assert row.id_values == {"model": "gpt-4o", **details}


def test_a_text_that_looks_like_a_number_stays_as_it_is(tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    path.write_text(
        "date;service;model;request_id;input_tokens;cost\n2026-10-03 10:00;acme;1.000;12.345;1.000;0,5\n"
    )
    assert run(path, kept, catalogue).refused == 0
    [entry] = kept.entries.values()
    assert (entry.model, entry.request_id, entry.usage.tokens_input) == ("1.000", "12.345", 1000)


@pytest.mark.parametrize(("dates", "day"), [("day-first", (2026, 10, 3)), ("month-first", (2026, 3, 10))])
def test_dates_are_read_as_they_are_said_to_be(dates: DateOrder, day: tuple[int, int, int]) -> None:
    row = {"model": "gpt-4o", "date": "3/10/2026", "cost": 1}
    found = understand(row, Defaults(dates=dates))
    assert (found.at.year, found.at.month, found.at.day) == day
    assert found.sum_of == "day"


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_however_it_is_written(name: str, tmp_path: Path, catalogue: Catalogue) -> None:
    text, expected = TABLES[name]
    path, kept = tmp_path / "history", Kept()
    path.write_text(text, newline="")
    tally = run(path, kept, catalogue)
    entries_ = kept.entries.values()
    tokens = sum(one.usage.tokens_input for one in entries_)
    assert (tally.cost / 1e9, tokens, tally.refused) == expected
    assert {one.timestamp.year for one in entries_} <= {2026}


def test_our_own_csv_is_read_to_the_letter(tmp_path: Path, catalogue: Catalogue) -> None:
    given, kept = [entry(description="0,5", charge=None)], Kept()
    run(exported("csv", given, tmp_path), kept, catalogue)
    assert list(kept.entries.values()) == given


@pytest.mark.no_cover
@settings(max_examples=8)
@given(given=st.lists(entries(), max_size=4, unique_by=lambda one: one.id))
@pytest.mark.parametrize("name", OWN)
def test_our_own_exports_come_back_as_they_were(
    name: str, given: list[Entry], tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue
) -> None:
    if name == "parquet":
        pytest.importorskip("duckdb")
    path, kept = exported(name, given, tmp_path_factory.mktemp("own")), Kept()
    if given or name in ("csv", "json", "parquet", "sqlite"):
        assert import_for(path).name == name
        tally = run(path, kept, catalogue)
        assert tally.refusals == []
        assert (tally.added, tally.cost) == (len(given), sum(one.cost for one in given))
    assert list(kept.entries.values()) == given


ELSEWHERE = """
import sys
from pathlib import Path
from shared.costs.pricing.catalogue import Catalogue
from tests.costs.exchange.test_exchange_imports import Kept, run
kept = Kept()
run(Path(sys.argv[1]), kept, Catalogue.load())
print(*(one.timestamp.timestamp() for one in kept.entries.values()))
"""


def test_the_zone_of_the_machine_moves_no_time_of_a_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    call = entry(timestamp=datetime(2026, 10, 31, 20, 30, tzinfo=UTC))  # November there
    path = exported("parquet", [call], tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, path],
        env={**os.environ, "TZ": "Asia/Kolkata", "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE)))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == call.timestamp.timestamp()


@pytest.mark.parametrize("name", OWN)
def test_an_export_of_an_import_imported_again_adds_nothing(
    name: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    if name == "parquet":
        pytest.importorskip("duckdb")
    path, kept = tmp_path / "history", Kept()
    usage_csv(path)
    run(path, kept, catalogue)
    tally = run(exported(name, list(kept.entries.values()), tmp_path), kept, catalogue)
    assert (tally.added, tally.known, tally.refused) == (0, 3, 0)


def test_equal_rows_are_different_calls_and_a_longer_file_adds_only_its_new_rows(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    row = "2025-03-01T10:00:00Z,gpt-4o,10,0.5\n"
    path.write_text("time,model,tokens,cost\n" + row * 2)
    assert run(path, kept, catalogue).added == 2
    path.write_text("time,model,tokens,cost\n" + row * 3 + "2025-03-02,gpt-4o,10,0.5\n")
    tally = run(path, kept, catalogue)
    assert (tally.added, tally.known) == (2, 2)


def as_csv(rows: list[dict[str, Any]], delimiter: str) -> str:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
        for row in rows
    )
    return text.getvalue()


WRITTEN: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "a CSV": lambda rows: as_csv(rows, ","),
    "tabs, in another order": lambda rows: as_csv([dict(reversed(row.items())) for row in rows], "\t"),
    "decimal commas": lambda rows: as_csv(
        [row | {"cost": f"{row['cost']}".replace(".", ",")} for row in rows], ";"
    ),
    "a list": json.dumps,
    "lines, without what is null": lambda rows: "\n".join(
        json.dumps({name: value for name, value in row.items() if value is not None}) for row in rows
    ),
    "names in one word": lambda rows: json.dumps(
        [{name.replace("_t", "T"): value for name, value in row.items()} for row in rows]
    ),
    "amounts in dollars": lambda rows: as_csv(
        [row | {"cost": f"${row['cost']:.4f}" if row["cost"] > 0 else "($0.0010)"} for row in rows], ","
    ),
    "times without a zone": lambda rows: as_csv(
        [row | {"timestamp": row["timestamp"].replace("T", " ").rstrip("Z")} for row in rows], ","
    ),
    "times in another zone": lambda rows: json.dumps(
        [row | {"timestamp": row["timestamp"].replace("T10:00:00Z", "T12:00:00.000+02:00")} for row in rows]
    ),
    "times in milliseconds": lambda rows: json.dumps(
        [
            row | {"timestamp": int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000)}
            for row in rows
        ]
    ),
    "numbers as text": lambda rows: json.dumps(
        [
            {name: f"{value:.7f}" if value.__class__ is float else value for name, value in row.items()}
            for row in rows
        ]
    ),
}
ALIKE: list[dict[str, Any]] = [
    {
        "timestamp": f"2026-10-0{number}T10:00:00Z",
        "model": "gpt-4o",
        "input_tokens": 1000 * number if number < 3 else 0,
        "cost": 0.0025 * number if number < 3 else -0.001,
        "cached": True,
        "note": None,
        "metadata": {"run": number, "parts": [1.5]},
    }
    for number in (1, 2, 3, 2)
]


@pytest.mark.parametrize("second", WRITTEN)
@pytest.mark.parametrize("first", ["a CSV", "a list"])
def test_the_same_rows_in_another_format_are_known(
    first: str, second: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    path, kept = tmp_path / "history", Kept()
    path.write_text(WRITTEN[first](ALIKE[:3]))
    assert run(path, kept, catalogue).added == 3
    path.write_text(WRITTEN[second](ALIKE))
    again = run(path, kept, catalogue)
    assert (again.known, again.added, again.refused) == (3, 1, 0)


def unnumbered(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table of usage whose rows have no ids of their own."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE usage_log (timestamp TEXT, model TEXT, input_tokens INTEGER, cost REAL)"
        )
        database.executemany(
            "INSERT INTO usage_log VALUES (:timestamp, :model, :input_tokens, :cost)", [*map(dict, rows)]
        )


def test_rows_of_a_table_without_ids_are_known_in_another_format(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    kept = Kept()
    rows = [{name: row[name] for name in ("timestamp", "model", "input_tokens", "cost")} for row in ALIKE]
    unnumbered(tmp_path / "usage.db", rows)
    assert run(tmp_path / "usage.db", kept, catalogue).added == 4
    (tmp_path / "usage.csv").write_text(as_csv(rows, ","))
    again = run(tmp_path / "usage.csv", kept, catalogue)
    assert (again.known, again.added) == (4, 0)


@pytest.mark.parametrize("digest", [content_of, former_content_of])
def test_rows_of_a_table_without_ids_that_an_earlier_version_numbered_are_known(
    digest: Callable[[Mapping[str, object]], bytes], tmp_path: Path, catalogue: Catalogue
) -> None:
    kept = Kept()
    unnumbered(tmp_path / "usage.db", ALIKE)
    run(tmp_path / "usage.db", kept, catalogue)
    with closing(sqlite3.connect(tmp_path / "usage.db")) as database:
        database.row_factory = sqlite3.Row
        rows = [*database.execute("SELECT rowid AS id, * FROM usage_log ORDER BY rowid")]
    former = [entry_id(None, digest(dict(row)), 1) for row in rows]
    kept.entries = {
        each: replace(one, id=each) for each, one in zip(former, kept.entries.values(), strict=True)
    }
    again = run(tmp_path / "usage.db", kept, catalogue)
    assert (again.known, again.added) == (4, 0)


def test_rows_are_looked_up_together(tmp_path: Path, catalogue: Catalogue) -> None:
    asked: list[int] = []

    class Asked(Kept):
        def known(self, entry_ids: Sequence[str]) -> set[str]:
            asked.append(len(entry_ids))
            return super().known(entry_ids)

    path = tmp_path / "history"
    path.write_text(json.dumps(ALIKE))
    assert run(path, Asked(), catalogue).added == 4
    assert asked == [8]  # under the id of each, and the one that earlier versions gave it


def test_rows_of_one_id_that_differ_are_not_passed_over(tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    row = "9b2b7a0e-1111-4222-8333-444455556666,2026-10-03T10:0{}:00Z,gpt-4o,0.5\n".format
    path.write_text("id,timestamp,model,cost\n" + row(1) + row(2) + row(1))
    for added in (1, 0):
        tally = run(path, kept, catalogue)
        assert (tally.added, tally.known, tally.refused) == (added, 2 - added, 1)
        [refusal] = tally.refusals
        assert (refusal.row, refusal.why[:29]) == ("line 3", "has the id of an earlier row ")


def test_rows_that_an_earlier_version_recorded_are_known(tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "history", Kept()
    path.write_text(json.dumps(ALIKE))
    run(path, kept, catalogue)
    rows = parsed(path.read_text())
    former = [
        entry_id(None, former_content_of(row), copy) for row, copy in zip(rows, (1, 1, 1, 2), strict=True)
    ]
    recorded = {each: replace(one, id=each) for each, one in zip(former, kept.entries.values(), strict=True)}
    kept.entries = dict(recorded)
    again = run(path, kept, catalogue)
    assert (again.known, again.added, kept.entries) == (4, 0, recorded)


@pytest.mark.parametrize(
    ("request_id", "calls"), [("req_011CQz", 1), ("chatcmpl-417", 2), ("", 2)], ids=["named", "drawn", "none"]
)
def test_equal_rows_of_one_request_are_one_call(
    request_id: str, calls: int, tmp_path: Path, catalogue: Catalogue
) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    row = f"2025-03-01T10:00:00Z,gpt-4o,10,0.5,{request_id}\n"
    path.write_text("time,model,tokens,cost,request_id\n" + row * 2)
    tally = run(path, kept, catalogue)
    assert (tally.added, tally.known) == (calls, 2 - calls)


def test_a_row_with_an_id_unique_in_the_world_is_the_same_row_when_it_changed(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    for cost in ("0.5", "0.6"):
        path.write_text(
            f"id,time,model,cost\n9f1c2d3e-aaaa-bbbb-cccc-121212121212,2025-03-01,gpt-4o,{cost}\n"
        )
        run(path, kept, catalogue)
    assert [one.cost for one in kept.entries.values()] == [500_000_000]


@pytest.mark.parametrize(("free", "cost", "unpriced"), [(True, 1, 0), (False, 1 + 2_500_000, 1)])
def test_a_stated_zero_beside_usage_is_priced_unless_it_is_said_to_be_free(
    free: bool, cost: int, unpriced: int, tmp_path: Path, catalogue: Catalogue
) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    path.write_text(
        "time,model,input_tokens,cost,service\n"
        "2025-03-01,gpt-4o,1000,0,openai\n"
        "2025-03-01,gpt-4o,1000,0.000000001,openai\n"
        "2025-03-01,whisperx-large-v3,1000,0,local\n"
        "2025-03-01,mystery-1,1000,0,acme\n"
        "2025-03-01,gpt-4o,0,0,openai\n"
    )
    source = ImportSource(path, import_for(path), "old", zero_is_free=free)
    tally = Importer(source, CostStorage(tmp_path / "storage"), catalogue, kept).run()
    assert (tally.added, tally.zero_stated, tally.cost, tally.unpriced) == (5, 2, cost, unpriced)


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "history"
    calls_json(path)
    dry, real = Kept(), Kept()
    assert run(path, dry, catalogue, dry_run=True) == run(path, real, catalogue)
    assert dry.entries == {}
    assert not (tmp_path / "storage").exists()


def test_jobs_get_ledgers_of_their_own(tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "history.csv", Kept()
    path.write_text("time,model,cost,job\n2025-03-01,gpt-4o,1,job-1\n2025-03-01,gpt-4o,1,../../etc/x\n")
    run(path, kept, catalogue)
    ledgers = {ledger.relative_to(tmp_path / "storage/imported/old").parts[0] for ledger in kept.ledgers}
    assert ledgers == {"job-1", folder_name("../../etc/x")}
    assert all(".." not in name and "/" not in name for name in ledgers)


def test_unused_fields_are_named_and_counted(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "history.csv"
    path.write_text(
        "time,model,cost,mood,prompt\n2025-03-01,gpt-4o,1,good,secret\n2025-03-02,gpt-4o,1,bad,secret\n"
    )
    kept = Kept()
    tally = run(path, kept, catalogue)
    assert tally.unused == {"mood": 2, "prompt": 2}
    assert "secret" not in repr(kept.entries)


def test_no_secret_comes_in_with_a_history(tmp_path: Path, catalogue: Catalogue) -> None:
    secret = "sk-proj-0123456789abcdefghij"
    path, kept = tmp_path / "history.csv", Kept()
    header = "time,model,cost,description,category,user,job,stage,request_id,tags,api_key\n"
    path.write_text(f"{header}2025-03-01,gpt-4o,1{f',{secret}' * 8}\n{secret},gpt-4o,1{f',{secret}' * 8}\n")
    tally = run(path, kept, catalogue)
    assert (tally.added, tally.refused) == (1, 1)
    assert secret not in repr(kept.entries) + repr(tally)


def test_progress_and_many_refusals_stay_bounded(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "history.csv"
    path.write_text("time,model,cost\n" + "never,gpt-4o,1\n" * 250)
    told: list[int] = []
    tally = run(path, Kept(), catalogue, progress=told.append)
    assert told == [100, 200, 250]
    assert (tally.refused, len(tally.refusals)) == (250, 100)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not in a format"),
        (b"hello\n", "is not in a format"),
        (b"{broken", "is not in a format"),
        (b'{"other": 1}', "is not in a format"),
        (b"[1]", "is not in a format"),
        (b"[" * 200_000, "is not JSON: maximum recursion depth"),
        (b'{"model": "gpt-4o"} {"model": ', "is not in a format"),
        (b"SQLite format 3\0 and then nonsense", "damaged database"),
        (b"\x89PNG\r\n", "is not in a format"),
        (
            b'{"type":"thread.started","thread_id":"0"}\n{"type":"turn.completed","usage":{"input_tokens":1}}\n',
            "running totals, without times; .* import --from codex",
        ),
    ],
)
def test_a_file_of_no_known_format_is_refused_with_what_is_known(
    content: bytes, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "history"
    path.write_bytes(content)
    with pytest.raises(CannotRead, match=why):
        import_for(path)


def test_a_missing_file_and_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="cannot be read: No such file"):
        import_for(tmp_path / "nowhere")
    with pytest.raises(WrongUsage, match="no import is called 'xls'"):
        import_for(tmp_path / "nowhere", "xls")


@pytest.mark.parametrize("name", [*SAMPLES, *OWN])
def test_a_format_named_for_the_wrong_file_reads_nothing(
    name: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    if name == "parquet":
        pytest.importorskip("duckdb")
    path = tmp_path / "history"
    path.write_bytes(b"\x89PNG\r\n\xff\xfe")
    source = ImportSource(path, import_for(path, name), "old")
    kept = Kept()
    with suppress(CannotRead):  # formats of single lines report every line instead
        Importer(source, CostStorage(tmp_path / "storage"), catalogue, kept).run()
    assert kept.entries == {}
    with pytest.raises(CannotRead, match="nowhere"):
        list(imports()[name].read(tmp_path / "nowhere"))


def test_damaged_rows_of_our_own_exports_are_reported_and_passed_over(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    given = [entry(1), entry(2)]
    lines = exported("jsonl", given, tmp_path).read_bytes().replace(b"gpt-4o", b"gpt-4p", 1)
    (tmp_path / "damaged.jsonl").write_bytes(lines)
    tally = run(tmp_path / "damaged.jsonl", Kept(), catalogue)
    assert (tally.added, tally.refusals) == (
        1,
        [NotUnderstood("line 1", "damaged: its checksum does not match")],
    )
    table = exported("csv", given, tmp_path)
    table.write_text(table.read_text().replace("0.00425", "0.00426", 1).replace(",1000,", ",x,", 1) + "1,2\n")
    tally = run(table, Kept(), catalogue)
    assert tally.added == 1
    assert tally.refused == 2


def test_rows_that_are_no_rows(tmp_path: Path, catalogue: Catalogue) -> None:
    (tmp_path / "a.json").write_text('{"calls": [1, null, {"model": "gpt-4o", "time": "2025-03-01"}]}')
    tally = run(tmp_path / "a.json", Kept(), catalogue)
    assert [each.why for each in tally.refusals] == [
        "is not an object: 1",
        "is not an object: None",
        "has neither usage nor a cost: no input_tokens, cost or similar field",
    ]
    (tmp_path / "a.csv").write_text("time,model,cost\n2025-03-01,gpt-4o,1,1\n2025-03-01,gpt-4o\n")
    assert run(tmp_path / "a.csv", Kept(), catalogue).refused == 2


def test_usage_objects_within_a_call_are_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    path.write_text('{"calls": [{"model": "m", "usage": {"prompt_tokens": 1}, "tokens": {"output": 2}}]}')
    assert list(imports()["calls-json"].read(path)) == [
        ForeignRow(
            "calls[1]",
            id_values := {"model": "m", "prompt_tokens": 1, "tokens_output": 2},
            id_values=id_values,
        )
    ]


def test_names_of_exports_and_of_their_imports_are_the_same() -> None:
    assert set(OWN) == {name for name in exports() if not name.startswith(("focus", "hledger", "beancount"))}
