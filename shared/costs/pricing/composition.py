"""Put a price together: what a source says, what it leaves to the list, a tier's rule, uplifts, a discount.

Pure, and the only place that does so: a charge is recomputed by the same steps that made it.
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
    """A price, and which books contributed to it besides the source itself.

    ``by_own`` is the project's book, ``by_user`` the user's, ``by_list`` a list price behind the user's own.
    """

    price: Price
    by_own: bool = False
    by_user: bool = False
    by_list: bool = False


class PriceSources(NamedTuple):
    """Everything that a price is put together from.

    ``prices`` is what the source says. ``base`` is the list price of the same model that fills in what the
    user's own price does not name. ``own`` is the project's book, for tiers and uplifts; ``user`` the
    user's book, for uplifts and discounts; ``service`` is the one that the call names. ``is_users`` says that
    the source is the user's book. ``features`` are requested on top of the model.
    """

    prices: PriceList
    service: str
    own: PriceBook | None = None
    user: PriceBook | None = None
    base: PriceList | None = None
    is_users: bool = False
    features: tuple[str, ...] = ()


def compose(
    sources: PriceSources, at: datetime, tier: str | None, region: str | None
) -> ComposedPrice | None:
    """Return the price that holds at the instant ``at`` under a tier, in a region; ``None`` without one."""
    composed = (
        _user_price(sources, at, tier) if sources.is_users else _list_price(sources, sources.prices, at, tier)
    )
    if composed is None:
        return None
    price, by_own, by_user, by_list = composed
    for book, is_own in ((sources.own, True), (sources.user, False)):
        if book is None or (is_own and sources.is_users):
            continue  # the user's own price says what is paid
        for rule in _rules_for(book.surcharges, sources):
            if rule.holds(at, tier, region):
                price = rule.apply_to(price, region)
                by_own, by_user = by_own or is_own, by_user or not is_own
    if (
        sources.user is not None
        and not sources.is_users
        and (discount := _agreed_discount(sources, at)) is not None
    ):
        price, by_user = discount.apply_to(price), True
    return ComposedPrice(price, by_own, by_user, by_list)


def rules_of(sources: PriceSources, tier: str | None) -> list[Discount | Surcharge | Fee | Addon]:
    """Return every rule that may affect the price at some date, to know when it can change."""
    provider = sources.prices.name.partition("/")[0]
    rules: list[Discount | Surcharge | Fee | Addon] = []
    rules += [addon for feature in sources.features for addon, _ in _addons(sources, sources.prices, feature)]
    for book in (sources.own, sources.user):
        if book is not None:
            rules += [*_rules_for(book.surcharges, sources), *_rules_for(book.fees, sources)]
            rules += [rule for rule in map(book.discount, (sources.service, provider)) if rule is not None]
    if (
        sources.own is not None
        and tier is not None
        and (rule := sources.own.tier(provider, tier)) is not None
    ):
        rules.append(rule)
    return rules


def _list_price(
    sources: PriceSources, prices: PriceList, at: datetime, tier: str | None
) -> ComposedPrice | None:
    """Return the list price: the model's own for the tier, or the standard one by the provider's rule."""
    price, rule = prices.at(at, tier), None
    if price is None and tier is not None and sources.own is not None:
        rule, standard = sources.own.tier(prices.name.partition("/")[0], tier), prices.at(at)
        if rule is not None and standard is not None and rule.active(at, prices.name):
            price = rule.apply_to(standard)
    if price is None:
        return None
    price, by_own, by_user = _with_features(sources, prices, price, at, tier)
    if sources.service != prices.name.partition("/")[0]:
        # Another seller's hosted tools are not those of the maker.
        price = price.without(_TOOLS)
    price, fee_of_user = _with_fees(sources, sources.user, price, at)
    price, fee_of_own = _with_fees(sources, sources.own, price, at)
    return ComposedPrice(price, by_own or rule is not None or fee_of_own, by_user or fee_of_user)


def _with_fees(
    sources: PriceSources, book: PriceBook | None, price: Price, at: datetime
) -> tuple[Price, bool]:
    """Return the price with a book's fees for what it does not name itself, and whether there are any."""
    fees = (
        [] if book is None or price.free else [fee for fee in _rules_for(book.fees, sources) if fee.holds(at)]
    )
    for fee in fees:
        price = fee.add_to(price)
    return price, bool(fees)


