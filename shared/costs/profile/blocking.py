"""Which limits of a profile block, and which of them a later profile loosens. Pure.

The functions return a sentence for each change that may let calls pass which a limit would have blocked.

>>> before = Profile(budget=Budget(block_at_limit=True))
>>> blocking_limits(before)
{'everyone': {'monthly_limit': 50000000000}}
>>> loosened_limits(blocking_limits(before), Profile())
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
"""Limits by scope (everyone, the organization, a user) and name (``stage_limits/13_asr``), JSON-ready: in
nano-dollars, calls or tokens."""

EVERYONE = "everyone"
ORGANIZATION = "the organization"
USER = "user "


def blocking_limits(profile: Profile, users: Iterable[str] = ()) -> dict[str, dict[str, int]]:
    """Return the limits that block: those of the defaults, of the organization and of each user.

    ``users`` are further users, for whom the defaults hold.
    """
    scopes = {EVERYONE: profile.budget, ORGANIZATION: profile.organization}
    scopes |= {f"{USER}{user}": profile.for_user(user).budget for user in (*profile.users, *users)}
    limits_by_scope = {scope: dict(_blocking(budget)) for scope, budget in scopes.items()}
    return {scope: limits for scope, limits in limits_by_scope.items() if limits}


def loosened_limits(before: Blocking, profile: Profile) -> list[str]:
    """Return a sentence for each limit that blocked and is now higher or does not block."""
    return [
        _change(scope, name, amount, current)
        for scope, limits in before.items()
        for name, amount in limits.items()
        if (current := _current_limit(profile, scope, name)) is None or current > amount
    ]


def exempted_calls(before: Mapping[str, Plan], profile: Profile) -> list[str]:
    """Return a sentence for each flat rate that exempts more calls from limits than before.

    >>> exempted_calls({}, Profile(plans={"max": Plan(("anthropic/*",))}))
    ['the plan max takes calls to anthropic/* out of the limits that block']
    """
    return [
        f"the plan {name} takes calls to {', '.join(plan.models)} out of the limits that block"
        for name, plan in profile.plans.items()
        if plan.is_flat and not any(_includes(other, plan) for other in before.values())
    ]


def restarted_limits(before: Profile, profile: Profile) -> list[str]:
    """Return sentences where periods of limits that block begin anew, or hosts no longer share limits.

    >>> limit = Profile(budget=Budget(block_at_limit=True))
    >>> restarted_limits(limit, limit._replace(billing_day=25))
    ['months begin on day 25 now, not on day 1: limits that block may have begun anew']
    """
    both, anew, sentences = (before, profile), "limits that block may have begun anew", []
    blocking = [user for user in _owners(both) if all(_blocks(version, user) for version in both)]
    if blocking and before.billing_day != profile.billing_day:
        days = f"day {profile.billing_day} now, not on day {before.billing_day}"
        sentences.append(f"months begin on {days}: {anew}")
    zones = {user: [_zone(version, user) for version in both] for user in blocking}
    for user, (old_zone, zone) in zones.items():
        if old_zone != zone and (not user or zones.get("") != [old_zone, zone]):
            subject = f"days of user {user}" if user else "days"
            sentences.append(f"{subject} begin by the clock of {zone} now, not of {old_zone}: {anew}")
    if blocking and before.shared is not None and profile.shared != before.shared:
        sentences += _changed_sharing(before.shared, profile.shared)
    return sentences


def _changed_sharing(before: SharedBudget, current: SharedBudget | None) -> Iterator[str]:
    if current is None:
        yield "limits that block are not shared with other hosts any more: each host may spend them"
    elif current.url != before.url:
        yield (
            f"limits that block are shared through the database of {current.url} now, not of {before.url}: "
            f"what hosts have spent there may not count here"
        )


def _owners(profiles: Iterable[Profile]) -> Iterable[str]:
    """Return the users in profiles, after an empty name for everyone and the organization."""
    return dict.fromkeys(["", *(user for profile in profiles for user in profile.users)])


def _blocks(profile: Profile, user: str) -> bool:
    """Return whether limits with periods block; a guard has no period."""
    budgets = [profile.for_user(user).budget] if user else [profile.budget, profile.organization]
    return any(budget.block_at_limit for budget in budgets)


def _zone(profile: Profile, user: str) -> str:
    return (profile.for_user(user) if user else profile).timezone.key


def changed_aliases(before: Profile, profile: Profile) -> list[str]:
    """Return a sentence for each alias that now means another model, where limits that block depend on it.

    A new alias is reported where a limit is on that model, in any spelling; one that makes a model local,
    wherever any limit blocks.

    >>> limits = Budget(block_at_limit=True, model_limits={"prod": Nanos(1)})
    >>> changed_aliases(Profile(budget=limits, aliases={"prod": "openai/gpt-4"}), Profile(budget=limits))
    ['aliases: prod does not mean openai/gpt-4 any more: limits that block may hold other calls']
    """
    blocking = blocking_limits(before)
    names = {name for limits in blocking.values() for name in limits}
    limited_names = {name.partition("/")[2] for name in names if name.startswith(_OF_MODELS)}
    limited_models = {_plain(name) for name in limited_names}
    sentences = []
    for alias in dict.fromkeys((*before.aliases, *profile.aliases)):
        old, new = before.aliases.get(alias), profile.aliases.get(alias)
        is_limited = bool(limited_names) if old else _plain(alias) in limited_models
        if old == new or not (is_limited or (names and str(new).startswith(_LOCAL))):
            continue
        change = (
            f"means {new} now" + (f", not {old}" if old else "") if new else f"does not mean {old} any more"
        )
        sentences.append(f"aliases: {alias} {change}: limits that block may hold other calls")
    return sentences


def _plain(name: str) -> str:
    """Return a model's name without its service and its version, in lower case.

    >>> _plain("openai/GPT-4o-2024-08-06"), _plain("anthropic.claude-sonnet-4-v1:0")
    ('gpt-4o', 'anthropic.claude-sonnet-4')
    """
    return _VERSION.sub("", name.strip().lower().rpartition("/")[2])


_VERSION: Final = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|\d{4}|latest))?(?:-v\d+(?::\d+)?)?$")
_OF_MODELS: Final = ("model_limits/", "service_limits/")
_LOCAL: Final = "local/"


def changed_tags(before: Profile, profile: Profile) -> list[str]:
    """Return a sentence for each tag with a limit that blocks whose rules now may match fewer calls.

    A rule added after the earlier ones takes none of their calls.

    >>> from shared.costs.profile.tag_rules import TagRule
    >>> acme = TagRule("customer:acme", (("project", "acme-*"),))
    >>> limits = Budget(block_at_limit=True, tag_limits={"customer:acme": Nanos(1)})
    >>> changed_tags(Profile(budget=limits, tag_rules=(acme,)), Profile(budget=limits))
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


