"""Prices from the ``genai-prices`` package, in our own types, remembered per version of the package.

The package is imported (200 ms) only for a model that nobody asked for yet. All that it says about
the model is converted: dated prices, prices by time of day, sizes of requests, service tiers. Its
model matching is not used, because it matches by beginning: ``claude-sonnet-4-5-my-finetune`` would
get the price of ``claude-sonnet-4-5``. A name counts only if it is one that the package lists, give
or take a version mark such as a date.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, Final, NamedTuple

from .memory import PriceMemory
from .names import without_version
from .rates import UNITS, Price, PriceList, Rate, Rates, from_plain, to_plain

SOURCE: Final = "genai-prices"
_log = logging.getLogger(__name__)

_PARTS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "audio_cached",
    "input_image_mtok": "image_input",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
    "input_audio_hours": "audio_seconds",
    "audio_hours": "audio_seconds",
    "input_mchars": "characters",
    "input_document_kpages": "pages",
    "requests_kcount": "requests",
    "web_searches_kcount": "web_searches",
}
_HOUR: Final = 3_600_000_000  # microseconds
_CONTEXTS: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "batch": ({"processing": "batch"},),
    "flex": ({"service_tier": "flex"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}
_DOUBTS: Final = ("can't find", "trusting", "verify against", "not sure")
_SELLER: Final = re.compile(r"(?:[a-z-]+[./]){0,2}")
_GROQ_MINIMUM: Final = {"groq/whisper-large-v3", "groq/whisper-large-v3-turbo"}


class GenaiPrices:
    """What the installed ``genai-prices`` says about a model."""

    def __init__(self, memory: PriceMemory, version: str | None = None) -> None:
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

        With ``ask=False`` only what is remembered counts, and the package is never imported.
        """
        known, key = self._remembered(), f"{service}/{name}"
        if key not in known["names"] and ask and self.version:
            self._ask(service, name)
        canonical = known["names"].get(key)
        return self._build(canonical) if canonical is not None else None

    def named(self, name: str) -> PriceList | None:
        """Return the prices of the model that the package itself calls ``provider/model``.

        For a version that is not the installed one, only what is remembered of it can be found.
        """
        if name in self._remembered()["models"]:
            return self._build(name)
        if self.version != installed_version():
            return None
        provider, _, model = name.partition("/")
        found = self.find(provider, model)
        return found if found is not None and found.name == name else None

    def _build(self, name: str) -> PriceList:
        found = self._built.get(name)
        if found is None:
            found = self._built[name] = from_plain(self._remembered()["models"][name])
        return found

    def remembered_names(self) -> list[str]:
        """Return the names of the models that were asked for so far."""
        return list(self._remembered()["models"])

    def everything(self) -> Iterator[PriceList]:
        """Convert every model of the package. Imports it."""
        for provider in _providers():
            for model in provider.models:
                yield _convert(provider, model)

    def _remembered(self) -> dict[str, Any]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, Any]:
        found = self._memory.read(f"{SOURCE}-{self.version}") if self.version else None
        usable = found is not None and found.keys() == {"names", "models"}
        return found if found is not None and usable else {"names": {}, "models": {}}

    def _ask(self, service: str, name: str) -> None:
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

    ``importlib.metadata`` would say the same for 38 ms of import.
    """
    for folder in sys.path:
        try:
            if not os.path.isdir(os.path.join(folder, "genai_prices")):
                continue
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in names:
            found = re.fullmatch(r"genai_prices-([A-Za-z0-9.+!]+)\.dist-info", entry)
            if found:
                return found[1].replace("!", "+")
    return ""


def look_up(service: str, name: str) -> PriceList | None:
    """Ask the package for a model by its provider and one of its names. Imports the package."""
    providers = _providers()
    provider = next((p for p in providers if p.id == service), None)
    if provider is None:
        return None
    sellers = [provider, *(p for p in providers if p.id in (provider.fallback_model_providers or ()))]
    for spelling in _spellings(name):
        for seller in sellers:
            for model in seller.models:
                if _is_name_of(model, spelling):
                    return _convert(seller, model)
    return None


def _providers() -> Any:
    # Untyped on purpose: importing the package's types for annotations would import the package.
    from genai_prices.data import providers

    return providers


def _spellings(name: str) -> Iterable[str]:
    yield name
    dashed = re.sub(r"-(20\d\d)(\d\d)(\d\d)(?=$|-|:)", r"-\1-\2-\3", name)
    if dashed != name:
        yield dashed


def _is_name_of(model: Any, name: str) -> bool:
    """Whether the package lists ``name`` for a model, give or take a version mark."""
    own = model.id.lower()
    if own == name:
        return True
    return bool(model.is_match(name)) and (
        _base(name) == own or any(_fits(clause, name) for clause in _clauses(model.match))
    )


def _base(name: str) -> str:
    """Return a name without its version marks; OpenAI's fine-tunes also without whose they are."""
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


