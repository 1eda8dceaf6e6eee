"""Changes bytes of the storage's files and compares the answers with a full fold every time.

Flips bits, overwrites stretches, cuts, swaps pages and deletes, in the database of sums, what lies beside
it, the notes of known ledgers and of what was kept, whatever they are called, while they are closed or in
use, sometimes after a kill has left things behind. Afterwards calls are logged again (also repeated ones),
and the sums compared once more.

    python3 scripts/faults/store_fuzz.py [--files 1000] [--seed 1]
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from scripts.faults.blackbox import storage_files
from scripts.faults.command_line import command_line
from scripts.faults.store_histories import History, an_entry, assert_is_fold
from shared.costs.ledger.line import encode
from shared.costs.store.database import SealedDatabase, _set_seal
from shared.costs.store.tables import FORMAT, SCHEMA

Change = Callable[[random.Random, bytearray], None]


def flip(chance: random.Random, data: bytearray) -> None:
    """Flip up to eight bits."""
    for _ in range(chance.randrange(1, 9)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def overwrite(chance: random.Random, data: bytearray) -> None:
    """Overwrite a stretch with zeros or noise."""
    start, length = chance.randrange(len(data)), chance.choice([1, 8, 512, 4096])
    for at in range(start, min(start + length, len(data))):
        data[at] = chance.choice([0, chance.randrange(256)])


def cut(chance: random.Random, data: bytearray) -> None:
    """Cut the end off."""
    del data[chance.randrange(len(data)) :]


def lengthen(chance: random.Random, data: bytearray) -> None:
    """Put something behind the end."""
    data += chance.randbytes(chance.randrange(1, 9_000))


def swap(chance: random.Random, data: bytearray) -> None:
    """Swap two pages."""
    pages = len(data) // 4096
    if pages < 3:
        flip(chance, data)
        return
    one, other = (4096 * page for page in chance.sample(range(1, pages), 2))
    data[one : one + 4096], data[other : other + 4096] = data[other : other + 4096], data[one : one + 4096]


def empty(_: random.Random, data: bytearray) -> None:
    """Leave nothing."""
    data.clear()


CHANGES: tuple[Change, ...] = (flip, flip, flip, overwrite, overwrite, cut, lengthen, swap, empty)


def fuzz(files: int, seed: int) -> Counter[str]:
    """Change files and check; raise ``AssertionError`` at the first difference."""
    told = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        history, copies = History(Path(folder) / "history"), Path(folder) / "copies"
        for kind in (closed, killed):
            kind(history, seed)
            shutil.move(history.root, copies / kind.__name__)
        for number in range(files):
            chance = random.Random(seed * 1_000_003 + number)
            shutil.copytree(copies / chance.choice(["closed", "closed", "killed"]), history.root)
            before = told.copy()
            try:
                _one(chance, history, told)
            except AssertionError as wrong:
                raise AssertionError(f"file {number}: {dict(told - before)}: {wrong}") from wrong
            shutil.rmtree(history.root)
    return told


def looked_at(history: History) -> None:
    """Look once: from then on each ledger is known in two files of the storage."""
    with history.open() as store:
        assert_is_fold(store, history)


def closed(history: History, seed: int) -> None:
    """Make a history whose store was closed by its last user."""
    looked_at(history.filled(random.Random(seed), jobs=3, calls=60))


def killed(history: History, seed: int) -> None:
    """Make a history whose store was left by a user who was killed."""
    looked_at(history.filled(random.Random(seed + 1), jobs=3, calls=30))
    child = os.fork()
    if child == 0:
        store = history.open()
        for number in range(60):
            history.log(store, history.ledgers[number % 3], an_entry(random.Random(number)))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def _one(chance: random.Random, history: History, told: Counter[str]) -> None:
    # A copied database has another inode than its seal says. Resealed, it is as good as the original.
    reseal(history)
    with history.open() as store:
        is_open = chance.random() < 0.3
        if is_open:
            assert_is_fold(store, history)
        _change(chance, chosen_file(chance, history, is_open), told)
        assert_is_fold(store, history)
        ledger = chance.choice(history.ledgers)
        for repeated in (True, False):
            store.note(ledger)
            line = encode(an_entry(chance))
            if repeated:
                line = chance.choice(ledger.read_bytes().splitlines(keepends=True))
            history.append_bytes(ledger, line)
        assert_is_fold(store, history)
        told["degraded"] += bool(store.degraded)


def chosen_file(chance: random.Random, history: History, is_open: bool) -> Path:
    """Choose a file to change; of a database in use not what SQLite trusts that nobody else writes to."""
    files = [
        path
        for path in storage_files(history.storage.root)
        if path.stat().st_size
        and not path.name.endswith("-shm")
        and not (is_open and path.name.endswith("-wal"))
    ]
    sums = [path for path in files if path == history.storage.sums_path]
    return chance.choice([*files, *sums * 6])


def reseal(history: History) -> None:
    """Have the seal of a copied database fit its copy."""
    database = SealedDatabase(history.storage.sums_path, SCHEMA, FORMAT)
    database._patiently(lambda: database._sealing(lambda seal: _set_seal(database.file, seal)), 1.0)


def _change(chance: random.Random, path: Path, told: Counter[str]) -> None:
    if chance.random() < 0.05:
        path.unlink()
        told["deleted"] += 1
        return
    data, before = bytearray(path.read_bytes()), path.stat()
    change = chance.choice(CHANGES)
    change(chance, data)
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(data)
    if chance.random() < 0.5:  # as a failing disk would: no time tells of it, but the inode's own
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    told[f"{path.parent.name if path.parent.name == 'writers' else path.name}: {change.__name__}"] += 1


def main() -> int:
    """Fuzz and print one line."""
    parser = command_line(__doc__, files=1_000, seed=1)
    given = parser.parse_args()
    logging.getLogger("shared.cost_tracker").setLevel(logging.CRITICAL)  # it tells of every fault
    began = time.monotonic()
    told = fuzz(given.files, given.seed)
    figures = ", ".join(f"{what} {count}" for what, count in sorted(told.items()))
    print(
        f"store fuzz: seed {given.seed}, {given.files} files ({figures}): held: always equal to a full fold"
    )
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
