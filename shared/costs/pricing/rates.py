"""Prices: rates per unit, dated, by request size, time of day and service tier. Pure data.

A *rate* is an exact fraction of nano-dollars per unit, so no price is rounded: $0.006 per audio
minute is 1 nano-dollar per 10 microseconds. Rounding happens once per part of a charge, in
``arithmetic``.

>>> Rate.of("0.0375", per=1_000_000)        # USD per million tokens
Rate(nanos=75, units=2)
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from math import gcd
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..model import Usage
from ..money import NANOS_PER_USD


class Unit(NamedTuple):
    """How the rate of a part is written and counted.

    ``field`` is the field of ``Usage`` that counts it; ``per`` is how many of them (of millionths, for counts
    with fractions) a written price pays for; ``words`` says that for people.
    """

    field: str
    per: int
    words: str


_MILLION: Final = 1_000_000
_CONTEXT: Final = Context(prec=12)  # for showing: a third of a cent has no finite decimal form

UNITS: Final[Mapping[str, Unit]] = {
    "input": Unit("tokens_input", _MILLION, "million input tokens"),
    "cached": Unit("tokens_cached", _MILLION, "million cached input tokens"),
    "cache_write": Unit("tokens_cache_write", _MILLION, "million cache-written tokens"),
    "cache_write_1h": Unit("tokens_cache_write_1h", _MILLION, "million tokens cached for an hour"),
    "audio_input": Unit("tokens_audio_input", _MILLION, "million audio input tokens"),
    "audio_cached": Unit("tokens_audio_cached", _MILLION, "million cached audio tokens"),
    "image_input": Unit("tokens_image_input", _MILLION, "million image input tokens"),
    "image_cached": Unit("tokens_image_cached", _MILLION, "million cached image tokens"),
    "output": Unit("tokens_output", _MILLION, "million output tokens"),
    "reasoning": Unit("tokens_reasoning", _MILLION, "million reasoning tokens"),
    "audio_output": Unit("tokens_audio_output", _MILLION, "million audio output tokens"),
    "image_output": Unit("tokens_image_output", _MILLION, "million image output tokens"),
    "audio_seconds": Unit("audio_seconds", 60 * _MILLION, "audio minute"),
    "characters": Unit("characters", _MILLION, "million characters"),
    "images": Unit("images", 1, "image"),
    "video_seconds": Unit("video_seconds", _MILLION, "second of video"),
    "pages": Unit("pages", 1_000, "thousand pages"),
    "requests": Unit("requests", 1_000, "thousand requests"),
    "web_searches": Unit("web_searches", 1_000, "thousand web searches"),
    "preview_searches": Unit("preview_searches", 1_000, "thousand searches of the preview tool"),
    "maps_searches": Unit("maps_searches", 1_000, "thousand map searches"),
    "file_searches": Unit("file_searches", 1_000, "thousand file searches"),
    "search_units": Unit("search_units", 1_000, "thousand search units"),
    "containers": Unit("containers", 1, "container"),
    "gpu_seconds": Unit("gpu_seconds", 3_600 * _MILLION, "GPU hour"),
    "session_seconds": Unit("session_seconds", 3_600 * _MILLION, "session hour"),
    "cache_token_hours": Unit("cache_token_hours", _MILLION, "million cached tokens an hour"),
    "pixels": Unit("pixels", 1_000 * _MILLION, "billion pixels"),
    "billable_units": Unit("billable_units", _MILLION, "billable unit"),
}
"""The parts of a charge: keys of ``cost_parts`` on a ledger line."""


SINCE_ESTIMATED: Final = "Since when it holds is an estimate: the source does not say."
"""The note of a price whose ``since`` is a guess: an early date, so that calls of today have a price."""

WEEK: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Rate(NamedTuple):
    """An exact price per unit: ``nanos`` nano-dollars for ``units`` units, in lowest terms."""

    nanos: int
    units: int

    @classmethod
    def of(cls, usd: str | int | Decimal, per: int) -> Rate:
        """Return the rate of ``usd`` US dollars for ``per`` units."""
        numerator, denominator = Decimal(usd).as_integer_ratio()
        return _lowest(numerator * NANOS_PER_USD, denominator * per)

    def times(self, factor: Factor) -> Rate:
        """Return this rate multiplied exactly by ``factor``."""
        return _lowest(self.nanos * factor[0], self.units * factor[1])

    def plus(self, other: Rate) -> Rate:
        """Return the exact sum of both.

        >>> Rate.of("0.15", per=3_600).plus(Rate.of("0.02", per=3_600)) == Rate.of("0.17", per=3_600)
        True
        """
        return _lowest(self.nanos * other.units + other.nanos * self.units, self.units * other.units)

    def usd_per(self, units: int) -> str:
        """Return what ``units`` units cost in USD, in up to twelve digits, without trailing zeros.

        >>> Rate.of("0.006", per=60_000_000).usd_per(60_000_000)
        '0.006'
        """
        exact = _CONTEXT.divide(Decimal(self.nanos * units), Decimal(self.units * NANOS_PER_USD))
        text = f"{exact:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


def _lowest(numerator: int, denominator: int) -> Rate:
    common = gcd(numerator, denominator)
    return Rate(numerator // common, denominator // common)


Factor = tuple[int, int]
"""An exact fraction: numerator and denominator."""

Rates = Mapping[str, Rate]
"""Rates by part."""


class Step(NamedTuple):
    """How a quantity is rounded up before it is billed, in the part's own unit (microseconds for durations).

    At least ``least`` is billed for a request, and whole multiples of ``size`` (0: as counted).
    """

    least: int = 0
    size: int = 0

    def billed(self, quantity: int, requests: int = 1) -> int:
        """Return how much is billed for a quantity that ``requests`` requests used together.

        >>> Step(least=10, size=15).billed(1), Step(least=10, size=15).billed(16), Step(least=10).billed(7, 2)
        (15, 30, 20)
        """
        least, size = self
        quantity = max(quantity, least * requests)
        return -(-quantity // size) * size if size else quantity


class Price(NamedTuple):
    """What a model costs from one instant on.

    ``above`` holds the rates of larger requests: for each threshold, in ascending order, the rates
    of a request with more input tokens than that. They apply to the whole request. ``context`` is how
    many tokens one request can have, input and output together; 0 where that is not known.
    ``hours`` limits the price to a part of the UTC day, in minutes (hours over midnight belong to the
    day on which they begin); ``days`` limits it to some days of the week (Monday is 0), and ``holidays`` are
    single days on which it does not hold, in UTC too.
    ``included`` names the counts that describe a call of this model but are not billed; input tokens that
    also have a rate are billed where the call has no other count. ``unknown`` are the parts that are billed
    at a rate nobody states (cached tokens in a batch).
    ``free`` is an explicit zero for everything. ``steps`` are the increments and minimums by part.
    ``per_channel`` says that each channel of a recording is billed. ``features`` are those requested
    on top of the model, each with the parts it is billed by; one that nobody prices has no parts.
    """

    rates: Rates = MappingProxyType({})
    since: datetime | None = None
    above: tuple[tuple[int, Rates], ...] = ()
    hours: tuple[int, int] | None = None
    included: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    free: bool = False
    unverified: bool = False
    steps: Mapping[str, Step] = MappingProxyType({})
    per_channel: bool = False
    days: frozenset[int] = frozenset()
    holidays: frozenset[str] = frozenset()
    context: int = 0
    source: str = ""
    note: str = ""
    features: Mapping[str, frozenset[str]] = MappingProxyType({})

    def active(self, at: datetime) -> bool:
        """Whether this price holds at the instant ``at``."""
        if self.since is not None and at < self.since:
            return False
        if self.hours is None and not self.days:
            return True
        instant = at.astimezone(UTC)
        minute = instant.hour * 60 + instant.minute
        start, end = self.hours or (0, 0)
        if minute < end < start:
            instant -= timedelta(days=1)  # hours over midnight belong to the day on which they begin
        if self.days and instant.weekday() not in self.days:
            return False
        if self.holidays and instant.date().isoformat() in self.holidays:
            return False
        if self.hours is None:
            return True
        return start <= minute < end if start <= end else minute >= start or minute < end

    @property
    def when(self) -> str:
        """The hours and days at which this price holds, in words; empty where it always does.

        >>> Price(hours=(60, 240), days=frozenset({0, 1})).when
        '01:00-04:00 UTC, Monday, Tuesday'
        """
        start, end = self.hours or (0, 0)
        clock = f"{start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d} UTC" if self.hours else ""
        days = ", ".join(WEEK[day] for day in sorted(self.days))
        exceptions = f"except {', '.join(sorted(self.holidays))}" if self.holidays else ""
        return ", ".join(filter(None, (clock, days, exceptions)))

    @property
    def timed(self) -> bool:
        """Whether this price holds only at certain hours or on certain days."""
        return self.hours is not None or bool(self.days)

    @property
    def parts(self) -> frozenset[str]:
        """Every part that has a rate in requests of some size."""
        return frozenset(self.rates).union(*(rates for _, rates in self.above))

    def rates_for(self, tokens_input: int) -> Rates:
        """Return the rates of a request with that many input tokens."""
        applicable = self.rates
        for threshold, rates in self.above:
            if tokens_input > threshold:
                applicable = rates
        return applicable

    def is_sum(self, usage: Usage) -> bool:
        """Whether a usage is of several requests: it says so, or is more than one request can have.

        How large each request was is then not known; they are priced as if none was above a threshold, since
        such requests are rare.
        """
        return usage.requests > 1 or 0 < self.context < usage.tokens_input + usage.tokens_output

    def without(self, parts: Container[str]) -> Price:
        """Return this price without the rates of some parts."""
        if not any(part in parts for part in self.rates):
            return self
        return self._replace(
            rates=_without(self.rates, parts),
            above=tuple((threshold, _without(rates, parts)) for threshold, rates in self.above),
        )

    def with_feature(self, feature: str, rates: Rates | None) -> Price:
        """Return the price of the model with a feature at ``rates``; ``None`` where nobody prices it.

        >>> minute = Price({"audio_seconds": Rate(1, 10)})
        >>> minute.with_feature("diarize", {"audio_seconds": Rate(1, 30)}).rates["audio_seconds"]
        Rate(nanos=2, units=15)
        """
        if rates is None:
            return self._replace(features={**self.features, feature: frozenset()})
        if not rates:
            return self  # free there
        return self._replace(
            rates=_plus(self.rates, rates),
            above=tuple((size, _plus(larger, rates)) for size, larger in self.above),
            free=False,
            included=frozenset(UNITS) if self.free else self.included,
            features={**self.features, feature: frozenset(rates)},
        )

    def times(self, factors: Mapping[str, Factor]) -> Price:
        """Return this price with the rates of the parts in ``factors`` multiplied; others become unknown."""
        return self._replace(
            rates=_times(self.rates, factors),
            unknown=self.unknown | (self.rates.keys() - factors.keys()),
            above=tuple((threshold, _times(rates, factors)) for threshold, rates in self.above),
        )


def _plus(rates: Rates, more: Rates) -> Rates:
    return {**more, **{part: rate.plus(more[part]) if part in more else rate for part, rate in rates.items()}}


def _without(rates: Rates, parts: Container[str]) -> Rates:
    return {part: rate for part, rate in rates.items() if part not in parts}


def _times(rates: Rates, factors: Mapping[str, Factor]) -> Rates:
    return {part: rate.times(factors[part]) for part, rate in rates.items() if part in factors}


class PriceList(NamedTuple):
    """All prices of a model from one source.

    ``name`` is ``provider/model`` as the source calls it. ``prices`` and each of ``tiers`` are in
    order of precedence: the first active one holds. ``local`` models run on the user's own machine.
    ``complete`` says that the list begins with the model's launch, so that no source can have a price for an
    earlier date.
    """

    name: str
    prices: tuple[Price, ...]
    tiers: Mapping[str, tuple[Price, ...]] = MappingProxyType({})
    aliases: tuple[str, ...] = ()
    local: bool = False
    complete: bool = False

    def at(self, at: datetime, tier: str | None = None) -> Price | None:
        """Return the price that holds at the instant ``at`` under a service tier, or ``None``."""
        prices = self.prices if tier is None else self.tiers.get(tier, ())
        return next((price for price in prices if price.active(at)), None)


# --- the plain form, for files that remember prices


def to_plain(prices: PriceList) -> dict[str, Any]:
    """Return a price list as JSON-ready data; :func:`from_plain` reads it back unchanged."""
    return {
        "name": prices.name,
        "prices": [_price_to_plain(price) for price in prices.prices],
        "tiers": {tier: [_price_to_plain(p) for p in dated] for tier, dated in prices.tiers.items()},
        "aliases": list(prices.aliases),
        "local": prices.local,
        "complete": prices.complete,
    }


def from_plain(data: Mapping[str, Any]) -> PriceList:
    """Return the price list of :func:`to_plain`. Raises KeyError, TypeError or ValueError for other data."""
    return PriceList(
        name=data["name"],
        prices=tuple(_price_from_plain(price) for price in data["prices"]),
        tiers={tier: tuple(_price_from_plain(p) for p in dated) for tier, dated in data["tiers"].items()},
        aliases=tuple(data["aliases"]),
        local=data["local"],
        complete=data["complete"],
    )


def _price_to_plain(price: Price) -> dict[str, Any]:
    plain: dict[str, Any] = {"rates": rates_to_plain(price.rates)}
    if price.since is not None:
        plain["since"] = price.since.isoformat()
    if price.above:
        plain["above"] = [[threshold, rates_to_plain(rates)] for threshold, rates in price.above]
    if price.hours is not None:
        plain["hours"] = list(price.hours)
    for name in ("included", "unknown", "days", "holidays"):
        if parts := getattr(price, name):
            plain[name] = sorted(parts)
    if price.steps:
        plain["steps"] = {part: list(step) for part, step in price.steps.items()}
    for name in ("free", "unverified", "per_channel", "context", "source", "note"):
        if value := getattr(price, name):
            plain[name] = value
    return plain


def _price_from_plain(plain: Mapping[str, Any]) -> Price:
    since, hours = plain.get("since"), plain.get("hours")
    return Price(
        rates=rates_from_plain(plain["rates"]),
        since=datetime.fromisoformat(since) if since else None,
        above=tuple((int(threshold), rates_from_plain(rates)) for threshold, rates in plain.get("above", ())),
        hours=(int(hours[0]), int(hours[1])) if hours else None,
        included=frozenset(plain.get("included", ())),
        unknown=frozenset(plain.get("unknown", ())),
        free=plain.get("free", False),
        unverified=plain.get("unverified", False),
        steps=_steps_from_plain(plain),
        per_channel=plain.get("per_channel", False),
        days=frozenset(plain.get("days", ())),
        holidays=frozenset(plain.get("holidays", ())),
        context=plain.get("context", 0),
        source=plain.get("source", ""),
        note=plain.get("note", ""),
    )


def _steps_from_plain(plain: Mapping[str, Any]) -> Mapping[str, Step]:
    steps = {part: Step(int(least), int(size)) for part, (least, size) in plain.get("steps", {}).items()}
    if least := plain.get("minimum_audio"):  # the form in which earlier versions remembered this step
        steps["audio_seconds"] = Step(int(least))
    return steps


def rates_to_plain(rates: Rates) -> dict[str, list[int]]:
    """Return rates as JSON-ready data; :func:`rates_from_plain` reads them back unchanged."""
    return {part: [rate.nanos, rate.units] for part, rate in rates.items()}


def rates_from_plain(plain: Mapping[str, Any]) -> Rates:
    """Return the rates of :func:`rates_to_plain`."""
    return {part: Rate(int(nanos), int(units)) for part, (nanos, units) in plain.items()}
