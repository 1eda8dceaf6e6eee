"""Reading logs that others are writing: regular files, to the size they have now, whole lines only.

Logs may have been packed since they were written, by Codex with Zstandard, by people with gzip, or recoded.
Codex packs ``rollout-*.jsonl`` that nobody wrote to for seven days into ``rollout-*.jsonl.zst`` and removes
them, where its feature ``local_thread_store_compression`` is on. Seen on 2026-11-30 with 0.171.0. Source:
https://github.com/openai/codex/pull/24941
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import zlib
from codecs import BOM_UTF8, getincrementaldecoder
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final
from zlib import crc32

from ...archive.duck import MissingExtra
from ...extras import install_command
from ...small_file import opened
from ..files import utf_16_of
from ..imports import CannotRead, tables_of

_CHUNK: Final = 1 << 20
_ENDINGS: Final = (".jsonl.zst", ".jsonl.gz")


def plain_path(path: Path) -> Path:
    """Return the name that a log had before it was packed.

    >>> plain_path(Path("a/rollout-1.jsonl.zst")).name, plain_path(Path("opencode.db.gz")).name
    ('rollout-1.jsonl', 'opencode.db.gz')
    """
    return path.with_suffix("") if path.name.endswith(_ENDINGS) else path


@contextmanager
def unpacked(file: FileIO) -> Iterator[FileIO]:
    """Give the content of a log: the file itself, or of one packed or in UTF-16 its text in a temporary file.

    Raises:
        MissingExtra: it is packed by Zstandard, and the package for that is not installed.
        OSError: it is damaged or cut off, or there is no space for its content.

    """
    head = os.pread(file.fileno(), 4, 0)
    unpacker, encoding = _unpacker_of(head), utf_16_of(head)
    if unpacker is None and encoding is None:
        yield file
        return
    with TemporaryFile(buffering=0) as plain:
        if unpacker is not None:
            _unpack(file, unpacker, plain.write)
        elif encoding is not None:
            _recode(file, encoding, plain.write)
        plain.seek(0)
        yield plain


def _unpacker_of(head: bytes) -> Callable[[], Any] | None:
    """Return what makes an unpacker of one frame: zlib's, or zstandard's, which have the same members."""
    if head[:2] == b"\x1f\x8b":
        return lambda: zlib.decompressobj(wbits=31)
    if head != b"\x28\xb5\x2f\xfd":
        return None
    try:
        from zstandard import ZstdDecompressor
    except ImportError:
        raise MissingExtra(f"is packed by Zstandard; to read it: {install_command('zstd')}") from None
    return ZstdDecompressor().decompressobj


def _recode(file: FileIO, encoding: str, write: Callable[[bytes], object]) -> None:
    decoder, offset = getincrementaldecoder(encoding)("replace"), 0
    while chunk := os.pread(file.fileno(), _CHUNK, offset):
        offset += len(chunk)
        write(decoder.decode(chunk).encode("utf-8", "replace"))


def _unpack(file: FileIO, unpacker: Callable[[], Any], write: Callable[[bytes], object]) -> None:
    frame, is_ended, offset = unpacker(), True, 0
    try:
        while chunk := os.pread(file.fileno(), _CHUNK, offset):
            offset += len(chunk)
            while chunk := chunk.lstrip(b"\0") if is_ended else chunk:  # tapes and devices fill up with zeros
                write(frame.decompress(chunk))
                is_ended, chunk = frame.eof, frame.unused_data
                if is_ended:
                    frame = unpacker()
    except OSError:
        raise
    except Exception as fault:  # zlib's error and zstandard's have no base of their own
        raise OSError(f"is damaged: {fault}") from fault
    if not is_ended:
        raise OSError("is cut off: the end of what was packed is not there")


CHUNK: Final = 1 << 20
HEAD_BYTES: Final = 65_536
MARK_BYTES: Final = 256
"""By so many first bytes, and last ones before where it was read to, a file that grew is known again."""

MAX_LINE: Final = 256 << 20
"""A longer line, in bytes, is passed over and said. Agents write whole files and pictures into one line."""

MAX_DOCUMENT: Final = 256 << 20
"""A longer document, in bytes, is refused: it has to be read as a whole."""

_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def opened_log(path: Path) -> Iterator[tuple[FileIO, os.stat_result]]:
    """Open a regular file without waiting for anybody; one that is packed is given unpacked.

    Raises:
        CannotRead: it is not there, is a pipe, a device or a folder, or cannot be read or unpacked.

    """
    try:
        with opened(path, _FLAGS, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise CannotRead(f"{path}: is not a regular file; copy what it gives into one")
            with unpacked(file) as plain:
                yield plain, found
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error
    except MissingExtra as missing:
        raise CannotRead(f"{path}: {missing}") from missing


class LogSample:
    """The beginning of a file, by which programs tell their logs.

    Raises:
        CannotRead: it is no regular file, or cannot be read.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened_log(path) as (file, _):
            self.head = (file.read(HEAD_BYTES) or b"").removeprefix(BOM_UTF8)

    @cached_property
    def first(self) -> dict[str, Any]:
        """The first line as a JSON object; an empty one where it is none."""
        line = self.head.partition(b"\n")[0]
        return _object(line)

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The whole lines of the beginning that are JSON objects, at most fifty."""
        lines = self.head.split(b"\n")[:-1] or [self.head]
        return [found for line in lines[:50] if (found := _object(line))]

    @cached_property
    def tables(self) -> Mapping[str, frozenset[str]]:
        """The tables of an SQLite database and their columns; nothing where the file is none."""
        if not self.head.startswith(b"SQLite format 3\0"):
            return {}
        try:
            return tables_of(self.path)
        except sqlite3.Error as fault:
            raise CannotRead(f"{self.path}: a damaged database: {fault}") from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class LogFile:
    """One log, read from ``offset`` to the ``size`` it had when it was opened.

    ``state`` is what a reader remembers of the lines before: it is kept with the place. ``is_quiet`` tells
    that nobody wrote to the file for a while, so that what is open in it stays as it is, and ``is_cut`` that
    its last line has no end all the same.
    """

    path: Path
    file: FileIO
    size: int
    offset: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    is_quiet: bool = True
    lines: int = 0
    too_long: int = 0
    is_cut: bool = False
    _again: list[bytes] = field(default_factory=list)

    def lines_with(self, *needles: bytes) -> Iterator[bytes]:
        """Yield every whole line that has one of ``needles`` in it; ``offset`` is behind what was given.

        A last line without its end is left for the next time, unless nobody writes any more.
        """
        for chunk in self._whole_lines():
            # Most lines have none of the needles: they are looked for in the chunk first.
            wanted = [needle for needle in needles if needle in chunk]
            if wanted:
                for line in chunk.split(b"\n"):
                    for needle in wanted:
                        if needle in line:
                            yield line
                            if self._again:
                                yield from self._given_again(wanted)
                            break
            self.lines += chunk.count(b"\n")

    def retry(self, line: bytes) -> bool:
        """Tell whether a line that is no JSON has objects in it all the same, which are then given next."""
        self._again = [each for each in _mended(line) if each != line]
        return bool(self._again)

    def _given_again(self, wanted: Sequence[bytes]) -> Iterator[bytes]:
        while self._again:
            line = self._again.pop(0)
            if any(needle in line for needle in wanted):
                left, self._again = self._again, []
                yield line
                self._again += left

    def _whole_lines(self) -> Iterator[bytes]:
        """Yield pieces of the file that end with a line; ``offset`` is behind a piece once it was used."""
        self.file.seek(self.offset)
        rest: list[bytes] = []
        at, held = self.offset, 0
        while at < self.size and (chunk := self.file.read(min(CHUNK, self.size - at))):
            begin, at = at, at + len(chunk)
            chunk = chunk if begin else chunk.removeprefix(BOM_UTF8)
            end = chunk.rfind(b"\n") + 1
            if not end:
                held += len(chunk)
                rest = [*rest, chunk] if held <= MAX_LINE else []
                continue
            if held > MAX_LINE:
                self.too_long += 1
                chunk = chunk[chunk.index(b"\n") + 1 :]
                end = chunk.rfind(b"\n") + 1
            piece = b"".join([*rest, chunk[:end]])
            rest, held = ([chunk[end:]], len(chunk) - end) if end < len(chunk) else ([], 0)
            if piece:
                yield piece
            self.offset = at - held
        last = b"".join(rest) if self.is_quiet else b""
        if _object(last):
            yield last + b"\n"
            self.lines -= 1  # it has no end of its own, and is read again if it gets one
        else:
            self.is_cut = bool(last.strip(b"\0 \t\r"))

    def head(self) -> bytes:
        """Return the beginning of the file."""
        return os.pread(self.file.fileno(), HEAD_BYTES, 0)

    def text(self) -> bytes:
        """Return the whole file.

        Raises:
            ValueError: it is too large.

        """
        if self.size > MAX_DOCUMENT:
            raise ValueError(f"is larger than {MAX_DOCUMENT >> 20} MiB")
        self.file.seek(0)
        content = self.file.readall() or b""
        self.offset = min(self.size, len(content))
        return content

    def document(self) -> Any:  # whatever JSON holds
        """Return the whole file as JSON.

        Raises:
            ValueError: it is none, or too large.

        """
        content = self.text()
        self.lines += content.count(b"\n") + 1
        try:
            return json.loads(content)
        except RecursionError:
            raise ValueError("is nested too deeply") from None

    def marks(self) -> tuple[int, int]:
        """Return the CRC-32 of the first bytes and of the last ones that were read."""
        return marks_of(self.file, self.offset)


_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""Each escape of a JSON text in turn: pairs of surrogates, which are one character, before single ones."""


