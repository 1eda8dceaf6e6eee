"""Price files: the project's own catalogue and the user's ``prices.yaml`` share one format.

A book is kept in plain (JSON-ready) form and a model's prices are built when they are first needed,
so that a remembered book costs a process one JSON parse and no more.

.. code-block:: yaml

    checked: 2026-11-22                    # when the sources were last looked at
    models:
      acme/translate-1:
        aliases: [translate]
        prices:                            # or the keys of one price directly
          - since: 2026-03-01
            source: https://acme.example/pricing
            per_million_tokens: {input: 1.00, output: 2.00}
        tiers: {batch: {since: 2026-03-01, source: the same page, per_million_tokens: {input: 0.50}}}
    services:
      acme: {discount: {percent: 10, since: 2026-01-01, source: contract 12}}
    fees:                                  # rates of units that many models share
      - {models: [acme/*], per_thousand_web_searches: 10, since: 2026-01-01, source: the same page}
    surcharges:
      - {models: [acme/*], multiply: 1.1, when: {region: [eu]}, since: 2026-01-01, source: contract 12}
    addons:                                # what a feature costs on top: acme/scribe-1+speakers
      - {models: [acme/*], feature: speakers, per_audio_hour: 0.02, since: 2026-03-01, source: the same page}
    aliases: {azure/my-deployment: azure/gpt-4o}
    avoided: {local/pocketsphinx: openai/whisper-1}    # what local work is valued at
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Final, NamedTuple
from zlib import crc32

from .rates import Factor, Price, PriceList, Rates, from_plain, rates_from_plain

TIERS: Final = frozenset({"batch", "flex", "priority", "fast", "optimized", "provisioned", "streaming"})
"""The service tiers that can have a price: ``optimized`` is for latency, ``streaming`` is live speech."""


class Discount(NamedTuple):
    """A provider's discount: the factor of every part in ``parts``, from one day to before another.

    The parts in ``unchanged`` keep their rate; the rate of all others is not known under this discount.
    It covers the provider's models whose name begins with one of ``beginnings``, except ``models_except``.
    """

    factor: Factor
    parts: frozenset[str]
    unchanged: frozenset[str]
    since: datetime | None
    until: datetime | None
    models_except: frozenset[str]
    beginnings: tuple[str, ...]
    source: str
    unverified: bool

    def active(self, at: datetime, name: str) -> bool:
        """Whether this holds at the instant ``at`` for the model ``provider/model``."""
        covered = name not in self.models_except and name.partition("/")[2].startswith(self.beginnings)
        if not covered or (self.since is not None and at < self.since):
            return False
        return self.until is None or at < self.until

    def apply_to(self, price: Price) -> Price:
        """Return the price with this discount."""
        unity: Factor = (1, 1)
        factors = dict.fromkeys(self.parts, self.factor) | dict.fromkeys(self.unchanged, unity)
        doubt = price.unverified or self.unverified
        return price.times(factors)._replace(source=self.source, unverified=doubt)


class Surcharge(NamedTuple):
    """An uplift (or a discount) that holds under conditions: the factor of every rate in ``parts``.

    ``models`` and ``models_except`` are names or patterns such as ``vertex/claude-*``. With ``regions``
    it holds where the call ran in one of them, with ``regions_except`` where it ran anywhere else; with
    ``tiers`` under one of those service tiers (``standard`` is one). With ``undecided``, a call whose region
    is unknown counts as surcharged, and its price as unverified.
    """

    factor: Factor
    parts: frozenset[str]
    models: tuple[str, ...]
    models_except: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    regions: tuple[str, ...]
    regions_except: tuple[str, ...]
    tiers: frozenset[str]
    undecided: bool
    source: str

    def covers(self, name: str) -> bool:
        """Whether this is about a model, named as ``service/model`` with the service that is called."""
        return _matches_any(name, self.models) and not _matches_any(name, self.models_except)

    def holds(self, at: datetime, tier: str | None, region: str | None) -> bool:
        """Whether this holds for a call at the instant ``at``, under a tier, in a region."""
        if (self.since is not None and at < self.since) or (self.until is not None and at >= self.until):
            return False
        if self.tiers and (tier or "standard") not in self.tiers:
            return False
        if not self.regions and not self.regions_except:
            return True
        if region is None:
            return self.undecided
        return (
            _matches_any(region, self.regions)
            if self.regions
            else not _matches_any(region, self.regions_except)
        )

    def apply_to(self, price: Price, region: str | None) -> Price:
        """Return the price with this surcharge, which keeps every rate that it does not multiply."""
        unity: Factor = (1, 1)
        factors = {part: self.factor if part in self.parts else unity for part in price.parts}
        doubt = region is None and self.undecided
        return price.times(factors)._replace(unverified=price.unverified or doubt)


class Fee(NamedTuple):
    """Rates of units that are billed alike for many models, such as a provider's hosted tools."""

    rates: Rates
    models: tuple[str, ...]
    models_except: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    source: str

    def covers(self, name: str) -> bool:
        """Whether this is about a model, named as ``service/model`` with the service that is called."""
        return _matches_any(name, self.models) and not _matches_any(name, self.models_except)

    def holds(self, at: datetime) -> bool:
        """Whether this holds at the instant ``at``."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def add_to(self, price: Price) -> Price:
        """Return the price with these rates, where it has none of its own."""
        return price._replace(
            rates={**price.rates, **self._missing(price.rates)},
            above=tuple((size, {**rates, **self._missing(rates)}) for size, rates in price.above),
        )

    def _missing(self, rates: Rates) -> Rates:
        return {part: rate for part, rate in self.rates.items() if part not in rates}


class Addon(NamedTuple):
    """What a service's feature costs on top of the model; ``tiers`` has the rates under service tiers."""

    feature: str
    models: tuple[str, ...]
    rates: Rates
    tiers: Mapping[str, Rates]
    since: datetime | None
    until: datetime | None

    def covers(self, names: Iterable[str], feature: str) -> bool:
        """Whether this is about a feature of a model, which may have several names."""
        return feature == self.feature and any(_matches_any(name, self.models) for name in names)

    def holds(self, at: datetime) -> bool:
        """Whether this holds at the instant ``at``."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def add_to(self, price: Price, tier: str | None = None) -> Price:
        """Return the price of a model with this feature, under a tier."""
        return price.with_feature(self.feature, self.tiers.get(tier or "", self.rates))


def _matches_any(name: str, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


class PricedAs(NamedTuple):
    """Another service at whose prices a service sells some of its models, by patterns of their names."""

    service: str
    only: tuple[str, ...]
    models_except: tuple[str, ...]

    def covers(self, model: str) -> bool:
        """Whether a model of that name is sold at the other service's price."""
        return (not self.only or _matches_any(model, self.only)) and not _matches_any(
            model, self.models_except
        )