def _fits(clause: tuple[str, str], name: str) -> bool:
    kind, text = clause
    if kind == "regex":
        return text.startswith("^") and text.endswith("$") and re.search(text, name) is not None
    if kind == "equals":
        return name == text
    before, found, _ = name.partition(text)
    if not found or not _SELLER.fullmatch(before):
        return False
    own = name[len(before) :]
    # The package's text may end within a version mark: `claude-sonnet-4-2025`.
    return own == text or text.startswith(_base(own))


# --- conversion


class _Always(NamedTuple):
    prices: Any
    constraint: None = None


def _convert(provider: Any, model: Any) -> PriceList:
    name = f"{provider.id}/{model.id.lower()}"
    comment = model.price_comments or ""
    common = {
        "unverified": any(doubt in comment for doubt in _DOUBTS),
        "source": (provider.pricing_urls or [""])[0],
        "minimum_audio": 10_000_000 if name in _GROQ_MINIMUM else 0,
        # A model without rates has no price; only a name that says so makes it one for nothing.
        "free": name.endswith(":free"),
    }
    conditions = model.prices if isinstance(model.prices, list) else [_Always(model.prices)]
    standard = [_price(condition.prices, condition.constraint, common) for condition in reversed(conditions)]
    # The package falls back to the first price where no condition holds.
    if standard[-1].since is not None or standard[-1].hours is not None:
        standard.append(_price(conditions[0].prices, None, common))
    tiers = {tier: prices for tier in _CONTEXTS if (prices := _tier(model, tier, common))}
    return PriceList(name=name, prices=tuple(standard), tiers=tiers)


def _tier(model: Any, tier: str, common: Mapping[str, Any]) -> tuple[Price, ...]:
    """Return the dated prices of a tier: at each date on which something changes, what the package says."""
    contexts = _CONTEXTS[tier]
    variants = [v for v in model.price_variants or () if v.when in contexts]
    conditions = [*(model.prices if isinstance(model.prices, list) else ()), *variants]
    if not variants or any(hasattr(c.constraint, "start_time") for c in conditions):
        return ()
    starts = sorted({_start(c.constraint) for c in conditions}, reverse=True)
    found = []
    for start in starts:
        active = [v for v in variants if _start(v.constraint) <= start]
        if active:
            price = model.get_prices(start, active[0].when)
            found.append(_price(price, None, {**common, "since": start if start != _EVER else None}))
    return tuple(found)


_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _start(constraint: Any) -> datetime:
    return datetime.combine(constraint.start_date, time.min, tzinfo=UTC) if constraint else _EVER


def _price(price: Any, constraint: Any, common: Mapping[str, Any]) -> Price:
    values = {part: v for key, part in _PARTS.items() if (v := price.__dict__.get(key)) is not None}
    pers = {part: _per(key, part) for key, part in _PARTS.items() if price.__dict__.get(key) is not None}
    starts = sorted({tier.start for value in values.values() for tier in getattr(value, "tiers", ())})
    fields: dict[str, Any] = dict(common)
    if hasattr(constraint, "start_date"):
        fields["since"] = _start(constraint)
    elif constraint is not None:
        fields["hours"] = (_minute(constraint.start_time), _minute(constraint.end_time))
    fields["free"] = common["free"] and not any(map(_costs, values.values()))
    return Price(
        rates=_rates(values, pers, 0),
        above=tuple((start, _rates(values, pers, start)) for start in starts),
        included=_included(values),
        **fields,
    )


def _costs(value: Any) -> bool:
    return bool(getattr(value, "base", value))


def _included(values: Mapping[str, Any]) -> frozenset[str]:
    """Return the counts that describe a call and are not billed: audio that is billed by the token."""
    billed_by_token = "input" in values and "audio_input" in values
    return frozenset({"audio_seconds"} if billed_by_token else ())


def _per(key: str, part: str) -> int:
    return _HOUR if key.endswith("_hours") else UNITS[part].per


def _rates(values: Mapping[str, Any], pers: Mapping[str, int], start: int) -> Rates:
    return {part: Rate.of(_amount(value, start), pers[part]) for part, value in values.items()}


def _amount(value: Any, start: int) -> Decimal:
    """Return the price of requests that are larger than ``start`` input tokens."""
    amount = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if tier.start <= start and start:
            amount = tier.price
    return Decimal(amount)


def _minute(moment: time) -> int:
    as_utc = datetime.combine(
        _EVER.date(), moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    ).astimezone(UTC)
    return as_utc.hour * 60 + as_utc.minute
