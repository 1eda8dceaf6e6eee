"""Kills writers with SIGKILL while they append, and compares with what they acknowledged.

Eight writers record lines of 0.3 to 8 KB into a few ledgers, and one in twenty again under the same
id, as callers that retry do. At the end every acknowledged entry must be in its ledger (or wait in
the spool), and the store must count each id once.

    python scripts/faults/kill_storm.py [--kills 10000] [--seed 1]
"""

from __future__ import annotations

import os
import random
import selectors
import signal
import tempfile
import time
from pathlib import Path

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, encode, entries_in, entry, forked
from shared.costs.ledger.recorder import Recorder
from shared.costs.rollup import Query
from shared.costs.storage import CostStorage
from shared.costs.store.store import Store

WRITERS = 8
LEDGERS = 3
ID_LENGTH = 28


def write_until_killed(home: Path, seed: int, acknowledge: int) -> None:
    """Record entries and acknowledge each one's id on a pipe, whose short writes are never torn."""
    rng = random.Random(seed)
    recorder = Recorder(CostStorage(home))
    while True:
        one = entry(rng, rng.choice([0, 0, 500, 3000, 7000]))
        line = encode(one)
        ledger = ledger_of(home, rng.randrange(LEDGERS))
        for _ in range(2 if rng.random() < 0.05 else 1):
            recorder.record(ledger, line, one.id)
            os.write(acknowledge, one.id.encode())


def ledger_of(home: Path, number: int) -> Path:
    """Return one of the ledgers."""
    return home / f"job-{number}" / "cost_ledger.jsonl"


class Storm:
    """The writers, and the ids that they acknowledged."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.rng = random.Random(seed)
        self.acknowledged: set[str] = set()
        self._rest = b""
        self._from, self._to = os.pipe()
        os.set_blocking(self._from, False)
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._from, selectors.EVENT_READ)

    def run(self, kills: int) -> None:
        """Kill ``kills`` writers, each after a few hundredths of a second at most."""
        alive = [self._start() for _ in range(WRITERS)]
        for _ in range(kills):
            self._listen(self.rng.uniform(0.0005, 0.01))
            victim = alive.pop(self.rng.randrange(len(alive)))
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            alive.append(self._start())
        for victim in alive:
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
        self._listen(0.05)

    def _start(self) -> int:
        seed = self.rng.getrandbits(32)
        return forked(lambda: write_until_killed(self.home, seed, self._to))

    def _listen(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._ready.select(left):
                self._rest += os.read(self._from, 1 << 16)
                whole = len(self._rest) // ID_LENGTH * ID_LENGTH
                ids = self._rest[:whole].decode()
                self.acknowledged.update(ids[at : at + ID_LENGTH] for at in range(0, whole, ID_LENGTH))
                self._rest = self._rest[whole:]


def main() -> int:
    """Run the storm."""
    parser = command_line(__doc__, kills=10_000, seed=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        storm = Storm(home, options.seed)
        storm.run(options.kills)
        Recorder(CostStorage(home)).close()  # what waits in the spool
        ledgers = [ledger_of(home, number) for number in range(LEDGERS)]
        found, torn = entries_in(ledgers)
        with Store.of(CostStorage(home)) as store:
            store.add(ledgers)
            [group] = store.groups(("user_id",), Query())
    lost = len(storm.acknowledged - found.keys())
    doubled = group.totals.calls - len(found)
    wrong = group.totals.cost - sum(one.cost for one in found.values())
    return conclude(
        "kill storm",
        lost == doubled == wrong == 0,
        kills=options.kills,
        acknowledged=len(storm.acknowledged),
        lost=lost,
        doubled=doubled,
        nano_dollars_off=wrong,
        torn_lines_reported=torn,
    )


if __name__ == "__main__":
    raise SystemExit(main())
