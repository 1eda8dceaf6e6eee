"""Reads a profile's YAML into a :class:`Profile`; everything outside the contract is refused, with its place.

>>> text = b"users: {rpatel: {timezone: Asia/Kolkata, budget: {monthly_limit_usd: 100}}}"
>>> parse_profile(text, Path("profile.yaml")).for_user("rpatel").budget.monthly_limit
100000000000
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, get_args
from zoneinfo import ZoneInfo

from .. import periods
from ..errors import ProfileError
from ..money import Nanos
from ..periods import LATEST_BILLING_DAY
from ..yaml_strict import Node, Scalar, check_name, parse, read_name
from .currency import read_currency
from .machines import read_machines
from .plans import read_plans
from .tag_rules import read_tag_rules
from .types import (
    Budget,
    BudgetChanges,
    Guard,
    OnGateError,
    OnUnpriced,
    Profile,
    RollingLimit,
    SharedBudget,
    UserSettings,
)

_TOP: Final = (
    "timezone",
    "billing_day",
    "budget",
    "organization",
    "users",
    "aliases",
    "shared",
    "machines",
    "plans",
    "currency",
    "tag_rules",
)
_USER: Final = ("timezone", "budget")
_UTC: Final = "UTC"
_MOST_HOURS: Final = 366 * 24
_MOST_COUNT: Final = 10**15
LEASE_S: Final = (2, 3600)
"""The shortest and the longest lease of a shared limit, in seconds."""

_SECRET_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ADDRESS_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*", re.ASCII)
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def parse_profile(data: bytes, path: Path) -> Profile:
    """Return the profile in ``data``; ``path`` is for messages and the profile's own.

    Raises:
        ProfileError: it does not follow the contract. The text names the file, line, key and value,
            and what would be right.
    """
    return _profile(parse(data, path, ProfileError), path)


def _profile(top: Node, path: Path) -> Profile:
    keys = top.only(_TOP, also=_is_extra)
    zone = _zone(top, ZoneInfo(_UTC))
    defaults = Budget().merged(_budget(top, "budget"))
    return Profile(
        path=path,
        timezone=zone,
        budget=defaults,
        organization=Budget(monthly_limit=None).merged(_budget(top, "organization")),
        users=_users(top, zone, defaults),
        aliases=_aliases(top),
        extras={key: plain(node) for key, node in keys.items() if _is_extra(key)},
        billing_day=_billing_day(top),
        shared=_shared(top),
        machines=read_machines(top),
        plans=read_plans(top),
        currency=read_currency(top),
        tag_rules=read_tag_rules(top),
    )


def _billing_day(top: Node) -> int:
    node = top.get("billing_day")
    return 1 if node is None else node.integer(1, LATEST_BILLING_DAY)


def _shared(top: Node) -> SharedBudget | None:
    node = top.get("shared")
    if node is None or node.is_null:
        return None
    node.only(("url", "lease_s"))
    url, lease = node.required("url"), node.get("lease_s")
    if not _ADDRESS_REFERENCE.fullmatch(url.text()):
        # The value may hold a password: it is not repeated in the message.
        remedy = (
            "write env:NAME for an environment variable that has it, or file:PATH for a file of mode 0600"
        )
        raise url.refused("the address of the shared database does not belong here", remedy)
    return SharedBudget(url.text(), 120 if lease is None else lease.integer(*LEASE_S))


def _is_extra(key: str) -> bool:
    return key.startswith("x-")


def _users(top: Node, zone: ZoneInfo, defaults: Budget) -> dict[str, UserSettings]:
    users = {}
    for user_id, node in _children(top, "users"):
        check_name(user_id, node)
        node.only(_USER)
        budget = defaults.merged(_budget(node, "budget"))
        users[user_id] = UserSettings(user_id, _zone(node, zone), budget)
    return users


def _aliases(top: Node) -> dict[str, str]:
    aliases = {}
    for alias, node in _children(top, "aliases"):
        check_name(alias, node)
        aliases[alias] = read_name(node)
    return aliases


def _zone(node: Node, default: ZoneInfo) -> ZoneInfo:
    name = node.get("timezone")
    if name is None:
        return default
    try:
        return periods.zone(name.text())
    except ValueError:
        fault = f"no time zone is called {name.shown}"
        raise name.refused(fault, "use an IANA name such as Europe/Berlin") from None


def _budget(parent: Node, key: str) -> BudgetChanges:
    node = parent.get(key)
    if node is None:
        return {}
    node.only(_READERS)
    changes = {}
    for name, value in node.map().items():
        field, read = _READERS[name]
        changes[field] = read(value)
    return changes


def _children(parent: Node, key: str) -> list[tuple[str, Node]]:
    node = parent.get(key)
    return [] if node is None else list(node.map().items())


# --- one reader per kind of value


def _limit(node: Node) -> Nanos | None:
    return None if node.is_null else node.amount()


def _limits(node: Node) -> dict[str, Nanos | None]:
    limits = {}
    for name, value in node.map().items():
        check_name(name, value)
        limits[name] = _limit(value)
    return limits


def _model_limits(node: Node) -> dict[str, Nanos | None]:
    limits = _limits(node)
    for name in limits:
        if "*" in name:
            service = name.partition("/")[0]
            remedy = f"service_limits_usd: {{{service}: ...}}" if "*" not in service else "monthly_limit_usd"
            raise node[name].refused(f"{name!r} is not a model", f"name one, or write {remedy} for all")
    return limits


def _service_limits(node: Node) -> dict[str, Nanos | None]:
    limits = _limits(node)
    for name in limits:
        if "/" in name or "*" in name:
            raise node[name].refused(
                f"{name!r} is not a provider", "write one such as openai, or model_limits_usd for a model"
            )
    return limits


def _tag_limits(node: Node) -> dict[str, Nanos | None]:
    limits = _limits(node)
    for name in limits:
        if "," in name:
            raise node[name].refused(f"{name!r} has a comma, which no tag has", "write a limit for each tag")
    return limits


def _count(node: Node) -> int | None:
    return None if node.is_null else node.integer(0, _MOST_COUNT)


def _rolling(node: Node) -> tuple[RollingLimit, ...]:
    windows: dict[int, RollingLimit] = {}
    for item in node.items() if node.is_list or node.is_null else (node,):
        window = _window(item)
        if window.seconds in windows:
            raise item.refused(f"a second window of {window.name}", "keep the lower limit")
        windows[window.seconds] = window
    return tuple(windows[seconds] for seconds in sorted(windows))


def _window(node: Node) -> RollingLimit:
    node.only(("hours", "limit_usd"))
    hours = node.required("hours")
    seconds = hours.number(maximum=_MOST_HOURS) * 3600
    if seconds < 1 or seconds != int(seconds):
        raise hours.refused(
            f"{hours.shown} is not a window", "write hours such as 5 or 0.5, in whole seconds"
        )
    return RollingLimit(int(seconds), node.required("limit_usd").amount())


def _guard(node: Node) -> Guard:
    node.only(("usd_per_minute", "same_request"))
    rate, repeats = node.get("usd_per_minute"), node.get("same_request")
    return Guard(
        None if rate is None or rate.is_null else rate.amount(),
        None if repeats is None or repeats.is_null else repeats.integer(1, _MOST_COUNT),
    )


def _thresholds(node: Node) -> tuple[float, ...]:
    thresholds = [_threshold(item) for item in (node.items() if node.is_list else (node,))]
    if not thresholds:
        raise node.refused("an empty list of thresholds", "write 80, or a list such as [50, 80, 95]")
    return tuple(sorted(set(thresholds)))


def _threshold(node: Node) -> float:
    value = float(node.number(maximum=100))
    if value <= 0:
        raise node.refused(f"{node.shown} is not a threshold", "write a percentage above 0, up to 100")
    return value


def _flag(node: Node) -> bool:
    return node.boolean()


def _email(node: Node) -> str | None:
    if node.is_null:
        return None
    if not _EMAIL.fullmatch(read_name(node)):
        raise node.wrong("an e-mail address", "write it as name@example.org, or null")
    return node.text()


def _notify(node: Node) -> tuple[str, ...]:
    return tuple(_notify_address(item) for item in node.items())


def _notify_address(node: Node) -> str:
    text = read_name(node)
    if _SECRET_REFERENCE.fullmatch(text) or _ADDRESS.fullmatch(text):
        return text
    # The value may hold a token: it is not repeated in the message.
    remedy = "write an address such as mailto://..., or env:NAME for one in an environment variable"
    raise node.refused("this is not an address to notify", remedy)


def _gate_error(node: Node) -> str:
    return node.choice(get_args(OnGateError))


def _unpriced(node: Node) -> str:
    return node.choice(get_args(OnUnpriced))


_READERS: Final[Mapping[str, tuple[str, Callable[[Node], object]]]] = {
    "monthly_limit_usd": ("monthly_limit", _limit),
    "daily_limit_usd": ("daily_limit", _limit),
    "weekly_limit_usd": ("weekly_limit", _limit),
    "job_limit_usd": ("job_limit", _limit),
    "stage_limits_usd": ("stage_limits", _limits),
    "model_limits_usd": ("model_limits", _model_limits),
    "project_limits_usd": ("project_limits", _limits),
    "tag_limits_usd": ("tag_limits", _tag_limits),
    "workflow_limits_usd": ("workflow_limits", _limits),
    "operation_limits_usd": ("operation_limits", _limits),
    "service_limits_usd": ("service_limits", _service_limits),
    "yearly_limit_usd": ("yearly_limit", _limit),
    "rolling": ("rolling", _rolling),
    "daily_calls": ("daily_calls", _count),
    "monthly_calls": ("monthly_calls", _count),
    "daily_tokens": ("daily_tokens", _count),
    "monthly_tokens": ("monthly_tokens", _count),
    "guard": ("guard", _guard),
    "alert_threshold_percent": ("thresholds", _thresholds),
    "block_at_limit": ("block_at_limit", _flag),
    "notification_email": ("notification_email", _email),
    "notify": ("notify", _notify),
    "on_gate_error": ("on_gate_error", _gate_error),
    "on_unpriced": ("on_unpriced", _unpriced),
    "reserve_cap_usd": ("reserve_cap", _limit),
}
"""The keys of a budget: the field each one fills, and how its value is read."""

BUDGET_KEYS: Final = {field: key for key, (field, _) in _READERS.items()}
"""The key in the YAML of each field of a :class:`Budget`."""


# --- free values


def plain(node: Node) -> object:
    """Return a value of the user's own (under an ``x-`` key) as maps, lists and texts as written."""
    if node.is_map:
        return {key: plain(value) for key, value in node.map().items()}
    if node.is_list:
        return [plain(value) for value in node.items()]
    return None if node.is_null or not isinstance(node.content, Scalar) else node.content.text
