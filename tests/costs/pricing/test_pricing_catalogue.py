"""The catalogue: order of sources, dates, overrides, discounts, aliases, tiers, upper bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.analysis.like_calls import LikeCalls, PricedCall
from shared.costs.errors import PriceFileError
from shared.costs.model import Charge, Unpriced, Usage
from shared.costs.money import Nanos, from_usd
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.history import PriceHistory
from shared.costs.pricing.offers import Quote
from shared.costs.storage import CostStorage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MILLION = 1_000_000
OWN = Catalogue.load()


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    return tmp_path / "prices.yaml"


def charge(
    catalogue: Catalogue, service: str, model: str, at: datetime = NOW, tier: str | None = None
) -> Charge:
    found = catalogue.charge(service, model, Usage(tokens_input=MILLION), at, tier)
    assert isinstance(found, Charge), found
    return found


NEGOTIATED = """
models:
  openai/gpt-4o:
    since: 2026-06-01
    source: contract
    per_million_tokens: {input: 2, output: 8}
"""


def test_the_users_price_comes_first_from_its_date_on(prices: Path) -> None:
    prices.write_text(NEGOTIATED)
    catalogue = Catalogue.load(None, prices)
    late = charge(catalogue, "openai", "gpt-4o")
    assert (late.total, late.priced_by.source) == (from_usd(2), "profile")
    early = charge(catalogue, "openai", "gpt-4o", datetime(2026, 5, 31, tzinfo=UTC))
    assert (early.total, early.priced_by.source) == (from_usd("2.50"), "catalogue")
    # Asked again in the other order: what was remembered for one day does not hold for the other.
    assert charge(catalogue, "openai", "gpt-4o").total == from_usd(2)
    assert charge(catalogue, "openai", "gpt-4o", datetime(2026, 5, 31, tzinfo=UTC)).total == from_usd("2.50")


@pytest.mark.parametrize(
    ("usage", "tier", "parts"),
    [
        # What the user's price names is the user's; the rest is the list's, cache and tiers too.
        (Usage(1_000_000, 1_000_000), None, {"input": "2", "output": "8"}),
        (Usage(1_000_000, tokens_cached=400_000), None, {"input": "1.2", "cached": "0.5"}),
        (Usage(1_000_000, 1_000_000), "batch", {"input": "1.25", "output": "5"}),
        (Usage(1_000_000, file_searches=2), None, {"input": "2", "file_searches": "0.005"}),
    ],
)
def test_the_users_price_keeps_what_it_does_not_name(
    prices: Path, usage: Usage, tier: str | None, parts: dict[str, str]
) -> None:
    prices.write_text(NEGOTIATED)
    found = Catalogue.load(None, prices).charge("openai", "gpt-4o", usage, NOW, tier)
    assert isinstance(found, Charge)
    assert dict(found.parts) == {part: from_usd(usd) for part, usd in parts.items()}
    assert found.priced_by.source == "profile"
    assert "+catalogue:" in found.priced_by.version


def test_a_tier_that_nobody_prices_is_not_the_users_price(prices: Path) -> None:
    prices.write_text(NEGOTIATED)
    found = Catalogue.load(None, prices).charge("openai", "gpt-4o", Usage(5, 5), NOW, "flex")
    assert isinstance(found, Unpriced)
    assert "your own price of openai/gpt-4o has no flex tier" in found.reason


def test_a_price_by_another_unit_is_not_filled_in(prices: Path) -> None:
    """A price by the minute stands for itself: the list's tokens would be paid beside it."""
    prices.write_text(
        "models: {openai/gpt-4o-transcribe: {since: 2026-01-01, source: x, per_audio_minute: 0.006,"
        " included: [input, output]}}\n"
    )
    found = Catalogue.load(None, prices).charge(
        "openai", "gpt-4o-transcribe", Usage(100, 10, audio_seconds=60), NOW
    )
    assert isinstance(found, Charge)
    assert dict(found.parts) == {"audio_seconds": from_usd("0.006")}


def test_a_missing_file_is_no_file(tmp_path: Path) -> None:
    assert charge(Catalogue.load(None, tmp_path / "prices.yaml"), "openai", "gpt-4o").total == from_usd(
        "2.50"
    )


