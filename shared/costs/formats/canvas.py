"""What the page is like: its width, and whether it takes colour and more than ASCII."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, NamedTuple, TextIO

from ..reports.document import Tone

MIN_WIDTH: Final = 40
MAX_WIDTH: Final = 120
"""Longer lines are hard to read, however wide the terminal is."""

_SAMPLE = "█▏░─│…·▁▇⚠🚨💰"
_STYLES: Final = {"strong": "1", "faint": "2", "bar": "36", "good": "32", "warning": "33", "critical": "31"}

_ASCII: Final = str.maketrans(
    {
        "█": "#",
        "▒": "+",
        "░": ".",
        "─": "-",
        "│": "|",
        "…": "~",
        "▲": "^",
        "▼": "v",
        "·": "-",
        "→": "->",
        "≤": "<=",
        "⚠": "[!]",
        "🚨": "[!!]",
        "💰": "[$]",
        "\ufe0f": "",
        **dict(zip("▁▂▃▄▅▆▇", "_.-:=+*", strict=True)),
        **dict.fromkeys("▏▎▍▌", ""),
        **dict.fromkeys("▋▊▉", "#"),
    }
)


class Canvas(NamedTuple):
    """A page to print on. Without arguments: a pipe of 80 columns that takes UTF-8."""

    width: int = 80
    colour: bool = False
    encoding: str = "utf-8"

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str]) -> Canvas:
        """Return what ``stream`` can show.

        ``COLUMNS`` sets the width; without it the terminal's own, and 80 in a pipe. ``NO_COLOR``
        (https://no-color.org) and ``TERM=dumb`` switch colour off, ``FORCE_COLOR`` on.
        """
        terminal = stream.isatty()
        colour = terminal and environ.get("TERM") != "dumb"
        if environ.get("FORCE_COLOR"):
            colour = True
        if environ.get("NO_COLOR"):
            colour = False
        return cls(_width(stream if terminal else None, environ), colour, _encoding(stream))

    @property
    def unicode(self) -> bool:
        """Whether bars, rules and marks can be drawn with more than ASCII."""
        return takes(self.encoding, _SAMPLE)

    @property
    def ellipsis(self) -> str:
        """What stands for text that was left out."""
        return "…" if self.unicode else "~"

    def style(self, text: str, name: str) -> str:
        """Return ``text`` in a style (``strong``, ``faint`` or a tone) where the page takes colour."""
        code = _STYLES.get(name)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text

    def tone(self, text: str, tone: Tone) -> str:
        """Return ``text`` in the colour of a tone."""
        return self.style(text, tone)

    def fit(self, text: str) -> str:
        """Return text that the page's encoding can hold: drawn with ASCII, the rest as ``?``."""
        if takes(self.encoding, text):
            return text
        plain = text.translate(_ASCII)
        return plain.encode(self.encoding, "replace").decode(self.encoding)


def takes(encoding: str, text: str) -> bool:
    """Return whether every character of ``text`` exists in ``encoding``.

    >>> takes("latin-1", "é"), takes("ascii", "é")
    (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _encoding(stream: TextIO) -> str:
    """Return the stream's encoding, or ASCII where Python does not know it."""
    try:
        "".encode(stream.encoding or "ascii")
    except LookupError:
        return "ascii"
    return stream.encoding or "ascii"


def _width(terminal: TextIO | None, environ: Mapping[str, str]) -> int:
    columns = environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns):
        return max(MIN_WIDTH, min(int(columns), MAX_WIDTH))
    if terminal is None:
        return 80
    try:
        size = os.get_terminal_size(terminal.fileno()).columns
    except OSError:
        return 80
    return max(MIN_WIDTH, min(size or 80, MAX_WIDTH))
