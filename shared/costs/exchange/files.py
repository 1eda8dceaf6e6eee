"""Files of other programs, read safely: regular ones alone, no further than they reached when opened.

A pipe, a device or a directory is refused at once, without waiting for it. Lines and documents have a
longest size, so that no file fills the memory. One that was packed by gzip is unpacked while it is read.
"""

from __future__ import annotations

import csv
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
from pathlib import Path
from typing import Any, Final, NamedTuple

from .rows import CannotRead, NotUnderstood

MAX_LINE: Final = 1 << 24
"""The longest line or cell, in characters: rows of proxies carry whole requests."""

MAX_DOCUMENT: Final = 1 << 29
"""The largest JSON document, in bytes; read whole, it takes some ten times as much memory."""

_BUFFER: Final = 1 << 18

HEAD_BYTES: Final = 65_536
"""How much of a file tells what it is."""


class _Bounded(io.RawIOBase):
    """A file up to the size that it had when it was opened: one that grows has an end, too."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # any writable buffer
        count = self._file.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Unpacked(io.RawIOBase):
    """The content of a file that gzip packed; one that is damaged or cut off is an :class:`OSError`."""

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


def opened(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; one packed by gzip is read unpacked.

    Raises:
        CannotRead: it is not there, cannot be opened, or is a pipe, a device or a directory.

    """
    try:
        file = io.FileIO(path, "r", opener=_without_waiting)
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error
    content: io.RawIOBase = _Bounded(file, os.fstat(file.fileno()).st_size)
    if _begins_packed(file.fileno()):
        content = _Unpacked(io.BufferedReader(content, _BUFFER))
    return io.BufferedReader(content, _BUFFER)


def _begins_packed(descriptor: int) -> bool:
    try:
        return os.pread(descriptor, 2, 0) == b"\x1f\x8b"
    except OSError:
        return False  # reading it says why


def require_regular(path: Path) -> None:
    """Refuse what :func:`opened` would refuse, for files that a library opens."""
    opened(path).close()


def _without_waiting(path: str, flags: int) -> int:
    # A pipe would wait for somebody who writes; what is no file is closed unread.
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise CannotRead(f"{path}: is no regular file (a pipe, a device or a directory); save it to a file first")


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a text file with their ends; bytes that are no UTF-8 become lone surrogates.

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


class Dialect(NamedTuple):
    """How a CSV is written: what divides its cells, and whether a comma stands before decimals.

    ``hint`` is a first line ``sep=;`` as spreadsheets write it, which is no header. ``is_mixed`` tells that
    some decimals have a dot and others a comma, as of a program's version beside amounts: what may be
    thousands or decimals is then not understood.
    """

    delimiter: str = ","
    decimal_comma: bool = False
    hint: str = ""
    is_mixed: bool = False


_HINT: Final = re.compile(r"sep=(.)(?:\r?\n|\r)", re.IGNORECASE)
_DELIMITERS: Final = ",;\t|"
_AROUND_AMOUNTS: Final = " \u00a0$€£"
_GROUPED_BY_DOTS: Final = re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+")
_GROUPED_BY_COMMAS: Final = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}")
_DECIMAL_DOT: Final = re.compile(r"[-+]?[\d,]*\d\.\d+")
_DECIMAL_COMMA: Final = re.compile(r"[-+]?[\d.]*\d,\d+")
_LOCAL_NUMBER: Final = re.compile(r"(\D*?[-+]?)(\d{1,3}(?:[.'\s]\d{3})+|\d+)(?:,(\d+))?(\D*)")


