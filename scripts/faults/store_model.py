"""Random sequences of everything that can happen to jobs and their storage, against a plain model.

Through the public methods alone. Each sequence logs (new requests and old ones, by trackers that are kept,
new or dropped), reverses, adds lines by hand, clears, renames, restores, cuts, copies and replaces
ledgers, loses files of the storage, spools and drains, reserves for one call or several, submits, empties
the profile, rebuilds, and goes on with new processes. After each step the month must be the sum of all
that was ever counted: what was logged, and what a look found in a known ledger. What fails is shrunk to
the shortest sequence.

    python3 scripts/faults/store_model.py [--sequences 5000] [--steps 30] [--seconds 0] [--seed 1]
"""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from zlib import crc32

from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scripts.faults.blackbox import (
    LEDGER,
    MODEL,
    NANOS,
    Place,
    choose_file,
    dashboard,
    live_holds,
    lose,
    plain,
    warm_up,
)
from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, fast_folder
from shared.cost_tracker import BudgetGateUnavailable, CostTracker

PROFILE = "budget: {monthly_limit_usd: 100000, block_at_limit: true}\n"
NUMBERS = st.integers(0, 10**6)
JOBS = st.sampled_from(["a", "b", "c"])
ALL = st.sampled_from(["a", "b", "c", "d", "e"])


