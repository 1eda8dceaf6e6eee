"""The archives that a cost storage has written to, each with a local copy of its last manifest.

With the copy, a report finds the entries of a ledger that was packed away without asking another machine.
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
"""The length of a ledger in bytes, and the CRC-32 of its first and its last 256 bytes."""


FINGERPRINT_BYTES: Final = 256


def fingerprint_of(content: bytes) -> Fingerprint:
    """Return the fingerprint of a ledger with this content."""
    tail = content[-FINGERPRINT_BYTES:]
    return len(content), crc32(content[:FINGERPRINT_BYTES]), crc32(tail)


class KnownArchive(NamedTuple):
    """An archive, and its manifest as it was when this storage last saw it."""

    place: ArchiveStorage
    manifest: Manifest


class ArchiveFault(NamedTuple):
    """What is wrong with an archive, in words; ``is_away`` if it could not be reached."""

    place: str
    why: str
    is_away: bool = False


class ArchiveBusy(CostError):
    """Another process of this storage is writing to the same archive."""


class KnownArchives:
    """The archives of one cost storage. A manifest's copy is read again only when its file has changed."""

    def __init__(self, storage: CostStorage) -> None:
        self.folder = storage.archives_dir
        self._read: dict[Path, tuple[object, KnownArchive]] = {}
        self._held: dict[tuple[str, Fingerprint], tuple[KnownArchive, HeldLedger]] = {}
        self._indexed: object = None

    def place(self, location: str) -> ArchiveStorage:
        """Return the archive storage at a location; copies of remote files are kept in this cost storage.

        Raises:
            WrongUsage, MissingExtra: as :func:`place_of`.

        """
        return place_of(location, self.folder / _key(location))

    def remember(self, place: ArchiveStorage, document: bytes) -> None:
        """Store a copy of an archive's manifest durably.

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
            StorageUnavailable: the copy of a manifest cannot be read.

        """
        paths = sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []
        versions = {path: _version(path) for path in paths}
        for path in paths:
            if path not in self._read or self._read[path][0] != versions[path]:
                self._read[path] = versions[path], self._load(path)
        return [self._read[path][1] for path in paths]

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
        """Return the archives that cannot be read, name less than this storage knows, or miss a file.

        Files are listed, not read: ``archive verify`` reads them.
        """
        try:
            archives = self.all()
        except CostError as fault:
            return [_fault_of_error(str(self.folder), fault)]
        return [problem for archive in archives if (problem := _fault(archive)) is not None]

    def find(self, path: str, fingerprint: Fingerprint) -> tuple[KnownArchive, HeldLedger] | None:
        """Return the archive that holds all of a ledger, and its record of it; ``None`` if none does.

        Raises:
            StorageUnavailable: the copy of a manifest cannot be read.

        """
        archives = self.all()
        if self._indexed != [id(archive) for archive in archives]:
            self._held = {
                (held.path, (held.size, held.head, held.tail)): (archive, held)
                for archive in archives
                for held in archive.manifest.ledgers
                if held.is_whole
            }
            self._indexed = [id(archive) for archive in archives]
        return self._held.get((path, fingerprint))

    @contextmanager
    def writing(self, place: ArchiveStorage) -> Iterator[Path]:
        """Let one process of this storage write to an archive at a time.

        Yields the path of the file in which the writer notes what it is about to store.

        Raises:
            ArchiveBusy: another process is writing to it.

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
    """Return the archive storage at a location: a folder, or ``s3://bucket/prefix``.

    ``cache`` is a local folder for copies of remote files.

    Raises:
        WrongUsage: it is an address of another kind.
        MissingExtra: it is on S3, and boto3 is not installed.

    """
    if location.startswith("s3://"):
        return Bucket(location, cache)
    if "://" in location:
        raise WrongUsage(f"an archive is in a folder or at s3://BUCKET/PREFIX, not at {location}")
    return Folder(Path(os.path.realpath(platform.with_home(location))))


def _key(location: str) -> str:
    return sha256(location.encode(errors="surrogateescape")).hexdigest()[:16]


def _fault(archive: KnownArchive) -> ArchiveFault | None:
    place, known = archive.place, {part.name for part in archive.manifest.parts}
    location = place.location
    try:
        stored = place.manifest()
        if stored is None:
            is_away = not any(place.parts())  # an empty folder: its disk may not be mounted
            return ArchiveFault(location, f"{location}/{NAME}: is not there; {_REMEDY}", is_away=is_away)
        named = {part.name for part in Manifest.parsed(stored.document, location).parts}
        missing = named.union(known).difference(place.parts())
    except CostError as fault:
        return _fault_of_error(location, fault)
    if missing:
        are = f"and {len(missing) - 1:,} more are" if len(missing) > 1 else "is"
        return ArchiveFault(location, f"{location}/{min(missing)}: {are} not there; {_REMEDY}")
    if dropped := known - named:
        files = "a file" if len(dropped) == 1 else f"{len(dropped):,} files"
        why = f"{location}/{NAME}: does not name {files} that it named before, {min(dropped)}; {_REMEDY}"
        return ArchiveFault(location, why)
    return None


def _fault_of_error(place: str, fault: CostError) -> ArchiveFault:
    is_damage = isinstance(fault, DamagedArchive | StorageUnavailable) and not isinstance(
        fault, ArchiveUnreachable
    )
    return ArchiveFault(place, str(fault), is_away=not is_damage)


_REMEDY: Final = "put it back from a copy of the archive"


def _version(path: Path) -> object:
    with suppress(OSError):
        stat = path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
    return None
