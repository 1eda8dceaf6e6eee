"""Reprice a large history: nothing edited, sums exact, a second run adds nothing, `verify --prices` clean.

    python3 scripts/bench/reprice.py --entries 1000000 --jobs 10000

A third of the calls have no price, a third a price that is corrected with `--all`, and a third one
that stays. Expected sums are made of whole nano-dollars while the history is written. `reprice` and
`verify` run as processes of their own, so their memory is seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.faults.command_line import command_line
from shared.costs.ledger.counted import new_id
from shared.costs.ledger.line import encode
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import Nanos
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.rollup import Query
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store

PROGRAM = Path(__file__).resolve().parents[2] / "tools" / "cost-dashboard.py"
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
OWN_INPUT, OWN_OUTPUT = 1_000, 2_000
"""What the user's own models cost, in nano-dollars per token."""

PRICES = """
models:
  acme/unheard-of-1:
    prices:
      - since: 2026-01-01
        source: an offer
        per_million_tokens: {input: 1.00, output: 2.00}
  openai/gpt-4:
    prices:
      - since: 2026-01-01
        source: an agreement
        per_million_tokens: {input: 1.00, output: 2.00}
"""


@dataclass
class History:
    """What was written: ledgers with the hashes of their bytes, and sums before and after in nano-dollars."""

    root: Path
    calls: int = 0
    ledgers: dict[Path, tuple[int, str]] = field(default_factory=dict)
    unpriced: int = 0
    wrong: int = 0
    after: int = 0

    @property
    def storage(self) -> CostStorage:
        """The cost storage in which the ledgers are registered."""
        return CostStorage(self.root / "storage")


def make(root: Path, entries: int, jobs: int, seed: int) -> History:
    """Write a history, with the prices that are to correct it beside its profile."""
    chance, history, catalogue = random.Random(seed), History(root), Catalogue.load()
    for number in range(jobs):
        count = entries * (number + 1) // jobs - entries * number // jobs
        ledger = root / "jobs" / f"job-{number:06d}" / LEDGER_NAME
        ledger.parent.mkdir(parents=True)
        at = BEGIN + timedelta(minutes=number)
        calls = (_call(history, catalogue, ledger.parent.name, at, chance) for _ in range(count))
        text = b"".join(map(encode, calls))
        ledger.write_bytes(text)
        ledger.chmod(0o600)
        history.ledgers[ledger] = (len(text), hashlib.sha256(text).hexdigest())
    history.storage.prepare()
    (root / "profile.yaml").write_text("timezone: UTC\n")
    (root / "prices.yaml").write_text(PRICES)
    with Store.of(history.storage) as index:
        index.add_under(root / "jobs")
    return history


def _call(history: History, catalogue: Catalogue, job: str, at: datetime, chance: random.Random) -> Entry:
    usage = Usage(tokens_input=chance.randrange(200, 6_000), tokens_output=chance.randrange(50, 800))
    own = OWN_INPUT * usage.tokens_input + OWN_OUTPUT * usage.tokens_output
    service, model = chance.choice((("acme", "unheard-of-1"), ("openai", "gpt-4"), ("openai", "gpt-4o")))
    found = catalogue.charge(service, model, usage, at)
    charge = found if isinstance(found, Charge) else None
    history.calls += 1
    history.unpriced += charge is None
    history.wrong += model == "gpt-4"
    history.after += own if model != "gpt-4o" else (charge.total if charge else 0)
    return Entry(
        id=new_id(),
        timestamp=at,
        job_id=job,
        user_id="1",
        stage="13_ai_summarization",
        service=service,
        model=model,
        usage=usage,
        charge=charge,
    )


def run(history: History, *command: str) -> tuple[Any, float, float]:
    """Run a command; return its JSON, its seconds and its peak memory in MB."""
    environment = {
        **os.environ,
        "COST_TRACKER_HOME": str(history.storage.root),
        "COST_TRACKER_PROFILE": str(history.root / "profile.yaml"),
    }
    begin = time.perf_counter()
    answer = history.root / "answer.json"
    with answer.open("w") as file:
        child = subprocess.Popen(
            [sys.executable, str(PROGRAM), *command, "--json"], stdout=file, env=environment
        )
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return json.loads(answer.read_text()), time.perf_counter() - begin, used.ru_maxrss / 1024


def check(found: object, expected: object, what: str) -> None:
    """End the program when something is not as it must be."""
    if found != expected:
        raise SystemExit(f"FAILED: {what}: {found!r}, not {expected!r}")


def check_ledgers(history: History) -> int:
    """Check that every ledger begins with what it was, and return how many lines were appended."""
    lines = 0
    for ledger, (length, digest) in history.ledgers.items():
        text = ledger.read_bytes()
        check(hashlib.sha256(text[:length]).hexdigest(), digest, f"the beginning of {ledger}")
        lines += text[length:].count(b"\n")
    return lines


def check_sums(history: History) -> None:
    """Check the sum over all ledgers, to the nano-dollar."""
    with Store.of(history.storage) as index:
        (group,) = index.groups((), Query())
    check(group.totals.cost, Nanos(history.after), "the sum")
    check(group.totals.unpriced_calls, 0, "calls without a price")
    check(group.totals.calls, history.calls, "calls")


def main() -> None:
    """Make a history, reprice it, and check everything."""
    parser = command_line(__doc__, entries=100_000, jobs=1_000, seed=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reprice-") as folder:
        history = make(Path(folder), given.entries, given.jobs, given.seed)
        first, seconds, memory = run(history, "reprice", "--all", "--yes")
        check(first["repriced_calls"], history.unpriced + history.wrong, "calls that were corrected")
        check(check_ledgers(history), first["repriced_calls"], "lines that were appended")
        check_sums(history)
        again, _, _ = run(history, "reprice", "--all", "--yes")
        check(again["repriced_calls"], 0, "calls that were corrected the second time")
        check(check_ledgers(history), first["repriced_calls"], "lines after the second time")
        _, verify_seconds, verify_memory = run(history, "verify", "--prices")
    print(
        f"seed {given.seed}: {given.entries:,} entries in {given.jobs:,} ledgers, "
        f"{first['repriced_calls']:,} corrected in {seconds:.1f} s with {memory:.0f} MB, sums exact, "
        f"nothing edited, nothing added twice; verify --prices clean in {verify_seconds:.1f} s "
        f"with {verify_memory:.0f} MB"
    )


if __name__ == "__main__":
    main()
