"""What every implementation of the port keeps: the local files, and one in memory with leases.

The second one has no SQLite, no files and no locks of the kernel: who holds is asked of leases, as a
database that several hosts share would do it. The gate works on either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.costs.budgets.gate import Gate, GateRequest
from shared.costs.budgets.limits import Crossing, Limit, Scope
from shared.costs.budgets.port import (
    STRAYED_FOR,
    Alarm,
    Decide,
    Decision,
    Delivery,
    Holds,
    HoldSpend,
    HoldStatus,
    Notice,
    Notices,
    QueuedNotice,
    Reservation,
    Stray,
    Turn,
    as_it_stands,
)
from shared.costs.budgets.scopes import CallScope, Labels
from shared.costs.errors import BudgetExceeded, Denial, StorageBusy
from shared.costs.money import Nanos, from_usd
from shared.costs.notify.alerts import fire
from shared.costs.periods import month, zone
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import Dimension, Group, Query
from shared.costs.storage import CostStorage
from shared.costs.store.holds import LocalHolds
from shared.costs.store.presence import Presence
from shared.costs.store.state import LocalNotices
from shared.costs.store.store import Store
from tests.support.elapsed import PATIENCE_S

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
BLOCKING = parse_profile(b"budget: {monthly_limit_usd: 10, block_at_limit: true}", Path("profile.yaml"))


@dataclass
class SharedMemory:
    """What a database would keep for everybody."""

    rows: dict[str, Reservation] = field(default_factory=dict)
    latest: datetime = LONG_AGO
    turn: threading.Lock = field(default_factory=threading.Lock)
    leases: set[str] = field(default_factory=set)
    strayed: list[tuple[CallScope, Labels, datetime]] = field(default_factory=list)
    told: set[tuple[str, str, float]] = field(default_factory=set)
    notices: list[Notice] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    deliveries: dict[tuple[int, str], Delivery] = field(default_factory=dict)


class MemoryTurn:
    """A turn at it: nothing was spent, only held."""

    def __init__(self, holds: MemoryHolds) -> None:
        self._holds = holds
        self.latest = holds.latest()

    def holds(self, since: datetime, ledger: Path | None) -> list[HoldStatus]:
        return [
            held
            for held in self._holds.holds()
            if held.reservation.state != "orphaned" or held.reservation.period_at >= since
        ]

    def spends(self, asked: Sequence[Query]) -> list[Nanos]:
        return [Nanos(0)] * len(asked)

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        return []

    def allotment(self, limit: Limit, spent: int, held: int, need: int) -> None:
        return None

    def strayed(self) -> list[Stray]:
        return self._holds.strayed()


class MemoryHolds:
    """``Holds`` of one host, by its lease."""

    def __init__(self, shared: SharedMemory, host: str, clock: Callable[[], datetime]) -> None:
        self._shared, self._host, self._clock = shared, host, clock
        shared.leases.add(host)

    def reserve(self, decide: Decide, wait_s: float) -> Decision:
        if not self._shared.turn.acquire(timeout=wait_s):
            raise StorageBusy("others are at it")
        try:
            decision = decide(MemoryTurn(self))
            if isinstance(decision, Reservation):
                self._shared.rows[decision.id] = replace(decision, holder=self._host)
                self._shared.latest = max(self._shared.latest, decision.period_at)
            return decision
        finally:
            self._shared.turn.release()

    def settle(self, reservation: str, wait_s: float) -> None:
        self._shared.rows.pop(reservation, None)

    def void(self, reservation: str, wait_s: float) -> None:
        self._shared.rows.pop(reservation, None)

    def submit(self, reservation: str, wait_s: float) -> None:
        if one := self._shared.rows.get(reservation):
            self._shared.rows[reservation] = replace(one, state="submitted", block_ended=True)

    def orphan(self, reservation: str, why: str, amount: Nanos, recorded: int, wait_s: float) -> None:
        if one := self._shared.rows.get(reservation):
            self._shared.rows[reservation] = replace(
                one, state="orphaned", orphaned=why, estimate=amount, block_ended=True, recorded=recorded
            )

    def lower(self, reservation: str, amount: Nanos, wait_s: float) -> None:
        if one := self._shared.rows.get(reservation):
            self._shared.rows[reservation] = replace(one, estimate=min(one.estimate, amount))

    def widen(self, reservation: str, strayed: Sequence[Labels], wait_s: float) -> None:
        if one := self._shared.rows.get(reservation):
            self._shared.rows[reservation] = replace(
                one, strayed=tuple(dict.fromkeys((*one.strayed, *strayed)))
            )

    def remember(self, scope: CallScope, labels: Labels, wait_s: float) -> None:
        self._shared.strayed.append((scope, labels, self._clock()))

    def strayed(self) -> list[Stray]:
        oldest = self._clock() - STRAYED_FOR
        return [(scope, labels) for scope, labels, seen in self._shared.strayed if seen > oldest]

    def forget_strayed(self) -> int:
        count = len(self._shared.strayed)
        self._shared.strayed.clear()
        return count

    def release(self, reservations: Collection[str]) -> None:
        for one in reservations:
            self._shared.rows.pop(one, None)

    def holds(self) -> list[HoldStatus]:
        rows = sorted(self._shared.rows.values(), key=lambda one: (one.period_at, one.id))
        dead = {one.holder for one in rows} - self._shared.leases
        found = [as_it_stands(HoldStatus(one, HoldSpend()), self._clock(), dead) for one in rows]
        return [held for held in found if not held.is_over]

    def find(self, reservation: str) -> HoldStatus | None:
        return next((held for held in self.holds() if held.reservation.id == reservation), None)

    def latest(self) -> datetime:
        return self._shared.latest

    def set_latest(self, at: datetime) -> None:
        self._shared.latest = at

    def close(self) -> None:
        pass


class MemoryNotices:
    """``Notices`` of everybody."""

    def __init__(self, shared: SharedMemory) -> None:
        self._shared = shared

    def fire(self, alarms: Sequence[Alarm], at: datetime) -> list[int]:
        new = []
        for place, alarm in enumerate(alarms):
            scope, span, threshold, reached, notice = alarm
            if not any((scope, span) == told[:2] and told[2] >= threshold for told in self._shared.told):
                self._shared.told |= {(scope, span, each) for each in reached}
                new.append(place)
                self.enqueue([notice] if notice else [])
        return new

    def enqueue(self, notices: Sequence[Notice]) -> int:
        return sum(map(self._queue, notices))

    def _queue(self, notice: Notice) -> bool:
        day = timedelta(hours=24)
        if any(n.key == notice.key and n.made_at > notice.made_at - day for n in self._shared.notices):
            return False
        self._shared.notices.append(notice)
        return True

    def waiting(self) -> list[QueuedNotice]:
        numbered = enumerate(self._shared.notices)
        return [QueuedNotice(number, one) for number, one in numbered if number not in self._shared.done]

    def deliveries(self, notices: Collection[int]) -> list[Delivery]:
        return [one for one in self._shared.deliveries.values() if one.notice in notices]

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self._shared.deliveries |= {(one.notice, one.address): one for one in deliveries}

    def finish(self, notices: Collection[int], forget_before: datetime) -> None:
        self._shared.done |= set(notices)

    def given_up(self, since: datetime) -> list[tuple[str, str]]:
        notices = self._shared.notices
        return [
            (notices[one.notice].text, one.fault)
            for one in self._shared.deliveries.values()
            if one.state == "given up" and notices[one.notice].made_at > since
        ]


class Place:
    """Somewhere to share holds: hosts or processes join it, and die."""

    now = NOW
    notices: Notices

    def clock(self) -> datetime:
        return self.now

    def join(self) -> tuple[Holds, Callable[[], None]]:
        """Return the holds as a new holder has them, and what lets it die."""
        raise NotImplementedError

    def gate(self, holds: Holds) -> Gate:
        return Gate(holds, clock=self.clock, names=lambda s, m: f"{s}/{m}")


class LocalPlace(Place):
    def __init__(self, folder: Path) -> None:
        self.storage = CostStorage(folder / "costs")
        self.storage.prepare()
        self.store = Store.of(self.storage)
        self.notices = LocalNotices(self.store.state)

    def join(self) -> tuple[Holds, Callable[[], None]]:
        presence = Presence(self.storage.writers_dir)
        return LocalHolds(self.store, presence, self.clock), presence.leave


class MemoryPlace(Place):
    def __init__(self, _: Path) -> None:
        self.shared = SharedMemory()
        self.notices = MemoryNotices(self.shared)

    def join(self) -> tuple[Holds, Callable[[], None]]:
        host = f"host-{len(self.shared.leases)}"
        return MemoryHolds(self.shared, host, self.clock), lambda: self.shared.leases.discard(host)


@pytest.fixture(params=[LocalPlace, MemoryPlace])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = request.param(tmp_path)
    yield made
    if isinstance(made, LocalPlace):
        made.store.close()


def reservation(one: str, usd: str = "1", **values: object) -> Reservation:
    base: dict[str, object] = {
        "id": one,
        "period_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
        "user_id": "u",
        "job_id": "job-1",
        "ledger": None,
        "stage": None,
        "service": "openai",
        "model": "gpt-4o",
        "estimate": from_usd(usd),
        "one_call": True,
        "project": "p",
        "tags": ("a", "b"),
    }
    return Reservation(**{**base, **values})  # type: ignore[arg-type]  # each test gives values of the right type


def hold(holds: Holds, one: str, usd: str = "1", **values: object) -> None:
    assert isinstance(holds.reserve(lambda _: reservation(one, usd, **values), 1.0), Reservation)


def states(holds: Holds) -> dict[str, tuple[str, str | None, int]]:
    found = holds.holds()
    return {h.reservation.id: (h.reservation.state, h.reservation.orphaned, h.amount) for h in found}


def test_what_is_held_is_seen_as_it_was_given(place: Place) -> None:
    (holds, _), (other, _) = place.join(), place.join()
    hold(holds, "r", project="p", tags=("a", "b"), ledger=Path("/out/j\udce9/cost_ledger.jsonl"))
    found = other.find("r")
    assert found is not None
    expected = reservation("r", ledger=Path("/out/j\udce9/cost_ledger.jsonl"))
    assert replace(found.reservation, holder="") == expected
    assert found.reservation.holder != ""
    assert other.find("nobody") is None


def test_each_end(place: Place) -> None:
    holds, _ = place.join()
    for one in ("settled", "void", "submitted", "orphaned", "released", "live"):
        hold(holds, one)
    for _ in range(2):  # each may be said twice
        holds.settle("settled", 1.0)
        holds.void("void", 1.0)
        holds.submit("submitted", 1.0)
        holds.orphan("orphaned", "it was lost", from_usd(3), 0, 1.0)
        holds.release(["released", "nobody"])
    assert states(holds) == {
        "live": ("live", None, from_usd(1)),
        "orphaned": ("orphaned", "it was lost", from_usd(3)),
        "submitted": ("submitted", None, from_usd(1)),
    }
    for end in (holds.settle, holds.void, holds.submit):
        end("nobody", 1.0)
    holds.orphan("nobody", "x", Nanos(1), 0, 1.0)
    assert len(states(holds)) == 3


def test_a_hold_is_widened_by_labels_each_once(place: Place) -> None:
    (holds, _), (other, _) = place.join(), place.join()
    hold(holds, "r")
    labels = [Labels("p", ("a", "j\udce9")), Labels(None, ("b",), "asr", "nightly", "chat", "s", "m")]
    for some in (labels[:1], labels):
        holds.widen("r", some, 1.0)
    holds.widen("nobody", labels, 1.0)
    found = other.find("r")
    assert found is not None
    assert found.reservation.strayed == tuple(labels)
    assert [scope.tags for scope in found.reservation.scopes][1:] == [("a", "j\udce9"), ("b",)]


def strayed(holds: Holds, scope: CallScope) -> list[Labels]:
    """Return what a decision reads of it, without holding anything."""
    found: list[Labels] = []

    def decide(turn: Turn) -> BudgetExceeded:
        found.extend(labels for of, labels in turn.strayed() if of == scope)
        assert turn.strayed() == turn.strayed()
        return BudgetExceeded("none", Denial("none", 0, 0, 0, 0, "cost"))

    holds.reserve(decide, 1.0)
    return found


def test_with_which_other_labels_calls_were_recorded_is_known_to_all_for_a_month(place: Place) -> None:
    (holds, leave), (other, _) = place.join(), place.join()
    own = CallScope("u", service="openai", model="mini", tags=("a", "j\udce9"))
    labels = [Labels("p", ("a", "j\udce9")), Labels(None, ("b",), "asr", "nightly", "chat", "s", "m")]
    holds.remember(own, labels[0], 1.0)
    place.now = NOW + timedelta(days=1)
    holds.remember(own, labels[1], 1.0)
    leave()
    assert strayed(other, own) == labels
    assert strayed(other, own._replace(model="other")) == []
    place.now = NOW + STRAYED_FOR
    assert strayed(other, own) == labels[1:]
    place.now = NOW + timedelta(days=2)
    assert other.forget_strayed() == 2
    assert (strayed(other, own), other.forget_strayed()) == ([], 0)


def test_what_a_holder_leaves_behind(place: Place) -> None:
    (holds, die), (other, _) = place.join(), place.join()
    hold(holds, "orphan")
    hold(holds, "batch", submits=True)
    hold(other, "theirs")
    die()
    assert states(other) == {
        "batch": ("submitted", None, from_usd(1)),
        "orphan": ("orphaned", "its process ended", from_usd(1)),
        "theirs": ("live", None, from_usd(1)),
    }
    place.now += timedelta(hours=1)
    assert {state for state, _, _ in states(other).values()} == {"orphaned"}


def test_a_refusal_holds_nothing_and_leaves_the_clock(place: Place) -> None:
    holds, _ = place.join()
    refusal = BudgetExceeded("no", Denial("x", Nanos(0), Nanos(0), Nanos(0), Nanos(0)))
    assert holds.reserve(lambda _: refusal, 1.0) is refusal
    assert (states(holds), holds.latest()) == ({}, LONG_AGO)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_decision_that_fails_holds_nothing_and_ends_the_turn(
    place: Place, error: type[BaseException]
) -> None:
    holds, _ = place.join()

    def failing(_: object) -> Decision:
        raise error

    with pytest.raises(error):
        holds.reserve(failing, 1.0)
    hold(holds, "next")
    assert list(states(holds)) == ["next"]


def test_the_clock_never_goes_back_by_itself(place: Place) -> None:
    holds, _ = place.join()
    hold(holds, "a")
    hold(holds, "b", period_at=NOW - timedelta(days=1))
    assert holds.latest() == NOW
    seen = []
    holds.reserve(lambda turn: seen.append(turn.latest) or reservation("c"), 1.0)  # type: ignore[func-returns-value]
    assert seen == [NOW]
    holds.set_latest(LONG_AGO)
    assert holds.latest() == LONG_AGO


def test_turns_exclude_each_other(place: Place) -> None:
    (holds, _), (other, _) = place.join(), place.join()
    entered, leave = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow(_: Turn) -> Decision:
        entered.set()
        assert leave.wait(PATIENCE_S)
        return reservation("slow")

    def late(turn: Turn) -> Decision:
        seen.extend(held.reservation.id for held in turn.holds(LONG_AGO, None))
        return reservation("late")

    with ThreadPoolExecutor(2) as threads:
        working = threads.submit(holds.reserve, slow, 1.0)
        assert entered.wait(PATIENCE_S)
        waiting = threads.submit(other.reserve, late, 60.0)
        time.sleep(0.1)
        assert not waiting.done()
        leave.set()
        working.result(PATIENCE_S)
        waiting.result(PATIENCE_S)
    assert seen == ["slow"]


def test_gates_on_it_never_go_over_a_limit(place: Place) -> None:
    gates = [place.gate(place.join()[0]) for _ in range(4)]
    request = GateRequest(user_id="u", service="openai", model="gpt-4o", estimate=from_usd("0.3"))

    def call_until_denied(gate: Gate) -> list[object]:
        kept: list[object] = []
        while True:
            try:
                kept.append(gate.reserve(request, BLOCKING))
            except BudgetExceeded:
                return kept

    with ThreadPoolExecutor(4) as threads:
        kept = [each for some in threads.map(call_until_denied, gates, timeout=PATIENCE_S) for each in some]
    assert len(kept) == 33  # $9.90 of $10
    assert sum(held.amount for held in gates[0].holds()) == from_usd("9.9")
    with pytest.raises(BudgetExceeded, match=r"\$9.9000 held"):
        gates[1].reserve(request, BLOCKING)


def test_an_alert_and_its_notice_are_told_once(place: Place) -> None:
    limit = Limit(Scope("u", "month"), from_usd(50), month(NOW, zone("UTC")), Query(), (50.0, 80.0))
    crossed = [Crossing(limit, from_usd(45), 80.0), Crossing(limit, from_usd(45), 50.0)]
    notice = Notice(audience="u", profile="", key="k", level="warning", text="80 %", made_at=NOW)
    assert fire(place.notices, crossed, NOW, lambda _: notice) == crossed[:1]
    assert fire(place.notices, crossed, NOW, lambda _: notice) == []
    [queued] = place.notices.waiting()
    assert queued.notice == notice
    assert place.notices.enqueue([notice, replace(notice, made_at=NOW + timedelta(days=1))]) == 1
    late = Delivery(queued.id, "address", 3, NOW, "given up", "gone")
    place.notices.deliver([late._replace(state="waiting"), late])
    assert place.notices.deliveries([queued.id]) == [late]
    assert place.notices.given_up(NOW - timedelta(days=1)) == [("80 %", "gone")]
    place.notices.finish([queued.id], NOW - timedelta(days=90))
    assert queued.id not in [each.id for each in place.notices.waiting()]


class SettlingTurn(MemoryTurn):
    """A turn in which the entry of a hold arrives after the first look at the holds."""

    looks = 0

    def holds(self, since: datetime, ledger: Path | None) -> list[HoldStatus]:
        self.looks += 1
        held = super().holds(since, ledger)
        return (
            held
            if self.looks == 1
            else [one._replace(logged=HoldSpend(1, Nanos(one.amount))) for one in held]
        )

    def spends(self, asked: Sequence[Query]) -> list[Nanos]:
        return [from_usd(6)] * len(asked)


def test_an_entry_that_comes_between_two_looks_denies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    place = MemoryPlace(Path())
    holds, _ = place.join()
    request = GateRequest(user_id="1", service="openai", model="gpt-4o", estimate=from_usd(6))
    held = place.gate(holds).reserve(request, BLOCKING)
    monkeypatch.setattr(f"{__name__}.MemoryTurn", SettlingTurn)
    gate = place.gate(holds)
    gate.reserve(replace(request, estimate=from_usd(4)), BLOCKING).void()
    with pytest.raises(BudgetExceeded):
        gate.reserve(replace(request, estimate=from_usd("4.01")), BLOCKING)
    held.void()
