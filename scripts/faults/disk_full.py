"""Fills the disk while entries are recorded: no bad line, no entry lost.

Two ways: a limit on the size of a file (``RLIMIT_FSIZE``), which hits the ledger in the middle of a line
while the spool still works; and, as root on Linux, a tmpfs of 256 KB that ledger and cost storage share,
where entries are kept in memory until there is room again.

    python scripts/faults/disk_full.py [--entries 600] [--seed 1]
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, encode, entries_in, entry
from shared.costs.ledger import spool
from shared.costs.ledger.recorder import Recorder
from shared.costs.storage import CostStorage

FILE_LIMIT = 50_000


def with_small_files(home: Path, entries: int, seed: int) -> tuple[int, int, int]:
    """Record under a limit on file sizes; return entries lost, bad lines, and how many had to wait."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, before[1]))
    try:
        ids, recorder = record(home, entries, seed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return outcome(home, ids, recorder)


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a tmpfs of 256 KB."""
    with tempfile.TemporaryDirectory() as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", name]
        subprocess.run(mount, check=True, capture_output=True)
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


def on_a_small_disk(entries: int, seed: int) -> tuple[int, int, int]:
    """Record until the disk is full and beyond, then make room."""
    with small_disk() as disk:
        ids, recorder = record(disk, entries, seed)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        return outcome(disk, ids, recorder)


def record(home: Path, entries: int, seed: int) -> tuple[set[str], Recorder]:
    """Record entries; what cannot be written goes to standard error, which is not shown here."""
    rng, recorder, ids = random.Random(seed), Recorder(CostStorage(home)), set()
    with contextlib.redirect_stderr(io.StringIO()):
        for _ in range(entries):
            one = entry(rng, rng.choice([0, 1000]))
            recorder.record(home / "job" / "cost_ledger.jsonl", encode(one), one.id)
            ids.add(one.id)
    return ids, recorder


def outcome(home: Path, ids: set[str], recorder: Recorder) -> tuple[int, int, int]:
    """Return entries lost, bad lines, and how many had to wait, after all that waited was written."""
    waited = recorder.degraded
    recorder.close()
    while spool.waiting_paths(CostStorage(home)):
        Recorder(CostStorage(home)).close()
    found, bad = entries_in([home / "job" / "cost_ledger.jsonl"])
    return len(ids - found.keys()), bad, waited


def main() -> int:
    """Run both ways, as far as they can be had here."""
    parser = command_line(__doc__, entries=600, seed=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lost, bad, waited = with_small_files(Path(name), options.entries, options.seed)
    code = conclude("file size limit", lost == bad == 0, lost=lost, bad_lines=bad, had_to_wait=waited)
    if os.geteuid() != 0:
        return code
    try:
        lost, bad, waited = on_a_small_disk(options.entries, options.seed)
    except subprocess.CalledProcessError as fault:
        print(f"small disk: not tried, mount is not allowed here: {fault}")
        return code
    return code | conclude("small disk", lost == bad == 0, lost=lost, bad_lines=bad, had_to_wait=waited)


if __name__ == "__main__":
    raise SystemExit(main())
