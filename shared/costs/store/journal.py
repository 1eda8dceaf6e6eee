r"""Append-only files of sealed lines that need no lock, no database and no other process.

A record is written with one ``write`` on an ``O_APPEND`` descriptor, between two newlines and with a
CRC-32 before it, then synced. So records of several processes never mix, and a record that a kill or a
power cut tore spoils neither its neighbour before nor the one after: it fails its checksum and is skipped.

>>> import tempfile
>>> journal = Journal(Path(tempfile.mkdtemp()) / "notes")
>>> written = [journal.append(b"first"), journal.append(b"second\nline")]
>>> news = journal.news()
>>> news.records, journal.news(news.position).records
([b'first', b'second\nline'], [])
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from .. import platform
from ..platform import KeptFile, SecureFile

if TYPE_CHECKING:
    from .presence import Presence

_SEAL = 9  # eight hexadecimal digits and a blank


class JournalPosition(NamedTuple):
    """How far a journal was read: a look at the file then, and the byte after the last record.

    ``seal`` is the CRC-32 of all before it, which tells whether what was read is still there.
    """

    device: int = 0
    inode: int = 0
    size: int = 0
    changed: int = 0
    read_to: int = 0
    seal: int = 0


Look = tuple[int, int, int, int]
"""Device, inode, size and time of the last change of a file, in nanoseconds."""

NO_FILE: Final[Look] = (0, 0, 0, 0)


class JournalNews(NamedTuple):
    """What a journal says after a position; all of it where what was read before ``is_lost``.

    ``damaged`` is how many records were skipped because their checksum does not match.
    """

    records: list[bytes]
    damaged: int
    is_lost: bool
    position: JournalPosition


class Journal:
    """One such file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = os.fspath(path)

    def append(self, *records: bytes, durable: bool = True) -> bytes:
        """Append records, and bring them to the disk unless they need not be ``durable``; return their bytes.

        Raises:
            UnsafePath: the file is a link, a pipe, has a second name or another owner.
            OSError: it cannot be written or synced. Nothing is known then: append the records again.

        """
        made = not os.path.lexists(self.path)
        if made:
            platform.secure_directory(self.path.parent)
        text, is_there = b"".join(map(sealed, records)), False
        while not is_there:  # as long as another process puts a new file in its place
            with opened(self.path, append=True) as file:
                self._write(file, text)
                if durable:
                    platform.sync(file.fileno())
                is_there = platform.same_file(file.fileno(), self.path)
        if made:
            platform.sync_directory(self.path.parent)
        return text

    def rewrite(self, shorter: Callable[[list[bytes]], list[bytes]]) -> None:
        """Put a file with what ``shorter`` makes of all records in the place of this one, durably.

        Nothing is done where another process is at it; what others append meanwhile is kept.

        Raises:
            OSError: it cannot be read or written.

        """
        draft = self.path.with_name(f"{self.path.name}-new-{os.getpid()}")
        with opened(self.path, append=True) as old:
            if not platform.lock(old.fileno(), 0) or not platform.same_file(old.fileno(), self.path):
                return
            text = whole(os.pread(old.fileno(), size_of(old), 0))
            try:
                with opened(draft, append=True) as new:
                    self._write(new, b"".join(map(sealed, shorter(records_in(text)[0]))))
                    platform.sync(new.fileno())
                    os.replace(draft, self.path)
                    self._write(new, os.pread(old.fileno(), size_of(old) - len(text), len(text)))
                    platform.sync(new.fileno())
            finally:
                draft.unlink(missing_ok=True)
                platform.unlock(old.fileno())
        platform.sync_directory(self.path.parent)

    def _write(self, file: SecureFile, text: bytes) -> None:
        if file.write(text) != len(text):
            raise OSError(28, f"only a part of a record could be written to {self.path}")

    def is_changed(self, position: JournalPosition) -> bool:
        """Tell whether the file is not as it was at a position: one look, nothing is read."""
        return self.look() != position[:4]

    def after(self, position: JournalPosition, text: bytes) -> JournalPosition | None:
        """Return the position after what was appended at one; ``None`` where others appended too."""
        look = self.look()
        end = position.read_to + len(text)
        if position.size != position.read_to or look[2] != end:
            return None
        return JournalPosition(*look, end, crc32(text, position.seal))

    def look(self) -> Look:
        """Return what the file is like now."""
        return look_at(self._text)

    def news(self, position: JournalPosition = JournalPosition(), *, trusting: bool = False) -> JournalNews:  # noqa: B008  # a constant
        """Return what it says after a position; with ``trusting`` what was before is not read once more.

        Raises:
            OSError: it cannot be read. A file that is not there has no records.

        """
        file, text, start = NO_FILE, b"", 0
        with suppress(FileNotFoundError, NotADirectoryError), opened(self.path) as there:
            file = look_at(there.fileno())
            if trusting and file[:2] == position[:2] and file[2] >= position.read_to:
                start = position.read_to
            text = whole(os.pread(there.fileno(), file[2] - start, start))
        before = position.read_to - start
        is_lost = not start and (crc32(text[:before]) != position.seal or len(text) < before)
        records, damaged = records_in(text if is_lost else text[before:])
        seal = crc32(text, position.seal if start else 0)
        return JournalNews(records, damaged, is_lost, JournalPosition(*file, start + len(text), seal))


