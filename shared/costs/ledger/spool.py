r"""Lines whose ledger could not be written wait here, one file each, in the cost storage.

A waiting line is written under another name and renamed, so a file that is there is whole. Draining
appends it to its ledger and then deletes it; a crash between the two leaves the line twice, under
one id, which counts once.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> storage, ledger = CostStorage(Path(folder.name)), Path(folder.name) / "job" / "cost_ledger.jsonl"
>>> put(storage, ledger, b"a line\n", "0c").name
'0c.spooled'
>>> [(one.ledger.name, one.line) for one in waiting(storage)]
[('cost_ledger.jsonl', b'a line\n')]
>>> [drain(one, 2.0).length for one in waiting(storage)], list(waiting(storage))
([7], [])
>>> folder.cleanup()
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from .. import platform
from ..errors import UnsafePath
from ..storage import CostStorage
from .ids import new_id
from .places import MAX_LINE, Appended
from .writer import append

SUFFIX: Final = ".spooled"
_UNFINISHED: Final = ".unfinished"
_MAX_FILE: Final = MAX_LINE + 8192  # a line, and the path of its ledger


class Waiting(NamedTuple):
    """A line that waits, and for which ledger. ``line`` is empty when the file is damaged."""

    path: Path
    ledger: Path
    line: bytes

    @property
    def is_damaged(self) -> bool:
        """Whether the file says no ledger or no line; it is left for people to look at."""
        return not self.line


def put(storage: CostStorage, ledger: Path, line: bytes, entry_id: str) -> Path:
    """Keep ``line`` until its ledger can be written; return its file, once it is on the disk.

    Raises:
        OSError: it cannot be kept here either.

    """
    storage.prepare()
    # Ids are made by us, but one that came in by an import must not lead out of the folder.
    path = storage.spool_dir / f"{entry_id if entry_id.isalnum() else new_id()}{SUFFIX}"
    unfinished = storage.spool_dir / f"{new_id()}{_UNFINISHED}"
    fd = platform.create_secure(unfinished)
    try:
        _write_all(fd, json.dumps(str(ledger)).encode("ascii") + b"\n" + line)
        platform.sync(fd)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    finally:
        platform.close(fd)
    platform.sync_directory(storage.spool_dir)
    return path


def _write_all(fd: int, data: bytes) -> None:
    while data:
        written = os.write(fd, data)
        if written == 0:
            raise OSError(errno.EIO, "the file system takes no bytes")
        data = data[written:]


def waiting(storage: CostStorage) -> Iterator[Waiting]:
    """Return what waits, oldest id first.

    Raises:
        OSError: the spool cannot be listed.

    """
    return read_waiting(waiting_paths(storage))


def read_waiting(paths: Iterable[Path]) -> Iterator[Waiting]:
    """Return what waits in these files, as far as they are still there."""
    for path in paths:
        with suppress(FileNotFoundError):  # another process drained it meanwhile
            yield _read(path)


def waiting_paths(storage: CostStorage) -> list[Path]:
    """Return the files of the lines that wait; reading none of them."""
    try:
        names = os.listdir(storage.spool_dir)
    except FileNotFoundError:
        return []
    return [storage.spool_dir / name for name in sorted(names) if name.endswith(SUFFIX)]


def _read(path: Path) -> Waiting:
    try:
        fd = platform.open_secure(path)
    except UnsafePath:
        return Waiting(path, path, b"")
    try:
        data = os.pread(fd, _MAX_FILE, 0)
    finally:
        platform.close(fd)
    header, _, line = data.partition(b"\n")
    try:
        ledger = Path(json.loads(header))
    except (ValueError, TypeError):
        return Waiting(path, path, b"")
    return Waiting(path, ledger, line if line.endswith(b"\n") else b"")


def drain(one: Waiting, timeout_s: float) -> Appended:
    """Append a waiting line to its ledger and let go of its file.

    Raises:
        OSError: it cannot be appended yet; it goes on waiting.

    """
    place = append(one.ledger, one.line, timeout_s)
    with suppress(FileNotFoundError):  # another process drained it too: the ledger has it twice, once counted
        one.path.unlink()
    return place
