"""Writes a file atomically: it is complete or does not exist.

The file is written under a temporary name beside its target, readable only by its owner, and renamed to the
target when it is complete and on the disk. The previous file stays until then.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import CostError, UnsafePath
from .platform import close, create_file, require_one_name, sync, sync_directory


class CannotWrite(CostError):
    """A file cannot be written. Nothing was changed."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield an empty private file beside ``target``, which replaces it when the block succeeds.

    If the block raises, also on an interrupt, the temporary file is removed and the target is unchanged.

    Raises:
        UnsafePath: the target is a link, a pipe, a device or a directory, or has a second name.
        CannotWrite: its directory does not exist or cannot be written to.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "costs.csv"
    >>> with replacing(target) as draft:
    ...     _ = draft.write_text("id")
    >>> target.read_text(), oct(target.stat().st_mode & 0o777)
    ('id', '0o600')
    """
    refuse_unsafe(target)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        fd = create_file(draft)
    except OSError as error:
        raise CannotWrite(f"{target}: cannot be written here: {error.strerror or error}") from error
    try:
        yield draft
        sync(fd)
        refuse_unsafe(target)  # something else may have been put there meanwhile
        os.replace(draft, target)
        sync_directory(target.parent)
    except OSError as error:
        if isinstance(error, CostError):
            raise
        raise CannotWrite(f"{target}: writing failed: {error.strerror or error}") from error
    finally:
        close(fd)
        with suppress(FileNotFoundError):
            draft.unlink()


def refuse_unsafe(target: Path) -> None:
    """Refuse a target that exists and is not a regular file with one name.

    Raises:
        UnsafePath: as above; the message says what it is.

    """
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        raise UnsafePath(f"{target}: is a link; name the file itself")
    require_one_name(target, status)
