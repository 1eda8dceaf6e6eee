"""Removes ledgers that an archive holds, and restores them.

A ledger is removed after these steps, in this order: the archive holds all of its lines; they were read back
and equal the file to the byte; its sums are stored durably (``kept.journal``); and the locked file still is
what was read back. After a crash at any point, either the file exists and counts, or its sums are kept and
the archive has the lines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from .. import platform
from ..archive.known import KnownArchive, fingerprint_of
from ..archive.manifest import HeldLedger
from ..archive.restoring import restored
from ..errors import CostError
from ..store.journal import opened, size_of
from ..store.store import Store

_NOT_COUNTED: Final = "another process may still write to it, or not all of its lines count"

BATCH: Final = 200
"""How many ledgers are recorded as gone in one step."""

LOCK_S: Final = 2.0
"""How long to wait for the lock of a ledger, in seconds."""

Progress = Callable[[int, int], None]

Needed = Callable[[Path], str | None]
"""Returns why a ledger is still needed; ``None`` if it is not."""


class SkippedLedger(NamedTuple):
    """A ledger that was not packed or restored, and the reason."""

    ledger: Path
    why: str


class PackingResult(NamedTuple):
    """The ledgers that were packed or restored, their size in bytes, and those that were skipped."""

    ledgers: tuple[Path, ...]
    size: int
    stayed: tuple[SkippedLedger, ...]


def pack(
    index: Store, archive: KnownArchive, progress: Progress, needed: Needed = lambda _: None
) -> PackingResult:
    """Remove the ledgers that an archive holds whole, once each was read back from it byte by byte."""
    packing = _PackingRun(index)
    existing = [held for held in archive.manifest.ledgers if held.is_whole and os.path.lexists(held.path)]
    waiting = list[tuple[HeldLedger, bytes]]()
    for done, (held, content) in enumerate(restored(archive, existing)):
        progress(done, len(existing))
        path = Path(held.path)
        if isinstance(content, CostError):
            packing.stayed.append(SkippedLedger(path, str(content)))
        elif (why := needed(path) or packing.differs(path, content)) is not None:
            packing.stayed.append(SkippedLedger(path, why))
        else:
            waiting.append((held, content))
        if len(waiting) >= BATCH:
            packing.remove(waiting)
            waiting.clear()
    packing.remove(waiting)
    progress(len(existing), len(existing))
    return packing.result()


class _PackingRun:
    def __init__(self, index: Store) -> None:
        self._index = index
        self._packed: list[Path] = []
        self._size = 0
        self.stayed: list[SkippedLedger] = []

    def result(self) -> PackingResult:
        """Return what was packed and what was skipped."""
        return PackingResult(tuple(self._packed), self._size, tuple(self.stayed))

    def differs(self, path: Path, content: bytes) -> str | None:
        """Return how a ledger differs from its content in the archive; ``None`` if it is the same."""
        try:
            with opened(path) as file:
                return _difference(file, content)
        except OSError as fault:
            return fault.strerror or str(fault)

    def remove(self, ledgers: Sequence[tuple[HeldLedger, bytes]]) -> None:
        """Record ledgers as gone, then remove their files."""
        marks = {Path(held.path): fingerprint_of(content) for held, content in ledgers}
        counted = self._index.let_go(marks)
        for held, content in ledgers:
            path = Path(held.path)
            why = self._remove_file(path, content) if path in counted else _NOT_COUNTED
            if why is None:
                self._packed.append(path)
                self._size += len(content)
            else:
                self.stayed.append(SkippedLedger(path, why))
        self._index.catch_up_all()

    def _remove_file(self, path: Path, content: bytes) -> str | None:
        """Remove a file if it still is what was read back; return the reason if not."""
        try:
            with opened(path) as file:
                # Writers check under this lock whether the path still names the file.
                if not platform.lock(file.fileno(), LOCK_S):
                    return "another process keeps it locked"
                if not platform.same_file(file.fileno(), path):
                    return "it was replaced meanwhile"
                if (why := _difference(file, content)) is not None:
                    return why
                path.unlink()
            platform.sync_directory(path.parent)
        except OSError as fault:
            return fault.strerror or str(fault)
        return None


def _difference(file: platform.SecureFile, content: bytes) -> str | None:
    if size_of(file) != len(content):
        return "lines were added since it was archived"
    is_same = os.pread(file.fileno(), len(content), 0) == content
    return None if is_same else "the archive does not give back its very bytes"


# --- restoring


def unpack(index: Store, ledgers: Iterable[Path], progress: Progress) -> PackingResult:
    """Restore ledgers at their paths; a path that exists by now is left as it is."""
    chosen = list(dict.fromkeys(ledgers))
    restored_paths, stayed, size = list[Path](), list[SkippedLedger](), 0
    for done, (path, content) in enumerate(index.packed(chosen)):
        progress(done, len(chosen))
        why = str(content) if isinstance(content, CostError) else _restore_file(path, content)
        if why is None:
            restored_paths.append(path)
            size += len(content) if isinstance(content, bytes) else 0
        else:
            stayed.append(SkippedLedger(path, why))
    progress(len(chosen), len(chosen))
    index.add(restored_paths)
    index.catch_up_all()
    return PackingResult(tuple(restored_paths), size, tuple(stayed))


def _restore_file(path: Path, content: bytes) -> str | None:
    """Write a whole file under a path that does not exist; return the reason if that fails."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        platform.secure_directory(path.parent)
        with suppress(FileNotFoundError):
            draft.unlink()
        with platform.create_file(draft) as file:
            file.write(content)
            platform.sync(file.fileno())
        os.link(draft, path)
        draft.unlink()
        platform.sync_directory(path.parent)
    except FileExistsError:
        draft.unlink(missing_ok=True)
        return "a newer ledger is there: move it away, unpack, and append its lines"
    except OSError as fault:
        draft.unlink(missing_ok=True)
        return fault.strerror or str(fault)
    return None


def packed_paths(index: Store, names: Sequence[str]) -> Iterator[Path]:
    """Yield the ledgers that were packed away, of the named jobs or of all."""
    for ledger in index.ledgers():
        if not ledger.exists() and (not names or ledger.parent.name in names):
            yield ledger
