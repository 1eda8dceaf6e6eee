"""Checking prices: models without one, sources that disagree, doubts, and old sources."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos, from_usd
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.check import UsedModel, bills, check, differences, partial, stale, unpriced
from shared.costs.pricing.coverage import Coverage, UsedUnits, counted, of_known, of_used
from shared.costs.pricing.peers import Peer, installed_peers
from shared.costs.pricing.rates import Rate
from shared.costs.pricing.reading import read_book
from shared.costs.yaml_strict import parse

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OWN = Catalogue.load()


def call(service: str, model: str, usage: Usage, tier: str | None = None) -> Entry:
    return Entry(
        id="e1",
        timestamp=NOW,
        job_id="job-1",
        user_id="1",
        service=service,
        model=model,
        usage=usage,
        service_tier=tier,
    )


def test_unpriced_models_say_why_and_what_to_do() -> None:
    used = [
        UsedModel("openai", "gpt-9", 12, 12, call("openai", "gpt-9", Usage(5, 5))),
        UsedModel("openai", "whisper-1", 3, 1, call("openai", "whisper-1", Usage(5, 5))),
        UsedModel("openai", "gpt-4o", 100, 2, call("openai", "gpt-4o", Usage(5, 5), "scale")),
        UsedModel("openai", "gpt-4o-mini", 9, 4, call("openai", "gpt-4o-mini", Usage(5, 5))),
        UsedModel("openai", "gpt-4", 9, 0),
        UsedModel("acme", "x", 2, 2),
    ]
    found = list(unpriced(OWN, used))
    assert [(finding.kind, finding.name) for finding in found] == [
        ("unpriced", "openai/gpt-9"),
        ("unpriced", "openai/whisper-1"),
        ("unpriced", "openai/gpt-4o"),
        ("repriceable", "openai/gpt-4o-mini"),
        ("unpriced", "acme/x"),
    ]
    assert found[0].text == "12 of 12 calls have no price: no price for openai/gpt-9 on 2026-11-22"
    assert OWN.place in found[0].remedy
    assert "tokens_input" in found[1].text
    assert "'scale'" in found[2].text
    assert found[3].remedy == "run cost-dashboard reprice"


@pytest.mark.no_cover
def test_doubtful_prices_in_use_are_named() -> None:
    found = check(OWN, [UsedModel("google", "gemini-pro", 5), UsedModel("indictrans2", "api", 5)], NOW)
    doubts = [finding for finding in found if finding.kind == "unverified"]
    assert [finding.name for finding in doubts] == ["google/gemini-pro", "indictrans2/api"]
    assert "An estimate." in doubts[1].text


PEER = Peer(
    "othertable",
    "1.2",
    {
        "gpt-4o": {
            "litellm_provider": "openai",
            "input_cost_per_token": 3e-06,
            "output_cost_per_token": 1e-05,
        },
        "gpt-4": {
            "litellm_provider": "openai",
            "input_cost_per_token": 3e-05,
            "output_cost_per_token": 6e-05,
        },
        "claude-3-opus": {"litellm_provider": "bedrock", "input_cost_per_token": 1.0},
        "gemini/gemini-1.5-pro": {"litellm_provider": "gemini", "input_cost_per_token": 1.25e-06},
        "whisper-1": {
            "litellm_provider": "openai",
            "input_cost_per_second": 0.0001,
            "output_cost_per_second": 0.0001,
        },
        "sample_spec": "text",
        "dall-e-3": {"litellm_provider": "openai", "input_cost_per_token": True},
    },
)


def test_tables_of_others_are_compared_rate_by_rate() -> None:
    found = list(
        differences(
            OWN, ["openai/gpt-4o", "openai/gpt-4", "openai/whisper-1", "google/gemini-pro"], NOW, [PEER]
        )
    )
    assert [finding.name for finding in found] == ["openai/gpt-4o", "google/gemini-pro"]
    assert found[0].text == (
        "catalogue says $2.5 per million input tokens, othertable 1.2 says $3 per million input tokens"
    )
    assert found[0].remedy == "see cost-dashboard prices show openai/gpt-4o"
    assert "genai-prices" in found[1].text
    assert list(differences(OWN, ["openai/gpt-9"], NOW, [PEER])) == []


def test_names_in_the_tables_of_others() -> None:
    assert PEER.key("openai", "gpt-4o") == "gpt-4o"
    assert PEER.key("google", "gemini-1.5-pro") == "gemini/gemini-1.5-pro"
    assert PEER.key("anthropic", "claude-3-opus") is None
    assert PEER.key("aws", "claude-3-opus") == "claude-3-opus"
    assert PEER.rates("openai", "whisper-1") == {"audio_seconds": Rate(1, 10)}
    assert PEER.rates("openai", "dall-e-3") is None
    assert set(PEER.names()) == {
        "openai/gpt-4o",
        "openai/gpt-4",
        "openai/whisper-1",
        "openai/dall-e-3",
        "google/gemini-1.5-pro",
        "aws/claude-3-opus",
    }


def test_installed_tables_are_read_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "tokencost").mkdir(parents=True)
    (site / "litellm").mkdir()
    (site / "tokencost-0.1.26.dist-info").mkdir()
    (site / "tokencost" / "model_prices.json").write_text(json.dumps(dict(PEER.table)))
    (site / "litellm" / "model_prices_and_context_window_backup.json").write_text("not json")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "absent"), str(site)])
    (peer,) = installed_peers()
    assert (peer.name, peer.version) == ("tokencost", "0.1.26")
    assert peer.rates("openai", "gpt-4o") == {"input": Rate(3000, 1), "output": Rate(10000, 1)}
    (site / "tokencost-0.1.26.dist-info").rmdir()
    assert installed_peers()[0].version == "unknown"
    (site / "tokencost" / "model_prices.json").write_text("[]")
    assert installed_peers() == []


def test_old_sources(tmp_path: Path) -> None:
    assert OWN.own.checked is not None
    looked = datetime.combine(OWN.own.checked, time(12), tzinfo=UTC)
    assert list(stale(OWN, looked + timedelta(days=90))) == []
    (finding,) = stale(OWN, looked + timedelta(days=91))
    assert finding.name == "the project's catalogue"
    assert "91 days ago" in finding.text
    path = tmp_path / "prices.yaml"
    path.write_text("checked: 2026-01-01\n")
    (finding,) = stale(Catalogue.load(None, path), NOW)
    assert finding.name == "prices.yaml"
    path.write_text("aliases: {a: openai/gpt-4o}\n")
    assert list(stale(Catalogue.load(None, path), NOW)) == []


@pytest.mark.no_cover
def test_models_that_nobody_used_yet_are_compared_too() -> None:
    found = [one for one in check(OWN, [], NOW, [PEER]) if one.kind == "differs" and "othertable" in one.text]
    assert [one.name for one in found] == ["openai/gpt-4o"]


def test_of_several_files_the_one_not_looked_at_for_longest_decides() -> None:
    files = [f"checked: {day}".encode() for day in ("2026-11-01", "2026-03-01", "2026-10-01")]
    plain = read_book(parse(text, Path("prices.yaml")) for text in files)
    assert plain["checked"] == "2026-03-01"


RICH = Peer(
    "othertable",
    "1.2",
    {
        "gpt-4o": {
            "litellm_provider": "openai",
            "input_cost_per_token": 2.5e-06,
            "output_cost_per_token": 1e-05,
            "cache_read_input_token_cost": 1.1e-06,
            "input_cost_per_token_batches": 1.3e-06,
            "output_cost_per_token_batches": 5e-06,
            "cache_creation_input_token_cost": 0,
        },
        "gpt-5.4": {
            "litellm_provider": "openai",
            "input_cost_per_token": 2.5e-06,
            "output_cost_per_token": 1.5e-05,
            "input_cost_per_token_above_272k_tokens": 5e-06,
            "output_cost_per_token_above_272k_tokens": 2e-05,
        },
        "azure_ai/deepseek-v3.2": {
            "litellm_provider": "azure_ai",
            "input_cost_per_token": 6e-07,
            "output_cost_per_token": 1.68e-06,
        },
        "dashscope/qwen3-max": {
            "litellm_provider": "dashscope",
            "tiered_pricing": [
                {"input_cost_per_token": 1.2e-06, "output_cost_per_token": 6e-06, "range": [0, 32000.0]},
                {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.2e-05, "range": [32000, 128000]},
                {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "range": [128000, 252000]},
            ],
        },
        "perplexity/sonar": {
            "litellm_provider": "perplexity",
            "input_cost_per_token": 1e-06,
            "output_cost_per_token": 1e-06,
            "search_context_cost_per_query": {"search_context_size_medium": 0.008},
        },
    },
)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        (
            "openai/gpt-4o",
            "$1.25 per million cached input tokens, $1.25 per million input tokens (batch)",
            "$1.1 per million cached input tokens, $1.3 per million input tokens (batch)",
        ),
        (
            "openai/gpt-5.4",
            "$22.5 per million output tokens above 272,000",
            "$20 per million output tokens above 272,000",
        ),
        (
            "dashscope/qwen3-max",
            "$2.4 per million input tokens above 32,000",
            "$2.5 per million input tokens above 32,000",
        ),
        ("azure/deepseek-v3.2", "$0.58 per million input tokens", "$0.6 per million input tokens"),
        ("perplexity/sonar", "per thousand", "$8 per thousand web searches"),
    ],
)
def test_every_rate_is_compared_under_the_name_that_each_table_uses(
    name: str, ours: str, theirs: str
) -> None:
    found = [one.text for one in differences(OWN, [name], NOW, [RICH]) if "othertable" in one.text]
    assert len(found) == 1
    before, _, after = found[0].partition(", othertable 1.2 says ")
    assert ours in before
    assert after == theirs


def test_the_package_is_held_against_us_by_its_own_answer() -> None:
    """genai-prices gives Azure's DeepSeek the maker's price, though we never ask it for one."""
    (found,) = differences(OWN, ["azure/deepseek-v3.2"], NOW)
    assert "(deepseek/deepseek-v3.2)" in found.text


def test_partial_calls_are_told_until_their_units_have_a_price(tmp_path: Path) -> None:
    made = call("acme", "finder", Usage(1_000, file_searches=4))
    example = dataclasses.replace(
        made,
        charge=Charge({"input": Nanos(1_000_000)}, PricedBy("profile", "1", "acme/finder")),
        unpriced_units={"file_searches": 4},
    )
    used = [UsedModel("acme", "finder", 9, partial_calls=2, partial_example=example)]
    path = tmp_path / "prices.yaml"
    price = "models: {acme/finder: {since: 2026-01-01, source: x, per_million_tokens: {input: 1}"
    path.write_text(f"{price}}}}}\n")
    found = list(partial(Catalogue.load(None, path), used))
    assert [(one.kind, one.name, one.text) for one in found] == [
        ("partial", "acme/finder", "2 of 9 calls have units without a price: file_searches")
    ]
    path.write_text(f"{price}, per_thousand_file_searches: 2}}}}\n")
    found = list(partial(Catalogue.load(None, path), used))
    assert [(one.kind, one.text) for one in found] == [
        ("repriceable", "2 of 9 calls have units without a price; there are prices now")
    ]


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("billed", "computed", "told"),
    [
        ("1.02", "1", True),
        ("1.005", "1", False),
        ("0.02", "0.012", False),
        ("0.03", "0.012", True),
        ("5", "0", False),
    ],
)
def test_a_bill_that_is_apart_from_our_arithmetic_is_told(billed: str, computed: str, told: bool) -> None:
    used = [UsedModel("openrouter", "openai/gpt-4o", 3, billed=from_usd(billed), computed=from_usd(computed))]
    assert bool([*bills(OWN, used)]) is told


def test_coverage_of_what_the_ledgers_used() -> None:
    used = [
        UsedUnits("openai", "gpt-4o", 5, frozenset({"tokens_input", "tokens_output", "tokens_cached"})),
        UsedUnits("openai", "gpt-9", 2, frozenset({"tokens_input"})),
        UsedUnits("vertex_ai", "claude-sonnet-5-5", 1, frozenset({"tokens_input", "web_searches"})),
        UsedUnits("deepgram", "nova-3", 4, frozenset({"audio_seconds"})),
    ]
    assert of_used(OWN, used, NOW) == [
        Coverage("openai/gpt-9", "unknown", ("tokens_input",), 2),
        Coverage("anthropic/claude-sonnet-5-5", "partial", ("web_searches",), 1),
        Coverage("openai/gpt-4o", "whole", (), 5),
        Coverage("deepgram/nova-3", "whole", (), 4),
    ]


def test_coverage_of_what_is_known() -> None:
    table = Peer(
        "othertable",
        "1",
        {
            "gpt-9": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
            "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
            "elevenlabs/scribe_v2": {"litellm_provider": "elevenlabs", "input_cost_per_character": 1e-06},
            "gpt-10": {"litellm_provider": "openai"},
        },
    )
    known = {one.name: one for one in of_known(OWN, NOW, [table])}
    assert len(known) > 3_000
    assert known["openai/gpt-9"].state == "unknown"
    assert known["openai/gpt-4o"].state == "whole"
    assert known["groq/gemma2-9b-it"].state == "whole"
    assert "openai/gpt-10" not in known
    assert sum(count.total() for count in counted(known.values()).values()) == len(known)
