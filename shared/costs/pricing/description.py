"""Prices for people: every rate of a model with its source, the arithmetic of a charge, cheaper models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ..model import Charge, PricedBy, Unpriced, Usage
from ..money import Nanos, json_number
from . import arithmetic
from .genai import SOURCE as GENAI
from .offers import Offer, Quote
from .rates import UNITS, Price, Rates

if TYPE_CHECKING:
    from .catalogue import Catalogue

_EXAMPLES: Final = (
    Usage(tokens_input=1_500, tokens_output=300),
    Usage(tokens_input=1_000),
    Usage(audio_seconds=90),
    Usage(characters=1_000),
    Usage(images=1),
    Usage(pages=10),
    Usage(video_seconds=8),
    Usage(gpu_seconds=90),
    Usage(session_seconds=90),
    Usage(search_units=1),
    Usage(pixels=1_000_000),
    Usage(billable_units=1),
    Usage(requests=1),
    Usage(web_searches=1),
)


@dataclass(frozen=True, slots=True)
class RateLine:
    """One rate: ``$2.50 per million input tokens``, for requests of more than ``above`` input tokens."""

    part: str
    usd: str
    unit: str
    above: int | None = None

    def __str__(self) -> str:
        size = f" in requests above {self.above:,} input tokens" if self.above else ""
        return f"${self.usd} per {self.unit}{size}"


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A price of a model with its rates: since when, for which service tier, hours and days, and its source.

    ``current`` marks the one that holds at the instant of the description.
    """

    model: str
    source: str
    version: str
    since: datetime | None
    tier: str | None
    hours: tuple[int, int] | None
    rates: tuple[RateLine, ...]
    reference: str
    unverified: bool
    note: str
    current: bool
    days: tuple[int, ...] = ()
    when: str = ""


@dataclass(frozen=True, slots=True)
class PricedModel:
    """All that is known about a model's price, in order of precedence, and an example in words."""

    name: str
    local: bool
    kind: str | None
    prices: tuple[DatedPrice, ...]
    example: tuple[str, ...]

    @property
    def current(self) -> DatedPrice | None:
        """The standard price that holds at the instant of the description."""
        return next((price for price in self.prices if price.current and price.tier is None), None)


@dataclass(frozen=True, slots=True)
class CheaperModel:
    """A cheaper model of the same class. ``ratio`` is its price over the other's, for the reference usage."""

    service: str
    model: str
    name: str
    kind: str
    ratio: float


def describe(catalogue: Catalogue, service: str, model: str, at: datetime) -> PricedModel | None:
    """Return all prices of a model, as :meth:`Catalogue.describe` says; ``None`` when it has none."""
    offers = list(catalogue.offers(service, model))
    if not offers:
        return None

    def quote_for(tier: str | None) -> Quote | None:
        quote = catalogue.quote(service, model, at, tier)
        return None if isinstance(quote, Unpriced) else quote

    quote = catalogue.quote(service, model, at)
    return PricedModel(
        name=offers[0].name,
        local=offers[0].prices.local,
        kind=catalogue.class_of(offers[0].name),
        prices=tuple(price for offer in offers for price in _dated_prices(offer, at, quote_for)),
        example=(quote.reason,) if isinstance(quote, Unpriced) else _example(quote.price),
    )


def listing(
    catalogue: Catalogue, at: datetime, fragment: str = "", *, everything: bool = False
) -> list[PricedModel]:
    """Return the models with a price whose names contain ``fragment``, in any case, by name.

    With ``everything``, also those that were never looked up: this imports ``genai-prices``, which takes
    about a second.
    """
    models: dict[str, PricedModel] = {}
    fresh, fragment = catalogue.forgetful(), fragment.lower()
    for name in catalogue.models():
        service, _, model = name.partition("/")
        if fragment in name.lower() and (described := describe(fresh, service, model, at)) is not None:
            models.setdefault(described.name, described)
    if everything and catalogue.genai is not None:
        for prices in catalogue.genai.everything():
            if fragment not in prices.name.lower():
                continue
            offer = Offer(GENAI, catalogue.genai.version, prices, prices.name.partition("/")[0], prices.name)
            if offer.name not in models:
                models[offer.name] = _describe_offer(catalogue, offer, at)
    return [models[name] for name in sorted(models)]


def _describe_offer(catalogue: Catalogue, offer: Offer, at: datetime) -> PricedModel:
    """Describe the prices of the only source that has any for a model."""

    def quote_for(tier: str | None) -> Quote | None:
        price = offer.prices.at(at, tier)
        priced_by = PricedBy(offer.source, offer.version, offer.name)
        return Quote(price, priced_by) if price is not None else None

    price = offer.prices.at(at)
    return PricedModel(
        name=offer.name,
        local=False,
        kind=catalogue.class_of(offer.name),
        prices=tuple(_dated_prices(offer, at, quote_for)),
        example=_example(price) if price is not None else (),
    )


