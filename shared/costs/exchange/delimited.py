"""Rows of CSV files as other programs write them, with any common delimiter and decimal separator."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from .files import HEAD_BYTES, MAX_LINE, head_of, lines_of
from .rows import NotUnderstood


class Dialect(NamedTuple):
    """How a CSV is written: its delimiter, and whether a comma is the decimal separator.

    ``lead`` is the number of lines before the header: ``sep=;``, as spreadsheets write it, and titles.
    ``is_mixed``: some decimals have a dot and others a comma, such as versions of programs beside amounts; a
    number that may be thousands or decimals is then not understood. ``is_undecided``: there are numbers with
    a comma, and none that shows whether it is the decimal separator.
    """

    delimiter: str = ","
    decimal_comma: bool = False
    lead: int = 0
    is_mixed: bool = False
    is_undecided: bool = False


_HINT: Final = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_DELIMITERS: Final = ",;\t|"
_CURRENCY: Final = re.compile(r"US\$|[$€£]|\b(?:USD|EUR|GBP)\b", re.IGNORECASE)
_GROUPED_BY_DOTS: Final = re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+")
_GROUPED_BY_COMMAS: Final = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}")
_DECIMAL_DOT: Final = re.compile(r"[-+]?[\d,]*\d\.\d+(?:[eE][-+]?\d+)?")
_DECIMAL_COMMA: Final = re.compile(r"[-+]?[\d.]*\d,\d+(?:[eE][-+]?\d+)?")
_LOCAL_NUMBER: Final = re.compile(
    r"(\D*?[-+]?)([1-9]\d{0,2}(?:[.'\s]\d{3})+|\d+)(?:,(\d+))?((?:[eE][-+]?\d+)?\D*)"
)


def dialect_of(head: str) -> Dialect:
    r"""Return the dialect of a CSV that begins with ``head``.

    The comma is the decimal separator if some number cannot be read otherwise, and no number has a decimal
    dot. With semicolons as the delimiter, every number with a comma is such a number, whatever other numbers
    have.

    >>> dialect_of("date;model;cost\n2026-11-22;gpt-4o;0,05\n")
    Dialect(delimiter=';', decimal_comma=True, lead=0, is_mixed=False, is_undecided=False)
    >>> dialect_of('date,cost,tokens\n2026-11-22,"1,234.50","1,000"\n').decimal_comma
    False
    """
    return _dialect(io.StringIO(head, newline=""))


def _dialect(lines: Iterator[str]) -> Dialect:
    """Return the dialect of a CSV; reads only as many lines as that needs."""
    first = [*islice(lines, _HEADER_WITHIN)]
    hint = _HINT.fullmatch(first[0]) if first else None
    if hint:
        del first[0]
    header = next((line for line in first if line.strip()), "")
    widths = {sign: len(next(csv.reader([header], delimiter=sign), [])) for sign in _DELIMITERS}
    leads = {sign: _titles(first, sign) for sign in ([hint[1]] if hint else _DELIMITERS)}
    delimiter = max(leads, key=lambda sign: (leads[sign].names, widths.get(sign, 0)))
    lead = leads[delimiter].lines + bool(hint)
    lines = chain(first[leads[delimiter].lines + 1 :], lines)
    dot = comma = is_sure = False
    with suppress(csv.Error), _long_cells():
        for record in csv.reader(lines, delimiter=delimiter):
            for cell in [_without_currency(text) for text in record if "," in text or "." in text]:
                if _DECIMAL_DOT.fullmatch(cell) and not _GROUPED_BY_DOTS.fullmatch(cell):
                    dot = True
                elif _DECIMAL_COMMA.fullmatch(cell):
                    comma = True
                    is_sure |= not _GROUPED_BY_COMMAS.fullmatch(cell)
            if dot and (is_sure or delimiter != ";"):
                break
    is_mixed = dot and is_sure and delimiter == ";"
    has_comma = is_mixed or (not dot and (is_sure or (comma and delimiter == ";")))
    is_undecided = comma and not (dot or has_comma)
    return Dialect(delimiter, has_comma, lead, is_mixed, is_undecided)


_HEADER_WITHIN: Final = 40
"""The header is among the first so many lines, if titles are above it."""

_MIN_NAMES: Final = 3
"""A table under titles has at least this many columns."""


class _Titles(NamedTuple):
    """How many lines are above a header, and how many names it has; 0 if no header was recognised."""

    lines: int = 0
    names: int = 0


def _titles(lines: Sequence[str], delimiter: str) -> _Titles:
    """Find the header: the first record of names only, with more of them than any record above has cells.

    The record after it, if there is one, has as many cells. A table whose first record may be its header has
    no titles.
    """
    with suppress(csv.Error), _long_cells():
        reader = csv.reader(lines, delimiter=delimiter)
        max_cells, start, records = 0, 0, list[tuple[int, list[str]]]()
        for record in reader:
            if any(cell and not cell.isspace() for cell in record):
                records.append((start, record))
            start = reader.line_num
        for (start_line, record), (_, following) in pairwise([*records, *records[-1:]]):
            names = [cell for cell in record if cell.strip()]
            if _MIN_NAMES <= len(names) > max_cells and len(record) == len(following) and _are_names(names):
                return _Titles(start_line, len(names))
            max_cells = max(max_cells, len(names))
    return _Titles()


def _are_names(cells: Sequence[str]) -> bool:
    return len({*cells}) == len(cells) and not any(re.match(r"\W*\d", cell) for cell in cells)


def titles_of(path: Path) -> str:
    """Return the text above the header of a CSV."""
    lines = lines_of(path)
    return "".join(islice(lines, dialect_of(head_of(path).decode("utf-8-sig", "replace")).lead))


def header_of(head: str) -> list[str]:
    r"""Return the column names of a CSV that begins with ``head``.

    >>> header_of("Usage of October 2026\n\ndate,model,cost\n2026-10-03,gpt-4o,0.5\n")
    ['date', 'model', 'cost']
    """
    dialect = dialect_of(head)
    lines = islice(io.StringIO(head, newline=""), dialect.lead, None)
    return next(filter(None, csv.reader(lines, delimiter=dialect.delimiter)), [])


def _without_currency(cell: str) -> str:
    """Return a cell without a currency's name or sign and without brackets."""
    return _CURRENCY.sub("", cell).strip(" ()")