def test_a_refused_file_is_refused(prices: Path) -> None:
    prices.write_text("models:\n  openai/gpt-4o: {per_million_tokens: {input: cheap}}\n")
    with pytest.raises(
        PriceFileError, match=r"prices\.yaml:2: models\.openai/gpt-4o\.per_million_tokens\.input"
    ):
        Catalogue.load(None, prices)
    prices.unlink()
    prices.mkdir()
    with pytest.raises(PriceFileError):
        Catalogue.load(None, prices)


DISCOUNT = """
services:
  anthropic:
    discount:
      percent: 12.5
      since: 2026-01-01
      until: 2026-07-01
      except: [anthropic/claude-3-opus]
      source: contract
"""


@pytest.mark.parametrize(
    ("model", "day", "usd"),
    [
        ("claude-3-haiku", (2026, 1, 1), "0.21875"),
        ("claude-3-haiku", (2026, 6, 30), "0.21875"),
        ("claude-3-haiku", (2026, 7, 1), "0.25"),
        ("claude-3-haiku", (2025, 12, 31), "0.25"),
        ("claude-3-opus", (2026, 1, 1), "15"),
    ],
)
def test_discounts(prices: Path, model: str, day: tuple[int, int, int], usd: str) -> None:
    prices.write_text(DISCOUNT)
    catalogue = Catalogue.load(None, prices)
    found = charge(catalogue, "claude", model, datetime(*day, 12, tzinfo=UTC))
    assert found.total == from_usd(usd)
    discounted = usd not in {"0.25", "15"}
    assert ("+profile:" in found.priced_by.version) is discounted


def test_a_discount_applies_to_batches_and_to_prices_of_genai(prices: Path) -> None:
    prices.write_text(DISCOUNT)
    catalogue, day = Catalogue.load(None, prices), datetime(2026, 3, 1, tzinfo=UTC)
    batch = charge(catalogue, "anthropic", "claude-3-haiku", day, "batch")
    assert batch.total == from_usd("0.109375")
    other = charge(catalogue, "anthropic", "claude-opus-4-6", day)
    assert other.total == from_usd("8.75")  # 10 above 200,000 tokens, less 12.5 %
    other = charge(catalogue, "anthropic", "claude-2", day)
    assert other.total == from_usd(7)
    assert other.priced_by.source == "genai-prices"
    assert "+profile:" in other.priced_by.version


def test_the_batch_rule_covers_prices_of_genai_and_says_so() -> None:
    found = charge(OWN, "openai", "gpt-4.1", datetime(2025, 6, 1, tzinfo=UTC), "batch")
    assert found.total == from_usd("1")
    assert found.priced_by.source == "genai-prices"
    assert "+catalogue:" in found.priced_by.version


def test_what_a_discount_does_not_name_keeps_its_list_price(prices: Path) -> None:
    prices.write_text(
        "services: {openai: {discount: {percent: 50, of: [input], since: 2026-01-01, source: contract}}}\n"
    )
    found = Catalogue.load(None, prices).charge(
        "openai", "gpt-4o", Usage(1_000, 1_000, tokens_cached=500), NOW
    )
    assert isinstance(found, Charge)
    assert found.parts == {
        "input": from_usd("0.000625"),
        "cached": from_usd("0.000625"),
        "output": from_usd("0.01"),
    }


CACHED = Usage(tokens_input=1_000, tokens_cached=400, tokens_output=100)


@pytest.mark.parametrize(
    ("service", "model", "usd"),
    [
        ("openai", "gpt-4o", "0.00175"),  # its batch table: cached input costs what input does
        ("anthropic", "claude-3-5-haiku", "0.000456"),  # caching counts on top of the batch discount
        ("google", "gemini-2.5-flash", "0.000227"),  # cached input keeps its price
        ("google", "claude-3-5-sonnet", None),  # Gemini's rule is for Gemini models
        ("groq", "llama-3.3-70b-versatile", None),  # no rule at that time
        ("openai", "gpt-3.5-turbo-1106", None),  # excepted from the rule
    ],
)
def test_cached_tokens_in_a_batch(service: str, model: str, usd: str | None) -> None:
    found = OWN.charge(service, model, CACHED, datetime(2025, 9, 1, tzinfo=UTC), "batch")
    if usd is None:
        assert isinstance(found, Unpriced)
    else:
        assert isinstance(found, Charge)
        assert found.total == from_usd(usd)


