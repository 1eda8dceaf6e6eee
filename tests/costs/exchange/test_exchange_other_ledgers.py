"""Ledgers of other tools as these write them: LiteLLM, OpenRouter, Langfuse, Helicone, earlier trackers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from exchange_samples import Kept

from shared.costs.exchange.delimited import csv_rows
from shared.costs.exchange.files import HEAD_BYTES, MAX_LINE, json_rows, lines_of, opened
from shared.costs.exchange.foreign import Defaults
from shared.costs.exchange.importing import Importer, ImportSource, Tally
from shared.costs.exchange.imports import CannotRead, NotUnderstood, import_for, imports
from shared.costs.model import Entry
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.storage import CostStorage


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def taken(
    path: Path, catalogue: Catalogue, kept: Kept | None = None, **given: Any
) -> tuple[Tally, list[Entry]]:
    kept = kept or Kept()
    source = ImportSource(path, import_for(path), "old", Defaults(**given))
    tally = Importer(source, CostStorage(path.parent / "storage"), catalogue, kept).run()
    return tally, list(kept.entries.values())


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


# --- LiteLLM

USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 50},
}
SPEND: list[dict[str, Any]] = [
    {
        "request_id": "chatcmpl-BxYz0123456789abcdef",
        "call_type": "acompletion",
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": 0.0042,
        "total_tokens": 1200,
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "startTime": "2026-11-01 10:00:00.123",
        "endTime": "2026-11-01 10:00:01.456",
        "model": "openai/gpt-4o",
        "custom_llm_provider": "openai",
        "user": "default_user_id",
        "metadata": json.dumps({"usage_object": USAGE, "spend_logs_metadata": None}),
        "cache_hit": "False",
        "request_tags": '["night", "batch-7"]',
        "team_id": "red",
        "end_user": "ana",
        "messages": "{}",
        "response": "{}",
        "status": "success",
    },
]
SPEND += [
    SPEND[0]
    | {"request_id": SPEND[0]["request_id"] + "_cache_hit1761991201.5", "spend": 0.0, "cache_hit": "True"},
    SPEND[0]
    | {
        "request_id": "9d1e3f1c-1111-2222-3333-444455556666",
        "spend": 0.0,
        "model": "in-house-7",
        "custom_llm_provider": "custom",
        "metadata": "{}",
        "status": "success",
    },
]


def dump_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as pg_dump writes it by default."""

    def cell(value: Any) -> str:
        if value is None:
            return "\\N"
        return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")

    columns = ", ".join(f'"{name}"' if name != name.lower() or name == "user" else name for name in rows[0])
    lines = ["\t".join(cell(value) for value in row.values()) for row in rows]
    return "\n".join(
        [
            "--\n-- PostgreSQL database dump\n--\n",
            'COPY public."LiteLLM_Config" (param_name, param_value) FROM stdin;',
            "general\t{}",
            "\\.\n",
            f'COPY public."LiteLLM_SpendLogs" ({columns}) FROM stdin;',
            *lines,
            "\\.\n",
        ]
    )


