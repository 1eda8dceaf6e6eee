"""Prices for people: rates with dates and sources, the arithmetic of an example, cheaper models."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.costs.model import Charge, Usage
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.description import explain, listing
from shared.costs.pricing.rates import Price, Rate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OWN = Catalogue.load()


def test_every_rate_since_when_and_from_where() -> None:
    found = OWN.describe("openai", "gpt-4o", NOW)
    assert found is not None
    assert (found.name, found.local, found.kind) == ("openai/gpt-4o", False, "large chat")
    current = found.current
    assert current is not None
    assert current.since == datetime(2024, 10, 2, tzinfo=UTC)
    assert current.source == "catalogue"
    assert current.reference.startswith("https://")
    assert [str(rate) for rate in current.rates] == [
        "$2.5 per million input tokens",
        "$1.25 per million cached input tokens",
        "$10 per million output tokens",
        "$10 per thousand web searches",
        "$25 per thousand searches of the preview tool",
        "$2.5 per thousand file searches",
        "$0.03 per container",
    ]
    assert {price.source for price in found.prices} == {"catalogue", "genai-prices"}
    assert {price.tier for price in found.prices} >= {None, "batch", "priority"}


def test_only_what_holds_is_current() -> None:
    found = OWN.describe("openai", "gpt-4o", datetime(2024, 6, 1, tzinfo=UTC))
    assert found is not None
    current = [(price.since, price.tier) for price in found.prices if price.current]
    launch = datetime(2024, 5, 13, tzinfo=UTC)
    assert current == [(launch, None), (launch, "batch")]


def test_rates_of_larger_requests_are_told_apart() -> None:
    found = OWN.describe("google", "gemini-1.5-pro", NOW)
    assert found is not None
    assert found.current is not None
    assert "$2.5 per million input tokens in requests above 128,000 input tokens" in [
        str(rate) for rate in found.current.rates
    ]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "openai/gpt-4o",
            [
                "1,500 input tokens x $2.5 per million = $0.00375",
                "300 output tokens x $10 per million = $0.003",
                "total $0.00675",
            ],
        ),
        ("openai/whisper-1", ["90 s of audio x $0.006 per minute = $0.009", "total $0.009"]),
        ("openai/tts-1", ["1,000 characters x $15 per million = $0.015", "total $0.015"]),
        ("google/imagen-4.0-generate-001", ["1 image x $0.04 per image = $0.04", "total $0.04"]),
        (
            "openai/text-embedding-3-large",
            ["1,000 input tokens x $0.13 per million = $0.00013", "total $0.00013"],
        ),
        ("local/pocketsphinx", ["an explicit price of zero", "total $0"]),
    ],
)
def test_the_arithmetic_of_an_example(name: str, lines: list[str]) -> None:
    found = OWN.describe(*_named(name), NOW)
    assert found is not None
    assert list(found.example) == lines


def test_the_arithmetic_of_any_call() -> None:
    usage = Usage(audio_seconds=30)
    assert OWN.explain("openai", "whisper-1", usage, NOW)[-1] == "total $0.003"
    assert "no price" in OWN.explain("openai", "gpt-9", usage, NOW)[0]


def _named(name: str) -> tuple[str, str]:
    service, _, model = name.partition("/")
    return service, model


def test_a_model_without_a_price_has_no_description() -> None:
    assert OWN.describe("openai", "gpt-9", NOW) is None


def test_a_model_before_its_launch_says_so() -> None:
    found = OWN.describe("openai", "gpt-4o", datetime(2020, 1, 1, tzinfo=UTC))
    assert found is not None
    assert found.current is None
    assert "was not offered yet on 2020-01-01" in found.example[0]


def test_a_discount_shows_in_the_rates(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("services: {openai: {discount: {percent: 20, since: 2026-01-01, source: contract}}}\n")
    found = Catalogue.load(None, path).describe("openai", "gpt-4o", NOW)
    assert found is not None
    assert found.current is not None
    assert str(found.current.rates[0]) == "$2 per million input tokens"
    assert found.example[0] == "1,500 input tokens x $2 per million = $0.003"


def test_explaining_what_a_price_does_not_cover() -> None:
    price = Price({"input": Rate(1, 1), "audio_input": Rate(2, 1), "cached": Rate(1, 2)})
    assert explain(price, Usage(tokens_output=5)) == ("this price has no price for tokens_output",)
    overlap = Usage(tokens_input=10, tokens_audio_input=9, tokens_cached=9)
    assert "overlap" in explain(price, overlap)[0]
    assert explain(Price(), Usage(1)) == ("this price has no price for tokens_input",)


def test_a_price_of_nothing_known_has_no_example() -> None:
    from shared.costs.pricing.description import _example

    assert _example(Price({"audio_cached": Rate(1, 1)})) == ()


def test_cheaper_models_of_the_same_class() -> None:
    found = OWN.alternatives("openai", "gpt-4o", NOW)
    assert found
    assert all(other.kind == "large chat" and 0 < other.ratio < 1 for other in found)
    assert [other.ratio for other in found] == sorted(other.ratio for other in found)
    assert "openai/gpt-4o" not in {other.name for other in found}
    mini = {other.name for other in OWN.alternatives("openai", "gpt-4o-mini", NOW)}
    assert "openai/gpt-4.1-nano" in mini


def test_old_models_are_priced_but_not_proposed() -> None:
    small = {other.name for other in OWN.alternatives("openai", "gpt-3.5-turbo", NOW)}
    assert "openai/gpt-4o-mini" in small
    assert "google/gemini-1.5-flash-8b" not in small


def test_transcription_is_compared_by_the_minute() -> None:
    found = OWN.alternatives("openai", "whisper-1", NOW)
    assert found[0].name == "groq/whisper-large-v3-turbo"


@pytest.mark.parametrize(("service", "model"), [("openai", "gpt-9"), ("local", "x"), ("indictrans2", "api")])
def test_no_class_no_proposal(service: str, model: str) -> None:
    assert OWN.alternatives(service, model, NOW) == []


def test_a_model_that_is_not_priced_yet_has_no_cheaper_one() -> None:
    assert OWN.alternatives("openai", "gpt-4o", datetime(2020, 1, 1, tzinfo=UTC)) == []


def test_the_users_own_models_are_proposed(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "models: {acme/tiny: {class: small chat, since: 2026-01-01, source: x,"
        " per_million_tokens: {input: 0.01, output: 0.02}}}\n"
    )
    found = Catalogue.load(None, path).alternatives("openai", "gpt-4o-mini", NOW)
    assert found[0].name == "acme/tiny"


def test_every_member_of_a_class_has_a_price() -> None:
    for name, kind in OWN.own.plain["classes"].items():
        reference = OWN.reference(kind)
        assert reference
        found = OWN.charge(*_named(name), Usage(**{key: int(value) for key, value in reference.items()}), NOW)
        assert isinstance(found, Charge), found


@pytest.mark.no_cover
def test_the_list_of_all_models() -> None:
    known = listing(OWN, NOW)
    names = [model.name for model in known]
    assert names == sorted(set(names))
    assert {"openai/gpt-4o", "local/*", "whisperx/medium"} <= set(names)
    everything = listing(OWN, NOW, everything=True)
    assert len(everything) > 2_000
    by_name = {model.name: model for model in everything}
    assert by_name["openai/gpt-4o"] == known[names.index("openai/gpt-4o")]
    one = by_name["groq/gemma2-9b-it"]
    assert one.current is not None
    assert one.current.source == "genai-prices"
    assert one.example[-1].startswith("total $")
    # Describing one of them alone says the same.
    assert OWN.describe("groq", "gemma2-9b-it", NOW) == one


def test_a_family_name_shows_each_price_of_each_model_once() -> None:
    found = Catalogue.load().describe("anthropic", "sonnet", NOW)
    assert found is not None
    shown = [(price.model, price.source, price.since, price.tier) for price in found.prices]
    assert len(shown) == len(set(shown))
    assert {model for model, source, _, _ in shown if source == "catalogue"} == {
        f"anthropic/claude-{name}"
        for name in (
            "sonnet-5-5",
            "sonnet-5",
            "sonnet-4-6",
            "sonnet-4-5",
            "sonnet-4",
            "3-7-sonnet",
            "3-5-sonnet",
            "3-sonnet",
        )
    }
