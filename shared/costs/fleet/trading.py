"""Trading: how a host exchanges its leases with the shared database, in one transaction.

A lease is escrow: what a host was granted of a limit counts for all others as if it were spent. So each host
can gate its calls against its own leases, and all together cannot exceed the limit. What a host has published
beyond its lease, by calls without a reservation, counts too.

A limit's sum is computed after its row in ``scopes`` was locked by an earlier statement (READ COMMITTED): of
two hosts that ask at once, one waits for the other. Leases of a host that is gone keep counting.

After a restart the database may be in an older state (a backup, a replica that was behind), without grants
that hosts still have. So nothing is granted until each known host has reported its leases or has had time to.
Only a host itself knows what it spent since that older state. So once one host has proven that the database
was restored, the hosts that were live, and those that have traded since as it remembers them
(:class:`.OtherHost`), are waited for without a time limit, until somebody releases them.
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
from .leases import Lease, LeaseRequest, OtherHost, Term, key_of
from .schema import SERVER, require
from .sums import by_host

SHARE: Final = 16
"""A grant adds at most 1/16 of what is free to what is needed, so that little is unused when it ends."""

UNKNOWN_HOSTS: Final = "hosts that joined since"
"""How messages name hosts that are waited for without being known."""

LARGEST: Final = 20
"""And at most 1/20 of the whole limit."""

Key = tuple[str, int, int]
"""A limit's scope and its period, in microseconds."""


class OtherFleet(Exception):
    """The address leads to another database than before; ``args[0]`` is its identity."""


class HostCopied(StorageUnavailable):
    """Another cost storage trades under this one's identity."""


