"""Trading: what a host exchanges with the shared database about its leases, in one transaction.

A lease is escrow: what a host was granted of a limit counts for all others as if it were spent. Every host
may then gate its own calls against its leases alone, and all together cannot go over the limit. What a host
has published beyond its lease, by calls that nobody reserved, counts too.

A limit's sum is taken after its row in ``scopes`` was locked, in a statement before the one that sums (READ
COMMITTED): two hosts that ask at once are granted one after the other. Leases of a host that is gone count
on.

After a restart the server may have gone back to an older state (a backup, a replica that was behind), in
which grants are missing that hosts have. So from then on nothing is granted until each known host has said
what it has, or has had time to. What a host spent since that older state is known to nobody else: where one
has proven that the database went back, those that were at work, or have traded since by what it remembers
(:class:`.OtherHost`), are waited for however long it takes, until somebody releases them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..budgets.limits import Limit
from ..budgets.scopes import ModelName
from ..errors import StorageUnavailable
from ..profile.types import Profile
from .database import Transaction
from .leases import Lease, OtherHost, Term, Want, key_of
from .schema import SERVER, require
from .sums import by_host

SHARE: Final = 16
"""A grant has this part of what is free on top of what is needed: so little is left over when it ends."""

UNKNOWN_HOSTS: Final = "hosts that joined since"
"""Who is waited for besides those that are known, in words."""

LARGEST: Final = 20
"""But at most this part of the whole limit."""

Key = tuple[str, int, int]
"""A limit's scope and its period, in microseconds."""


class OtherFleet(Exception):
    """The address leads to another database than before; ``args[0]`` tells which."""


class HostCopied(StorageUnavailable):
    """Another cost storage takes part under this one's name."""


class LimitView(NamedTuple):
    """What was found out about a limit that was asked for: what others have, and what became of our own.

    ``lost`` and ``spent`` are as ``Lease.lost`` and ``Lease.seen``.
    """

    elsewhere: OthersShare
    lost: int
    spent: int


class OthersShare(NamedTuple):
    """What the other hosts have of a limit, in its measure."""

    spent: int = 0
    leased: int = 0
    orphaned: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOffer:
    """What a host says and asks. ``lowered`` is what it gives back: to how much each lease went down.

    ``fellows`` are the hosts that take part by what the database said last.

    ``rests`` tells that nothing runs there and nothing is left to be published, ``counting`` by what it
    counts calls, as ``profile.counting`` gives it.
    """

    term: Term
    token: str
    name: str
    lease_s: int
    leases: Sequence[Lease] = ()
    fellows: Sequence[OtherHost] = ()
    lowered: Sequence[tuple[Key, int]] = ()
    wants: Sequence[Want] = ()
    rests: bool = False
    counting: Mapping[str, str] = field(default_factory=dict)


class TradeResult(NamedTuple):
    """What the host has now. ``denied`` are the wants that were not granted.

    ``waits_for`` are hosts that have not reported since the server was started anew: until they do, or for
    ``waits_s`` seconds at most (infinite where they must be released), nothing is granted. ``number`` is the
    host's in the database.
    """

    number: int
    version: int
    leases: list[Lease]
    fellows: list[OtherHost]
    denied: list[Want]
    waits_for: tuple[str, ...] = ()
    waits_s: float = 0.0


class _Host(NamedTuple):
    number: int
    is_behind: bool
    """Whether the database knows less of this host than the host itself: it went back in time."""
    has_reported: bool


class Ledgers(NamedTuple):
    """What the ledgers of this host say now, while it trades.

    ``spent`` is what they come to of a limit. ``has_all`` tells, of the host's number, whether the database
    has all that stands in them. ``profile`` is in force for them.
    """

    spent: Callable[[Limit], int]
    has_all: Callable[[Transaction, int], bool]
    profile: Callable[[], Profile]


