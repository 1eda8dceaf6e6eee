r"""Which processes are alive, and what each of them holds: one locked file a process and storage.

The file lies in ``writers/`` of the cost storage and is named ``<pid>-<random>``. Its process keeps
it locked, as it does the file of its last lines (:class:`.journal.WriterLines`), and the kernel unlocks both
when the process ends in whatever way: a name whose files are unlocked or missing belongs to a process that is
gone.

The file is also a journal of what its process holds: ``P <key> <record>`` when something is about to be held,
``H <key> <record>`` when it is, ``E <key>`` when that ends. It is not synced: it outlives the death of a
process, and the loss of the database that is written beside it, each by itself. A line that was torn is
skipped.

All trackers of a process share one :class:`Presence` a folder, and so one descriptor.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> here = presence_in(Path(folder.name) / "writers")
>>> here is presence_in(Path(folder.name) / "writers"), here.alive(here.name()), here.alive("1-gone")
(True, True, False)
>>> here.begin("a", b'{"amount": 5}'); here.begin("b", b"{}"); here.end("b")
>>> here.read(here.name()).open
{'a': b'{"amount": 5}'}
>>> here.leave(); folder.cleanup()
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from weakref import WeakSet

from .. import platform
from ..forks import lock_of
from ..platform import KeptFile, SecureFile
from .journal import LINES

COMPACT_BYTES: Final = 64 << 10
"""A journal of this size is written anew when most of what it says is over."""

OLD_S: Final = 3600.0
"""How long the file of a dead process is kept at least, in seconds."""

HELD, PENDING = b"H", b"P"
"""How a line of a journal begins that says what is held, or what is about to be."""

_DRAFT: Final = ".new-"
"""How a file's name begins until it is locked: nobody sees a file of a living process unlocked."""


class HoldJournal(NamedTuple):
    """What one process's file says. Records are bytes without a newline.

    ``open`` is what it holds, by key, oldest first; ``ended`` are keys that it ended and others began.
    Those that are ``pending`` are open too: whether they are held is being decided.
    """

    open: dict[str, bytes]
    ended: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()