class LocalNumber(str):
    """A cell, as written, of a file whose decimal separator is a comma.

    >>> cell = LocalNumber("1.000")
    >>> str(cell), cell.dotted
    ('1.000', '1000')
    """

    __slots__ = ()

    @property
    def dotted(self) -> str:
        """The cell with a decimal dot if it is a number, else unchanged.

        >>> [LocalNumber(cell).dotted for cell in ("1.234,50 €", "1.000", "0,05", "4,5E-6", "gpt-4.1")]
        ['1234.50 €', '1000', '0.05', '4.5E-6', 'gpt-4.1']
        """
        match = _LOCAL_NUMBER.fullmatch(self)
        if match is None:
            return str(self)
        before, whole, decimals, after = match.groups()
        return f"{before}{re.sub(r'[^0-9]', '', whole)}{f'.{decimals}' if decimals else ''}{after}"


class UndecidedNumber(str):
    """A cell such as ``1,234`` of a file that does not show whether its comma is the decimal separator.

    A count with it is in thousands; an amount is ambiguous.
    """

    __slots__ = ()


_ONE_COMMA: Final = re.compile(r"[-(]?[1-9]\d{0,2},\d{3}\)?")


def _undecided_number(cell: str) -> str:
    return UndecidedNumber(cell) if _ONE_COMMA.fullmatch(cell) else cell


_EITHER: Final = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}")


def _ambiguity(record: Sequence[str]) -> str | None:
    """Return what is ambiguous in a record of a file with both decimal dots and decimal commas."""
    number = next((cell for cell in record if _EITHER.fullmatch(_without_currency(cell))), None)
    if number is None:
        return None
    return f"has {number}, thousands or decimals: others have a dot and a comma; write all with a dot"


def csv_rows(
    path: Path, *, as_written: bool = False, named: Callable[[str], str] = str
) -> Iterator[tuple[int, dict[str, str]] | NotUnderstood]:
    """Yield the rows of a CSV by its column names, mapped by ``named``, each with its line number.

    The delimiter may be a comma, semicolon, tab or bar. If the comma is the decimal separator
    (:func:`dialect_of`), cells are :class:`LocalNumber`, unless ``as_written``. Empty rows and repeated
    headers are skipped. A row with another number of cells than the header, with a broken quote or with bytes
    that are not UTF-8 becomes a :class:`NotUnderstood`, and reading goes on.

    Raises:
        CannotRead: the file cannot be read.

    """
    header, batches = csv_batches(path, as_written=as_written)
    names = _distinct([*map(named, header)])
    for batch in batches:
        if isinstance(batch, NotUnderstood):
            yield batch
        else:
            for number, record in zip(*batch, strict=True):
                yield number, dict(zip(names, record, strict=True))


def _distinct(names: Sequence[str]) -> list[str]:
    """Return column names with repeated ones numbered; the first keeps its name.

    >>> _distinct(["tokens", "cost", "tokens"])
    ['tokens', 'cost', 'tokens (2)']
    """
    seen: Counter[str] = Counter()
    distinct = list[str]()
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct


