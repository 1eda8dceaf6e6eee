"""Prices from the ``genai-prices`` package, in our own types, remembered per version of the package.

The package is imported (200 ms) only for a model that was not looked up before. All that it says about
the model is converted: dated prices, prices by time of day, sizes of requests, service tiers. Its
model matching is not used, because it matches by prefix: ``claude-sonnet-4-5-my-finetune`` would
get the price of ``claude-sonnet-4-5``. A name matches only if the package lists it, apart from a
version mark such as a date.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from ..importing import import_safely
from ..memory import Memory
from .names import without_version
from .rates import PriceList, from_plain, to_plain

SOURCE: Final = "genai-prices"
_MATCHING: Final = 3
"""Version of the name matching: raised with each change to it, so that remembered matches are made again."""

_log = logging.getLogger(__name__)

_SELLER: Final = re.compile(r"(?:[a-z-]+[./]){0,2}")
_REGIONS: Final = frozenset({"apac", "au", "ca", "eu", "global", "in", "jp", "sa", "uk", "us", "us-gov"})
_AT_REGIONAL_PRICE: Final = _REGIONS - {"global", "us-gov"}
"""Regions at whose price the package's ``regional.`` models are sold, unless it names another itself."""


class GenaiPrices:
    """What the installed ``genai-prices`` says about a model."""

    def __init__(self, memory: Memory, version: str | None = None) -> None:
        self._memory = memory
        self._version = version
        self._known: dict[str, Any] | None = None
        self._built: dict[str, PriceList] = {}

    @property
    def version(self) -> str:
        """The package's version; empty when it is not installed."""
        if self._version is None:
            self._version = installed_version()
        return self._version

    def find(self, service: str, name: str, *, ask: bool = True) -> PriceList | None:
        """Return the prices of a model by one of its names, or ``None`` when the package has none.

        With ``ask=False`` only remembered prices are used, and the package is never imported.
        """
        known, key = self._remembered(), f"{service}/{name}"
        if key not in known["names"] and ask and self.version:
            self._learn(service, name)
        canonical = known["names"].get(key)
        return self._build(canonical) if canonical is not None else None

    def answer(self, service: str, name: str) -> PriceList | None:
        """Return the price by the package's own matching of models: see :func:`look_up`. Imports it."""
        return look_up(service, name, makers=True) if self.version else None

    def named(self, name: str) -> PriceList | None:
        """Return the prices of the model that the package itself calls ``provider/model``.

        Of a version that is not the installed one, only remembered models are available.
        """
        if name in self._remembered()["models"]:
            return self._build(name)
        if self.version != installed_version():
            return None
        provider, _, model = name.partition("/")
        prices = self.find(provider, model)
        return prices if prices is not None and prices.name == name else None

    def _build(self, name: str) -> PriceList:
        prices = self._built.get(name)
        if prices is None:
            prices = self._built[name] = from_plain(self._remembered()["models"][name])
        return prices

    def remembered_names(self) -> list[str]:
        """Return the names of the models that were looked up so far."""
        return list(self._remembered()["models"])

    def everything(self) -> Iterator[PriceList]:
        """Convert every model of the package. Imports it."""
        from .genai_types import convert  # only with the package at hand

        for provider in _providers():
            for model in provider.models:
                yield convert(provider, model)

    def _remembered(self) -> dict[str, Any]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, Any]:
        remembered = self._memory.read(f"{SOURCE}-{self.version}") if self.version else None
        if remembered is None or not remembered.keys() >= {"names", "models"}:
            return {"names": {}, "models": {}, "matching": _MATCHING}
        if remembered.get("matching") != _MATCHING:
            # The models' prices stay: they priced calls that are recorded.
            return {"names": {}, "models": remembered["models"], "matching": _MATCHING}
        return remembered

    def _learn(self, service: str, name: str) -> None:
        try:
            prices = look_up(service, name)
        except ImportError as fault:
            # The call that is being priced must not fail for a broken installation: it is unpriced.
            _log.warning("genai-prices %s cannot be imported: %s", self.version, fault)
            return
        # Other processes may have learned something since this one read the file.
        known, fresh = self._remembered(), self._read()
        known["names"] = {**fresh["names"], **known["names"], f"{service}/{name}": prices and prices.name}
        learned = {prices.name: to_plain(prices)} if prices else {}
        known["models"] = {**fresh["models"], **known["models"], **learned}
        self._memory.write(f"{SOURCE}-{self.version}", known)