def trade(db: Transaction, offer: TradeOffer, names: ModelName, ledgers: Ledgers) -> TradeResult:
    """Carry out what a host offers and wants, and return what it has then.

    Raises:
        OtherFleet: this is not the database of the host's term.
        HostCopied: somebody else has traded under the host's name since.
        SharedUnavailable: its tables are for newer programs.

    """
    require(db)
    fleet = db.execute(f"SELECT uid, server = {SERVER}, epoch FROM fleet").fetchone()
    assert fleet is not None  # it is made with the tables
    if fleet[0] != offer.term.fleet:
        raise OtherFleet(fleet[0])
    epoch = int(fleet[2])
    host = _arrived(db, offer, epoch)
    if not fleet[1] or (host.is_behind and host.has_reported):
        epoch = _new_epoch(db, epoch, host.number, offer.name if host.is_behind else "")
    elif host.is_behind:
        db.execute("UPDATE fleet SET went_back = ? WHERE went_back = ''", (offer.name,))
    if host.is_behind or not host.has_reported or not fleet[1]:
        _restate(db, host.number, offer.leases)
        _recall(db, epoch, offer)
    for (scope, starts, ends), granted in offer.lowered:
        db.execute(
            """UPDATE leases SET granted = least(granted, ?)
            WHERE scope = ? AND starts = ? AND ends = ? AND host = ?""",
            (granted, scope, starts, ends, host.number),
        )
    waits = _unreported(db, epoch, host.number)
    seen, denied = _granted(db, host.number, offer.wants, names, ledgers, may_grant=not waits)
    version = int(
        _one(
            db,
            """UPDATE hosts SET token = ?, version = greatest(version, ?) + 1, epoch = ?, seen = now(),
            name = ?, lease_s = ?, lease_until = now() + make_interval(secs => ?), rests = ?,
            counting = ? WHERE id = ? RETURNING version""",
            *(offer.token, offer.term.version, epoch, offer.name, offer.lease_s, offer.lease_s, offer.rests),
            *(json.dumps(dict(offer.counting)), host.number),
        )
    )
    return TradeResult(
        host.number,
        version,
        _leases(db, host.number, offer, seen),
        _fellows(db, host.number),
        denied,
        tuple(name for name, _ in waits),
        max((left for _, left in waits), default=0.0),
    )


def _arrived(db: Transaction, offer: TradeOffer, epoch: int) -> _Host:
    """Return the host as the database knows it, locked; it is added where it is not known."""
    term = offer.term
    row = db.execute(
        "SELECT id, version, token, epoch FROM hosts WHERE uid = ? FOR UPDATE", (term.host,)
    ).fetchone()
    if row is None:
        number = _one(
            db,
            """INSERT INTO hosts (uid, name, token, version, epoch, lease_s, joined, seen, lease_until, rests)
            VALUES (?, ?, '', 0, ?, ?, now(), now(), now(), true) RETURNING id""",
            *(term.host, offer.name, epoch, offer.lease_s),
        )
        return _Host(int(number), is_behind=term.version > 0, has_reported=True)
    number, version, token, reported = row
    is_behind = version < term.version
    if not is_behind and not _is_ours(token, offer):
        raise HostCopied(
            f"another cost storage takes part in the shared budget under the name of this one "
            f"({offer.name}): was this one copied, or restored from a backup? cost-dashboard shared rejoin "
            f"gives it a new name"
        )
    return _Host(number, is_behind, has_reported=reported >= epoch)


def _is_ours(token: str, offer: TradeOffer) -> bool:
    """Tell whether a token is that of the host's last exchange, or of one after it that was not answered.

    One that was given up and comes late finds the token of a later one: it is not carried out any more.
    """
    attempt, _, number = offer.token.rpartition("-")
    other, _, earlier = token.rpartition("-")
    return token == offer.term.token or (other == attempt and int(earlier) < int(number))