def dialect_of(head: str) -> Dialect:
    r"""Return how the CSV that begins so is written.

    A comma stands before decimals where some number of the file can be read in no other way, and none with a
    dot; between semicolons each number with a comma is such a one, and a dot elsewhere is none against it.

    >>> dialect_of("date;model;cost\n2026-11-22;gpt-4o;0,05\n")
    Dialect(delimiter=';', decimal_comma=True, hint='', is_mixed=False)
    >>> dialect_of('date,cost,tokens\n2026-11-22,"1,234.50","1,000"\n').decimal_comma
    False
    """
    hint = _HINT.match(head)
    begin = head[hint.end() if hint else 0 :]
    lines = begin.splitlines()
    widths = {each: len(next(csv.reader(lines[:1], delimiter=each), [])) for each in _DELIMITERS}
    delimiter = hint[1] if hint else max(_DELIMITERS, key=lambda each: widths[each])
    dot = comma = is_sure = False
    with suppress(csv.Error):
        for record in csv.reader(lines[1:], delimiter=delimiter):
            for cell in (each.strip(_AROUND_AMOUNTS) for each in record):
                if _DECIMAL_DOT.fullmatch(cell) and not _GROUPED_BY_DOTS.fullmatch(cell):
                    dot = True
                elif _DECIMAL_COMMA.fullmatch(cell):
                    comma = True
                    is_sure |= not _GROUPED_BY_COMMAS.fullmatch(cell)
            if dot and delimiter != ";":
                break
    is_mixed = dot and is_sure and delimiter == ";"
    has_comma = is_mixed or (not dot and (is_sure or (comma and delimiter == ";")))
    return Dialect(delimiter, has_comma, hint[0] if hint else "", is_mixed)


def _with_dots(cell: str) -> str:
    """Return a cell whose number has a comma before its decimals with a dot there.

    >>> [_with_dots(cell) for cell in ("1.234,50 €", "1.000", "0,05", "gpt-4.1", "2026-11-22")]
    ['1234.50 €', '1000', '0.05', 'gpt-4.1', '2026-11-22']
    """
    match = _LOCAL_NUMBER.fullmatch(cell)
    if match is None:
        return cell
    before, whole, decimals, after = match.groups()
    return f"{before}{re.sub(r'[^0-9]', '', whole)}{f'.{decimals}' if decimals else ''}{after}"


_EITHER: Final = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}")


def _ambiguous(record: Sequence[str]) -> str | None:
    """Return what is wrong with a record of a file in which both a dot and a comma stand before decimals."""
    number = next((each for each in record if _EITHER.fullmatch(each.strip(_AROUND_AMOUNTS))), None)
    if number is None:
        return None
    return f"has {number}, thousands or decimals: others have a dot and a comma; write all with a dot"


def csv_rows(path: Path, *, as_written: bool = False) -> Iterator[tuple[int, dict[str, str]] | NotUnderstood]:
    """Yield the rows under the header of a CSV, each with the number of its line.

    Cells may be divided by commas, semicolons, tabs or bars; numbers with a comma before their decimals get
    a dot there (:func:`dialect_of`), unless ``as_written``. Rows without a word and repeated headers are
    passed over. A row with another number of cells than the header, with a broken quote or with bytes that
    are no UTF-8 is not understood; reading goes on.

    Raises:
        CannotRead: the file cannot be read.

    """
    header, records = csv_records(path, as_written=as_written)
    for found in records:
        yield (
            found
            if isinstance(found, NotUnderstood)
            else (found[0], dict(zip(header, found[1], strict=True)))
        )


def csv_records(
    path: Path, *, as_written: bool = False
) -> tuple[list[str], Iterator[tuple[int, list[str]] | NotUnderstood]]:
    """Return the header of a CSV, and its records as :func:`csv_rows` has them, without the names."""
    dialect = dialect_of(head_of(path).decode("utf-8-sig", "replace"))
    if as_written:
        dialect = dialect._replace(decimal_comma=False, is_mixed=False)
    records = _records_of(path, dialect)
    header = next(records, (0, []))
    return ([], iter((header,))) if isinstance(header, NotUnderstood) else (header[1], records)


def head_of(path: Path) -> bytes:
    """Return the beginning of a file, from which its format is known.

    Raises:
        CannotRead: it is not there, cannot be opened or read.

    """
    with opened(path) as file:
        try:
            return file.read(HEAD_BYTES)
        except OSError as error:
            raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error


