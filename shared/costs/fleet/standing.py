"""How a fleet stands: its hosts, their leases and outboxes, and whether the database went back in time.

Hosts that share limits must say the same of what decides which calls a limit holds, or one call counts on one
host and not on the other.

>>> from shared.costs.profile.tag_rules import TagRule
>>> acme = TagRule("customer:acme", (("project", "acme-*"),))
>>> differing(counting(Profile()), counting(Profile(billing_day=25, tag_rules=(acme,))))
('billing_day', 'tag_rules')
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from ..budgets.limits import Limit, Scope
from ..budgets.scopes import ModelName
from ..errors import WrongUsage
from ..profile.tag_rules import TagRule
from ..profile.types import Profile
from .database import Transaction
from .leases import Lease, key_of, limit_of
from .schema import require
from .sums import by_host

HostState = Literal["live", "at rest", "late"]

MARGIN_S: Final = 60
"""For so long after its lease a host may still use it, where clocks run unevenly; then it can be released."""


class FleetHost(NamedTuple):
    """A host of a fleet: *live* while its lease holds, *at rest* once it gave back what it did not need.

    Otherwise it is *late*: what it may have spent counts, and what it has not published is in no total.
    ``open`` is how much all its leases in dollars are above what it published, in nano-dollars; ``waiting``
    how many bytes of its ledgers were not published when it looked last. ``reported`` is false where it has
    said nothing since the server was started anew. ``differs`` are the keys of the profile by which it
    counted calls otherwise than this host does, when it was seen last.
    """

    name: str
    uid: str
    state: HostState
    seen: datetime
    published: datetime | None
    waiting: int
    open: int
    reported: bool
    differs: tuple[str, ...] = ()


class FleetStanding(NamedTuple):
    """All hosts. ``since`` is when the server was last found started anew.

    ``went_back`` is the host that proved that the database had gone back to an older state; empty for none.
    """

    members: tuple[FleetHost, ...]
    since: datetime
    went_back: str

    @property
    def late(self) -> tuple[FleetHost, ...]:
        """The hosts that should have reported."""
        return tuple(each for each in self.members if each.state == "late")

    @property
    def unreported(self) -> tuple[FleetHost, ...]:
        """The hosts that have said nothing since the server was started anew."""
        return tuple(each for each in self.members if not each.reported)

    @property
    def differing(self) -> tuple[FleetHost, ...]:
        """The hosts that count calls otherwise than this one."""
        return tuple(each for each in self.members if each.differs)


def standing(db: Transaction, names: ModelName, profile: Profile, host: str | None) -> FleetStanding:
    """Return how the fleet stands, as seen from a host with this profile.

    Raises:
        SharedUnavailable: the tables are for newer programs.

    """
    require(db)
    row = db.execute("SELECT since, went_back FROM fleet").fetchone()
    assert row is not None  # it is made with the tables
    open_ = _open_by_host(db, names, profile.tag_rules)
    mine = counting(profile)
    rows = db.execute(
        """SELECT h.id, h.name, h.uid, h.rests, h.lease_until > now(), h.seen, h.published, h.waiting,
        h.epoch >= f.epoch, h.counting FROM hosts h, fleet f ORDER BY h.name, h.id"""
    )
    members = tuple(
        FleetHost(
            name,
            uid,
            "at rest" if rests else "live" if holds else "late",
            seen,
            published,
            waiting,
            open_.get(number, 0),
            reported,
            differing(mine, json.loads(counted)) if counted and uid != host else (),
        )
        for number, name, uid, rests, holds, seen, published, waiting, reported, counted in rows
    )
    return FleetStanding(members, row[0], row[1])


def _open_by_host(db: Transaction, names: ModelName, rules: Sequence[TagRule]) -> dict[int, int]:
    """Return how much more each host may spend of its tightest lease in dollars that holds now."""
    found: dict[int, int] = {}
    rows = db.execute(
        """SELECT host, scope, starts, ends, period, granted, amount FROM leases
        WHERE starts <= extract(epoch FROM now()) * 1000000 AND ends > extract(epoch FROM now()) * 1000000"""
    ).fetchall()
    spent: dict[tuple[str, int, int], dict[int, int]] = {}
    for host, scope, starts, ends, period, granted, amount in rows:
        limit = limit_of(Lease(scope, starts, ends, period, granted, amount), rules)
        if limit.measure == "cost":
            key = (scope, starts, ends)
            if key not in spent:
                spent[key] = by_host(db, limit, names)
            found[host] = max(found.get(host, 0), granted - spent[key].get(host, 0))
    return {host: max(0, amount) for host, amount in found.items()}


def open_leases(db: Transaction, limits: Iterable[Limit], names: ModelName) -> dict[Scope, int]:
    """Return how much hosts may spend of limits beyond what they published, in the measure of each."""
    found: dict[Scope, int] = {}
    for limit in limits:
        if (key := key_of(limit)) is not None:
            published = by_host(db, limit, names)
            rows = db.execute(
                "SELECT host, granted FROM leases WHERE scope = ? AND starts = ? AND ends = ?", key
            )
            found[limit.scope] = sum(max(0, granted - published.get(host, 0)) for host, granted in rows)
    return found


def release(db: Transaction, name: str) -> str:
    """Let a host that is gone count no more than it published; return its name.

    For whoever knows that nothing else was spent there. Should the host come back, it is granted anew.

    Raises:
        WrongUsage: no host or several are called so, or its lease may still be used.

    """
    rows = db.execute(
        f"""SELECT id, name, uid, extract(epoch FROM lease_until - now())::float8 + {MARGIN_S} FROM hosts
        WHERE name = ? OR uid LIKE ? ORDER BY uid FOR UPDATE""",
        (name, f"{name}%" if name.isalnum() else name),
    ).fetchall()
    if len(rows) != 1:
        which = ", ".join(f"{row[1]} ({row[2][:8]})" for row in rows) or "none"
        raise WrongUsage(f"{len(rows)} hosts are called {name}: {which}; see cost-dashboard shared status")
    number, found, _, left = rows[0]
    if left > 0:
        raise WrongUsage(f"{found} may use its lease for {left:.0f} s more: release it then")
    db.execute("UPDATE leases SET granted = 0 WHERE host = ?", (number,))
    db.execute("UPDATE hosts SET rests = true WHERE id = ?", (number,))
    return str(found)


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
