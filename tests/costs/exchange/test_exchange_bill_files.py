"""Bills as they come: packed, in parts, as Parquet, of older shapes, cut off, encoded otherwise, or empty."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import click
import pytest
from synthetic_bills import DAYS, FORMATS, PLANTED, START, World, plant, recorded, world

from shared.costs.apps.cli.program import command_of, run
from shared.costs.apps.serve.apart import answer
from shared.costs.exchange.bills import BillLine, Statement, bill_format_for, bill_formats
from shared.costs.exchange.bills.aws import aws_meter
from shared.costs.exchange.bills.azure import azure_meter
from shared.costs.exchange.bills.google import google_category, google_meter
from shared.costs.exchange.ledger_access import BatchWriter
from shared.costs.exchange.reconciling.adjusting import Adjuster
from shared.costs.exchange.reconciling.differences import Comparison
from shared.costs.exchange.reconciling.names import folded
from shared.costs.exchange.reconciling.run import Bill, BillComparison, ComparisonTerms
from shared.costs.exchange.reports.reconcile import SPEC
from shared.costs.exchange.rows import CannotRead, NotUnderstood
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.reports.document import Report
from shared.costs.storage import CostStorage
from shared.costs.store.store import Store

GENERATE = "Generate content"
SONNET = "anthropic.claude-sonnet-4-5"
LATER = START + timedelta(days=60)
JUST_THEN = START + timedelta(days=DAYS, minutes=2)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[Store]:
    """The ledgers of a service that was billed as it was recorded."""
    storage = CostStorage(tmp_path_factory.mktemp("openai") / "storage")
    with recorded(world("openai"), storage, catalogue) as index:
        yield index


def text_of(name: str, catalogue: Catalogue) -> str:
    [text] = FORMATS[name].write(world(FORMATS[name].service), catalogue).values()
    return text


def compared(index: Store, *paths: Path) -> Comparison:
    for path in paths:
        os.utime(path, (LATER.timestamp(), LATER.timestamp()))
    return BillComparison(index, LATER, ComparisonTerms()).run(
        Bill.of_file(path, bill_format_for(path)) for path in paths
    )


def outcome(found: Comparison) -> tuple[int, int, int]:
    return found.agreed.calls, len(found.differences), found.refused_count


WHOLE = len(world("openai").ours), 0, 0


def divided_by_semicolons(text: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(csv.reader(io.StringIO(text)))
    return out.getvalue()


@pytest.mark.parametrize("name", ["focus", "openai-csv", "litellm", "openai-usage"])
@pytest.mark.parametrize(
    "encoded",
    [
        lambda text: gzip.compress(text.encode()),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode() if text[:1] == "{" else divided_by_semicolons(text).encode(),
    ],
    ids=["gzip", "byte order mark", "CRLF", "semicolons"],
)
def test_a_bill_is_read_however_it_is_written(
    name: str, encoded: Callable[[str], bytes], tmp_path: Path, openai: Store, catalogue: Catalogue
) -> None:
    if name == "openai-csv":
        name, text = "openai-csv", list(FORMATS[name].write(world("openai"), catalogue).values())[-1]
    else:
        text = text_of(name, catalogue)
    (tmp_path / "bill").write_bytes(encoded(text))
    assert outcome(compared(openai, tmp_path / "bill")) == WHOLE


def test_parquet_is_read_as_csv_is_whatever_the_zone_of_the_machine(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    reads = {"aws-cur": "read_csv", "focus": "read_csv", "google-billing": "read_json"}
    for name, read in reads.items():
        source, target = tmp_path / f"{name}.text", tmp_path / f"{name}.parquet"
        source.write_text(text_of(name, catalogue))
        duckdb.execute(f"COPY (FROM {read}('{source}')) TO '{target}'")
        storage = CostStorage(tmp_path / name / "storage")
        with recorded(world(FORMATS[name].service), storage, catalogue) as index:
            assert outcome(compared(index, target)) == WHOLE, name
        target.write_bytes(target.read_bytes()[:-20])
        with pytest.raises(CannotRead, match="cannot be read as Parquet"):
            bill_format_for(target)


def test_parts_of_one_export_are_added_and_two_exports_are_not(
    tmp_path: Path, openai: Store, catalogue: Catalogue
) -> None:
    header, *lines = text_of("focus", catalogue).splitlines(keepends=True)
    halves = [header, *lines[:31]], [header, *lines[31:]]
    parts = [tmp_path / f"focus-0000{number}.csv" for number in (1, 2)]
    for path, half in zip(parts, halves, strict=True):
        path.write_text("".join(half))
    assert outcome(compared(openai, *parts)) == WHOLE
    again = tmp_path / "focus-2026-11-12.csv"
    again.write_text("".join([header, *lines]))
    assert outcome(compared(openai, *parts, again)) == WHOLE


def test_amounts_in_two_currencies_are_converted_line_by_line(
    tmp_path: Path, openai: Store, catalogue: Catalogue
) -> None:
    header, *lines = text_of("focus", catalogue).splitlines(keepends=True)
    place = header.split(",").index("BilledCost")
    for number in range(0, len(lines), 2):
        cells = lines[number].split(",")
        cells[place] = str(float(cells[place]) * 0.5)
        lines[number] = ",".join(cells).replace(",USD,", ",EUR,")
    (tmp_path / "focus.csv").write_text("".join([header, *lines]))
    bill = Bill.of_file(tmp_path / "focus.csv", bill_formats()["focus"])
    terms = ComparisonTerms(rates={"EUR": 2})  # type: ignore[dict-item]  # whole
    assert BillComparison(openai, LATER, terms).run([bill]).settled == []
    unknown = BillComparison(openai, LATER, ComparisonTerms()).run([bill])
    assert set(unknown.currencies) == {"EUR"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", r"\(it is empty\)"),
        (b"PK\x03\x04rest", r"ZIP archive or a spreadsheet"),
        ("start_time,end_time\n".encode("utf-32-be"), "not text in a known encoding: save it as UTF-8"),
        (b'{"object": "page", "data": [{"start_time": 1', "is not JSON: Expecting"),
        (gzip.compress(b"x" * 10_000, mtime=0)[:-30], "damaged or cut off gzip"),
        (b"\x1f\x8bno gzip at all", "cannot be read"),
    ],
    ids=["empty", "ZIP", "UTF-32", "cut JSON", "cut gzip", "no gzip"],
)
def test_what_cannot_be_a_bill_is_refused_with_what_to_do(
    content: bytes, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "bill").write_bytes(content)
    with pytest.raises(CannotRead, match=complaint):
        bill_format_for(tmp_path / "bill")


def test_a_pipe_and_an_endless_file_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(CannotRead):
            bill_format_for(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("spend", "1e999999"),
        ("prompt_tokens", "1e999999"),
        ("prompt_tokens", "1.000"),
        ("completion_tokens", "12.345"),
        ("startTime", "9999-12-31T23:59:59-10:00"),
    ],
)
def test_a_row_that_no_call_can_have_or_that_says_two_things_is_refused_and_the_others_are_compared(
    column: str, value: str, tmp_path: Path, openai: Store, catalogue: Catalogue
) -> None:
    rows = list(csv.DictReader(io.StringIO(text_of("litellm", catalogue))))
    with (path := tmp_path / "spend.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows([{**rows[0], "request_id": "chatcmpl-damaged", column: value}, *rows])
    assert outcome(compared(openai, path)) == (*WHOLE[:2], 1)


REFUNDED = {
    "litellm.csv": "request_id,startTime,model,custom_llm_provider,prompt_tokens,completion_tokens,spend\n"
    "{id},2026-10-03 10:00:00,gpt-4o,openai,1000,200,0.0045\n"
    "{id},2026-10-04 10:00:00,gpt-4o,openai,-1000,-200,-0.0045\n",
    "litellm.json": '[{"request_id": "{id}", "startTime": "2026-10-03 10:00:00", "model": "gpt-4o", '
    '"custom_llm_provider": "openai", "prompt_tokens": 1000, "completion_tokens": 200, "spend": 0.0045}, '
    '{"request_id": "{id}", "startTime": "2026-10-04 10:00:00", "model": "gpt-4o", '
    '"custom_llm_provider": "openai", "prompt_tokens": -1000, "completion_tokens": -200, "spend": -0.0045}]',
    "openrouter.csv": "generation_id,created_at,cost_total,tokens_prompt,tokens_completion,model_permaslug\n"
    "{id},2026-10-03 10:00:00,0.0045,1000,200,openai/gpt-4o\n"
    "{id},2026-10-04 10:00:00,-0.0045,1000,200,openai/gpt-4o\n",
}


@pytest.mark.parametrize("name", REFUNDED)
def test_a_refund_on_a_bill_of_calls_is_a_credit_and_no_second_line_of_its_call(
    name: str, tmp_path: Path
) -> None:
    (path := tmp_path / name).write_text(REFUNDED[name].replace("{id}", "chatcmpl-0123456789abcdef"))
    read = [*bill_format_for(path).read(path, Statement())]
    lines = [each for each in read if isinstance(each, BillLine)]
    assert [(each.category, each.response_id, str(each.amount)) for each in lines] == [
        ("model", "chatcmpl-0123456789abcdef", "0.0045"),
        ("credit", None, "-0.0045"),
    ]


def test_a_bill_that_was_cut_off_is_incomplete_and_adjusts_no_sum(
    tmp_path: Path, openai: Store, catalogue: Catalogue
) -> None:
    text = text_of("focus", catalogue)
    path = tmp_path / "focus.csv"
    path.write_text(text[: len(text) * 2 // 3])
    adjuster = Adjuster(openai, BatchWriter(openai), CostStorage(tmp_path / "storage"), LATER, "1")
    found = BillComparison(openai, LATER, ComparisonTerms(), adjuster).run(
        [Bill.of_file(path, bill_format_for(path))]
    )
    assert found.refused_count == 1
    assert "may be cut off" in found.incomplete[0]
    assert "no sum was adjusted" in found.notes[-1]
    assert adjuster.written == 0


@pytest.mark.parametrize(
    "shape",
    [
        {"uncached_input_tokens": 90, "cache_creation": {"ephemeral_1h_input_tokens": 10}},
        {
            "uncached_input_tokens": 90,
            "cache_creation_5m_input_tokens": 4,
            "cache_creation_1h_input_tokens": 6,
        },
        {"input_tokens": 90, "cache_creation_input_tokens": 10},
    ],
)
def test_anthropics_usage_is_read_in_the_shapes_it_had(shape: dict[str, Any], tmp_path: Path) -> None:
    result = {"model": "claude-haiku-4-5", "cache_read_input_tokens": 5, "output_tokens": 7, **shape}
    bucket = {"starting_at": "2026-11-01T00:00:00Z", "ending_at": "2026-11-02T00:00:00Z", "results": [result]}
    path = tmp_path / "usage.json"
    path.write_text(json.dumps({"data": [bucket], "has_more": False}))
    bill = Bill.of_file(path, bill_format_for(path))
    assert bill.format.name == "anthropic-usage"
    [line] = bill.lines(Statement())
    assert line.counts == (105, 7, 5, 10)  # type: ignore[union-attr]  # understood


def test_a_meter_that_cost_nothing_was_billed_at_nothing(tmp_path: Path) -> None:
    meter = {"meterName": "gpt 4o 1120 Inp glbl Tokens", "quantity": 1.5, "unitOfMeasure": "1K"}
    path = tmp_path / "azure.json"
    path.write_text(json.dumps([{"date": "11/03/2026", "costInBillingCurrency": 0, **meter}]))
    [line] = bill_format_for(path).read(path, Statement())
    assert isinstance(line, BillLine)
    assert (line.amount, line.counts) == (Decimal(0), (1500, 0, 0, 0))


@pytest.mark.parametrize(
    ("meter", "unit", "model", "kind", "tier", "scale"),
    [
        ("GPT 5 Inpt Glbl 1M Tokens", "1M", "gpt-5", "input", None, 1_000_000),
        ("GPT 5 Mini outpt DZone 1M Tokens", "1M", "gpt-5-mini", "output", None, 1_000_000),
        ("GPT 5 Batch Inpt cchd Glbl 1M Tokens", "1M", "gpt-5", "cached", "batch", 1_000_000),
        ("5.4 nano cd Inp Gl 1M Tokens", "1M", "gpt-5.4-nano", "cached", None, 1_000_000),
        ("5.5 ShortCo inp Gl 1M Tokens", "1M", "gpt-5.5", "input", None, 1_000_000),
        ("5.2 chat 0210 opt Gl 1M Tokens", "1M", "gpt-5.2-chat", "output", None, 1_000_000),
        ("GPT 5 Mini pp Inpt Glbl 1M Tokens", "1M", "gpt-5-mini", "input", "priority", 1_000_000),
        ("GPT 5 prty outpt DZone 1M Tokens", "1M", "gpt-5", "output", "priority", 1_000_000),
        (
            "GPT 5.6 Sol short context cache writes input Global",
            "1M Tokens",
            "gpt-5.6-sol",
            "cache_write",
            None,
            1_000_000,
        ),
        ("gpt-5-codex-ccchd-inp-glbl Tokens", "1K", "gpt-5-codex", "cached", None, 1_000),
        ("gpt 5 pro out glbl Tokens", "1K", "gpt-5-pro", "output", None, 1_000),
        ("gpt-4o-mini-0718-Batch-Inp-glbl Tokens", "1K", "gpt-4o-mini", "input", "batch", 1_000),
        ("gpt 4o mini0718 BatchOutp DataZone Tokens", "1K", "gpt-4o-mini", "output", "batch", 1_000),
        ("gpt 4o 0513 Input Data Zone Tokens", "1K", "gpt-4o", "input", None, 1_000),
        ("o3 mini 0131 cached input regnl Tokens", "1K", "o3-mini", "cached", None, 1_000),
        ("text-embedding-3-large-glbl Tokens", "1K", "text-embedding-3-large", "input", None, 1_000),
        ("embedding-ada-regional Tokens", "1K", "text-embedding-ada", "input", None, 1_000),
        ("chat-latest 05052026 cd inp Gl 1M Tokens", "1M", "chat-latest", "cached", None, 1_000_000),
    ],
)
def test_meters_of_azure_tell_model_kind_and_tier(
    meter: str, unit: str, model: str, kind: str, tier: str | None, scale: int
) -> None:
    # Names of the Retail Prices API, seen in public lists of 2026-09 and 2026-10.
    assert azure_meter(meter, unit) == (model, kind, tier, scale)


@pytest.mark.parametrize(
    ("meter", "about", "model"),
    [
        ("V4 Pro cached glbl Tokens", "Azure Deepseek Models", "deepseek-v4-pro"),
        ("4.6 Inp Glbl Tokens", "Azure Grok Models", "grok-4.6"),
        ("Grok 4.1 Outp Glbl Tokens", "Azure Grok Models", "grok-4.1"),
        ("Sonnet 5 Inp glbl", "Azure Anthropic Models", "claude-sonnet-5"),
    ],
)
def test_meters_of_other_makers_on_azure_have_their_names_in_the_subcategory(
    meter: str, about: str, model: str
) -> None:
    assert azure_meter(meter, "1M Tokens", about).model == model


@pytest.mark.parametrize(
    ("sku", "model", "kind", "tier"),
    [
        (f"{GENERATE} output token count gemini 2.5 flash short input text", "2-5-flash", "output", None),
        (
            f"{GENERATE} output token count Gemini 2.5 Pro short output text non-thinking",
            "2-5-pro",
            "output",
            None,
        ),
        (f"{GENERATE} output token count gemini 3 flash text flex", "3-flash", "output", "flex"),
        (f"{GENERATE} input token count gemini 3.1 flash lite preview text", "3-1-flash-lite", "input", None),
        ("Generate_content text input token count for gemini 3 pro short", "3-pro", "input", None),
        ("Generate_content text cached input token count for gemini 3 pro short", "3-pro", "cached", None),
        ("Generate_content text output token count for gemini 3 flash batch", "3-flash", "output", "batch"),
        ("Generate_content image output token count for Gemini 3 Pro Image", "3-pro-image", "output", None),
        ("Gemini 3.5 Flash Global Text Input - Predictions", "3-5-flash", "input", None),
        ("Gemini 3.1 Flash Image Text Output - Predictions", "3-1-flash-image", "output", None),
        ("Gemini 3.0 Pro Text Input Caching (Long)", "3-pro", "cached", None),
        ("Gemini 3 Flash Image Input Caching Priority", "3-flash", "cached", "priority"),
        ("Gemini 2.5 Flash Text Output (Thinking On) - Predictions", "2-5-flash", "output", None),
        (f"{GENERATE} input token count gemini 3.5 flash lite image", "3-5-flash-lite", "input", None),
        (f"{GENERATE} input token count gemini 3.7 flash image batch", "3-7-flash", "input", "batch"),
        (f"{GENERATE} input token count gemini 3.7 flash image flex caching", "3-7-flash", "cached", "flex"),
        (
            f"{GENERATE} input token count gemini 3.1 flash lite preview image",
            "3-1-flash-lite",
            "input",
            None,
        ),
        (
            "Generate_content image output token count for Gemini 3.1 Flash Lite Image",
            "3-1-flash-lite-image",
            "output",
            None,
        ),
        (
            "Generate_content image output token count for Gemini 2.5 Flash Native Image Generation",
            "2-5-flash-image",
            "output",
            None,
        ),
        (
            f"{GENERATE} input token count gemini 3.8 flash lite tts text batch",
            "3-8-flash-lite-tts",
            "input",
            "batch",
        ),
        (
            "BidiGenerateContent audio output token count for Gemini 2.5 Flash Native Audio",
            "2-5-flash-native-audio",
            "output",
            None,
        ),
        (f"{GENERATE} input token count gemini 3.8 live image", "3-8-live", "input", None),
        (
            "Generate_content audio input token count for Gemini 3.5 Live Translate",
            "3-5-live-translate",
            "input",
            None,
        ),
        ("EmbedContent input token count for gemini-embedding-2 text", "embedding-2", "input", None),
    ],
)
def test_skus_of_gemini_tell_model_kind_and_tier(sku: str, model: str, kind: str, tier: str | None) -> None:
    # Seen in bills and public lists of 2026-08 to 2026-10.
    meter = google_meter(sku)
    assert (folded(meter.model or ""), meter.kind, meter.tier) == (f"gemini-{model}", kind, tier)
    assert google_category(sku) == "model"


def test_storage_of_geminis_cache_and_searches_are_no_usage_of_a_model() -> None:
    assert google_category("Gemini 3 Flash Text Input Caching Storage") == "storage"
    assert google_category("Generate content search query gemini 3 flash") == "tool"
    assert google_category("Gemini 2.5 Flash Grounding with Google Search") == "tool"


@pytest.mark.parametrize(
    ("ours", "billed"),
    [
        ("gemini-2.5-flash-native-audio-preview-12-2025", "Gemini 2.5 Flash Native Audio"),
        ("gemini-2.5-flash-preview-tts", "gemini 2.5 flash tts text"),
        ("gemini-2.5-flash-image", "Gemini 2.5 Flash Native Image Generation"),
        ("gemini-embedding-001", "gemini-embedding-001"),
        ("gemini-3.1-flash-live-preview", "gemini 3.1 flash live audio"),
    ],
)
def test_models_of_gemini_are_those_of_their_skus(ours: str, billed: str) -> None:
    assert folded(google_meter(f"output token count for {billed}").model or "") == folded(ours)


@pytest.mark.parametrize(
    ("usage_type", "model", "kind", "tier"),
    [
        ("USE1-Claude4Sonnet-cache-write-input-token-count-1-hour", "claude-sonnet-4", "cache_write", None),
        (f"USE1-{SONNET}-mantle-cache-write-tokens-1h-standard", "claude-sonnet-4-5", "cache_write", None),
        (f"EU-{SONNET}-mantle-output-tokens-global-standard", "claude-sonnet-4-5", "output", None),
        (f"USE1-{SONNET}-mantle-cache-read-tokens-flex", "claude-sonnet-4-5", "cached", "flex"),
        ("NovaLite-input-tokens", "nova-lite", "input", None),
        ("USE1-Nova2.0Lite-cache-read-input-token-count", "nova-2-lite", "cached", None),
        ("USE1-Llama3-3-70B-output-tokens", "llama3-3-70b", "output", None),
    ],
)
def test_usage_types_of_bedrock_tell_model_kind_and_tier(
    usage_type: str, model: str, kind: str, tier: str | None
) -> None:
    # Of AWS's price list and of bills, 2026-07 to 2026-10.
    meter = aws_meter(usage_type, "Amazon Bedrock")
    assert (folded(meter.model or ""), meter.kind, meter.tier) == (model, kind, tier)


PERIOD = {"ChargePeriodStart": "2026-11-03T00:00:00Z", "ChargePeriodEnd": "2026-11-04T00:00:00Z"}
CLOUDS = {
    "Microsoft": [
        {
            "ChargeCategory": "Usage",
            "BilledCost": "0.000960",
            "ServiceCategory": "AI and Machine Learning",
            "ServiceName": "Azure OpenAI",
            "SkuId": "DZH318Z0BQ35/0001",
            "x_SkuMeterName": "gpt 4.1 nano Batch Inp glbl Tokens",
            "ConsumedQuantity": "19200",
            "ConsumedUnit": "Units",
            "PricingQuantity": "19.2",
            "PricingUnit": "1K",
        },
        {"ChargeCategory": "Usage", "BilledCost": "9", "ServiceName": "Virtual Machines", "SkuId": "DZH/00"},
        {"ChargeCategory": "Tax", "BilledCost": "1.71", "ServiceName": "Virtual Machines"},
        {"ChargeCategory": "Credit", "BilledCost": "-3", "ServiceName": ""},
    ],
    "Amazon Web Services": [
        {
            "ChargeCategory": "Usage",
            "BilledCost": "0.000960",
            "ServiceCategory": "AI and Machine Learning",
            "ServiceName": "Amazon Bedrock",
            "SkuId": "YV4FKZ6QYFHAQJY7",
            "x_UsageType": "EU-NovaLite-input-tokens-batch",
            "ConsumedQuantity": "19.2",
            "ConsumedUnit": "1K tokens",
        },
        {
            "ChargeCategory": "Usage",
            "BilledCost": "9",
            "ServiceName": "Amazon Elastic Compute Cloud",
            "x_UsageType": "BoxUsage:t3.micro",
            "SkuId": "ABC",
        },
        {"ChargeCategory": "Purchase", "BilledCost": "70", "ServiceName": "AWS Savings Plans"},
        {"ChargeCategory": "Credit", "BilledCost": "-3", "ServiceName": ""},
    ],
    "Google Cloud": [
        {
            "ChargeCategory": "Usage",
            "BilledCost": "0.000960",
            "ServiceName": "Gemini API",
            "ChargeDescription": "Generate content input token count gemini 2.5 flash text batch",
            "SkuId": "0A7B-2C3D-4E5F",
            "ConsumedQuantity": "19200",
            "ConsumedUnit": "requests",
        },
        {
            "ChargeCategory": "Usage",
            "BilledCost": "9",
            "ServiceName": "Compute Engine",
            "ChargeDescription": "N1 Predefined Instance Core running in Americas",
            "SkuId": "2E27-4F75-95CD",
        },
        {"ChargeCategory": "Adjustment", "BilledCost": "-3", "ServiceName": ""},
    ],
}
"""Rows of whole accounts, of 2026-09: most have nothing to do with models."""


@pytest.mark.parametrize(
    ("seller", "service", "model"),
    [
        ("Microsoft", "azure", "gpt-4-1-nano"),
        ("Amazon Web Services", "aws", "nova-lite"),
        ("Google Cloud", "google", "gemini-2-5-flash"),
    ],
)
@pytest.mark.parametrize("column", ["ProviderName", "ServiceProviderName"])
def test_of_a_clouds_own_focus_export_what_models_cost_is_read_and_nothing_else(
    seller: str, service: str, model: str, column: str, tmp_path: Path
) -> None:
    rows = [{column: seller, "BillingCurrency": "USD", **PERIOD, **row} for row in CLOUDS[seller]]
    (path := tmp_path / "focus.json").write_text(json.dumps(rows))
    used, credit = [
        each for each in bill_format_for(path).read(path, Statement()) if isinstance(each, BillLine)
    ]
    assert (used.service, folded(used.model or ""), used.tier) == (service, model, "batch")
    assert (used.counts, used.amount) == ((19_200, 0, 0, 0), Decimal("0.000960"))
    assert (credit.service, credit.category, credit.amount) == (service, "credit", Decimal(-3))


def test_litellms_own_focus_export_is_no_bill(tmp_path: Path) -> None:
    model = dict.fromkeys(("ResourceId", "ResourceName", "ResourceType", "ChargeDescription"), "gpt-4o")
    row = {
        "BilledCost": "0.004500",
        "ChargeCategory": "Usage",
        "ConsumedQuantity": "1.000000",
        **PERIOD,
        **model,
    }
    row |= {"BillingAccountType": "API Key", "ConsumedUnit": "Requests", "ProviderName": "openai"}
    (path := tmp_path / "focus.json").write_text(json.dumps([row]))
    with pytest.raises(CannotRead, match="export its spend logs"):
        list(bill_format_for(path).read(path, Statement()))


def test_taxes_and_credits_of_other_services_are_not_on_the_bill_of_bedrock(tmp_path: Path) -> None:
    row = {
        "line_item_usage_start_date": "2026-11-03",
        "line_item_usage_type": "",
        "line_item_unblended_cost": 2,
    }
    rows = [
        row | {"line_item_line_item_type": kind, "line_item_product_code": code}
        for kind in ("Tax", "Credit")
        for code in ("AmazonEC2", "AmazonBedrock", "")
    ]
    (path := tmp_path / "cur.json").write_text(json.dumps(rows))
    lines = bill_format_for(path).read(path, Statement())
    assert [each.category for each in lines if isinstance(each, BillLine)] == ["tax"] * 2 + ["credit"] * 2


def test_refunds_of_other_services_are_not_on_the_bill_of_azures_models(tmp_path: Path) -> None:
    meters = ("D2s v5,Virtual Machines", "gpt 4.1 Inp glbl Tokens,Azure OpenAI", ",", "Sessions,Azure OpenAI")
    lines = [f"2026-11-03,{kind},{meter},1,2" for kind in ("Usage", "Refund", "Tax") for meter in meters]
    names = "Date,ChargeType,MeterName,MeterCategory,Quantity,CostInUSD"
    (path := tmp_path / "azure.csv").write_text("\n".join([names, *lines]))
    found = bill_format_for(path).read(path, Statement())
    assert [(each.category, each.label[:3]) for each in found if isinstance(each, BillLine)] == [
        ("model", "gpt"),
        ("other", "Ses"),
        *(("credit", label) for label in ("gpt", "", "Ses")),
        *(("tax", label) for label in ("gpt", "", "Ses")),
    ]


def test_credits_of_google_are_in_dollars_and_those_of_other_services_left_out(tmp_path: Path) -> None:
    row = {
        "usage_start_time": "2026-11-03 10:00:00 UTC",
        "usage_end_time": "2026-11-03 11:00:00 UTC",
        "sku": {"description": "Generate content input token count gemini 2.5 flash text"},
        "usage": {"amount": 1_000, "unit": "count"},
        "cost": 4.3,
        "currency": "EUR",
        "currency_conversion_rate": 0.86,
        "credits": [{"name": "Promotion", "amount": -0.86}, {"name": "says nothing"}],
    }
    other = row | {"sku": {"description": "N1 Predefined Instance Core running in Americas"}}
    damaged = row | {"usage_start_time": "when?"}
    (path := tmp_path / "billing.json").write_text(json.dumps([row, other, damaged]))
    found = [*bill_format_for(path).read(path, statement := Statement())]
    assert [(each.category, each.amount) for each in found if isinstance(each, BillLine)] == [
        ("model", Decimal(5)),
        ("credit", Decimal(-1)),
    ]
    assert statement.currency == "USD"
    assert [each.row for each in found if isinstance(each, NotUnderstood)] == ["[3]"]


@pytest.mark.parametrize("name", ["google-billing", "litellm"])
def test_gemini_on_vertex_is_billed_by_google(name: str, tmp_path: Path, catalogue: Catalogue) -> None:
    of = world("google")
    of.ours = [replace(call, service="vertex") for call in of.ours]
    if name == "litellm":
        of.theirs = [*of.ours]
    with recorded(of, CostStorage(tmp_path / "storage"), catalogue) as index:
        for file, text in FORMATS[name].write(of, catalogue).items():
            (path := tmp_path / file).write_text(text)
        found = compared(index, path)
    assert (outcome(found), {one.service for one in found.differences}) == ((len(of.ours), 0, 0), set())


@pytest.mark.parametrize("speed", ["fast", "standard"])
def test_fast_mode_of_anthropic_is_a_tier(speed: str, tmp_path: Path) -> None:
    result = {"model": "claude-opus-4-6", "uncached_input_tokens": 90, "output_tokens": 7, "speed": speed}
    cost = {"model": "claude-opus-4-6", "amount": "12.5", "currency": "USD", "speed": speed}
    times = {"starting_at": "2026-11-01T00:00:00Z", "ending_at": "2026-11-02T00:00:00Z"}
    for said in (result, cost):
        path = tmp_path / "report.json"
        path.write_text(json.dumps({"data": [{**times, "results": [{"service_tier": "standard", **said}]}]}))
        [line] = bill_format_for(path).read(path, Statement())
        assert isinstance(line, BillLine)
        assert line.tier == ("fast" if speed == "fast" else None)


CONSOLE = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,"
    "cost_type,inference_geo,speed\n"
    "2026-11-01,Claude Haiku 4.5,Default,key,{usage_type},≤ 200k,input_no_cache,1.23,1.23,token,,{speed}\n"
)


@pytest.mark.parametrize(
    ("usage_type", "speed", "tier"),
    [
        ("message", "", None),
        ("message", "fast", "fast"),
        ("message_batch", "", "batch"),
        ("batch", "", "batch"),
    ],
)
def test_the_consoles_messages_are_of_the_standard_tier(
    usage_type: str, speed: str, tier: str | None, tmp_path: Path
) -> None:
    # Seen in exports of 2025-12 to 2026-09.
    (path := tmp_path / "cost.csv").write_text(CONSOLE.format(usage_type=usage_type, speed=speed))
    [line] = bill_format_for(path).read(path, Statement())
    assert isinstance(line, BillLine)
    assert (folded(line.model or ""), line.tier, line.kind) == ("claude-haiku-4-5", tier, 0)


def test_a_bill_of_an_enterprise_agreement_says_its_currency(tmp_path: Path) -> None:
    (path := tmp_path / "ea.csv").write_text(
        "UsageDateTime,MeterCategory,MeterName,UsageQuantity,UnitOfMeasure,PreTaxCost,BillingCurrencyCode\n"
        "2026-11-03T00:00:00Z,Azure OpenAI,gpt 4.1 Inp glbl Tokens,1.5,1K,0.003,EUR\n"
    )
    [line] = bill_format_for(path).read(path, statement := Statement())
    assert isinstance(line, BillLine)
    assert (line.counts, line.amount, statement.currency) == ((1_500, 0, 0, 0), Decimal("0.003"), "EUR")


def test_a_row_of_litellm_without_a_provider_is_of_the_models_own(tmp_path: Path) -> None:
    (path := tmp_path / "spend.csv").write_text(
        "request_id,startTime,model,custom_llm_provider,prompt_tokens,completion_tokens,spend\n"
        "chatcmpl-1,2026-11-03 10:00:00,gpt-4o,,1000,200,0.0045\n"
    )
    [line] = bill_format_for(path).read(path, Statement())
    assert isinstance(line, BillLine)
    assert (line.service, line.model) == ("openai", "gpt-4o")


@pytest.mark.parametrize("missing", [0, 40])
def test_a_batch_of_openai_says_nothing_of_the_calls_beside_it(
    missing: int, tmp_path: Path, catalogue: Catalogue
) -> None:
    of = world("openai")
    of.ours = [replace(call, tier="batch") if call.number % 3 else call for call in of.ours]
    day = START + timedelta(days=4)
    mine = [c for c in of.ours if c.tier and c.model == "gpt-4o" and day <= c.at < day + timedelta(days=1)]
    read, written = (sum(getattr(call, f"tokens_{side}") for call in mine) for side in ("input", "output"))
    cached = {"cached_tokens": sum(call.tokens_cached for call in mine)}
    usage = {"input_tokens": read, "output_tokens": written + missing, "input_tokens_details": cached}
    completed = int((day + timedelta(hours=22)).timestamp())
    batch = {"object": "batch", "model": "gpt-4o-2024-08-06", "usage": usage, "completed_at": completed}
    (path := tmp_path / "batch.json").write_text(json.dumps(batch))
    with recorded(of, CostStorage(tmp_path / "storage"), catalogue) as index:
        found = compared(index, path)
        told = [(one.kind, one.tier, one.theirs_tokens) for one in found.differences]
        assert told == ([("usage_differs", "batch", read + written + missing)] if missing else [])
        usage["output_tokens"] = written - missing
        path.write_text(json.dumps(batch))
        assert compared(index, path).differences == []


# --- mixtures


SEEDS = int(os.environ.get("MIXTURES", "2"))
"""``MIXTURES=60 pytest -k mixture`` tries as many; uneven ones in euros, without being given a rate."""

ABROAD = {
    *("aws-cur", "focus", "azure", "google-console"),
    *("openai-usage+costs", "openai-costs", "anthropic-costs"),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(4, 4 + SEEDS))
def test_differences_are_named_in_any_mixture(seed: int, tmp_path: Path, catalogue: Catalogue) -> None:
    chance = random.Random(seed)
    days = [*chance.sample(range(DAYS - 1), DAYS - 1), DAYS - 1]
    if days[7] == DAYS - 2:  # a batch needs a settled day after its own
        days[0], days[7] = days[7], days[0]
    chosen = chance.sample(sorted(PLANTED), chance.randint(1, len(PLANTED)))
    stores: dict[str, tuple[World, Store]] = {}
    for name, form in FORMATS.items():
        if form.service not in stores:
            of = plant(world(form.service), days, chosen)
            stores[form.service] = of, recorded(of, CostStorage(tmp_path / form.service / "s"), catalogue)
        of, index = stores[form.service]
        is_abroad = bool(seed % 2) and name in ABROAD
        of.currency, of.rate = ("EUR", Decimal("0.86")) if is_abroad else ("USD", Decimal(1))
        made = []
        for number, text in enumerate(form.write(of, catalogue).values()):
            path = tmp_path / f"{name}-{number}"
            path.write_text(text)
            os.utime(path, (JUST_THEN.timestamp(), JUST_THEN.timestamp()))
            made.append(Bill.of_file(path, bill_format_for(path)))
        found = BillComparison(index, JUST_THEN, ComparisonTerms()).run(made)
        expected = set(of.planted) - set(form.cannot) | ({"currency"} if is_abroad else set())
        if form.by_id and "late" in chosen:
            expected |= {"not_billed"}
        assert sorted(one.reason for one in found.differences) == sorted(expected), (name, chosen, days)
        credited = [one.nanos for one in found.uncompared if one.category == "credit"]
        assert credited == ([pytest.approx(-5_000_000_000, rel=1e-4)] if form.has_credit else [])
    for _, index in stores.values():
        index.close()


# --- the folder of bills


def test_bills_in_the_storages_folder_need_no_name_and_have_a_page(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = CostStorage(tmp_path / "storage")
    recorded(plant(world("openai")), storage, catalogue).close()
    monkeypatch.setenv("COST_TRACKER_HOME", str(storage.root))
    asked: dict[str, object] = {
        "storage": str(storage.root),
        "profile": None,
        "now": LATER.isoformat(),
        "environ": {},
        "asks": [("reconcile", [])],
    }
    assert run(["reconcile"]) == 2
    assert "storage/bills" in capsys.readouterr().err
    assert answer(asked)[0] == "WrongUsage"
    storage.bills_dir.mkdir()
    for name, text in FORMATS["openai-usage+costs"].write(plant(world("openai")), catalogue).items():
        (storage.bills_dir / name).write_text(text)
        os.utime(storage.bills_dir / name, (LATER.timestamp(), LATER.timestamp()))
    assert run(["reconcile", "--json"]) == 1
    bills = ["costs.json as openai-costs", "usage.json as openai-usage"]
    assert json.loads(capsys.readouterr().out)["bills"] == bills
    kind, reports = answer(asked)
    [page] = cast("list[Report]", reports)
    assert (kind, page.title, page.data["bills"]) == ("done", "The bill and the ledgers differ", bills)


def test_the_shell_completes_the_names_of_bills() -> None:
    files = next(each for each in command_of(SPEC).params if each.name == "files")
    assert isinstance(files.type, click.Path)


def test_a_bill_without_a_line_compares_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path / "storage"))
    (tmp_path / "focus.csv").write_text("BilledCost,ChargeCategory,ChargePeriodStart\n")
    assert run(["reconcile", str(tmp_path / "focus.csv"), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["agrees"] is False
    assert told["incomplete"] == [f"{tmp_path}/focus.csv: it has no line to compare"]
