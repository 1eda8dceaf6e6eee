"""What a call costs: the user's prices, the project's own catalogue, then ``genai-prices``, else unpriced.

A price that is not known is never guessed and never zero: the answer is then an
:class:`~shared.costs.model.Unpriced` that says what to do. What one source knows about a model on
the day of the call holds; a source that has no price for that day passes the question on.

>>> from datetime import datetime, UTC
>>> catalogue = Catalogue.load()
>>> found = catalogue.charge("openai", "gpt-4o", Usage(tokens_input=1_500, tokens_output=300),
...                          datetime(2026, 11, 22, tzinfo=UTC))
>>> found.total, found.priced_by.model
(6750000, 'openai/gpt-4o')
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import PriceFileError
from ..model import Charge, PricedBy, Unpriced, Usage
from . import arithmetic
from .book import PriceBook, read_book, version_of
from .genai import SOURCE as GENAI
from .genai import GenaiPrices
from .memory import PriceMemory
from .names import infer_service, normalize_model_name, normalize_service, service_in_name
from .rates import Price, PriceList

if TYPE_CHECKING:
    from ..storage import CostStorage

PROFILE: Final = "profile"
CATALOGUE: Final = "catalogue"

_DATA: Final = Path(__file__).parent.parent / "data" / "prices"
_STANDARD: Final = frozenset({"", "standard", "default", "standard_only", "on_demand", "on-demand"})
_ROUTERS: Final = frozenset({"", "litellm", "langchain", "llm", "unknown"})
_EVER: Final = datetime(1, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that holds for one model, one service tier and one instant, and who says so."""

    price: Price
    priced_by: PricedBy


@dataclass(frozen=True, slots=True)
class _Offer:
    """What one source says about a model that was asked for."""

    source: str
    version: str
    prices: PriceList
    service: str


@dataclass(frozen=True, slots=True)
class _Known:
    """The answer for one name and tier, and the stretch of time for which it stays the same."""

    since: datetime
    until: datetime
    quote: Quote


