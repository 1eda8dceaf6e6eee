r"""CSV as in RFC 4180, UTF-8, one row an entry, amounts as exact decimals.

Text that a spreadsheet would read as a formula (it begins with ``= + - @``, a tab or a return)
gets a leading apostrophe, as OWASP advises (https://owasp.org/www-community/attacks/CSV_Injection);
text that begins with apostrophes before such a character gets one more, so that reading back is
exact. Numbers stay numbers.

>>> guarded("=1+1"), guarded("'=1+1"), guarded("plain"), unguarded("'=1+1")
("'=1+1", "''=1+1", 'plain', '=1+1')
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

from ...ledger.cells import Cells
from ...ledger.columns import COLUMN_NAMES, COLUMNS
from ..source import EntrySource
from . import Export, ExportContext, counted

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")


def guarded(text: str) -> str:
    """Return text that no spreadsheet reads as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Return the text from which :func:`guarded` made this one."""
    return text[1:] if _GUARDED.match(text) else text


def guarded_cells(cells: Cells) -> Cells:
    """Return cells with their texts guarded."""
    for position in _TEXTS:
        text = cells[position]
        # Comparing the first character is several times faster than the pattern, and most are letters.
        if text and str(text)[0] in "'=+-@\t\r":
            cells[position] = guarded(str(text))
    return cells


_TEXTS: Final = tuple(n for n, column in enumerate(COLUMNS) if column.kind in ("text", "json"))


def write(source: EntrySource, target: Path, context: ExportContext) -> int:
    """Write the entries as CSV."""
    written = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMN_NAMES)
        for cells in counted(source.cells(), context):
            writer.writerow(guarded_cells(cells))
            written += 1
    return written


EXPORT: Final = Export("csv", ".csv", "A table for spreadsheets and scripts; amounts in USD.", write)
