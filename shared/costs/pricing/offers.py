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
"""Services that pass a call on: who serves it is seen from the model's name."""


class Quote(NamedTuple):
    """A price that holds for one model, one service tier and one instant, and who says so."""

    price: Price
    priced_by: PricedBy


class Offer(NamedTuple):
    """What one source says about a model. ``service`` is the one that was asked, ``name`` the model's.

    ``vague`` tells that the model was named by its family alone, or that a router chose who runs it;
    ``region`` is the one that the name states, ``features`` what it asks for on top of the model.
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
    """What a call asks for: the service, the names (service, model) to look for, and what its name says."""

    service: str
    names: list[tuple[str, str]]
    region: str | None
    routed: bool


class Offers:
    """Finds what each source says about a model. What it has found, it keeps."""

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
        """Names that stand for others: of the price files, and the user's own."""
        self._found: dict[tuple[str, str], tuple[Offer, ...]] = {}

    def of(self, service: str, model: str) -> Iterator[Offer]:
        """Yield what each source says about a model, in order of precedence.

        ``model+feature`` is a model with a feature that is billed on top, where no source has it as a model
        of its own. ``genai-prices`` is asked only when the one who reads has found nothing before.
        """
        key = (service, model)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(self._in_books(service, model))
        yield from found
        seller, parts = service, last_feature(model)
        if not found and parts is None:  # an alias may stand for a model with a feature
            seller, named = self._wanted(service, model).names[0]
            parts = last_feature(named)
        if not found and parts is not None:
            for offer in self.of(seller, parts.model):
                features = dict.fromkeys((*offer.features, parts.feature))  # each is billed once
                yield offer._replace(name=f"{offer.name}+{parts.feature}", features=tuple(features))
        if self._genai is not None and not (found and found[0].prices.local):
            wanted = self._wanted(service, model)
            if any(f"{of}/{name}" in self._own.notices for of, name in wanted.names):
                return  # it is known why it has no price there
            for at in dict.fromkeys(of for of, _ in wanted.names):
                mine = [name for of, name in wanted.names if of == at]
                prices = next((p for name in mine if (p := self._genai.find(at, name))), None)
                if prices is not None:
                    version, vague = (
                        self._genai.version,
                        wanted.routed or self._names_no_profile(wanted, prices),
                    )
                    yield Offer(GENAI, version, prices, wanted.service, prices.name, vague, wanted.region)
                    return

    def name(self, service: str, model: str) -> str:
        """Return how a model without a price is called: ``provider/model``."""
        wanted = self._wanted(service, model)
        return f"{wanted.service or UNKNOWN}/{normalize_model_name(wanted.names[0][1])}"

    def stated(self, service: str, model: str) -> tuple[str, str | None]:
        """Return the service that is asked for a model, and the region that the model's name states."""
        wanted = self._wanted(service, model)
        return wanted.service, wanted.region

    def _in_books(self, service: str, model: str) -> Iterator[Offer]:
        wanted = self._wanted(service, model)
        names = list(wanted.names)
        first = names[0][1]
        exact = f"{wanted.service}/{first}"
        family = generations(first.rpartition("/")[2])
        names += [(wanted.service, name) for name in family]
        if wanted.service in self._own.local_services and not model.strip().lower().endswith("-cloud"):
            names.append(("local", "*"))
        if first.endswith(":free"):
            names.append((wanted.service, "*:free"))
        for book in self._books:
            found = [p for of, name in dict.fromkeys(names) if (p := book.find(f"{of}/{name}"))]
            for prices in found if family else found[:1]:
                name = prices.name.replace("*:free" if "*:free" in prices.name else "*", first)
                vague = wanted.routed or (bool(family) and prices.name != exact)
                yield Offer(book.source, book.version, prices, wanted.service, name, vague, wanted.region)

    def _wanted(self, service: str, model: str) -> _PriceRequest:
        """Return the service, and the names (service, model) to look for, the best first."""
        given = model.strip().lower()
        wanted = normalize_service(service)
        target = self.aliases.get(f"{wanted}/{given}") or self.aliases.get(given)
        base, plus, features = given.partition("+")
        if target is None and plus:
            target = self.aliases.get(f"{wanted}/{base}") or self.aliases.get(base)
            target = f"{target}+{features}" if target is not None else None
        if target is not None:
            wanted, given = self._split(target, wanted)
        if wanted in _ROUTERS:
            wanted, given = self._split(given, infer_service(given) or wanted)
        if wanted in _GOOGLES and given.startswith("projects/"):
            wanted = "vertex"  # only its names are paths
        # The name as it is comes first: OpenRouter's and Together's models have a slash in theirs.
        spelled = spellings(wanted, given)
        names = [(wanted, name) for name in spelled.names]
        # A name that is spelled otherwise may be an alias too, such as a response's own name for a model.
        others = (self.aliases.get(f"{wanted}/{name}") for name in spelled.names)
        names += [self._split(target, wanted) for target in others if target is not None]
        for same in self._own.same_as.get(wanted, ()):
            names += [(same.service, name) for name in spelled.names if same.covers(name)]
        return _PriceRequest(wanted, list(dict.fromkeys(names)), spelled.region, spelled.routed)

    def _names_no_profile(self, wanted: _PriceRequest, prices: PriceList) -> bool:
        """Whether Bedrock may bill less than this: a regional profile's price, and no profile is named."""
        _, regional, model = prices.name.partition("aws/regional.")
        if not regional or self._genai is None or _PROFILE.match(wanted.names[0][1]) or wanted.region:
            return False
        return self._genai.find("aws", f"global.{model}") is not None

    def _split(self, name: str, service: str) -> tuple[str, str]:
        """Return service and model of a name; ``service`` where the name states none."""
        head, slash, model = name.partition("/")
        stated = normalize_service(head)
        return (stated, model) if slash and stated in self._services else (service, name)


_GOOGLES: Final = frozenset({"google", "vertex"})


def is_of_another_region(offer: Offer, region: str | None) -> bool:
    """Whether a call of Bedrock ran where its price may be another: ours are those of the United States.

    Anthropic's models have the same price everywhere, or one of their own for regional profiles; only not in
    AWS GovCloud.
    """
    if region is None or offer.service != "aws":
        return False
    if region.startswith("us-gov"):
        return "us-gov" not in offer.prices.name
    if "-" not in region or region.startswith("us-"):
        return False
    return region not in offer.prices.name and "anthropic." not in offer.prices.name


_PROFILE: Final = re.compile(r"(?:apac|au|ca|eu|global|in|jp|sa|uk|us|us-gov)\.")
