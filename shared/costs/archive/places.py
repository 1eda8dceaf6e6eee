"""Where an archive lies: a local folder, or a prefix on storage that speaks S3 (the extra ``s3``).

Both promise the same: a manifest replaces only the one that was read, or none if there was none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from .. import platform
from ..errors import CostError, WrongUsage
from ..extras import install_command
from ..replacing import CannotWrite, replacing
from .duck import MissingExtra
from .manifest import NAME, ArchiveUnreachable, DamagedArchive

LOCK_S: Final = 10.0
"""How long a writer of a manifest waits for another writer, in seconds."""

_PIECE: Final = 1 << 20


class OtherManifest(CannotWrite):
    """Another process wrote a manifest since this one was read. Nothing was changed: begin again."""


class StoredManifest(NamedTuple):
    """A manifest as it was read, and the mark of its version: an ETag or a digest."""

    document: bytes
    mark: str


class ArchiveStorage(Protocol):
    """Where the files of an archive are read and written. Names are relative, with slashes."""

    location: str

    @property
    def drafts(self) -> Path:
        """A local folder for the files that are then stored with :meth:`put`."""
        ...

    def manifest(self) -> StoredManifest | None:
        """Return the manifest; ``None`` if there is none."""
        ...

    def commit(self, document: bytes, before: StoredManifest | None) -> None:
        """Replace the manifest that was read; raise ``OtherManifest`` if another one is there by now."""
        ...

    def put(self, name: str, draft: Path) -> None:
        """Store a file, whole and durably; the draft is removed."""
        ...

    def file(self, name: str) -> Path:
        """Return the local path of a file of the archive; raise ``DamagedArchive`` if it is missing."""
        ...

    def digest(self, name: str) -> tuple[int, str]:
        """Return the size and SHA-256 of a file as it is stored now; raise as :meth:`file`."""
        ...

    def parts(self) -> list[str]:
        """Return the names of all stored Parquet files, including those that the manifest does not name."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        ...


