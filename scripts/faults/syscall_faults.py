"""Makes every system call of recording fail, one at a time: once or for good, with nine errnos, or short.

Seven scenarios run again and again, each time with another of their calls failing: an append, a drain of
the spool, ``log_usage``, a stage with its cost line, reading what somebody else appended,
reserve-log-settle, an export. The calls are Python's and SQLite's own. Nothing may be raised into the
stage but the gate's own refusals; every entry that was reported must be in its ledger in the end, and the
sums must have its cost. An export is whole or not there.

    python scripts/faults/syscall_faults.py [--cases 6000] [--seed 1] [--only reserve]

The cases are drawn at random from all that there are: each call of each scenario, failing in each way.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, entries_in, fast_folder
from scripts.faults.failing_calls import FAULT_KINDS, Fault, Injector
from scripts.faults.syscall_scenarios import PROFILE, SCENARIOS, Scenario, Stand
from shared.cost_tracker import CostTracker
from shared.costs.budgets import gate
from shared.costs.errors import StorageUnavailable
from shared.costs.ledger.recorder import Recorder
from shared.costs.money import Nanos, to_usd
from shared.costs.patience import at_most
from shared.costs.storage import CostStorage


@dataclass
class Totals:
    """What a run came to."""

    cases: int = 0
    lost: int = 0
    wrong_sums: int = 0
    broken_exports: int = 0
    raised: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        """Whether everything held."""
        return not (self.lost or self.wrong_sums or self.broken_exports or self.raised)


def one_case(scenario: Scenario, fault: Fault | None, totals: Totals) -> int:
    """Run a scenario, with a fault unless that is ``None``; return how many calls it made."""
    injector = Injector(fault)
    # Something may be written as the folder is taken away (seen once); what is to hold was asked before.
    with tempfile.TemporaryDirectory(dir=fast_folder(), ignore_cleanup_errors=True) as name:
        stand = Stand(Path(name) / "home")
        (Path(name) / "home.yaml").write_text(PROFILE)
        scenario.prepare(stand)
        # What waits for others waits briefly: time is not what is asked here.
        with contextlib.redirect_stderr(io.StringIO()), at_most(0), injector.installed():
            try:
                scenario.run(stand)
            except StorageUnavailable as raised:  # what a sum that is asked for may say
                if scenario.name != "read":
                    totals.raised[f"{scenario.name}: {fault}: {type(raised).__name__}: {raised}"] += 1
            except Exception as raised:  # whatever reaches the stage is what this program looks for
                totals.raised[f"{scenario.name}: {fault}: {type(raised).__name__}: {raised}"] += 1
        after(stand, totals)
    totals.cases += 1
    return injector.calls


def after(stand: Stand, totals: Totals) -> None:
    """Compare what is there in the end, with the disk well again, with what was reported."""
    for kept in stand.kept:
        kept.close()  # as at exit
    Recorder(CostStorage(stand.home)).close()
    found = entries_in([stand.ledger])[0] if stand.ledger.exists() else {}
    expected = len(stand.expected) + stand.calls
    totals.lost += max(0, expected - len(found)) + len(stand.expected - found.keys())
    if any(isinstance(kept, CostTracker) for kept in stand.kept):  # the recorder alone tells no store
        with CostTracker(stand.home / "job", cost_storage_path=stand.home) as tracker:
            total = to_usd(Nanos(sum(one.cost for one in found.values())))
            totals.wrong_sums += tracker.get_job_cost() != total
    totals.broken_exports += not stand.export_is_whole(len(found))


def cases_of(scenario: Scenario, totals: Totals) -> list[Fault]:
    """Return every fault of a scenario: one for each of its calls and each way to fail."""
    one_case(scenario, None, Totals())  # what is imported now is not read from the disk again
    calls = one_case(scenario, None, totals)
    return [Fault(at, number, for_good) for number, for_good in FAULT_KINDS for at in range(calls)]


def main() -> int:
    """Run the cases."""
    parser = command_line(__doc__, cases=6_000, seed=1)
    parser.add_argument("--only", choices=[scenario.name for scenario in SCENARIOS])
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    gate.GATE_WAIT_S = 0.05  # type: ignore[misc]  # a program of tests
    os.environ.pop("COST_TRACKER_ALLOW_OVER_BUDGET", None)
    totals = Totals()
    chosen = [scenario for scenario in SCENARIOS if options.only in (None, scenario.name)]
    cases = [(scenario, fault) for scenario in chosen for fault in cases_of(scenario, totals)]
    for scenario, fault in random.Random(options.seed).sample(cases, min(options.cases, len(cases))):
        one_case(scenario, fault, totals)
    for text, times in totals.raised.most_common(8):
        print(f"raised {times} times: {text}")
    return conclude(
        "system calls",
        totals.good,
        cases=totals.cases,
        possible=len(cases),
        scenarios=len(chosen),
        lost=totals.lost,
        wrong_sums=totals.wrong_sums,
        broken_exports=totals.broken_exports,
        raised_into_the_stage=totals.raised.total(),
    )


if __name__ == "__main__":
    raise SystemExit(main())
