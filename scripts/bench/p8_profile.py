"""Where the time of building the index goes: the profile behind P8.

One process does to a history what the readers of a rebuild do, a step more each time: the difference
is what the step takes. Then the rows go into tables as the writer of a rebuild puts them.

    python scripts/bench/p8_profile.py [--entries 100000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scripts.bench.harness import Row, show
from scripts.bench.histories import make
from shared.costs.index.backend import MemoryIndex
from shared.costs.index.ledgerfile import LedgerFile, opened
from shared.costs.index.registry import Registered, Registry
from shared.costs.index.scan import Scanned, scan
from shared.costs.index.state import StateDb
from shared.costs.index.store import insert_rows, put_seen
from shared.costs.index.usual import charge_of, names_of, usual_call
from shared.costs.ledger.line import is_sealed


def lines(file: LedgerFile) -> None:
    """Read the lines."""
    for _ in file.lines(0):
        pass


def seals(file: LedgerFile) -> None:
    """And check their seals."""
    for line in file.lines(0):
        is_sealed(line.raw)


def calls(file: LedgerFile) -> None:
    """And take them apart."""
    for line in file.lines(0):
        usual_call(line.raw)


def charges(file: LedgerFile) -> None:
    """And read what they cost."""
    for line in file.lines(0):
        call = usual_call(line.raw)
        assert call is not None
        charge_of(call)
        names_of(call)


STEPS: tuple[tuple[str, Callable[[LedgerFile], None]], ...] = (
    ("read the lines", lines),
    ("check their seals (CRC-32)", seals),
    ("take them apart (msgspec)", calls),
    ("round their amounts", charges),
)


def best(action: Callable[[], object], rounds: int) -> float:
    """Return the least CPU time in seconds."""
    took = []
    for _ in range(rounds):
        begin = time.process_time()
        action()
        took.append(time.process_time() - begin)
    return min(took)


def each(ledgers: list[Registered], action: Callable[[LedgerFile], None]) -> None:
    """Do something with every ledger."""
    for ledger in ledgers:
        with opened(ledger.path) as file:
            action(file)


def put(found: Scanned) -> None:
    """Write the rows into new tables."""
    new = MemoryIndex(Path("memory"))
    with new.transaction() as db:
        put_seen(db, found.seen.rows())
        insert_rows(db, "INSERT INTO sums", list(found.sum_rows()))
    new.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        history = make(Path(folder), given.entries, max(1, given.entries // 100))
        ledgers = Registry(history.storage, StateDb(history.storage.state_path)).all()
        whole: list[tuple[str, float]] = []
        for label, step in STEPS:
            whole.append((label, best(lambda step=step: each(ledgers, step), given.rounds)))  # type: ignore[misc]
        whole.append(("add up, note the ids", best(lambda: scan(ledgers), given.rounds)))
        found = scan(ledgers)
        written = best(lambda: put(found), given.rounds)
    rows, before = [], 0.0
    for label, seconds in whole:
        rows.append(Row(label, f"{(seconds - before) / given.entries * 1e6:.2f} us"))
        before = seconds
    rows.append(Row("put the rows into the tables", f"{written / given.entries * 1e6:.2f} us"))
    rows.append(Row("all of it", f"{(before + written) / given.entries * 1e6:.2f} us"))
    show(f"where the time of a rebuild goes, CPU for each of {given.entries:,} entries", rows)


if __name__ == "__main__":
    main()
