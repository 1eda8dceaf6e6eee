"""What a call costs: the user's prices, the project's own catalogue, then ``genai-prices``, else unpriced.

A price that is not known is never guessed and never zero: the result is then an
:class:`~shared.costs.model.Unpriced` that says what to do. The first source with a price for the model on
the day of the call decides.

>>> from datetime import datetime, UTC
>>> catalogue = Catalogue.load()
>>> charge = catalogue.charge("openai", "gpt-4o", Usage(tokens_input=1_500, tokens_output=300),
...                           datetime(2026, 11, 22, tzinfo=UTC))
>>> charge.total, charge.priced_by.model
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
    """The price of one name, tier and region from ``since`` to before ``until``.

    ``quote`` is ``None`` where there is no price in all that time.
    """

    since: datetime
    until: datetime
    quote: Quote | None


_Key = tuple[str, str, str | None, str | None]


class Catalogue:
    """All known prices. Safe to share between threads: it only ever adds to what it keeps.

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
        self._latest: dict[_Key, PriceWindow] = {}
        self._windows: dict[_Key, list[PriceWindow]] = {}
        self.place = "prices.yaml beside your profile (cost-dashboard init writes both)"
        """The file to which a missing price is to be added, as messages name it."""

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
        """Return the same prices without a memory, for looking up thousands of models that nobody used."""
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
        Units without a price are in the ``missing`` of the charge, which is then partial.
        """
        quote = self.quote(service, model, at, tier, region)
        if isinstance(quote, Unpriced):
            return quote
        amounts = arithmetic.amounts(quote.price, usage)
        if isinstance(amounts, arithmetic.Shortfall):
            return self._unpriced(f"{quote.priced_by.model} {amounts.fault} on {_day(at)}")
        priced_by = quote.priced_by._replace(unverified=True) if amounts.summed else quote.priced_by
        return arithmetic.make_tuple(Charge, (amounts.parts, priced_by, amounts.missing))

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
        the time of day, the most expensive time counts. Units without a price are in ``missing``.
        """
        quote = self.quote(service, model, at, tier, region)
        if isinstance(quote, Unpriced):
            return quote
        charges: list[Charge] = []
        for price in self._prices_of_the_week(service, model, at, tier, region) or (quote.price,):
            highest = arithmetic.at_most(price, usage.tokens_input)
            amounts = arithmetic.amounts(highest, arithmetic.undiscounted(usage))
            if isinstance(amounts, arithmetic.Shortfall):
                return self._unpriced(f"{quote.priced_by.model} {amounts.fault} on {_day(at)}")
            charges.append(Charge(amounts.parts, quote.priced_by, amounts.missing))
        return max(charges, key=lambda charge: charge.total)

    def quote(
        self, service: str, model: str, at: datetime, tier: str | None = None, region: str | None = None
    ) -> Quote | Unpriced:
        """Return the price that holds for a model, with its source, or why there is none."""
        key = (service, model, tier, region)
        window = self._latest.get(key)
        if window is not None and window.since <= at < window.until and window.quote is not None:
            return window.quote
        consulted: list[Offer] = []
        quote = self._search(key, at, consulted)
        self._remember(key, consulted, at, quote if isinstance(quote, Quote) else None)
        return quote

    def window(
        self, service: str, model: str, at: datetime, tier: str | None = None, region: str | None = None
    ) -> PriceWindow:
        """Return the price that holds at the instant ``at``, with the time around it in which it holds."""
        key = (service, model, tier, region)
        latest = self._latest.get(key)
        if latest is not None and latest.since <= at < latest.until:
            return latest
        # Prices of certain hours change twice a day: their windows are kept for going through a month again.
        windows = self._windows.setdefault(key, [])
        after = bisect_right(windows, at, key=attrgetter("since"))
        if after and (window := windows[after - 1]).since <= at < window.until:
            return window
        self.quote(service, model, at, tier, region)
        insort(windows, self._latest[key], key=attrgetter("since"))
        return self._latest[key]

    def _search(self, key: _Key, at: datetime, consulted: list[Offer]) -> Quote | Unpriced:
        """Return the price from the sources; their offers for the model are added to ``consulted``."""
        service, model, tier, region = key
        tier_name, region_name, fault = normal_tier(tier), normal_region(region), ""
        for offer in self.offers(service, model):
            if offer.source == GENAI and fault:
                continue  # it has no dates where our own catalogue has them
            consulted.append(offer)
            base = self._base(offer, key, at, consulted)
            quote = self._quote(offer, base, at, tier_name, region_name)
            if quote is not None:
                return quote
            standard = offer.prices.at(at)
            if offer.source == PROFILE and standard is not None:
                return self._unpriced(f"your own price of {offer.name} has no {tier_name} tier on {_day(at)}")
            if offer.prices.complete and standard is None:
                fault = fault or f"{offer.name} was not offered yet on {_day(at)}"
        if fault:
            return Unpriced(f"{fault}: check the timestamp of the call, or add a price to {self.place}")
        if consulted and tier_name:
            name = consulted[0].name
            return self._unpriced(f"no price for {name} in the service tier {tier_name!r} on {_day(at)}")
        if without_features(model) == UNKNOWN:
            return Unpriced(_NAMELESS.format(service))
        name = self.name(service, model)
        return self._unpriced(f"no price for {name} on {_day(at)}{self._known_reason(name)}")

    def is_free(self, service: str, model: str, at: datetime) -> bool:
        """Whether a model costs an explicit zero at the instant ``at``: local, or listed as free."""
        quote = self.quote(service, model, at)
        return isinstance(quote, Quote) and quote.price.free

    def _known_reason(self, name: str) -> str:
        """Return why a ``provider/model`` has no price, in brackets, where that is known."""
        notices = self.own.notices
        reason = notices.get(name) or notices.get(name.partition("/")[0])
        return f" ({reason})" if reason else ""

    def _unpriced(self, fault: str) -> Unpriced:
        return Unpriced(f"{fault}: add it to {self.place}, then cost-dashboard reprice")

    def is_local(self, service: str, model: str) -> bool:
        """Whether a model runs on the user's own machine, at an explicit price of zero."""
        offer = next(self.offers(service, model), None)
        return offer is not None and offer.prices.local

    def cloud_for(self, service: str, model: str) -> str | None:
        """Return the ``service/model`` at whose price the user values a local model, or ``None``."""
        if self.overrides is None or not self.overrides.avoided or not self.is_local(service, model):
            return None
        models, normalized = self.overrides.avoided, normalize_service(service)
        return models.get(f"{normalized}/{model.strip().lower()}") or models.get(f"{normalized}/*")

    def steady_until(self, service: str, model: str, at: datetime) -> datetime:
        """Return the instant until which the price that holds at ``at`` stays the same."""
        window = self.window(service, model, at)
        return window.until if window.quote is not None else _NEVER

    def name(self, service: str, model: str) -> str:
        """Return the catalogue's ``provider/model`` for a service and a model as a call names them."""
        offer = next(self.offers(service, model), None)
        if offer is not None:
            return offer.name
        return self._offers.name(service, model)

    def service_and_region(self, service: str, model: str) -> tuple[str, str | None]:
        """Return the service that prices a model, and the region in the model's name, if it has one."""
        return self._offers.service_and_region(service, model)

    def notice(self, service: str) -> str | None:
        """Return a notice to show once about a service's prices, such as on a name that means two things."""
        return self.own.notices.get(normalize_service(service)) if self.own.notices else None

    # --- for people

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

        Of ``genai-prices``, only the models looked up so far are included; see ``genai.everything``.
        """
        names = {*self.own.names(), *(self.overrides.names() if self.overrides else ())}
        return sorted({*names, *(self.genai.remembered_names() if self.genai else ())})

    def class_of(self, name: str) -> str | None:
        """Return the class that ``provider/model`` competes in, such as ``small chat``."""
        books = [book for book in (self.overrides, self.own) if book is not None]
        return next((kind for book in books if (kind := book.class_of(name))), None)

    def members(self, kind: str) -> list[str]:
        """Return the models of a class that are offered today, as ``provider/model``."""
        user_members = self.overrides.members(kind) if self.overrides else []
        return list(dict.fromkeys([*user_members, *self.own.members(kind)]))

    def offered(self, usage: Usage) -> list[str]:
        """Return today's models of every class that is compared by the same counts as ``usage`` has.

        Nothing if there is no such class.
        """
        counts = usage.counts().keys() - {"requests"}
        books = [book for book in (self.overrides, self.own) if book is not None]
        kinds = dict.fromkeys(kind for book in books for kind in book.kinds())
        matching = [kind for kind in kinds if (self.reference(kind) or {}).keys() == counts]
        return list(dict.fromkeys(name for kind in matching for name in self.members(kind)))

    def reference(self, kind: str) -> Mapping[str, float] | None:
        """Return the counts by which models of a class are compared; ``None`` for a user's own class."""
        return (self.overrides and self.overrides.reference(kind)) or self.own.reference(kind)

    # --- where prices come from

    def offers(self, service: str, model: str) -> Iterator[Offer]:
        """Yield what each source says about a model, in order of precedence."""
        return self._offers.for_model(service, model)

    def _quote(
        self, offer: Offer, base: Offer | None, at: datetime, tier: str | None, region: str | None
    ) -> Quote | None:
        composed = compose(self._price_sources(offer, base), at, tier, region or offer.region)
        if composed is None:
            return None
        version = offer.version
        if composed.by_list and base is not None:
            version += f"+{base.source}:{base.version}"
        if composed.by_own and CATALOGUE not in {offer.source, base.source if base else ""}:
            version += f"+{CATALOGUE}:{self.own.version}"
        if composed.by_user and offer.source != PROFILE and self.overrides is not None:
            version += f"+{PROFILE}:{self.overrides.version}"
        other_region = is_of_another_region(offer, region or offer.region)
        doubt = composed.price.unverified or offer.vague or other_region
        return Quote(composed.price, PricedBy(offer.source, version, offer.name, doubt))

    def _base(self, offer: Offer, key: _Key, at: datetime, consulted: list[Offer]) -> Offer | None:
        """Return the list price that fills in what the user's own price leaves out, where there is one.

        The first source that has one for the tier; all that were tried are added to ``consulted``.
        """
        if offer.source != PROFILE or not any(map(fills, offer.prices.prices)):
            return None
        service, model, tier, region = key
        for other in self.offers(service, model):
            if other.source == PROFILE:
                continue
            consulted.append(other)
            if compose(self._price_sources(other, None), at, normal_tier(tier), normal_region(region)):
                return other
        return None

    def _price_sources(self, offer: Offer, base: Offer | None) -> PriceSources:
        return PriceSources(
            offer.prices,
            offer.service,
            self.own,
            self.overrides,
            base.prices if base is not None else None,
            offer.source == PROFILE,
            offer.features,
        )

    def _remember(self, key: _Key, consulted: list[Offer], at: datetime, quote: Quote | None) -> None:
        """Keep the result for the time in which no price behind it begins or ends."""
        edges: set[datetime] = set()
        for offer in consulted:
            tiers = (price for prices in offer.prices.tiers.values() for price in prices)
            for price in (*offer.prices.prices, *tiers):
                edges.add(price.since or _EVER)
                if price.timed:
                    edges.update(_edges_of_day(at, price.hours))
            for rule in rules_of(self._price_sources(offer, None), normal_tier(key[2])):
                edges |= {rule.since or _EVER, rule.until or _NEVER}
        since = max((edge for edge in edges if edge <= at), default=_EVER)
        until = min((edge for edge in edges if edge > at), default=_NEVER)
        self._latest[key] = PriceWindow(since, until, quote)

    def _prices_of_the_week(
        self, service: str, model: str, at: datetime, tier: str | None, region: str | None
    ) -> list[Price]:
        """Return the prices of the days around ``at``; empty when they do not depend on day and hour."""
        timed = [
            price for offer in self.offers(service, model) for price in offer.prices.prices if price.timed
        ]
        if not timed:
            return []
        days = range(-3, 4) if any(price.days for price in timed) else range(1)
        midnight = at.replace(minute=0, second=0, microsecond=0)
        instants = [
            midnight.replace(hour=hour, minute=minute) + timedelta(days=day)
            for day in days
            for hour in range(24)
            for minute in (0, 30)
        ]
        quotes = [self.quote(service, model, instant, tier, region) for instant in instants]
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
            with suppress(OverflowError):  # before the calendar's first day, or after its last
                yield midnight + timedelta(days=days, minutes=minute)


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
