"""Logs that were packed since they were written, by Codex with Zstandard, by people with gzip; or recoded.

Codex packs ``rollout-*.jsonl`` that nobody wrote to for seven days into ``rollout-*.jsonl.zst`` and removes
them, where its feature ``local_thread_store_compression`` is on. Seen on 2026-11-30 with 0.171.0.
Source: https://github.com/openai/codex/pull/24941
"""

from __future__ import annotations

import os
import zlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from ...archive.duck import MissingExtra
from ...extras import install_command
from ..files import utf_16_of

_CHUNK: Final = 1 << 20
_ENDINGS: Final = (".jsonl.zst", ".jsonl.gz")


def plain_path(path: Path) -> Path:
    """Return the name that a log had before it was packed.

    >>> plain_path(Path("a/rollout-1.jsonl.zst")).name, plain_path(Path("opencode.db.gz")).name
    ('rollout-1.jsonl', 'opencode.db.gz')
    """
    return path.with_suffix("") if path.name.endswith(_ENDINGS) else path


@contextmanager
def unpacked(file: FileIO) -> Iterator[FileIO]:
    """Give the content of a log: the file itself, or of one packed or in UTF-16 its text in a temporary file.

    Raises:
        MissingExtra: it is packed by Zstandard, and the package for that is not installed.
        OSError: it is damaged or cut off, or there is no space for its content.

    """
    head = os.pread(file.fileno(), 4, 0)
    unpacker, encoding = _unpacker_of(head), utf_16_of(head)
    if unpacker is None and encoding is None:
        yield file
        return
    with TemporaryFile(buffering=0) as plain:
        if unpacker is not None:
            _unpack(file, unpacker, plain.write)
        elif encoding is not None:
            _recode(file, encoding, plain.write)
        plain.seek(0)
        yield plain


def _unpacker_of(head: bytes) -> Callable[[], Any] | None:
    """Return what makes an unpacker of one frame: zlib's, or zstandard's, which have the same members."""
    if head[:2] == b"\x1f\x8b":
        return lambda: zlib.decompressobj(wbits=31)
    if head != b"\x28\xb5\x2f\xfd":
        return None
    try:
        from zstandard import ZstdDecompressor
    except ImportError:
        raise MissingExtra(f"is packed by Zstandard; to read it: {install_command('zstd')}") from None
    return ZstdDecompressor().decompressobj


def _recode(file: FileIO, encoding: str, write: Callable[[bytes], object]) -> None:
    decoder, offset = getincrementaldecoder(encoding)("replace"), 0
    while chunk := os.pread(file.fileno(), _CHUNK, offset):
        offset += len(chunk)
        write(decoder.decode(chunk).encode("utf-8", "replace"))


def _unpack(file: FileIO, unpacker: Callable[[], Any], write: Callable[[bytes], object]) -> None:
    frame, is_ended, offset = unpacker(), True, 0
    try:
        while chunk := os.pread(file.fileno(), _CHUNK, offset):
            offset += len(chunk)
            while chunk := chunk.lstrip(b"\0") if is_ended else chunk:  # tapes and devices fill up with zeros
                write(frame.decompress(chunk))
                is_ended, chunk = frame.eof, frame.unused_data
                if is_ended:
                    frame = unpacker()
    except OSError:
        raise
    except Exception as fault:  # zlib's error and zstandard's have no base of their own
        raise OSError(f"is damaged: {fault}") from fault
    if not is_ended:
        raise OSError("is cut off: the end of what was packed is not there")
