"""What is wrong or doubtful with prices: models without one, sources that disagree, sources that are old.

Pure: the catalogue, the models in use and ``now`` come in; findings go out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from ..model import Entry, Unpriced
from ..money import Nanos, format_usd
from .book import TIERS
from .catalogue import Catalogue
from .genai import SOURCE as GENAI
from .offers import Offer
from .peers import Peer, PeerPrice
from .rates import UNITS, Price, PriceList, Rate
from .repricing import priced_again

STALE_AFTER_DAYS: Final = 90

FindingKind = Literal["unpriced", "partial", "repriceable", "differs", "bill", "stale", "unverified"]


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A model in the ledgers: its calls, how many have no price or only part of one, and examples.

    ``billed`` is what its provider billed, ``computed`` what our own prices give for the same calls:
    nano-dollars.
    """

    service: str
    model: str
    calls: int
    unpriced_calls: int = 0
    example: Entry | None = None
    partial_calls: int = 0
    partial_example: Entry | None = None
    billed: int = 0
    computed: int = 0


@dataclass(frozen=True, slots=True)
class CatalogueFinding:
    """One thing to know about prices; ``remedy`` says what to do about it.

    ``in_use`` is false where it is about a model that no ledger has.
    """

    kind: FindingKind
    name: str
    text: str
    remedy: str
    in_use: bool = True


def check(
    catalogue: Catalogue, used: Iterable[UsedModel], now: datetime, peers: Sequence[Peer] = ()
) -> list[CatalogueFinding]:
    """Return all findings: about the models in use first, then about the sources, then about other models.

    Sources are compared for every model in use and for all models in the project's and the user's price
    files.
    """
    models = list(used)
    names = dict.fromkeys(catalogue.name(model.service, model.model) for model in models)
    others = [name for name in catalogue.models() if name not in names]
    sources = catalogue.forgetful()
    return [
        *unpriced(catalogue, models),
        *partial(catalogue, models),
        *bills(catalogue, models),
        *unverified(catalogue, models, now),
        *differences(sources, names, now, peers),
        *stale(catalogue, now),
        *(replace(finding, in_use=False) for finding in differences(sources, others, now, peers)),
    ]


def unpriced(catalogue: Catalogue, used: Iterable[UsedModel]) -> Iterator[CatalogueFinding]:
    """Yield the models with unpriced calls, and whether there is a price for them by now."""
    for model in used:
        if not model.unpriced_calls:
            continue
        name = catalogue.name(model.service, model.model)
        calls = f"{model.unpriced_calls:,} of {model.calls:,} calls have no price"
        reason = _reason(catalogue, model)
        if reason is None:
            yield CatalogueFinding(
                "repriceable", name, f"{calls}; there is one now", "run cost-dashboard reprice"
            )
        else:
            fault, _, remedy = reason.partition(": ")
            yield CatalogueFinding("unpriced", name, f"{calls}: {fault}", remedy)


def partial(catalogue: Catalogue, used: Iterable[UsedModel]) -> Iterator[CatalogueFinding]:
    """Yield the models with calls of which a unit had no price, and whether there is one by now."""
    for model in used:
        example = model.partial_example
        if not model.partial_calls or example is None:
            continue
        name = catalogue.name(model.service, model.model)
        calls = f"{model.partial_calls:,} of {model.calls:,} calls have units without a price"
        charge = priced_again(catalogue, example, example.unpriced_units)
        missing = example.unpriced_units if isinstance(charge, Unpriced) else charge.missing
        if missing:
            units = ", ".join(sorted(missing))
            yield CatalogueFinding(
                "partial", name, f"{calls}: {units}", f"add their prices to {catalogue.place}"
            )
        else:
            yield CatalogueFinding(
                "repriceable", name, f"{calls}; there are prices now", "run cost-dashboard reprice"
            )


def bills(catalogue: Catalogue, used: Iterable[UsedModel]) -> Iterator[CatalogueFinding]:
    """Yield the models whose bills differ from our own arithmetic by more than a cent and more than 1 %."""
    for model in used:
        difference = abs(model.billed - model.computed)
        if not model.computed or difference <= _CENT or difference * 100 <= model.computed:
            continue
        name = catalogue.name(model.service, model.model)
        billed, computed = (format_usd(Nanos(amount)) for amount in (model.billed, model.computed))
        text = f"its provider billed {billed}, and our arithmetic makes {computed} of the same calls"
        yield CatalogueFinding("bill", name, text, f"see cost-dashboard prices show {name}")


