"""A file system in memory that is fed with recorded system calls, and says what a power cut may leave of it.

What a ``fsync`` or ``fdatasync`` brought to the disk is there. Of what was written after it any page of
4,096 bytes may be there or not, also one that was written later; a file may be as long as it was without
the bytes in between, which read as zeros. Names (made, renamed, removed) are there once their folder was
synced; of later ones of a folder the first few may be there. ``strict``: that is all. Otherwise, as on
ext4, XFS and btrfs, the sync of a file brings the names that were made before it along.

Reads the output of ``strace -f -xx``.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import NamedTuple

PAGE = 4096

CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,ftruncate,truncate,fallocate,lseek,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync"
)
"""What is to be recorded."""


class Call(NamedTuple):
    """One recorded system call that did not fail."""

    name: str
    arguments: tuple[str | int | bytes, ...]
    result: int


def parse(text: str) -> Iterator[Call]:
    """Give the calls of a recording, in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        pid, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>\s*(.*)$", rest):
            rest = begun.pop(pid, "") + resumed[1]
        whole = re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", rest)
        if whole and not whole[3].startswith("-"):
            yield Call(whole[1], tuple(_arguments(whole[2])), int(whole[3]))


def _arguments(text: str) -> Iterator[str | int | bytes]:
    for match in re.finditer(r'"((?:\\x[0-9a-f]{2})*)"(?:\.\.\.)?|([^,\s][^,]*)', text):
        if match[2] is None:
            yield bytes.fromhex(match[1].replace("\\x", ""))
        else:
            word = match[2].strip()
            yield int(word, 8) if re.fullmatch(r"0[0-7]+", word) else int(word) if word.isdigit() else word


# --- the disk


@dataclass(eq=False)
class File:
    """A file: what it holds now, what the disk has of it for sure, and what was written since."""

    now: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    """Offset and bytes; a negative offset is a truncation to its complement."""

    def write(self, at: int, data: bytes) -> None:
        """Write bytes at a place."""
        if at > len(self.now):
            self.now.extend(bytes(at - len(self.now)))
        self.now[at : at + len(data)] = data
        self.writes.append((at, data))

    def truncate(self, length: int) -> None:
        """Cut, or lengthen with zeros."""
        _resize(self.now, length)
        self.writes.append((~length, b""))

    def sync(self) -> None:
        """Bring all to the disk."""
        self.safe, self.writes = bytes(self.now), []

    def after_cut(self, mode: str, rng: random.Random) -> bytes:
        """Return what it may hold after a power cut."""
        if mode == "none" or not self.writes:
            return self.safe
        if mode == "all":
            return bytes(self.now)
        # The last write that may be there: all of them, or, torn, any one and no later one.
        last = rng.randrange(len(self.writes)) if mode == "torn" else len(self.writes) - 1
        content, longest = bytearray(self.safe), len(self.safe)
        for at, data in self.writes[: last + 1]:
            torn = mode == "torn" and (at, data) is self.writes[last]
            if at < 0:
                _resize(content, ~at)
                longest = ~at
            else:
                _write_some(content, at, data, rng if mode == "some" or torn else None, torn)
                longest = max(longest, at + len(data))
        if mode == "some" and rng.random() < 0.3 and longest > len(content):
            _resize(content, longest)
        return bytes(content)


def _write_some(content: bytearray, at: int, data: bytes, rng: random.Random | None, torn: bool) -> None:
    """Write some of the pages of ``data``, all without ``rng``; where it is torn, the first few."""
    for start, piece in _pages(at, data):
        if rng is None or rng.random() < 0.5:
            _resize(content, max(len(content), start))
            content[start : start + len(piece)] = piece
        elif torn:
            return


def _resize(content: bytearray, length: int) -> None:
    if length < len(content):
        del content[length:]
    else:
        content.extend(bytes(length - len(content)))


