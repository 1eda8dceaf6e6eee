r"""Digests of files that show not only that a byte has changed since, but where.

A digest has the SHA-256 of all bytes and a short mark for each group of lines. In a short file each line has
a mark; in a longer one a mark covers several lines, and their own checksums show which of them changed.
So the digest of a ledger stays small, however long it is. Appended lines do not count as a change.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> path = Path(folder.name) / "prices.yaml"
>>> _ = path.write_bytes(b"a: 1\nb: 2\n")
>>> before = digest_of(path)
>>> _ = path.write_bytes(b"a: 1\nb: 3\nc: 4\n")
>>> [(change.line, change.what) for change in changes_since(before, path)], appended_since(before, path)
([(2, 'changed')], 5)
>>> folder.cleanup()
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from hashlib import blake2b, sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from .line import is_sealed

MARKS: Final = 64
"""How many marks a ledger's digest has at most."""

_MARK_BYTES: Final = 4


class Digest(NamedTuple):
    """A file's size, number of lines, SHA-256, and a mark for each ``group`` of lines, in hex."""

    size: int
    lines: int
    sha256: str
    group: int
    marks: str


ChangeKind = Literal["gone", "shorter", "changed", "inserted or removed"]


class FileChange(NamedTuple):
    """A change of a file since its digest was made. ``line`` counts from 1, ``last`` ends a range."""

    what: ChangeKind
    why: str
    line: int | None = None
    last: int | None = None
    offset: int | None = None


def digest_of(path: Path, most_marks: int = MARKS) -> Digest:
    """Return a file's digest.

    Raises:
        OSError: it does not exist, is not a regular file, or cannot be read.

    """
    whole, marks, size = sha256(), [], 0
    for line in _lines(path, None):
        whole.update(line)
        marks.append(_mark(line))
        size += len(line)
    group = -(-len(marks) // most_marks) or 1
    joined = "".join(_group_marks(marks, group))
    return Digest(size, len(marks), whole.hexdigest(), group, joined)


def digest_from(plain: dict[str, Any]) -> Digest:
    """Return a digest from its JSON.

    Raises:
        KeyError, TypeError, ValueError: it is not a digest.

    """
    return Digest(
        int(plain["size"]), int(plain["lines"]), plain["sha256"], int(plain["group"]), plain["marks"]
    )


def appended_since(before: Digest, path: Path) -> int:
    """Return how many bytes longer a file is than it was."""
    try:
        return max(0, path.stat().st_size - before.size)
    except OSError:
        return 0


def changes_since(before: Digest, path: Path) -> list[FileChange]:
    """Return what changed in the bytes that a digest covers."""
    try:
        size = path.stat().st_size
        if size >= before.size and _sha256(path, before.size) == before.sha256:
            return []
        changes = list(_changed_groups(before, path))
    except OSError as fault:
        return [FileChange("gone", fault.strerror or str(fault))]
    if size < before.size:
        changes.insert(0, FileChange("shorter", f"{before.size - size:,} bytes are gone"))
    return changes


def _sha256(path: Path, size: int) -> str:
    digest = sha256()
    for line in _lines(path, size):
        digest.update(line)
    return digest.hexdigest()


def _changed_groups(before: Digest, path: Path) -> Iterator[FileChange]:
    """Yield the groups of lines whose marks differ, narrowed to the lines whose own checksum is broken."""
    width = 2 * _MARK_BYTES
    marks = [before.marks[at : at + width] for at in range(0, len(before.marks), width)]
    lines, offset = _lines(path, before.size), 0
    count = 0
    for number, mark in enumerate(marks):
        group = list(islice(lines, before.group))
        now = next(iter(_group_marks([_mark(line) for line in group], before.group)), "")
        first = number * before.group + 1
        if now != mark and group:
            yield from _broken_lines(group, first, offset)
        elif not group:
            break
        count += len(group)
        offset += sum(map(len, group))
    count += sum(1 for _ in lines)
    if count != before.lines:
        yield FileChange("inserted or removed", f"{before.lines:,} lines were there, {count:,} are")


def _broken_lines(group: list[bytes], first: int, offset: int) -> Iterator[FileChange]:
    if len(group) == 1:
        yield FileChange("changed", "its bytes are others", first, first, offset)
        return
    at, broken = offset, []
    for number, line in enumerate(group, start=first):
        if not is_sealed(line):
            broken.append(FileChange("changed", "its checksum is broken", number, number, at))
        at += len(line)
    last = first + len(group) - 1
    yield from broken or [FileChange("changed", "one of these lines has other bytes", first, last, offset)]


def _group_marks(marks: list[bytes], group: int) -> Iterator[str]:
    for first in range(0, len(marks), group):
        members = marks[first : first + group]
        yield (members[0] if group == 1 else _mark(b"".join(members))).hex()


def _mark(data: bytes) -> bytes:
    return blake2b(data, digest_size=_MARK_BYTES).digest()


def _lines(path: Path, size: int | None) -> Iterator[bytes]:
    """Yield a file's lines with their ends, up to ``size`` bytes; a pipe is refused, not waited for."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is no regular file")
        remaining = status.st_size if size is None else size
        while remaining > 0 and (line := file.readline(min(remaining, 1 << 20))):
            remaining -= len(line)
            yield line
