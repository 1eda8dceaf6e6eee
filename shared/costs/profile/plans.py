"""Plans: what is paid per month instead of per call, and which units are free or cheaper within them.

>>> plan = Plan(("anthropic/claude-*",), price=Nanos(100_000_000_000))
>>> plan.is_flat, plan.covers_model("anthropic/claude-sonnet-4-5"), plan.covers_model("openai/gpt-4o")
(True, True, False)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from ..money import ZERO, Nanos, divide
from ..units import USAGE_FIELDS, without_features

if TYPE_CHECKING:
    from ..yaml_strict import Node

_KEYS: Final = (
    "covers",
    "usd_per_month",
    "users",
    "since",
    "until",
    "free",
    "volume_discounts",
    "monthly_limit_usd",
)
_UNITS: Final = ("calls", "tokens", *(name for name in USAGE_FIELDS if name != "channels"))
"""The units that may be free; channels are a property of audio and not used up."""
_MOST_UNITS: Final = 10**15
_MILLION: Final = 1_000_000


class VolumeDiscount(NamedTuple):
    """A discount in millionths on the part of a month's list price that is above an amount."""

    above: Nanos
    millionths: int


class Plan(NamedTuple):
    """A monthly payment to a provider (``price``), and the calls that it covers.

    ``models`` are patterns of ``service/model``. With ``free`` units of a kind (``unit``, a field of
    ``Usage``) or ``discounts``, calls beyond those are paid for at list price; a plan without both is a *flat
    rate*, whose calls cost nothing more. ``users`` are those it is for; empty for everybody. It holds from
    ``since`` to ``until``, both included. ``limit`` is the most that may be paid for it in a month.
    """

    models: tuple[str, ...]
    price: Nanos = ZERO
    users: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    unit: str | None = None
    free: int = 0
    discounts: tuple[VolumeDiscount, ...] = ()
    limit: Nanos | None = None

    @property
    def is_flat(self) -> bool:
        """Whether the calls that it covers cost nothing beyond its price."""
        return self.unit is None and not self.discounts

    def covers_model(self, name: str) -> bool:
        """Return whether the plan covers a model, given as ``service/model``, also with features.

        >>> Plan(("deepgram/nova-3",)).covers_model("deepgram/nova-3+diarize")
        True
        """
        names = {name.lower(), without_features(name.lower())}
        return any(fnmatchcase(name, pattern.lower()) for pattern in self.models for name in names)

    def covers(self, user_id: str | None, service: str, model: str, names: Names) -> bool:
        """Return whether it covers a user's calls to a model, by the name recorded or the catalogue's."""
        return self.is_for(user_id) and (
            self.covers_model(f"{service}/{model}") or self.covers_model(names(service, model))
        )

    def is_for(self, user_id: str | None) -> bool:
        """Return whether it is for a user; ``None`` stands for any user."""
        return not self.users or user_id is None or user_id in self.users

    def span(self, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        """Return the instants between which it holds, half-open; ``None`` where it has no edge."""
        after = None if self.until is None else self.until + timedelta(days=1)
        return _midnight(self.since, zone), _midnight(after, zone)

    def discount(self, cost: Nanos) -> Nanos:
        """Return the discount on a month's cost, in nano-dollars: rounded once, half to even.

        >>> steps = VolumeDiscount(Nanos(100), 100_000), VolumeDiscount(Nanos(200), 500_000)
        >>> plan = Plan(("*",), discounts=steps)
        >>> [plan.discount(Nanos(cost)) for cost in (100, 200, 220)]
        [0, 10, 20]
        """
        steps = zip(self.discounts, [*self.discounts[1:], None], strict=False)  # empty without discounts
        off = sum(
            max(0, min(cost, cost if upper is None else upper.above) - lower.above) * lower.millionths
            for lower, upper in steps
        )
        return Nanos(divide(off, _MILLION))


def _midnight(day: date | None, zone: ZoneInfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), zone)