_CENT: Final = 10_000_000


def _reason(catalogue: Catalogue, model: UsedModel) -> str | None:
    """Return why the example of an unpriced call still has no price; ``None`` when it has one."""
    example = model.example
    if example is None:
        return f"no example of {model.service}/{model.model}: run cost-dashboard reprice"
    charge = priced_again(catalogue, example, example.unpriced_units)
    return charge.reason if isinstance(charge, Unpriced) else None


def unverified(catalogue: Catalogue, used: Iterable[UsedModel], now: datetime) -> Iterator[CatalogueFinding]:
    """Yield the models in use whose price its source marks as doubtful."""
    for model in used:
        quote = catalogue.quote(model.service, model.model, now)
        if isinstance(quote, Unpriced) or not quote.priced_by.unverified:
            continue
        priced_by, note = quote.priced_by, quote.price.note or "its source is not sure of it"
        yield CatalogueFinding(
            "unverified",
            priced_by.model,
            f"the price of {priced_by.source} is not verified: {note}",
            f"add the price you are charged to {catalogue.place}",
        )


def differences(
    catalogue: Catalogue, names: Iterable[str], now: datetime, peers: Sequence[Peer] = ()
) -> Iterator[CatalogueFinding]:
    """Yield what the sources disagree on at ``now``, for the models called ``provider/model``.

    Every rate is compared: the ordinary ones, those of larger requests and those of each service tier.
    """
    for name in names:
        service, _, model = name.partition("/")
        offers = [offer for offer in catalogue.offers(service, model) if offer.prices.at(now) is not None]
        if not offers:
            continue
        base = offers[0]
        quote = catalogue.quote(service, model, now)
        if isinstance(quote, Unpriced) or quote.price.free:
            continue
        ours = _all_rates(catalogue, service, model, offers, now)
        for source, theirs in _others(catalogue, base, offers, now, peers):
            if disagreement := _disagreement(ours, theirs):
                text = f"{base.source} says {disagreement[0]}, {source} says {disagreement[1]}"
                yield CatalogueFinding(
                    "differs", base.name, text, f"see cost-dashboard prices show {base.name}"
                )


_Key = tuple[str, int, str]
"""A service tier (or nothing), a size of requests (or 0), and a part."""


def _others(
    catalogue: Catalogue, base: Offer, offers: Sequence[Offer], now: datetime, peers: Sequence[Peer]
) -> Iterator[tuple[str, dict[_Key, Rate]]]:
    """Yield the rates that each other source has for a model, with the source's name and release."""
    for offer in offers[1:]:
        yield f"{offer.source} {offer.version}", _rates_of(offer.prices, now)
    provider, _, model = base.name.partition("/")
    if catalogue.genai is not None and not any(offer.source == GENAI for offer in offers):
        listed = catalogue.genai.answer(provider, model)
        if listed is not None:
            yield f"{GENAI} {catalogue.genai.version} ({listed.name})", _rates_of(listed, now)
    for peer in peers:
        price = peer.price(provider, model)
        if price is None and base.service != provider:
            price = peer.price(base.service, model)
        if price is not None:
            yield f"{peer.name} {peer.version}", _rates_of_peer(price)


def _all_rates(
    catalogue: Catalogue, service: str, model: str, offers: Sequence[Offer], now: datetime
) -> dict[_Key, Rate]:
    """Return every rate that holds for a model, with the fees of its service."""
    providers = {offer.prices.name.partition("/")[0] for offer in offers}
    tiers = {tier for tier in TIERS if any(catalogue.own.tier(provider, tier) for provider in providers)}
    rates: dict[_Key, Rate] = {}
    for tier in ("", *sorted(tiers.union(*(offer.prices.tiers for offer in offers)))):
        quote = catalogue.quote(service, model, now, tier or None)
        if not isinstance(quote, Unpriced):
            rates |= _keyed(tier, quote.price)
    return rates


def _rates_of(prices: PriceList, now: datetime) -> dict[_Key, Rate]:
    rates: dict[_Key, Rate] = {}
    for tier in ("", *prices.tiers):
        price = prices.at(now, tier or None)
        rates |= _keyed(tier, price) if price is not None else {}
    return rates