def _mended(line: bytes) -> Iterator[bytes]:
    r"""Yield the objects of a line, without what a crash, or a text that was cut within a character, left.

    A file system may fill up with zeros what was not written before the power went; the next line follows
    them, as it follows a line whose end was not written. JavaScript writes half of a character as a lone
    surrogate.

    >>> [*_mended(b'\0\0{"text": "cut \\ud83d"}{"whole": "\\ud83d\\ude00"}')]
    [b'{"text": "cut \\ufffd"}', b'{"whole": "\\ud83d\\ude00"}']
    """
    line = line.lstrip(b"\0")
    if b"\\ud" in line or b"\\uD" in line:
        line = _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], line)
    if b'}{"' not in line:
        yield line
        return
    text, at = line.decode("utf-8", "surrogateescape"), 0
    with suppress(ValueError, RecursionError):  # what is left is no object: its reader says so
        while at < len(text):
            _, end = _DECODER.raw_decode(text, at)
            yield text[at:end].encode("utf-8", "surrogateescape")
            at = end
    if at < len(text):
        yield text[at:].encode("utf-8", "surrogateescape")


_DECODER: Final = json.JSONDecoder()


def marks_of(file: FileIO, offset: int) -> tuple[int, int]:
    """Return the CRC-32 of the first bytes of a file, and of those before ``offset``."""
    length = min(offset, MARK_BYTES)
    head = os.pread(file.fileno(), length, 0)
    return crc32(head), crc32(os.pread(file.fileno(), length, offset - length))
