"""Kills processes that hold reservations, many times, and checks that no limit is ever overrun.

Workers reserve, "send" (a provider's bill is noted), append a ledger entry and settle; at any of these
points they kill themselves with SIGKILL, and from outside more of them are killed at any moment. A
checker compares, again and again, what the provider billed with the limits and with what the gate
counts. It must hold at every moment, for each user and for the organisation:

    billed <= limit           no overshoot
    counted >= billed         counted = spent in the ledgers + held by the gate

and at the end, when nothing moves any more, ``counted <= limit``, and each reservation that is left
counts at its amount less what the ledgers have under it, read by this program alone.

    python scripts/faults/gate_storm.py [--processes 32] [--kills 500] [--seed 1] [--rounds 1]

With ``--without orphans|exclusive|matching`` one rule of the gate is taken out: the storm must notice.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from scripts.faults.command_line import command_line
from scripts.faults.common import forked
from scripts.faults.dying import (
    MODEL,
    PATIENCE_S,
    Spender,
    appending,
    as_named,
    exits,
    opened,
    whole_lines,
)
from shared.costs.budgets.deciding import standings
from shared.costs.budgets.gate import Gate, GateRequest
from shared.costs.budgets.limits import limits_for
from shared.costs.budgets.port import HoldSpend, HoldStatus, Reservation, as_it_stands
from shared.costs.budgets.spending import read_spendings
from shared.costs.errors import BudgetExceeded, BudgetGateUnavailable
from shared.costs.money import NANOS_PER_USD, Nanos, format_usd
from shared.costs.profile import Profile
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import JobRef
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store import holds
from shared.costs.store.state import StateDb
from shared.costs.store.store import Store

USERS = ("ana", "bo", "chi")
JOBS = 8
ROUND_USD = 4
"""What the organisation may spend in a round. Each round is a month of its own: the edge is what matters."""

PROFILE = f"""
budget: {{monthly_limit_usd: {ROUND_USD / 2}, block_at_limit: true}}
organization: {{monthly_limit_usd: {ROUND_USD}, block_at_limit: true}}
"""
MOST_CENTS = 12
DEATH = 0.1
"""How probable it is to die at each of three points: about one holder in four does."""

BETWEEN_CHECKS_S = 0.01


@dataclass(frozen=True)
class Round:
    """Where and when a round of the storm takes place."""

    folder: Path
    number: int
    death: float

    @property
    def storage(self) -> CostStorage:
        """The cost storage that all rounds share."""
        return CostStorage(self.folder / "costs")

    @property
    def bills(self) -> Path:
        """What the provider billed: user and nano-dollars a line."""
        return self.folder / f"bills-{self.number}"

    @property
    def deaths(self) -> Path:
        """One letter for each holder that killed itself."""
        return self.folder / f"deaths-{self.number}"

    @property
    def refusals(self) -> Path:
        """One dot for each call that was refused because the gate was too busy."""
        return self.folder / f"refusals-{self.number}"

    @property
    def died(self) -> int:
        """How many holders killed themselves so far."""
        return self.deaths.stat().st_size if self.deaths.exists() else 0

    def now(self) -> datetime:
        """Return the present of this round, in a month of its own."""
        return datetime(2026 + self.number // 12, 1 + self.number % 12, 15, tzinfo=UTC)

    def job(self, number: int) -> JobRef:
        """One of the jobs."""
        return JobRef(f"job-{number}", self.folder / f"job-{number}" / LEDGER_NAME)

    def opened(self) -> AbstractContextManager[tuple[Store, Gate]]:
        """Open the store and the gate of this process."""
        return opened(self.storage, self.now)


def profile() -> Profile:
    """Return the limits of the storm."""
    return parse_profile(PROFILE.encode(), Path("storm.yaml"))


# --- a worker


class Worker(Spender):
    """One process: calls until its calls are denied, and dies now and then."""

    def __init__(self, of: Round, seed: int, index: Store, keeper: Gate) -> None:
        super().__init__(of, seed, index, of.death)
        self._gate = keeper
        self._profile = profile()
        self._refusals = appending(of.refusals)

    def run(self) -> None:
        """Call until every user was denied the smallest call."""
        denied: set[str] = set()
        while len(denied) < len(USERS):
            user = self.random.choice(USERS)
            cents = 1 if user in denied else self.random.randint(1, MOST_CENTS)
            try:
                self._call(user, Nanos(cents * NANOS_PER_USD // 100))
            except BudgetExceeded:
                if cents == 1:
                    denied.add(user)
            except BudgetGateUnavailable:  # on a machine too busy to answer in time: refused, not guessed
                os.write(self._refusals, b".")

    def _call(self, user: str, estimate: Nanos) -> None:
        service, model = MODEL
        request = GateRequest(
            user_id=user, service=service, model=model, estimate=estimate, job=self.a_job(JOBS)
        )
        hold = self._gate.reserve(request, self._profile)
        if self.random.random() < 0.05:
            hold.void()
            return
        cost = estimate if self.random.random() < 0.75 else Nanos(self.random.randint(0, estimate))
        self.spend(request, hold, f"{user} {cost}", cost)


# --- the checker


@dataclass
class Findings:
    """What the checker saw. Amounts in nano-dollars, over all scopes and moments."""

    checks: int = 0
    overshoot: int = 0
    uncounted: int = 0
    overheld: int = 0
    unmended: int = 0
    left: int = 0

    def add(self, other: Findings) -> None:
        """Join the findings of two rounds: counts add up, faults keep the worst."""
        self.checks += other.checks
        self.overshoot = max(self.overshoot, other.overshoot)
        self.uncounted = max(self.uncounted, other.uncounted)
        self.overheld = max(self.overheld, other.overheld)
        self.unmended += other.unmended
        self.left = other.left


def check(of: Round, index: Store, keeper: Gate, found: Findings) -> list[HoldStatus]:
    """Compare bills, limits and counts once. ``overheld`` means something when nothing moves."""
    found.overheld = 0
    billed = bills(of)  # first: whatever was billed by now was reserved before
    holds = keeper.holds()
    for user in USERS:
        limits = limits_for(profile(), user, of.now())
        for stand in standings(read_spendings(limits, index, as_named), holds, as_named):
            limit, spent = stand.spending.limit, stand.spending.spent
            mine = sum(billed.values()) if limit.scope.owner is None else billed[user]
            found.overshoot = max(found.overshoot, mine - limit.amount)
            found.uncounted = max(found.uncounted, mine - spent - stand.held)
            found.overheld = max(found.overheld, spent + stand.held - limit.amount)
    found.checks += 1
    return holds


def bills(of: Round) -> Mapping[str, int]:
    """Return what the provider billed so far, by user."""
    billed: Counter[str] = Counter()
    for line in whole_lines(of.bills):
        user, amount = line.split()
        billed[user] += int(amount)
    return billed


def watch(of: Round, results: Path, stop: int, other_end: int) -> None:
    """Check until the pipe ``stop`` is closed, once more after it, and write the findings down."""
    os.close(other_end)
    os.set_blocking(stop, False)
    found = Findings()
    with of.opened() as (index, keeper):
        while not _closed(stop):
            check(of, index, keeper, found)
            time.sleep(BETWEEN_CHECKS_S)  # not to take the processor from those that it checks
        left = check(of, index, keeper, found)
    costs = logged(of)
    found.left = len(left)
    found.unmended = sum(
        held.amount != max(0, held.reservation.estimate - costs[held.reservation.id]) for held in left
    )
    results.write_text(json.dumps(vars(found)))


def logged(of: Round) -> Counter[str]:
    """Return the nano-dollars under each reservation, read from the ledgers alone."""
    lines = (line for job in range(JOBS) for line in of.job(job).ledger.read_bytes().splitlines())
    costs: Counter[str] = Counter()
    for line in lines:
        if line.endswith(b"}"):
            entry = json.loads(line, parse_float=Decimal)
            costs[entry["reservation"]] += int(entry["cost_usd"] * NANOS_PER_USD)
    return costs


def _closed(pipe: int) -> bool:
    try:
        return not os.read(pipe, 1)
    except BlockingIOError:
        return False


# --- the storm


@dataclass
class Storm:
    """Many rounds of dying workers."""

    folder: Path
    processes: int
    kills: int
    at_least: int
    seed: int
    found: Findings = field(default_factory=Findings)
    holders_killed: int = 0
    killed_outside: int = 0
    calls: int = 0
    refused: int = 0

    def run(self) -> None:
        """Go on until enough holders were killed, at least one round."""
        self._random = random.Random(self.seed)
        number = 0
        while number < self.at_least or self.holders_killed < self.kills:
            self._round(Round(self.folder, number, DEATH if self.kills else 0.0))
            number += 1
        self.rounds = number

    def _round(self, of: Round) -> None:
        of.storage.prepare()
        for job in range(JOBS):
            of.job(job).ledger.parent.mkdir(exist_ok=True)
        results = self.folder / f"found-{of.number}"
        reading, writing = os.pipe()
        checker = forked(lambda: watch(of, results, reading, writing))
        os.close(reading)
        self._workers(of)
        os.close(writing)
        _, status = os.waitpid(checker, 0)
        if status:
            raise SystemExit("the checker failed")
        self.found.add(Findings(**json.loads(results.read_text())))
        self.holders_killed += of.died
        self.refused += of.refusals.stat().st_size
        self.calls += of.bills.read_text().count("\n")

    def _workers(self, of: Round) -> None:
        """Keep the number of processes up until the workers end by themselves, killing some."""
        end = time.monotonic() + PATIENCE_S
        alive = {self._start(of) for _ in range(self.processes)}
        ended = 0
        while alive:
            if time.monotonic() > end:
                raise SystemExit("the storm does not end: a reservation is stuck or the gate too slow")
            if self.killed_outside < self.holders_killed + of.died and self._random.random() < 0.3:
                os.kill(self._random.choice(sorted(alive)), signal.SIGKILL)
                self.killed_outside += 1
            for pid, status in exits(alive):
                alive.discard(pid)
                if os.WIFSIGNALED(status):
                    if not ended:  # the limit is reached for all once one has ended by itself
                        alive.add(self._start(of))
                elif status:
                    raise SystemExit("a worker failed")
                else:
                    ended += 1
            time.sleep(0.005)

    def _start(self, of: Round) -> int:
        seed = self._random.getrandbits(60)

        def work() -> None:
            with of.opened() as (index, keeper):
                Worker(of, seed, index, keeper).run()

        return forked(work)

    @property
    def held(self) -> bool:
        """Whether everything held that must hold."""
        found = self.found
        return max(found.overshoot, found.uncounted, found.overheld, found.unmended) <= 0


# --- rules taken out


def take_out(rule: str) -> None:
    """Take one rule of the gate out of this process and of those that it starts."""
    if rule == "orphans":  # what was left behind is given back

        def given_back(held: HoldStatus, now: datetime, dead: Collection[str]) -> HoldStatus:
            found = as_it_stands(held, now, dead)
            lost = found.reservation.state == "orphaned"
            return found._replace(logged=HoldSpend(1, found.reservation.estimate)) if lost else found

        holds.as_it_stands = given_back  # type: ignore[attr-defined]  # a mutant
    elif rule == "exclusive":  # look first, hold a moment later

        def looking(
            state: StateDb, action: Callable[[sqlite3.Connection], object], wait_s: float = 1.0
        ) -> object:
            return state.statement(action, wait_s)

        put = holds._put

        def later(db: sqlite3.Connection, one: Reservation) -> None:
            time.sleep(0.02)
            put(db, one)

        StateDb.write = looking  # type: ignore[method-assign, assignment]  # a mutant
        holds._put = later  # a mutant
    elif rule == "matching":  # entries are not matched with reservations
        Store.logged = lambda _, reservations: {}  # type: ignore[method-assign, assignment]  # noqa: ARG005  # a mutant


def main() -> int:
    """Run the storm and print its summary; return 1 when something did not hold."""
    parser = command_line(__doc__, processes=32, seed=1)
    parser.add_argument(
        "--kills", type=int, default=500, help="how many holders to kill at least; 0: nobody is killed"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how many limits to reach at least")
    parser.add_argument("--without", choices=("orphans", "exclusive", "matching"), default="")
    options = parser.parse_args()
    take_out(options.without)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        storm = Storm(Path(name), options.processes, options.kills, options.rounds, options.seed)
        storm.run()
    found = storm.found
    print(
        f"gate storm: seed {options.seed}, {options.processes} processes, {storm.rounds} limits reached, "
        f"{storm.calls} calls billed, {storm.refused} refused by a busy gate, "
        f"{storm.holders_killed} holders killed at a chosen point and {storm.killed_outside} processes at "
        f"any, {found.checks} checks, {found.left} orphans at the end, "
        f"overshoot {_usd(found.overshoot)}, billed but not counted {_usd(found.uncounted)}, "
        f"counted above a limit {_usd(found.overheld)}, {found.unmended} not mended, "
        f"{time.monotonic() - start:.0f} s: {'all held' if storm.held else 'FAILED'}"
    )
    return 0 if storm.held else 1


def _usd(amount: int) -> str:
    return format_usd(Nanos(max(0, amount)), 9) if amount > 0 else "$0"


if __name__ == "__main__":
    sys.exit(main())
