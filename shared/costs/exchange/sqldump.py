"""The rows of one table in a PostgreSQL dump: as ``COPY ... FROM stdin`` or as ``INSERT`` statements.

Formats as pg_dump writes them (https://www.postgresql.org/docs/17/sql-copy.html, "Text Format").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from .files import MAX_LINE, lines_of
from .rows import CannotRead, NotUnderstood

Cells = dict[str, str | None]


def rows_of_table(path: Path, table: str) -> Iterator[tuple[str, Cells] | NotUnderstood]:
    """Yield the rows of a table, each with the number of its first line.

    A row whose number of cells differs from that of the columns is not understood, nor is the end of a dump
    that was truncated within the table.

    Raises:
        CannotRead: the file cannot be read, or has no such table.

    """
    name = rf'(?:"?\w+"?\.)?"?{re.escape(table)}"?'
    copy = re.compile(rf"COPY {name} \((?P<columns>.*)\) FROM stdin;", re.IGNORECASE)
    insert = re.compile(rf"INSERT INTO {name} (?:\((?P<columns>[^)]*)\) )?VALUES\s*", re.IGNORECASE)
    create = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{name} \(", re.IGNORECASE)
    lines, columns, known = enumerate(lines_of(path), start=1), list[str](), False
    for number, line in lines:
        if create.match(line):
            known, columns = True, _created_columns(lines)
        elif match := copy.match(line):
            known = True
            yield from _copied_rows(lines, _names(match["columns"]))
        elif match := insert.match(line):
            known = True
            names = _names(match["columns"]) if match["columns"] else columns
            statement = _statement(path, line[match.end() :], lines)
            yield from (_row(f"line {number}", names, cells) for cells in _tuples(statement))
            if not statement.rstrip().endswith(";"):
                yield NotUnderstood(f"line {number}", "is cut off: its statement has no end")
    if not known:
        raise CannotRead(f"{path}: has no table {table}")


def _names(columns: str) -> list[str]:
    return [name.strip().strip('"') for name in columns.split(",")]


def _created_columns(lines: Iterator[tuple[int, str]]) -> list[str]:
    columns = []
    for _, line in lines:
        if line.startswith(")"):
            break
        word = line.strip()
        if not word.upper().startswith(("CONSTRAINT ", "PRIMARY ", "UNIQUE ", "CHECK ")):
            columns.append(word.partition('" ')[0].strip('"') if word[:1] == '"' else word.partition(" ")[0])
    return columns


def _copied_rows(
    lines: Iterator[tuple[int, str]], names: Sequence[str]
) -> Iterator[tuple[str, Cells] | NotUnderstood]:
    for number, line in lines:
        text = line.rstrip("\r\n")
        if text == "\\.":
            return
        cells = [None if cell == "\\N" else _unescaped(cell) for cell in text.split("\t")]
        yield _row(f"line {number}", names, cells)
    yield NotUnderstood("its end", "is cut off: the rows of the table have no end")


def _row(where: str, names: Sequence[str], cells: Sequence[str | None]) -> tuple[str, Cells] | NotUnderstood:
    if len(cells) != len(names):
        return NotUnderstood(where, f"has {len(cells)} cells where the table has {len(names)} columns")
    return where, dict(zip(names, cells, strict=True))


_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescaped(cell: str) -> str:
    if "\\" not in cell:
        return cell
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), cell)


def _statement(path: Path, text: str, lines: Iterator[tuple[int, str]]) -> str:
    """Return a statement up to its semicolon; strings in it may span several lines."""
    pieces, size = [text], len(text)
    quotes = text.count("'")
    while quotes % 2 or not pieces[-1].rstrip().endswith(";"):
        line = next(lines, (0, ""))[1]
        if not line:
            break
        size += len(line)
        if size > MAX_LINE:
            raise CannotRead(f"{path}: a statement is longer than {MAX_LINE:,} characters")
        pieces.append(line)
        quotes += line.count("'")
    return "".join(pieces)


_VALUE: Final = re.compile(r"E?'((?:[^']|'')*)'(?:::[\w\" \[\]]+)?|([^,()'\s][^,()']*)|([()])")


def _tuples(values: str) -> Iterator[list[str | None]]:
    row: list[str | None] = []
    for match in _VALUE.finditer(values):
        text, word, bracket = match.groups()
        if bracket == "(":
            row = []
        elif bracket:
            yield row
        elif text is not None:
            row.append(text.replace("''", "'"))
        elif word.strip() != ";":
            row.append(None if word.strip().upper() == "NULL" else word.strip())
