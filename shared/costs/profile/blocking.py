"""Which limits of a profile block, and which of them a later profile lets go. Pure.

>>> before = Profile(budget=Budget(block_at_limit=True))
>>> blocking_limits(before)
{'everyone': {'monthly_limit': 50000000000}}
>>> loosened(blocking_limits(before), Profile())
['the monthly limit of everyone, $50.00, does not block any more']
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ..money import Nanos, format_usd
from .plans import Plan
from .tag_rules import rules_for
from .types import COUNT_FIELDS, Budget, Profile, SharedBudget

Blocking = Mapping[str, Mapping[str, int]]
"""Limits by whom they are for and which they are (``stage_limits/13_asr``), JSON-ready: in nano-dollars, or
in calls or tokens."""

EVERYONE = "everyone"
ORGANIZATION = "the organization"
USER = "user "


def blocking_limits(profile: Profile, users: Iterable[str] = ()) -> dict[str, dict[str, int]]:
    """Return the limits that block: those of the defaults, of the organization and of each user named.

    ``users`` are others whose limits are asked for; those of the defaults hold for them.
    """
    scopes = {EVERYONE: profile.budget, ORGANIZATION: profile.organization}
    scopes |= {f"{USER}{user}": profile.for_user(user).budget for user in (*profile.users, *users)}
    found = {scope: dict(_blocking(budget)) for scope, budget in scopes.items()}
    return {scope: limits for scope, limits in found.items() if limits}


def loosened(before: Blocking, profile: Profile) -> list[str]:
    """Return what is to be said about each limit that blocked and is higher now, or does not block."""
    return [
        _text(scope, name, nanos, now)
        for scope, limits in before.items()
        for name, nanos in limits.items()
        if (now := _now(profile, scope, name)) is None or now > nanos
    ]


def spared(before: Mapping[str, Plan], profile: Profile) -> list[str]:
    """Return what is to be said about flat rates that take more calls out of limits than ``before``.

    >>> spared({}, Profile(plans={"max": Plan(("anthropic/*",))}))
    ['the plan max takes calls to anthropic/* out of the limits that block']
    """
    return [
        f"the plan {name} takes calls to {', '.join(plan.models)} out of the limits that block"
        for name, plan in profile.plans.items()
        if plan.is_flat and not any(_includes(other, plan) for other in before.values())
    ]


def moved(before: Profile, profile: Profile) -> list[str]:
    """Return what is to be said where the periods of limits that block begin anew, or hosts no longer share.

    >>> limit = Profile(budget=Budget(block_at_limit=True))
    >>> moved(limit, limit._replace(billing_day=25))
    ['months begin on day 25 now, not on day 1: limits that block may have begun anew']
    """
    both, anew, found = (before, profile), "limits that block may have begun anew", []
    blocking = [user for user in _owners(both) if all(_blocks(each, user) for each in both)]
    if blocking and before.billing_day != profile.billing_day:
        days = f"day {profile.billing_day} now, not on day {before.billing_day}"
        found.append(f"months begin on {days}: {anew}")
    zones = {user: [_zone(each, user) for each in both] for user in blocking}
    for user, (was, now) in zones.items():
        if was != now and (not user or zones.get("") != [was, now]):
            whose = f"days of user {user}" if user else "days"
            found.append(f"{whose} begin by the clock of {now} now, not of {was}: {anew}")
    if blocking and before.shared is not None and profile.shared != before.shared:
        found += _shared_elsewhere(before.shared, profile.shared)
    return found


def _shared_elsewhere(was: SharedBudget, now: SharedBudget | None) -> Iterator[str]:
    if now is None:
        yield "limits that block are not shared with other hosts any more: each host may spend them"
    elif now.url != was.url:
        yield (
            f"limits that block are shared through the database of {now.url} now, not of {was.url}: "
            f"what hosts have spent there may not count here"
        )


def _owners(profiles: Iterable[Profile]) -> Iterable[str]:
    """Return the users that profiles name, after an empty name for everyone and the organization."""
    return dict.fromkeys(["", *(user for profile in profiles for user in profile.users)])


def _blocks(profile: Profile, user: str) -> bool:
    """Tell whether limits with periods block; a guard has none."""
    budgets = [profile.for_user(user).budget] if user else [profile.budget, profile.organization]
    return any(budget.block_at_limit for budget in budgets)


def _zone(profile: Profile, user: str) -> str:
    return (profile.for_user(user) if user else profile).timezone.key


def renamed(before: Profile, profile: Profile) -> list[str]:
    """Return what is to be said about names of models that mean others now, where such limits block.

    A new name is told of where a limit is on that model, however it is spelled; of a model that is local now,
    wherever anything blocks.

    >>> limits = Budget(block_at_limit=True, model_limits={"prod": Nanos(1)})
    >>> renamed(Profile(budget=limits, aliases={"prod": "openai/gpt-4"}), Profile(budget=limits))
    ['aliases: prod does not mean openai/gpt-4 any more: limits that block may hold other calls']
    """
    blocking = blocking_limits(before)
    names = {name for limits in blocking.values() for name in limits}
    on = {of.partition("/")[2] for of in names if of.startswith(_OF_MODELS)}
    limited = {_plain(each) for each in on}
    found = []
    for alias in dict.fromkeys((*before.aliases, *profile.aliases)):
        was, now = before.aliases.get(alias), profile.aliases.get(alias)
        is_limited = bool(on) if was else _plain(alias) in limited
        if was == now or not (is_limited or (names and str(now).startswith(_LOCAL))):
            continue
        how = f"means {now} now" + (f", not {was}" if was else "") if now else f"does not mean {was} any more"
        found.append(f"aliases: {alias} {how}: limits that block may hold other calls")
    return found


def _plain(name: str) -> str:
    """Return a model's name without its service and its version, in small letters.

    >>> _plain("openai/GPT-4o-2024-08-06"), _plain("anthropic.claude-sonnet-4-v1:0")
    ('gpt-4o', 'anthropic.claude-sonnet-4')
    """
    return _VERSION.sub("", name.strip().lower().rpartition("/")[2])


_VERSION: Final = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|\d{4}|latest))?(?:-v\d+(?::\d+)?)?$")
_OF_MODELS: Final = ("model_limits/", "service_limits/")
_LOCAL: Final = "local/"


def retagged(before: Profile, profile: Profile) -> list[str]:
    """Return what is to be said about tags with a limit that blocks, which rules give to fewer calls, maybe.

    A rule that comes after the earlier ones takes none of their calls.

    >>> from shared.costs.profile.tag_rules import TagRule
    >>> acme = TagRule("customer:acme", (("project", "acme-*"),))
    >>> limits = Budget(block_at_limit=True, tag_limits={"customer:acme": Nanos(1)})
    >>> retagged(Profile(budget=limits, tag_rules=(acme,)), Profile(budget=limits))
    ['tag_rules give customer:acme to other calls now: the limit on it that blocks may hold fewer']
    """
    tags = {
        name.removeprefix(_TAG): None
        for limits in blocking_limits(before).values()
        for name in limits
        if name.startswith(_TAG)
    }
    return [
        f"tag_rules give {tag} to other calls now: the limit on it that blocks may hold fewer"
        for tag in tags
        if (rules := rules_for(tag, before.tag_rules)) != rules_for(tag, profile.tag_rules)[: len(rules)]
    ]


_TAG: Final = "tag_limits/"


def _includes(wide: Plan, plan: Plan) -> bool:
    """Tell whether a flat rate of before covered all that one covers now."""
    return (
        wide.is_flat
        and set(wide.models).issuperset(plan.models)
        and (not wide.users or (bool(plan.users) and set(wide.users).issuperset(plan.users)))
        and (wide.since is None or (plan.since is not None and wide.since <= plan.since))
        and (wide.until is None or (plan.until is not None and plan.until <= wide.until))
    )


def described(before: Blocking) -> str:
    """Return the limits in words, three of them at most."""
    texts = [
        f"the {_name(name)} of {scope}, {_amount(name, nanos)}"
        for scope, limits in before.items()
        for name, nanos in limits.items()
    ]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return "; ".join(texts[:3]) + more


def _blocking(budget: Budget) -> Iterator[tuple[str, int]]:
    """Give the limits that block; the guard denies by itself."""
    if budget.block_at_limit:
        yield from _limits(budget)
    for name, most in budget.guard._asdict().items():
        if most is not None:
            yield f"guard/{name}", most


def _limits(budget: Budget) -> Iterator[tuple[str, int]]:
    for name, value in budget._asdict().items():
        if (
            (name.endswith("_limit") or name in COUNT_FIELDS)
            and isinstance(value, int)
            and not isinstance(value, bool)
        ):
            yield name, value
        elif name == "rolling":
            yield from ((f"rolling/{window.name}", window.limit) for window in budget.rolling)
        elif name.endswith("_limits") and isinstance(value, Mapping):
            yield from ((f"{name}/{key}", amount) for key, amount in value.items())


def _now(profile: Profile, scope: str, name: str) -> int | None:
    if scope == ORGANIZATION:
        budget = profile.organization
    elif scope == EVERYONE:
        budget = profile.budget
    else:
        budget = profile.for_user(scope.removeprefix(USER)).budget
    return dict(_blocking(budget)).get(name)


def _text(scope: str, name: str, before: int, now: int | None) -> str:
    limit = f"the {_name(name)} of {scope}, {_amount(name, before)},"
    return f"{limit} does not block any more" if now is None else f"{limit} is {_amount(name, now)} now"


def _amount(name: str, amount: int) -> str:
    if name == "guard/same_request":
        return f"{amount:,} times the same request"
    if name == "guard/usd_per_minute":
        return f"{format_usd(Nanos(amount))} a minute"
    if name not in COUNT_FIELDS:
        return format_usd(Nanos(amount))
    return f"{amount:,} {name.partition('_')[2]}"


def _name(name: str) -> str:
    """Return a limit as people call it.

    >>> _name("monthly_limit"), _name("stage_limits/13_asr"), _name("daily_calls"), _name("rolling/5h")
    ('monthly limit', 'limit of stage 13_asr', 'daily call limit', 'rolling 5h limit')
    """
    kind, _, of = name.partition("/")
    if kind == "guard":
        return kind
    if kind == "rolling":
        return f"rolling {of} limit"
    if kind in COUNT_FIELDS:
        return f"{kind.removesuffix('s').replace('_', ' ')} limit"
    return f"limit of {kind.removesuffix('_limits')} {of}" if of else kind.replace("_", " ")