def _with_features(
    sources: PriceSources, prices: PriceList, price: Price, at: datetime, tier: str | None
) -> tuple[Price, bool, bool]:
    """Return the price with the requested features, and whether the project's and the user's book have rates.

    A feature that nobody prices is named in the price.
    """
    by_own = by_user = False
    for feature in () if prices.local else sources.features:
        holding = ((addon, is_own) for addon, is_own in _addons(sources, prices, feature) if addon.holds(at))
        addon, is_own = next(holding, (None, False))
        price = addon.add_to(price, tier) if addon is not None else price.with_feature(feature, None)
        by_own, by_user = by_own or is_own, by_user or (addon is not None and not is_own)
    return price, by_own, by_user


def _addons(sources: PriceSources, prices: PriceList, feature: str) -> Iterator[tuple[Addon, bool]]:
    """Yield the rules that price a feature, the user's first, and whether each is from the project's book."""
    names = (prices.name, f"{sources.service}/{prices.name.partition('/')[2]}")
    for book, is_own in ((sources.user, False), (sources.own, True)):
        for addon in book.addons if book is not None else ():
            if addon.covers(names, feature):
                yield addon, is_own


def _user_price(sources: PriceSources, at: datetime, tier: str | None) -> ComposedPrice | None:
    """Return the user's own price, with the list's rates for what it does not name."""
    users_price = sources.prices.at(at, tier)
    standard = sources.prices.at(at)
    if standard is None:
        return None
    if users_price is None:
        listed = (
            _list_price(sources, sources.base, at, tier)
            if sources.base is not None and fills(standard)
            else None
        )
        return listed and listed._replace(by_list=True)
    users_price, _ = _with_fees(sources, sources.user, users_price, at)
    filled, by_own = users_price, False
    if sources.base is not None and fills(users_price):
        listed = _list_price(sources._replace(features=()), sources.base, at, tier)
        if listed is not None and (filled := _filled_in(users_price, listed.price)) is not users_price:
            by_own = listed.by_own
    price, by_ours, by_user = _with_features(sources, sources.prices, filled, at, tier)
    return ComposedPrice(price, by_own or by_ours, by_user, filled is not users_price)


def fills(price: Price) -> bool:
    """Whether the list price fills in what a price does not name: only where it is one for tokens."""
    return not price.free and not _NOT_TOKENS & price.rates.keys()


def _filled_in(users_price: Price, listed: Price) -> Price:
    if not listed.parts - users_price.parts or listed.free or _NOT_TOKENS & listed.rates.keys():
        return users_price
    sizes = sorted({size for size, _ in (*users_price.above, *listed.above)})
    return users_price._replace(
        rates=_merged(users_price.rates, listed.rates),
        above=tuple((n, _merged(_rates_above(users_price, n), _rates_above(listed, n))) for n in sizes),
        included=users_price.included | listed.included,
        unknown=(users_price.unknown | listed.unknown) - users_price.rates.keys(),
        unverified=users_price.unverified or listed.unverified,
    )


def _rates_above(price: Price, threshold: int) -> Rates:
    return price.rates_for(threshold + 1)


def _merged(users_rates: Rates, listed: Rates) -> Rates:
    return {**listed, **users_rates}


def _rules_for(rules: Iterable[_Rule], sources: PriceSources) -> list[_Rule]:
    """Return the rules that cover the model, as sold by the service that is called."""
    name = f"{sources.service}/{sources.prices.name.partition('/')[2]}"
    return [rule for rule in rules if rule.covers(name)]


def _agreed_discount(sources: PriceSources, at: datetime) -> Discount | None:
    """Return the discount that the user agreed with the service that was called, or with the model's own."""
    if sources.user is None:
        return None
    for service in dict.fromkeys((sources.service, sources.prices.name.partition("/")[0])):
        rule = sources.user.discount(service)
        if rule is not None:
            return rule if rule.active(at, sources.prices.name) else None
    return None
