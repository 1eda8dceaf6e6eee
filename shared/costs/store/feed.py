"""The lines of each process that no sums have yet, a second time: what was logged outlives its ledger.

A line is in its ledger alone until somebody takes it into the sums, which may be a second later. So each
process writes it to a file of its own too, beside the one by which others see that it lives
(:mod:`.presence`), and keeps it locked. That file is not synced: it outlives a kill, and a power cut takes
no ledger away. It is emptied when the sums have all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from .. import platform
from ..platform import KeptFile, SecureFile
from .journal import records_in, sealed
from .presence import LINES, Presence

MOST_BYTES: Final = 4 << 20
"""No more is kept: so much comes together only where the sums cannot be brought up for long."""


class Fed(NamedTuple):
    """A line, and where in which ledger it was appended."""

    path: bytes
    offset: int
    entry_id: str
    line: bytes


class Feed:
    """The file of this process. A forked child has one of its own."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._file: SecureFile | None = None
        self._path = presence.folder
        self._size = 0
        self.ids: list[str] = []
        """The ids of the lines that are here."""

    def __len__(self) -> int:
        return self._size

    def add(self, path: bytes, offset: int, line: bytes, entry_id: str) -> None:
        """Keep a line that was appended. Where that fails it is in its ledger alone."""
        record = sealed(b"%d %b\0%b\0%b" % (offset, path, entry_id.encode(errors="surrogatepass"), line))
        try:
            file = self._opened()
            if self._size > MOST_BYTES:
                return
            self.ids.append(entry_id)
            self._size += file.write(record)
        except OSError:
            return

    def _opened(self) -> SecureFile:
        """Return the file; a new one in a child that was forked, or where somebody deleted or moved it."""
        if self._file is None or self._file.closed or not platform.same_file(self._file.fileno(), self._path):
            self._path = self._presence.folder / (self._presence.name() + LINES)
            self._file = platform.open_file(self._path, append=True, create=True, kind=KeptFile)
            platform.lock(self._file, 0)
            self._begin()
        return self._file

    def clear(self) -> None:
        """Empty the file: the sums have all of it."""
        self._begin()
        if self._file is not None and not self._file.closed:
            with suppress(OSError):
                self._file.truncate(0)

    def _begin(self) -> None:
        self._size, self.ids = 0, []


def fed(folder: Path, paths: Iterable[bytes] | None = None) -> Iterator[Fed]:
    """Return the lines that processes keep, those of some ledgers or of all.

    Raises:
        OSError: they cannot be read.

    """
    wanted = None if paths is None else [b" %b\0" % path for path in paths]
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(folder)):
            data = b""
            if name.endswith(LINES):
                with suppress(FileNotFoundError):  # its process ended, and its ledgers were read
                    data = (folder / name).read_bytes()
            if data and (wanted is None or any(path in data for path in wanted)):
                for record in records_in(data)[0]:
                    place, entry_id, line = record.split(b"\0", 2)
                    offset, _, path = place.partition(b" ")
                    yield Fed(path, int(offset), entry_id.decode(errors="surrogatepass"), line)
