"""Kills processes while they write the index, and compares it with a full fold after every kill.

A worker logs calls as fast as it can, repeats some, rebuilds now and then, and has its pages written
back very often, so that the kills fall into commits, checkpoints, closes and replacements alike. After
each SIGKILL the index is opened, caught up and compared: every sum, for everyone and for each user,
by bucket and by ledger, must be the one that reading every line gives.

    python3 scripts/faults/index_kills.py [--kills 2000] [--seed 1]
"""

from __future__ import annotations

import argparse
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

from scripts.faults.index_histories import History, an_entry, assert_is_fold
from shared.costs.index import catchup, indexfile
from shared.costs.index.seal import sealing
from shared.costs.ledger.line import encode

KILLS_PER_HISTORY = 25
LONGEST_LIFE_S = 0.03


def work(history: History, seed: int) -> None:
    """Log calls until killed."""
    indexfile.WRITE_BACK_BYTES = 50_000  # type: ignore[misc]  # to have it happen all the time
    indexfile._COMMITS_BETWEEN = 1  # type: ignore[misc]
    catchup.SWEEP_AT = 3  # type: ignore[misc]
    chance = random.Random(seed)
    index = history.open()
    while True:
        ledger = chance.choice(history.ledgers)
        action = chance.random()
        if action < 0.02:
            index.rebuild()
        elif action < 0.04:
            index.rebuild_ledger(ledger)
        elif action < 0.1:
            index.close()
        elif action < 0.2:  # torn by a kill, in the middle of the ledger or at its end
            index.register(ledger, ledger.parent.name)
            history.append_bytes(ledger, encode(an_entry(chance))[: chance.randrange(1, 300)] + b"\n")
        elif action < 0.3 and ledger.exists():  # logged again by a caller that did not know
            index.register(ledger, ledger.parent.name)
            history.append_bytes(ledger, chance.choice(ledger.read_bytes().splitlines(keepends=True)))
            index.catch_up(ledger)
        else:
            index.register(ledger, ledger.parent.name)
            entry = an_entry(chance, job_id=ledger.parent.name)
            place, line = history.append(ledger, entry)
            index.note_appended(ledger, entry, place, line)


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
            untouched = history.storage.index_path.exists() and _is_sealed(history)
            told["sealed" if untouched else "not sealed"] += 1
            with history.open() as index:
                assert_is_fold(index, history)
                told["degraded"] += bool(index.degraded)
    return told


def _is_sealed(history: History) -> bool:
    with sealing(history.storage.index_path, 1.0) as seal:
        return seal.holds()


def main() -> int:
    """Run the storm and print one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.getLogger("shared.cost_tracker").setLevel(logging.CRITICAL)  # it tells of every fault
    began = time.monotonic()
    told = storm(given.kills, given.seed)
    figures = ", ".join(f"{count} {what}" for what, count in sorted(told.items()))
    print(f"index kills: seed {given.seed}, {given.kills} rounds, {figures}: always equal to a full fold")
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