def _records_of(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]] | NotUnderstood]:
    before = csv.field_size_limit(MAX_LINE)
    try:
        lines = lines_of(path)
        if dialect.hint:
            next(lines)
        reader = csv.reader(lines, delimiter=dialect.delimiter)
        header, is_ended, hints = list[str](), False, bool(dialect.hint)
        while not is_ended:
            try:
                for record in reader:
                    text = "".join(record)
                    if not text or text.isspace() or record == header:
                        continue
                    header = header or record
                    if len(record) != len(header):
                        fault: str | None = "has another number of cells than the header"
                    else:
                        fault = None if text.isascii() else _undecoded(record)
                    if fault is None and dialect.is_mixed:
                        fault = _ambiguous(record)
                    if fault is not None:
                        yield NotUnderstood(f"line {reader.line_num + hints}", fault)
                    elif dialect.decimal_comma:
                        yield reader.line_num + hints, [*map(_with_dots, record)]
                    else:
                        yield reader.line_num + hints, record
                is_ended = True
            except csv.Error as error:  # of one row: those after it are read
                yield NotUnderstood(f"line {reader.line_num}", f"is no row of a CSV: {error}")
    finally:
        csv.field_size_limit(before)


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _undecoded(record: list[str]) -> str | None:
    for cell in record:
        if not cell.isascii() and _SURROGATE.search(cell):
            return f"is not in UTF-8: {cell[:40].encode('ascii', 'backslashreplace').decode()}"
    return None


def document_of(path: Path) -> Any:  # whatever JSON holds
    """Return a JSON file as a whole. Numbers with a fraction are decimals, so that amounts stay as written.

    Raises:
        CannotRead: it cannot be read, is too large, or is no JSON.

    """
    with opened(path) as file:
        try:
            text = file.read(MAX_DOCUMENT + 1)
        except OSError as error:
            raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(text) > MAX_DOCUMENT:
        raise CannotRead(
            f"{path}: is larger than {MAX_DOCUMENT:,} bytes; export it in parts, or as JSON Lines"
        )
    try:
        return parsed(text)
    except (ValueError, RecursionError) as error:
        raise CannotRead(f"{path}: is no JSON: {error}") from None


def parsed(text: str | bytes) -> Any:
    """Return JSON with decimals for numbers that have a fraction, or more digits than Python reads at once.

    Raises:
        ValueError, RecursionError: it is no JSON, or nested too deep.

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
    """Yield what a JSON file lists, each with where it is: JSON Lines, an array, or a list under a key.

    Raises:
        CannotRead: it cannot be read, or lists nothing under these keys.

    """
    if is_lines(path, keys):
        yield from json_lines(path)
    else:
        yield from listed(path, document_of(path), keys)


def listed(path: Path, document: Any, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the rows that a document lists, as :func:`json_rows` does."""
    rows, name = document, ""
    if isinstance(document, dict):
        name = next((key for key in keys if isinstance(document.get(key), list)), "")
        rows = document.get(name, [document])
    if not isinstance(rows, list):
        raise CannotRead(f"{path}: has no list of rows (looked for {', '.join(keys) or 'an array'})")
    for number, row in enumerate(rows, start=1):
        yield f"{name}[{number}]", row


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the values of JSON Lines; a line that is none is a :class:`NotUnderstood` in its place."""
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", parsed(line)
        except (ValueError, RecursionError) as error:
            yield f"line {number}", NotUnderstood(f"line {number}", f"is no JSON: {error}")


def is_lines(path: Path, keys: Sequence[str]) -> bool:
    """Tell whether each line of a file is a JSON object by itself, by its first two lines."""
    found = []
    for line in lines_of(path):
        if line.strip():
            found.append(line)
        if len(found) == 2:
            break
    if not found or not found[0].lstrip().startswith("{"):
        return False
    try:
        first = parsed(found[0])
    except (ValueError, RecursionError):
        return False
    if len(found) > 1:
        return found[1].lstrip().startswith("{")
    return not any(isinstance(first.get(key), list) for key in keys)
