"""The standing of a fleet: its hosts, their leases and outboxes, and whether the database was restored.

Hosts that share limits must have the same settings for which calls a limit covers, or one call counts on one
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
"""How long after its lease ended a host is not released yet, because clocks run unevenly, in seconds."""


class FleetHost(NamedTuple):
    """A host of a fleet: *live* while its leases last, *at rest* once it gave back what it did not need.

    Otherwise it is *late*: what it may have spent counts, and what it has not published is in no total.
    ``open`` is how much it may still spend of its leases in dollars beyond what it published, in
    nano-dollars; ``waiting`` how many bytes of its ledgers were not published when it last checked.
    ``reported`` is false if it has not traded since the server was restarted. ``differs`` are the keys of the
    profile that differed from this host's when it was last seen.
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
    """All hosts. ``since`` is when a restart of the server was last noticed.

    ``went_back`` is the host that proved that the database was restored to an older state; empty for none.
    """

    members: tuple[FleetHost, ...]
    since: datetime
    went_back: str

    @property
    def late(self) -> tuple[FleetHost, ...]:
        """The hosts that should have reported."""
        return tuple(host for host in self.members if host.state == "late")

    @property
    def unreported(self) -> tuple[FleetHost, ...]:
        """The hosts that have not traded since the server was restarted."""
        return tuple(host for host in self.members if not host.reported)

    @property
    def differing(self) -> tuple[FleetHost, ...]:
        """The hosts whose settings count calls differently from this one's."""
        return tuple(host for host in self.members if host.differs)


def standing(db: Transaction, names: ModelName, profile: Profile, host: str | None) -> FleetStanding:
    """Return the standing of a fleet, compared with the profile of this host.

    Raises:
        SharedUnavailable: the tables are for newer programs.

    """
    require(db)
    row = db.execute("SELECT since, went_back FROM fleet").fetchone()
    assert row is not None  # inserted when the tables are created
    open_ = _open_by_host(db, names, profile.tag_rules)
    own = counting(profile)
    rows = db.execute(
        """SELECT h.id, h.name, h.uid, h.rests, h.lease_until > now(), h.seen, h.published, h.waiting,
        h.epoch >= f.epoch, h.counting FROM hosts h, fleet f ORDER BY h.name, h.id"""
    )
    members = tuple(
        FleetHost(
            name,
            uid,
            "at rest" if rests else "live" if has_lease else "late",
            seen,
            published,
            waiting,
            open_.get(number, 0),
            reported,
            differing(own, json.loads(counting_text)) if counting_text and uid != host else (),
        )
        for number, name, uid, rests, has_lease, seen, published, waiting, reported, counting_text in rows
    )
    return FleetStanding(members, row[0], row[1])


def _open_by_host(db: Transaction, names: ModelName, rules: Sequence[TagRule]) -> dict[int, int]:
    """Return how much more each host may spend of its current leases in dollars: the largest of them."""
    open_amounts: dict[int, int] = {}
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
            open_amounts[host] = max(open_amounts.get(host, 0), granted - spent[key].get(host, 0))
    return {host: max(0, amount) for host, amount in open_amounts.items()}


def open_leases(db: Transaction, limits: Iterable[Limit], names: ModelName) -> dict[Scope, int]:
    """Return how much all hosts may spend of each limit beyond what they published, in its measure."""
    open_amounts: dict[Scope, int] = {}
    for limit in limits:
        if (key := key_of(limit)) is not None:
            published = by_host(db, limit, names)
            rows = db.execute(
                "SELECT host, granted FROM leases WHERE scope = ? AND starts = ? AND ends = ?", key
            )
            open_amounts[limit.scope] = sum(
                max(0, granted - published.get(host, 0)) for host, granted in rows
            )
    return open_amounts


def release(db: Transaction, name: str) -> str:
    """Free the leases of a host that is gone, so that only what it published counts; return its name.

    Only for a host that is known to have spent nothing else. Should it come back, it gets new leases.

    Raises:
        WrongUsage: no host or several have this name, or its lease may still be used.

    """
    rows = db.execute(
        f"""SELECT id, name, uid, extract(epoch FROM lease_until - now())::float8 + {MARGIN_S} FROM hosts
        WHERE name = ? OR uid LIKE ? ORDER BY uid FOR UPDATE""",
        (name, f"{name}%" if name.isalnum() else name),
    ).fetchall()
    if len(rows) != 1:
        which = ", ".join(f"{row[1]} ({row[2][:8]})" for row in rows) or "none"
        raise WrongUsage(f"{len(rows)} hosts are called {name}: {which}; see cost-dashboard shared status")
    number, host_name, _, seconds_left = rows[0]
    if seconds_left > 0:
        raise WrongUsage(f"{host_name} may use its lease for {seconds_left:.0f} s more: release it then")
    db.execute("UPDATE leases SET granted = 0 WHERE host = ?", (number,))
    db.execute("UPDATE hosts SET rests = true WHERE id = ?", (number,))
    return str(host_name)


def counting(profile: Profile) -> dict[str, str]:
    """Return a digest of each key of a profile that decides which calls a limit covers, if it is set."""
    users = {user.user_id: user.timezone.key for user in profile.users.values()}
    flat = {
        name: [plan.models, plan.users, str(plan.since), str(plan.until)]
        for name, plan in profile.plans.items()
        if plan.is_flat
    }
    values = {
        "aliases": dict(profile.aliases),
        "billing_day": profile.billing_day,
        "plans": flat,
        "tag_rules": profile.tag_rules,
        "timezone": [profile.timezone.key, {u: z for u, z in users.items() if z != profile.timezone.key}],
    }
    return {key: _digest(value) for key, value in values.items() if value}


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def differing(own: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys whose values differ between two profiles."""
    return tuple(sorted(key for key in {*own, *other} if own.get(key) != other.get(key)))
