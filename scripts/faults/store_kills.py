"""Kills processes while they write the sums, and compares them with a full fold after every kill.

A worker logs calls as fast as it can, repeats some, rebuilds now and then, and has its pages written
back very often, so that the kills fall into commits, checkpoints, closes and replacements alike. After
each SIGKILL the store is opened, caught up and compared: every sum, for everyone and for each user,
by bucket and by ledger, must be the one that reading every line gives.

    python3 scripts/faults/store_kills.py [--kills 2000] [--seed 1]
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from scripts.faults.command_line import command_line
from scripts.faults.store_histories import History, an_entry, assert_is_fold
from shared.costs.ledger.line import encode
from shared.costs.store import database, store

KILLS_PER_HISTORY = 25
LONGEST_LIFE_S = 0.03


def work(history: History, seed: int) -> None:
    """Log calls until killed."""
    database._WRITE_BACK_BYTES = 50_000  # type: ignore[misc]  # to have it happen all the time
    database._COMMITS_BETWEEN = 1  # type: ignore[misc]
    store.RECENT_LINES = 3  # type: ignore[misc]
    chance = random.Random(seed)
    sums = history.open()
    while True:
        ledger = chance.choice(history.ledgers)
        action = chance.random()
        sums.note(ledger)
        if action < 0.02:
            sums.rebuild()
        elif action < 0.04:
            sums.rebuild_ledger(ledger)
        elif action < 0.1:
            sums.close()
        elif action < 0.2:  # torn by a kill, in the middle of the ledger or at its end
            history.append_bytes(ledger, encode(an_entry(chance))[: chance.randrange(1, 300)] + b"\n")
        elif action < 0.3 and ledger.exists():  # logged again by a caller that did not know
            history.append_bytes(ledger, chance.choice(ledger.read_bytes().splitlines(keepends=True)))
            sums.catch_up(ledger)
        else:
            entry = an_entry(chance, job_id=ledger.parent.name)
            sums.appended(ledger, entry, history.append(ledger, entry)[0], encode(entry))


def start(history: History, seed: int) -> int:
    """Fork a worker; nothing of SQLite's is open here."""
    child = os.fork()
    if child:
        return child
    with contextlib.suppress(BaseException):
        work(history, seed)
    os._exit(1)


def storm(kills: int, seed: int) -> Counter[str]:
    """Kill workers and check; raise ``AssertionError`` at the first difference."""
    chance, told = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(kills):
            if number % KILLS_PER_HISTORY == 0:
                history = History(Path(folder) / str(number))
                for job in range(3):
                    history.job(f"job-{job}")
                history.filled(random.Random(number), calls=5)
            workers = [
                start(history, seed * 1_000_003 + number * 7 + n) for n in range(chance.choice([1, 1, 2]))
            ]
            time.sleep(chance.random() * LONGEST_LIFE_S)
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                status = os.waitpid(worker, 0)[1]
                told["killed" if os.WIFSIGNALED(status) else "ended by themselves"] += 1
            with history.open() as sums:
                assert_is_fold(sums, history)
                told["degraded"] += bool(sums.degraded)
    return told


def main() -> int:
    """Run the storm and print one line."""
    parser = command_line(__doc__, kills=2_000, seed=1)
    given = parser.parse_args()
    logging.getLogger("shared.cost_tracker").setLevel(logging.CRITICAL)  # it tells of every fault
    began = time.monotonic()
    told = storm(given.kills, given.seed)
    figures = ", ".join(f"{count} {what}" for what, count in sorted(told.items()))
    print(
        f"store kills: seed {given.seed}, {given.kills} rounds, {figures}: held: always equal to a full fold"
    )
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
