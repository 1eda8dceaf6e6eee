"""Loads the profile in force: from memory, where its file has not changed since it was read.

The memory also tells what an empty or missing file cannot: whether the last profile read from that path
had limits that block. An editor that saves in place and a full disk leave empty files, and no limit
must end with one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from .. import __version__
from ..errors import Place, ProfileError
from ..small_file import read
from .plain import from_plain, to_plain
from .types import Profile

if TYPE_CHECKING:
    from ..memory import Memory
    from .blocking import Blocking

TOLD_FOR_S: Final = 86_400.0
"""How long after limits were loosened each new process says so, in seconds."""


class RememberedProfile(NamedTuple):
    """A profile, and which limits that blocked before it has loosened lately, in words."""

    profile: Profile
    loosened: tuple[str, ...] = ()


def load_profile(path: Path | None) -> Profile:
    """Return the profile in the file at ``path``; for ``None`` the defaults.

    Raises:
        ProfileError: the file cannot be read or does not follow the contract. Its text names the
            file, line, key and value, and what would be right.
    """
    return Profile() if path is None else _parsed(read(path, ProfileError), path)


def load_remembered(path: Path | None, memory: Memory) -> RememberedProfile:
    """As :func:`load_profile`; a file that was read before and has the same bytes is not parsed again.

    Raises:
        ProfileError: as there; or the file says nothing, or is gone, and the last profile read from
            this path had a limit that blocks.
    """
    if path is None:
        return RememberedProfile(Profile())
    known = _known(path, memory)
    try:
        data = read(path, ProfileError)
    except ProfileError:
        if os.path.lexists(path) or not (lost := _blocking(known)):
            raise
        raise _lost(path, "is gone", lost) from None
    profile = _same(known, data, path)
    if profile is not None:
        assert known is not None
        return RememberedProfile(profile, _still_told(known))
    before = _blocking(known)
    if before and _says_nothing(data):
        raise _lost(path, "is empty", before)
    profile = _parsed(data, path)
    return RememberedProfile(profile, _remember(path, memory, data, profile, before))


def blocked_before(path: Path, memory: Memory) -> bool:
    """Tell whether the last profile read from ``path`` had a limit that blocks."""
    return bool(_blocking(_known(path, memory)))


# What this process read, for where the memory cannot be written.
_here: dict[Path, dict[str, Any]] = {}


def _known(path: Path, memory: Memory) -> dict[str, Any] | None:
    return memory.read(_name(path)) or _here.get(path)


def _name(path: Path) -> str:
    return f"{crc32(os.fsencode(os.path.abspath(path))):08x}"


def _same(known: Mapping[str, Any] | None, data: bytes, path: Path) -> Profile | None:
    """Return the profile that ``data`` was read as before; ``None`` where it has to be read."""
    # Another version may read the same file by other rules, or have other defaults.
    if known is None or known.get("by") != __version__ or known["text"].encode() != data:
        return None
    if "blocking" not in known:
        return None
    try:
        return from_plain(known["profile"], path)
    except ValueError:  # a time zone that is not known any more: reading the file says where it stands
        return None


def _blocking(known: Mapping[str, Any] | None) -> Blocking:
    if known is None:
        return {}
    if "blocking" in known:
        found: Blocking = known["blocking"]
        return found
    return _blocking_of_earlier(known)


def _blocking_of_earlier(known: Mapping[str, Any]) -> Blocking:
    """Return the limits that block of a profile as earlier versions remembered it."""
    from .blocking import blocking_limits

    before = _profile_before(known)
    return {} if before is None else blocking_limits(before)


def _remember(path: Path, memory: Memory, data: bytes, profile: Profile, before: Blocking) -> tuple[str, ...]:
    """Remember what was read; return what it loosened."""
    from ..trail import TRAIL, change_of  # only a profile that changed pays for these
    from .blocking import blocking_limits, loosened, moved, renamed, retagged, spared

    was = _profile_before(_known(path, memory)) if before else None
    changes = loosened(before if was is None else blocking_limits(was, profile.users), profile)
    if was is not None:
        changes += [*spared(was.plans, profile), *moved(was, profile)]
        changes += [*retagged(was, profile), *renamed(was, profile)]
    memory.log(
        TRAIL, change_of(os.path.abspath(path), _text_before(path, memory), data.decode(), time.time())
    )
    known = {
        "by": __version__,
        "text": data.decode(),
        "profile": to_plain(profile),
        "blocking": blocking_limits(profile),
        "loosened": changes,
        "loosened_at": time.time(),
    }
    _here[path] = known
    memory.write(_name(path), known)
    return tuple(changes)


def _profile_before(known: Mapping[str, Any] | None) -> Profile | None:
    try:
        return None if known is None else from_plain(known["profile"], Path())
    except (ValueError, TypeError, KeyError):  # by a version whose profile is another
        return None


def _text_before(path: Path, memory: Memory) -> str | None:
    known = _known(path, memory)
    return None if known is None else str(known["text"])


def _still_told(known: Mapping[str, Any]) -> tuple[str, ...]:
    age = time.time() - known["loosened_at"]
    return tuple(known["loosened"]) if age < TOLD_FOR_S else ()


def _says_nothing(data: bytes) -> bool:
    """Tell whether a document has no content: nothing but blanks, comments and marks of its ends.

    >>> _says_nothing(b"# budget"), _says_nothing(b"budget: {}")
    (True, False)
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return all(line[:1] in (b"", b"#") or line in (b"---", b"...") for line in map(bytes.strip, lines))


def _lost(path: Path, fault: str, before: Blocking) -> ProfileError:
    from .blocking import described

    return ProfileError(
        Place(path),
        f"the profile {fault}, and the last one read there had limits that block: {described(before)}",
        "put it back, or write `budget: {}` into it if no limit is to block",
    )


def _parsed(data: bytes, path: Path) -> Profile:
    from .reading import (
        parse_profile,  # with the YAML it reads, 40 ms that a known file need not pay
    )

    return parse_profile(data, path)
