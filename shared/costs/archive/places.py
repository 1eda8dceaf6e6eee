"""Where an archive lies: a folder here, or a prefix on storage that speaks S3 (:mod:`.bucket`).

Both keep one promise: a manifest takes the place of the one that was read, or of none, and of no other.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from .. import platform
from ..replacing import CannotWrite, replacing
from .manifest import NAME, ArchiveUnreachable, DamagedArchive

LOCK_S: Final = 10.0
"""How long a writer of a manifest waits for another one, in seconds."""

_PIECE: Final = 1 << 20


class OtherManifest(CannotWrite):
    """Somebody else wrote a manifest since this one was read. Nothing was changed: begin again."""


class StoredManifest(NamedTuple):
    """A manifest as it was read, and the mark by which it is known again."""

    document: bytes
    mark: str


class ArchiveStorage(Protocol):
    """Where the files of an archive are read and written. Names are relative, with slashes."""

    location: str

    @property
    def drafts(self) -> Path:
        """A folder here in which files are written that :meth:`put` takes."""
        ...

    def manifest(self) -> StoredManifest | None:
        """Return the manifest; ``None`` where there is none."""
        ...

    def commit(self, document: bytes, before: StoredManifest | None) -> None:
        """Put a manifest in the place of the one that was read; raise ``OtherManifest`` where it is not."""
        ...

    def put(self, name: str, draft: Path) -> None:
        """Store a file, whole and durably; the draft goes."""
        ...

    def file(self, name: str) -> Path:
        """Return a file of the archive as a path here; raise ``DamagedArchive`` where it is not there."""
        ...

    def digest(self, name: str) -> tuple[int, str]:
        """Return size and SHA-256 of a file as it is stored now; raise as :meth:`file`."""
        ...

    def parts(self) -> list[str]:
        """Return the names of all Parquet files that are stored, whether the manifest names them or not."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file where it is there."""
        ...


class Folder:
    """An archive in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root)

    @property
    def drafts(self) -> Path:
        """The archive's own folder: drafts have names that its readers pass over."""
        return self.root

    def manifest(self) -> StoredManifest | None:
        """Return the manifest.

        Raises:
            DamagedArchive: it is there and cannot be read.

        """
        try:
            document = (self.root / NAME).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as fault:
            raise ArchiveUnreachable(
                f"{self.root / NAME}: cannot be read: {fault.strerror or fault}"
            ) from fault
        return StoredManifest(document, sha256(document).hexdigest())

    def commit(self, document: bytes, before: StoredManifest | None) -> None:
        """Put a manifest in the place of the one that was read, by renaming it, under a lock.

        Raises:
            OtherManifest: another one is there by now.
            CannotWrite: it cannot be written.

        """
        platform.secure_directory(self.root)
        with platform.open_file(self.root / "_manifest.lock", append=True, create=True) as lock:
            if not platform.lock(lock.fileno(), LOCK_S):
                raise OtherManifest(f"{self.root}: another process writes to this archive; try again")
            if self.manifest() != before:
                raise OtherManifest(f"{self.root}: another process wrote to this archive; try again")
            with replacing(self.root / NAME) as draft:
                draft.write_bytes(document)

    def put(self, name: str, draft: Path) -> None:
        """Store a file: synced, then renamed.

        Raises:
            CannotWrite: it cannot be written.

        """
        target = self.root / name
        try:
            platform.secure_directory(target.parent)
            with platform.open_file(draft, write=True) as file:
                platform.sync(file.fileno())
            os.replace(draft, target)
            platform.sync_directory(target.parent)
        except OSError as fault:
            raise CannotWrite(f"{target}: cannot be written: {fault.strerror or fault}") from fault

    def file(self, name: str) -> Path:
        """Return the path of a file.

        Raises:
            DamagedArchive: it is not there.

        """
        path = self.root / name
        if not path.is_file():
            raise DamagedArchive(f"{path}: is not there; put it back from a copy of the archive")
        return path

    def digest(self, name: str) -> tuple[int, str]:
        """Return size and SHA-256 of a file.

        Raises:
            DamagedArchive: it is not there, or cannot be read.

        """
        return digest_of(self.file(name))

    def parts(self) -> list[str]:
        """Return the names of the Parquet files in folders of months."""
        found = self.root.glob("month=*/*.parquet")
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def remove(self, name: str) -> None:
        """Remove a file where it is there."""
        with suppress(FileNotFoundError):
            (self.root / name).unlink()


def digest_of(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file.

    Raises:
        DamagedArchive: it cannot be read.

    """
    digest, size = sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
    except OSError as fault:
        raise DamagedArchive(f"{path}: cannot be read: {fault.strerror or fault}") from fault
    return size, digest.hexdigest()
