"""Reads logs while others write them: regular files, up to their current size, only whole lines.

Logs may have been compressed since, by Codex with Zstandard or by people with gzip, or converted to UTF-16.
Codex compresses ``rollout-*.jsonl`` that nobody wrote to for seven days into ``rollout-*.jsonl.zst`` and
removes them, if its feature ``local_thread_store_compression`` is on. Seen on 2026-11-30 with 0.171.0.
Source: https://github.com/openai/codex/pull/24941
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
    """Return the name that a log had before it was compressed.

    >>> plain_path(Path("a/rollout-1.jsonl.zst")).name, plain_path(Path("opencode.db.gz")).name
    ('rollout-1.jsonl', 'opencode.db.gz')
    """
    return path.with_suffix("") if path.name.endswith(_ENDINGS) else path


@contextmanager
def unpacked(file: FileIO) -> Iterator[FileIO]:
    """Yield the content of a log: the file itself, or a temporary file if it is compressed or in UTF-16.

    Raises:
        MissingExtra: it is compressed with Zstandard, and the package for that is not installed.
        OSError: it is damaged or truncated, or there is no space for its content.

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
    """Return a factory of decompressors for one frame; zlib's and zstandard's have the same interface."""
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
            while chunk := chunk.lstrip(b"\0") if is_ended else chunk:  # tapes and devices pad with zeros
                write(frame.decompress(chunk))
                is_ended, chunk = frame.eof, frame.unused_data
                if is_ended:
                    frame = unpacker()
    except OSError:
        raise
    except Exception as fault:  # zlib's and zstandard's errors have no other common class
        raise OSError(f"is damaged: {fault}") from fault
    if not is_ended:
        raise OSError("is cut off: the end of what was packed is not there")


CHUNK: Final = 1 << 20
HEAD_BYTES: Final = 65_536
MARK_BYTES: Final = 256
"""How many first bytes, and last ones before where reading stopped, identify a file that has grown."""

MAX_LINE: Final = 256 << 20
"""A longer line, in bytes, is skipped and reported. Agents write whole files and pictures into one line."""

MAX_DOCUMENT: Final = 256 << 20
"""A larger document, in bytes, is refused, because it must be read as a whole."""