class LimitView(NamedTuple):
    """What the database says about a requested limit: what others have of it, and what this host spent.

    ``lost`` and ``spent`` become ``Lease.lost`` and ``Lease.seen``.
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
    """What a host reports and requests. ``lowered`` are the leases it gives back, each with its new amount.

    ``other_hosts`` are the hosts of the fleet as last read from the database. ``rests`` says that nothing
    runs on this host and nothing is left to be published. ``counting`` is what :func:`.standing.counting`
    returns for its profile.
    """

    term: Term
    token: str
    name: str
    lease_s: int
    leases: Sequence[Lease] = ()
    other_hosts: Sequence[OtherHost] = ()
    lowered: Sequence[tuple[Key, int]] = ()
    requests: Sequence[LeaseRequest] = ()
    rests: bool = False
    counting: Mapping[str, str] = field(default_factory=dict)


class TradeResult(NamedTuple):
    """What the host has after an exchange. ``denied`` are the requests that were not granted.

    ``waits_for`` are hosts that have not reported since the server was restarted: until they do, or for
    ``waits_s`` seconds at most (infinite if they must be released), nothing is granted. ``number`` is the
    host's number in the database.
    """

    number: int
    version: int
    leases: list[Lease]
    other_hosts: list[OtherHost]
    denied: list[LeaseRequest]
    waits_for: tuple[str, ...] = ()
    waits_s: float = 0.0


class _Host(NamedTuple):
    number: int
    is_behind: bool
    """Whether the database knows an older state of this host than the host itself: it was restored."""
    has_reported: bool


class Ledgers(NamedTuple):
    """Queries about this host's ledgers, answered while it trades.

    ``spent`` returns what they sum up to for a limit; ``has_all`` tells, given the host's number, whether all
    of them is published; ``profile`` returns the profile in force.
    """

    spent: Callable[[Limit], int]
    has_all: Callable[[Transaction, int], bool]
    profile: Callable[[], Profile]


def trade(db: Transaction, offer: TradeOffer, names: ModelName, ledgers: Ledgers) -> TradeResult:
    """Carry out a host's offer and requests; return what it has afterwards.

    Raises:
        OtherFleet: this is not the database of the host's term.
        HostCopied: another cost storage has traded under the host's identity since.
        SharedUnavailable: its tables are for newer programs.

    """
    require(db)
    fleet = db.execute(f"SELECT uid, server = {SERVER}, epoch FROM fleet").fetchone()
    assert fleet is not None  # inserted when the tables are created
    if fleet[0] != offer.term.fleet:
        raise OtherFleet(fleet[0])
    epoch = int(fleet[2])
    host = _register(db, offer, epoch)
    if not fleet[1] or (host.is_behind and host.has_reported):
        epoch = _new_epoch(db, epoch, host.number, offer.name if host.is_behind else "")
    elif host.is_behind:
        db.execute("UPDATE fleet SET went_back = ? WHERE went_back = ''", (offer.name,))
    if host.is_behind or not host.has_reported or not fleet[1]:
        _restore_leases(db, host.number, offer.leases)
        _restore_hosts(db, epoch, offer)
    for (scope, starts, ends), granted in offer.lowered:
        db.execute(
            """UPDATE leases SET granted = least(granted, ?)
            WHERE scope = ? AND starts = ? AND ends = ? AND host = ?""",
            (granted, scope, starts, ends, host.number),
        )
    unreported = _unreported(db, epoch, host.number)
    views, denied = _grant_requests(db, host.number, offer.requests, names, ledgers, may_grant=not unreported)
    version = int(
        _single_value(
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
        _current_leases(db, host.number, offer, views),
        _read_other_hosts(db, host.number),
        denied,
        tuple(name for name, _ in unreported),
        max((seconds for _, seconds in unreported), default=0.0),
    )


def _register(db: Transaction, offer: TradeOffer, epoch: int) -> _Host:
    """Lock the host's row and return the host; insert it if it is new."""
    term = offer.term
    row = db.execute(
        "SELECT id, version, token, epoch FROM hosts WHERE uid = ? FOR UPDATE", (term.host,)
    ).fetchone()
    if row is None:
        number = _single_value(
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
    """Tell whether a token is that of the host's last exchange, or of a later one that was not answered.

    An exchange that was given up and arrives late meets the token of a later one, and is not carried out.
    """
    attempt, _, number = offer.token.rpartition("-")
    other, _, earlier = token.rpartition("-")
    return token == offer.term.token or (other == attempt and int(earlier) < int(number))


def _new_epoch(db: Transaction, before: int, host: int, behind: str) -> int:
    """Record that the server was restarted, so that earlier grants may be missing; return the new epoch.

    An earlier ``went_back`` stays while another host that was live then has not reported.
    """
    db.execute("SELECT 1 FROM fleet FOR UPDATE")
    row = db.execute(f"SELECT epoch, server = {SERVER} FROM fleet").fetchone()
    assert row is not None  # inserted when the tables are created
    if row[0] > before and row[1]:  # another host was faster
        if behind:
            db.execute("UPDATE fleet SET went_back = ? WHERE went_back = ''", (behind,))
        return int(row[0])
    return int(
        _single_value(
            db,
            f"""UPDATE fleet SET epoch = epoch + 1, since = now(), server = {SERVER}, went_back = CASE
            WHEN went_back <> '' AND EXISTS (SELECT 1 FROM hosts h
                WHERE h.id <> ? AND NOT h.rests AND h.epoch < fleet.epoch) THEN went_back ELSE ? END
            RETURNING epoch""",
            *(host, behind),
        )
    )


def _restore_leases(db: Transaction, host: int, leases: Iterable[Lease]) -> None:
    """Raise the leases of a host to at least what it reports."""
    for lease in leases:
        db.execute(
            """INSERT INTO leases (scope, starts, ends, host, period, granted, amount)
            VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, starts, ends, host)
            DO UPDATE SET granted = greatest(leases.granted, excluded.granted)""",
            (*lease.key, host, lease.period, lease.granted, lease.amount),
        )


def _restore_hosts(db: Transaction, epoch: int, offer: TradeOffer) -> None:
    """Wait for the hosts that, as another host remembers them, traded since the restored state."""
    for other in offer.other_hosts:
        db.execute(
            """INSERT INTO hosts (uid, name, token, version, epoch, lease_s, joined, seen, lease_until, rests)
            VALUES (?, ?, '', 0, ?, ?, now(), now(), now(), false)
            ON CONFLICT (uid) DO UPDATE SET rests = false WHERE hosts.version < ? AND hosts.epoch < ?""",
            (other.host, other.name, epoch - 1, offer.lease_s, other.version, epoch),
        )


def _read_other_hosts(db: Transaction, host: int) -> list[OtherHost]:
    """Return the other hosts, except those not seen for 35 days: no older backup would be restored."""
    rows = db.execute(
        "SELECT uid, name, version FROM hosts WHERE id <> ? AND seen > now() - interval '35 days'", (host,)
    )
    return [OtherHost(*row) for row in rows]


def _unreported(db: Transaction, epoch: int, host: int) -> list[tuple[str, float]]:
    """Return the hosts that may have more than the database knows, and how many seconds each is waited for.

    A host that was at rest is waited for as long as the longest lease lasts, a live one twice as long. So
    are, as if at rest, hosts that joined since the restored state and that no other host remembers.
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
    return [(name, seconds) for name, seconds in rows if seconds > 0]


def _grant_requests(
    db: Transaction,
    host: int,
    requests: Sequence[LeaseRequest],
    names: ModelName,
    ledgers: Ledgers,
    *,
    may_grant: bool,
) -> tuple[dict[Key, LimitView], list[LeaseRequest]]:
    """Grant what is free of each limit; return the view of each limit, and the requests that were denied."""
    views, denied = dict[Key, LimitView](), list[LeaseRequest]()
    keyed = {key: request for request in requests if (key := key_of(request.limit))}
    for key, request in sorted(
        keyed.items(), key=lambda item: item[0]
    ):  # one order on all hosts: no deadlocks
        db.execute("INSERT INTO scopes VALUES (?) ON CONFLICT DO NOTHING", (key[0],))
        db.execute("SELECT 1 FROM scopes WHERE scope = ? FOR UPDATE", (key[0],))
        published = by_host(db, request.limit, names)
        elsewhere = _share_of_others(db, host, key, published)
        lost = _lost_spend(request, published.get(host, 0), ledgers)
        least = max(request.lost, request.seen - request.spent)
        if lost < least and not (
            ledgers.has_all(db, host) and by_host(db, request.limit, names) == published
        ):
            lost = least  # entries published since the sum was computed make it look smaller
        views[key] = LimitView(elsewhere, lost, request.spent + lost)
        used = request.used - request.lost + lost
        free = request.limit.amount - sum(elsewhere) - used - request.need
        if free < 0 or not may_grant:
            denied.append(request)
        else:
            granted = used + request.need + min(free // SHARE, request.limit.amount // LARGEST)
            _grant(db, host, key, request, granted)
    return views, denied


def _lost_spend(request: LeaseRequest, published: int, ledgers: Ledgers) -> int:
    """Return what a host has spent of a limit that is no longer in its ledgers.

    What other processes of the host have spent and published since the request is not lost. Spend that is not
    published yet makes the amount look smaller: until all is published, the caller uses at least what was
    lost before, or what is missing from the largest spend seen.
    """
    lost = max(0, published - request.spent)
    return max(0, published - max(request.spent, ledgers.spent(request.limit))) if lost else 0


def _grant(db: Transaction, host: int, key: Key, request: LeaseRequest, granted: int) -> None:
    period = request.limit.period.name if request.limit.period else ""
    db.execute(
        """INSERT INTO leases (scope, starts, ends, host, period, granted, amount)
        VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, starts, ends, host)
        DO UPDATE SET granted = greatest(leases.granted, excluded.granted), amount = excluded.amount""",
        (*key, host, period, granted, request.limit.amount),
    )


def _share_of_others(db: Transaction, host: int, key: Key, published: dict[int, int]) -> OthersShare:
    """Return what other hosts have of a limit: what they published, and what they may have spent beyond it.

    Of a host whose period only overlaps this one (another time zone), the whole lease counts: rather too much
    than too little.
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