def _new_epoch(db: Transaction, before: int, host: int, behind: str) -> int:
    """Note that the server was started anew: what was granted before may be missing here.

    That it went back once before holds on while another host that was at work then has not reported.
    """
    db.execute("SELECT 1 FROM fleet FOR UPDATE")
    row = db.execute(f"SELECT epoch, server = {SERVER} FROM fleet").fetchone()
    assert row is not None  # as above
    if row[0] > before and row[1]:  # another host was faster
        if behind:
            db.execute("UPDATE fleet SET went_back = ? WHERE went_back = ''", (behind,))
        return int(row[0])
    return int(
        _one(
            db,
            f"""UPDATE fleet SET epoch = epoch + 1, since = now(), server = {SERVER}, went_back = CASE
            WHEN went_back <> '' AND EXISTS (SELECT 1 FROM hosts h
                WHERE h.id <> ? AND NOT h.rests AND h.epoch < fleet.epoch) THEN went_back ELSE ? END
            RETURNING epoch""",
            *(host, behind),
        )
    )


def _restate(db: Transaction, host: int, leases: Iterable[Lease]) -> None:
    """Let the leases of a host be at least what it says that it has."""
    for lease in leases:
        db.execute(
            """INSERT INTO leases (scope, starts, ends, host, period, granted, amount)
            VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, starts, ends, host)
            DO UPDATE SET granted = greatest(leases.granted, excluded.granted)""",
            (*lease.key, host, lease.period, lease.granted, lease.amount),
        )


def _recall(db: Transaction, epoch: int, offer: TradeOffer) -> None:
    """Have those waited for that have traded since the state that came back, by what a host remembers."""
    for each in offer.fellows:
        db.execute(
            """INSERT INTO hosts (uid, name, token, version, epoch, lease_s, joined, seen, lease_until, rests)
            VALUES (?, ?, '', 0, ?, ?, now(), now(), now(), false)
            ON CONFLICT (uid) DO UPDATE SET rests = false WHERE hosts.version < ? AND hosts.epoch < ?""",
            (each.host, each.name, epoch - 1, offer.lease_s, each.version, epoch),
        )


def _fellows(db: Transaction, host: int) -> list[OtherHost]:
    """Return the other hosts, but those that have not been seen for longer than a backup is of use."""
    rows = db.execute(
        "SELECT uid, name, version FROM hosts WHERE id <> ? AND seen > now() - interval '35 days'", (host,)
    )
    return [OtherHost(*row) for row in rows]


def _unreported(db: Transaction, epoch: int, host: int) -> list[tuple[str, float]]:
    """Return the hosts that may have more than the database knows, and for how many seconds still.

    One that was at rest has the longest lease's time, one that was at work twice that. Those that joined
    since the state that it may have gone back to, and that no host remembers, have the former, too.
    """
    rows = db.execute(
        """SELECT h.name, CASE WHEN f.went_back <> '' AND NOT h.rests THEN 'Infinity'::float8
            ELSE extract(epoch FROM f.since - now())::float8
            + (SELECT max(lease_s) FROM hosts) * CASE WHEN h.rests THEN 1 ELSE 2 END END
        FROM hosts h, fleet f WHERE h.epoch < ? AND h.id <> ?
        UNION ALL SELECT ?, extract(epoch FROM f.since - now())::float8 + (SELECT max(lease_s) FROM hosts)
        FROM fleet f WHERE f.epoch > 0 ORDER BY 1""",
        (epoch, host, UNKNOWN_HOSTS),
    )
    return [(name, left) for name, left in rows if left > 0]


