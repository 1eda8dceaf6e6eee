"""Uplifts, fees and sellers: rules that multiply, add and take away, and that can be recomputed."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.costs.errors import PriceFileError
from shared.costs.ledger.counted import id_for_request
from shared.costs.model import Charge, Entry, Unpriced, Usage
from shared.costs.money import from_usd
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.history import PriceHistory, recompute
from shared.costs.pricing.repricing import adjustment
from shared.costs.storage import CostStorage

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MILLION = 1_000_000
OWN = Catalogue.load()
BOTH = Usage(100_000, 100_000)


def charged(service: str, model: str, usage: Usage, **more: Any) -> Entry:
    return Entry(
        id="e", timestamp=NOW, job_id="j", user_id="u", service=service, model=model, usage=usage, **more
    )


def charge(
    service: str, model: str, usage: Usage = BOTH, tier: str | None = None, region: str | None = None
) -> Charge:
    found = OWN.charge(service, model, usage, NOW, tier, region)
    assert isinstance(found, Charge), found
    return found


@pytest.mark.parametrize(
    ("service", "model", "tier", "region", "amount"),
    [
        # Anthropic: data residency from Opus 4.6 on, on every kind of token, batches too.
        ("anthropic", "claude-sonnet-4-6", None, None, "1.8"),
        ("anthropic", "claude-sonnet-4-6", None, "us", "1.98"),
        ("anthropic", "claude-sonnet-4-6", "batch", "US", "0.99"),
        ("anthropic", "claude-opus-5-5", "fast", "us", "5.28"),
        ("anthropic", "claude-sonnet-4-5", None, "us", "1.8"),
        ("anthropic", "claude-3-opus", None, "us", "9"),
        ("anthropic", "claude-sonnet-4-6", None, "global", "1.8"),
        # Vertex AI: 10 % more outside the global endpoint.
        ("vertex_ai", "claude-sonnet-5-5", None, "us-east5", "1.32"),
        ("vertex_ai", "claude-sonnet-5-5", None, "global", "1.2"),
        ("vertex_ai", "claude-sonnet-5-5", None, None, "1.2"),
        ("vertex_ai", "claude-3-5-sonnet", None, "us-east5", "1.8"),
        ("vertex_ai", "gemini-3.8-flash", None, "europe-west1", "0.495"),
        ("google", "gemini-3.8-flash", None, "europe-west1", "0.45"),
        (
            "google",
            "projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-5-5",
            None,
            None,
            "1.32",
        ),
        # OpenAI: regional hosts, from the 5.4 models on.
        ("openai", "gpt-5.4", None, "eu", "1.925"),
        ("openai", "gpt-5.4", "priority", "us", "3.85"),
        ("openai", "gpt-4o", None, "eu", "1.25"),
        # Azure: data zones, by the name or the region.
        ("azure", "azure/eu/gpt-4o-2024-11-20", None, None, "1.375"),
        ("azure", "gpt-4o", None, "us", "1.375"),
        ("azure", "global-standard/gpt-4o", None, None, "1.25"),
    ],
)
def test_uplifts_by_region(
    service: str, model: str, tier: str | None, region: str | None, amount: str
) -> None:
    assert charge(service, model, BOTH, tier, region).total == from_usd(amount)


def test_an_uplift_keeps_cache_rates_and_leaves_searches_alone() -> None:
    usage = Usage(100_000, 10_000, tokens_cached=60_000, tokens_cache_write=20_000, web_searches=3)
    found = charge("anthropic", "claude-sonnet-4-6", usage, None, "us")
    assert dict(found.parts) == {
        "input": from_usd("0.066"),  # 20,000 x 3 x 1.1
        "cached": from_usd("0.0198"),  # 60,000 x 0.30 x 1.1
        "cache_write": from_usd("0.0825"),  # 20,000 x 3.75 x 1.1
        "output": from_usd("0.165"),  # 10,000 x 15 x 1.1
        "web_searches": from_usd("0.03"),
    }


def test_a_latency_that_was_asked_for_is_a_tier_of_its_own() -> None:
    usual = charge("bedrock", "us.amazon.nova-pro-v1:0", Usage(100_000, 10_000))
    assert usual.total == from_usd("0.112")
    quick = OWN.charge("bedrock", "us.amazon.nova-pro-v1:0", Usage(100_000, 10_000), NOW, "optimized")
    assert isinstance(quick, Charge)
    assert quick.total == from_usd("0.14")  # 1 and 4 a million
    for model in ("us.amazon.nova-lite-v1:0", "anthropic.claude-3-5-haiku-20241022-v1:0"):  # no source says
        assert isinstance(OWN.charge("bedrock", model, BOTH, NOW, "optimized"), Unpriced)


@pytest.mark.parametrize(
    ("service", "model", "amount"),
    [
        ("azure", "DeepSeek-R1", "0.675"),
        ("azure", "DeepSeek-V3.2", "0.226"),
        ("azure", "deepseek-v4-pro", "0.522"),
        ("azure", "gpt-oss-120b", "0.075"),
        ("azure", "azure_ai/claude-sonnet-4-5", "1.8"),
        ("vertex_ai", "gemini-2.0-flash", "0.075"),
        ("google", "gemini-2.0-flash", "0.05"),
        ("zhipuai", "glm-4.6", "0.28"),
    ],
)
def test_each_seller_has_its_own_price(service: str, model: str, amount: str) -> None:
    assert charge(service, model).total == from_usd(amount)


@pytest.mark.parametrize(
    ("model", "day", "tokens", "amount"),
    [
        ("claude-opus-4-6", date(2026, 2, 10), 10_000, "0.225"),  # half, at first
        ("claude-opus-4-6", date(2026, 3, 1), 10_000, "0.45"),
        ("claude-opus-4-6-20260205", date(2026, 3, 1), 300_000, "18.225"),
        ("claude-opus-4-6", date(2026, 3, 20), 300_000, "9.15"),
        ("claude-opus-4-7", date(2026, 6, 1), 10_000, "0.45"),
    ],
)
def test_fast_modes_that_are_no_longer_offered(model: str, day: date, tokens: int, amount: str) -> None:
    at = NOW.replace(year=day.year, month=day.month, day=day.day)
    found = OWN.charge("anthropic", model, Usage(tokens, 1_000), at, "fast", None)
    assert isinstance(found, Charge), found
    assert found.total == from_usd(amount)


@pytest.mark.parametrize("hour", [12, 18])
def test_no_name_has_the_hours_that_ended(hour: int) -> None:
    found = OWN.charge("deepseek", "DeepSeek-R1", BOTH, NOW.replace(hour=hour))
    assert isinstance(found, Charge)
    assert found.total == from_usd("0.274")  # genai-prices has a quarter of it from 16:30 on


@pytest.mark.parametrize(
    ("service", "model"),
    [
        ("azure", "gemini-2.5-pro"),
        ("azure", "gpt-oss-20b-of-ours"),
        ("vertex_ai", "gpt-4o"),
        ("openai", "claude-3-opus"),
        ("groq", "gpt-4o"),
        ("aws", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4"),
    ],
)
def test_a_name_never_takes_a_price_that_its_service_does_not_have(service: str, model: str) -> None:
    assert isinstance(OWN.charge(service, model, BOTH, NOW), Unpriced)


def test_a_bedrock_call_that_names_no_profile_says_that_nobody_knows() -> None:
    unsure = charge("bedrock", "claude-sonnet-4-5-20250929")
    assert (unsure.total, unsure.priced_by.unverified) == (from_usd("1.98"), True)
    for profile, amount in (("us.", "1.98"), ("global.", "1.8")):
        found = charge("bedrock", f"{profile}anthropic.claude-sonnet-4-5-20250929-v1:0")
        assert (found.total, found.priced_by.unverified) == (from_usd(amount), False)


def test_a_price_of_the_united_states_is_in_doubt_elsewhere() -> None:
    name = "meta.llama3-70b-instruct-v1:0"
    assert not charge("bedrock", name, region="us-east-1").priced_by.unverified
    assert charge("bedrock", name, region="ap-south-1").priced_by.unverified
    # Where the table has the region's own price, that one holds.
    claude = "anthropic.claude-3-haiku-20240307-v1:0"
    assert not charge("bedrock", claude, region="eu-west-1").priced_by.unverified
    government = charge("bedrock", "us-gov.anthropic.claude-haiku-5-5")
    assert (government.total, government.priced_by.unverified) == (from_usd("0.072"), False)
    assert charge("bedrock", "us-gov.anthropic.claude-sonnet-5").priced_by.unverified


SMALL = Usage(10_000, 1_000)


@pytest.mark.parametrize(
    ("service", "model", "tier", "usage", "amount"),
    [
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "batch", SMALL, "0.02475"),
        ("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "batch", SMALL, "0.0225"),
        ("bedrock", "anthropic.claude-3-5-haiku-20241022-v1:0", "batch", SMALL, "0.006"),
        ("google-documentai", "pretrained-ocr-v2.0-2023-06-02", None, Usage(pages=4), "0.006"),
        ("google-documentai", "pretrained-form-parser-v2.1-2023-06-26", None, Usage(pages=4), "0.12"),
        ("documentai", "pretrained-layout-parser-v1.0-2024-06-03", None, Usage(pages=4), "0.04"),
        ("google-documentai", "pretrained-invoice-v1.3-2022-07-15", None, Usage(pages=11), "0.20"),
        ("google", "gemini-2.5-pro", None, Usage(cache_token_hours=100_000), "0.45"),
        ("gemini", "gemini-2.5-flash", None, Usage(10_000, cache_token_hours=40_000), "0.043"),
        ("google", "gemini-3.8-flash", None, Usage(cache_token_hours=100_000), "0.05"),
        ("groq", "llama-3.3-70b-versatile", "flex", SMALL, "0.00669"),
        ("groq", "llama-3.3-70b-versatile", "batch", SMALL, "0.003345"),
        ("groq", "whisper-large-v3", "flex", Usage(audio_seconds=3_600), "0.111"),
        ("dashscope", "dashscope/qwen3-max", None, Usage(32_000, 1_000), "0.0444"),
        ("qwen", "qwen3-max-2026-01-23", None, Usage(32_001, 1_000), "0.0888024"),
        ("alibaba", "qwen-plus-latest", None, Usage(10_000, 1_000, tokens_reasoning=400), "0.00632"),
        ("qwen", "qwen-plus", None, Usage(10_000, 1_000, tokens_cached=5_000), "0.0036"),
        ("qwen", "qwen-plus", None, Usage(10_000, 1_000, tokens_reasoning=400), "0.00632"),
        (
            "openai",
            "ft:gpt-4o-mini-2024-07-18:o::i",
            None,
            Usage(10_000, 1_000, tokens_cached=4_000),
            "0.0036",
        ),
        ("openai", "ft:gpt-4o-2024-08-06:o::i", None, Usage(10_000, 1_000, tokens_cached=4_000), "0.045"),
    ],
)
def test_tiers_sizes_and_caches_that_sellers_list(
    service: str, model: str, tier: str | None, usage: Usage, amount: str
) -> None:
    assert charge(service, model, usage, tier).total == from_usd(amount)


def test_another_sellers_tools_are_not_the_makers() -> None:
    usage = Usage(1_000, 100, web_searches=1, file_searches=1)
    assert charge("azure", "gpt-5", usage).parts["web_searches"] == from_usd("0.014")
    assert charge("openai", "gpt-5", usage).parts["web_searches"] == from_usd("0.01")
    found = charge("vertex_ai", "claude-sonnet-5-5", usage)
    assert dict(found.missing) == {"web_searches": 1, "file_searches": 1}


def test_a_sum_that_no_request_can_be_is_priced_at_the_ordinary_rates() -> None:
    day = charge("openai", "gpt-5.4", Usage(5 * MILLION, 100_000))
    assert (day.total, day.priced_by.unverified) == (from_usd(14), True)
    large = charge("openai", "gpt-5.4", Usage(500_000, 10_000))
    assert (large.total, large.priced_by.unverified) == (from_usd("2.725"), False)
    turn = charge("anthropic", "claude-sonnet-4-5", Usage(300_000, 1_000, requests=4))
    assert (turn.total, turn.priced_by.unverified) == (from_usd("0.915"), True)


# --- the user's own rules


SURCHARGES = """
surcharges:
  - models: [openai/*, anthropic/claude-*]
    except: [openai/gpt-4o-mini]
    multiply: 1.1
    since: 2026-06-01
    source: our gateway
  - {models: [anthropic/*], multiply: 2, when: {tier: [batch]}, of: [output], since: 2026-01-01, source: x}
  - {models: [acme/*], multiply: 1.5, when: {region: [eu-*]}, since: 2026-01-01, source: x}
models:
  acme/one: {since: 2026-01-01, source: x, per_million_tokens: {input: 1, cached: 0.1, output: 4}}
"""


@pytest.mark.parametrize(
    ("service", "model", "usage", "ran", "parts"),
    [
        # Every rate is multiplied, none is lost. `ran` is tier and region.
        (
            *("openai", "gpt-4o", Usage(1_000_000, 100_000, tokens_cached=400_000), (None, None)),
            {"input": "1.65", "cached": "0.55", "output": "1.1"},
        ),
        ("openai", "gpt-4o", BOTH, ("batch", None), {"input": "0.1375", "output": "0.55"}),
        ("openai", "gpt-4o-mini", BOTH, (None, None), {"input": "0.015", "output": "0.06"}),
        ("anthropic", "claude-3-haiku", BOTH, ("batch", None), {"input": "0.01375", "output": "0.1375"}),
        ("anthropic", "claude-sonnet-4-6", BOTH, (None, "us"), {"input": "0.363", "output": "1.815"}),
        (
            *("acme", "one", Usage(100_000, 0, tokens_cached=50_000), (None, "eu-west-1")),
            {"input": "0.075", "cached": "0.0075"},
        ),
        ("acme", "one", BOTH, (None, "us-east-1"), {"input": "0.1", "output": "0.4"}),
    ],
)
def test_a_surcharge_of_the_users_own_multiplies_every_rate(
    tmp_path: Path,
    service: str,
    model: str,
    usage: Usage,
    ran: tuple[str | None, str | None],
    parts: dict[str, str],
) -> None:
    tier, region = ran
    path = tmp_path / "prices.yaml"
    path.write_text(SURCHARGES)
    catalogue = Catalogue.load(CostStorage(tmp_path / "costs"), path)
    found = catalogue.charge(service, model, usage, NOW, tier, region)
    assert isinstance(found, Charge)
    assert dict(found.parts) == {part: from_usd(usd) for part, usd in parts.items()}
    entry = charged(service, model, usage, charge=found, service_tier=tier, region=region)
    # An audit computes the same by the same rules, also after the file has changed.
    assert [one.outcome for one in recompute(entry, PriceHistory(catalogue))] == ["agrees"]
    path.write_text(SURCHARGES.replace("1.1", "3"))
    later = Catalogue.load(CostStorage(tmp_path / "costs"), path)
    assert [one.outcome for one in recompute(entry, PriceHistory(later))] == ["agrees"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{models: [gpt-4o], multiply: 1.1, since: 2026-01-01, source: x}", "names no service"),
        ("{models: [a/*], since: 2026-01-01, source: x}", "'multiply' is missing"),
        ("{models: [a/*], multiply: -1, since: 2026-01-01, source: x}", "too small"),
        (
            "{models: [a/*], multiply: 1.1, when: {where: us}, since: 2026-01-01, source: x}",
            "unknown key 'where'",
        ),
        (
            "{models: [a/*], multiply: 1.1, when: {tier: bulk}, since: 2026-01-01, source: x}",
            "not a service tier",
        ),
        ("{models: [a/*], multiply: 1.1, of: [tokens], since: 2026-01-01, source: x}", "not known here"),
    ],
)
def test_a_wrong_surcharge_is_refused(tmp_path: Path, rule: str, message: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(f"surcharges:\n  - {rule}\n")
    with pytest.raises(PriceFileError, match=message):
        Catalogue.load(None, path)


RECOMPUTED: list[tuple[str, str, Usage, str | None, str | None]] = [
    ("anthropic", "claude-sonnet-4-6", BOTH, None, "us"),
    (
        "vertex_ai",
        "projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-5-5",
        BOTH,
        None,
        None,
    ),
    ("azure", "azure/eu/gpt-4o-2024-11-20", BOTH, None, None),
    ("openai", "gpt-5", Usage(1_000, 100, file_searches=40), None, None),
    ("openai", "gpt-4.1", Usage(1_000, 100, tokens_cached=500), "batch", None),
    ("litellm", "vertex_ai/claude-opus-5", BOTH, None, "europe-west1"),
    ("fireworks", "accounts/fireworks/models/glm-4p5", BOTH, None, None),
    ("openrouter", "somebody/new-model:free", BOTH, None, None),
    ("deepgram", "general-nova-3", Usage(audio_seconds=61, channels=2), "streaming", None),
    ("deepseek", "deepseek-v4-pro", BOTH, None, None),
]


@pytest.mark.parametrize(("service", "model", "usage", "tier", "region"), RECOMPUTED)
def test_charges_are_recomputed_to_the_same_amount(
    service: str, model: str, usage: Usage, tier: str | None, region: str | None
) -> None:
    found = OWN.charge(service, model, usage, NOW, tier, region)
    assert isinstance(found, Charge)
    entry = charged(service, model, usage, charge=found, service_tier=tier, region=region)
    assert [one.outcome for one in recompute(entry, PriceHistory(OWN))] == ["agrees"]


# --- repricing completes what was partial


OFFER = """
models:
  acme/finder:
    since: 2026-01-01
    source: offer
    per_million_tokens: {input: 1, output: 2}
"""


def call(catalogue: Catalogue, **counts: Any) -> Entry:
    usage = Usage(**counts)
    found = catalogue.charge("acme", "finder", usage, NOW)
    charge = found if isinstance(found, Charge) else None
    return charged("acme", "finder", usage, charge=charge, unpriced_units=charge.missing if charge else {})


def test_reprice_completes_a_partial_charge_once(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(OFFER)
    before = Catalogue.load(None, path)
    entry = call(before, tokens_input=1_000_000, file_searches=40, containers=2)
    assert (entry.cost_state, entry.cost) == ("partial", from_usd(1))
    assert adjustment(entry, [], before, NOW, id_for_request) is None
    path.write_text(f"{OFFER}    per_thousand_file_searches: 2.50\n")
    first = adjustment(entry, [], Catalogue.load(None, path), NOW, id_for_request)
    assert first is not None
    assert (first.cost, first.resolves_partial, dict(first.unpriced_units)) == (
        from_usd("0.1"),
        True,
        {"containers": 2},
    )
    assert first.partial_delta == 0  # one unit is still missing
    assert adjustment(entry, [first], Catalogue.load(None, path), NOW, id_for_request) is None
    path.write_text(f"{OFFER}    per_thousand_file_searches: 2.50\n    per_container: 0.03\n")
    last = adjustment(entry, [first], Catalogue.load(None, path), NOW, id_for_request)
    assert last is not None
    assert (last.cost, last.partial_delta, dict(last.unpriced_units)) == (from_usd("0.06"), -1, {})
    assert adjustment(entry, [first, last], Catalogue.load(None, path), NOW, id_for_request) is None


def test_reprice_may_find_a_part_of_what_had_no_price(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    entry = call(OWN, tokens_input=1_000_000, file_searches=40)
    assert entry.cost_state == "unknown"
    path.write_text(OFFER)
    made = adjustment(entry, [], Catalogue.load(None, path), NOW, id_for_request)
    assert made is not None
    assert (made.resolves_unpriced, made.partial_delta, made.unpriced_delta) == (True, 1, -1)
    assert dict(made.unpriced_units) == {"file_searches": 40}


@pytest.mark.parametrize("units", [{"requests": 1}, {"image_pixels": 2_000_000}, {"images": 3}])
def test_reprice_never_completes_what_a_call_has_no_count_of(units: dict[str, int]) -> None:
    entry = dataclasses.replace(call(OWN), service="openai", model="gpt-4o", usage=Usage(10, 5))
    found = OWN.charge("openai", "gpt-4o", entry.usage, NOW)
    assert isinstance(found, Charge)
    partial = dataclasses.replace(entry, charge=found, unpriced_units=units)
    assert adjustment(partial, [], OWN, NOW, id_for_request) is None
    assert adjustment(partial, [], OWN, NOW, id_for_request, wrong_too=True) is None
    unknown = dataclasses.replace(entry, unpriced_units=units)
    made = adjustment(unknown, [], OWN, NOW, id_for_request)
    if "requests" in units:
        assert made is None  # nobody states the input of a cut stream: its output alone is not its cost
    else:
        assert made is not None
        assert (made.cost, dict(made.unpriced_units), made.partial_delta) == (found.total, units, 1)


def test_reprice_knows_that_a_free_model_costs_nothing_whatever_it_used() -> None:
    entry = dataclasses.replace(
        call(OWN), service="ollama", model="llama3", usage=Usage(0, 5), unpriced_units={"requests": 1}
    )
    made = adjustment(entry, [], OWN, NOW, id_for_request)
    assert made is not None
    assert (made.cost, made.resolves_unpriced, made.partial_delta) == (0, True, 0)


# --- upper bounds


def test_a_ceiling_says_what_it_cannot_bound() -> None:
    found = OWN.ceiling("vertex_ai", "claude-sonnet-5-5", Usage(1_000, 1_000, web_searches=2), NOW)
    assert isinstance(found, Charge)
    assert dict(found.missing) == {"web_searches": 2}
    higher = OWN.ceiling("vertex_ai", "claude-sonnet-5-5", Usage(1_000, 1_000), NOW, None, "us-east5")
    lower = OWN.ceiling("vertex_ai", "claude-sonnet-5-5", Usage(1_000, 1_000), NOW, None, "global")
    assert isinstance(higher, Charge)
    assert isinstance(lower, Charge)
    assert higher.total * 10 == lower.total * 11