def _dated_prices(
    offer: Offer, at: datetime, quote_for: Callable[[str | None], Quote | None]
) -> Iterable[DatedPrice]:
    tiers: list[tuple[str | None, tuple[Price, ...]]] = [(None, offer.prices.prices)]
    tiers += offer.prices.tiers.items()
    for tier, prices in tiers:
        quote, active = quote_for(tier), offer.prices.at(at, tier)
        for price in prices:
            holds = price is active and quote is not None and quote.priced_by.source == offer.source
            yield DatedPrice(
                model=offer.name,
                source=offer.source,
                version=offer.version,
                since=price.since,
                tier=tier,
                hours=price.hours,
                days=tuple(sorted(price.days)),
                when=price.when,
                rates=rate_lines(quote.price if holds and quote else price),
                reference=price.source,
                unverified=price.unverified or offer.vague,
                note=price.note,
                current=holds,
            )


def rate_lines(price: Price) -> tuple[RateLine, ...]:
    """Return every rate of a price, those of larger requests too."""
    sizes: list[tuple[int | None, Rates]] = [(None, price.rates), *price.above]
    return tuple(
        RateLine(part, rate.usd_per(UNITS[part].per), UNITS[part].words, above)
        for above, rates in sizes
        for part, rate in sorted(rates.items(), key=lambda item: list(UNITS).index(item[0]))
        if above is None or rate != price.rates.get(part)
    )


def _example(price: Price) -> tuple[str, ...]:
    if price.free:
        return explain(price, _EXAMPLES[0])
    partial: tuple[str, ...] = ()
    for usage in _EXAMPLES:
        amounts = arithmetic.amounts(price, usage)
        if isinstance(amounts, arithmetic.Shortfall):
            continue
        if not amounts.missing:
            return explain(price, usage)
        partial = partial or explain(price, usage)
    return partial


def explain(price: Price, usage: Usage) -> tuple[str, ...]:
    """Return the arithmetic of a charge in words, a line per part and one for the sum.

    >>> from .rates import Rate
    >>> price = Price({"input": Rate.of("2.50", per=1_000_000), "output": Rate.of("10", per=1_000_000)})
    >>> for line in explain(price, Usage(tokens_input=1_500, tokens_output=300)): print(line)
    1,500 input tokens x $2.5 per million = $0.00375
    300 output tokens x $10 per million = $0.003
    total $0.00675
    """
    if price.free:
        return ("an explicit price of zero", "total $0")
    quantity_of = arithmetic.quantities(price, usage)
    amounts = arithmetic.amounts(price, usage)
    if isinstance(quantity_of, arithmetic.Shortfall):
        return (f"this price {quantity_of.fault}",)
    if isinstance(amounts, arithmetic.Shortfall):
        return (f"this price {amounts.fault}",)
    rates = price.rates if price.is_sum(usage) else price.rates_for(usage.tokens_input)
    lines = [_part_line(part, quantity_of[part], rates, amount) for part, amount in amounts.parts.items()]
    lines += [f"{count:,} {unit}: no price is known" for unit, count in amounts.missing.items()]
    total = f"total ${json_number(Nanos(sum(amounts.parts.values())))}"
    return (*lines, f"{total}, and what has no price" if amounts.missing else total)


def _part_line(part: str, quantity: int, rates: Rates, amount: Nanos) -> str:
    unit = UNITS[part]
    usd = rates[part].usd_per(unit.per)
    if part in _FRACTIONAL:
        noun, rate_unit = _FRACTIONAL[part]
        counted = f"{quantity / 1_000_000:,.6f}".rstrip("0").rstrip(".") + f" {noun}"
    else:
        scale, _, words = unit.words.partition(" ") if unit.per > 1 else ("", "", unit.words)
        counted, rate_unit = f"{quantity:,} {words}", scale or words
    return f"{counted} x ${usd} per {rate_unit} = ${json_number(amount)}"


_FRACTIONAL: Final = {
    "audio_seconds": ("s of audio", "minute"),
    "video_seconds": ("s of video", "second"),
    "gpu_seconds": ("s of GPU time", "hour"),
    "session_seconds": ("s of session", "hour"),
    "billable_units": ("billable units", "unit"),
}
"""What is counted in millionths, in words, and the unit of its written rate."""


def alternatives(catalogue: Catalogue, service: str, model: str, at: datetime) -> list[CheaperModel]:
    """Return cheaper models of the same class, as :meth:`Catalogue.alternatives` says."""
    name = catalogue.name(service, model)
    kind = catalogue.class_of(name)
    if kind is None:
        return []
    usage = Usage(**_counts(catalogue, kind))
    current = catalogue.charge(service, model, usage, at)
    if isinstance(current, Unpriced) or current.missing or not current.total:
        return []
    cheaper = []
    for member in catalogue.members(kind):
        other_service, _, other_model = member.partition("/")
        charge = catalogue.charge(other_service, other_model, usage, at)
        if (
            isinstance(charge, Charge)
            and not charge.missing
            and charge.priced_by.model != name
            and charge.total < current.total
        ):
            cheaper.append(
                CheaperModel(other_service, other_model, member, kind, charge.total / current.total)
            )
    return sorted(cheaper, key=lambda alternative: (alternative.ratio, alternative.name))


def _counts(catalogue: Catalogue, kind: str) -> dict[str, Any]:
    return dict(catalogue.reference(kind) or {"tokens_input": 3_000, "tokens_output": 1_000})