class Presence:
    """This process in one folder. Thread-safe; a forked child has a file and a journal of its own.

    The file is made when it is first needed, and made again, with the same name and with what is
    held now, when somebody deleted it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = lock_of(self, "_lock")
        self._reset()
        _PRESENCES.add(self)

    def _reset(self) -> None:
        self._name = ""
        self._file: SecureFile | None = None
        self._open: dict[str, bytes] = {}
        self._ended: set[str] = set()
        self._pending: set[str] = set()
        self._checked_by = 0

    def name(self) -> str:
        """Return this process's name, after making sure that its file is there and locked.

        Raises:
            UnsafePath: the folder is a link or belongs to another account.
            OSError: the file cannot be made.

        """
        with self._lock:
            file = self._file
            if file is None or file.closed or not platform.same_file(file.fileno(), self.folder / self._name):
                self._enter()
            return self._name

    def _enter(self) -> None:
        platform.secure_directory(self.folder)
        name = self._name or f"{os.getpid()}-{os.urandom(8).hex()}"
        draft = self.folder / f"{_DRAFT}{name}"
        with suppress(FileNotFoundError):
            os.unlink(draft)
        file = platform.create_file(draft, KeptFile)
        try:
            platform.lock(file.fileno(), 0)
            self._name, self._file = name, file
            self._write_all()
            os.replace(draft, self.folder / name)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise

    # --- who lives

    def alive(self, name: str) -> bool:
        """Tell whether the process of this name is alive and has not left.

        Raises:
            UnsafePath: its file is not a regular file.
            OSError: it cannot be looked at.

        """
        if name == self._name and self._file is not None:
            return True
        return self._is_locked(name) or self._is_locked(name + LINES)  # one of them may have been lost

    def _is_locked(self, name: str) -> bool:
        try:
            with platform.open_file(self.folder / name, write=True) as file:
                return platform.is_locked(file)
        except FileNotFoundError:
            return False

    def dead(self, names: Collection[str]) -> set[str]:
        """Return those of ``names`` whose process is gone."""
        return {name for name in names if not self.alive(name)}

    def names(self) -> list[str]:
        """Return the names of all processes that have a file, dead ones included."""
        try:
            listed = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted({name.removesuffix(LINES) for name in listed if not name.startswith(".")})

    def leave(self) -> None:
        """Give the lock up: for others this process is gone, until :meth:`name` is asked again."""
        with self._lock:
            file = self._file
            self._reset()
            if file is not None:
                with suppress(OSError):
                    platform.unlock(file.fileno())  # a child that is being forked may have a copy of it
                file.close()

    # --- the journal

    def begin(self, key: str, record: bytes, *, pending: bool = False) -> None:
        """Note that something is held from now on. ``key`` has no spaces, ``record`` no newline.

        ``pending`` if that may still come to nothing: then it counts only while this process lives.

        Raises:
            OSError: it cannot be written.

        """
        with self._lock:
            self.name()
            self._append(_line(PENDING if pending else HELD, key, record))
            self._open[key] = record
            (self._pending.add if pending else self._pending.discard)(key)

    def end(self, key: str) -> None:
        """Note that something is no longer held, whoever began it.

        Raises:
            OSError: it cannot be written.

        """
        with self._lock:
            self.name()
            self._append(_over(key))
            self._pending.discard(key)
            if self._open.pop(key, None) is None:
                self._ended.add(key)
            assert self._file is not None
            if self._file.tell() > max(COMPACT_BYTES, 4 * self._needed()):
                self._write_all()

    def read(self, name: str) -> HoldJournal:
        """Return what the file of a process says; an empty journal where there is no file.

        Raises:
            OSError: it cannot be read.

        """
        try:
            with platform.open_file(self.folder / name) as file:
                data = file.readall()
        except FileNotFoundError:
            return HoldJournal({})
        return parsed(data)

    def read_all(self) -> dict[str, HoldJournal]:
        """Return the journals of all processes that have a file, by name."""
        return {name: self.read(name) for name in self.names()}

    def remove(self, name: str) -> None:
        """Delete the file of a process that is gone, unless its journal says something of holds."""
        if not any(self.read(name)):
            self._unlink(name)

    def _unlink(self, name: str) -> None:
        for file in (name + LINES, name):
            with suppress(FileNotFoundError):
                os.unlink(self.folder / file)

    def tidy(self, held: Callable[[], Collection[str]]) -> None:
        """Delete files of dead processes that nothing depends on any more; once a process.

        ``held`` gives the keys that are held by anybody: a journal is kept while it has one of them,
        or ends something that another file still calls held.
        """
        with self._lock:
            if self._checked_by == os.getpid():
                return
            self._checked_by = os.getpid()
        for draft in self.folder.glob(f"{_DRAFT}*"):
            if self._is_old(draft.name):
                self._unlink(draft.name)
        gone = [name for name in self.names() if self._is_old(name) and not self.alive(name)]
        if not gone:
            return
        journals, kept = self.read_all(), set(held())
        for name in gone:
            elsewhere = {key for other, journal in journals.items() if other != name for key in journal.open}
            journal = journals.get(name, HoldJournal({}))
            if kept.isdisjoint(journal.open) and elsewhere.isdisjoint(journal.ended):
                self._unlink(name)

    def _is_old(self, name: str) -> bool:
        with suppress(FileNotFoundError):  # another process was faster
            return time.time() - os.stat(self.folder / name).st_mtime > OLD_S
        return False

    def _append(self, lines: bytes) -> None:
        """Write whole lines, after a newline: the last ones may have been cut short."""
        assert self._file is not None
        if self._file.write(b"\n" + lines) != len(lines) + 1:
            raise OSError(f"{self.folder / self._name}: a line was written in part; is the disk full?")

    def _kind(self, key: str) -> bytes:
        return PENDING if key in self._pending else HELD

    def _needed(self) -> int:
        return sum(len(key) + len(record) for key, record in self._open.items()) + 40 * len(self._ended)

    def _write_all(self) -> None:
        """Write what is held now over the file, then cut it. A kill in between leaves old lines after it."""
        assert self._file is not None
        lines = [_line(self._kind(key), key, record) for key, record in self._open.items()]
        self._file.seek(0)
        self._append(b"".join([*lines, *map(_over, sorted(self._ended)), b"\n"]))
        self._file.truncate()


def _line(kind: bytes, key: str, record: bytes) -> bytes:
    return b"%b %b %b\n" % (kind, key.encode(), record)


def _over(key: str) -> bytes:
    return b"E %b\n" % key.encode()


def parsed(data: bytes) -> HoldJournal:
    r"""Return what a journal's bytes say.

    >>> parsed(b'H a {"x": 1}\nE b\nH c {}\nE c\nH torn').open
    {'a': b'{"x": 1}'}
    """
    begun: dict[str, bytes] = {}
    ended, pending = set[str](), set[str]()
    for line in data.split(b"\n")[:-1]:
        kind, _, rest = line.partition(b" ")
        key, _, record = rest.partition(b" ")
        text = key.decode("utf-8", "replace")
        if kind in (HELD, PENDING) and key and record:
            begun[text] = record
            (pending.add if kind == PENDING else pending.discard)(text)
        elif kind == b"E" and key and not record and begun.pop(text, None) is None:
            ended.add(text)
    return HoldJournal(begun, frozenset(ended), frozenset(pending & begun.keys()))


# --- one a process and folder

_SHARED: Final[dict[str, Presence]] = {}
"""One a folder for as long as the process lives, as its :class:`.store.Store`."""
_PRESENCES: Final[WeakSet[Presence]] = WeakSet()


def presence_in(folder: Path) -> Presence:
    """Return this process's presence in a folder: the same object for all that ask."""
    key = os.path.realpath(folder)
    return _SHARED.get(key) or _SHARED.setdefault(key, Presence(folder))


def _in_child() -> None:
    """Forget the parent's files, whose locks are the parent's alone, and what the parent holds."""
    for presence in list(_PRESENCES):
        presence._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
