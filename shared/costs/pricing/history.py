"""Recompute charges with the very prices that made them.

Pure except that it reads remembered prices of earlier editions: entries in, verdicts out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from ..model import Charge, Entry, PricedBy, Usage
from ..money import Nanos, json_number
from ..units import last_feature
from . import arithmetic
from .book import PriceBook
from .catalogue import Catalogue, normal_region, normal_tier
from .composition import PriceSources, compose
from .genai import SOURCE as GENAI
from .genai import GenaiPrices
from .names import normalize_service
from .rates import PriceList
from .sources import CATALOGUE, PROFILE, remembered_book

STATED = "stated"
"""The source of a cost that the provider itself stated."""

Outcome = Literal["agrees", "differs", "unknown", "unpriced"]


class Verdict(NamedTuple):
    """The result of recomputing a charge. ``unknown``: the prices that made it are no longer remembered."""

    entry_id: str
    outcome: Outcome
    text: str = ""


class PriceHistory:
    """Finds the prices behind a charge by its source and version."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._books: dict[tuple[str, str], PriceBook | None] = {}
        self._genai: dict[str, GenaiPrices] = {}
        self._editions: dict[tuple[str, str, str], PriceSources | None] = {}

    def amounts(
        self,
        priced_by: PricedBy,
        service: str,
        usage: Usage,
        at: datetime,
        tier: str | None = None,
        region: str | None = None,
    ) -> Mapping[str, Nanos] | None:
        """Return the parts of a charge at the prices that ``priced_by`` names; ``None`` if unknown."""
        edition = self._edition(priced_by)
        if edition is None:
            return None
        sources = edition._replace(service=normalize_service(service))
        composed = compose(sources, at, normal_tier(tier), normal_region(region))
        if composed is None:
            return None
        amounts = arithmetic.amounts(composed.price, usage)
        return None if isinstance(amounts, arithmetic.Shortfall) else amounts.parts

    def charge(self, priced_by: PricedBy, call: Entry) -> Mapping[str, Nanos] | None:
        """Return the parts of a recorded call at the prices that ``priced_by`` names; ``None`` if unknown."""
        service, named_region = self._catalogue.service_and_region(call.service, call.model)
        region = call.region or named_region
        return self.amounts(priced_by, service, call.usage, call.timestamp, call.service_tier, region)

    def _edition(self, priced_by: PricedBy) -> PriceSources | None:
        key = (priced_by.source, priced_by.version, priced_by.model)
        if key not in self._editions:
            self._editions[key] = self._sources_of(priced_by)
        return self._editions[key]

    def _sources_of(self, priced_by: PricedBy) -> PriceSources | None:
        """Return what the price was put together from, according to the version of its source."""
        version, *extras = priced_by.version.split("+")
        others = dict(extra.split(":", 1) for extra in extras if ":" in extra)
        is_users = priced_by.source == PROFILE
        own = self._book(CATALOGUE, version if priced_by.source == CATALOGUE else others.get(CATALOGUE, ""))
        user = self._book(PROFILE, version if is_users else others.get(PROFILE, ""))
        if (PROFILE in others or is_users) and user is None:
            return None
        model, features = priced_by.model, tuple[str, ...]()
        prices = self._prices(priced_by.source, version, model)
        while prices is None and (parts := last_feature(model)) is not None:
            model, features = parts.model, tuple(dict.fromkeys((parts.feature, *features)))
            prices = self._prices(priced_by.source, version, model)
        if prices is None:
            return None
        base, listed = None, GENAI if GENAI in others else CATALOGUE if CATALOGUE in others else ""
        if is_users and listed:
            base = self._base(listed, others[listed], model)
            if base is None and not features:  # only the feature may be from the list
                return None
        return PriceSources(prices, "", own, user, base, is_users, features)

    def _base(self, source: str, version: str, name: str) -> PriceList | None:
        """Return the list price that filled in what the user's own price left out, under any of its names."""
        provider, _, model = name.partition("/")
        offers = (offer for offer in self._catalogue.offers(provider, model) if offer.source == source)
        names = dict.fromkeys((name, *(offer.prices.name for offer in offers)))
        return next((prices for n in names if (prices := self._prices(source, version, n))), None)

    def _prices(self, source: str, version: str, name: str) -> PriceList | None:
        if source == GENAI:
            return self._release(version).named(name)
        book = self._book(source, version)
        if book is None:
            return None
        provider = name.partition("/")[0]
        return book.find(name) or next(
            (prices for pattern in ("*:free", "*") if (prices := book.find(f"{provider}/{pattern}"))), None
        )

    def _book(self, source: str, version: str) -> PriceBook | None:
        for book in (self._catalogue.own, self._catalogue.overrides):
            if book is not None and (book.source, book.version) == (source, version):
                return book
        key = (source, version)
        if key not in self._books:
            known = source in {CATALOGUE, PROFILE} and bool(version)
            self._books[key] = remembered_book(source, version, self._catalogue.memory) if known else None
        return self._books[key]

    def _release(self, version: str) -> GenaiPrices:
        current = self._catalogue.genai
        if current is not None and current.version == version:
            return current
        if version not in self._genai:
            self._genai[version] = GenaiPrices(self._catalogue.memory, version)
        return self._genai[version]


