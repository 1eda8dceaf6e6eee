"""genai-prices: everything it says is converted exactly, its matching is not used, it is imported rarely."""

from __future__ import annotations

import importlib.metadata
import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from shared.costs.memory import Memory
from shared.costs.model import Charge, Unpriced, Usage
from shared.costs.pricing.arithmetic import Shortfall, amounts, quantities
from shared.costs.pricing.genai import GenaiPrices, installed_version, look_up
from shared.costs.pricing.rates import PriceList

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONTEXTS = {
    None: None,
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}


def random_usage(dice: random.Random) -> Usage:
    def tokens(chance: float) -> int:
        return int(10 ** dice.uniform(0, 5.6)) if dice.random() < chance else 0

    text, cached, write, hour, audio, both, image = (tokens(p) for p in (1, 0.5, 0.2, 0.1, 0.2, 0.1, 0.1))
    out, thought, audio_out, image_out = (tokens(p) for p in (0.9, 0.3, 0.1, 0.1))
    return Usage(
        tokens_input=text + cached + write + hour + audio + both + image,
        tokens_cached=cached + both,
        tokens_cache_write=write + hour,
        tokens_cache_write_1h=hour,
        tokens_audio_input=audio + both,
        tokens_audio_cached=both,
        tokens_image_input=image,
        tokens_output=out + thought + audio_out + image_out,
        tokens_reasoning=thought,
        tokens_audio_output=audio_out,
        tokens_image_output=image_out,
        web_searches=dice.randint(0, 3) if dice.random() < 0.1 else 0,
    )


def unit_usage(dice: random.Random) -> Usage:
    kind = dice.randrange(3)
    return Usage(
        audio_seconds=round(dice.uniform(0, 7_200), 3) if kind == 0 else 0,
        characters=dice.randint(1, 10**6) if kind == 1 else 0,
        pages=dice.randint(1, 500) if kind == 2 else 0,
    )


def theirs(usage: Usage) -> Any:
    from genai_prices import Usage as TheirUsage

    return TheirUsage(
        input_tokens=usage.tokens_input,
        output_tokens=usage.tokens_output,
        cache_read_tokens=usage.tokens_cached,
        cache_write_tokens=usage.tokens_cache_write,
        cache_write_1h_tokens=usage.tokens_cache_write_1h,
        input_audio_tokens=usage.tokens_audio_input,
        cache_audio_read_tokens=usage.tokens_audio_cached,
        input_image_tokens=usage.tokens_image_input,
        output_reasoning_tokens=usage.tokens_reasoning,
        output_audio_tokens=usage.tokens_audio_output,
        output_image_tokens=usage.tokens_image_output,
        cache_image_read_tokens=0,
        audio_seconds=usage.audio_seconds,
        input_audio_seconds=usage.audio_seconds,
        input_characters=usage.characters,
        input_document_pages=usage.pages,
        web_searches=usage.web_searches,
    )


def exact(prices: PriceList, usage: Usage, at: datetime, tier: str | None) -> Fraction | None:
    """Return our charge before rounding, in nano-dollars; ``None`` where we refuse to price."""
    price = prices.at(at, tier)
    if price is None or isinstance(amounts(price, usage), Shortfall):
        return None
    if amounts(price, usage).missing:  # type: ignore[union-attr]  # no Shortfall, see above
        return None
    taken, rates = quantities(price, usage), price.rates_for(usage.tokens_input)
    assert not isinstance(taken, Shortfall)
    return sum((Fraction(n * rates[part].nanos, rates[part].units) for part, n in taken.items()), Fraction())


@pytest.mark.no_cover
def test_every_model_agrees_with_the_package_at_any_date_and_tier() -> None:
    from genai_prices.data import providers

    from shared.costs.pricing.genai_types import convert

    dice, compared = random.Random(20261122), 0
    for provider in providers:
        for model in provider.models:
            prices = convert(provider, model)
            for make in (random_usage, random_usage, random_usage, unit_usage):
                at = datetime.fromtimestamp(dice.uniform(1.70e9, 1.85e9), UTC)
                tier = dice.choice([None, None, *CONTEXTS])
                usage = make(dice)
                ours = exact(prices, usage, at, tier)
                if ours is None:
                    continue
                found = model.calc_price(
                    theirs(usage), provider, genai_request_timestamp=at, price_context=CONTEXTS[tier]
                )
                compared += 1
                # Their decimals are cut at 28 digits; ours are not cut before the one rounding.
                assert abs(ours - Fraction(found.total_price) * 10**9) < Fraction(1, 10**6), prices.name
    assert compared > 2_000


