"""Random sequences of everything that can happen to ledgers and their index, against a plain model.

Each sequence appends, retries, reverses, adjusts, spools and drains, damages, dies before it indexes,
cuts, restores, rebuilds, sweeps, deletes and reopens; after it (and whenever Hypothesis asks) every
answer of the index must be the one of a full fold. What fails is shrunk to the shortest sequence.

    python3 scripts/faults/index_model.py [--sequences 5000] [--steps 30] [--seed 1]
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scripts.faults.index_histories import History, an_entry, assert_is_fold
from shared.costs.index import catchup, intake
from shared.costs.index.index import Index
from shared.costs.ledger.line import encode
from shared.costs.ledger.places import Appended
from shared.costs.ledger.spool import put, waiting
from shared.costs.model import Entry, Usage
from shared.costs.rollup import Query

SEEDS = st.integers(0, 10**6)
JOBS = st.integers(0, 2)


class Model(RuleBasedStateMachine):
    """Ledgers of three jobs, two processes that use the index, and what is in the spool."""

    @initialize()
    def begin(self) -> None:
        """Make an empty cost storage."""
        catchup.SWEEP_AT = 2  # type: ignore[misc]  # to have it happen
        intake.FAST_BYTES = 2_000  # type: ignore[misc]  # to have small and large ledgers
        self.root = Path(tempfile.mkdtemp(prefix="index-model-"))
        self.history = History(self.root)
        self.index: Index = self.history.open()
        self.other: Index = self.history.open()
        for number in range(3):
            ledger = self.history.job(f"job-{number}")
            self.index.register(ledger, f"job-{number}")
            self.history.append_bytes(ledger, b"")
        self.late: list[tuple[Path, Entry, Appended, bytes]] = []

    def _entry(self, number: int) -> Entry:
        return an_entry(random.Random(number), id=f"{number:028x}")

    def _any_entry(self, number: int) -> Entry | None:
        entries = self.history.entries()
        return entries[number % len(entries)][1] if entries else None

    @rule(job=JOBS, number=SEEDS, other=st.booleans())
    def log(self, job: int, number: int, other: bool) -> None:
        """Append and index; an id that was used before is a repetition or a conflict."""
        index, ledger = (self.other if other else self.index), self.history.ledgers[job]
        index.register(ledger, ledger.parent.name)
        place, line = self.history.append(ledger, self._entry(number))
        index.note_appended(ledger, self._entry(number), place, line)

    @rule(job=JOBS, number=SEEDS)
    def append(self, job: int, number: int) -> None:
        """Append, to tell the index later or never."""
        ledger = self.history.ledgers[job]
        self.other.register(ledger, ledger.parent.name)
        self.late.append((ledger, self._entry(number), *self.history.append(ledger, self._entry(number))))

    @precondition(lambda self: self.late)
    @rule(number=SEEDS, other=st.booleans())
    def note_late(self, number: int, other: bool) -> None:
        """Tell the index of a line, in whatever order, and whatever became of its ledger meanwhile."""
        index = self.other if other else self.index
        index.note_appended(*self.late.pop(number % len(self.late)))

    @rule(job=JOBS, number=SEEDS)
    def cut(self, job: int, number: int) -> None:
        """Cut a ledger back in place, after a line or within one, which the next writer heals."""
        ledger = self.history.ledgers[job]
        self.index.register(ledger, ledger.parent.name)
        size = ledger.stat().st_size
        kept = number % (size + 1)
        if number % 2:
            kept = ledger.read_bytes().rfind(b"\n", 0, kept) + 1
        os.truncate(ledger, kept)
        if ledger.read_bytes()[-1:] not in (b"", b"\n"):
            self.history.append_bytes(ledger, b"\n")

    @rule(job=JOBS, number=SEEDS)
    def die_before_indexing(self, job: int, number: int) -> None:
        """Append, and tell nobody."""
        ledger = self.history.ledgers[job]
        self.other.register(ledger, ledger.parent.name)
        self.history.append(ledger, self._entry(number))

    @rule(job=JOBS, number=SEEDS)
    def retry(self, job: int, number: int) -> None:
        """Append an entry that is there already, in its own ledger or in another."""
        if entry := self._any_entry(number):
            self.index.register(self.history.ledgers[job], f"job-{job}")
            self.history.append(self.history.ledgers[job], entry)

    @rule(number=SEEDS)
    def reverse(self, number: int) -> None:
        """Undo a call."""
        entry = self._any_entry(number)
        if entry is not None and entry.kind == "usage":
            undone = replace(
                entry, id=f"undo-{entry.id}", kind="reversal", corrects=entry.id, why="test",
                charge=None, resolves_unpriced=entry.charge is None,
            )  # fmt: skip
            self.index.register(self.history.ledgers[0], "job-0")
            self.history.append(self.history.ledgers[0], undone)

    @rule(number=SEEDS)
    def adjust(self, number: int) -> None:
        """Correct the charge of a call."""
        entry = self._any_entry(number)
        if entry is not None and entry.charge is not None:
            more = replace(entry, id=f"adjust-{number}", kind="adjustment", corrects=entry.id, usage=Usage())
            self.index.register(self.history.ledgers[1], "job-1")
            self.history.append(self.history.ledgers[1], more)

    @rule(job=JOBS, number=SEEDS)
    def spool(self, job: int, number: int) -> None:
        """Keep a line in the spool."""
        entry = self._entry(number)
        self.index.register(self.history.ledgers[job], f"job-{job}")
        put(self.history.storage, self.history.ledgers[job], encode(entry), entry.id)

    @rule(dies=st.booleans())
    def drain(self, dies: bool) -> None:
        """Append what waits; who dies in between leaves it twice."""
        for one in list(waiting(self.history.storage)):
            self.history.append_bytes(one.ledger, one.line)
            if not dies:
                one.path.unlink()

    @rule(job=JOBS, number=SEEDS)
    def damage(self, job: int, number: int) -> None:
        """Append a torn line, as a killed writer leaves and the next one heals."""
        self.index.register(self.history.ledgers[job], f"job-{job}")
        line = encode(self._entry(number))
        self.history.append_bytes(self.history.ledgers[job], line[: number % 200 + 1] + b"\n")

    @rule(job=JOBS, number=SEEDS)
    def restore(self, job: int, number: int) -> None:
        """Put an earlier state of a ledger back."""
        ledger = self.history.ledgers[job]
        lines = ledger.read_bytes().splitlines(keepends=True)
        self.index.register(ledger, f"job-{job}")
        kept = b"".join(lines[: number % (len(lines) + 1)])
        # A new file, as a restore makes: a shorter one with the same bytes before would be noticed as well.
        fresh = ledger.with_name("restored")
        fresh.write_bytes(kept)
        fresh.chmod(0o600)
        os.replace(fresh, ledger)

    @rule(other=st.booleans())
    def look(self, other: bool) -> None:
        """Catch up."""
        (self.other if other else self.index).catch_up_all()

    @rule()
    def rebuild(self) -> None:
        """Build the whole index anew."""
        self.index.rebuild()

    @rule(job=JOBS)
    def rebuild_one(self, job: int) -> None:
        """Take one ledger out and in."""
        self.other.rebuild_ledger(self.history.ledgers[job])

    @rule()
    def reopen(self) -> None:
        """Close one index, whose marks may be swept from here on, and open it again."""
        self.other.close()
        self.other = self.history.open()

    @rule(name=st.sampled_from(["index.db", "index.db-seal"]))
    def delete(self, name: str) -> None:
        """Delete the index or its seal, under the feet of those who use it."""
        self.history.storage.root.joinpath(name).unlink(missing_ok=True)

    @rule()
    def kill_both(self) -> None:
        """Go on with others, as after both were killed."""
        self.index.registry.close()
        self.other.registry.close()
        self.index, self.other = self.history.open(), self.history.open()

    @invariant()
    def nothing_is_raised(self) -> None:
        """The sums of one user can be had at any moment."""
        self.index.spend(an_entry(random.Random(1)).timestamp, an_entry(random.Random(1)).timestamp)

    def teardown(self) -> None:
        """Compare everything with a full fold."""
        try:
            assert_is_fold(self.index, self.history)
            assert_is_fold(self.other, self.history)
            entries = {entry.id for entry in self.index.entries(Query())}
            assert entries == {entry.id for _, entry in self.history.entries()}
        finally:
            self.index.close()
            self.other.close()
            shutil.rmtree(self.root)


def run(sequences: int, steps: int, number: int) -> None:
    """Run the model; raises what Hypothesis found, shrunk."""
    logging.getLogger("shared.cost_tracker").setLevel(logging.CRITICAL)
    chosen = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    run_state_machine_as_test(seed(number)(Model), settings=chosen)


def main() -> int:
    """Run the model and print one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=5_000)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    run(given.sequences, given.steps, given.seed)
    print(
        f"index model: seed {given.seed}, {given.sequences} sequences of up to {given.steps} steps: "
        f"always equal to a full fold"
    )
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
