"""Reads the small files that people write (the profile and the prices), and counts this process's edits."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Final

from .errors import FilePosition, FileRefused

MAX_BYTES: Final = 64 * 1024
"""Larger files are refused by their readers."""


def read(path: Path, refuse: type[FileRefused] = FileRefused) -> bytes:
    """Return the bytes of a regular file, at most one more than :data:`MAX_BYTES`.

    Raises:
        FileRefused: (the subclass ``refuse``) if the file cannot be read or is not a regular file.
    """
    # Not blocking, so that a pipe at this path cannot hang the caller.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        with opened(path, flags, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise refuse(FilePosition(path), "this is not a regular file", "name a YAML file")
            return file.read(MAX_BYTES + 1) or b""
    except OSError as error:
        fault = f"the file cannot be read ({error.strerror})"
        raise refuse(FilePosition(path), fault, "check its path and permissions") from None


def opened(path: Path, flags: int, mode: str) -> io.FileIO:
    """Open a file in one step of C code, so that no interrupt can leave the descriptor without its object.

    Raises:
        OSError: it cannot be opened.

    """
    [file] = map(io.FileIO, map(os.open, (path,), (flags,), (0o600,)), (mode,))
    return file


edits = 0
"""How often this process edited one of these files: with each edit, cached content of them is out of date."""


def note_edit() -> None:
    """Count an edit by this process."""
    global edits  # noqa: PLW0603  # one count for all objects of the process
    edits += 1
