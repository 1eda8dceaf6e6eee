"""Price files: what they can say, and that every mistake names file, line, key, value and remedy."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.costs.errors import PriceFileError
from shared.costs.model import Charge, Unpriced, Usage
from shared.costs.money import json_number
from shared.costs.pricing.book import PriceBook, edition
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.rates import UNITS, Rate, from_plain, to_plain
from shared.costs.pricing.reading import _PER_UNIT, read_book
from shared.costs.pricing.sources import PRICES
from shared.costs.yaml_strict import parse

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def book(text: str) -> PriceBook:
    return PriceBook(read_book([parse(text.encode(), Path("prices.yaml"), PriceFileError)]), "profile", "1")


def one(keys: str) -> str:
    return f"models:\n  acme/one:\n    since: 2026-01-01\n    source: offer\n    {keys}\n"


def test_a_model_with_one_price() -> None:
    found = book(one("per_million_tokens: {input: 0.40, output: 1.60}")).find("acme/one")
    assert found is not None
    price = found.at(NOW)
    assert price is not None
    assert price.rates == {"input": Rate(400, 1), "output": Rate(1600, 1)}
    assert price.since == datetime(2026, 1, 1, tzinfo=UTC)
    assert price.source == "offer"
    assert found.at(datetime(2025, 12, 31, 23, 59, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("key", "part", "rate"),
    [
        ("per_audio_minute: 0.006", "audio_seconds", Rate(1, 10)),
        ("per_million_characters: 15", "characters", Rate(15_000, 1)),
        ("per_image: 0.04", "images", Rate(40_000_000, 1)),
        ("per_thousand_pages: 1.5", "pages", Rate(1_500_000, 1)),
        ("per_thousand_requests: 5", "requests", Rate(5_000_000, 1)),
        ("per_thousand_web_searches: 10", "web_searches", Rate(10_000_000, 1)),
    ],
)
def test_units(key: str, part: str, rate: Rate) -> None:
    found = book(one(key)).find("acme/one")
    assert found is not None
    assert found.prices[0].rates == {part: rate}


def test_prices_are_sorted_by_date_whatever_their_order() -> None:
    text = """
models:
  acme/one:
    prices:
      - {since: 2026-01-01, source: a, per_million_tokens: {input: 1}}
      - {since: 2026-06-01, source: b, per_million_tokens: {input: 2}}
      - {since: 2025-06-01, source: c, per_million_tokens: {input: 3}}
"""
    found = book(text).find("acme/one")
    assert found is not None
    assert [price.source for price in found.prices] == ["b", "a", "c"]


def test_larger_requests_keep_the_rates_they_do_not_change() -> None:
    found = book(
        one(
            "per_million_tokens: {input: 1, cached: 0.1, output: 4}\n"
            "    above_input_tokens: {1000: {input: 2}}"
        )
    ).find("acme/one")
    assert found is not None
    assert found.prices[0].rates_for(1_001) == {
        "input": Rate(2000, 1),
        "cached": Rate(100, 1),
        "output": Rate(4000, 1),
    }


@pytest.mark.parametrize(("hour", "usd"), [(0, 1), (1, 2), (22, 1), (23, 3)])
def test_hours(hour: int, usd: int) -> None:
    text = """
models:
  acme/one:
    prices:
      - {since: 2026-01-01, source: a, per_million_tokens: {input: 1}}
      - {since: 2026-01-01, source: a, hours_utc: "00:30-16:30", per_million_tokens: {input: 2}}
      - {since: 2026-01-01, source: a, hours_utc: "22:30-00:15", per_million_tokens: {input: 3}}
"""
    found = book(text).find("acme/one")
    assert found is not None
    price = found.at(NOW.replace(hour=hour, minute=20 if hour == 0 else 0))
    assert price is not None
    assert price.rates["input"] == Rate(usd * 1000, 1)


@pytest.mark.parametrize(
    ("at", "usd"),
    [("27T21:59", 1), ("27T22:00", 3), ("28T05:59", 3), ("28T06:00", 1), ("27T02:00", 1), ("21T02:00", 1)],
)
def test_a_stretch_over_midnight_is_of_the_day_on_which_it_begins(at: str, usd: int) -> None:
    text = """
models:
  acme/one:
    prices:
      - {since: 2026-01-01, source: a, per_million_tokens: {input: 1}}
      - since: 2026-01-01
        source: a
        hours_utc: "22:00-06:00"
        days: [friday]
        except_days: [2026-11-20]
        per_million_tokens: {input: 3}