def _current_leases(
    db: Transaction, host: int, offer: TradeOffer, views: dict[Key, LimitView]
) -> list[Lease]:
    """Return the leases of a host after an exchange."""
    before = {lease.key: lease for lease in offer.leases}
    rows = db.execute(
        """SELECT scope, starts, ends, period, granted, amount FROM leases
        WHERE host = ? AND ends > extract(epoch FROM now() - interval '2 days') * 1000000""",
        (host,),
    )
    leases = []
    for scope, starts, ends, period, granted, amount in rows:
        key = (scope, starts, ends)
        lease = before.get(key) or Lease(*key, period, granted, amount)
        if (view := views.get(key)) is not None:
            others = view.elsewhere
            lease = lease._replace(
                spent_elsewhere=others.spent,
                leased_elsewhere=others.leased,
                orphaned_elsewhere=others.orphaned,
                lost=view.lost,
                seen=view.spent,
            )
        leases.append(lease._replace(period=period, granted=granted, amount=amount))
    return leases


def _single_value(db: Transaction, statement: str, *values: object) -> int:
    row = db.execute(statement, values).fetchone()
    assert row is not None  # the row that was just written
    return int(row[0])


def next_token(pending: str) -> str:
    """Return the token of the next exchange; ``pending`` is that of one without an answer, or empty.

    >>> next_token("5a-1")
    '5a-2'
    """
    attempt, _, number = pending.rpartition("-")
    return f"{attempt}-{int(number) + 1}" if pending else f"{secrets.token_hex(8)}-1"