class Folder:
    """An archive in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root)

    @property
    def drafts(self) -> Path:
        """The archive's own folder: drafts have names that its readers ignore."""
        return self.root

    def manifest(self) -> StoredManifest | None:
        """Return the manifest.

        Raises:
            DamagedArchive: it exists and cannot be read.

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
        """Replace the manifest that was read by renaming a new one over it, under a lock.

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
            DamagedArchive: it is missing.

        """
        path = self.root / name
        if not path.is_file():
            raise DamagedArchive(f"{path}: is not there; put it back from a copy of the archive")
        return path

    def digest(self, name: str) -> tuple[int, str]:
        """Return size and SHA-256 of a file.

        Raises:
            DamagedArchive: it is missing, or cannot be read.

        """
        return digest_of(self.file(name))

    def parts(self) -> list[str]:
        """Return the names of the Parquet files in folders of months."""
        paths = self.root.glob("month=*/*.parquet")
        return sorted(path.relative_to(self.root).as_posix() for path in paths)

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
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


_MISSING: Final = frozenset({"NoSuchKey", "404"})
_OVERTAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class Bucket:
    """An archive under a prefix of a bucket, through boto3.

    Account, region and server follow from boto3's own settings: its environment variables
    (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL_S3``, ...) and files. A manifest is put on condition:
    ``If-None-Match: *`` for the first one, ``If-Match`` with the ETag of the one that was read for any other,
    which S3 has since November 2024
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html, known as of 2026-11-29).
    ``cache`` is a local folder for copies of its parts; they never go stale, because no name is used twice.
    """

    def __init__(self, location: str, cache: Path) -> None:
        try:
            import boto3
        except ImportError:
            raise MissingExtra(f"boto3 is needed for s3://: {install_command('s3')}") from None
        name, _, prefix = location.removeprefix("s3://").partition("/")
        if not name:
            raise WrongUsage(f"{location} names no bucket: write s3://BUCKET/PREFIX")
        self.location = f"s3://{name}/{prefix.strip('/')}".rstrip("/")
        self._name, self._prefix = name, f"{prefix.strip('/')}/".lstrip("/")
        self._cache = cache
        with _translated_errors(self.location, ArchiveUnreachable):
            self._client: Any = boto3.client("s3")

    @property
    def drafts(self) -> Path:
        """The local folder of copies."""
        return self._cache

    def manifest(self) -> StoredManifest | None:
        """Return the manifest.

        Raises:
            ArchiveUnreachable: it cannot be reached.

        """
        with _translated_errors(self.location, ArchiveUnreachable):
            response = self._get(NAME)
            return None if response is None else StoredManifest(response["Body"].read(), response["ETag"])

    def _get(self, name: str) -> Any:  # boto3's response, or ``None`` if there is no such object
        from botocore.exceptions import ClientError

        try:
            return self._client.get_object(Bucket=self._name, Key=self._prefix + name)
        except ClientError as fault:
            if _code(fault) in _MISSING:
                return None
            raise

    def commit(self, document: bytes, before: StoredManifest | None) -> None:
        """Replace the manifest that was read by a conditional write.

        Raises:
            OtherManifest: another one is there by now.
            CannotWrite: it cannot be written.

        """
        condition = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before.mark}
        with _translated_errors(self.location, CannotWrite):
            self._client.put_object(Bucket=self._name, Key=self._prefix + NAME, Body=document, **condition)

    def put(self, name: str, draft: Path) -> None:
        """Store a file.

        Raises:
            CannotWrite: it cannot be stored.

        """
        with _translated_errors(self.location, CannotWrite), draft.open("rb") as file:
            self._client.put_object(Bucket=self._name, Key=self._prefix + name, Body=file)
        draft.unlink()

    def file(self, name: str) -> Path:
        """Return a copy of a file.

        Raises:
            DamagedArchive: it is missing.
            ArchiveUnreachable: it cannot be reached.

        """
        copy = self._cache / name
        if not copy.is_file():
            platform.secure_directory(copy.parent)
            with (
                _translated_errors(self.location, ArchiveUnreachable),
                replacing(copy) as draft,
                draft.open("wb") as file,
            ):
                shutil.copyfileobj(self._body(name), file, _PIECE)
        return copy

    def digest(self, name: str) -> tuple[int, str]:
        """Return the size and SHA-256 of a file as it is stored now.

        Raises:
            DamagedArchive: it is missing.
            ArchiveUnreachable: it cannot be reached.

        """
        digest, size = sha256(), 0
        with _translated_errors(self.location, ArchiveUnreachable):
            for piece in self._body(name).iter_chunks(_PIECE):
                digest.update(piece)
                size += len(piece)
        return size, digest.hexdigest()

    def _body(self, name: str) -> Any:  # boto3's stream
        response = self._get(name)
        if response is None:
            raise DamagedArchive(
                f"{self.location}/{name}: is not there; put it back from a copy of the archive"
            )
        return response["Body"]

    def parts(self) -> list[str]:
        """Return the names of the Parquet files under folders of months.

        Raises:
            ArchiveUnreachable: they cannot be listed.

        """
        with _translated_errors(self.location, ArchiveUnreachable):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=f"{self._prefix}month="
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return sorted(key.removeprefix(self._prefix) for key in keys if key.endswith(".parquet"))

    def remove(self, name: str) -> None:
        """Remove a file if it exists.

        Raises:
            CannotWrite: it cannot be removed.

        """
        with _translated_errors(self.location, CannotWrite):
            self._client.delete_object(Bucket=self._name, Key=self._prefix + name)


@contextmanager
def _translated_errors(location: str, kind: type[CostError]) -> Iterator[None]:
    """Raise boto3's errors as ``kind``, with the archive's location and the server's whole message."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as fault:
        if _code(fault) in _OVERTAKEN and kind is CannotWrite:
            raise OtherManifest(f"{location}: another host wrote to this archive; try again") from fault
        raise kind(_refusal(location, fault)) from fault
    except (BotoCoreError, Boto3Error) as fault:
        raise kind(_refusal(location, fault)) from fault


def _refusal(location: str, fault: Exception) -> str:
    return f"{location}: {fault}; AWS_ENDPOINT_URL_S3 and AWS_PROFILE say which server and account"


def _code(fault: Any) -> str:  # botocore's ClientError
    return str(fault.response.get("Error", {}).get("Code", ""))