def _keyed(tier: str, price: Price) -> dict[_Key, Rate]:
    sizes = [(0, price.rates), *price.above]
    return {(tier, size, part): rate for size, rates in sizes for part, rate in rates.items()}


def _rates_of_peer(price: PeerPrice) -> dict[_Key, Rate]:
    sizes = [("", 0, price.rates), *(("", size, rates) for size, rates in price.above)]
    sizes += [(tier, 0, rates) for tier, rates in price.tiers.items()]
    return {(tier, size, part): rate for tier, size, rates in sizes for part, rate in rates.items()}


_PART_OF: Final = {
    "cached": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "audio_input": "input",
    "image_input": "input",
    "audio_cached": "cached",
    "image_cached": "cached",
    "reasoning": "output",
    "audio_output": "output",
    "image_output": "output",
}
"""The part at whose rate a part without a rate of its own is billed."""

_SEARCH: Final = ("requests", "web_searches")
"""The parts of a search fee: some sources state it per request, others per search."""


def _disagreement(ours: Mapping[_Key, Rate], theirs: Mapping[_Key, Rate]) -> tuple[str, str] | None:
    """Return the rates that differ, as people read them: ours and theirs, in order."""
    keys = [key for key in theirs if _differs(key, ours, theirs)]
    if not keys:
        return None
    order = list(UNITS)
    keys.sort(key=lambda key: (key[0], key[1], order.index(key[2])))
    return _shown(keys, ours), _shown(keys, theirs)


def _differs(key: _Key, ours: Mapping[_Key, Rate], theirs: Mapping[_Key, Rate]) -> bool:
    tier, size, part = key
    if not theirs[key].nanos and part not in {"input", "audio_seconds"}:
        return False  # tables write zero for what they do not know to be billed
    our_rate = _paid(key, ours)
    if our_rate is None:
        if tier and not any(rate_key[0] == tier for rate_key in ours):
            return part in {"input", "output"}  # a tier that we do not know: its main rates say so
        if size and not any(rate_key[1] == size for rate_key in ours):
            return part in {"input", "output"}
        if part in _SEARCH:
            our_rate = next(
                (
                    ours[tier, size, search_part]
                    for search_part in _SEARCH
                    if (tier, size, search_part) in ours
                ),
                None,
            )
        if our_rate is None:
            return part not in _OFTEN_UNBILLED
    return not _alike(our_rate, theirs[key])


_OFTEN_UNBILLED: Final = frozenset({"output", "containers", "images", "characters", "audio_seconds"})
"""Parts that tables state for models that do not bill them: output of embeddings, estimates by the minute."""


def _paid(key: _Key, ours: Mapping[_Key, Rate]) -> Rate | None:
    """Return the rate at which we bill a part: its own, or that of what it is part of."""
    tier, size, part = key
    while (rate := ours.get((tier, size, part))) is None and part in _PART_OF:
        part = _PART_OF[part]
    return rate


def _alike(ours: Rate, theirs: Rate) -> bool:
    """Whether two rates are the same except for digits that a table cut off."""
    larger = max(ours.nanos * theirs.units, theirs.nanos * ours.units)
    return abs(ours.nanos * theirs.units - theirs.nanos * ours.units) * 1_000 <= larger


def _shown(keys: Sequence[_Key], rates: Mapping[_Key, Rate]) -> str:
    return ", ".join(_rate_in_words(key, _paid(key, rates)) for key in keys)


def _rate_in_words(key: _Key, rate: Rate | None) -> str:
    tier, size, part = key
    usd = f"${rate.usd_per(UNITS[part].per)}" if rate is not None else "no price"
    large = f" above {size:,}" if size else ""
    return f"{usd} per {UNITS[part].words}{large}{f' ({tier})' if tier else ''}"


def stale(
    catalogue: Catalogue, now: datetime, after_days: int = STALE_AFTER_DAYS
) -> Iterator[CatalogueFinding]:
    """Yield the price files whose sources were last checked more than ``after_days`` days ago."""
    books = [(book, "the project's catalogue") for book in (catalogue.own,)]
    books += [(book, "prices.yaml") for book in (catalogue.overrides,) if book is not None]
    for book, name in books:
        checked = book.checked
        age = (now.date() - checked).days if checked else 0
        if checked and age > after_days:
            yield CatalogueFinding(
                "stale",
                name,
                f"its sources were last looked at on {checked}, {age} days ago",
                "compare it with the providers' pages and set `checked`, or run cost-dashboard prices update",
            )