def _includes(earlier: Plan, plan: Plan) -> bool:
    """Return whether an earlier flat rate covered all calls that ``plan`` covers now."""
    return (
        earlier.is_flat
        and set(earlier.models).issuperset(plan.models)
        and (not earlier.users or (bool(plan.users) and set(earlier.users).issuperset(plan.users)))
        and (earlier.since is None or (plan.since is not None and earlier.since <= plan.since))
        and (earlier.until is None or (plan.until is not None and plan.until <= earlier.until))
    )


def in_words(before: Blocking) -> str:
    """Return the limits in words, three of them at most."""
    texts = [
        f"the {_name(name)} of {scope}, {_amount(name, amount)}"
        for scope, limits in before.items()
        for name, amount in limits.items()
    ]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return "; ".join(texts[:3]) + more


def _blocking(budget: Budget) -> Iterator[tuple[str, int]]:
    """Yield the limits that block, and the guard, which always denies."""
    if budget.block_at_limit:
        yield from _limits(budget)
    for name, limit in budget.guard._asdict().items():
        if limit is not None:
            yield f"guard/{name}", limit


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


def _current_limit(profile: Profile, scope: str, name: str) -> int | None:
    if scope == ORGANIZATION:
        budget = profile.organization
    elif scope == EVERYONE:
        budget = profile.budget
    else:
        budget = profile.for_user(scope.removeprefix(USER)).budget
    return dict(_blocking(budget)).get(name)


def _change(scope: str, name: str, before: int, current: int | None) -> str:
    limit = f"the {_name(name)} of {scope}, {_amount(name, before)},"
    return (
        f"{limit} does not block any more" if current is None else f"{limit} is {_amount(name, current)} now"
    )


def _amount(name: str, amount: int) -> str:
    if name == "guard/same_request":
        return f"{amount:,} times the same request"
    if name == "guard/usd_per_minute":
        return f"{format_usd(Nanos(amount))} a minute"
    if name not in COUNT_FIELDS:
        return format_usd(Nanos(amount))
    return f"{amount:,} {name.partition('_')[2]}"


def _name(name: str) -> str:
    """Return a limit's name in words.

    >>> _name("monthly_limit"), _name("stage_limits/13_asr"), _name("daily_calls"), _name("rolling/5h")
    ('monthly limit', 'limit of stage 13_asr', 'daily call limit', 'rolling 5h limit')
    """
    kind, _, item = name.partition("/")
    if kind == "guard":
        return kind
    if kind == "rolling":
        return f"rolling {item} limit"
    if kind in COUNT_FIELDS:
        return f"{kind.removesuffix('s').replace('_', ' ')} limit"
    return f"limit of {kind.removesuffix('_limits')} {item}" if item else kind.replace("_", " ")