def installed_version() -> str:
    """Return the version of the installed package from its ``dist-info`` folder; empty without one.

    ``importlib.metadata`` would return the same after 38 ms of import.
    """
    for folder in sys.path:
        try:
            if not os.path.isdir(os.path.join(folder, "genai_prices")):
                continue
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in names:
            match = re.fullmatch(r"genai_prices-([A-Za-z0-9.+!]+)\.dist-info", entry)
            if match:
                return match[1].replace("!", "+")
    return ""


def look_up(service: str, name: str, *, makers: bool = False) -> PriceList | None:
    """Return the package's prices of a model, by its provider and one of its names. Imports the package.

    With ``makers`` the models of other makers are searched too, as the package itself does: it gives Azure's
    DeepSeek the price of its maker.
    """
    from .genai_types import convert  # only with the package at hand

    _providers()  # raises ImportError if the package cannot be imported any more
    listing = _listing(service, name, makers)
    return convert(*listing) if listing is not None else None


@lru_cache(maxsize=4_096)  # a check of all prices asks for a thousand names, the next one for the same
def _listing(service: str, name: str, makers: bool) -> tuple[Any, Any] | None:
    """Return the package's seller and model of a name, which do not change while the package is loaded."""
    providers = _providers()
    provider = next((candidate for candidate in providers if candidate.id == service), None)
    if provider is None:
        return None
    others = (provider.fallback_model_providers or ()) if makers else ()
    sellers = [provider, *(candidate for candidate in providers if candidate.id in others)]
    for spelling in _spellings(name):
        for seller in sellers:
            for model in seller.models:
                if _is_name_of(model, spelling):
                    return seller, model
    return None


def _providers() -> Any:
    # Any, because importing the package's types for annotations would import the package.
    import_safely("genai_prices.data")
    from genai_prices.data import providers

    return providers


def _spellings(name: str) -> Iterable[str]:
    yield name
    dashed = re.sub(r"-(20\d\d)(\d\d)(\d\d)(?=$|-|:)", r"-\1-\2-\3", name)
    if dashed != name:
        yield dashed


def _is_name_of(model: Any, name: str) -> bool:
    """Whether the package lists ``name`` for a model, apart from a version mark."""
    own = model.id.lower()
    if own == name:
        return True
    return bool(model.is_match(name)) and (
        _base(name) == own or any(_matches(clause, name, own) for clause in _clauses(model.match))
    )


def _base(name: str) -> str:
    """Return a name without its version marks; OpenAI's fine-tunes also without their owner."""
    if name.startswith("ft:"):
        # ft:gpt-4o-mini-2024-07-18:acme::abc123 is priced as every fine-tune of gpt-4o-mini.
        name = re.sub(r"-\d{4}$", "", "ft:" + name[3:].partition(":")[0])
    while (shorter := without_version(name)) is not None:
        name = shorter
    return name


def _clauses(clause: Any) -> Iterator[tuple[str, str]]:
    """Yield the kind and text of each simple clause of the package's match logic."""
    for kind in ("or_", "and_"):
        for inner in getattr(clause, kind, ()):
            yield from _clauses(inner)
    for kind in ("equals", "starts_with", "ends_with", "contains", "regex"):
        if hasattr(clause, kind):
            yield kind, getattr(clause, kind).lower() if kind != "regex" else clause.regex


def _matches(clause: tuple[str, str], name: str, model: str) -> bool:
    kind, text = clause
    if kind == "regex":
        return text.startswith("^") and text.endswith("$") and re.search(text, name) is not None
    if kind == "equals":
        return name == text
    before, separator, _ = name.partition(text)
    if not separator or not _SELLER.fullmatch(before) or not _is_sold_in(before, model):
        return False
    own = name[len(before) :]
    # The package's text may end within a version mark: `claude-sonnet-4-2025`.
    return own == text or text.startswith(_base(own))


def _is_sold_in(seller: str, model: str) -> bool:
    """Whether the package's price of a model holds in the region before its name, if there is one.

    Azure's ``eu/o4-mini`` and Bedrock's ``eu.amazon.nova-lite-v1:0`` cost more than the models without
    a region. Bedrock's own prices are those of the United States, which also hold for ``us.``.
    """
    regions = _REGIONS.intersection(re.split("[./]", seller))
    if model.startswith("regional."):
        return regions <= _AT_REGIONAL_PRICE
    return not regions or seller.startswith("us.")