def inserts_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as ``pg_dump --inserts`` writes it: columns stand in CREATE TABLE alone."""

    def cell(value: Any) -> str:
        if value is None or isinstance(value, (int, float)):
            return "NULL" if value is None else str(value)
        return "'" + str(value).replace("'", "''") + "'"

    columns = "".join(f"    \"{name}\" text DEFAULT ''::text NOT NULL,\n" for name in rows[0])
    inserts = "".join(
        f'INSERT INTO public."LiteLLM_SpendLogs" VALUES ({", ".join(map(cell, row.values()))});\n'
        for row in rows
    )
    return (
        f'-- PostgreSQL database dump\nCREATE TABLE public."LiteLLM_SpendLogs" (\n{columns}'
        f"    CONSTRAINT spend_pk PRIMARY KEY (request_id)\n);\n{inserts}"
    )


LITELLM = {
    "csv": as_csv(SPEND),
    "csv of a warehouse": as_csv([{name.upper(): value for name, value in row.items()} for row in SPEND]),
    "json": json.dumps(SPEND),
    "lines": "\n".join(map(json.dumps, SPEND)),
    "v2": json.dumps({"data": SPEND, "total": 3, "page": 1, "page_size": 50, "total_pages": 1}),
    "dump": dump_of(SPEND),
    "inserts": inserts_of([SPEND[0] | {"messages": "it's\n'quoted'; (really)"}, *SPEND[1:]]),
}


@pytest.mark.parametrize("form", LITELLM)
def test_spend_logs_of_litellm(form: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path, kept = tmp_path / "spend", Kept()
    path.write_text(LITELLM[form])
    assert import_for(path).name == "litellm"
    tally, (call, cached, unknown) = taken(path, catalogue, kept)
    assert (tally.rows, tally.refused, tally.zone_assumed) == (3, 0, 0)
    assert (call.service, call.model, call.request_id) == ("openai", "gpt-4o", SPEND[0]["request_id"])
    assert call.timestamp.isoformat() == "2026-11-01T10:00:00.123000+00:00"
    assert (call.usage.tokens_input, call.usage.tokens_cached, call.usage.tokens_reasoning) == (1000, 400, 50)
    assert (call.cost, call.estimated) == (4_200_000, True)
    assert call.catalogue_cost == 600 * 2_500 + 400 * 1_250 + 200 * 10_000
    assert (call.user_id, call.project, call.tags, call.operation) == (
        "ana",
        "red",
        ("batch-7", "night"),
        "acompletion",
    )
    assert (cached.cost, cached.charge is not None, cached.usage.is_zero) == (0, True, True)
    assert cached.metadata["answered_from"] == "cache"
    assert cached.metadata["cached_tokens_input"] in (1000, "1000")
    assert unknown.charge is None  # a stated 0 beside usage is not believed
    assert taken(path, catalogue, kept)[0].added == 0


def test_every_form_of_the_same_spend_logs_is_the_same_history(tmp_path: Path, catalogue: Catalogue) -> None:
    kept = Kept()
    for form, text in LITELLM.items():
        (tmp_path / form).write_text(text)
        tally, _ = taken(tmp_path / form, catalogue, kept)
        assert (form, tally.added) == (form, 3 if form == "csv" else 0)


def test_a_row_of_litellm_whose_spend_is_no_number_leaves_the_others(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    path = tmp_path / "spend.csv"
    path.write_text(as_csv([SPEND[1] | {"spend": "0.0042 $/call"}, SPEND[0]]))
    tally, [call] = taken(path, catalogue)
    assert (tally.refused, call.request_id) == (1, SPEND[0]["request_id"])
    assert "0.0042 $/call" in tally.refusals[0].why


def test_spend_of_litellm_by_day_is_a_sum(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "days.json"
    rows = [
        {"startTime": "2026-11-01", "spend": 3.5, "users": {"ana": 3.5}, "models": {"gpt-4o": 3, "o1": 0.5}},
        {"startTime": "2026-11-02", "spend": 1.25, "users": {}, "models": {}},
    ]
    path.write_text(json.dumps(rows))
    tally, entries = taken(path, catalogue)
    assert (tally.sums, tally.cost, tally.unnamed) == (3, 4_750_000_000, 1)
    assert [(one.model, one.metadata["sum_of"]) for one in entries] == [
        ("gpt-4o", "day"),
        ("o1", "day"),
        ("unknown", "day"),
    ]


def test_a_dump_without_the_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sql"
    path.write_text("-- PostgreSQL database dump\nSELECT 1;\n")
    with pytest.raises(CannotRead, match="has no table LiteLLM_SpendLogs"):
        list(import_for(path).read(path))


@pytest.mark.parametrize("form", ["dump", "inserts"])
def test_a_dump_that_was_cut_off_is_said_and_its_last_row_not_taken(
    form: str, tmp_path: Path, catalogue: Catalogue
) -> None:
    path = tmp_path / "spend.sql"
    whole = LITELLM[form].rstrip().removesuffix("\\.").rstrip()
    path.write_text(whole[: whole.rindex("2026-11-01")])
    tally, entries = taken(path, catalogue)
    assert len(entries) == 2
    assert "cut off" in tally.refusals[-1].why


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"PGDMP\x01\x0f", "pg_restore --file dump.sql"),
        (gzip.compress(b"SQLite format 3\0" + b"\0" * 100, mtime=0), "unpack it first: gunzip"),
    ],
    ids=["a dump of pg_dump", "a packed database"],
)
def test_a_database_that_cannot_be_read_is_refused_with_what_to_do(
    content: bytes, advice: str, tmp_path: Path
) -> None:
    (tmp_path / "history").write_bytes(content)
    with pytest.raises(CannotRead, match=advice):
        import_for(tmp_path / "history")


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE usage_log (id INTEGER PRIMARY KEY, ts TEXT, model TEXT, cost REAL) WITHOUT ROWID",
        "CREATE TABLE calls (id INTEGER, ts TEXT, model TEXT, cost REAL);"
        "CREATE VIEW Usage_Log AS SELECT * FROM calls; CREATE VIEW broken AS SELECT * FROM gone",
    ],
)
def test_a_usage_log_without_numbers_of_rows(made: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "usage.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(made)
        table = "calls" if "VIEW" in made else "usage_log"
        database.execute(f"INSERT INTO {table} VALUES (1, '2026-11-01T10:00:00Z', 'gpt-4o', 0.5)")
    tally, (entry,) = taken(path, catalogue)
    assert (tally.refused, entry.cost) == (0, 500_000_000)


# --- OpenRouter


def test_calls_of_openrouter_cost_what_it_bills(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "openrouter_activity.csv"
    call = {
        "generation_id": "gen-1761991200-AbCdEfGhIjKl",
        "created_at": "2026-11-01 23:59:59.5",
        "cost_total": "0.0031",
        "cost_web_search": "0",
        "byok_usage_inference": "0.001",
        "tokens_prompt": 1000,
        "tokens_completion": 200,
        "tokens_reasoning": 20,
        "tokens_cached": 100,
        "model_permaslug": "openai/gpt-4o-2024-08-06",
        "provider_name": "OpenAI",
        "finish_reason_raw": "stop",
    }
    path.write_text(as_csv([call, call | {"generation_id": "gen-2-0123456789abcdef", "cost_total": "x"}]))
    tally, (entry,) = taken(path, catalogue)
    assert (entry.service, entry.model, entry.request_id) == (
        "openrouter",
        "openai/gpt-4o-2024-08-06",
        "gen-1761991200-AbCdEfGhIjKl",
    )
    assert (entry.cost, entry.estimated, entry.usage.tokens_cached) == (4_100_000, False, 100)
    assert entry.timestamp.isoformat() == "2026-11-01T23:59:59.500000+00:00"
    assert set(tally.unused) == {"cost_web_search", "finish_reason_raw"}
    assert tally.refusals == [NotUnderstood("line 3", "the amount is not a number: 'x'")]


@pytest.mark.parametrize(
    "text",
    [
        "Date,Slug,Usage,BYOK Usage,Requests,Prompt Tokens,Completion Tokens,Reasoning Tokens\n"
        "2026-11-01,openai/gpt-4o,1.5,0,40,90000,2000,0\n",
        json.dumps(
            {
                "data": [
                    {
                        "date": "2026-11-01 00:00:00",
                        "model": "openai/gpt-4o",
                        "model_permaslug": "openai/gpt-4o",
                        "endpoint_id": "0e2e",
                        "provider_name": "OpenAI",
                        "usage": 1.5,
                        "byok_usage_inference": 0,
                        "requests": 40,
                        "prompt_tokens": 90000,
                        "completion_tokens": 2000,
                        "reasoning_tokens": 0,
                    }
                ]
            }
        ),
    ],
)
def test_days_of_openrouter_are_sums(text: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "activity"
    path.write_text(text)
    assert import_for(path).name == "openrouter"
    tally, (entry,) = taken(path, catalogue)
    assert (tally.sums, entry.cost, entry.usage.requests) == (1, 1_500_000_000, 40)
    assert (entry.metadata["sum_of"], entry.usage.tokens_input) == ("day", 90_000)


# --- Langfuse and Helicone

OBSERVATIONS: list[dict[str, Any]] = [
    {
        "id": "obs-0123456789abcdef",
        "traceId": "t-1",
        "type": "GENERATION",
        "name": "summarise",
        "startTime": "2026-11-01T10:00:00.000Z",
        "model": "gpt-4o",
        "usageDetails": {
            "input": 600,
            "input_cached_tokens": 400,
            "output": 150,
            "output_reasoning_tokens": 50,
            "total": 1200,
        },
        "costDetails": {"input": 0.002, "output": 0.002, "total": 0.004},
        "userId": "ana",
        "sessionId": "job-1",
        "input": "secret question",
        "output": "secret answer",
        "level": "DEFAULT",
    },
    {
        "id": "obs-span",
        "traceId": "t-1",
        "type": "SPAN",
        "name": "outer",
        "startTime": "2026-11-01T10:00:00.000Z",
    },
]


def as_blobs_have_it(row: Mapping[str, Any]) -> dict[str, Any]:
    """An observation under the names of the blob storage export, ``observations_v2/``."""
    names = {"model": "provided_model_name"}
    return {names.get(key, re.sub(r"([A-Z])", r"_\1", key).lower()): value for key, value in row.items()}


def test_a_call_that_openrouter_cancelled_and_did_not_bill_costs_nothing(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    path = tmp_path / "activity.csv"
    row = {"generation_id": "gen-1", "created_at": "2026-11-01 10:00:00", "cost_total": "0"}
    row |= {"tokens_prompt": "90", "tokens_completion": "0", "model_permaslug": "openai/gpt-4o"}
    path.write_text(as_csv([row | {"cancelled": "true"}]))
    _, (entry,) = taken(path, catalogue)
    assert (entry.cost, entry.charge is None, entry.metadata["unbilled_tokens_input"]) == (0, False, "90")


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "blob"])
def test_observations_of_langfuse(form: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "observations"
    if form == "blob":
        spans = OBSERVATIONS[1] | {"model": None, "usageDetails": {}}
        path.write_text("\n".join(json.dumps(as_blobs_have_it(row)) for row in (spans, OBSERVATIONS[0])))
    elif form == "csv":
        cells = {key: json.dumps(v) if isinstance(v, dict) else v for key, v in OBSERVATIONS[0].items()}
        path.write_text(as_csv([cells | {"startTime": "2026-11-01 10:00:00.000"}]))
    else:
        path.write_text(
            json.dumps(OBSERVATIONS) if form == "json" else "\n".join(map(json.dumps, OBSERVATIONS))
        )
    assert import_for(path).name == "langfuse"
    tally, (entry,) = taken(path, catalogue)
    assert tally.refused == 0
    assert (entry.usage.tokens_input, entry.usage.tokens_cached) == (1000, 400)
    assert (entry.usage.tokens_output, entry.usage.tokens_reasoning) == (200, 50)
    assert (entry.cost, entry.user_id, entry.job_id, entry.operation) == (
        4_000_000,
        "ana",
        "job-1",
        "summarise",
    )
    assert entry.timestamp.isoformat() == "2026-11-01T10:00:00+00:00"
    assert "secret" not in repr(entry)


_BY_AGE = {"cache_creation_ephemeral_1h_input_tokens": 500, "cache_creation_ephemeral_5m_input_tokens": 200}
_CLAUDE = {"input": 100, "output": 50, "cache_read_input_tokens": 4000}


@pytest.mark.parametrize(
    ("details", "counted"),
    [
        ({**_CLAUDE, "cache_creation_input_tokens": 700, **_BY_AGE}, (4800, 4000, 700, 500, 50)),
        ({**_CLAUDE, **_BY_AGE}, (4800, 4000, 700, 500, 50)),
        ({"input": 100, "output": 50, "input_cache_creation": 700, "total": 850}, (800, 0, 700, 0, 50)),
        (
            {"input": 100, "output": 50, "input_cache_creation": 0, "input_ephemeral_1h_input_tokens": 2000},
            (2100, 0, 2000, 2000, 50),
        ),
        (
            {"input": 1000, "output": 100, "input_cache_read": 4000, "output_reasoning": 50},
            (5000, 4000, 0, 0, 150),
        ),
        ({"input": 1000, "output": 100, "input_cache_read": 4000, "total_cost": 0}, (0, 0, 0, 0, 0)),
    ],
)
def test_what_langfuse_has_of_calls_of_langchain(
    details: dict[str, int], counted: tuple[int, ...], tmp_path: Path, catalogue: Catalogue
) -> None:
    path = tmp_path / "observations.json"
    path.write_text(json.dumps([OBSERVATIONS[0] | {"model": "claude-opus-4-6", "usageDetails": details}]))
    tally, (entry,) = taken(path, catalogue)
    usage = entry.usage
    assert tally.refused == 0
    assert counted == (
        *(usage.tokens_input, usage.tokens_cached, usage.tokens_cache_write, usage.tokens_cache_write_1h),
        usage.tokens_output,
    )
    repeated = "total_cost" in details
    assert (entry.cost, entry.metadata.get("answered_from")) == (
        (0, "cache") if repeated else (4_000_000, None)
    )


@pytest.mark.parametrize(("tier", "sides"), [("priority", (5000, 1150)), ("flex", (0, 0))])
def test_parts_that_langchain_names_by_their_tier_count_once(
    tier: str, sides: tuple[int, int], tmp_path: Path, catalogue: Catalogue
) -> None:
    parts = {"input_{}": 1000, "input_{}_cache_read": 4000, "output_{}": 150, "output_{}_reasoning": 1000}
    details = {name.format(tier): count for name, count in parts.items()}
    details |= {"input": sides[0], "output": sides[1], "total": 6150}
    path = tmp_path / "observations.json"
    path.write_text(json.dumps([OBSERVATIONS[0] | {"model": "gpt-5.1", "usageDetails": details}]))
    _, (entry,) = taken(path, catalogue)
    usage = entry.usage
    assert (usage.tokens_input, usage.tokens_cached) == (5000, 4000)
    assert (usage.tokens_output, usage.tokens_reasoning) == (1150, 1000)
    assert entry.service_tier == tier


_ONE = {"input": 600, "input_cached_tokens": 400, "output": 150, "output_reasoning_tokens": 50}


@pytest.mark.parametrize(
    ("within", "calls"),
    [
        ([_ONE], ["obs-0"]),  # langfuse.openai beside LangChain's callback
        ([{"input": 900, "output": 120}, {"input": 100, "output": 80}], ["obs-0", "obs-1"]),  # a sum of two
        ([{"input": 900, "output": 120}], ["obs-0", "outer"]),  # another call of its own
        ([{}], ["outer"]),  # nothing is known of the inner one
        ([], ["outer"]),
    ],
)
@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_generation_that_has_itself_in_it_is_one_call(
    form: str, within: list[dict[str, int]], calls: list[str], tmp_path: Path, catalogue: Catalogue
) -> None:
    named = [(f"obs-{number}", details) for number, details in enumerate(within)]
    rows = [
        OBSERVATIONS[0]
        | {
            "id": name,
            "name": name,
            "parentObservationId": "outer",
            "usageDetails": details,
            "costDetails": {},
        }
        for name, details in named
    ]
    rows.append(OBSERVATIONS[0] | {"id": "outer", "name": "outer", "parentObservationId": "obs-span"})
    path = tmp_path / "observations"
    cells = [{key: json.dumps(v) if isinstance(v, dict) else v for key, v in row.items()} for row in rows]
    path.write_text(json.dumps(rows) if form == "json" else as_csv(cells))
    tally, entries = taken(path, catalogue)
    assert tally.refused == within.count({})
    assert sorted(str(entry.operation) for entry in entries) == calls


def test_observations_of_langfuse_before_usage_details(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "observations.csv"
    path.write_text(
        "id,traceId,type,startTime,model,promptTokens,completionTokens,calculatedTotalCost\n"
        "a,t,GENERATION,2026-11-01 10:00:00,gpt-4o,1000,200,0.0045\n"
        "b,t,GENERATION,2026-11-01 10:00:00,gpt-4o,many,200,0.0045\n"
    )
    tally, (entry,) = taken(path, catalogue)
    assert (entry.usage.tokens_input, entry.usage.tokens_output, entry.cost) == (1000, 200, 4_500_000)
    assert tally.refused == 1


HELICONE: dict[str, Any] = {
    "response_id": "7b1f",
    "response_created_at": "2026-11-01T10:00:01.000Z",
    "response_status": 200,
    "response_model": "claude-sonnet-4-5-20250929",
    "request_id": "0d5a7c1e-aaaa-bbbb-cccc-000000000001",
    "request_created_at": "2026-11-01T10:00:00.000Z",
    "request_body": {"messages": [{"content": "secret"}]},
    "request_user_id": "ana",
    "request_properties": {"Helicone-Session-Id": "job-1"},
    "request_model": "sonnet",
    "provider": "ANTHROPIC",
    "total_tokens": 1350,
    "prompt_tokens": 100,
    "prompt_cache_write_tokens": 250,
    "prompt_cache_read_tokens": 800,
    "completion_tokens": 200,
    "cost": 0.0045,
    "cache_reference_id": "00000000-0000-0000-0000-000000000000",
    "country_code": "DE",
}


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_requests_of_helicone(form: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "requests"
    cached = HELICONE | {
        "request_id": "0d5a7c1e-aaaa-bbbb-cccc-000000000002",
        "cache_reference_id": HELICONE["request_id"],
    }
    inside = HELICONE | {
        "request_id": "0d5a7c1e-aaaa-bbbb-cccc-000000000003",
        "prompt_tokens": 1150,
        "total_tokens": 1350,
    }
    failed = HELICONE | {"request_id": "0d5a7c1e-aaaa-bbbb-cccc-000000000004", "response_status": 500}
    rows = [HELICONE, cached, inside, failed]
    if form == "csv":
        cells = [{key: json.dumps(v) if isinstance(v, dict) else v for key, v in row.items()} for row in rows]
        path.write_text(as_csv(cells))
    else:
        path.write_text(json.dumps({"data": rows}) if form == "json" else "\n".join(map(json.dumps, rows)))
    assert import_for(path).name == "helicone"
    tally, (call, cache, within, failure) = taken(path, catalogue)
    assert tally.refused == 0
    assert [one.usage.tokens_input for one in (call, cache, within)] == [1150, 0, 1150]
    assert (call.usage.tokens_cached, call.usage.tokens_cache_write) == (800, 250)
    assert (call.service, call.model, call.job_id) == ("anthropic", "claude-sonnet-4-5-20250929", "job-1")
    assert (call.cost, cache.cost, cache.metadata["answered_from"]) == (4_500_000, 0, "cache")
    assert str(failure.metadata["status"]) == "500"
    assert "secret" not in repr(call)


# --- earlier trackers

TOKEN_USAGE = "timestamp,operation,job,prompt_tokens,completion_tokens,total_tokens,cost_estimate_usd\n"


def test_a_token_usage_csv_without_a_model(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "token_usage.csv"
    path.write_text(
        TOKEN_USAGE
        + "2026-10-03T10:00:00,analysis,acme,1000,500,1500,0.0525\n2026-10-03T11:00:00,x,acme,1,1,2,\n"
    )
    assert import_for(path).name == "usage-csv"
    tally, (entry,) = taken(path, catalogue)
    assert (entry.service, entry.model, entry.cost) == ("unknown", "unknown", 52_500_000)
    assert (tally.unnamed, tally.refused) == (1, 1)
    assert "give a model with --model" in tally.refusals[0].why
    tally, named = taken(path, catalogue, model="claude-3-7-sonnet")
    assert [(one.service, one.model) for one in named] == [("anthropic", "claude-3-7-sonnet")] * 2
    assert (named[0].cost, named[0].estimated, named[0].catalogue_cost) == (52_500_000, True, 10_500_000)
    assert (tally.unnamed, tally.priced) == (0, 1)


def test_a_usage_log_keeps_its_metadata(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "usage.db"
    rows = [
        (
            "2026-10-03T10:00:00Z",
            0.5,
            '{"segments": 12, "api_key": "sk-proj-0123456789abcdefghij", "prompt": "x"}',
        ),
        ("2026-10-04T10:00:00Z", 0.5, "night run"),
        ("2026-10-05T10:00:00Z", 0.5, None),
        ("2026-10-06T10:00:00Z", 0.5, "[1, 2.5]"),
    ]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE usage_log (timestamp TEXT, model TEXT, cost REAL, metadata TEXT)")
        database.executemany("INSERT INTO usage_log VALUES (?, 'gpt-4o', ?, ?)", rows)
    _, entries = taken(path, catalogue)
    assert [dict(one.metadata) for one in entries] == [
        {"imported_from": "usage-sqlite", "segments": 12, "api_key": "[redacted]"},
        {"imported_from": "usage-sqlite", "note": "night run"},
        {"imported_from": "usage-sqlite"},
        {"imported_from": "usage-sqlite", "note": [1, "2.5"]},
    ]


@pytest.mark.parametrize("column", ["date", "month", "day"])
def test_sums_by_day_and_month_are_flagged(column: str, tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "sums.csv"
    path.write_text(
        f"{column},model,cost\n2026-10,gpt-4o,12.5\n2026-11-01,gpt-4o,1\n2026-11-01T00:00:00Z,gpt-4o,1\n"
    )
    tally, entries = taken(path, catalogue)
    assert (tally.sums, tally.refused) == (2, 0)
    assert [one.metadata.get("sum_of") for one in entries] == ["month", "day", None]
    assert entries[0].timestamp.isoformat() == "2026-10-01T00:00:00+00:00"


# --- files that are no files, and rows that are no rows


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/zero"), tmp_path):
        for name in (None, *imports()):
            with pytest.raises(CannotRead, match=r"is not a regular file|Is a directory"):
                import_for(path, name)
        for each in imports().values():
            with pytest.raises(CannotRead):
                next(iter(each.read(path)))


def test_a_file_that_grows_is_read_as_far_as_it_reached(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    with opened(path) as file, path.open("ab") as more:
        more.write(b"two\n")
        more.flush()
        assert file.read() == b"one\n"


@pytest.mark.no_cover
def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    with path.open("wb") as file:
        file.truncate(4 * MAX_LINE)
    with pytest.raises(CannotRead, match="longer than"):
        list(lines_of(path))


@pytest.mark.no_cover
@pytest.mark.parametrize("form", ["lines", "lines behind an empty one", "document on one line"])
def test_rows_of_any_size_are_known_and_read(form: str, tmp_path: Path, catalogue: Catalogue) -> None:
    row = (
        '{"request_id":"chatcmpl-1234567%d","startTime":"2026-10-01T10:00:00Z","spend":0.1,"model":"gpt-4o",'
        '"custom_llm_provider":"openai","prompt_tokens":5,"completion_tokens":2,"messages":"%s"}'
    )
    size = MAX_LINE // 2 + 10 if form.startswith("document") else HEAD_BYTES
    rows = [row % (number, "x" * size) for number in range(2)]
    path = tmp_path / "spend.json"
    path.write_text(f'{{"data":[{",".join(rows)}]}}' if form.startswith("document") else "\n".join(rows))
    if "behind" in form:
        path.write_text("\n" + path.read_text())
    tally, _ = taken(path, catalogue)
    assert (tally.added, tally.refused) == (2, 0)


def test_a_row_that_is_none_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'a,b\n1,2\n1\n\xff,2\n\n3,"4\n')
    assert list(csv_rows(path)) == [
        (2, {"a": "1", "b": "2"}),
        NotUnderstood("line 3", "has another number of cells than the header"),
        NotUnderstood("line 4", "is not in UTF-8: \\udcff"),
        (6, {"a": "3", "b": "4\n"}),
    ]
    path.write_bytes(b"")
    assert list(csv_rows(path)) == []
    cells = f'a\n"{"x" * (MAX_LINE + 10)}"\n'.replace("x" * 1000, "x" * 999 + "\n")
    path.write_text(cells)
    found = list(csv_rows(path))
    assert isinstance(found[0], NotUnderstood)
    assert "field larger" in found[0].why


def test_numbers_of_any_length_cost_only_their_row(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "calls.json"
    row = '{"timestamp":"2026-11-0%d","model":"gpt-4o","input_tokens":%s,"output_tokens":1,"cost":0.5}'
    path.write_text('{"calls":[' + row % (1, "9" * 5000) + "," + row % (2, 100) + "]}")
    tally, _ = taken(path, catalogue)
    assert (tally.added, tally.refused) == (1, 1)
    (refusal,) = tally.refusals
    shown = f"tokens_input is more than any call or bill has: {'9' * 80}... (5,000 characters)"
    assert refusal == NotUnderstood("calls[1]", shown)


def test_json_is_read_as_lines_arrays_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    for text, found in {
        '{"a": 1.50}\n{"a": 2}\n\n{bad\n': [("line 1", {"a": Decimal("1.50")}), ("line 2", {"a": 2})],
        '[{"a": 1}]': [("[1]", {"a": 1})],
        '{"data": [3]}': [("data[1]", 3)],
        '{\n"data": [3]\n}': [("data[1]", 3)],
    }.items():
        path.write_text(text)
        assert [each for each in json_rows(path, "data") if not isinstance(each[1], NotUnderstood)] == found
    path.write_text("3")
    with pytest.raises(CannotRead, match="has no list of rows"):
        list(json_rows(path, "data"))