def test_what_a_batch_makes_of_a_cache_is_missing_where_nobody_states_it() -> None:
    found = OWN.charge("openai", "gpt-4.1", CACHED, datetime(2025, 9, 1, tzinfo=UTC), "batch")
    assert isinstance(found, Charge)
    assert dict(found.parts) == {"input": from_usd("0.0006"), "output": from_usd("0.0004")}
    assert dict(found.missing) == {"tokens_cached": 400}


def test_a_batch_that_is_not_cheaper_costs_what_its_table_says() -> None:
    found = charge(OWN, "openai", "gpt-3.5-turbo-1106", tier="batch")
    assert (found.total, found.priced_by.source) == (from_usd(1), "genai-prices")


@pytest.mark.parametrize(
    ("service", "model", "aliases", "expected"),
    [
        ("azure", "Prod-Chat", {"prod-chat": "azure/gpt-4o"}, "openai/gpt-4o"),
        ("azure", "prod-chat", {"azure/prod-chat": "gpt-4o-mini"}, "openai/gpt-4o-mini"),
        ("openai", "fast", {"openai/fast": "groq/llama-3.3-70b-versatile"}, "groq/llama-3.3-70b-versatile"),
        ("azure", "gpt-4", {"gpt-4": "openai/gpt-4o"}, "openai/gpt-4o"),
    ],
)
def test_aliases_for_deployments(service: str, model: str, aliases: dict[str, str], expected: str) -> None:
    found = charge(Catalogue.load(aliases=aliases), service, model)
    assert found.priced_by.model == expected


def test_names_of_the_users_own_services_and_families(prices: Path) -> None:
    prices.write_text(
        "models:\n"
        "  acme/one: {since: 2026-01-01, source: x, per_million_tokens: {input: 1}}\n"
        "  anthropic/sonnet: {since: 2026-01-01, source: x, per_million_tokens: {input: 7}}\n"
        "aliases: {quick: acme/one, mine: anthropic/haiku}\n"
    )
    catalogue = Catalogue.load(None, prices)
    assert charge(catalogue, "", "acme/one").priced_by.model == "acme/one"
    assert charge(catalogue, "openai", "quick").priced_by.model == "acme/one"
    own = charge(catalogue, "anthropic", "sonnet")
    assert (own.total, own.priced_by.unverified) == (from_usd(7), False)
    assert charge(catalogue, "litellm", "mine").priced_by.model == "anthropic/claude-haiku-5-5"


@pytest.mark.parametrize(
    ("model", "nanos"),
    [
        ("command-r+", 62_500),  # 2.50 and 10 a million
        ("command-r+-08-2024", 62_500),
        ("command-r+-04-2024", 90_000),  # 3 and 15
        ("command-r+:free", None),
        ("command-r+-09-2029", None),
    ],
)
def test_a_plus_within_a_name_is_no_feature(model: str, nanos: int | None) -> None:
    found = Catalogue.load().charge("cohere", model, Usage(5, 5), NOW)
    assert (None if isinstance(found, Unpriced) else (found.total, dict(found.missing))) == (
        nanos and (nanos, {})
    )


def test_without_its_alias_a_deployment_is_unpriced() -> None:
    found = OWN.charge("azure", "prod-chat", Usage(5, 5), NOW)
    assert isinstance(found, Unpriced)
    assert found.reason == (
        "no price for azure/prod-chat on 2026-11-22: "
        "add it to prices.yaml beside your profile (cost-dashboard init writes both), "
        "then cost-dashboard reprice"
    )


@pytest.mark.parametrize(
    ("service", "model"),
    [
        ("openai", "gpt-9"),
        ("acme", "gpt-4o"),
        ("", "some-model"),
        ("acme-openai-proxy", "gpt-4o"),
        ("openrouter", "x/y"),
    ],
)
def test_an_unknown_model_is_unpriced_and_the_reason_names_it(service: str, model: str) -> None:
    found = OWN.charge(service, model, Usage(5, 5), NOW)
    assert isinstance(found, Unpriced)
    assert model in found.reason
    assert "2026-11-22" in found.reason
    assert "cost-dashboard reprice" in found.reason


