"""The archives that a cost storage has written to: their last manifests, kept here.

So a view finds where the entries of a ledger are that was packed away without asking another machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from .. import platform
from ..errors import CostError, StorageUnavailable, WrongUsage
from ..replacing import replacing
from ..storage import CostStorage
from .manifest import NAME, ArchiveUnreachable, DamagedArchive, HeldLedger, Manifest
from .places import LOCK_S, ArchiveStorage, Bucket, Folder

Fingerprint = tuple[int, int, int]
"""How long a ledger is, and the CRC-32 of its first and its last 256 bytes."""


FINGERPRINT_BYTES: Final = 256


def fingerprint_of(content: bytes) -> Fingerprint:
    """Return by what a ledger of this content is known again."""
    tail = content[-FINGERPRINT_BYTES:]
    return len(content), crc32(content[:FINGERPRINT_BYTES]), crc32(tail)


class KnownArchive(NamedTuple):
    """An archive, and its manifest as it was when this storage last saw it."""

    place: ArchiveStorage
    manifest: Manifest


class ArchiveFault(NamedTuple):
    """What is wrong with the archive at a place, in words; ``is_away`` where it could not be asked."""

    place: str
    why: str
    is_away: bool = False


class ArchiveBusy(CostError):
    """Another process of this storage archives to the same place."""


class KnownArchives:
    """The archives of one cost storage. What was read of a file is kept as long as that does not change."""

    def __init__(self, storage: CostStorage) -> None:
        self.folder = storage.archives_dir
        self._read: dict[Path, tuple[object, KnownArchive]] = {}
        self._held: dict[tuple[str, Fingerprint], tuple[KnownArchive, HeldLedger]] = {}
        self._seen: object = None

    def place(self, location: str) -> ArchiveStorage:
        """Return the place at a location; copies of what lies elsewhere are kept in this storage.

        Raises:
            WrongUsage, MissingExtra: as :func:`place_of`.

        """
        return place_of(location, self.folder / _key(location))

    def remember(self, place: ArchiveStorage, document: bytes) -> None:
        """Keep the manifest of an archive, durably.

        Raises:
            CannotWrite: it cannot be written.

        """
        platform.secure_directory(self.folder)
        with replacing(self._file(place.location)) as draft:
            known = {"location": place.location, "manifest": document.decode()}
            draft.write_text(json.dumps(known), encoding="utf-8")

    def all(self) -> list[KnownArchive]:
        """Return all archives, in a fixed order.

        Raises:
            StorageUnavailable: what was kept of one cannot be read.

        """
        found = sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []
        versions = {path: _version(path) for path in found}
        for path in found:
            if path not in self._read or self._read[path][0] != versions[path]:
                self._read[path] = versions[path], self._load(path)
        return [self._read[path][1] for path in found]

    def _load(self, path: Path) -> KnownArchive:
        try:
            known = json.loads(path.read_bytes())
            location, document = known["location"], known["manifest"].encode()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise StorageUnavailable(
                f"{path}: cannot be read ({fault}); remove it and run cost-dashboard archive --to its place"
            ) from fault
        return KnownArchive(self.place(location), Manifest.parsed(document, location))

    def faults(self) -> list[ArchiveFault]:
        """Say where a manifest cannot be read, or names less than this storage knows, or a file is not there.

        No file is read: ``archive verify`` does that.
        """
        try:
            archives = self.all()
        except CostError as fault:
            return [_told(str(self.folder), fault)]
        return [found for each in archives if (found := _fault(each)) is not None]

    def find(self, path: str, fingerprint: Fingerprint) -> tuple[KnownArchive, HeldLedger] | None:
        """Return the archive that holds all of a ledger, and what it says of it; ``None`` where none does.

        Raises:
            StorageUnavailable: what was kept of an archive cannot be read.

        """
        archives = self.all()
        if self._seen != [id(each) for each in archives]:
            self._held = {
                (held.path, (held.size, held.head, held.tail)): (archive, held)
                for archive in archives
                for held in archive.manifest.ledgers
                if held.is_whole
            }
            self._seen = [id(each) for each in archives]
        return self._held.get((path, fingerprint))

    @contextmanager
    def writing(self, place: ArchiveStorage) -> Iterator[Path]:
        """Let one process of this storage write to an archive at a time.

        Gives the path of the file that says what it is about to store.

        Raises:
            ArchiveBusy: another process is at it.

        """
        platform.secure_directory(self.folder)
        file = self._file(place.location)
        with platform.open_file(file.with_suffix(".lock"), append=True, create=True) as lock:
            if not platform.lock(lock.fileno(), LOCK_S):
                raise ArchiveBusy(
                    f"{place.location}: another process archives to it; try again when it is done"
                )
            yield file.with_suffix(".pending")

    def _file(self, location: str) -> Path:
        return self.folder / f"{_key(location)}.json"


def place_of(location: str, cache: Path) -> ArchiveStorage:
    """Return the place at a location: a folder, or ``s3://bucket/prefix``.

    ``cache`` is a folder here for copies of what lies elsewhere.

    Raises:
        WrongUsage: it is an address of another kind.
        MissingExtra: it is on S3, and boto3 is not installed.

    """
    if location.startswith("s3://"):
        return Bucket(location, cache)
    if "://" in location:
        raise WrongUsage(f"an archive lies in a folder or at s3://BUCKET/PREFIX, not at {location}")
    return Folder(Path(os.path.realpath(platform.with_home(location))))


def _key(location: str) -> str:
    return sha256(location.encode(errors="surrogateescape")).hexdigest()[:16]


def _fault(archive: KnownArchive) -> ArchiveFault | None:
    place, known = archive.place, {part.name for part in archive.manifest.parts}
    at = place.location
    try:
        stored = place.manifest()
        if stored is None:
            is_away = not any(place.parts())  # nothing is there, as where a disk is not mounted
            return ArchiveFault(at, f"{at}/{NAME}: is not there; {_REMEDY}", is_away=is_away)
        named = {part.name for part in Manifest.parsed(stored.document, at).parts}
        gone = named.union(known).difference(place.parts())
    except CostError as fault:
        return _told(at, fault)
    if gone:
        are = f"and {len(gone) - 1:,} more are" if len(gone) > 1 else "is"
        return ArchiveFault(at, f"{at}/{min(gone)}: {are} not there; {_REMEDY}")
    if forgotten := known - named:
        files = "a file" if len(forgotten) == 1 else f"{len(forgotten):,} files"
        why = f"{at}/{NAME}: does not name {files} that it named before, {min(forgotten)}; {_REMEDY}"
        return ArchiveFault(at, why)
    return None


def _told(place: str, fault: CostError) -> ArchiveFault:
    is_known = isinstance(fault, DamagedArchive | StorageUnavailable) and not isinstance(
        fault, ArchiveUnreachable
    )
    return ArchiveFault(place, str(fault), is_away=not is_known)


_REMEDY: Final = "put it back from a copy of the archive"


def _version(path: Path) -> object:
    with suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size
    return None
