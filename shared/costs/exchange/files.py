"""Reads files of other programs safely: only regular files, and only up to their size when opened.

A pipe, a device or a directory is refused at once, without waiting for it. Lines and documents have a maximum
size, so that no file fills the memory. Files compressed with gzip are decompressed while they are read, and
UTF-16, as spreadsheets and shells write it, is converted to UTF-8.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final

from .rows import CannotRead, NotUnderstood

MAX_LINE: Final = 1 << 24
"""The longest line or cell, in characters: rows of proxies contain whole requests."""

MAX_DOCUMENT: Final = 1 << 29
"""The largest JSON document, in bytes; read whole, it takes some ten times as much memory."""

_BUFFER: Final = 1 << 18

HEAD_BYTES: Final = 65_536
"""How many bytes of a file are read to recognise its format."""


class _SizedFile(io.RawIOBase):
    """A file up to the size that it had when it was opened, so that reading a growing file ends."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file = file
        self._remaining = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # any writable buffer
        count = self._file.readinto(memoryview(buffer)[: self._remaining]) or 0
        self._remaining -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _GunzippedFile(io.RawIOBase):
    """The content of a gzip file; if it is damaged or truncated, reading raises :class:`OSError`."""

    def __init__(self, packed: io.BufferedIOBase) -> None:
        self._packed = packed
        self._content = gzip.GzipFile(fileobj=packed, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # any writable buffer
        try:
            content = self._content.read1(len(buffer))
        except (EOFError, zlib.error) as error:
            raise OSError(f"is a damaged or cut off gzip file: {error}") from error
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._packed.close()
        super().close()


class _Utf8Text(io.RawIOBase):
    """Text in UTF-16, as UTF-8."""

    def __init__(self, text: io.BufferedIOBase, encoding: str) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # any writable buffer
        while not self._rest and (read := self._text.read(_BUFFER)):
            self._rest = self._decoder.decode(read).encode("utf-8", "replace")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        self._text.close()
        super().close()


def utf_16_of(head: bytes) -> str | None:
    r"""Return the encoding of UTF-16 text by its first four bytes; ``None`` if it is not UTF-16.

    >>> [utf_16_of('{"a": 1}'.encode(codec)) for codec in ("utf-16", "utf-16-be", "utf-8", "utf-32")]
    ['utf-16', 'utf-16-be', None, None]
    """
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and head[2:4] != b"\0\0":
        return "utf-16"
    if head[:1] == b"{" and head[1:4:2] == b"\0\0" and head[2:3] != b"\0":
        return "utf-16-le"
    return "utf-16-be" if head[:2] == b"\0{" else None


def opened(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; gzip is decompressed, and UTF-16 converted to UTF-8.

    Raises:
        CannotRead: it is missing, cannot be opened, or is a pipe, a device or a directory.

    """
    try:
        file = io.FileIO(path, "r", opener=_open_regular)
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error
    content: io.RawIOBase = _SizedFile(file, os.fstat(file.fileno()).st_size)
    head = _head(file.fileno())
    if head[:2] == b"\x1f\x8b":
        content = _GunzippedFile(io.BufferedReader(content, _BUFFER))
    elif encoding := utf_16_of(head):
        content = _Utf8Text(io.BufferedReader(content, _BUFFER), encoding)
    return io.BufferedReader(content, _BUFFER)


def _head(descriptor: int) -> bytes:
    try:
        return os.pread(descriptor, 4, 0)
    except OSError:
        return b""  # the caller's first read raises the reason


def require_regular(path: Path) -> None:
    """Refuse what :func:`opened` refuses, before a library opens the file itself."""
    opened(path).close()


def _open_regular(path: str, flags: int) -> int:
    # Opening a pipe would wait for a writer; anything but a regular file is closed without reading it.
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise CannotRead(
        f"{path}: is not a regular file (a pipe, a device or a directory); save it to a file first"
    )


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a text file with their ends; bytes that are not UTF-8 become lone surrogates.

    Raises:
        CannotRead: it cannot be read, or a line is longer than :data:`MAX_LINE`.

    """
    text = io.TextIOWrapper(opened(path), encoding="utf-8-sig", errors="surrogateescape", newline="")
    rest, number = "", 0
    with text:
        try:
            while block := text.read(_BUFFER):
                lines = io.StringIO(rest + block, newline="").readlines()
                rest = "" if lines[-1].endswith("\n") else lines.pop()
                number += len(lines)
                if len(rest) >= MAX_LINE:
                    raise CannotRead(f"{path}: line {number + 1} is longer than {MAX_LINE:,} characters")
                yield from lines
        except OSError as error:
            raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error
    if rest:
        yield from io.StringIO(rest, newline="")


def head_of(path: Path) -> bytes:
    """Return the beginning of a file, from which its format is recognised.

    Raises:
        CannotRead: it is missing, or cannot be opened or read.

    """
    with opened(path) as file:
        try:
            return file.read(HEAD_BYTES)
        except OSError as error:
            raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error


def document_of(path: Path) -> Any:  # whatever JSON holds
    """Return the content of a JSON file. Numbers with a fraction are decimals, so that amounts stay exact.

    Raises:
        CannotRead: it cannot be read, is too large, or is not JSON.

    """
    text = _read_document(path)
    try:
        return parsed(text)
    except (ValueError, RecursionError) as error:
        raise CannotRead(f"{path}: is not JSON: {error}") from None


def documents_of(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the JSON documents of a file, one after the other as ``jq`` writes them, each with its line.

    The line is empty if the file has only one document. A document that is not JSON becomes a
    :class:`NotUnderstood`; reading goes on at the next line that begins with an object.

    Raises:
        CannotRead: the file cannot be read, is too large, or its first document is not JSON.

    """
    text = _read_document(path)
    try:
        yield "", parsed(text)
    except RecursionError as error:
        raise CannotRead(f"{path}: is not JSON: {error}") from None
    except ValueError as error:
        documents = _values(text.decode(json.detect_encoding(text), "surrogateescape"))
        first = next(documents, ("", NotUnderstood("", "")))
        if isinstance(first[1], NotUnderstood):
            raise CannotRead(f"{path}: is not JSON: {error}") from None
        yield first
        yield from documents


def _read_document(path: Path) -> bytes:
    with opened(path) as file:
        try:
            text = file.read(MAX_DOCUMENT + 1)
        except OSError as error:
            raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(text) > MAX_DOCUMENT:
        raise CannotRead(
            f"{path}: is larger than {MAX_DOCUMENT:,} bytes; export it in parts, or as JSON Lines"
        )
    return text


def _values(text: str, line: int = 1) -> Iterator[tuple[str, Any]]:
    """Yield the JSON values of a text, with white space, commas or nothing between them."""
    position = _BETWEEN.match(text).end()  # type: ignore[union-attr]  # it also matches an empty text
    counted_to = 0
    while position < len(text):
        line, counted_to = line + text.count("\n", counted_to, position), position
        where = f"line {line}"
        try:
            value, end = _DECODE(text, position)
            yield where, value
        except (ValueError, RecursionError) as error:
            yield where, NotUnderstood(where, f"is not JSON: {error}")
            if (following := _NEXT.search(text, position)) is None:
                return
            end = following.start()
        position = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]  # as above


_NEXT: Final = re.compile(r"\n\x1e?\{")
_BETWEEN: Final = re.compile(r"[\s,\x1e]*")
_DECODE: Final = json.JSONDecoder(parse_float=Decimal).raw_decode


def parsed(text: str | bytes) -> Any:
    """Parse JSON with decimals for numbers with a fraction, or with more digits than ``int`` accepts.

    Raises:
        ValueError, RecursionError: it is not JSON, or nested too deeply.

    >>> parsed('{"cost": 0.10}'), len(str(parsed("9" * 5_000)))
    ({'cost': Decimal('0.10')}, 5000)
    """
    try:
        return json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than sys.get_int_max_str_digits() (4,300)
        return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def json_rows(path: Path, *keys: str) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a JSON file, each with its position: JSON Lines, an array, or a list under a key.

    Raises:
        CannotRead: it cannot be read, or lists nothing under these keys.

    """
    if is_lines(path, keys):
        yield from json_lines(path)
    else:
        for where, document in documents_of(path):
            yield from listed(path, document, keys, where)


def listed(path: Path, document: Any, keys: Sequence[str], where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the rows of a document as :func:`json_rows` does; ``where`` is its line in the file, if any."""
    if where and not (
        isinstance(document, dict) and any(isinstance(document.get(key), list) for key in keys)
    ):
        yield where, document
        return
    rows, name = document, ""
    if isinstance(document, dict):
        name = next((key for key in keys if isinstance(document.get(key), list)), "")
        rows = document.get(name, [document])
    if not isinstance(rows, list):
        raise CannotRead(f"{path}: has no list of rows (looked for {', '.join(keys) or 'an array'})")
    for number, row in enumerate(rows, start=1):
        yield f"{where} {name}[{number}]".lstrip(), row


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the values of JSON Lines; a line that is not JSON becomes a :class:`NotUnderstood`."""
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", parsed(line)
        except (ValueError, RecursionError):
            yield from _values(line, number)  # it may have several objects


def is_lines(path: Path, keys: Sequence[str]) -> bool:
    """Tell from its first two lines whether a file is JSON Lines."""
    lines = list[str]()
    with suppress(
        CannotRead
    ):  # a line that is too long may be a document; reading that reports any other fault
        lines.extend(islice(filter(str.strip, lines_of(path)), 2))
    if not lines or not lines[0].lstrip().startswith("{"):
        return False
    try:
        first = parsed(lines[0])
    except (ValueError, RecursionError):
        return False
    if any(isinstance(first.get(key), list) for key in keys):
        return False
    return len(lines) == 1 or lines[1].lstrip().startswith("{")
