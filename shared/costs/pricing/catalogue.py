"""What a call costs: the user's prices, the project's own catalogue, then ``genai-prices``, else unpriced.

A price that is not known is never guessed and never zero: the answer is then an
:class:`~shared.costs.model.Unpriced` that says what to do. What a source says about a model on the
day of the call holds; a source that has no price for that day passes the question on.

>>> from datetime import datetime, UTC
>>> catalogue = Catalogue.load()
>>> found = catalogue.charge("openai", "gpt-4o", Usage(tokens_input=1_500, tokens_output=300),
...                          datetime(2026, 11, 22, tzinfo=UTC))
>>> found.total, found.priced_by.model
(6750000, 'openai/gpt-4o')
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..memory import Memory
from ..model import UNKNOWN, Charge, PricedBy, Unpriced, Usage
from ..units import without_features
from . import arithmetic
from .book import PriceBook
from .composition import PriceSources, compose, fills, rules_of
from .genai import SOURCE as GENAI
from .genai import GenaiPrices
from .names import normalize_service
from .offers import Offer, Offers, Quote, is_of_another_region
from .rates import Price
from .sources import CATALOGUE, PROFILE, own_book, user_book

if TYPE_CHECKING:
    from ..storage import CostStorage
    from .description import CheaperModel, PricedModel

_STANDARD: Final = frozenset({"", "standard", "default", "auto", "standard_only", "on_demand", "on-demand"})
_NAMELESS: Final = "an answer of {} names no model, and none was given: say which with model=..."
_EVER: Final = datetime(1, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)


class PriceWindow(NamedTuple):
    """What holds for one name, tier and region from ``since`` to before ``until``.

    ``quote`` is ``None`` where there is no price in all that time.
    """

    since: datetime
    until: datetime
    quote: Quote | None


_Key = tuple[str, str, str | None, str | None]


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
        memory: Memory | None = None,
    ) -> None:
        self.own = own
        self.overrides = overrides
        self.genai = genai
        self.memory = memory or Memory(None)
        self._offers = Offers(own, overrides, genai, aliases or {})
        self._known: dict[_Key, PriceWindow] = {}
        self._stretches: dict[_Key, list[PriceWindow]] = {}
        self.place = "prices.yaml beside your profile (cost-dashboard init writes both)"
        """Where a price that is missing would be added, for people."""

    @classmethod
    def load(
        cls,
        storage: CostStorage | None = None,
        overrides: Path | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> Catalogue:
        """Open the catalogue; ``overrides`` is the user's ``prices.yaml`` (a missing file is none).

        Raises:
            PriceFileError: the user's file cannot be read or does not follow the format.
        """
        memory = Memory(storage.prices_memory if storage else None)
        user = user_book(overrides, memory) if overrides is not None else None
        catalogue = cls(own_book(memory), user, GenaiPrices(memory), aliases, memory)
        catalogue.place = str(overrides) if overrides else catalogue.place
        return catalogue

    def forgetful(self) -> Catalogue:
        """Return the same prices without a memory: for asking about thousands of models that nobody used."""
        genai = GenaiPrices(Memory(None), self.genai.version) if self.genai is not None else None
        return Catalogue(self.own, self.overrides, genai, self._offers.aliases)

    # --- what a call costs

    def charge(
        self,
        service: str,
        model: str,
        usage: Usage,
        at: datetime,
        tier: str | None = None,
        region: str | None = None,
    ) -> Charge | Unpriced:
        """Return what ``usage`` of a model costs at the instant ``at`` (aware), or why it has no price.

        ``tier`` is the service tier: ``batch``, ``flex``, ``priority``; ``None`` or ``standard``.
        ``region`` is where the call ran, where that is known: ``us``, ``eu-west-1``, ``global``.
        A charge of which a unit has no price is partial: the unit is in its ``missing``.
        """
        quote = self.quote(service, model, at, tier, region)
        if isinstance(quote, Unpriced):
            return quote
        amounts = arithmetic.amounts(quote.price, usage)
        if isinstance(amounts, arithmetic.Shortfall):
            return self._unpriced(f"{quote.priced_by.model} {amounts.fault} on {_day(at)}")
        by = quote.priced_by._replace(unverified=True) if amounts.summed else quote.priced_by
        return arithmetic.made(Charge, (amounts.parts, by, amounts.missing))

    def ceiling(
        self,
        service: str,
        model: str,
        usage: Usage,
        at: datetime,
        tier: str | None = None,
        region: str | None = None,
    ) -> Charge | Unpriced:
        """Return the most that ``usage`` (with the largest possible output) can cost, for reservations.

        Every token counts at the highest rate that can apply to it, and where the price depends on
        the time of day, the dearest time counts. Units without a price are in ``missing``.
        """
        quote = self.quote(service, model, at, tier, region)
        if isinstance(quote, Unpriced):
            return quote
        charges: list[Charge] = []
        for price in self._prices_of_the_week(service, model, at, tier, region) or (quote.price,):
            most = arithmetic.at_most(price, usage.tokens_input)
            amounts = arithmetic.amounts(most, arithmetic.undiscounted(usage))
            if isinstance(amounts, arithmetic.Shortfall):
                return self._unpriced(f"{quote.priced_by.model} {amounts.fault} on {_day(at)}")
            charges.append(Charge(amounts.parts, quote.priced_by, amounts.missing))
        return max(charges, key=lambda charge: charge.total)

    def quote(
        self, service: str, model: str, at: datetime, tier: str | None = None, region: str | None = None
    ) -> Quote | Unpriced:
        """Return the price that holds for a model, with its source, or why there is none."""
        key = (service, model, tier, region)
        known = self._known.get(key)
        if known is not None and known.since <= at < known.until and known.quote is not None:
            return known.quote
        asked: list[Offer] = []
        found = self._search(key, at, asked)
        self._remember(key, asked, at, found if isinstance(found, Quote) else None)
        return found

    def steady(
        self, service: str, model: str, at: datetime, tier: str | None = None, region: str | None = None
    ) -> PriceWindow:
        """Return the price that holds at the instant ``at``, and for how long before and after it holds."""
        key = (service, model, tier, region)
        known = self._known.get(key)
        if known is not None and known.since <= at < known.until:
            return known
        # Prices of certain hours change twice a day: whoever goes through a month again finds its stretches.
        stretches = self._stretches.setdefault(key, [])
        after = bisect_right(stretches, at, key=attrgetter("since"))
        if after and (found := stretches[after - 1]).since <= at < found.until:
            return found
        self.quote(service, model, at, tier, region)
        insort(stretches, self._known[key], key=attrgetter("since"))
        return self._known[key]

    def _search(self, key: _Key, at: datetime, asked: list[Offer]) -> Quote | Unpriced:
        """Return the price from the sources; what they said of the model is added to ``asked``."""
        service, model, tier, region = key
        wanted, where, fault = normal_tier(tier), normal_region(region), ""
        for offer in self.offers(service, model):
            if offer.source == GENAI and fault:
                continue  # it has no dates where our own catalogue has them
            asked.append(offer)
            base = self._base(offer, key, at, asked)
            quote = self._quote(offer, base, at, wanted, where)
            if quote is not None:
                return quote
            standard = offer.prices.at(at)
            if offer.source == PROFILE and standard is not None:
                return self._unpriced(f"your own price of {offer.name} has no {wanted} tier on {_day(at)}")
            if offer.prices.complete and standard is None:
                fault = fault or f"{offer.name} was not offered yet on {_day(at)}"
        if fault:
            return Unpriced(f"{fault}: check the timestamp of the call, or add a price to {self.place}")
        if asked and wanted:
            name = asked[0].name
            return self._unpriced(f"no price for {name} in the service tier {wanted!r} on {_day(at)}")
        if without_features(model) == UNKNOWN:
            return Unpriced(_NAMELESS.format(service))
        name = self.name(service, model)
        return self._unpriced(f"no price for {name} on {_day(at)}{self._why(name)}")

    def is_free(self, service: str, model: str, at: datetime) -> bool:
        """Whether a model costs an explicit zero at the instant ``at``: local, or listed as free."""
        quote = self.quote(service, model, at)
        return isinstance(quote, Quote) and quote.price.free

    def _why(self, name: str) -> str:
        """Return why a ``provider/model`` has no price, in brackets, where that is known."""
        known = self.own.notices
        why = known.get(name) or known.get(name.partition("/")[0])
        return f" ({why})" if why else ""

    def _unpriced(self, fault: str) -> Unpriced:
        return Unpriced(f"{fault}: add it to {self.place}, then cost-dashboard reprice")

    def is_local(self, service: str, model: str) -> bool:
        """Whether a model runs on the user's own machine, at an explicit price of zero."""
        offer = next(self.offers(service, model), None)
        return offer is not None and offer.prices.local

    def cloud_for(self, service: str, model: str) -> str | None:
        """Return the ``service/model`` at whose price the user values a local model, where one is named."""
        if self.overrides is None or not self.overrides.avoided or not self.is_local(service, model):
            return None
        named, wanted = self.overrides.avoided, normalize_service(service)
        return named.get(f"{wanted}/{model.strip().lower()}") or named.get(f"{wanted}/*")

    def steady_until(self, service: str, model: str, at: datetime) -> datetime:
        """Return until when the price that holds at ``at`` stays the same."""
        known = self.steady(service, model, at)
        return known.until if known.quote is not None else _NEVER

    def name(self, service: str, model: str) -> str:
        """Return the catalogue's ``provider/model`` for a service and a model as a call names them."""
        offer = next(self.offers(service, model), None)
        if offer is not None:
            return offer.name
        return self._offers.name(service, model)

    def stated(self, service: str, model: str) -> tuple[str, str | None]:
        """Return the service that is asked for a model, and the region that the model's name states."""
        return self._offers.stated(service, model)

    def notice(self, service: str) -> str | None:
        """Return what is to be said once of a service's prices, such as of a name that means two things."""
        return self.own.notices.get(normalize_service(service)) if self.own.notices else None

    # --- asked by people

    def describe(self, service: str, model: str, at: datetime) -> PricedModel | None:
        """Return every rate of a model, since when, from which source; ``None`` when it has no price."""
        from .description import describe  # not needed to price a call

        return describe(self, service, model, at)

    def explain(
        self,
        service: str,
        model: str,
        usage: Usage,
        at: datetime,
        tier: str | None = None,
        region: str | None = None,
    ) -> tuple[str, ...]:
        """Return the arithmetic of a charge in words, a line per part, or why there is no price."""
        from .description import explain  # not needed to price a call

        quote = self.quote(service, model, at, tier, region)
        return (quote.reason,) if isinstance(quote, Unpriced) else explain(quote.price, usage)

    def alternatives(self, service: str, model: str, at: datetime) -> list[CheaperModel]:
        """Return cheaper models of the same class that are offered at ``at``, the cheapest first."""
        from .description import alternatives  # not needed to price a call

        return alternatives(self, service, model, at)

    def models(self) -> list[str]:
        """Return the names (``provider/model``) of all models with a price, without importing anything.

        Those of ``genai-prices`` are among them as far as they were asked for; see ``genai.everything``.
        """
        names = {*self.own.names(), *(self.overrides.names() if self.overrides else ())}
        return sorted({*names, *(self.genai.remembered_names() if self.genai else ())})

    def class_of(self, name: str) -> str | None:
        """Return the class that ``provider/model`` competes in, such as ``small chat``."""
        books = [book for book in (self.overrides, self.own) if book is not None]
        return next((kind for book in books if (kind := book.class_of(name))), None)

    def members(self, kind: str) -> list[str]:
        """Return the models of a class that are offered today, as ``provider/model``."""
        users = self.overrides.members(kind) if self.overrides else []
        return list(dict.fromkeys([*users, *self.own.members(kind)]))

    def offered(self, usage: Usage) -> list[str]:
        """Return today's models of every class whose work is counted in what ``usage`` counts.

        Nothing for a usage that no class is compared by.
        """
        counted = usage.counts().keys() - {"requests"}
        books = [book for book in (self.overrides, self.own) if book is not None]
        kinds = dict.fromkeys(kind for book in books for kind in book.kinds())
        fitting = [kind for kind in kinds if (self.reference(kind) or {}).keys() == counted]
        return list(dict.fromkeys(name for kind in fitting for name in self.members(kind)))

    def reference(self, kind: str) -> Mapping[str, float] | None:
        """Return the counts by which models of a class are compared; ``None`` for a user's own class."""
        return (self.overrides and self.overrides.reference(kind)) or self.own.reference(kind)

    # --- where prices come from

    def offers(self, service: str, model: str) -> Iterator[Offer]:
        """Yield what each source says about a model, in order of precedence."""
        return self._offers.of(service, model)

    def _quote(
        self, offer: Offer, base: Offer | None, at: datetime, tier: str | None, region: str | None
    ) -> Quote | None:
        found = compose(self._ingredients(offer, base), at, tier, region or offer.region)
        if found is None:
            return None
        version = offer.version
        if found.by_list and base is not None:
            version += f"+{base.source}:{base.version}"
        if found.by_own and CATALOGUE not in {offer.source, base.source if base else ""}:
            version += f"+{CATALOGUE}:{self.own.version}"
        if found.by_user and offer.source != PROFILE and self.overrides is not None:
            version += f"+{PROFILE}:{self.overrides.version}"
        elsewhere = is_of_another_region(offer, region or offer.region)
        doubt = found.price.unverified or offer.vague or elsewhere
        return Quote(found.price, PricedBy(offer.source, version, offer.name, doubt))

    def _base(self, offer: Offer, key: _Key, at: datetime, asked: list[Offer]) -> Offer | None:
        """Return the list price that fills in what the user's own price leaves out, where there is one.

        The first source that has one for the tier; those that were asked for it are added to ``asked``.
        """
        if offer.source != PROFILE or not any(map(fills, offer.prices.prices)):
            return None
        service, model, tier, region = key
        for other in self.offers(service, model):
            if other.source == PROFILE:
                continue
            asked.append(other)
            if compose(self._ingredients(other, None), at, normal_tier(tier), normal_region(region)):
                return other
        return None

    def _ingredients(self, offer: Offer, base: Offer | None) -> PriceSources:
        return PriceSources(
            offer.prices,
            offer.service,
            self.own,
            self.overrides,
            base.prices if base is not None else None,
            offer.source == PROFILE,
            offer.features,
        )

    def _remember(self, key: _Key, asked: list[Offer], at: datetime, quote: Quote | None) -> None:
        """Keep what holds for the stretch of time in which no price behind it begins or ends."""
        edges: set[datetime] = set()
        for offer in asked:
            tiers = (price for several in offer.prices.tiers.values() for price in several)
            for price in (*offer.prices.prices, *tiers):
                edges.add(price.since or _EVER)
                if price.timed:
                    edges.update(_edges_of_day(at, price.hours))
            for rule in rules_of(self._ingredients(offer, None), normal_tier(key[2])):
                edges |= {rule.since or _EVER, rule.until or _NEVER}
        since = max((edge for edge in edges if edge <= at), default=_EVER)
        until = min((edge for edge in edges if edge > at), default=_NEVER)
        self._known[key] = PriceWindow(since, until, quote)

    def _prices_of_the_week(
        self, service: str, model: str, at: datetime, tier: str | None, region: str | None
    ) -> list[Price]:
        """Return the prices of the days around ``at``; nothing when they do not depend on day and hour."""
        timed = [p for offer in self.offers(service, model) for p in offer.prices.prices if p.timed]
        if not timed:
            return []
        days = range(-3, 4) if any(price.days for price in timed) else range(1)
        midnight = at.replace(minute=0, second=0, microsecond=0)
        moments = [
            midnight.replace(hour=hour, minute=minute) + timedelta(days=day)
            for day in days
            for hour in range(24)
            for minute in (0, 30)
        ]
        quotes = [self.quote(service, model, moment, tier, region) for moment in moments]
        return [quote.price for quote in quotes if isinstance(quote, Quote)]


def normal_tier(tier: str | None) -> str | None:
    """Return a service tier's name as prices know it; ``None`` for the standard one.

    >>> normal_tier("default"), normal_tier("Batch")
    (None, 'batch')
    """
    name = (tier or "").strip().lower()
    return None if name in _STANDARD else name


def normal_region(region: str | None) -> str | None:
    """Return a region's name as prices know it; ``None`` where none is stated.

    >>> normal_region(" US-East5 "), normal_region("")
    ('us-east5', None)
    """
    return (region or "").strip().lower() or None


def _edges_of_day(at: datetime, hours: tuple[int, int] | None) -> Iterator[datetime]:
    """Yield when prices of certain hours or days begin and end around ``at``."""
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for days in (-1, 0, 1):
        for minute in {0, *(hours or ())}:
            with suppress(OverflowError):  # before the first day there is, or after the last
                yield midnight + timedelta(days=days, minutes=minute)


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
