"""Kills processes that reserve under five overlapping limits, and checks that none is ever overrun.

Each call counts against a limit on a tag, on a project, on tokens and on a rolling window of its user, or
on some of them, and against the organisation's month. Workers reserve, "send" (a provider's bill is
noted), append an entry and settle; at any of these points some kill themselves with SIGKILL, and from outside
more of them are killed. At every moment, for each limit in its own unit:

    billed <= limit           no overshoot
    counted >= billed         counted = spent in the ledgers + held by the gate

and at the end of the tightest limit at least 95 % are spent, or held by orphans.

    python scripts/faults/limit_storm.py [--processes 32] [--kills 60] [--seed 1]
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, forked
from scripts.faults.dying import MODEL, PATIENCE_S, Spender, as_named, exits, opened, whole_lines
from shared.costs.budgets.deciding import standings
from shared.costs.budgets.gate import Gate, GateRequest
from shared.costs.budgets.limits import Limit, limits_for
from shared.costs.budgets.scopes import CallScope
from shared.costs.budgets.spending import read_spendings
from shared.costs.errors import BudgetExceeded, BudgetGateUnavailable
from shared.costs.money import NANOS_PER_USD, Nanos
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import JobRef
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store

USERS: Final = ("ana", "bo")
JOBS: Final = 6
PROFILE: Final = parse_profile(
    b"""
budget:
  monthly_limit_usd: null
  block_at_limit: true
  tag_limits_usd: {"customer:acme": 1.20}
  project_limits_usd: {subtitles: 1.25}
  monthly_tokens: 140000
  rolling: {hours: 1, limit_usd: 1.50}