class PriceBook:
    """The content of one or several price files, in plain form; models are built on demand.

    ``read_table`` returns a table of further models, by name in plain form. Most processes never need it.
    """

    def __init__(
        self,
        plain: Mapping[str, Any],
        source: str,
        version: str,
        read_table: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self.plain = plain
        self.source = source
        self.version = version
        self.aliases: Mapping[str, str] = plain["aliases"]
        self.avoided: Mapping[str, str] = plain.get("avoided", {})  # absent in books of earlier versions
        self.local_services: frozenset[str] = frozenset(plain["local_services"])
        self.same_as: Mapping[str, tuple[PricedAs, ...]] = {
            service: _same_as(rule) for service, rule in plain["same_as"].items()
        }
        self.surcharges: tuple[Surcharge, ...] = tuple(map(_surcharge, plain.get("surcharges", ())))
        self.fees: tuple[Fee, ...] = tuple(map(_fee, plain.get("fees", ())))
        self.addons: tuple[Addon, ...] = tuple(map(_addon, plain.get("addons", ())))
        self.notices: Mapping[str, str] = plain.get("notices", {})
        self._names: Mapping[str, str] = plain["names"]
        self._models: Mapping[str, Any] = plain["models"]
        self._read_table = read_table
        self._built: dict[str, PriceList] = {}

    def find(self, name: str) -> PriceList | None:
        """Return the prices of ``provider/model`` (or one of its aliases), or ``None``."""
        canonical = self._names.get(name, name)
        prices = self._built.get(canonical)
        if prices is None:
            plain = self._models.get(canonical) or self._table.get(canonical)
            if plain is None:
                return None
            prices = self._built[canonical] = from_plain(plain)
        return prices

    @cached_property
    def _table(self) -> Mapping[str, Any]:
        """The models of the table, in plain form by name."""
        return self._read_table() if self._read_table is not None else {}

    def canonical(self, name: str) -> str:
        """Return the model's own name for one of its names; an unknown name unchanged."""
        return self._names.get(name, name)

    def names(self) -> Iterable[str]:
        """Return the models' own names, ``provider/model``: those of the files, then those of the table."""
        return [*self._models, *(name for name in self._table if name not in self._models)]

    def services(self) -> set[str]:
        """Return the services whose models are in the files."""
        return {name.partition("/")[0] for name in self._models}

    def class_of(self, name: str) -> str | None:
        """Return the class the model competes in, such as ``small chat``."""
        class_name: str | None = self.plain["classes"].get(self.canonical(name))
        return class_name

    def members(self, kind: str) -> list[str]:
        """Return the models of a class that are offered today."""
        retired = self.plain["retired"]
        return [
            name
            for name, class_name in self.plain["classes"].items()
            if class_name == kind and name not in retired
        ]

    def kinds(self) -> list[str]:
        """Return all classes, in order."""
        return list(self.plain["references"])

    def reference(self, kind: str) -> Mapping[str, float] | None:
        """Return the usage by which models of a class are compared, or ``None`` for an unknown class."""
        counts: Mapping[str, float] | None = self.plain["references"].get(kind)
        return counts

    def tier(self, service: str, tier: str) -> Discount | None:
        """Return the service's rule for a service tier."""
        return _discount(self.plain["services"].get(service, {}).get("tiers", {}).get(tier))

    def discount(self, service: str) -> Discount | None:
        """Return the discount agreed with a service."""
        return _discount(self.plain["services"].get(service, {}).get("discount"))

    @property
    def checked(self) -> date | None:
        """The day on which the sources of this book were last checked; the earliest one of several files."""
        text = self.plain["checked"]
        return date.fromisoformat(text) if text else None


def _same_as(plain: str | Iterable[Mapping[str, Any]]) -> tuple[PricedAs, ...]:
    if isinstance(plain, str):  # books of earlier versions have only the service's name
        return (PricedAs(plain, (), ()),)
    return tuple(PricedAs(rule["service"], tuple(rule["only"]), tuple(rule["except"])) for rule in plain)


def _fee(plain: Mapping[str, Any]) -> Fee:
    since, until = plain["since"], plain["until"]
    return Fee(
        rates=rates_from_plain(plain["rates"]),
        models=tuple(plain["models"]),
        models_except=tuple(plain["except"]),
        since=datetime.fromisoformat(since) if since else None,
        until=datetime.fromisoformat(until) if until else None,
        source=plain["source"],
    )


def _addon(plain: Mapping[str, Any]) -> Addon:
    since, until = plain.get("since"), plain.get("until")  # absent in books of earlier versions
    return Addon(
        feature=plain["feature"],
        models=tuple(plain["models"]),
        rates=rates_from_plain(plain["rates"]),
        tiers={tier: rates_from_plain(rates) for tier, rates in plain["tiers"].items()},
        since=datetime.fromisoformat(since) if since else None,
        until=datetime.fromisoformat(until) if until else None,
    )


def _surcharge(plain: Mapping[str, Any]) -> Surcharge:
    since, until = plain["since"], plain["until"]
    return Surcharge(
        factor=(plain["factor"][0], plain["factor"][1]),
        parts=frozenset(plain["parts"]),
        models=tuple(plain["models"]),
        models_except=tuple(plain["except"]),
        since=datetime.fromisoformat(since) if since else None,
        until=datetime.fromisoformat(until) if until else None,
        regions=tuple(plain["regions"]),
        regions_except=tuple(plain["regions_except"]),
        tiers=frozenset(plain["tiers"]),
        undecided=plain["undecided"],
        source=plain["source"],
    )


def _discount(plain: Mapping[str, Any] | None) -> Discount | None:
    if plain is None:
        return None
    since, until = plain["since"], plain["until"]
    return Discount(
        factor=(plain["factor"][0], plain["factor"][1]),
        parts=frozenset(plain["parts"]),
        unchanged=frozenset(plain["unchanged"]),
        since=datetime.fromisoformat(since) if since else None,
        until=datetime.fromisoformat(until) if until else None,
        models_except=frozenset(plain["except"]),
        beginnings=tuple(plain.get("beginnings", ("",))),  # absent in books of earlier versions
        source=plain["source"],
        unverified=plain.get("unverified", False),  # absent in books of earlier versions
    )


def edition(contents: Iterable[bytes]) -> str:
    """Return a checksum of price files, in eight hexadecimal digits: the version of a book."""
    return f"{crc32(bytes(1).join(contents)):08x}"
