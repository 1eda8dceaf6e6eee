"""What is done while a system call fails, and what must be there afterwards."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from scripts.faults.common import encode, entry
from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker
from shared.costs.apps.cli.program import run as dashboard
from shared.costs.errors import FAILED
from shared.costs.ledger import spool
from shared.costs.ledger.recorder import Recorder
from shared.costs.storage import CostStorage

PROFILE = "budget: {monthly_limit_usd: 50, block_at_limit: true}\n"


@dataclass
class Stand:
    """Where a scenario runs, what it must leave behind, and what is still open when it is over."""

    home: Path
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    expected: set[str] = field(default_factory=set)
    calls: int = 0
    """How many calls were logged whose ids the tracker chose."""
    kept: list[CostTracker | Recorder] = field(default_factory=list)
    code: int | None = None
    """The exit code of an export, where there was one."""

    @property
    def ledger(self) -> Path:
        """The ledger of the one job."""
        return self.home / "job" / "cost_ledger.jsonl"

    @property
    def export(self) -> Path:
        """The file of the export."""
        return self.home.parent / "costs.csv"

    def tracker(self) -> CostTracker:
        """Return a tracker under a blocking budget."""
        profile = self.home.parent / f"{self.home.name}.yaml"
        made = CostTracker(self.home / "job", cost_storage_path=self.home, profile_path=profile)
        self.kept.append(made)
        return made

    def log(self, tracker: CostTracker, **details: object) -> None:
        """Log a call."""
        tracker.log_usage("openai", "gpt-4o", 1000, 200, **details)  # type: ignore[arg-type]  # a reservation
        self.calls += 1

    def export_is_whole(self, entries: int) -> bool:
        """Whether the export is there if that was said, and has every entry unless that was said."""
        if not self.export.exists():
            return self.code != 0
        return self.code == FAILED or len(self.export.read_text().splitlines()) == 1 + entries


class Scenario(NamedTuple):
    """What is done beforehand, while all is well, and then under faults."""

    name: str
    run: Callable[[Stand], None]
    prepare: Callable[[Stand], None] = lambda _: None


def append(stand: Stand) -> None:
    """Record one line."""
    one, recorder = entry(stand.rng), Recorder(CostStorage(stand.home))
    stand.kept.append(recorder)
    stand.expected.add(one.id)
    recorder.record(stand.ledger, encode(one), one.id)


def drain(stand: Stand) -> None:
    """Record a line while another one waits in the spool."""
    waiting = entry(stand.rng)
    with contextlib.suppress(OSError):
        spool.put(CostStorage(stand.home), stand.ledger, encode(waiting), waiting.id)
        stand.expected.add(waiting.id)
    append(stand)


def log(stand: Stand) -> None:
    """Log a call through the tracker."""
    stand.log(stand.tracker())


def stage(stand: Stand) -> None:
    """Log a call in a stage, which tells its cost and where the budgets stand."""
    tracker = stand.tracker()
    with tracker.stage("13_ai_summarization", logger=logging.getLogger("faults")):
        stand.log(tracker)


def read(stand: Stand) -> None:
    """Take in what a process left that died before it did."""
    stand.tracker().get_job_cost()


def reserve(stand: Stand) -> None:
    """Reserve, log, settle; a refusal by the gate is not a loss."""
    tracker = stand.tracker()
    try:
        with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=200) as hold:
            stand.log(tracker, reservation=hold)
    except (BudgetGateUnavailable, BudgetExceeded):
        return


def export(stand: Stand) -> None:
    """Export to a file. The command may fail, or miss a ledger, with the exit code that says so."""
    with mock.patch.dict("os.environ", COST_TRACKER_HOME=str(stand.home)):
        stand.code = dashboard(["export", "csv", str(stand.export)])
    if stand.code not in (0, 2, FAILED):  # 2: the file could not be looked at
        raise AssertionError(f"the exit code is {stand.code}")


def _logged(stand: Stand) -> None:
    with stand.tracker() as tracker:
        stand.log(tracker)


def _left_behind(stand: Stand) -> None:
    """Append to a known ledger without telling the store."""
    _logged(stand)
    append(stand)


SCENARIOS = (
    Scenario("append", append),
    Scenario("drain", drain),
    Scenario("log", log),
    Scenario("stage", stage, _logged),
    Scenario("read", read, _left_behind),
    Scenario("reserve", reserve),
    Scenario("export", export, _left_behind),
)
