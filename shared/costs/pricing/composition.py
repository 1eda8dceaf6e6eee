"""Put a price together: what a source says, what it leaves to the list, a tier's rule, uplifts, a discount.

Pure, and the one place that does so: a charge is recomputed by the same steps that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from .book import Addon, Discount, Fee, PriceBook, Surcharge
from .rates import Price, PriceList, Rates

_Rule = TypeVar("_Rule", Surcharge, Fee)

_NOT_TOKENS: Final = frozenset(
    {
        "audio_seconds",
        "characters",
        "images",
        "pages",
        "video_seconds",
        "gpu_seconds",
        "session_seconds",
        "billable_units",
    }
)
"""Units that a model is billed by instead of tokens: a price with one of them is a price of its own."""


_TOOLS: Final = frozenset(
    {"web_searches", "preview_searches", "maps_searches", "file_searches", "containers", "session_seconds"}
)
"""Units of tools that a seller runs beside a model."""


class ComposedPrice(NamedTuple):
    """A price, and which books had a part in it beside the source itself."""

    price: Price
    by_own: bool = False
    by_user: bool = False
    by_list: bool = False


class PriceSources(NamedTuple):
    """All that a price is put together from.

    ``prices`` is what the source says. ``base`` is the list price of the same model that fills in what the
    user's own price does not name. ``own`` is the project's book, for tiers and uplifts; ``user`` the
    user's book, for uplifts and discounts; ``service`` the one that the call names. ``features`` are asked
    for on top of the model.
    """

    prices: PriceList
    service: str
    own: PriceBook | None = None
    user: PriceBook | None = None
    base: PriceList | None = None
    users: bool = False
    features: tuple[str, ...] = ()


def compose(of: PriceSources, at: datetime, tier: str | None, region: str | None) -> ComposedPrice | None:
    """Return the price that holds at the instant ``at`` under a tier, in a region; ``None`` without one."""
    found = _users(of, at, tier) if of.users else _listed(of, of.prices, at, tier)
    if found is None:
        return None
    price, by_own, by_user, by_list = found
    for book, ours in ((of.own, True), (of.user, False)):
        if book is None or (ours and of.users):
            continue  # the user's own price says what is paid
        for rule in _about(book.surcharges, of):
            if rule.holds(at, tier, region):
                price = rule.applied(price, region)
                by_own, by_user = by_own or ours, by_user or not ours
    if of.user is not None and not of.users and (rule_ := _agreed(of, at)) is not None:
        price, by_user = rule_.applied(price), True
    return ComposedPrice(price, by_own, by_user, by_list)


def rules_of(of: PriceSources, tier: str | None) -> list[Discount | Surcharge | Fee | Addon]:
    """Return every rule that may bear on the price at some date: for telling when it changes."""
    provider = of.prices.name.partition("/")[0]
    rules: list[Discount | Surcharge | Fee | Addon] = []
    rules += [addon for feature in of.features for addon, _ in _addons(of, of.prices, feature)]
    for book in (of.own, of.user):
        if book is not None:
            rules += [*_about(book.surcharges, of), *_about(book.fees, of)]
            rules += [rule for rule in map(book.discount, (of.service, provider)) if rule is not None]
    if of.own is not None and tier is not None and (rule := of.own.tier(provider, tier)) is not None:
        rules.append(rule)
    return rules


def _listed(of: PriceSources, prices: PriceList, at: datetime, tier: str | None) -> ComposedPrice | None:
    """Return the list price: the model's own for the tier, or the standard one by the provider's rule."""
    price, rule = prices.at(at, tier), None
    if price is None and tier is not None and of.own is not None:
        rule, standard = of.own.tier(prices.name.partition("/")[0], tier), prices.at(at)
        if rule is not None and standard is not None and rule.active(at, prices.name):
            price = rule.applied(standard)
    if price is None:
        return None
    price, by_own, by_user = _with_features(of, prices, price, at, tier)
    if of.service != prices.name.partition("/")[0]:
        # Another seller's hosted tools are not those of the maker.
        price = price.without(_TOOLS)
    price, fee_of_user = _with_fees(of, of.user, price, at)
    price, fee_of_own = _with_fees(of, of.own, price, at)
    return ComposedPrice(price, by_own or rule is not None or fee_of_own, by_user or fee_of_user)


def _with_fees(of: PriceSources, book: PriceBook | None, price: Price, at: datetime) -> tuple[Price, bool]:
    """Return the price with a book's fees for what it does not name itself, and whether there are any."""
    fees = [] if book is None or price.free else [fee for fee in _about(book.fees, of) if fee.holds(at)]
    for fee in fees:
        price = fee.added(price)
    return price, bool(fees)