class Records(NamedTuple):
    """Records of a CSV with a cell for each name of its header, and the line number on which each ends."""

    numbers: list[int]
    records: list[list[str]]


def csv_batches(
    path: Path, *, as_written: bool = False
) -> tuple[list[str], Iterator[Records | NotUnderstood]]:
    """Return the header of a CSV, and its records as :func:`csv_rows` has them, many at a time."""
    head = head_of(path)
    if len(head) < HEAD_BYTES or as_written:
        dialect = dialect_of(head.decode("utf-8-sig", "replace"))
    else:
        dialect = _dialect(lines_of(path))
    if as_written:
        dialect = dialect._replace(decimal_comma=False, is_mixed=False, is_undecided=False)
    batches = _batches_of(path, dialect)
    header = next(batches, Records([0], [[]]))
    return ([], iter((header,))) if isinstance(header, NotUnderstood) else (header.records[0], batches)


_BATCH: Final = 200
"""How many records are checked together."""


def _batches_of(path: Path, dialect: Dialect) -> Iterator[Records | NotUnderstood]:
    """Yield the header of a CSV as a batch of one record, then its records in batches."""
    lines = islice(lines_of(path), dialect.lead, None)
    reader, checked = csv.reader(lines, delimiter=dialect.delimiter), _HeaderCheck(dialect)
    with _long_cells():
        for batch in _read_batches(reader):
            if isinstance(batch, csv.Error):  # one row is broken; the rows after it are still read
                yield NotUnderstood(
                    f"line {reader.line_num + dialect.lead}", f"is not a row of a CSV: {batch}"
                )
                continue
            numbers, records = batch
            if dialect.lead:
                numbers = [number + dialect.lead for number in numbers]
            yield from checked(Records(numbers, records))


@contextmanager
def _long_cells() -> Iterator[None]:
    """Allow cells that are as long as lines may be."""
    before = csv.field_size_limit(MAX_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_batches(reader: Any) -> Iterator[tuple[list[int], list[list[str]]] | csv.Error]:
    """Yield batches of records with their line numbers from a CSV reader, or the error of a broken one."""
    is_ended = False
    while not is_ended:
        numbers, records, fault = list[int](), list[list[str]](), None
        try:
            for record in reader:
                records.append(record)
                numbers.append(reader.line_num)
                if len(records) == _BATCH:
                    break
            else:
                is_ended = True
        except csv.Error as error:
            fault = error
        if records:
            yield numbers, records
        if fault is not None:
            yield fault


class _HeaderCheck:
    """Checks records against the header, which is the first record it gets."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._header: list[str] = []
        kinds: tuple[tuple[bool, Callable[[str], str]], ...] = (
            (dialect.decimal_comma, LocalNumber),
            (dialect.is_undecided, _undecided_number),
        )
        self._cell = next((kind for applies, kind in kinds if applies), str)

    def __call__(self, batch: Records) -> Iterator[Records | NotUnderstood]:
        """Yield the header by itself, then batches of valid records, and what is wrong with the others."""
        if self._header and self._are_plain(batch.records):
            yield batch
            return
        fine = Records([], [])
        for number, record in zip(*batch, strict=True):
            text = "".join(record)
            if not text or text.isspace() or record == self._header:
                continue
            if not self._header:
                self._header = record
                yield Records([number], [record])
                continue
            fault = self._fault(record, text)
            if fault is None:
                fine.numbers.append(number)
                fine.records.append([*map(self._cell, record)])
                continue
            if fine.numbers:
                yield fine
                fine = Records([], [])
            yield NotUnderstood(f"line {number}", fault)
        if fine.numbers:
            yield fine

    def _are_plain(self, records: list[list[str]]) -> bool:
        """Tell whether a batch needs no check record by record."""
        header, width = self._header, len(self._header)
        return (
            self._cell is str
            and not self._dialect.is_mixed
            and all(len(record) == width and not record[0].isspace() and record[0] for record in records)
            and header not in records
            and "".join(chain.from_iterable(records)).isascii()
        )

    def _fault(self, record: list[str], text: str) -> str | None:
        if len(record) != len(self._header):
            return "has another number of cells than the header"
        fault = None if text.isascii() else _decoding_fault(record)
        return _ambiguity(record) if fault is None and self._dialect.is_mixed else fault


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _decoding_fault(record: list[str]) -> str | None:
    for cell in record:
        if not cell.isascii() and _SURROGATE.search(cell):
            return f"is not in UTF-8: {cell[:40].encode('ascii', 'backslashreplace').decode()}"
    return None
