"""Which sources have a price for a model, by whatever name a call gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from ..model import UNKNOWN, PricedBy
from ..units import last_feature
from .book import PriceBook
from .genai import SOURCE as GENAI
from .genai import GenaiPrices
from .names import (
    KNOWN_SERVICES,
    generations,
    infer_service,
    normalize_model_name,
    normalize_service,
    spellings,
)
from .rates import Price, PriceList

_ROUTERS: Final = frozenset({"", "litellm", "langchain", "llm", "unknown"})
"""Services that pass a call on: the model's name says who serves it."""


class Quote(NamedTuple):
    """A price that holds for one model, one service tier and one instant, and its source."""

    price: Price
    priced_by: PricedBy


class Offer(NamedTuple):
    """The prices of one source for a model. ``service`` is the one that is called, ``name`` the model's name.

    ``vague`` says that the call named only the model's family, or that a router chose who runs it;
    ``region`` is the one in the name, ``features`` are those that the name requests on top of the model.
    """

    source: str
    version: str
    prices: PriceList
    service: str
    name: str
    vague: bool = False
    region: str | None = None
    features: tuple[str, ...] = ()


class _PriceRequest(NamedTuple):
    """The model of a call: its service, the names (service, model) to look for, the region in its name."""

    service: str
    names: list[tuple[str, str]]
    region: str | None
    routed: bool