class Catalogue:
    """All known prices. Safe to share between threads: what it learns, it only adds.

    ``aliases`` are the user's own names for models, such as Azure deployments: ``{"prod-chat":
    "azure/gpt-4o"}`` or ``{"azure/prod-chat": "azure/gpt-4o"}``.
    """

    def __init__(
        self,
        own: PriceBook,
        overrides: PriceBook | None = None,
        genai: GenaiPrices | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._own = own
        self._overrides = overrides
        self._genai = genai
        self._aliases = {
            **own.aliases,
            **(overrides.aliases if overrides else {}),
            **{name.strip().lower(): target.strip().lower() for name, target in (aliases or {}).items()},
        }
        self._offers: dict[tuple[str, str], tuple[_Offer, ...]] = {}
        self._known: dict[tuple[str, str, str | None], _Known] = {}

    @classmethod
    def load(
        cls,
        storage: CostStorage | None = None,
        overrides: Path | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> Catalogue:
        """Open the catalogue; ``overrides`` is the user's ``prices.yaml`` (a missing file is none).

        Raises:
            PriceFileError: the user's file does not follow the format.
        """
        memory = PriceMemory(storage.prices_memory if storage else None)
        own = _book(CATALOGUE, tuple(sorted(_DATA.glob("*.yaml"))), memory)
        exists = overrides is not None and overrides.exists()
        user = _book(PROFILE, (overrides,), memory) if overrides is not None and exists else None
        return cls(own, user, GenaiPrices(memory), aliases)

    # --- what a call costs

    def charge(
        self, service: str, model: str, usage: Usage, at: datetime, tier: str | None = None
    ) -> Charge | Unpriced:
        """Return what ``usage`` of a model costs at the instant ``at`` (aware), or why it has no price.

        ``tier`` is the service tier: ``batch``, ``flex``, ``priority``; ``None`` or ``standard``.
        """
        known = self._known.get((service, model, tier))
        if known is not None and known.since <= at < known.until:
            quote: Quote | Unpriced = known.quote
        else:
            quote = self.quote(service, model, at, tier)
        if isinstance(quote, Unpriced):
            return quote
        parts = arithmetic.amounts(quote.price, usage)
        if isinstance(parts, arithmetic.Shortfall):
            return _unpriced(f"{quote.priced_by.model} {parts.fault} on {_day(at)}")
        return Charge(parts, quote.priced_by)

    def ceiling(
        self, service: str, model: str, usage: Usage, at: datetime, tier: str | None = None
    ) -> Charge | Unpriced:
        """Return the most that ``usage`` (with the largest possible output) can cost, for reservations.

        Every token counts at the highest rate that can apply to it, and where the price depends on
        the time of day, the dearest time counts.
        """
        quote = self.quote(service, model, at, tier)
        if isinstance(quote, Unpriced):
            return quote
        charges: list[Charge] = []
        for price in self._prices_of_the_day(service, model, at, tier) or (quote.price,):
            parts = arithmetic.amounts(arithmetic.at_most(price), usage)
            if isinstance(parts, arithmetic.Shortfall):
                return _unpriced(f"{quote.priced_by.model} {parts.fault} on {_day(at)}")
            charges.append(Charge(parts, quote.priced_by))
        return max(charges, key=lambda charge: charge.total)

    def quote(self, service: str, model: str, at: datetime, tier: str | None = None) -> Quote | Unpriced:
        """Return the price that holds for a model, with its source, or why there is none."""
        wanted = _tier(tier)
        offers = self.offers(service, model)
        for offer in offers:
            quote = self._quote(offer, at, wanted)
            if quote is not None:
                self._remember((service, model, tier), offers, at, quote)
                return quote
            if offer.source == PROFILE and wanted and offer.prices.at(at):
                return _unpriced(f"your own price of {offer.prices.name} has no {wanted} tier on {_day(at)}")
            if offer.prices.complete and not offer.prices.at(at):
                return _unpriced(
                    f"{offer.prices.name} had no price yet on {_day(at)}; check the call's timestamp"
                )
        name = f"{service}/{model}" if service else model
        if offers and wanted:
            return _unpriced(
                f"no price for {offers[0].prices.name} with service tier {wanted!r} on {_day(at)}"
            )
        return _unpriced(f"no price for {name} on {_day(at)}")

    def is_local(self, service: str, model: str) -> bool:
        """Whether a model runs on the user's own machine, at an explicit price of zero."""
        offers = self.offers(service, model)
        return bool(offers) and offers[0].prices.local

    # --- where prices come from

    def offers(self, service: str, model: str) -> tuple[_Offer, ...]:
        """Return what each source says about a model, in order of precedence."""
        key = (service, model)
        found = self._offers.get(key)
        if found is None:
            found = self._offers[key] = tuple(self._look_up(service, model))
        return found

    def _look_up(self, service: str, model: str) -> Iterator[_Offer]:
        service, names = self._names(service, model)
        if service in self._own.local_services and not model.lower().endswith("-cloud"):
            names = [*names, ("local", "*")]
        books = [book for book in (self._overrides, self._own) if book is not None]
        for book in books:
            prices = next((p for s, n in names if (p := book.find(f"{s}/{n}"))), None)
            if prices is not None:
                yield _Offer(book.source, book.version, prices, service)
        if self._genai is not None and not any(s == "local" for s, _ in names):
            own_names = [(s, n) for s, n in names if s == service]
            prices = next((p for s, n in own_names if (p := self._genai.find(s, n))), None)
            if prices is not None:
                yield _Offer(GENAI, self._genai.version, prices, service)

    def _names(self, service: str, model: str) -> tuple[str, list[tuple[str, str]]]:
        """Return the service, and the names (service, model) to look for, the best first."""
        given = model.strip().lower()
        wanted = normalize_service(service)
        target = self._aliases.get(f"{wanted}/{given}") or self._aliases.get(given)
        if target is not None:
            stated = service_in_name(target)
            wanted, given = (stated, target.partition("/")[2]) if stated else (wanted, target)
        if wanted in _ROUTERS:
            wanted = infer_service(given) or wanted
        # The name as it is comes first: OpenRouter's and Together's models have a slash in theirs.
        names = [(wanted, given), (wanted, normalize_model_name(given))]
        if same := self._own.same_as.get(wanted):
            names += [(same, name) for _, name in names]
        return wanted, list(dict.fromkeys(names))

    def _quote(self, offer: _Offer, at: datetime, tier: str | None) -> Quote | None:
        price, version = offer.prices.at(at, tier), offer.version
        if price is None and tier is not None and offer.source != PROFILE:
            standard = offer.prices.at(at)
            rule = self._own.tier(offer.prices.name.partition("/")[0], tier)
            if standard is not None and rule is not None and rule.active(at, offer.prices.name):
                price = rule.applied(standard)
                version += f"+{CATALOGUE}:{self._own.version}" if offer.source != CATALOGUE else ""
        if price is None:
            return None
        if self._overrides is not None and offer.source != PROFILE and not price.free:
            discount = self._overrides.discount(offer.service)
            if discount is not None and discount.active(at, offer.prices.name):
                price = discount.applied(price)
                version += f"+{PROFILE}:{self._overrides.version}"
        return Quote(price, PricedBy(offer.source, version, offer.prices.name, price.unverified))

    def _remember(
        self, key: tuple[str, str, str | None], offers: tuple[_Offer, ...], at: datetime, quote: Quote
    ) -> None:
        """Keep a quote for the stretch of time in which no price of any source begins or ends."""
        edges: set[datetime] = set()
        for offer in offers:
            for price in (
                *offer.prices.prices,
                *(p for several in offer.prices.tiers.values() for p in several),
            ):
                if price.hours is not None:
                    return
                edges.add(price.since or _EVER)
            edges.update(self._edges_of_rules(offer, _tier(key[2])))
        since = max((edge for edge in edges if edge <= at), default=_EVER)
        until = min((edge for edge in edges if edge > at), default=_NEVER)
        self._known[key] = _Known(since, until, quote)

    def _edges_of_rules(self, offer: _Offer, tier: str | None) -> Iterator[datetime]:
        rules = [self._own.tier(offer.prices.name.partition("/")[0], tier)] if tier else []
        rules += [self._overrides.discount(offer.service)] if self._overrides else []
        for rule in rules:
            if rule is not None:
                yield rule.since or _EVER
                yield rule.until or _NEVER

    def _prices_of_the_day(self, service: str, model: str, at: datetime, tier: str | None) -> list[Price]:
        """Return the prices of the day of ``at``; nothing when they do not depend on the time of day."""
        offers = self.offers(service, model)
        if not any(price.hours for offer in offers for price in offer.prices.prices):
            return []
        hours = [at.replace(hour=hour, minute=minute) for hour in range(24) for minute in (0, 30)]
        quotes = [self.quote(service, model, moment, tier) for moment in hours]
        return [quote.price for quote in quotes if isinstance(quote, Quote)]


def _book(source: str, paths: tuple[Path, ...], memory: PriceMemory) -> PriceBook:
    """Return the book of these files, from memory when they were read before."""
    contents = [path.read_bytes() for path in paths]
    content_id = sha256(b"\0".join(contents)).hexdigest()[:8]
    remembered = memory.read(f"{source}-{content_id}")
    if remembered is None:
        # Imported here: parsing YAML again is only needed when a price file has changed.
        from ..yaml_strict import parse

        files = [parse(c, path, PriceFileError) for c, path in zip(contents, paths, strict=True)]
        remembered = read_book(files)
        memory.write(f"{source}-{content_id}", remembered)
    return PriceBook(remembered, source, version_of(contents, remembered["checked"]))


def _tier(tier: str | None) -> str | None:
    name = (tier or "").strip().lower()
    return None if name in _STANDARD else name


def _unpriced(fault: str) -> Unpriced:
    return Unpriced(f"{fault}: add it to config/prices.yaml, see cost-dashboard prices check")


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