def look_at(path: str | bytes | int) -> Look:
    """Return what a file is like now; zeros where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return NO_FILE
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def whole(text: bytes) -> bytes:
    """Return the complete lines of a piece of a file."""
    return text[: text.rfind(b"\n") + 1]


def opened(path: Path | bytes, *, write: bool = False, append: bool = False) -> SecureFile:
    """Open a file that must be ours; with ``write`` or ``append`` it is made where it is missing.

    Raises:
        UnsafePath: it is a link, a pipe, a device, has a second name or another owner.
        OSError: it cannot be opened.

    """
    return platform.open_file(Path(os.fsdecode(path)), write=write, append=append, create=write or append)


def size_of(file: SecureFile) -> int:
    """Return the length now: others may append while it is open."""
    return os.fstat(file.fileno()).st_size


def sealed(record: bytes) -> bytes:
    """Return a record as it stands in a file."""
    line = record.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    return b"\n%08x %b\n" % (crc32(line), line)


def records_in(text: bytes) -> tuple[list[bytes], int]:
    """Return the records in a piece of a file, and how many lines are none."""
    lines = [line for line in text.split(b"\n") if line]
    records = [record for line in lines if (record := _unsealed(line)) is not None]
    return records, len(lines) - len(records)


def _unsealed(line: bytes) -> bytes | None:
    if line[:_SEAL] != b"%08x " % crc32(line[_SEAL:]) or len(line) <= _SEAL:
        return None
    pieces = line[_SEAL:].split(b"\\\\")
    return b"\\".join(piece.replace(b"\\n", b"\n") for piece in pieces)


# --- the last lines of a process


HEAD_BYTES: Final = 9
"""A newline and the checksum of the first record."""

LINES: Final = ".lines"
"""How the name of the file ends in which a process keeps its last lines (:class:`WriterLines`)."""
_LINES: Final = LINES.encode()

TICK_NS: Final = 2_000_000_000
"""No file system's times of change are coarser, in nanoseconds."""

MOST_BYTES: Final = 4 << 20
"""No more is kept: so much comes together only where the sums cannot be brought up for long."""


class FedLine(NamedTuple):
    """A line, and where in which ledger it was appended."""

    path: bytes
    offset: int
    entry_id: str
    line: bytes


