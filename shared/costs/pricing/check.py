"""What is wrong or doubtful with prices: models without one, sources that disagree, sources that are old.

Pure: the catalogue, the models in use and ``now`` come in; findings go out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from ..model import Entry, Unpriced
from .catalogue import Catalogue
from .peers import Peer
from .rates import UNITS, Rates

STALE_AFTER_DAYS: Final = 90

FindingKind = Literal["unpriced", "repriceable", "differs", "stale", "unverified"]


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A model in the ledgers: how many calls it has, how many of them unpriced, and one of those."""

    service: str
    model: str
    calls: int
    unpriced_calls: int = 0
    example: Entry | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about prices; ``remedy`` says what to do about it."""

    kind: FindingKind
    name: str
    text: str
    remedy: str


def check(
    catalogue: Catalogue, used: Iterable[UsedModel], now: datetime, peers: Sequence[Peer] = ()
) -> list[Finding]:
    """Return all findings: about the models in use first, then about the sources.

    Where the sources disagree is told of every model in use and of all that the project's and the
    user's price files have.
    """
    models = list(used)
    names = [catalogue.name(model.service, model.model) for model in models]
    return [
        *unpriced(catalogue, models),
        *unverified(catalogue, models, now),
        *differences(catalogue, dict.fromkeys([*names, *catalogue.models()]), now, peers),
        *stale(catalogue, now),
    ]


def unpriced(catalogue: Catalogue, used: Iterable[UsedModel]) -> Iterator[Finding]:
    """Yield the models with unpriced calls, and whether there is a price for them by now."""
    for model in used:
        if not model.unpriced_calls:
            continue
        name = catalogue.name(model.service, model.model)
        calls = f"{model.unpriced_calls:,} of {model.calls:,} calls have no price"
        reason = _reason(catalogue, model)
        if reason is None:
            yield Finding("repriceable", name, f"{calls}; there is one now", "run cost-dashboard reprice")
        else:
            fault, _, remedy = reason.partition(": ")
            yield Finding("unpriced", name, f"{calls}: {fault}", remedy)


def _reason(catalogue: Catalogue, model: UsedModel) -> str | None:
    """Return why the example of an unpriced call still has no price; ``None`` when it has one."""
    call = model.example
    if call is None:
        return f"no example of {model.service}/{model.model}: run cost-dashboard reprice"
    found = catalogue.charge(call.service, call.model, call.usage, call.timestamp, call.service_tier)
    return found.reason if isinstance(found, Unpriced) else None


def unverified(catalogue: Catalogue, used: Iterable[UsedModel], now: datetime) -> Iterator[Finding]:
    """Yield the models in use whose price its own source is not sure of."""
    for model in used:
        quote = catalogue.quote(model.service, model.model, now)
        if isinstance(quote, Unpriced) or not quote.priced_by.unverified:
            continue
        by, note = quote.priced_by, quote.price.note or "its source is not sure of it"
        yield Finding(
            "unverified",
            by.model,
            f"the price of {by.source} is not verified: {note}",
            f"add the price you are charged to {catalogue.place}",
        )


def differences(
    catalogue: Catalogue, names: Iterable[str], now: datetime, peers: Sequence[Peer] = ()
) -> Iterator[Finding]:
    """Yield the rates on which the sources disagree at ``now``, for the models called ``provider/model``."""
    for name in names:
        service, _, model = name.partition("/")
        offers = [offer for offer in catalogue.offers(service, model) if offer.prices.at(now) is not None]
        if not offers:
            continue
        base = offers[0]
        ours = _rates_at(base.prices.at(now))
        others: list[tuple[str, Rates]] = [
            (f"{offer.source} {offer.version}", _rates_at(offer.prices.at(now))) for offer in offers[1:]
        ]
        provider, _, own_name = base.name.partition("/")
        others += [
            (f"{peer.name} {peer.version}", r) for peer in peers if (r := peer.rates(provider, own_name))
        ]
        for who, theirs in others:
            if disagreement := _disagreement(ours, theirs):
                text = f"{base.source} says {disagreement[0]}, {who} says {disagreement[1]}"
                yield Finding("differs", base.name, text, f"see cost-dashboard prices show {base.name}")


def _rates_at(price: object) -> Rates:
    return getattr(price, "rates", {})


def _disagreement(ours: Rates, theirs: Rates) -> tuple[str, str] | None:
    """Return the rates of the parts that both have a price for and that differ, as people read them."""
    parts = [part for part in UNITS if part in ours and part in theirs and ours[part] != theirs[part]]
    if not parts:
        return None
    return _shown(parts, ours), _shown(parts, theirs)


def _shown(parts: Sequence[str], rates: Rates) -> str:
    return ", ".join(f"${rates[part].usd_per(UNITS[part].per)} per {UNITS[part].words}" for part in parts)


def stale(catalogue: Catalogue, now: datetime, after_days: int = STALE_AFTER_DAYS) -> Iterator[Finding]:
    """Yield the price files whose sources were last looked at more than ``after_days`` days ago."""
    books = [(book, "the project's catalogue") for book in (catalogue.own,)]
    books += [(book, "prices.yaml") for book in (catalogue.overrides,) if book is not None]
    for book, what in books:
        checked = book.checked
        age = (now.date() - checked).days if checked else 0
        if checked and age > after_days:
            yield Finding(
                "stale",
                what,
                f"its sources were last looked at on {checked}, {age} days ago",
                "compare it with the providers' pages and set `checked`, or run cost-dashboard prices update",
            )
