r"""Lines whose ledger could not be written wait here, one file each, in the cost storage.

A waiting line is written under another name and then renamed, so that its file is always whole. The name
begins with a checksum of the ledger's path: the lines of one ledger are found without reading those of
others, of which thousands may be stuck. :mod:`.recorder` appends them to their ledgers and then deletes
them; a crash between the two leaves a line twice, with the same id, which counts once.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> storage, ledger = CostStorage(Path(folder.name)), Path(folder.name) / "job" / "cost_ledger.jsonl"
>>> put(storage, ledger, b"a line\n", "0c").name.partition("-")[2]
'0c.spooled'
>>> [(spooled.ledger.name, spooled.line) for spooled in waiting(storage)]
[('cost_ledger.jsonl', b'a line\n')]
>>> folder.cleanup()
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from .. import platform
from ..errors import UnsafePath
from ..storage import CostStorage
from .counted import new_id
from .lines import MAX_LINE

SUFFIX: Final = ".spooled"
UNFINISHED: Final = ".unfinished"

_MAX_PATH: Final = 4096
_MAX_FILE: Final = MAX_LINE + 6 * _MAX_PATH + 3  # a line, and its ledger's path at six characters per byte


class SpooledLine(NamedTuple):
    """A waiting line, and its ledger. ``line`` is empty if the file is damaged."""

    path: Path
    ledger: Path
    line: bytes

    @property
    def is_damaged(self) -> bool:
        """Whether the file has no ledger or no line; it is left for people to inspect."""
        return not self.line


def put(storage: CostStorage, ledger: Path, line: bytes, entry_id: str) -> Path:
    """Keep ``line`` until its ledger can be written; return its file, once it is on the disk.

    Raises:
        OSError: the spool cannot be written either.

    """
    storage.prepare()
    # Ids are made by us, but an imported one must not lead out of the folder.
    name = f"{group_of(ledger)}-{entry_id if entry_id.isalnum() else new_id()}{SUFFIX}"
    path = storage.spool_dir / name
    unfinished = storage.spool_dir / f"{new_id()}{UNFINISHED}"
    try:
        with platform.create_file(unfinished) as file:
            _write_all(file.fileno(), json.dumps(str(ledger)).encode("ascii") + b"\n" + line)
            platform.sync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    platform.sync_directory(storage.spool_dir)
    return path


def group_of(ledger: Path) -> str:
    """Return the prefix of the names of a ledger's waiting lines."""
    return f"{crc32(os.fsencode(ledger)):08x}"


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of waiting lines by their prefix.

    Names of earlier versions, which do not have the prefix of their ledger, are under the empty text.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if name.endswith(SUFFIX):
            groups.setdefault(name[:8] if name[8:9] == "-" else "", []).append(name)
    return groups


def names_for(ledger: Path, groups: Mapping[str, list[str]]) -> list[str]:
    """Return the names in groups that can be of lines for a ledger: all such lines are among them."""
    return [*groups.get(group_of(ledger), ()), *groups.get("", ())]


def by_entry(names: Iterable[str]) -> dict[str, str]:
    """Return the names of waiting lines by the entry id in the name."""
    return {name.removesuffix(SUFFIX).rpartition("-")[2]: name for name in names if name.endswith(SUFFIX)}


def _write_all(fd: int, data: bytes) -> None:
    while data:
        written = os.write(fd, data)
        if written == 0:
            raise OSError(errno.EIO, "the file system accepts no bytes")
        data = data[written:]


def waiting(storage: CostStorage) -> Iterator[SpooledLine]:
    """Return the waiting lines.

    Raises:
        OSError: the spool cannot be listed.

    """
    return read_waiting(waiting_paths(storage))


def read_waiting(paths: Iterable[Path]) -> Iterator[SpooledLine]:
    """Return the waiting lines of those of these files that still exist."""
    for path in paths:
        with suppress(FileNotFoundError):  # another process drained it meanwhile
            yield _read(path)


def waiting_paths(storage: CostStorage) -> list[Path]:
    """Return the files of the waiting lines without reading them."""
    return [storage.spool_dir / name for name in sorted(listed(storage)) if name.endswith(SUFFIX)]


def listed(storage: CostStorage) -> list[str]:
    """Return the names of all files in the spool.

    Raises:
        OSError: it cannot be listed.

    """
    try:
        return os.listdir(storage.spool_dir)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: Path) -> SpooledLine:
    try:
        with platform.open_file(path) as file:
            data = os.pread(file.fileno(), _MAX_FILE, 0)
    except UnsafePath:
        return SpooledLine(path, path, b"")
    header, _, line = data.partition(b"\n")
    try:
        ledger = Path(json.loads(header))
    except (ValueError, TypeError):
        return SpooledLine(path, path, b"")
    return SpooledLine(path, ledger, line if line.endswith(b"\n") else b"")