def _pages(at: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    start = at
    while start < at + len(data):
        end = min((start // PAGE + 1) * PAGE, at + len(data))
        yield start, data[start - at : end - at]
        start = end


@dataclass(eq=False)
class Folder:
    """A folder: its names now, those that the disk has for sure, and what was done to them since."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    safe: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[dict[str, File | Folder | None]] = field(default_factory=list)
    """What each change set: a name's new meaning, or ``None`` where it was removed."""

    def change(self, names: dict[str, File | Folder | None]) -> None:
        """Change some names at once."""
        _apply(self.now, names)
        self.changes.append(names)

    def sync(self) -> None:
        """Bring all names to the disk."""
        self.safe, self.changes = dict(self.now), []

    def after_cut(self, mode: str, rng: random.Random) -> dict[str, File | Folder]:
        """Return which names there may be after a power cut."""
        if mode == "all":
            return self.now
        names = dict(self.safe)
        if mode == "some":
            for each in self.changes[: rng.randrange(len(self.changes) + 1)]:
                _apply(names, each)
        return names


def _apply(names: dict[str, File | Folder], change: dict[str, File | Folder | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


State = dict[str, bytes | None]
"""The paths below the root with their content; ``None`` for a folder."""

MODES = (("none", "none"), ("all", "all"), ("all", "none"), ("none", "all"), ("all", "torn"))
"""For names and for data; besides them ``("some", "some")``, by chance."""


@dataclass(eq=False)
class _Open:
    """An open file: its node, and where the next write goes."""

    node: File | Folder
    path: str
    position: int = 0
    appends: bool = False


class Disk:
    """The file system. ``events`` grows with each call that changes something below ``root``."""

    def __init__(self, root: str, *, strict: bool, without_sync: str = "") -> None:
        self.root = root.rstrip("/")
        self.strict, self.without_sync = strict, without_sync
        self.top = Folder()
        self._open: dict[int, _Open] = {}
        self.events = 0
        self.unknown: set[str] = set()

    # --- states

    def states(self, rng: random.Random, by_chance: int) -> Iterator[State]:
        """Give what a power cut now may leave."""
        for names, data in [*MODES, *[("some", "some")] * by_chance]:
            state: State = {}
            self._collect(self.top, "", names, data, rng, state)
            yield state

    def _collect(
        self, folder: Folder, path: str, names: str, data: str, rng: random.Random, into: State
    ) -> None:
        for name, node in folder.after_cut(names, rng).items():
            here = f"{path}/{name}"
            if isinstance(node, File):
                into[here] = node.after_cut(data, rng)
            else:
                into[here] = None
                self._collect(node, here, names, data, rng, into)

    # --- calls

    def settle(self) -> None:
        """Take all that there is for safely on the disk."""
        self._sync_names(self.top)
        for file in self._files(self.top):
            file.sync()

    def feed(self, call: Call) -> bool:
        """Do what a call did; return whether anything below the root changed."""
        before = self.events
        handler = getattr(self, f"_do_{call.name}", None)
        if handler is not None:
            handler(call.arguments, call.result)
        return self.events != before

    def _find(self, path: str) -> tuple[Folder, str] | None:
        """Return the folder of a path and the name in it; ``None`` outside the root."""
        if not path.startswith(f"{self.root}/"):
            return None
        *folders, name = PurePosixPath(path).relative_to(self.root).parts
        here = self.top
        for each in folders:
            found = here.now.get(each)
            if not isinstance(found, Folder):
                return None
            here = found
        return here, name

    def _path(self, folder: object, name: object) -> str:
        assert isinstance(name, bytes)
        path = os.fsdecode(name)
        if path.startswith("/") or not isinstance(folder, int):
            return os.path.normpath(path)
        opened = self._open.get(folder)
        return os.path.normpath(f"{opened.path}/{path}") if opened else path

    def _do_openat(self, a: tuple[object, ...], fd: int) -> None:
        self._opened(self._path(a[0], a[1]), str(a[2]), fd)

    def _do_open(self, a: tuple[object, ...], fd: int) -> None:
        self._opened(self._path(None, a[0]), str(a[1]), fd)

    def _opened(self, path: str, flags: str, fd: int) -> None:
        self._open.pop(fd, None)
        if path == self.root:
            self._open[fd] = _Open(self.top, path)
            return
        found = self._find(path)
        if found is None:
            return
        folder, name = found
        node = folder.now.get(name)
        if node is None:
            if "O_CREAT" not in flags:
                self.unknown.add(path)
                return
            node = File()
            folder.change({name: node})
            self.events += 1
        if isinstance(node, File) and "O_TRUNC" in flags and node.now:
            node.truncate(0)
            self.events += 1
        self._open[fd] = _Open(node, path, appends="O_APPEND" in flags)

    def _do_close(self, a: tuple[object, ...], _: int) -> None:
        self._open.pop(_int(a[0]), None)

    def _do_dup(self, a: tuple[object, ...], fd: int) -> None:
        if (one := self._open.get(_int(a[0]))) is not None:
            self._open[fd] = one

    _do_dup2 = _do_dup3 = _do_dup

    def _do_fcntl(self, a: tuple[object, ...], fd: int) -> None:
        if str(a[1]).startswith("F_DUPFD"):
            self._do_dup(a, fd)

    def _do_lseek(self, a: tuple[object, ...], position: int) -> None:
        if (one := self._open.get(_int(a[0]))) is not None:
            one.position = position

    def _do_write(self, a: tuple[object, ...], length: int) -> None:
        one = self._open.get(_int(a[0]))
        if one is None or not isinstance(one.node, File):
            return
        at = len(one.node.now) if one.appends else one.position
        one.node.write(at, _bytes(a[1])[:length])
        one.position = at + length
        self.events += 1

    def _do_pwrite64(self, a: tuple[object, ...], length: int) -> None:
        one = self._open.get(_int(a[0]))
        if one is not None and isinstance(one.node, File):
            one.node.write(_int(a[3]), _bytes(a[1])[:length])
            self.events += 1

    def _do_writev(self, a: tuple[object, ...], _: int) -> None:
        if _int(a[0]) in self._open:
            raise NotImplementedError("writev is not replayed")

    _do_pwritev = _do_writev

    def _do_ftruncate(self, a: tuple[object, ...], _: int) -> None:
        one = self._open.get(_int(a[0]))
        if one is not None and isinstance(one.node, File):
            one.node.truncate(_int(a[1]))
            self.events += 1

    def _do_fallocate(self, a: tuple[object, ...], _: int) -> None:
        one = self._open.get(_int(a[0]))
        if one is not None and isinstance(one.node, File) and _int(a[2]) + _int(a[3]) > len(one.node.now):
            one.node.truncate(_int(a[2]) + _int(a[3]))
            self.events += 1

    def _do_rename(self, a: tuple[object, ...], _: int) -> None:
        self._renamed(self._path(None, a[0]), self._path(None, a[1]))

    def _do_renameat(self, a: tuple[object, ...], _: int) -> None:
        self._renamed(self._path(a[0], a[1]), self._path(a[2], a[3]))

    _do_renameat2 = _do_renameat

    def _renamed(self, old: str, new: str) -> None:
        here, there = self._find(old), self._find(new)
        if here is None or there is None:
            return
        node = here[0].now.get(here[1])
        if node is None:
            return
        if here[0] is there[0]:
            here[0].change({here[1]: None, there[1]: node})
        else:
            there[0].change({there[1]: node})
            here[0].change({here[1]: None})
        self.events += 1

    def _do_link(self, a: tuple[object, ...], _: int) -> None:
        self._linked(self._path(None, a[0]), self._path(None, a[1]))

    def _do_linkat(self, a: tuple[object, ...], _: int) -> None:
        self._linked(self._path(a[0], a[1]), self._path(a[2], a[3]))

    def _linked(self, old: str, new: str) -> None:
        here, there = self._find(old), self._find(new)
        if here is not None and there is not None and (node := here[0].now.get(here[1])) is not None:
            there[0].change({there[1]: node})
            self.events += 1

    def _do_unlink(self, a: tuple[object, ...], _: int) -> None:
        self._removed(self._path(None, a[0]))

    _do_rmdir = _do_unlink

    def _do_unlinkat(self, a: tuple[object, ...], _: int) -> None:
        self._removed(self._path(a[0], a[1]))

    def _removed(self, path: str) -> None:
        found = self._find(path)
        if found is not None and found[1] in found[0].now:
            found[0].change({found[1]: None})
            self.events += 1

    def _do_mkdir(self, a: tuple[object, ...], _: int) -> None:
        self._made(self._path(None, a[0]))

    def _do_mkdirat(self, a: tuple[object, ...], _: int) -> None:
        self._made(self._path(a[0], a[1]))

    def _made(self, path: str) -> None:
        found = self._find(path)
        if found is not None:
            found[0].change({found[1]: Folder()})
            self.events += 1

    def _do_fsync(self, a: tuple[object, ...], _: int) -> None:
        one = self._open.get(_int(a[0]))
        if one is None or (self.without_sync and fnmatch(one.path, self.without_sync)):
            return
        one.node.sync()
        if not self.strict and isinstance(one.node, File):
            self._sync_names(self.top)
        self.events += 1

    _do_fdatasync = _do_fsync

    def _sync_names(self, folder: Folder) -> None:
        folder.sync()
        for node in folder.now.values():
            if isinstance(node, Folder):
                self._sync_names(node)

    def _files(self, folder: Folder) -> Iterator[File]:
        for node in folder.now.values():
            if isinstance(node, Folder):
                yield from self._files(node)
            else:
                yield node


def _int(value: object) -> int:
    return value if isinstance(value, int) else -1


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes), value
    return value