def test_where_we_price_a_tier_the_package_does_not_fall_back_to_standard() -> None:
    prices = look_up("openai", "gpt-4o")
    assert prices is not None
    assert set(prices.tiers) == {"batch", "priority", "fast"}
    assert prices.at(datetime(2026, 10, 13, tzinfo=UTC), "batch") is None
    assert prices.at(datetime(2026, 10, 14, tzinfo=UTC), "batch") is not None
    assert prices.at(NOW, "flex") is None


@pytest.mark.parametrize(
    ("service", "name", "expected"),
    [
        ("anthropic", "claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-4-5-latest", "anthropic/claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-0"),
        ("anthropic", "claude-sonnet-4-5-my-finetune", None),
        ("anthropic", "my-claude-sonnet-4-5", None),
        ("anthropic", "claude-fable-5-20260101", "anthropic/claude-fable-5"),
        ("openai", "gpt-5-20250807", "openai/gpt-5"),
        ("openai", "gpt-5-acme", None),
        ("openai", "gpt-4o-2031-01-01", None),
        ("google", "gemini-2.5-pro-preview-05-06", "google/gemini-2.5-pro"),
        ("google", "gemini-2.0-flash-001", "google/gemini-2.0-flash"),
        ("google", "gemini-1.5-flash-8b", None),
        ("google", "gemini-2.5-pro-tts", "google/gemini-2.5-pro-tts"),
        ("azure", "gpt-5", None),  # Azure sells it at OpenAI's price: the catalogue says so
        (
            "aws",
            "anthropic.claude-3-haiku-20240307-v1:0",
            "aws/regional.anthropic.claude-3-haiku-20240307-v1:0",
        ),
        ("aws", "amazon.nova-lite-v1:0", "aws/amazon.nova-lite-v1:0"),
        ("aws", "acme.corp.internal.amazon.nova-lite-v1:0", None),
        ("azure", "o4-mini", "azure/o4-mini"),
        ("azure", "eu/o4-mini", None),
        ("azure", "us/o4-mini", None),
        ("azure", "us/o4-mini-2025-04-16", None),
        ("azure", "global/o4-mini", None),
        ("aws", "us.amazon.nova-lite-v1:0", "aws/amazon.nova-lite-v1:0"),
        ("aws", "eu.amazon.nova-lite-v1:0", None),
        ("aws", "apac.amazon.nova-pro-v1:0", None),
        ("aws", "us-gov.nvidia.nemotron-nano-9b-v2", None),
        ("aws", "us-gov.anthropic.claude-3-haiku-20240307-v1:0", None),
        ("aws", "us-gov.anthropic.claude-sonnet-5", "aws/regional.anthropic.claude-sonnet-5-v1:0"),
        ("aws", "eu.anthropic.claude-sonnet-5", "aws/regional.anthropic.claude-sonnet-5-v1:0"),
        ("aws", "global.anthropic.claude-sonnet-5", "aws/global.anthropic.claude-sonnet-5-v1:0"),
        (
            "aws",
            "eu.anthropic.claude-3-opus-20240229-v1:0",
            "aws/regional.anthropic.claude-3-opus-20240229-v1:0",
        ),
        ("openai", "gpt-4o-mini-realtime-preview-2024-12-17", "openai/gpt-4o-mini-realtime-preview"),
        ("openai", "computer-use-preview", "openai/computer-use"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc123", "openai/ft:gpt-4o-mini"),
        ("openai", "ft:gpt-3.5-turbo-0125", "openai/ft:gpt-3.5-turbo-"),
        ("openai", "ft:gpt-9-2026-01-01:acme::abc123", None),
        ("acme", "gpt-4o", None),
    ],
)
def test_names_are_matched_whole(service: str, name: str, expected: str | None) -> None:
    found = look_up(service, name)
    assert (found.name if found else None) == expected


def test_doubted_prices_are_marked() -> None:
    prices = look_up("google", "gemini-1.0-pro-vision-001")
    assert prices is not None
    assert all(price.unverified for price in prices.prices)


def test_prices_by_time_of_day_keep_their_hours() -> None:
    prices = look_up("deepseek", "deepseek-v4-pro")
    assert prices is not None
    assert {price.hours for price in prices.prices} == {(60, 240), (360, 600), None}
    assert prices.tiers == {}


def test_the_shortest_audio_that_groq_bills() -> None:
    prices = look_up("groq", "whisper-large-v3")
    assert prices is not None
    price = prices.at(NOW)
    assert price is not None
    assert amounts(price, Usage(audio_seconds=2)) == amounts(price, Usage(audio_seconds=10))


def test_models_without_any_rate_are_unpriced() -> None:
    prices = look_up("google", "gemma-3")
    assert prices is not None
    price = prices.at(NOW)
    assert price is not None
    assert isinstance(amounts(price, Usage(5, 5)), Shortfall)


def test_the_version_is_found_without_importing_anything_heavy() -> None:
    assert installed_version() == importlib.metadata.version("genai_prices")


def test_without_the_package_there_is_no_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "genai_prices").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "absent")])
    assert installed_version() == ""
    source = GenaiPrices(Memory(tmp_path))
    assert source.find("openai", "gpt-5") is None


