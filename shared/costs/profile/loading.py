"""Loads the profile in force: from memory, where its file has not changed since it was read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .. import __version__
from ..errors import ProfileError
from ..small_file import read
from .plain import from_plain, to_plain
from .types import Profile

if TYPE_CHECKING:
    from ..memory import Memory


def load_profile(path: Path | None, memory: Memory | None = None) -> Profile:
    """Return the profile in the file at ``path``; for ``None`` the defaults.

    With a ``memory``, a file that was read before and has the same bytes is not parsed again.

    Raises:
        ProfileError: the file cannot be read or does not follow the contract. Its text names the
            file, line, key and value, and what would be right.
    """
    if path is None:
        return Profile()
    data = read(path, ProfileError)
    if memory is None:
        return _parsed(data, path)
    name = f"{crc32(os.fsencode(path)):08x}"
    profile = _remembered(memory.read(name), data, path)
    if profile is None:
        profile = _parsed(data, path)
        memory.write(name, {"by": __version__, "text": data.decode(), "profile": to_plain(profile)})
    return profile


def _remembered(known: dict[str, Any] | None, data: bytes, path: Path) -> Profile | None:
    """Return the profile that ``data`` was read as before; ``None`` where it has to be read."""
    # Another version may read the same file by other rules, or have other defaults.
    if known is None or known.get("by") != __version__ or known["text"].encode() != data:
        return None
    try:
        return from_plain(known["profile"], path)
    except ValueError:  # a time zone that is not known any more: reading the file says where it stands
        return None


def _parsed(data: bytes, path: Path) -> Profile:
    from .reading import (
        parse_profile,  # with the YAML it reads, 40 ms that a known file need not pay
    )

    return parse_profile(data, path)
