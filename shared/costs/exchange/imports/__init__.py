"""The formats that histories can be imported from: a module here has constants of the type ``Import``.

To add a format, add a file. A reader yields one item for each row, and goes on after a row that it does not
understand.
"""

from __future__ import annotations

import pkgutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from ...errors import WrongUsage
from ..delimited import csv_rows, header_of
from ..documents import LISTS
from ..exports.json import FORMAT_NAME
from ..files import document_of, documents_of, head_of, is_lines, json_rows, lines_of, parsed, require_regular
from ..foreign import field_name
from ..parquet import MAGIC, parquet_columns
from ..rows import CannotRead as CannotRead
from ..rows import ForeignRow as ForeignRow
from ..rows import Item as Item
from ..rows import NotUnderstood as NotUnderstood

OWN_DOCUMENT: Final = f'{{"format": "{FORMAT_NAME}"'
"""The beginning of our own export as JSON."""


class FileSample:
    """The beginning of a file, from which formats recognise it.

    Raises:
        CannotRead: the file is missing or cannot be opened.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head = head_of(path)

    @cached_property
    def text(self) -> str:
        """The head as text; bytes that are not UTF-8 are replaced."""
        return self.head.decode("utf-8-sig", "replace")

    @property
    def is_json(self) -> bool:
        """Whether it begins like JSON; otherwise its rows are those of a CSV."""
        return self.text.lstrip()[:1] in ("{", "[")

    def rows(
        self, *keys: str, named: Callable[[str], str] = str
    ) -> Iterator[tuple[str, Any] | NotUnderstood]:
        """Yield the rows of JSON (a list under one of ``keys``) or of a CSV, each with its position.

        ``named`` maps the names of a CSV's columns.
        """
        if self.is_json:
            yield from json_rows(self.path, *keys)
            return
        for item in csv_rows(self.path, named=named):
            yield item if isinstance(item, NotUnderstood) else (f"line {item[0]}", item[1])

    def objects(self, *keys: str) -> Iterator[tuple[str, dict[str, Any]] | NotUnderstood]:
        """Yield the rows as :meth:`rows` does; a row that is not an object is not understood."""
        for item in self.rows(*keys):
            if isinstance(item, NotUnderstood):
                yield item
            elif isinstance(item[1], NotUnderstood):
                yield item[1]
            else:
                where, row = item
                yield (
                    (where, row)
                    if isinstance(row, dict)
                    else NotUnderstood(where, f"is not an object: {str(row)[:80]}")
                )

    def items(self, make: Callable[[str, dict[str, Any]], Item], *keys: str) -> Iterator[Item]:
        """Yield what ``make`` returns for each row that is an object, and rows that are not understood."""
        return (item if isinstance(item, NotUnderstood) else make(*item) for item in self.objects(*keys))

    @cached_property
    def header(self) -> frozenset[str]:
        """The names in the header of a CSV, by :func:`field_name`; empty if it is not a table of text."""
        if b"\0" in self.head or self.is_json:
            return frozenset()
        return frozenset(map(field_name, header_of(self.text)))

    @cached_property
    def columns(self) -> frozenset[str]:
        """The names of the columns in lower case: of a CSV, a Parquet file, or the first JSON row.

        Raises:
            MissingExtra: it is Parquet, and DuckDB is not installed.
            CannotRead: it is Parquet, and damaged.

        """
        if self.head.startswith(MAGIC):
            return frozenset(name.lower() for name in parquet_columns(self.path))
        return frozenset(name.lower() for name in self.row) or self.header

    @property
    def advice(self) -> str:
        """What to do about a file of an unknown format, if its first bytes tell; else empty."""
        if advice := next((text for start, text in _ADVICE if self.head.startswith(start)), ""):
            return advice
        if b"\0" in self.head[:4]:
            return "it is not text in a known encoding: save it as UTF-8"
        if not self.head.strip():
            return "it is empty"
        if self.row.get("type") == "thread.started":
            return (
                "it is what codex exec --json prints: running totals, without times; what it was billed for "
                "stands in ~/.codex/sessions: cost-dashboard import --from codex"
            )
        if self.text[:1] in ("{", "[") and not self.row and not self.text.startswith(OWN_DOCUMENT):
            try:
                document_of(self.path)
            except CannotRead as fault:
                return str(fault).removeprefix(f"{self.path}: ")
        return ""

    @cached_property
    def document(self) -> Any:  # whatever JSON holds
        """The whole file as JSON, or its first document if it has several.

        ``None`` if it is not JSON, or JSON Lines or our own export, which can be large.
        """
        if not self.is_json or self.text.startswith(OWN_DOCUMENT) or self._is_lines:
            return None
        try:
            return next(documents_of(self.path))[1]
        except CannotRead:
            return None

    @cached_property
    def _is_lines(self) -> bool:
        return self.is_json and is_lines(self.path, (*LISTS, "calls", "entries"))

    @cached_property
    def row(self) -> Mapping[str, object]:
        """The first row of a JSON array or of JSON Lines if it is an object, else empty."""
        rows: Any = None
        text = self.text.lstrip()
        if text.startswith("{"):
            with suppress(ValueError, RecursionError):  # an object may span several lines
                rows = parsed(text.partition("\n")[0])
        rows = self.document if rows is None else rows
        if rows is None and self._is_lines:  # the first line is longer than the head
            rows = parsed(next(filter(str.strip, lines_of(self.path))))
        if isinstance(rows, dict):
            rows = next((rows[key] for key in LISTS if isinstance(rows.get(key), list)), [rows])
        first = next(iter(rows), None) if isinstance(rows, list) else None
        return first if isinstance(first, dict) else {}

    @cached_property
    def tables(self) -> Mapping[str, frozenset[str]]:
        """The tables of an SQLite database and their columns, in lower case."""
        if not self.head.startswith(b"SQLite format 3\0"):
            return {}
        return tables_of(self.path)


_ADVICE: Final = (
    (b"PK\x03\x04", "it is a ZIP archive or a spreadsheet: unpack it, or save it as CSV"),
    (b"PGDMP", "it is a dump in PostgreSQL's own format: write it as SQL with pg_restore --file dump.sql"),
)
"""Advice on files, by their first bytes."""


def opened_database(path: Path) -> closing[sqlite3.Connection]:
    """Open another tool's SQLite database read-only.

    Raises:
        CannotRead: it is missing, not a regular file, or compressed.

    """
    require_regular(path)
    with path.open("rb") as file:
        if file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC:
            raise CannotRead(f"{path}: is a database that gzip packed; unpack it first: gunzip {path.name}")
    return closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True))


_GZIP_MAGIC: Final = b"\x1f\x8b"


def tables_of(path: Path) -> Mapping[str, frozenset[str]]:
    """Return the tables and views of an SQLite database and their columns, in lower case.

    Raises:
        sqlite3.Error: it is not one, or damaged.

    """
    names = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
    with opened_database(path) as database:
        return {name.lower(): _columns_of(database, name) for (name,) in database.execute(names).fetchall()}


def _columns_of(database: sqlite3.Connection, table: str) -> frozenset[str]:
    try:
        rows = database.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    except sqlite3.OperationalError:  # a view of a table that was dropped
        return frozenset()
    return frozenset(name.lower() for (name,) in rows)


@dataclass(frozen=True, slots=True)
class Import:
    """One format: its name on the command line, a sentence of help, how it is recognised, and its reader.

    ``general`` formats are those of many tools: they are tried after those of a single tool.
    """

    name: str
    summary: str
    recognises: Callable[[FileSample], bool]
    read: Callable[[Path], Iterator[Item]]
    general: bool = False


@cache
def imports() -> Mapping[str, Import]:
    """Return every format by its name."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    formats = (value for module in modules for value in vars(module).values() if isinstance(value, Import))
    return {import_format.name: import_format for import_format in formats}


def import_for(path: Path, name: str | None = None) -> Import:
    """Return the format called ``name``, or without one the format that recognises the file.

    Raises:
        WrongUsage: no format has this name.
        CannotRead: the file cannot be read, or no format recognises it.

    """
    if name is not None:
        if name not in imports():
            raise WrongUsage(f"no import is called {name!r}; there are {', '.join(imports())}")
        require_regular(path)
        return imports()[name]
    sample = FileSample(path)
    try:
        candidates = [candidate for candidate in imports().values() if candidate.recognises(sample)]
    except sqlite3.Error as error:
        raise CannotRead(f"{path}: a damaged database: {error}") from None
    if not candidates:
        known = "\n".join(f"  {known.name}: {known.summary}" for known in imports().values())
        because = f" ({sample.advice})" if sample.advice else ""
        raise CannotRead(f"{path}: is not in a format that can be imported{because}:\n{known}")
    return min(candidates, key=lambda candidate: candidate.general)