"""
    found = book(text).find("acme/one")
    assert found is not None
    price = found.at(datetime.fromisoformat(f"2026-11-{at}+00:00"))
    assert price is not None
    assert price.rates["input"] == Rate(usd * 1000, 1)


REFUSED = [
    ("modles: {}", 1, "unknown key 'modles'", "did you mean 'models'"),
    ("models: []", 1, "is not a map", "key: value"),
    ("models: {gpt-4o: {free: true, source: x}}", 1, "names no service", "service/model"),
    ("models: {acme/one: {source: x}}", 1, "has no rate", "per_million_tokens"),
    ("models: {acme/one: {free: true}}", 1, "'source' is missing", "source: ..."),
    (
        "models: {acme/one: {free: true, source: x, per_image: 1}}",
        1,
        "is free and has rates",
        "one of the two",
    ),
    ("models: {acme/one: {source: x, per_image: 1}}", 1, "'since' is missing", "since: ..."),
    ("models: {acme/one: {prices: []}}", 1, "there is no price", "at least one"),
    ("models: {acme/one: {prices: {}, per_image: 1}}", 1, "unknown key 'per_image'", "known here"),
    (one("per_million_tokens: {inptu: 1}"), 5, "unknown key 'inptu'", "did you mean 'input'"),
    (one("per_million_tokens: {input: -1}"), 5, "-1 is too small", "at least 0"),
    (one("per_million_tokens: {input: 1e3}"), 5, "1e3 is not a plain decimal number", "write it out"),
    (one("per_million_tokens: {input: '1'}"), 5, "'1' is not a number", "remove the quotes"),
    (one("per_million_tokens: {input: .nan}"), 5, ".nan is not a plain decimal number", "digits"),
    (one("per_audio_minute: 12:30"), 5, "12:30 is not a plain decimal number", "digits"),
    (one("per_image: 1\n    per_image: 2"), 6, "second time", "keep one"),
    (one("per_image: 1\n    hours_utc: all"), 6, "not a part of the day", "00:30-16:30"),
    (one("per_image: 1\n    hours_utc: 00:30-25:00"), 6, "not a part of the day", "00:30-16:30"),
    (one("per_image: 1\n    hours_utc: 10:00-10:00"), 6, "not a part of the day", "00:30-16:30"),
    (one("per_image: 1\n    steps: {images: 1.5}"), 6, "1.5 is not a whole number", "without decimals"),
    (one("per_image: 1\n    steps: {pages: 2}"), 6, "pages has no rate here", "add its rate"),
    (one("per_image: 1\n    minimum_audio_seconds: 2"), 6, "audio_seconds has no rate here", "add its rate"),
    (one("per_image: 1\n    included: [audio]"), 6, "audio is not known", "audio_seconds"),
    (one("per_image: 1\n    unverified: yes"), 6, "not true or false", "lower case"),
    (one("per_image: 1\n    tiers: {bulk: {}}"), 6, "unknown key 'bulk'", "batch"),
    (one("per_image: 1\n    above_input_tokens: {many: {input: 1}}"), 6, "'many' is not a number", "128000"),
    (one("per_image: 1\n    above_input_tokens: {1000: {input: 1}}"), 6, "no rate below 1000", "per_million"),
    (one("per_image: 1\n    minimum_audio_seconds: -1"), 6, "too small", "at least 0"),
    (
        "services: {acme: {discount: {percent: 101, since: 2026-01-01, source: x}}}",
        1,
        "too large",
        "at most 100",
    ),
    ("services: {acme: {discount: {percent: 10, source: x}}}", 1, "'since' is missing", "since"),
    ("services: {acme: {discount: {percent: 10, since: 2026-01-01}}}", 1, "'source' is missing", "source"),
    ("services: {acme: {rebate: 5}}", 1, "unknown key 'rebate'", "discount"),
    ("aliases: {a: [b]}", 1, "a list is not text", "single value"),
    ("checked: soon", 1, "soon is not a date", "2026-11-22"),
    ("classes: {small: {models: []}}", 1, "'reason' is missing", "reason"),
    ("classes: {small: {reason: x, reference: {tokens: 1}}}", 1, "unknown key 'tokens'", "tokens_"),
]


@pytest.mark.parametrize(("text", "line", "fault", "remedy"), REFUSED)
def test_mistakes_are_refused_with_place_and_remedy(text: str, line: int, fault: str, remedy: str) -> None:
    with pytest.raises(PriceFileError) as caught:
        book(text)
    assert fault in caught.value.fault
    assert remedy in caught.value.remedy
    assert caught.value.place.line == line
    assert str(caught.value).startswith(f"prices.yaml:{line}: ")


def test_one_name_belongs_to_one_model() -> None:
    with pytest.raises(PriceFileError, match="already a name of acme/two"):
        book(
            "models:\n  acme/two: {free: true, source: x, aliases: [one]}\n"
            "  acme/three: {free: true, source: x, aliases: [one]}\n"
        )
    with pytest.raises(PriceFileError, match="has a price already"):
        book(
            "models:\n  acme/two: {free: true, source: x, aliases: [one]}\n"
            "  acme/one: {free: true, source: x}\n"
        )
    with pytest.raises(PriceFileError, match="is in the class 'a'"):
        book(
            "classes:\n  a: {reason: x, reference: {images: 1}, models: [acme/one]}\n"
            "  b: {reason: x, reference: {images: 1}, models: [acme/one]}\n"
        )
    with pytest.raises(PriceFileError, match="begin on the same date"):
        book(
            "models: {acme/one: {prices: [{since: 2026-01-01, source: x, per_image: 1},"
            " {since: 2026-01-01, source: y, per_image: 2}]}}"
        )


def own_lists() -> dict[str, Any]:
    """What the price lists that come with the code say, in the plain form."""
    paths = sorted(Path(str(PRICES)).glob("*.yaml"))
    return read_book(parse(path.read_bytes(), path, PriceFileError) for path in paths)


def test_the_plain_form_keeps_everything() -> None:
    own = own_lists()
    for name, plain in own["models"].items():
        prices = from_plain(plain)
        assert prices.name == name
        assert to_plain(prices) == plain


def test_our_own_catalogue_says_where_each_price_comes_from() -> None:
    own = own_lists()
    found = PriceBook(own, "catalogue", "1")
    assert found.checked is not None
    assert found.checked >= date(2026, 11, 22)
    for name in found.names():
        prices = found.find(name)
        assert prices is not None
        for price in prices.prices:
            assert (
                price.source.startswith("https://")
                or price.unverified
                or price.free
                or name.startswith("whisperx")
            )
            assert price.since is not None or price.free


def test_editions_differ_by_content() -> None:
    assert edition([b"a", b"b"]) != edition([b"ab"])
    assert edition([b"a"]) == edition([b"a"])


def test_the_example_file_works_as_it_says() -> None:
    shown = ROOT / "config" / "prices.yaml"
    template = ROOT / "shared" / "costs" / "data" / "templates" / "prices.yaml"
    assert shown.read_bytes() == template.read_bytes(), "what init writes is what config/ shows"
    catalogue = Catalogue.load(None, shown)

    def usd(model: str, usage: Usage, at: datetime = NOW, tier: str | None = None) -> str:
        found = catalogue.charge("acme", model, usage, at, tier)
        assert isinstance(found, Charge), found
        assert found.priced_by.source == "profile"
        return json_number(found.total)

    assert usd("summarizer", Usage(1_000_000 // 10, 0)) == "0.04"
    assert usd("summarizer-1", Usage(200_000, 1_000_000)) == "3.36"
    assert usd("summarizer-1", Usage(1_000, 0), datetime(2026, 5, 31, tzinfo=UTC)) == "0.0005"
    assert usd("summarizer-1", Usage(1_000, 0), tier="batch") == "0.00025"
    assert usd("speech-1", Usage(audio_seconds=60, requests=1)) == "0.005"
    assert usd("speech-1+speakers", Usage(audio_seconds=3600)) == "0.32"
    assert usd("summarizer", Usage(1_000, 0, web_searches=2)) == "0.0164"
    assert usd("on-our-own-gpu", Usage(10**9, 10**9)) == "0.0"
    azure = catalogue.charge("azure", "acme-chat-production", Usage(1_000, 0), NOW)
    assert isinstance(azure, Charge)
    assert azure.priced_by.model == "openai/gpt-4o"
    assert isinstance(catalogue.charge("acme", "summarizer-1", Usage(5), NOW, "flex"), Unpriced)


def test_every_unit_can_be_priced_in_a_file() -> None:
    text = one(
        "per_million_tokens: {"
        + ", ".join(f"{part}: 1" for part, unit in UNITS.items() if "tokens_" in unit.field)
        + "}"
        + "".join(f"\n    {key}: 1" for key in _PER_UNIT)
    )
    found = book(text).find("acme/one")
    assert found is not None
    assert found.prices[0].rates.keys() == UNITS.keys()