class WriterLines:
    """The lines of this process that no sums have yet, a second time: what was logged outlives its ledger.

    A line is in its ledger alone until somebody takes it into the sums, which may be a second later. So each
    process writes it to a file of its own too, beside the one by which others see that it lives, and keeps
    it locked. That file is not synced: it outlives a kill, and a power cut takes no ledger away. It is
    emptied when the sums have all of it. A forked child has one of its own.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._file: SecureFile | None = None
        self._path, self._place = "", NO_FILE[:2]
        """Where it lies, and the device and the number of the file there."""
        self._size = 0
        self.lines: dict[str, bytes] = {}
        """The ids of the lines that are here, each with the path of its ledger."""

    def __len__(self) -> int:
        return self._size

    def add(self, path: bytes, offset: int, line: bytes, entry_id: str) -> None:
        """Keep a line that was appended. Where that fails it is in its ledger alone."""
        record = sealed(b"%d %b\0%b\0%b" % (offset, path, entry_id.encode(errors="surrogatepass"), line))
        try:
            file = self._file
            # As long as it is open no other file has its number.
            if file is None or file.closed or look_at(self._path)[:2] != self._place:
                file = self._opened()
            if self._size > MOST_BYTES:
                return
            self.lines[entry_id] = path
            self._size += file.write(record)
        except OSError:
            return

    def _opened(self) -> SecureFile:
        """Open a file: the first one, that of a forked child, or where somebody deleted or moved the last."""
        path = self._presence.folder / (self._presence.name() + LINES)
        self._file = file = platform.open_file(path, append=True, create=True, kind=KeptFile)
        platform.lock(file, 0)
        self._path, self._place = os.fspath(path), look_at(file.fileno())[:2]
        self._begin()
        return file

    def clear(self) -> None:
        """Empty the file: the sums have all of it."""
        self._begin()
        if self._file is not None and not self._file.closed:
            with suppress(OSError):
                self._file.truncate(0)

    def _begin(self) -> None:
        self._size, self.lines = 0, {}


class WriterLinesReader:
    """What processes keep beside their ledgers: each look goes on from where the last one came to."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.fsencode(folder)
        self._listed = NO_FILE
        """What the folder was like when it was listed, once that tells whether a file came since."""
        self._paths = list[bytes]()
        self._read: dict[bytes, tuple[Look, bytes, int]] = {}
        """What each file was like, how it began (which tells that it was emptied), how far it was read."""

    def news(self) -> list[FedLine]:
        """Return the lines that are kept and were not given yet.

        A file that cannot be read now is passed over: the next look tries again.
        """
        lines = list[FedLine]()
        with suppress(OSError):
            self._list()
            for path in self._paths:
                lines.extend(map(_fed, self._records(path)))
        return lines

    def _list(self) -> None:
        """List the files, where one may have come or gone since."""
        now, look = time.time_ns(), look_at(self._folder)
        if look == self._listed != NO_FILE:
            return
        names = sorted(os.listdir(self._folder))
        self._paths = [os.path.join(self._folder, name) for name in names if name.endswith(_LINES)]
        self._read = {path: self._read[path] for path in self._paths if path in self._read}
        # One that comes within the tick of the clock in which the folder was changed does not show.
        self._listed = look if abs(now - look[3]) > TICK_NS else NO_FILE

    def _records(self, path: bytes) -> list[bytes]:
        look, (before, head, read_to) = look_at(path), self._read.get(path, (NO_FILE, b"", 0))
        if look == before or not look[2]:
            return []
        with suppress(OSError), opened(path) as file:  # it may have gone: its ledgers were read then
            if os.pread(file.fileno(), len(head), 0) != head:
                read_to = 0
            text = whole(os.pread(file.fileno(), size_of(file) - read_to, read_to))
            self._read[path] = look, head if read_to else text[:HEAD_BYTES], read_to + len(text)
            return records_in(text)[0]
        return []


def _fed(record: bytes) -> FedLine:
    place, entry_id, line = record.split(b"\0", 2)
    offset, _, path = place.partition(b" ")
    return FedLine(path, int(offset), entry_id.decode(errors="surrogatepass"), line)