def test_what_was_asked_is_remembered_per_version(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    first = GenaiPrices(memory).find("openai", "gpt-5")
    assert first is not None
    assert GenaiPrices(memory).find("openai", "gpt-5", ask=False) == first
    assert GenaiPrices(memory, version="9.9").find("openai", "gpt-5", ask=False) is None
    assert GenaiPrices(memory).find("openai", "gpt-99") is None
    found = memory.read(f"genai-prices-{installed_version()}")
    assert found is not None
    assert found["names"] == {"openai/gpt-5": "openai/gpt-5", "openai/gpt-99": None}


def test_two_processes_add_to_one_memory(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    one, two = GenaiPrices(memory), GenaiPrices(memory)
    assert one.find("openai", "nothing") is None
    assert two.find("openai", "gpt-5") is not None
    assert one.find("openai", "gpt-5-mini") is not None
    assert set(GenaiPrices(memory).remembered_names()) == {"openai/gpt-5", "openai/gpt-5-mini"}


def test_memory_of_another_shape_is_asked_again(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.write(f"genai-prices-{installed_version()}", {"something": "else"})
    assert GenaiPrices(memory).find("openai", "gpt-5") is not None


def test_names_that_were_matched_by_an_earlier_rule_are_asked_again(tmp_path: Path) -> None:
    memory, name = Memory(tmp_path), f"genai-prices-{installed_version()}"
    assert GenaiPrices(memory).find("azure", "o4-mini") is not None
    found = memory.read(name)
    assert found is not None
    names = {"azure/eu/o4-mini": "azure/o4-mini"}
    memory.write(name, {"names": names, "models": found["models"]})
    source = GenaiPrices(memory)
    assert source.remembered_names() == ["azure/o4-mini"]
    assert source.find("azure", "eu/o4-mini") is None
    found = memory.read(name)
    assert found is not None
    assert found["names"] == {"azure/eu/o4-mini": None}


def test_a_broken_package_is_told_and_the_call_is_unpriced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    assert GenaiPrices(Memory(tmp_path)).find("openai", "gpt-5") is None
    assert "cannot be imported" in caplog.text
    monkeypatch.undo()
    assert GenaiPrices(Memory(tmp_path)).find("openai", "gpt-5") is not None


PROGRAM = """
import json, sys
from datetime import datetime, UTC
from pathlib import Path
from shared.costs.model import Usage
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.storage import CostStorage

catalogue = Catalogue.load(CostStorage(Path(sys.argv[1])))
found = catalogue.charge(sys.argv[2], sys.argv[3], Usage(1000, 1000), datetime(2026, 11, 22, tzinfo=UTC))
print(json.dumps([getattr(found, "total", None), sorted(sys.modules)]))
"""


def priced_in_a_process(storage: Path, service: str, model: str) -> tuple[int | None, set[str]]:
    command = [sys.executable, "-c", PROGRAM, str(storage), service, model]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    total, modules = json.loads(done.stdout)
    return total, set(modules)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5", "gpt-99"])
def test_a_known_model_imports_neither_the_package_nor_the_yaml_parser(tmp_path: Path, model: str) -> None:
    first, modules = priced_in_a_process(tmp_path, "openai", model)
    assert ("genai_prices" in modules) is (model != "gpt-4o")
    assert "yaml" in modules
    second, modules = priced_in_a_process(tmp_path, "openai", model)
    assert first == second
    heavy = {"genai_prices", "pydantic", "yaml", "importlib.metadata", "filelock", "platformdirs", "hashlib"}
    assert not heavy & modules


def test_charges_say_what_priced_them(tmp_path: Path) -> None:
    from shared.costs.pricing.catalogue import Catalogue

    found = Catalogue.load().charge("openai", "gpt-5", Usage(1_000, 1_000), NOW)
    assert not isinstance(found, Unpriced)
    assert isinstance(found, Charge)
    assert found.priced_by.source == "genai-prices"
    # What OpenAI's hosted tools cost comes from the project's own catalogue.
    assert found.priced_by.version.startswith(f"{installed_version()}+catalogue:")
