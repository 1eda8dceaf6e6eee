"""A profile as JSON-ready data, to remember it by: nothing of it is lost.

>>> budget = Budget(daily_limit=5, rolling=(RollingLimit(3600, 7),), guard=Guard(9, 20))
>>> users = {"ana": UserSettings("ana", zone("Asia/Kolkata"), budget)}
>>> profile = Profile(Path("profile.yaml"), users=users, extras={"x-team": ["a", "b"]},
...                   shared=SharedBudget("env:COSTS", 60), machines={"desk": Machine(45, stages=("asr",))},
...                   plans={"max": Plan(("*",), 100, since=date(2026, 11, 1))},
...                   currency=Currency("EUR", (("2026-11-01", 86),)),
...                   tag_rules=(TagRule("customer:acme", (("job_id", "acme-*"),)),))
>>> from_plain(to_plain(profile), Path("profile.yaml")) == profile
True
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ..periods import zone
from .currency import Currency
from .machines import Machine
from .plans import Plan
from .tag_rules import TagRule
from .types import Budget, Guard, Profile, RollingLimit, SharedBudget, UserSettings


def to_plain(profile: Profile) -> dict[str, Any]:
    """Return a profile as maps, lists and plain values; its path is left out."""
    return {
        "timezone": profile.timezone.key,
        "budget": _budget_to_plain(profile.budget),
        "organization": _budget_to_plain(profile.organization),
        "users": {
            user_id: [user.timezone.key, _budget_to_plain(user.budget)]
            for user_id, user in profile.users.items()
        },
        "aliases": dict(profile.aliases),
        "extras": dict(profile.extras),
        "billing_day": profile.billing_day,
        "shared": profile.shared,
        "machines": dict(profile.machines),
        "currency": profile.currency,
        "tag_rules": profile.tag_rules,
        "plans": {name: _plan_to_plain(plan) for name, plan in profile.plans.items()},
    }


def from_plain(plain: Mapping[str, Any], path: Path) -> Profile:
    """Return the profile of :func:`to_plain`, whose file is at ``path``.

    Raises:
        ValueError: it names a time zone that this machine does not have (any more).
    """
    return Profile(
        path=path,
        timezone=zone(plain["timezone"]),
        budget=_budget_from_plain(plain["budget"]),
        organization=_budget_from_plain(plain["organization"]),
        users={
            user_id: UserSettings(user_id, zone(name), _budget_from_plain(budget))
            for user_id, (name, budget) in plain["users"].items()
        },
        aliases=plain["aliases"],
        extras=plain["extras"],
        billing_day=plain.get("billing_day", 1),  # an earlier version knew of none
        shared=SharedBudget(*plain["shared"]) if plain.get("shared") else None,
        machines=_typed(plain, "machines", dict[str, Machine], {}),
        tag_rules=_typed(plain, "tag_rules", tuple[TagRule, ...], ()),
        currency=_typed(plain, "currency", Currency, None),
        plans=_typed(plain, "plans", dict[str, Plan], {}),
    )


def _typed(plain: Mapping[str, Any], name: str, kind: Any, nothing: object) -> Any:
    """Return what the profile has under ``name`` as it was before; ``nothing`` where it has none."""
    values = plain.get(name)
    if not values:
        return nothing
    import msgspec  # only for who has any: the others do not pay for it

    return msgspec.convert(values, kind)


def _plan_to_plain(plan: Plan) -> list[Any]:
    return [value.isoformat() if isinstance(value, date) else value for value in plan]


def _budget_to_plain(budget: Budget) -> dict[str, Any]:
    values = budget._asdict()
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def _budget_from_plain(plain: Mapping[str, Any]) -> Budget:
    # JSON has no tuples, and a budget no lists.
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()
    }
    if "rolling" in values:  # an earlier version knew of none
        values["rolling"] = tuple(RollingLimit(*window) for window in plain["rolling"])
        values["guard"] = Guard(*plain["guard"])
    return Budget(**values)
