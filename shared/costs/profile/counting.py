"""What of a profile decides which calls a limit holds. Pure.

Hosts that share limits must say the same of it, or one call counts on one host and not on the other.

>>> from shared.costs.profile.tag_rules import TagRule
>>> acme = TagRule("customer:acme", (("project", "acme-*"),))
>>> differing(counting(Profile()), counting(Profile(billing_day=25, tag_rules=(acme,))))
('billing_day', 'tag_rules')
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256

from .types import Profile


def counting(profile: Profile) -> dict[str, str]:
    """Return a digest of each key of a profile that decides it; what is not set has none."""
    users = {user.user_id: user.timezone.key for user in profile.users.values()}
    flat = {
        name: [plan.models, plan.users, str(plan.since), str(plan.until)]
        for name, plan in profile.plans.items()
        if plan.is_flat
    }
    decides = {
        "aliases": dict(profile.aliases),
        "billing_day": profile.billing_day,
        "plans": flat,
        "tag_rules": profile.tag_rules,
        "timezone": [profile.timezone.key, {u: z for u, z in users.items() if z != profile.timezone.key}],
    }
    return {key: _digest(value) for key, value in decides.items() if value}


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def differing(mine: Mapping[str, str], theirs: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of two profiles that do not say the same."""
    return tuple(sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)))
