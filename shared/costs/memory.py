"""Remembers data from files and packages in the cost storage. Losing it only costs time.

The profile and the price files are remembered in parsed form (YAML takes 20 ms and more to import and
parse), and so are the prices of ``genai-prices`` for the models that were looked up (importing it takes
200 ms). Prices have one file per source and version. Those of earlier versions stay, so that a charge can
be recomputed with the very prices that made it.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from .platform import secure_directory
from .small_file import opened

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,100}", re.ASCII)
_FORMAT = 3  # raised when the form of remembered data changes, or the rules by which it is read
_MAX_BYTES = 16 * 1024 * 1024


class Memory:
    """Remembers JSON-ready data by name in one folder; with no folder, nothing is remembered."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def has_folder(self) -> bool:
        """Whether there is a folder, so that anything is remembered."""
        return self._folder is not None

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the data remembered under ``name``; ``None`` if there is none or it is damaged."""
        path = self._path(name)
        if path is None:
            return None
        try:
            raw = _read(path)
        except OSError:
            return None  # nothing remembered yet, or not readable: the data is read anew
        checksum, _, content = raw.partition(b"\n")
        if checksum != b"%08x" % crc32(content):
            return None
        document = json.loads(content)
        return document["data"] if document["format"] == _FORMAT else None

    def __contains__(self, name: str) -> bool:
        """Return whether something was remembered under ``name``, damaged or not."""
        path = self._path(name)
        return path is not None and os.path.exists(path)

    def names(self) -> list[str]:
        """Return the names under which something was remembered, in order."""
        try:
            files = sorted(os.listdir(self._folder)) if self._folder else []
        except OSError:
            return []  # nothing remembered yet
        return [name.removesuffix(".json") for name in files if name.endswith(".json") and name[0] != "."]

    def write(self, name: str, data: Mapping[str, Any]) -> bool:
        """Remember ``data`` and return whether that worked. Readers see the old content or the new."""
        path = self._path(name)
        if path is None:
            return False
        content = json.dumps({"format": _FORMAT, "data": data}, separators=(",", ":")).encode("ascii")
        try:
            secure_directory(path.parent)
            _replace(path, b"%08x\n%b" % (crc32(content), content))
        except OSError:
            return False  # a storage that cannot be written must not stop the call being priced
        return True

    def log(self, name: str, record: dict[str, Any]) -> bool:
        """Append a record to the log called ``name``; return whether that worked."""
        if self._folder is None or not _NAME.fullmatch(name):
            return False
        content = json.dumps(record, separators=(",", ":")).encode("ascii")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            secure_directory(self._folder)
            with opened(self._folder / f"{name}.log", flags, "ab") as file:
                file.write(b"%08x %b\n" % (crc32(content), content))
        except OSError:
            return False  # as in `write`
        return True

    def read_log(self, name: str) -> list[dict[str, Any]]:
        """Return the records of a log in order, without damaged ones."""
        if self._folder is None or not _NAME.fullmatch(name):
            return []
        try:
            raw = _read(self._folder / f"{name}.log")
        except OSError:
            return []
        records = []
        for line in raw.splitlines():
            checksum, _, content = line.partition(b" ")
            if checksum == b"%08x" % crc32(content):
                records.append(json.loads(content))
        return records

    def _path(self, name: str) -> Path | None:
        return self._folder / f"{name}.json" if self._folder and _NAME.fullmatch(name) else None


def _read(path: Path) -> bytes:
    flags = (
        os.O_RDONLY
        | getattr(os, "O_NOFOLLOW", 0)
        | getattr(os, "O_NONBLOCK", 0)
        | getattr(os, "O_CLOEXEC", 0)
    )
    with opened(path, flags, "rb") as file:
        return file.read(_MAX_BYTES) or b""


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        with opened(scratch, flags, "wb") as file:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