def test_openrouter_has_its_own_prices_for_models_of_others() -> None:
    found = charge(OWN, "openrouter", "openai/gpt-4o")
    assert found.priced_by.model == "openrouter/openai/gpt-4o"


MOMENTS = st.timedeltas(timedelta(), timedelta(days=1_800)).map(
    lambda since: datetime(2023, 1, 1, tzinfo=UTC) + since
)
MODELS = st.sampled_from(
    [
        "openai/gpt-4o",
        "openai/gpt-4o-audio-preview",
        "openai/gpt-3.5-turbo",
        "google/gemini-1.5-pro",
        "anthropic/claude-3-5-haiku",
        "deepseek/deepseek-v4-flash",
        "deepseek/deepseek-v4-pro",
        "google/gemini-3.6-flash",
        "anthropic/claude-opus-4-6",
        "local/x",
        "openai/gpt-9",
    ]
)


@pytest.mark.no_cover
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(MODELS, MOMENTS, st.sampled_from([None, "batch", "flex"])), min_size=1, max_size=12)
)
def test_what_is_remembered_never_changes_an_answer(calls: list[tuple[str, datetime, str | None]]) -> None:
    warm = Catalogue(OWN.own, None, OWN.genai)
    for name, at, tier in calls:
        service, _, model = name.partition("/")
        cold = Catalogue(OWN.own, None, OWN.genai)
        usage = Usage(3_000, 1_000)
        assert warm.charge(service, model, usage, at, tier) == cold.charge(service, model, usage, at, tier)


@pytest.mark.parametrize("at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
def test_the_first_and_the_last_day_there_are_have_neighbours_of_no_date(at: datetime) -> None:
    found = Catalogue.load().charge("deepseek", "deepseek-chat", Usage(1000, 1000), at)
    assert isinstance(found, (Charge, Unpriced))


@pytest.mark.parametrize("name", ["openai/gpt-4o", "google/gemini-1.5-pro", "anthropic/claude-3-opus"])
def test_a_price_changes_at_midnight_utc_whatever_the_zone_of_the_call(name: str) -> None:
    service, _, model = name.partition("/")
    quote = OWN.own.find(name)
    assert quote is not None
    since = quote.prices[0].since
    assert since is not None
    kolkata = (since - timedelta(microseconds=1)).astimezone(ZoneInfo("Asia/Kolkata"))
    after = OWN.quote(service, model, since)
    before = OWN.quote(service, model, kolkata)
    assert isinstance(after, Quote)
    assert before != after


@pytest.mark.parametrize("tier", ["default", "standard", "", "STANDARD", None])
def test_names_of_the_standard_tier(tier: str | None) -> None:
    assert charge(OWN, "openai", "gpt-4o", tier=tier).total == from_usd("2.50")


def test_priority_is_dearer_from_the_day_it_is_known() -> None:
    assert charge(OWN, "openai", "gpt-4o", tier="priority").total == from_usd("4.25")
    before = OWN.charge("openai", "gpt-4o", Usage(5, 5), datetime(2026, 10, 1, tzinfo=UTC), "priority")
    assert isinstance(before, Unpriced)
    assert "'priority'" in before.reason


# --- upper bounds


def test_the_ceiling_counts_the_dearest_hour_of_the_week() -> None:
    usage = Usage(tokens_input=MILLION)
    cheap = datetime(2026, 11, 22, 20, tzinfo=UTC)  # a Sunday
    found = OWN.ceiling("deepseek", "deepseek-v4-pro", usage, cheap)
    assert isinstance(found, Charge)
    assert found.total == from_usd("1.32")
    assert charge(OWN, "deepseek", "deepseek-v4-pro", cheap).total == from_usd("0.66")


def test_the_ceiling_counts_input_as_if_it_were_written_to_the_cache() -> None:
    found = OWN.ceiling("anthropic", "claude-3-opus", Usage(1_000, 500, tokens_cached=900), NOW)
    assert isinstance(found, Charge)
    assert found.total == from_usd("0.01875") + from_usd("0.0375")


@pytest.mark.no_cover
@settings(max_examples=100, deadline=None)
@given(MODELS, MOMENTS, st.integers(0, 300_000), st.integers(0, 300_000), st.integers(0, 50_000), st.data())
def test_no_call_costs_more_than_its_ceiling(
    name: str, at: datetime, tokens: int, cached: int, output: int, data: st.DataObject
) -> None:
    service, _, model = name.partition("/")
    most = Usage(tokens_input=tokens + cached, tokens_output=output)
    written = data.draw(st.integers(0, output))
    kind = data.draw(st.sampled_from(["tokens_reasoning", "tokens_audio_output", "tokens_image_output"]))
    actual = Usage(
        tokens_input=tokens + cached,
        tokens_cached=cached,
        tokens_output=written,
        **{kind: data.draw(st.integers(0, written))},
    )
    bound, found = OWN.ceiling(service, model, most, at), OWN.charge(service, model, actual, at)
    if isinstance(found, Unpriced) or isinstance(bound, Unpriced):
        assert isinstance(found, Unpriced)
        assert isinstance(bound, Unpriced)
    else:
        assert found.total <= bound.total + 2  # one rounding a part


def test_what_has_no_price_has_no_ceiling() -> None:
    assert isinstance(OWN.ceiling("openai", "gpt-9", Usage(5, 5), NOW), Unpriced)
    found = OWN.ceiling("openai", "whisper-1", Usage(5, 5), NOW)
    assert isinstance(found, Unpriced)
    assert "has no price for tokens_input" in found.reason


# --- names and lists


def test_names_of_what_has_no_price() -> None:
    assert OWN.name("gemini", "models/nothing") == "google/nothing"
    assert OWN.name("", "nothing") == "unknown/nothing"
    assert OWN.name("local", "mlx-whisper") == "local/mlx-whisper"
    assert OWN.name("pocketsphinx", "en-us") == "local/en-us"


def test_models_lists_every_source(prices: Path) -> None:
    prices.write_text("models: {acme/one: {free: true, source: x}}\n")
    catalogue = Catalogue.load(None, prices)
    charge(catalogue, "mistral", "mistral-small-latest")
    assert {"acme/one", "openai/gpt-4o", "mistral/mistral-small-latest"} <= set(catalogue.models())


def test_a_storage_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "costs").write_text("a file where the folder should be")
    catalogue = Catalogue.load(CostStorage(tmp_path / "costs"))
    assert charge(catalogue, "openai", "gpt-4o").total == from_usd("2.50")
    assert charge(catalogue, "openai", "gpt-4.1").total == from_usd("2")