def _granted(
    db: Transaction, host: int, wants: Sequence[Want], names: ModelName, ledgers: Ledgers, *, may_grant: bool
) -> tuple[dict[Key, LimitView], list[Want]]:
    """Grant what is free of each limit; return what was found out about them, and what was denied."""
    seen, denied = dict[Key, LimitView](), list[Want]()
    keyed = {key: want for want in wants if (key := key_of(want.limit))}
    for key, want in sorted(keyed.items(), key=lambda each: each[0]):  # in one order for all: no deadlocks
        db.execute("INSERT INTO scopes VALUES (?) ON CONFLICT DO NOTHING", (key[0],))
        db.execute("SELECT 1 FROM scopes WHERE scope = ? FOR UPDATE", (key[0],))
        published = by_host(db, want.limit, names)
        elsewhere = _elsewhere(db, host, key, published)
        lost = _lost(want, published.get(host, 0), ledgers)
        least = max(want.lost, want.seen - want.spent)
        if lost < least and not (ledgers.has_all(db, host) and by_host(db, want.limit, names) == published):
            lost = least  # what is published meanwhile, and was not when the sum was made, makes it look less
        seen[key] = LimitView(elsewhere, lost, want.spent + lost)
        used = want.used - want.lost + lost
        free = want.limit.amount - sum(elsewhere) - used - want.need
        if free < 0 or not may_grant:
            denied.append(want)
        else:
            granted = used + want.need + min(free // SHARE, want.limit.amount // LARGEST)
            _grant(db, host, key, want, granted)
    return seen, denied


def _lost(want: Want, published: int, ledgers: Ledgers) -> int:
    """Return what of a limit a host has spent that is in none of its ledgers any more.

    Others of the host may have spent and published more since it was asked for: that is not lost. What is
    spent and not published yet makes it look less: until the database has all, it is at least what was lost
    before, or what is missing of the most that was seen.
    """
    lost = max(0, published - want.spent)
    return max(0, published - max(want.spent, ledgers.spent(want.limit))) if lost else 0


def _grant(db: Transaction, host: int, key: Key, want: Want, granted: int) -> None:
    period = want.limit.period.name if want.limit.period else ""
    db.execute(
        """INSERT INTO leases (scope, starts, ends, host, period, granted, amount)
        VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, starts, ends, host)
        DO UPDATE SET granted = greatest(leases.granted, excluded.granted), amount = excluded.amount""",
        (*key, host, period, granted, want.limit.amount),
    )


def _elsewhere(db: Transaction, host: int, key: Key, published: dict[int, int]) -> OthersShare:
    """Return what other hosts have of a limit: what they published, and what they may have spent beyond it.

    Where hosts have a period that only overlaps this one (another time zone), all that they were granted of
    it counts here too: rather too much than too little.
    """
    scope, starts, ends = key
    leased, orphaned = 0, 0
    rows = db.execute(
        """SELECT l.host, l.granted, l.starts = ? AND l.ends = ?, h.rests OR h.lease_until > now()
        FROM leases l JOIN hosts h ON h.id = l.host
        WHERE l.scope = ? AND l.starts < ? AND l.ends > ? AND l.host <> ?""",
        (starts, ends, scope, ends, starts, host),
    )
    for other, granted, is_same, is_here in rows:
        open_ = max(0, granted - (published.get(other, 0) if is_same else 0))
        leased += open_ if is_here else 0
        orphaned += 0 if is_here else open_
    return OthersShare(sum(n for other, n in published.items() if other != host), leased, orphaned)


def _leases(db: Transaction, host: int, offer: TradeOffer, seen: dict[Key, LimitView]) -> list[Lease]:
    """Return the leases of a host as they are now."""
    before = {lease.key: lease for lease in offer.leases}
    rows = db.execute(
        """SELECT scope, starts, ends, period, granted, amount FROM leases
        WHERE host = ? AND ends > extract(epoch FROM now() - interval '2 days') * 1000000""",
        (host,),
    )
    found = []
    for scope, starts, ends, period, granted, amount in rows:
        key = (scope, starts, ends)
        lease = before.get(key) or Lease(*key, period, granted, amount)
        if (now := seen.get(key)) is not None:
            others = now.elsewhere
            lease = lease._replace(
                spent_elsewhere=others.spent,
                leased_elsewhere=others.leased,
                orphaned_elsewhere=others.orphaned,
                lost=now.lost,
                seen=now.spent,
            )
        found.append(lease._replace(period=period, granted=granted, amount=amount))
    return found


def _one(db: Transaction, statement: str, *values: object) -> int:
    row = db.execute(statement, values).fetchone()
    assert row is not None  # what was just written
    return int(row[0])


def next_token(pending: str) -> str:
    """Return the token of the next exchange, given that of one without an answer, if there is one.

    >>> next_token("5a-1")
    '5a-2'
    """
    attempt, _, number = pending.rpartition("-")
    return f"{attempt}-{int(number) + 1}" if pending else f"{secrets.token_hex(8)}-1"
