"""The budget of one run, shared by all processes that its program starts.

One small file under one lock has what was spent, what is held for calls in progress, and how many calls
were denied. What a process held stays held if the process dies: the provider may have served the call, and
the run ends soon.

>>> import tempfile
>>> purse = Purse.filled(Path(tempfile.mkdtemp()) / "run.json", Nanos(5_000_000_000))
>>> hold = purse.hold(Nanos(3_000_000_000), "openai/gpt-4o")
>>> purse.hold(Nanos(2_500_000_000), "openai/gpt-4o")
Traceback (most recent call last):
...
shared.costs.errors.BudgetExceeded: up to $2.5000 for openai/gpt-4o does not fit into the budget of this ...
>>> purse.settle(hold, Nanos(1_000_000_000))
>>> purse.state.spent, purse.state.held, purse.state.denied
(1000000000, {}, 1)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from ..errors import BudgetExceeded, BudgetGateUnavailable, Denial
from ..ledger.counted import new_id
from ..money import Nanos, format_usd
from ..replacing import replacing

T = TypeVar("T")

SCOPE: Final = "budget of this run"
WAIT_S: Final = 10.0
_POLL_S: Final = 0.002


@dataclass(slots=True)
class PurseState:
    """Amounts in nano-dollars; ``held`` by id of the hold; ``denied`` is the number of denied calls."""

    budget: int
    spent: int = 0
    held: dict[str, int] = field(default_factory=dict)
    denied: int = 0

    @property
    def remaining(self) -> int:
        """What may still be held; negative if calls cost more than was held for them."""
        return self.budget - self.spent - sum(self.held.values())


class Purse:
    """The budget of one run. Safe to use from threads, and from all processes of the run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def filled(cls, path: Path, budget: Nanos) -> Purse:
        """Create the file that the processes of a run share.

        Raises:
            CannotWrite: the file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        purse = cls(path)
        purse._write(PurseState(budget))
        return purse

    @property
    def state(self) -> PurseState:
        """What was spent and what is held now."""
        return self._read()

    def hold(self, most: Nanos | None, what: str) -> str:
        """Hold the most that a call can cost; return the id of the hold.

        If that is not known (``None``), nothing is held, and the call is allowed while anything remains.

        Raises:
            BudgetExceeded: the call does not fit.
            BudgetGateUnavailable: the file cannot be used, for example after the end of the run.
        """
        hold_id = new_id()

        def change(state: PurseState) -> BudgetExceeded | None:
            fits = state.remaining > 0 if most is None else most <= max(state.remaining, 0)
            if not fits:
                state.denied += 1
                return _exceeded(state, most, what)
            if most is not None:
                state.held[hold_id] = most
            return None

        if (denied := self._changed(change)) is not None:
            raise denied
        return hold_id

    def settle(self, hold_id: str, cost: Nanos) -> None:
        """Replace what was held by what the call did cost; a second cost of the same hold is added."""

        def change(state: PurseState) -> None:
            state.held.pop(hold_id, None)
            state.spent += cost

        self._changed(change)

    def _changed(self, change: Callable[[PurseState], T]) -> T:
        from filelock import FileLock, Timeout  # 50 ms that only a run with a budget needs

        lock = FileLock(self.path.with_suffix(".lock"), timeout=WAIT_S, mode=0o600)
        try:
            with lock.acquire(poll_interval=_POLL_S):
                before, state = self._read(), self._read()
                result = change(state)
                if state != before:
                    self._write(state)
                return result
        except (OSError, ValueError, Timeout) as fault:
            raise BudgetGateUnavailable(f"the budget of this run cannot be used: {fault}") from fault

    def _read(self) -> PurseState:
        return PurseState(**json.loads(self.path.read_text(encoding="utf-8")))

    def _write(self, state: PurseState) -> None:
        with replacing(self.path) as draft:
            draft.write_text(json.dumps(asdict(state)), encoding="utf-8")

    def remove(self) -> None:
        """Remove the file, so that processes that still run get no more calls."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".lock").unlink(missing_ok=True)


def _exceeded(state: PurseState, most: Nanos | None, what: str) -> BudgetExceeded:
    held = Nanos(sum(state.held.values()))
    holding = f" and {format_usd(held, 4)} held for other calls" if held else ""
    budget, spent = format_usd(Nanos(state.budget), 4), format_usd(Nanos(state.spent), 4)
    request = f"up to {format_usd(most, 4)} for {what} does" if most is not None else f"a call of {what} may"
    remedy = "run it with a larger --budget"
    return BudgetExceeded(
        f"{request} not fit into the {SCOPE}: of {budget}, {spent} is spent{holding}; {remedy}",
        Denial(SCOPE, state.budget, state.spent, held, most or 0),
    )