def test_a_tier_that_the_users_price_leaves_out_is_that_of_the_first_source_that_has_it(
    prices: Path,
) -> None:
    prices.write_text(
        "models:\n"
        "  openai/gpt-4o: {since: 2026-01-01, source: x, per_million_tokens: {input: 2, output: 8}}\n"
    )
    catalogue, usage = Catalogue.load(None, prices), Usage(1_000_000, 1_000_000)
    for tier, usd in ((None, "10"), ("batch", "6.25"), ("priority", "21.25")):
        found = catalogue.charge("openai", "gpt-4o", usage, NOW, tier)
        assert isinstance(found, Charge)
        assert found.total == from_usd(usd)
        assert PriceHistory(catalogue).amounts(found.priced_by, "openai", usage, NOW, tier) == found.parts
    doubtful = catalogue.charge("google", "gemini-3.8-flash", usage, NOW, "priority")
    assert isinstance(doubtful, Charge)
    assert doubtful.priced_by.unverified  # what Google announced, and the factor of one table


def test_a_fee_of_the_users_own_comes_before_the_listed_one(prices: Path) -> None:
    prices.write_text(
        "models:\n  acme/one: {since: 2026-01-01, source: x, per_million_tokens: {input: 1}}\n"
        "  acme/gift: {free: true, source: x}\n"
        "fees:\n"
        "  - {models: [acme/*, openai/*], per_thousand_file_searches: 9, since: 2026-06-01, source: x}\n"
    )
    catalogue, usage = Catalogue.load(None, prices), Usage(tokens_input=1_000_000, file_searches=1000)
    june, may = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 5, 31, tzinfo=UTC)
    for service, model, at, usd, missing in (
        ("acme", "one", june, "10", {}),
        ("acme", "one", may, "1", {"file_searches": 1000}),
        ("acme", "gift", june, "0", {}),
        ("openai", "gpt-4o", june, "11.5", {}),
        ("openai", "gpt-4o", may, "5", {}),
    ):
        found = catalogue.charge(service, model, usage, at)
        assert isinstance(found, Charge)
        assert (found.total, found.missing) == (from_usd(usd), missing)
        assert PriceHistory(catalogue).amounts(found.priced_by, service, usage, at) == found.parts