class Offers:
    """Finds the prices of each source for a model, and keeps those from the books."""

    def __init__(
        self,
        own: PriceBook,
        overrides: PriceBook | None,
        genai: GenaiPrices | None,
        aliases: Mapping[str, str],
    ) -> None:
        self._own = own
        self._books = [book for book in (overrides, own) if book is not None]
        self._genai = genai
        self._services = KNOWN_SERVICES.union(*(book.services() for book in self._books))
        self.aliases = {
            **own.aliases,
            **(overrides.aliases if overrides else {}),
            **{name.strip().lower(): target.strip().lower() for name, target in aliases.items()},
        }
        """Names that stand for others: from the price files, and the user's own."""
        self._from_books: dict[tuple[str, str], tuple[Offer, ...]] = {}

    def for_model(self, service: str, model: str) -> Iterator[Offer]:
        """Yield the offers of each source for a model, in order of precedence.

        ``model+feature`` is a model with a feature that is billed on top, where no source has it as a model
        of its own. ``genai-prices`` is searched only if the caller goes on past the books' offers.
        """
        key = (service, model)
        offers = self._from_books.get(key)
        if offers is None:
            offers = self._from_books[key] = tuple(self._search_books(service, model))
        yield from offers
        seller, parts = service, last_feature(model)
        if not offers and parts is None:  # an alias may stand for a model with a feature
            seller, alias_target = self._request(service, model).names[0]
            parts = last_feature(alias_target)
        if not offers and parts is not None:
            for offer in self.for_model(seller, parts.model):
                features = dict.fromkeys((*offer.features, parts.feature))  # each is billed once
                yield offer._replace(name=f"{offer.name}+{parts.feature}", features=tuple(features))
        if self._genai is not None and not (offers and offers[0].prices.local):
            request = self._request(service, model)
            if any(f"{provider}/{name}" in self._own.notices for provider, name in request.names):
                return  # the notice says why there is no price
            if (prices := _search_genai(self._genai, request)) is not None:
                vague = request.routed or self._names_no_profile(request, prices)
                yield Offer(
                    GENAI, self._genai.version, prices, request.service, prices.name, vague, request.region
                )

    def name(self, service: str, model: str) -> str:
        """Return the name of a model without a price: ``provider/model``."""
        request = self._request(service, model)
        return f"{request.service or UNKNOWN}/{normalize_model_name(request.names[0][1])}"

    def service_and_region(self, service: str, model: str) -> tuple[str, str | None]:
        """Return the service that prices a model, and the region in the model's name, if it has one."""
        request = self._request(service, model)
        return request.service, request.region

    def _search_books(self, service: str, model: str) -> Iterator[Offer]:
        request = self._request(service, model)
        names = list(request.names)
        first = names[0][1]
        exact = f"{request.service}/{first}"
        family = generations(first.rpartition("/")[2])
        names += [(request.service, name) for name in family]
        if request.service in self._own.local_services and not model.strip().lower().endswith("-cloud"):
            names.append(("local", "*"))
        if first.endswith(":free"):
            names.append((request.service, "*:free"))
        for book in self._books:
            listed = [
                prices
                for provider, name in dict.fromkeys(names)
                if (prices := book.find(f"{provider}/{name}"))
            ]
            for prices in listed if family else listed[:1]:
                name = prices.name.replace("*:free" if "*:free" in prices.name else "*", first)
                vague = request.routed or (bool(family) and prices.name != exact)
                yield Offer(book.source, book.version, prices, request.service, name, vague, request.region)

    def _request(self, service: str, model: str) -> _PriceRequest:
        """Return the service, and the names (service, model) to look for, the best first."""
        name = model.strip().lower()
        provider = normalize_service(service)
        target = self.aliases.get(f"{provider}/{name}") or self.aliases.get(name)
        base, plus, features = name.partition("+")
        if target is None and plus:
            target = self.aliases.get(f"{provider}/{base}") or self.aliases.get(base)
            target = f"{target}+{features}" if target is not None else None
        if target is not None:
            provider, name = self._split(target, provider)
        if provider in _ROUTERS:
            provider, name = self._split(name, infer_service(name) or provider)
        if provider in _GOOGLE_SERVICES and name.startswith("projects/"):
            provider = "vertex"  # only its names are paths
        # The name as it is comes first: OpenRouter's and Together's models have a slash in theirs.
        spelled = spellings(provider, name)
        names = [(provider, name) for name in spelled.names]
        # Another spelling of the name may be an alias too, such as a response's own name for a model.
        others = (self.aliases.get(f"{provider}/{name}") for name in spelled.names)
        names += [self._split(target, provider) for target in others if target is not None]
        for same in self._own.same_as.get(provider, ()):
            names += [(same.service, name) for name in spelled.names if same.covers(name)]
        return _PriceRequest(provider, list(dict.fromkeys(names)), spelled.region, spelled.routed)

    def _names_no_profile(self, request: _PriceRequest, prices: PriceList) -> bool:
        """Whether Bedrock may bill less: the price is a regional profile's, and the call names no profile."""
        _, regional, model = prices.name.partition("aws/regional.")
        if not regional or self._genai is None or _PROFILE.match(request.names[0][1]) or request.region:
            return False
        return self._genai.find("aws", f"global.{model}") is not None

    def _split(self, name: str, service: str) -> tuple[str, str]:
        """Return service and model of a name; ``service`` where the name has none."""
        head, slash, model = name.partition("/")
        provider = normalize_service(head)
        return (provider, model) if slash and provider in self._services else (service, name)


def _search_genai(genai: GenaiPrices, request: _PriceRequest) -> PriceList | None:
    """Return the first prices that the package has, trying all names of one provider before the next."""
    for provider in dict.fromkeys(provider for provider, _ in request.names):
        for seller, name in request.names:
            if seller == provider and (prices := genai.find(provider, name)) is not None:
                return prices
    return None


_GOOGLE_SERVICES: Final = frozenset({"google", "vertex"})


def is_of_another_region(offer: Offer, region: str | None) -> bool:
    """Whether a call of Bedrock ran where it may cost something else than in the United States.

    Our prices are those of the United States. Anthropic's models have the same price everywhere, or one of
    their own for regional profiles, except in AWS GovCloud.
    """
    if region is None or offer.service != "aws":
        return False
    if region.startswith("us-gov"):
        return "us-gov" not in offer.prices.name
    if "-" not in region or region.startswith("us-"):
        return False
    return region not in offer.prices.name and "anthropic." not in offer.prices.name


_PROFILE: Final = re.compile(r"(?:apac|au|ca|eu|global|in|jp|sa|uk|us|us-gov)\.")