class Model(RuleBasedStateMachine):
    """Some jobs, two processes' trackers of them, and all that was ever counted."""

    @initialize()
    def begin(self) -> None:
        """Make an empty storage."""
        self.place = Place(Path(tempfile.mkdtemp(prefix="store-model-", dir=fast_folder())))
        self.place.job("x").parent.mkdir(parents=True)
        self.profile = self.place.folder / "profile.yaml"
        self.profile.write_text(PROFILE)
        self.counted: dict[str, int] = {}
        self.known: set[Path] = set()
        self.saved: list[bytes] = []
        self.reversed: set[str] = set()
        self.kept: dict[tuple[str, bool], CostTracker] = {}
        self.made = self.looks = 0

    # --- what the rules need

    def ledger(self, job: str) -> Path:
        """The ledger of a job."""
        return self.place.job(job) / LEDGER

    def tracker(self, job: str, other: bool = False) -> CostTracker:
        """Return a tracker of a job that is kept."""
        if (job, other) not in self.kept:
            self.kept[job, other] = self.place.tracker(job, self.profile)
        return self.kept[job, other]

    def count(self, job: str) -> None:
        """Note what stands in the ledger of a job that was written to just now: it counts from here on."""
        self.known.add(self.ledger(job))
        for line in plain(self.ledger(job)).values():
            self.counted.setdefault(line.id, line.cost)

    def log_with(self, tracker: CostTracker, job: str, number: int, request: bool) -> None:
        """Log a call; the same request of a job counts once."""
        self.made += 1
        if request:
            tracker.log_usage(*MODEL, 1_000 + number % 5, 7, request_id=f"request-{number % 5}")
        else:
            tracker.log_usage(*MODEL, 1_000 + number % 1_000, self.made)
        self.count(job)

    # --- writing

    @rule(job=JOBS, number=NUMBERS, other=st.booleans(), request=st.booleans())
    def log(self, job: str, number: int, other: bool, request: bool) -> None:
        """Log by a tracker that is kept."""
        self.log_with(self.tracker(job, other), job, number, request)

    @rule(job=ALL, number=NUMBERS, close=st.booleans())
    def log_anew(self, job: str, number: int, close: bool) -> None:
        """Log by a new tracker that is closed, or dropped."""
        tracker = self.place.tracker(job, self.profile)
        self.log_with(tracker, job, number, False)
        if close:
            tracker.close()

    @rule(job=JOBS, number=NUMBERS)
    def add_by_hand(self, job: str, number: int) -> None:
        """Add a line of another id to a known ledger, as somebody with an editor or another host does."""
        lines = (
            self.ledger(job).read_bytes().splitlines() if self.ledger(job) in self.known_and_there() else []
        )
        if not lines:
            return
        body, mark, _ = lines[number % len(lines)].rpartition(b',"crc":"')
        if not mark:
            return
        entry = json.loads(body + b"}")
        if entry["kind"] == "usage" and not entry.get("request_id"):
            self.made += 1
            fresh = body.replace(entry["id"].encode(), b"%028x" % (0xABC0000 + self.made))
            self.ensure_end(self.ledger(job))
            with self.ledger(job).open("ab") as file:
                file.write(b'%b,"crc":"%08x"}\n' % (fresh, crc32(fresh)))

    def ensure_end(self, ledger: Path) -> None:
        """End a torn line, as every writer does."""
        if ledger.read_bytes()[-1:] not in {b"", b"\n"}:
            with ledger.open("ab") as file:
                file.write(b"\n")

    def known_and_there(self) -> set[Path]:
        """Known ledgers that are there."""
        return {ledger for ledger in self.known if ledger.exists()}

    @rule(job=JOBS, number=NUMBERS)
    def reverse(self, job: str, number: int) -> None:
        """Take a call back that is in a known ledger."""
        lines = plain(self.ledger(job)) if self.ledger(job) in self.known else {}
        calls = sorted(i for i, one in lines.items() if one.kind == "usage" and i not in self.reversed)
        if calls:
            chosen = calls[number % len(calls)]
            self.tracker(job).reverse(chosen, "a step of the model")
            self.reversed.add(chosen)
            self.count(job)

    @rule(job=JOBS, number=NUMBERS)
    def spool(self, job: str, number: int) -> None:
        """Log while something else lies at the ledger's place, and have it drained."""
        ledger, aside = self.ledger(job), self.place.job(job) / "aside"
        ledger.parent.mkdir(exist_ok=True)
        if ledger.exists():
            ledger.rename(aside)
        ledger.mkdir()
        self.made += 1
        with self.place.tracker(job, self.profile) as tracker:
            tracker.log_usage(*MODEL, 1_000 + number % 1_000, self.made)
        ledger.rmdir()
        if aside.exists():
            aside.rename(ledger)
        before = len(plain(ledger))
        with self.place.tracker(job, self.profile) as tracker:
            tracker.log_usage(*MODEL, 1, self.made)
        assert len(plain(ledger)) == before + 2, "what waited in the spool is not in its ledger"
        self.count(job)

    @rule(job=JOBS, calls=st.integers(1, 3), number=NUMBERS)
    def hold(self, job: str, calls: int, number: int) -> None:
        """Reserve for one call or several, and settle."""
        with self.tracker(job).reserve(*MODEL, tokens_input=9_000, max_tokens_output=900) as hold:
            for _ in range(calls):
                self.made += 1
                self.tracker(job).log_usage(*MODEL, 1_000 + number % 1_000, self.made % 90, reservation=hold)
        self.count(job)

    @rule(job=JOBS)
    def void(self, job: str) -> None:
        """Reserve, and give it back."""
        with self.tracker(job).reserve(*MODEL, tokens_input=9_000, max_tokens_output=900) as hold:
            hold.void()

    @rule(job=JOBS, text=st.sampled_from(["", "# nothing\n", None]))
    def empty_profile(self, job: str, text: str | None) -> None:
        """Empty the profile or lose it: the gate shuts, recording goes on."""
        self.void(job)
        if text is None:
            self.profile.unlink()
        else:
            self.profile.write_text(text)
        # A new tracker: one that is kept believes its look at the profile for a moment.
        with self.place.tracker(job, self.profile) as tracker:
            try:
                with tracker.reserve(*MODEL, tokens_input=1, max_tokens_output=1) as hold:
                    hold.void()
                raise AssertionError("an emptied profile opens the gate")
            except BudgetGateUnavailable:
                pass
            self.log_with(tracker, job, self.made, False)
        self.profile.write_text(PROFILE)
        self.kept.clear()

    # --- what becomes of jobs

    @rule(job=ALL, folder=st.booleans())
    def clear(self, job: str, folder: bool) -> None:
        """Remove a job's ledger, or its folder with it."""
        shutil.rmtree(self.place.job(job), ignore_errors=True)
        if not folder:
            self.place.job(job).mkdir()

    @rule(job=ALL, to=ALL)
    def rename(self, job: str, to: str) -> None:
        """Give a job's folder another name."""
        if self.ledger(job).exists() and not self.ledger(to).exists():
            shutil.rmtree(self.place.job(to), ignore_errors=True)
            self.place.job(job).rename(self.place.job(to))

    @rule(job=ALL, to=ALL, in_place=st.booleans())
    def replace(self, job: str, to: str, in_place: bool) -> None:
        """Copy a ledger to another job, over what is there."""
        if job != to and self.ledger(job).exists():
            self.overwrite(to, self.ledger(job).read_bytes(), in_place)

    @rule(job=ALL)
    def back_up(self, job: str) -> None:
        """Keep a copy of a ledger."""
        if self.ledger(job).exists():
            self.saved.append(self.ledger(job).read_bytes())

    @precondition(lambda self: self.saved)
    @rule(job=ALL, number=NUMBERS, in_place=st.booleans())
    def restore(self, job: str, number: int, in_place: bool) -> None:
        """Put a copy back, to its job or another."""
        self.overwrite(job, self.saved[number % len(self.saved)], in_place)

    def overwrite(self, job: str, data: bytes, in_place: bool) -> None:
        """Rewrite a ledger."""
        ledger = self.ledger(job)
        ledger.parent.mkdir(exist_ok=True)
        if in_place and ledger.exists():
            ledger.write_bytes(data)
            return
        fresh = ledger.with_name("fresh")
        fresh.write_bytes(data)
        fresh.chmod(0o600)
        fresh.replace(ledger)

    @rule(job=ALL, number=NUMBERS, whole=st.booleans())
    def cut(self, job: str, number: int, whole: bool) -> None:
        """Cut a ledger in place, after a line or within one."""
        if self.ledger(job).exists():
            data = self.ledger(job).read_bytes()
            keep = number % (len(data) + 1)
            os.truncate(self.ledger(job), data.rfind(b"\n", 0, keep) + 1 if whole else keep)

    # --- what becomes of the storage

    @rule(number=NUMBERS)
    def lose_file(self, number: int) -> None:
        """Lose a file of the storage under the feet of those who use it."""
        if path := choose_file(self.place.home, random.Random(number)):
            note(f"lost: {path.relative_to(self.place.home)}")
            lose(path, random.Random(number))

    @rule()
    def rebuild(self) -> None:
        """Rebuild what is derived."""
        assert dashboard(self.place.home, "rebuild-index", profile=self.profile).code == 0

    @rule(close=st.booleans())
    def go_on_with_others(self, close: bool) -> None:
        """Go on with other trackers."""
        self.other_processes(close)

    def other_processes(self, close: bool) -> None:
        """Close the trackers that are kept, or drop them."""
        if close:
            for tracker in self.kept.values():
                tracker.close()
        self.kept.clear()
        gc.collect()

    # --- what must hold

    @invariant()
    def month_is_what_was_counted(self) -> None:
        """Look, by a tracker that is kept or by a new one."""
        if not hasattr(self, "place"):
            return
        self.looks += 1
        for ledger in self.known_and_there():
            for line in plain(ledger).values():
                self.counted.setdefault(line.id, line.cost)
        tracker = self.tracker("a") if self.looks % 2 else self.place.tracker("b", self.profile)
        said = round(tracker.get_monthly_cost() * NANOS)
        owed = sum(self.counted.values())
        assert said == owed, f"{(said - owed) / NANOS:+.9f} of {owed / NANOS:.9f} USD"

    def teardown(self) -> None:
        """See that nothing is held, once nobody has a lost file open any more."""
        try:
            if hasattr(self, "place"):
                self.other_processes(close=True)
                assert live_holds(self.place.home, self.profile) == (0, 0), "something is held"
        finally:
            shutil.rmtree(self.place.folder, ignore_errors=True)


def run(sequences: int, steps: int, number: int, shrink: bool) -> None:
    """Run the model; raises what Hypothesis found, shrunk, which may take some minutes."""
    chosen = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
    )
    run_state_machine_as_test(seed(number)(Model), settings=chosen)


def main() -> int:
    """Run the model in parts, each with a seed of its own."""
    parser = command_line(__doc__, sequences=5_000, steps=30, seed=1)
    parser.add_argument(
        "--seconds", type=float, default=0, help="begin no further part after this long; 0: all"
    )
    parser.add_argument("--raw", action="store_true", help="do not shrink what fails")
    options = parser.parse_args()
    warm_up()
    began, done = time.monotonic(), 0
    while done < options.sequences and not (options.seconds and time.monotonic() - began > options.seconds):
        part = min(100, options.sequences - done)
        run(part, options.steps, options.seed * 1_000_003 + done, not options.raw)
        done += part
    return conclude("store model", True, sequences=done, steps_of_each=options.steps)


if __name__ == "__main__":
    raise SystemExit(main())