_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def opened_log(path: Path) -> Iterator[tuple[FileIO, os.stat_result]]:
    """Open a regular file without waiting; yield its content, decompressed if needed, and its status.

    Raises:
        CannotRead: it is missing, is a pipe, a device or a folder, or cannot be read or decompressed.

    """
    try:
        with opened(path, _FLAGS, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CannotRead(f"{path}: is not a regular file; copy what it gives into one")
            with unpacked(file) as plain:
                yield plain, status
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error
    except MissingExtra as missing:
        raise CannotRead(f"{path}: {missing}") from missing


class LogSample:
    """The beginning of a file, by which programs recognise their logs.

    Raises:
        CannotRead: it is not a regular file, or cannot be read.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened_log(path) as (file, _):
            self.head = (file.read(HEAD_BYTES) or b"").removeprefix(BOM_UTF8)

    @cached_property
    def first(self) -> dict[str, Any]:
        """The first line as a JSON object; an empty one if it is not an object."""
        line = self.head.partition(b"\n")[0]
        return _object(line)

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The whole lines of the beginning that are JSON objects, at most fifty."""
        lines = self.head.split(b"\n")[:-1] or [self.head]
        return [row for line in lines[:50] if (row := _object(line))]

    @cached_property
    def tables(self) -> Mapping[str, frozenset[str]]:
        """The tables of an SQLite database and their columns; empty if the file is not one."""
        if not self.head.startswith(b"SQLite format 3\0"):
            return {}
        try:
            return tables_of(self.path)
        except sqlite3.Error as fault:
            raise CannotRead(f"{self.path}: a damaged database: {fault}") from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(slots=True)
class LogFile:
    """One log, read from ``offset`` to the ``size`` it had when it was opened.

    ``state`` is what a reader remembers of earlier lines; it is stored with the offset. ``is_quiet``: nobody
    wrote to the file for a while, so an unfinished last line will stay as it is. ``is_cut``: the last line is
    not whole.
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
    _retried_lines: list[bytes] = field(default_factory=list)

    def lines_with(self, *needles: bytes) -> Iterator[bytes]:
        """Yield every whole line that contains one of ``needles``; ``offset`` is after what was yielded.

        A last line without its end is left for the next import, unless nobody writes to the file any more.
        """
        for chunk in self._whole_lines():
            # Most lines have none of the needles, so the whole chunk is searched first.
            present = [needle for needle in needles if needle in chunk]
            if present:
                for line in chunk.split(b"\n"):
                    for needle in present:
                        if needle in line:
                            yield line
                            if self._retried_lines:
                                yield from self._retried_lines_with(present)
                            break
            self.lines += chunk.count(b"\n")

    def retry(self, line: bytes) -> bool:
        """Tell whether a line that is not JSON contains JSON objects, which are then yielded next."""
        self._retried_lines = [repaired for repaired in _repaired(line) if repaired != line]
        return bool(self._retried_lines)

    def _retried_lines_with(self, present: Sequence[bytes]) -> Iterator[bytes]:
        while self._retried_lines:
            line = self._retried_lines.pop(0)
            if any(needle in line for needle in present):
                later_lines, self._retried_lines = self._retried_lines, []
                yield line
                self._retried_lines += later_lines

    def _whole_lines(self) -> Iterator[bytes]:
        """Yield pieces of the file that end with a line; ``offset`` is after a piece once it was used."""
        self.file.seek(self.offset)
        rest: list[bytes] = []
        position, rest_length = self.offset, 0
        while position < self.size and (chunk := self.file.read(min(CHUNK, self.size - position))):
            start, position = position, position + len(chunk)
            chunk = chunk if start else chunk.removeprefix(BOM_UTF8)
            end = chunk.rfind(b"\n") + 1
            if not end:
                rest_length += len(chunk)
                rest = [*rest, chunk] if rest_length <= MAX_LINE else []
                continue
            if rest_length > MAX_LINE:
                self.too_long += 1
                chunk = chunk[chunk.index(b"\n") + 1 :]
                end = chunk.rfind(b"\n") + 1
            piece = b"".join([*rest, chunk[:end]])
            rest, rest_length = ([chunk[end:]], len(chunk) - end) if end < len(chunk) else ([], 0)
            if piece:
                yield piece
            self.offset = position - rest_length
        last = b"".join(rest) if self.is_quiet else b""
        if _object(last):
            yield last + b"\n"
            self.lines -= 1  # it has no newline yet, and is read again if it gets one
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
            ValueError: it is not JSON, or too large.

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
"""Each escape in a JSON text; pairs of surrogates, which are one character, match before single ones."""


def _repaired(line: bytes) -> Iterator[bytes]:
    r"""Yield the objects in a line that is damaged by a crash or by a text cut within a character.

    After a power cut a file system may leave zeros for what was not written; the next line follows them, or
    follows a line whose end was not written. JavaScript writes half a character as a lone surrogate.

    >>> [*_repaired(b'\0\0{"text": "cut \\ud83d"}{"whole": "\\ud83d\\ude00"}')]
    [b'{"text": "cut \\ufffd"}', b'{"whole": "\\ud83d\\ude00"}']
    """
    line = line.lstrip(b"\0")
    if b"\\ud" in line or b"\\uD" in line:
        line = _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], line)
    if b'}{"' not in line:
        yield line
        return
    text, position = line.decode("utf-8", "surrogateescape"), 0
    with suppress(ValueError, RecursionError):  # the rest is not an object: its reader reports it
        while position < len(text):
            _, end = _DECODER.raw_decode(text, position)
            yield text[position:end].encode("utf-8", "surrogateescape")
            position = end
    if position < len(text):
        yield text[position:].encode("utf-8", "surrogateescape")


_DECODER: Final = json.JSONDecoder()


def marks_of(file: FileIO, offset: int) -> tuple[int, int]:
    """Return the CRC-32 of the first bytes of a file, and of those before ``offset``."""
    length = min(offset, MARK_BYTES)
    head = os.pread(file.fileno(), length, 0)
    return crc32(head), crc32(os.pread(file.fileno(), length, offset - length))