def _with_features(
    of: PriceSources, prices: PriceList, price: Price, at: datetime, tier: str | None
) -> tuple[Price, bool, bool]:
    """Return the price with what was asked for on top, and whether our book and the user's had a part in it.

    A feature that nobody prices is named in it.
    """
    by_own = by_user = False
    for feature in () if prices.local else of.features:
        holding = ((addon, ours) for addon, ours in _addons(of, prices, feature) if addon.holds(at))
        addon, ours = next(holding, (None, False))
        price = addon.added(price, tier) if addon is not None else price.with_feature(feature, None)
        by_own, by_user = by_own or ours, by_user or (addon is not None and not ours)
    return price, by_own, by_user


def _addons(of: PriceSources, prices: PriceList, feature: str) -> Iterator[tuple[Addon, bool]]:
    """Yield what prices a feature, and whether that is of the project's own book: the user's comes first."""
    names = (prices.name, f"{of.service}/{prices.name.partition('/')[2]}")
    for book, ours in ((of.user, False), (of.own, True)):
        for addon in book.addons if book is not None else ():
            if addon.covers(names, feature):
                yield addon, ours


def _users(of: PriceSources, at: datetime, tier: str | None) -> ComposedPrice | None:
    """Return the user's own price, with the list's rates for what it does not name."""
    mine = of.prices.at(at, tier)
    standard = of.prices.at(at)
    if standard is None:
        return None
    if mine is None:
        listed = _listed(of, of.base, at, tier) if of.base is not None and fills(standard) else None
        return listed and listed._replace(by_list=True)
    mine, _ = _with_fees(of, of.user, mine, at)
    filled, by_own = mine, False
    if of.base is not None and fills(mine):
        listed = _listed(of._replace(features=()), of.base, at, tier)
        if listed is not None and (filled := _filled(mine, listed.price)) is not mine:
            by_own = listed.by_own
    price, by_ours, by_user = _with_features(of, of.prices, filled, at, tier)
    return ComposedPrice(price, by_own or by_ours, by_user, filled is not mine)


def fills(price: Price) -> bool:
    """Whether a price leaves to the list what it does not name: one for tokens, in part."""
    return not price.free and not _NOT_TOKENS & price.rates.keys()


def _filled(mine: Price, listed: Price) -> Price:
    if not listed.parts - mine.parts or listed.free or _NOT_TOKENS & listed.rates.keys():
        return mine
    sizes = sorted({size for size, _ in (*mine.above, *listed.above)})
    return mine._replace(
        rates=_merged(mine.rates, listed.rates),
        above=tuple((n, _merged(_at(mine, n), _at(listed, n))) for n in sizes),
        included=mine.included | listed.included,
        unknown=(mine.unknown | listed.unknown) - mine.rates.keys(),
        unverified=mine.unverified or listed.unverified,
    )


def _at(price: Price, threshold: int) -> Rates:
    return price.rates_for(threshold + 1)


def _merged(mine: Rates, listed: Rates) -> Rates:
    return {**listed, **mine}


def _about(rules: Iterable[_Rule], of: PriceSources) -> list[_Rule]:
    """Return the rules that are about the model, as the service that is called sells it."""
    name = f"{of.service}/{of.prices.name.partition('/')[2]}"
    return [rule for rule in rules if rule.covers(name)]


def _agreed(of: PriceSources, at: datetime) -> Discount | None:
    """Return the discount that the user agreed with the service that was called, or with the model's own."""
    if of.user is None:
        return None
    for service in dict.fromkeys((of.service, of.prices.name.partition("/")[0])):
        rule = of.user.discount(service)
        if rule is not None:
            return rule if rule.active(at, of.prices.name) else None
    return None
