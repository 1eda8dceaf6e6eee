"""Kills processes while they archive, pack ledgers away and put them back, two at a time.

Each worker logs calls of months that are over, archives them, packs and unpacks, in any order, until it is
killed with SIGKILL. Then a process that knows nothing of it reads everything: each call that was acknowledged
must be in the entries exactly once, the sums must be those of the entries, and the archive must be as its
manifest says. What was logged and not acknowledged may be there.

    python3 scripts/faults/archive_kills.py [--kills 200] [--seed 1]
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, encode, entry, fast_folder, forked
from shared.costs.archive.known import KnownArchive, KnownArchives
from shared.costs.errors import CostError
from shared.costs.exchange.archiving import archive, check_archive
from shared.costs.exchange.calendar import Calendar
from shared.costs.exchange.packing import pack, packed_paths, unpack
from shared.costs.ledger.writer import append
from shared.costs.profile.types import Profile
from shared.costs.rollup import Query
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store

WORKERS: Final = 2
JOBS: Final = 4
LONGEST_LIFE_S: Final = 1.5
FIRST_DAY: Final = datetime(2026, 6, 1, tzinfo=UTC)
DAYS: Final = 120
BEFORE: Final = "2026-11"
EVER: Final = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
WAIT_S: Final = 10.0


class World:
    """One cost storage with an archive, as each process opens it for itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.storage = CostStorage(root / "storage")
        self.storage.prepare()
        self.store = Store.of(self.storage)
        self.known = KnownArchives(self.storage)
        self.place = self.known.place(str(root / "archive"))

    def log(self, chance: random.Random) -> None:
        """Log a call of a month that is over, and acknowledge it."""
        ledger = self.root / "jobs" / f"job-{chance.randrange(JOBS)}" / LEDGER_NAME
        at = FIRST_DAY + timedelta(seconds=chance.randrange(DAYS * 86_400))
        new = replace(entry(chance), timestamp=at, job_id=ledger.parent.name)
        self.store.note(ledger)
        append(ledger, encode(new), WAIT_S)
        with (self.root / "acknowledged").open("a") as file:
            file.write(f"{new.id}\n")

    def archive(self, *, packs: bool) -> None:
        """Archive all that is over; then pack away what can be."""
        written = archive(self.store, Calendar(Profile()), self.known, self.place, BEFORE)
        if packs:
            pack(self.store, KnownArchive(self.place, written.manifest), _silent, lambda _: None)

    def unpack(self) -> None:
        """Put every ledger back."""
        unpack(self.store, packed_paths(self.store, ()), _silent)


def _silent(_done: int, _of: int) -> None:
    """Show no progress."""


def work(root: Path, seed: int) -> None:
    """Do one thing after the other until killed."""
    chance, world = random.Random(seed), World(root)
    while True:
        try:
            for _ in range(chance.randrange(4)):
                world.log(chance)
            if chance.random() < 0.2:
                world.unpack()
            else:
                world.archive(packs=chance.random() < 0.6)
        except CostError:  # the other one is at it
            time.sleep(0.01)


def look(root: Path) -> None:
    """Read everything; raise where it is not as it must be."""
    world = World(root)
    world.store.catch_up_all()
    found = list(world.store.entries(Query()))
    times = Counter(each.id for each in found)
    acknowledged = (root / "acknowledged").read_text().split() if (root / "acknowledged").exists() else []
    lost = [one for one in acknowledged if one not in times]
    twice = [one for one, count in times.items() if count > 1]
    spent, expected = world.store.spend(*EVER), sum(each.cost for each in found)
    assert not lost, f"{len(lost)} acknowledged and in no ledger or archive: {lost[0]}"
    assert not twice, f"{len(twice)} more than once: {twice[0]}"
    assert spent == expected, f"the sums say {spent}, the entries {expected}"
    if world.place.manifest() is not None:
        faults = check_archive(world.place, _silent).faults
        assert not faults, faults
    world.store.close()


def one_round(root: Path, chance: random.Random) -> bool:
    """Let workers live for a while, kill them, and tell whether all is well."""
    workers = []
    for _ in range(WORKERS):
        seed = chance.randrange(1 << 30)
        workers.append(forked(lambda seed=seed: work(root, seed)))  # type: ignore[misc]
    for pid in workers:
        time.sleep(chance.uniform(0, LONGEST_LIFE_S))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return os.waitpid(forked(lambda: look(root)), 0)[1] == 0


def main() -> int:
    """Run it and print the summary; return 1 when something did not hold."""
    parser = command_line(__doc__, kills=200, seed=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    import duckdb  # noqa: F401  # once for all: it takes half a second

    chance, killed, bad = random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory(dir=fast_folder()) as name:
        while killed < options.kills and not bad:
            bad += not one_round(Path(name), chance)
            killed += WORKERS
        path = Path(name) / "acknowledged"
        acknowledged = len(path.read_text().split()) if path.exists() else 0
    return conclude("archive kills", not bad, killed=killed, acknowledged=acknowledged, faults=bad)


if __name__ == "__main__":
    sys.exit(main())
