"""Converts the types of ``genai-prices`` into ours: dated prices, sizes of requests, hours, service tiers.

The package's objects are typed as ``Any``: importing their types would import the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, Final, NamedTuple

from .rates import UNITS, Price, PriceList, Rate, Rates, Step

_PARTS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "audio_cached",
    "cache_image_read_mtok": "image_cached",
    "input_image_mtok": "image_input",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
    "input_audio_hours": "audio_seconds",
    "audio_hours": "audio_seconds",
    "input_mchars": "characters",
    "input_document_kpages": "pages",
    "requests_kcount": "requests",
    "web_searches_kcount": "web_searches",
}
_HOUR: Final = 3_600_000_000  # microseconds
_CONTEXTS: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "batch": ({"processing": "batch"},),
    "flex": ({"service_tier": "flex"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}
_DOUBTS: Final = ("can't find", "trusting", "verify against", "not sure")
_GROQ_MINIMUM: Final = {"groq/whisper-large-v3", "groq/whisper-large-v3-turbo"}


class _Always(NamedTuple):
    prices: Any
    constraint: None = None


def convert(provider: Any, model: Any) -> PriceList:
    """Return what the package says about a model: all dates, sizes, hours and tiers."""
    name = f"{provider.id}/{model.id.lower()}"
    comment = model.price_comments or ""
    common = {
        "unverified": any(doubt in comment for doubt in _DOUBTS),
        "source": (provider.pricing_urls or [""])[0],
        "steps": {"audio_seconds": Step(10_000_000)} if name in _GROQ_MINIMUM else {},
        "context": model.context_window or 0,
        # A model without rates has no price; only a name that says so makes it free.
        "free": name.endswith(":free"),
    }
    conditions = model.prices if isinstance(model.prices, list) else [_Always(model.prices)]
    standard = [_price(condition.prices, condition.constraint, common) for condition in reversed(conditions)]
    # The package falls back to the first price where no condition holds.
    if standard[-1].since is not None or standard[-1].hours is not None:
        standard.append(_price(conditions[0].prices, None, common))
    tiers = {tier: prices for tier in _CONTEXTS if (prices := _tier(model, tier, common))}
    return PriceList(name=name, prices=tuple(standard), tiers=tiers)


def _tier(model: Any, tier: str, common: Mapping[str, Any]) -> tuple[Price, ...]:
    """Return the dated prices of a tier: the package's price at each date on which something changes."""
    contexts = _CONTEXTS[tier]
    variants = [variant for variant in model.price_variants or () if variant.when in contexts]
    conditions = [*(model.prices if isinstance(model.prices, list) else ()), *variants]
    if not variants or any(hasattr(condition.constraint, "start_time") for condition in conditions):
        return ()
    starts = sorted({_start(condition.constraint) for condition in conditions}, reverse=True)
    prices = []
    for start in starts:
        active = [variant for variant in variants if _start(variant.constraint) <= start]
        if active:
            price = model.get_prices(start, active[0].when)
            prices.append(_price(price, None, {**common, "since": start if start != _EVER else None}))
    return tuple(prices)


_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _start(constraint: Any) -> datetime:
    return datetime.combine(constraint.start_date, time.min, tzinfo=UTC) if constraint else _EVER


def _price(price: Any, constraint: Any, common: Mapping[str, Any]) -> Price:
    values = {part: value for key, part in _PARTS.items() if (value := price.__dict__.get(key)) is not None}
    units = {
        part: _units_per_rate(key, part)
        for key, part in _PARTS.items()
        if price.__dict__.get(key) is not None
    }
    starts = sorted({tier.start for value in values.values() for tier in getattr(value, "tiers", ())})
    fields: dict[str, Any] = dict(common)
    if hasattr(constraint, "start_date"):
        fields["since"] = _start(constraint)
    elif constraint is not None:
        fields["hours"] = (_minute(constraint.start_time), _minute(constraint.end_time))
    fields["free"] = common["free"] and not any(map(_is_charged, values.values()))
    return Price(
        rates=_rates(values, units, 0),
        above=tuple((start, _rates(values, units, start)) for start in starts),
        included=_included(values),
        **fields,
    )


def _is_charged(value: Any) -> bool:
    return bool(getattr(value, "base", value))


def _included(values: Mapping[str, Any]) -> frozenset[str]:
    """Return the counts that describe a call and are not billed: audio that is billed by the token."""
    billed_by_token = "input" in values and "audio_input" in values
    return frozenset({"audio_seconds"} if billed_by_token else ())


def _units_per_rate(key: str, part: str) -> int:
    return _HOUR if key.endswith("_hours") else UNITS[part].per


def _rates(values: Mapping[str, Any], units: Mapping[str, int], start: int) -> Rates:
    return {part: Rate.of(_amount(value, start), units[part]) for part, value in values.items()}


def _amount(value: Any, start: int) -> Decimal:
    """Return the price of requests that are larger than ``start`` input tokens."""
    amount = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if tier.start <= start and start:
            amount = tier.price
    return Decimal(amount)


def _minute(moment: time) -> int:
    as_utc = datetime.combine(
        _EVER.date(), moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    ).astimezone(UTC)
    return as_utc.hour * 60 + as_utc.minute
