"""Every row of the table of price facts, with its traps. USD per million tokens unless a unit is given."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.costs.model import Charge, Unpriced, Usage
from shared.costs.money import from_usd
from shared.costs.pricing.catalogue import Catalogue

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MILLION = 1_000_000


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def named(name: str) -> tuple[str, str]:
    service, _, model = name.partition("/")
    return service, model


def usd(catalogue: Catalogue, name: str, usage: Usage, at: datetime = NOW, tier: str | None = None) -> int:
    found = catalogue.charge(*named(name), usage, at, tier)
    assert isinstance(found, Charge), found
    assert found.total == sum(found.parts.values())
    return found.total


TOKENS = [
    # model, USD per million in, out
    ("openai/gpt-4o", "2.50", "10"),
    ("openai/gpt-4o-2024-05-13", "5", "15"),
    ("openai/gpt-4o-2024-08-06", "2.50", "10"),
    ("openai/gpt-4o-mini", "0.15", "0.60"),
    ("openai/gpt-4", "30", "60"),
    ("openai/gpt-4-turbo", "10", "30"),
    ("openai/gpt-3.5-turbo", "0.50", "1.50"),
    ("openai/gpt-3.5-turbo-1106", "1", "2"),
    ("openai/gpt-3.5-turbo-0613", "1.5", "2"),
    ("openai/gpt-3.5-turbo-16k", "3", "4"),
    ("google/gemini-pro", "0.50", "1.50"),
    ("anthropic/claude-3-opus", "15", "75"),
    ("anthropic/claude-3-sonnet", "3", "15"),
    ("anthropic/claude-3-5-sonnet", "3", "15"),
    ("anthropic/claude-3-7-sonnet", "3", "15"),
    ("anthropic/claude-sonnet-4", "3", "15"),
    ("anthropic/claude-3-haiku", "0.25", "1.25"),
    ("azure/gpt-4", "30", "60"),
    ("azure/gpt-4o", "2.50", "10"),
    ("azure/gpt-35-turbo", "0.50", "1.50"),
    ("indictrans2/api", "1.00", "1.00"),
]


@pytest.mark.parametrize(("name", "price_in", "price_out"), TOKENS)
def test_rates_of_plain_tokens(catalogue: Catalogue, name: str, price_in: str, price_out: str) -> None:
    assert usd(catalogue, name, Usage(tokens_input=100_000)) == from_usd(price_in) // 10
    assert usd(catalogue, name, Usage(tokens_output=100_000)) == from_usd(price_out) // 10


CACHES = [
    ("openai/gpt-4o", "cached", "1.25"),
    ("openai/gpt-4o-mini", "cached", "0.075"),
    ("google/gemini-1.5-flash", "cached", "0.01875"),
    ("anthropic/claude-3-opus", "cached", "1.50"),
    ("anthropic/claude-3-opus", "cache_write", "18.75"),
    ("anthropic/claude-3-opus", "cache_write_1h", "30"),
    *[
        (f"anthropic/claude-{model}", part, price)
        for model in ("3-sonnet", "3-5-sonnet", "3-7-sonnet", "sonnet-4")
        for part, price in (("cached", "0.30"), ("cache_write", "3.75"), ("cache_write_1h", "6"))
    ],
    ("anthropic/claude-3-haiku", "cached", "0.03"),
    ("anthropic/claude-3-haiku", "cache_write", "0.30"),
    ("anthropic/claude-3-haiku", "cache_write_1h", "0.50"),
]


@pytest.mark.parametrize(("name", "part", "price"), CACHES)
def test_rates_of_caches(catalogue: Catalogue, name: str, part: str, price: str) -> None:
    tokens = 100_000
    usage = {
        "cached": Usage(tokens_input=tokens, tokens_cached=tokens),
        "cache_write": Usage(tokens_input=tokens, tokens_cache_write=tokens),
        "cache_write_1h": Usage(tokens_input=tokens, tokens_cache_write=tokens, tokens_cache_write_1h=tokens),
    }[part]
    found = catalogue.charge(*named(name), usage, NOW)
    assert isinstance(found, Charge)
    assert dict(found.parts) == {part: from_usd(price) // 10}


def test_batch_of_gpt_4o_is_half(catalogue: Catalogue) -> None:
    usage = Usage(tokens_input=MILLION, tokens_output=MILLION)
    assert usd(catalogue, "openai/gpt-4o", usage, tier="batch") == from_usd("6.25")


@pytest.mark.parametrize(
    ("tokens", "total"),
    [(128_000, "0.165"), (128_001, "0.3300025")],
)
def test_gemini_pro_above_its_tier_is_dearer_as_a_whole(
    catalogue: Catalogue, tokens: int, total: str
) -> None:
    usage = Usage(tokens_input=tokens, tokens_output=1_000)
    assert usd(catalogue, "google/gemini-1.5-pro", usage) == from_usd(total)


@pytest.mark.parametrize(
    ("day", "price_in", "price_out"),
    [((2024, 6, 1), "3.50", "10.50"), ((2024, 9, 30), "3.50", "10.50"), ((2024, 10, 1), "1.25", "5")],
)
def test_gemini_pro_before_october_2024(
    catalogue: Catalogue, day: tuple[int, int, int], price_in: str, price_out: str
) -> None:
    at = datetime(*day, 12, tzinfo=UTC)
    assert (
        usd(catalogue, "google/gemini-1.5-pro", Usage(tokens_input=1_000), at) == from_usd(price_in) // 1000
    )
    assert (
        usd(catalogue, "google/gemini-1.5-pro", Usage(tokens_output=1_000), at) == from_usd(price_out) // 1000
    )


@pytest.mark.parametrize(
    ("model", "small", "large"),
    [
        ("gemini-1.5-flash", ("0.075", "0.30"), ("0.15", "0.60")),
        ("gemini-1.5-flash-8b", ("0.0375", "0.15"), ("0.075", "0.30")),
    ],
)
def test_gemini_flash_and_its_half_priced_sibling(
    catalogue: Catalogue, model: str, small: tuple[str, str], large: tuple[str, str]
) -> None:
    for tokens, (price_in, price_out) in ((100_000, small), (200_000, large)):
        expected = from_usd(price_in) * tokens // MILLION + from_usd(price_out) * 10_000 // MILLION
        assert usd(catalogue, f"google/{model}", Usage(tokens_input=tokens, tokens_output=10_000)) == expected


def test_gemini_flash_cache_above_the_tier(catalogue: Catalogue) -> None:
    usage = Usage(tokens_input=200_000, tokens_cached=200_000)
    assert usd(catalogue, "google/gemini-1.5-flash", usage) == from_usd("0.0375") // 5


PER_UNIT = [
    ("openai/whisper-1", Usage(audio_seconds=60), "0.006"),
    ("openai/whisper-1", Usage(audio_seconds=90.5), "0.00905"),
    ("whisperx/large-v3", Usage(audio_seconds=60), "0.006"),
    ("deepgram/nova-3", Usage(audio_seconds=60), "0.0043"),
    ("openai/tts-1", Usage(characters=1_000), "0.015"),
    ("google/imagen-4.0-generate-001", Usage(images=3), "0.12"),
    ("mistral/mistral-ocr-latest", Usage(pages=1_000), "4"),
    ("anthropic/claude-3-7-sonnet", Usage(web_searches=5), "0.05"),
    ("perplexity/sonar", Usage(requests=1_000), "12"),
    ("whisperx/large-v2", Usage(audio_seconds=600), "0.06"),
    ("whisperx/medium", Usage(audio_seconds=60), "0.004"),
]


@pytest.mark.parametrize(("name", "usage", "total"), PER_UNIT)
def test_audio_and_other_units(catalogue: Catalogue, name: str, usage: Usage, total: str) -> None:
    assert usd(catalogue, name, usage) == from_usd(total)


@pytest.mark.parametrize("usage", [Usage(tokens_input=9), Usage(tokens_output=9)])
def test_whisper_has_no_price_for_tokens(catalogue: Catalogue, usage: Usage) -> None:
    found = catalogue.charge("openai", "whisper-1", usage, NOW)
    assert isinstance(found, Unpriced)
    assert "openai/whisper-1 has no price for tokens_" in found.reason
    assert "2026-11-22" in found.reason
    assert "add it to prices.yaml beside your profile" in found.reason


@pytest.mark.parametrize(
    "model", ["mlx-whisper", "indictrans2-local", "pyannote", "pocketsphinx", "apertium", "x"]
)
def test_local_models_cost_an_explicit_zero(catalogue: Catalogue, model: str) -> None:
    usage = Usage(tokens_input=10**9, tokens_output=10**9, audio_seconds=10**6, pages=7, images=3)
    found = catalogue.charge("local", model, usage, NOW)
    assert isinstance(found, Charge)
    assert found.total == 0
    assert found.priced_by.model == f"local/{model}"
    assert catalogue.is_local("local", model)


@pytest.mark.parametrize("service", ["pocketsphinx", "apertium", "mlx-whisper", "faster-whisper", "ollama"])
def test_local_engines_are_local_by_their_own_name(catalogue: Catalogue, service: str) -> None:
    assert catalogue.is_local(service, "default")
    assert usd(catalogue, f"{service}/default", Usage(audio_seconds=5)) == 0


def test_ollama_models_in_the_cloud_are_not_local(catalogue: Catalogue) -> None:
    assert not catalogue.is_local("ollama", "gpt-oss:120b-cloud")
    assert isinstance(catalogue.charge("ollama", "gpt-oss:120b-cloud", Usage(5, 5), NOW), Unpriced)


@pytest.mark.parametrize("name", ["openai/gpt-4o", "whisperx/medium", "anthropic/claude-3-opus"])
def test_paid_models_are_not_local(catalogue: Catalogue, name: str) -> None:
    assert not catalogue.is_local(*named(name))


@pytest.mark.parametrize(
    ("name", "unverified"),
    [
        ("google/gemini-pro", True),
        ("indictrans2/api", True),
        ("google/gemini-1.5-pro", False),
        ("openai/gpt-4o", False),
        ("anthropic/sonnet", True),
    ],
)
def test_doubtful_prices_are_marked(catalogue: Catalogue, name: str, unverified: bool) -> None:
    found = catalogue.charge(*named(name), Usage(1_000, 1_000), NOW)
    assert isinstance(found, Charge)
    assert found.priced_by.unverified is unverified


def test_claims_that_circulate_and_are_wrong(catalogue: Catalogue) -> None:
    assert usd(catalogue, "openai/gpt-4o", Usage(1_500, 300)) == from_usd("0.00675")
    assert usd(catalogue, "openai/gpt-4o", Usage(1_000, 200)) == from_usd("0.0045")
    # Not $0.00025 per 1,000 both ways, not Opus's price, not GPT-4's.
    assert usd(catalogue, "google/gemini-1.5-pro", Usage(1_000, 1_000)) == from_usd("0.00625")
    assert usd(catalogue, "anthropic/claude-3-7-sonnet", Usage(1_000, 1_000)) == from_usd("0.018")
    assert usd(catalogue, "openai/gpt-4o", Usage(1_000, 1_000)) == from_usd("0.0125")


FINETUNES = [
    "anthropic/claude-sonnet-4-5-my-finetune",
    "anthropic/claude-3-opus-mine",
    "google/gemini-1.5-pro-tuned",
    "google/my-gemini-1.5-flash",
    "openai/gpt-4o-acme",
    "openai/ft:gpt-4o-2024-08-06:acme::abc123",
    "openai/gpt-4o-mini-2024-07-18-acme",
]


@pytest.mark.parametrize("name", FINETUNES)
def test_finetunes_are_not_priced_as_what_their_name_begins_with(catalogue: Catalogue, name: str) -> None:
    found = catalogue.charge(*named(name), Usage(1_000, 1_000), NOW)
    if isinstance(found, Charge):
        # OpenAI publishes a price for fine-tuned models of its own naming scheme.
        assert found.priced_by.model.startswith("openai/ft:")
    else:
        assert name in found.reason


NAMES = [
    ("openai", "openai/gpt-4o", "openai/gpt-4o"),
    ("", "openai/gpt-4o", "openai/gpt-4o"),
    ("litellm", "openai/gpt-4o", "openai/gpt-4o"),
    ("OpenAI", "GPT-4o", "openai/gpt-4o"),
    ("openai", "gpt4o", "openai/gpt-4o"),
    ("openai", "gpt4mini", "openai/gpt-4o-mini"),
    ("openai", "gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
    ("openai", "text-embedding-3-large", "openai/text-embedding-3-large"),
    ("", "text-embedding-3-large", "openai/text-embedding-3-large"),
    ("gemini", "models/gemini-1.5-pro", "google/gemini-1.5-pro"),
    ("google", "models/gemini-1.5-pro-002", "google/gemini-1.5-pro"),
    ("vertex_ai", "publishers/google/models/gemini-1.5-flash", "google/gemini-1.5-flash"),
    ("", "models/gemini-2.5-flash", "google/gemini-2.5-flash"),
    ("claude", "claude-3-opus-20240229", "anthropic/claude-3-opus"),
    ("anthropic", "claude-3-5-sonnet-latest", "anthropic/claude-3-5-sonnet"),
    ("anthropic", "claude-3-5-sonnet@20240620", "anthropic/claude-3-5-sonnet"),
    ("anthropic", "sonnet", "anthropic/claude-sonnet-5-5"),
    ("anthropic", "haiku", "anthropic/claude-haiku-5-5"),
    (
        "bedrock",
        "us.anthropic.claude-sonnet-4-20250514-v1:0",
        "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0",
    ),
    ("azure_openai", "gpt-35-turbo", "openai/gpt-3.5-turbo"),
]


@pytest.mark.parametrize(("service", "model", "expected"), NAMES)
def test_models_are_found_by_their_many_names(
    catalogue: Catalogue, service: str, model: str, expected: str
) -> None:
    found = catalogue.charge(service, model, Usage(tokens_input=1_000), NOW)
    assert isinstance(found, Charge), found
    assert found.priced_by.model == expected
    assert catalogue.name(service, model) == expected


@pytest.mark.parametrize(
    ("family", "day", "expected"),
    [
        ("haiku", (2024, 5, 1), "claude-3-haiku"),
        ("haiku", (2025, 10, 14), "claude-3-5-haiku"),
        ("haiku", (2026, 10, 7), "claude-haiku-5-5"),
        ("sonnet", (2025, 9, 28), "claude-sonnet-4"),
        ("sonnet", (2025, 9, 29), "claude-sonnet-4-5"),
        ("claude-sonnet", (2026, 3, 1), "claude-sonnet-4-6"),
        ("opus", (2026, 4, 16), "claude-opus-4-7"),
        ("opus", (2026, 11, 1), "claude-opus-5-5"),
    ],
)
def test_a_bare_family_name_means_the_newest_of_its_day(
    catalogue: Catalogue, family: str, day: tuple[int, int, int], expected: str
) -> None:
    found = catalogue.charge("anthropic", family, Usage(1_000, 0), datetime(*day, tzinfo=UTC))
    assert isinstance(found, Charge)
    assert found.priced_by.model == f"anthropic/{expected}"
    assert found.priced_by.unverified  # which generation was meant is an assumption


TIERS = ["scale", "turbo", "unconfirmed", "Flex!", "standard ", "auto"]


@pytest.mark.parametrize("tier", TIERS)
def test_an_unknown_tier_never_gets_the_standard_price(catalogue: Catalogue, tier: str) -> None:
    found = catalogue.charge("openai", "gpt-4o", Usage(1_000, 1_000), NOW, tier)
    if tier.strip() in {"standard", "auto"}:
        assert isinstance(found, Charge)
    else:
        assert isinstance(found, Unpriced)
        assert "openai/gpt-4o" in found.reason


@pytest.mark.parametrize("tier", ["flex", "batch", "priority"])
def test_a_tier_without_a_price_is_unpriced(catalogue: Catalogue, tier: str) -> None:
    for name in ("whisperx/medium", "indictrans2/api"):
        found = catalogue.charge(*named(name), Usage(audio_seconds=60, tokens_input=10), NOW, tier)
        assert isinstance(found, Unpriced)


def test_batches_before_the_provider_offered_them_are_unpriced(catalogue: Catalogue) -> None:
    before, after = datetime(2024, 4, 14, tzinfo=UTC), datetime(2024, 4, 15, tzinfo=UTC)
    assert isinstance(catalogue.charge("openai", "gpt-4", Usage(10, 10), before, "batch"), Unpriced)
    assert usd(catalogue, "openai/gpt-4", Usage(10, 10), after, "batch") == from_usd("0.00045")


def test_batch_of_claude_halves_caches_too(catalogue: Catalogue) -> None:
    usage = Usage(tokens_input=3_000, tokens_cached=1_000, tokens_cache_write=1_000, tokens_output=1_000)
    expected = from_usd("0.0015") + from_usd("0.00015") + from_usd("0.001875") + from_usd("0.0075")
    assert usd(catalogue, "anthropic/claude-3-5-sonnet", usage, tier="batch") == expected


def test_gemini_audio_and_cache_without_details(catalogue: Catalogue) -> None:
    model = "gemini-2.5-flash"
    told = Usage(tokens_input=1_000, tokens_audio_input=600, tokens_cached=300, tokens_audio_cached=100)
    # 200 cached text, 100 cached audio, 500 audio, 200 text.
    assert usd(catalogue, f"google/{model}", told) == 200 * 30 + 100 * 100 + 500 * 1000 + 200 * 300
    silent = Usage(tokens_input=1_000, tokens_audio_input=900, tokens_cached=800)
    found = catalogue.charge("google", model, silent, NOW)
    assert isinstance(found, Unpriced)
    assert "tokens_audio_cached" in found.reason


def test_an_hour_in_the_cache_without_a_rate_is_not_priced_as_five_minutes(catalogue: Catalogue) -> None:
    usage = Usage(tokens_input=1_000, tokens_cache_write=1_000, tokens_cache_write_1h=1_000)
    found = catalogue.charge("openai", "gpt-6-sol", usage, NOW)
    assert isinstance(found, Unpriced)
    assert "tokens_cache_write_1h" in found.reason


def test_reasoning_is_paid_once_as_output(catalogue: Catalogue) -> None:
    thinking = Usage(tokens_input=10, tokens_output=1_000, tokens_reasoning=900)
    plain = Usage(tokens_input=10, tokens_output=1_000)
    assert usd(catalogue, "openai/o3", thinking) == usd(catalogue, "openai/o3", plain)


def test_audio_tokens_of_chat_models_are_not_priced_as_text(catalogue: Catalogue) -> None:
    usage = Usage(
        tokens_input=1_000, tokens_audio_input=1_000, tokens_output=1_000, tokens_audio_output=1_000
    )
    assert usd(catalogue, "openai/gpt-4o-audio-preview", usage) == from_usd("0.04") + from_usd("0.08")


@pytest.mark.parametrize(
    ("model", "at", "expected"),
    [
        # Off-peak hours of 2025, every day, over midnight.
        ("deepseek-chat", datetime(2025, 6, 1, 0, 15, tzinfo=UTC), "0.135"),
        ("deepseek-chat", datetime(2025, 6, 1, 1, 15, tzinfo=UTC), "0.27"),
        ("deepseek-chat", datetime(2025, 6, 1, 16, 15, tzinfo=UTC), "0.27"),
        ("deepseek-chat", datetime(2025, 6, 1, 17, 15, tzinfo=UTC), "0.135"),
        ("deepseek-chat", datetime(2025, 10, 1, 17, 15, tzinfo=UTC), "0.28"),
        ("deepseek-chat", datetime(2026, 6, 1, tzinfo=UTC), "0.14"),
        ("deepseek-reasoner", datetime(2025, 6, 1, 17, 15, tzinfo=UTC), "0.135"),
        ("deepseek-reasoner", datetime(2025, 6, 1, 12, tzinfo=UTC), "0.55"),
        # Peak hours: from 17 August 2026 every day, from the 23rd on weekdays, then not on holidays.
        ("deepseek-v4-pro", datetime(2026, 8, 16, 2, tzinfo=UTC), "0.435"),
        ("deepseek-v4-pro", datetime(2026, 8, 17, 2, tzinfo=UTC), "1.32"),
        ("deepseek-v4-pro", datetime(2026, 8, 17, 5, tzinfo=UTC), "0.66"),
        ("deepseek-v4-pro", datetime(2026, 8, 22, 2, tzinfo=UTC), "1.32"),  # a Saturday
        ("deepseek-v4-pro", datetime(2026, 8, 29, 2, tzinfo=UTC), "0.66"),  # a Saturday
        ("deepseek-v4-pro", datetime(2026, 8, 31, 9, 59, tzinfo=UTC), "1.32"),
        ("deepseek-v4-pro", datetime(2026, 8, 31, 10, 0, tzinfo=UTC), "0.66"),
        ("deepseek-v4-pro", datetime(2026, 10, 1, 7, tzinfo=UTC), "0.66"),  # a holiday
        ("deepseek-v4-pro", datetime(2026, 11, 23, 7, tzinfo=UTC), "1.32"),  # a Monday
        ("deepseek-v4-flash", datetime(2026, 8, 24, 7, tzinfo=UTC), "0.44"),
        ("deepseek-flash", datetime(2026, 9, 14, 7, tzinfo=UTC), "0.3"),
        ("deepseek-flash", datetime(2026, 9, 13, 7, tzinfo=UTC), "0.15"),  # a Sunday
    ],
)
def test_prices_by_hour_and_day(catalogue: Catalogue, model: str, at: datetime, expected: str) -> None:
    assert usd(catalogue, f"deepseek/{model}", Usage(tokens_input=MILLION), at) == from_usd(expected)


def test_the_price_of_gpt_4o_since_its_launch(catalogue: Catalogue) -> None:
    def at(day: datetime) -> int:
        return usd(catalogue, "openai/gpt-4o", Usage(tokens_input=MILLION), day)

    assert at(datetime(2024, 5, 13, tzinfo=UTC)) == from_usd(5)
    assert at(datetime(2024, 10, 1, 23, 59, tzinfo=UTC)) == from_usd(5)
    assert at(datetime(2024, 10, 2, tzinfo=UTC)) == from_usd("2.50")
    before = catalogue.charge("openai", "gpt-4o", Usage(10, 10), datetime(2024, 5, 12, tzinfo=UTC))
    assert isinstance(before, Unpriced)
    assert "not offered yet on 2024-05-12" in before.reason