organization: {monthly_limit_usd: 2.30, block_at_limit: true}
""",
    Path("storm.yaml"),
)
TAG: Final = ("customer:acme",)
PROJECT: Final = "subtitles"
TOKENS_A_CENT: Final = 1_000
MOST_CENTS: Final = 8
DEATH: Final = 0.06
"""How probable it is to die at each of three points."""

FULL: Final = 0.95


@dataclass(frozen=True)
class Place:
    """Where the storm takes place, and what is written down of it."""

    folder: Path

    @property
    def bills(self) -> Path:
        """What the provider billed, a line of JSON each."""
        return self.folder / "bills"

    @property
    def deaths(self) -> Path:
        """One letter for each holder that killed itself."""
        return self.folder / "deaths"

    def job(self, number: int) -> JobRef:
        """Return one of the jobs."""
        return JobRef(f"job-{number}", self.folder / f"job-{number}" / LEDGER_NAME)

    def now(self) -> datetime:
        """Return the present: a window moves with it."""
        return datetime.now(UTC)

    def opened(self) -> AbstractContextManager[tuple[Store, Gate]]:
        """Open the store and the gate of this process."""
        return opened(CostStorage(self.folder / "costs"), self.now)


class Worker(Spender):
    """One process: calls until even the smallest call that is of everything is denied to every user."""

    def __init__(self, place: Place, seed: int, index: Store, gate: Gate) -> None:
        super().__init__(place, seed, index, DEATH)
        self._gate = gate

    def run(self) -> None:
        """Call until nothing fits."""
        denied: set[str] = set()
        while len(denied) < len(USERS):
            user = self.random.choice(USERS)
            smallest = user in denied or self.random.random() < 0.2
            cents = 1 if smallest else self.random.randint(1, MOST_CENTS)
            tags = TAG if smallest or self.random.random() < 0.6 else ()
            project = PROJECT if smallest or self.random.random() < 0.6 else None
            try:
                self._call(user, cents, tags, project)
            except BudgetExceeded:
                if smallest:
                    denied.add(user)
            except BudgetGateUnavailable:
                continue  # on a machine too busy to answer in time: refused, not guessed

    def _call(self, user: str, cents: int, tags: tuple[str, ...], project: str | None) -> None:
        service, model = MODEL
        request = GateRequest(
            user_id=user,
            service=service,
            model=model,
            estimate=Nanos(cents * NANOS_PER_USD // 100),
            tokens=cents * TOKENS_A_CENT,
            job=self.a_job(JOBS),
            tags=tags,
            project=project,
        )
        hold = self._gate.reserve(request, PROFILE)
        share = 1.0 if self.random.random() < 0.75 else self.random.random()
        cost, tokens = Nanos(int(hold.estimate * share)), int(cents * TOKENS_A_CENT * share)
        bill = {"user": user, "tags": tags, "project": project, "cost": cost, "tokens": tokens}
        self.spend(request, hold, json.dumps(bill), cost, tokens)


@dataclass
class Findings:
    """What the checker saw, at its worst, in the units of the limits."""

    checks: int = 0
    overshoot: int = 0
    uncounted: int = 0
    overheld: int = 0
    fullest: float = 0.0
    tightest: str = ""


def check(place: Place, index: Store, gate: Gate, found: Findings) -> None:
    """Compare bills, limits and counts once."""
    billed = [json.loads(line) for line in whole_lines(place.bills)]  # first: they were reserved before
    holds = gate.holds()
    found.fullest, found.overheld = 0.0, 0
    for user in USERS:
        limits = limits_for(PROFILE, user, place.now())
        for stand in standings(read_spendings(limits, index, as_named), holds, as_named):
            limit, counted = stand.spending.limit, stand.spending.spent + stand.held
            of_limit = sum(bill[_measured(limit)] for bill in billed if _is_on(limit, bill))
            found.overshoot = max(found.overshoot, of_limit - limit.amount)
            found.uncounted = max(found.uncounted, of_limit - counted)
            if counted / limit.amount > found.fullest:
                found.fullest, found.tightest = counted / limit.amount, str(limit.scope)
            # Meanwhile an entry may count beside its hold: when nothing moves, nothing is counted twice.
            found.overheld = max(found.overheld, counted - limit.amount)
    found.checks += 1


def _measured(limit: Limit) -> str:
    return "tokens" if limit.measure == "tokens" else "cost"


def _is_on(limit: Limit, bill: dict[str, object]) -> bool:
    tags = tuple(str(tag) for tag in bill["tags"])  # type: ignore[attr-defined]  # a list
    project = None if bill["project"] is None else str(bill["project"])
    call = CallScope(str(bill["user"]), service="openai", model="gpt-4o", tags=tags, project=project)
    return limit.covers(call, as_named)


def storm(place: Place, processes: int, kills: int, seed: int) -> tuple[Findings, int]:
    """Keep the number of processes up until nothing fits; return what was seen, and how many were killed."""
    chance, found, outside = random.Random(seed), Findings(), 0
    (place.folder / "costs").mkdir(mode=0o700)
    for number in range(JOBS):
        place.job(number).ledger.parent.mkdir()
    alive = {_started(place, chance.getrandbits(60)) for _ in range(processes)}
    end, is_full = time.monotonic() + PATIENCE_S, False
    checker = _checker(place)
    while alive:
        if time.monotonic() > end:
            raise SystemExit("the storm does not end: a reservation is stuck or the gate too slow")
        died = len(place.deaths.read_bytes()) if place.deaths.exists() else 0
        if outside < kills // 2 and outside < died and chance.random() < 0.3:
            os.kill(chance.choice(sorted(alive)), signal.SIGKILL)
            outside += 1
        for pid, status in exits(alive):
            alive.discard(pid)
            if not os.WIFSIGNALED(status) and status:
                raise SystemExit("a worker failed")
            is_full = is_full or status == 0
            if status and not is_full:
                alive.add(_started(place, chance.getrandbits(60)))
        time.sleep(0.005)
    os.kill(checker, signal.SIGTERM)
    os.waitpid(checker, 0)
    seen = json.loads((place.folder / "seen").read_text())
    with place.opened() as (index, gate):
        found.overshoot, found.uncounted, found.checks = seen["overshoot"], seen["uncounted"], seen["checks"]
        check(place, index, gate, found)
    return found, outside + len(place.deaths.read_bytes())


def _started(place: Place, seed: int) -> int:
    def work() -> None:
        with place.opened() as (index, gate):
            Worker(place, seed, index, gate).run()

    return forked(work)


def _checker(place: Place) -> int:
    """Check in a separate process, until it is stopped."""

    def work() -> None:
        found, ended = Findings(), []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
        with place.opened() as (index, gate):
            while not ended:
                check(place, index, gate, found)
                time.sleep(0.01)  # not to take the processor from those that it checks
        (place.folder / "seen").write_text(json.dumps(vars(found)))

    return forked(work)


def main() -> int:
    """Run the storm and print its summary; return 1 when something did not hold."""
    parser = command_line(__doc__, processes=32, seed=1)
    parser.add_argument("--kills", type=int, default=60, help="how many to kill from outside, twice, at most")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))
        found, killed = storm(place, options.processes, options.kills, options.seed)
        calls = len(whole_lines(place.bills))
    good = found.overshoot <= 0 and found.overheld <= 0 and found.uncounted <= 0 and found.fullest >= FULL
    return conclude(
        "limit storm",
        good,
        processes=options.processes,
        calls_billed=calls,
        processes_killed=killed,
        checks=found.checks,
        overshoot=max(0, found.overshoot),
        billed_but_not_counted=max(0, found.uncounted),
        counted_above_a_limit=max(0, found.overheld),
        percent_of_the_tightest_used=f"{found.fullest * 100:.1f}",
        tightest=found.tightest,
        seconds=round(time.monotonic() - start),
    )


if __name__ == "__main__":
    sys.exit(main())
