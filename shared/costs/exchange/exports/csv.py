r"""CSV as in RFC 4180, UTF-8, one row an entry, amounts as exact decimals.

Text that a spreadsheet would take for a formula (it begins with ``= + - @``, a tab or a return)
gets a leading apostrophe, as OWASP advises (https://owasp.org/www-community/attacks/CSV_Injection);
text that begins with apostrophes before such a character gets one more, so that reading back is
exact. Numbers stay numbers.

>>> guarded("=1+1"), guarded("'=1+1"), guarded("plain"), unguarded("'=1+1")
("'=1+1", "''=1+1", 'plain', '=1+1')
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ...model import Entry
from ...money import Nanos, json_number
from ..columns import COLUMN_NAMES, COLUMNS, Row, Value, row_of
from . import Context, Export, counted

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")


def guarded(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Return the text that :func:`guarded` was given."""
    return text[1:] if _GUARDED.match(text) else text


def cells(row: Row) -> list[str | int | float | None]:
    """Return a row as cells: texts guarded, amounts in USD."""
    found = list(row)
    for position in _TEXTS:
        text = found[position]
        # Comparing first characters is several times quicker than the pattern, and most are letters.
        if text and str(text)[0] in "'=+-@\t\r":
            found[position] = guarded(str(text))
    for position in _AMOUNTS:
        amount = found[position]
        if amount is not None:
            found[position] = json_number(Nanos(int(amount)))
    for position in _SECONDS:
        found[position] = _decimal(found[position])
    return found


def _decimal(seconds: Value) -> str:
    """Return seconds to the microsecond without an exponent, which some readers do not know."""
    return f"{float(seconds or 0):.6f}".rstrip("0").rstrip(".")


def _positions(wanted: Callable[[str], bool]) -> tuple[int, ...]:
    return tuple(n for n, column in enumerate(COLUMNS) if wanted(column.kind))


_TEXTS: Final = _positions(lambda kind: kind in ("text", "json"))
_AMOUNTS: Final = _positions(lambda kind: kind == "usd")
_SECONDS: Final = _positions(lambda kind: kind == "seconds")


def write(entries: Iterable[Entry], target: Path, context: Context) -> int:
    """Write the entries as CSV."""
    written = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMN_NAMES)
        for entry in counted(entries, context):
            writer.writerow(cells(row_of(entry)))
            written += 1
    return written


EXPORT: Final = Export("csv", ".csv", "A table for spreadsheets and scripts; amounts in USD.", write)
