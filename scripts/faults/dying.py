"""What storms at the gate share: processes that reserve, are billed, record and settle, and die at any point.

A spender kills itself with SIGKILL at three points: after reserving, after the provider noted its bill, and
after its entry is in the ledger.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from shared.costs.budgets.gate import Gate, GateRequest
from shared.costs.budgets.hold import Hold
from shared.costs.ledger.counted import new_id
from shared.costs.ledger.line import encode
from shared.costs.ledger.writer import append
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.rollup import JobRef
from shared.costs.storage import CostStorage
from shared.costs.store.holds import LocalHolds
from shared.costs.store.presence import presence_in
from shared.costs.store.store import Store

MODEL: Final = ("openai", "gpt-4o")
PRICED_BY: Final = PricedBy("catalogue", "1", "/".join(MODEL))
PATIENCE_S: Final = 900.0
"""After how long a storm that does not end counts as stuck, in seconds."""


class Place(Protocol):
    """Where a storm takes place, and what is written down of it."""

    @property
    def bills(self) -> Path:
        """What the provider billed, a line each."""
        ...

    @property
    def deaths(self) -> Path:
        """One letter for each holder that killed itself."""
        ...

    def job(self, number: int) -> JobRef:
        """Return one of the jobs."""
        ...

    def now(self) -> datetime:
        """Return the present."""
        ...


def as_named(service: str, model: str) -> str:
    """Return the name of a model."""
    return f"{service}/{model}"


@contextmanager
def opened(storage: CostStorage, now: Callable[[], datetime]) -> Iterator[tuple[Store, Gate]]:
    """Open the store and the gate of this process."""
    with Store.of(storage) as store:
        holds = LocalHolds(store, presence_in(storage.writers_dir), now)
        yield store, Gate(holds, clock=now, names=as_named)


class Spender:
    """One process that calls, and dies now and then: ``death`` is how probable that is at each point."""

    def __init__(self, place: Place, seed: int, store: Store, death: float) -> None:
        self.random = random.Random(seed)
        self._place, self._store, self._death = place, store, death
        self._bills, self._deaths = appending(place.bills), appending(place.deaths)

    def a_job(self, jobs: int) -> JobRef:
        """Return one of the jobs, which is known now."""
        job = self._place.job(self.random.randrange(jobs))
        self._store.note(job.ledger)
        return job

    def spend(self, request: GateRequest, hold: Hold, bill: str, cost: Nanos, tokens: int = 0) -> None:
        """Be billed for a call under a hold, and record it."""
        self._perhaps_die(b"a")
        os.write(self._bills, f"{bill}\n".encode())
        self._perhaps_die(b"b")
        self._record(request, hold, cost, tokens)

    def _record(self, request: GateRequest, hold: Hold, cost: Nanos, tokens: int) -> None:
        assert request.job is not None
        entry = Entry(
            id=new_id(),
            timestamp=self._place.now(),
            job_id=request.job.job_id,
            user_id=request.user_id,
            service=request.service,
            model=request.model,
            usage=Usage(tokens_input=tokens),
            charge=Charge({"input": cost}, PRICED_BY),
            tags=request.tags,
            project=request.project,
            reservation=hold.id,
            period_at=hold.period_at,
        )
        line = encode(entry)
        place = append(request.job.ledger, line, PATIENCE_S)
        self._perhaps_die(b"c")
        self._store.appended(request.job.ledger, entry, place, line)
        hold.recorded(cost)
        hold.close()

    def _perhaps_die(self, where: bytes) -> None:
        if self.random.random() < self._death:
            os.write(self._deaths, where)
            os.kill(os.getpid(), signal.SIGKILL)


def appending(path: Path) -> int:
    """Return a descriptor of a file to which many processes append lines."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def whole_lines(path: Path) -> list[str]:
    """Return the lines of such a file, without one that is just being written."""
    text = path.read_text() if path.exists() else ""
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def exits(alive: set[int]) -> Iterator[tuple[int, int]]:
    """Give each child that has ended, with its status."""
    for pid in sorted(alive):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            yield pid, status