# --- a ledger's calls with what corrects them


def with_corrections(read: Callable[[], Iterable[Entry]]) -> Iterator[tuple[Entry, list[Entry]]]:
    """Yield each call of a ledger with the entries that correct it, in the order they were written.

    ``read`` is called twice, since corrections come after what they correct: the first time only
    corrections are kept, so that a ledger's calls need not fit into memory. Corrections of an entry that
    is not in the ledger are yielded by themselves, as if they were calls.
    """
    corrections: dict[str, list[Entry]] = {}
    for entry in read():
        if entry.corrects is not None:
            corrections.setdefault(entry.corrects, []).append(entry)
    for entry in read():
        if entry.corrects is None:
            yield entry, corrections.pop(entry.id, [])
    for remaining in corrections.values():
        for orphan in remaining:
            yield orphan, []


# --- verifying


def recompute(entry: Entry, history: PriceHistory, corrections: Sequence[Entry] = ()) -> list[Verdict]:
    """Recompute the charge of a call, and of each adjustment to it, from the call's own quantities.

    ``corrections`` are the adjustments that name this entry, in the order they were written.
    """
    if entry.kind != "usage" and entry.corrects is None:  # from an imported history, without what it corrects
        return [_compare(entry, entry.charge, summed({}, parts_of(entry), entry.sign or 1), entry, history)]
    if entry.kind != "usage":
        return [Verdict(entry.id, "unknown", f"the entry {entry.corrects} that it corrects is not there")]
    verdicts = [_compare(entry, entry.charge, parts_of(entry), entry, history)]
    total = parts_of(entry)
    for correction in corrections:
        if correction.kind == "adjustment" and correction.charge is not None:
            total = summed(total, correction.charge.parts, 1)
            verdicts.append(_compare(correction, correction.charge, total, entry, history))
    return verdicts


def _compare(
    entry: Entry, charge: Charge | None, parts: Mapping[str, Nanos], call: Entry, history: PriceHistory
) -> Verdict:
    if charge is None:
        return Verdict(entry.id, "unpriced")
    priced_by = charge.priced_by
    if priced_by.source == STATED:
        return Verdict(entry.id, "agrees", "the provider stated this cost")
    expected = history.charge(priced_by, call)
    if expected is None:
        return Verdict(
            entry.id,
            "unknown",
            f"the prices of {priced_by.source} {priced_by.version} for {priced_by.model} are not remembered",
        )
    if summed(parts, expected, -1):
        stated, computed = (json_number(Nanos(sum(amounts.values()))) for amounts in (parts, expected))
        return Verdict(
            entry.id,
            "differs",
            f"{priced_by.model} by {priced_by.source} {priced_by.version}: ${computed}, but it says"
            f" ${stated}",
        )
    return Verdict(entry.id, "agrees")


def parts_of(entry: Entry) -> dict[str, Nanos]:
    """Return the parts of an entry's charge; none when it has no price."""
    return dict(entry.charge.parts) if entry.charge else {}


def summed(left: Mapping[str, Nanos], right: Mapping[str, Nanos], sign: int) -> dict[str, Nanos]:
    """Return ``left + sign * right`` by part, without the parts that are zero."""
    parts = dict.fromkeys((*left, *right))
    sums = {part: Nanos(left.get(part, 0) + sign * right.get(part, 0)) for part in parts}
    return {part: amount for part, amount in sums.items() if amount}