Names = Any
"""Turns a service and a model as recorded into the catalogue's ``provider/model``."""


class FlatRate(NamedTuple):
    """A flat rate with the instants between which it holds."""

    name: str
    plan: Plan
    start: datetime | None
    end: datetime | None

    def covers(self, user_id: str | None, service: str, model: str, names: Names) -> bool:
        """Return whether it covers a user's calls to a model, by the name recorded or the catalogue's."""
        return self.plan.covers(user_id, service, model, names)

    def holds_at(self, at: datetime) -> bool:
        """Return whether it holds at an instant."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


def flat_rates(plans: Mapping[str, Plan], zone: ZoneInfo) -> tuple[FlatRate, ...]:
    """Return the flat rates among plans, with their dates in a time zone."""
    return tuple(FlatRate(name, plan, *plan.span(zone)) for name, plan in plans.items() if plan.is_flat)


def read_plans(top: Node) -> dict[str, Plan]:
    """Return the plans under ``plans:``.

    Raises:
        FileRefused: one covers nothing, or has no price, free units or discounts.
    """
    from ..yaml_strict import check_name  # only a profile that is read anew needs it

    node = top.get("plans")
    plans = {}
    for name, entry in node.map().items() if node is not None else ():
        check_name(name, entry)
        plans[name] = _plan(entry)
    return plans


def _plan(node: Node) -> Plan:
    from ..yaml_strict import read_names

    node.only(_KEYS)
    models = read_names(node.required("covers"))
    if not models:
        raise node["covers"].refused(
            "a plan that covers nothing", "write models such as [anthropic/claude-*]"
        )
    if faulty := [name for name in models if "/" not in name and name != "*"]:
        raise node["covers"].refused(
            f"{faulty[0]!r} names no service", "write service/model, such as openai/*"
        )
    price, users, limit = node.get("usd_per_month"), node.get("users"), node.get("monthly_limit_usd")
    since, until = node.get("since"), node.get("until")
    unit, free = _free(node.get("free"))
    plan = Plan(
        models,
        price.amount() if price is not None else ZERO,
        read_names(users) if users is not None else (),
        since.day() if since is not None else None,
        until.day() if until is not None else None,
        unit,
        free,
        _discounts(node.get("volume_discounts")),
        limit.amount() if limit is not None else None,
    )
    if price is None and plan.is_flat:
        raise node.refused("a plan without a price", "add usd_per_month, free or volume_discounts")
    if plan.since is not None and plan.until is not None and plan.until < plan.since:
        raise node["until"].refused(
            f"it ends on {plan.until}, before it begins on {plan.since}", "mend one of them"
        )
    return plan


def _free(node: Node | None) -> tuple[str | None, int]:
    if node is None:
        return None, 0
    if len(node.map()) != 1:
        raise node.refused(f"{len(node.map())} units", "write one unit, such as {characters: 500000}")
    [(unit, count)] = node.only(_UNITS).items()
    return unit, count.integer(1, _MOST_UNITS)


def _discounts(node: Node | None) -> tuple[VolumeDiscount, ...]:
    discounts: list[VolumeDiscount] = []
    for item in node.items() if node is not None else ():
        item.only(("above_usd", "percent"))
        above, percent = item.required("above_usd").amount(), item.required("percent").number(0, 100)
        if discounts and above <= discounts[-1].above:
            raise item["above_usd"].refused(
                f"{item['above_usd'].shown} is not above the amount before it", "write amounts that rise"
            )
        discounts.append(VolumeDiscount(above, int(percent * 10_000)))
    return tuple(discounts)


def names_of(rates: Iterable[FlatRate]) -> str:
    """Return the names of flat rates in a sentence.

    >>> names_of([FlatRate("max", Plan(("*",)), None, None), FlatRate("pro", Plan(("*",)), None, None)])
    'max and pro'
    """
    return " and ".join(dict.fromkeys(rate.name for rate in rates))