_FEATURES = """
models:
  acme/one:
    since: 2026-01-01
    source: offer
    per_million_tokens: {input: 1, output: 4}
    above_input_tokens: {1000: {input: 2, output: 8}}
  acme/hour: {since: 2026-01-01, source: offer, per_audio_hour: 1}
  acme/gift: {free: true, source: offer}
  openai/gpt-4o: {since: 2026-01-01, source: offer, per_million_tokens: {input: 5}}
addons:
  - {models: [acme/*, openai/*, google/*], feature: sure, per_million_tokens: {input: 3}, source: offer}
  - {models: [acme/*], feature: asked, per_thousand_requests: 5, source: offer}
  - {models: [acme/*], feature: moved, per_audio_hour: 2, until: 2026-06-01, source: offer}
  - {models: [acme/*], feature: moved, per_audio_hour: 3, since: 2026-06-01, source: offer}
  - models: [acme/*, google/*]
    feature: late
    per_million_tokens: {input: 2}
    source: offer
    tiers: {batch: free}
"""
_MAY = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)
_SEPTEMBER, _JANUARY = datetime(2025, 9, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
_MINUTES, _HOUR, _PAGES, _MILLION = (
    Usage(audio_seconds=600),
    Usage(audio_seconds=3600),
    Usage(pages=1000),
    Usage(1_000_000),
)


class _Featured(NamedTuple):
    """A call with features, and what it costs: ``usd`` by part."""

    name: str
    usage: Usage
    usd: dict[str, str]
    missing: dict[str, int] = {}  # noqa: RUF012 - never changed
    at: datetime = NOW
    tier: str | None = None


_ANNOTATED = "mistral/mistral-ocr-latest+annotations"


@pytest.mark.parametrize(
    "call",
    [
        # A feature that nobody prices: the model's own price stands, and the feature is named.
        _Featured("deepgram/nova-3+mood", _MINUTES, {"audio_seconds": "0.043"}, {"mood": 1}),
        _Featured("deepgram/nova-3+diarize+diarize", _MINUTES, {"audio_seconds": "0.063"}),
        _Featured("deepgram/nova-3+mood+diarize", _MINUTES, {"audio_seconds": "0.063"}, {"mood": 1}),
        _Featured(
            "deepgram/nova-3+a+b",
            Usage(requests=3, audio_seconds=60),
            {"audio_seconds": "0.0043"},
            {"a": 3, "b": 3},
        ),
        _Featured("litellm/deepgram/Nova-3+Mood", _MINUTES, {"audio_seconds": "0.043"}, {"mood": 1}),
        _Featured("google/gemini-2.5-flash+mood", _MILLION, {"input": "0.3"}, {"mood": 1}),
        _Featured("aws-textract/forms+tables+queries", _PAGES, {"pages": "65"}, {"queries": 1}),
        _Featured("whisperx/large-v3+diarize", _MINUTES, {"audio_seconds": "0.06"}, {"diarize": 1}),
        # On the user's own machine nothing is billed on top.
        _Featured("local/pyannote+diarize", _MINUTES, {}),
        # A feature on top of every kind of price, in units that the model itself is not billed by.
        _Featured("acme/one+sure", Usage(1000, 100), {"input": "0.004", "output": "0.0004"}),
        _Featured("acme/one+sure", Usage(1001, 100), {"input": "0.005005", "output": "0.0008"}),
        _Featured("acme/hour+asked", _HOUR, {"audio_seconds": "1", "requests": "0.005"}),
        _Featured(
            "acme/hour+asked",
            Usage(audio_seconds=3600, requests=2),
            {"audio_seconds": "1", "requests": "0.01"},
        ),
        _Featured("acme/gift+asked", Usage(10), {"requests": "0.005"}),
        _Featured("acme/hour+sure", _HOUR, {"audio_seconds": "1"}, {"sure": 1}),
        _Featured("acme/hour+moved", _HOUR, {"audio_seconds": "3"}, at=_MAY),
        _Featured("acme/hour+moved", _HOUR, {"audio_seconds": "4"}),
        _Featured("openai/gpt-4o+sure", Usage(1_000_000, 1000), {"input": "8", "output": "0.01"}),
        _Featured("google/gemini-2.5-flash+late", _MILLION, {"input": "2.3"}),
        _Featured("google/gemini-2.5-flash+late", _MILLION, {"input": "0.15"}, tier="batch"),
        _Featured("google/gemini-2.5-flash+sure", _MILLION, {"input": "3.15"}, tier="batch"),
        # Annotations make it 3 for a thousand pages, whichever model the name meant that day; 5 with OCR 4.
        _Featured(_ANNOTATED, _PAGES, {"pages": "3"}, at=_SEPTEMBER),
        _Featured(_ANNOTATED, _PAGES, {"pages": "1.5"}, at=_SEPTEMBER, tier="batch"),
        _Featured(_ANNOTATED, _PAGES, {"pages": "3"}, at=_JANUARY),
        _Featured(_ANNOTATED, _PAGES, {"pages": "2.5"}, tier="batch"),
    ],
)
def test_a_feature_is_priced_on_top_or_named(prices: Path, call: _Featured) -> None:
    prices.write_text(_FEATURES)
    catalogue = Catalogue.load(None, prices)
    service, _, model = call.name.partition("/")
    found = catalogue.charge(service, model, call.usage, call.at, call.tier)
    assert isinstance(found, Charge), found
    assert found.parts == {part: from_usd(usd) for part, usd in call.usd.items()}
    assert found.missing == call.missing
    again = PriceHistory(catalogue).amounts(found.priced_by, service, call.usage, call.at, call.tier)
    assert again == found.parts
    repriced = LikeCalls([PricedCall(call.at, call.usage, Nanos(1))]).repriced(
        catalogue, service, model, call.tier, None
    )
    assert repriced.calls == int(not call.missing)


@pytest.mark.parametrize(
    ("model", "usd"),
    [("nova-3+diarize", "0.24"), ("meet+diarize", "0.24"), ("mine+diarize", "0.30"), ("nova-3", "0.12")],
)
def test_a_feature_comes_on_top_of_the_users_own_price(prices: Path, model: str, usd: str) -> None:
    prices.write_text(
        "models:\n"
        "  deepgram/nova-3: {since: 2026-01-01, source: x, per_audio_minute: 0.0020}\n"
        "  deepgram/mine: {since: 2026-01-01, source: x, per_audio_minute: 0.0030}\n"
    )
    catalogue, usage = (
        Catalogue.load(None, prices, {"deepgram/meet": "deepgram/nova-3"}),
        Usage(audio_seconds=3600),
    )
    found = catalogue.charge("deepgram", model, usage, NOW)
    assert isinstance(found, Charge)
    assert (found.total, found.priced_by.source) == (from_usd(usd), "profile")
    assert PriceHistory(catalogue).amounts(found.priced_by, "deepgram", usage, NOW) == found.parts


@pytest.mark.parametrize("service", ["azure", "google"])
@pytest.mark.parametrize("feature", ["", "+up"])
def test_what_fills_in_the_users_own_price_is_found_again(prices: Path, service: str, feature: str) -> None:
    """Also where its source calls the model otherwise: our list has Azure's as OpenAI's."""
    model = {"azure": "gpt-4o", "google": "gemini-2.5-flash"}[service]
    prices.write_text(
        f"models:\n  {service}/{model}: {{since: 2026-01-01, source: x, per_million_tokens: {{input: 1}}}}\n"
        f"addons:\n  - {{models: ['{service}/*'], feature: up, per_million_tokens: {{input: 3}}, source: x}}"
    )
    catalogue, usage = Catalogue.load(None, prices), Usage(1000, 100)
    found = catalogue.charge(service, model + feature, usage, NOW)
    assert isinstance(found, Charge)
    assert found.parts.keys() == {"input", "output"}
    assert PriceHistory(catalogue).amounts(found.priced_by, service, usage, NOW) == found.parts
