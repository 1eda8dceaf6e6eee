"""Writing files so that a reader sees the old or the new content, never half of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in UTF-8; a crash leaves the previous content."""
    beside = _beside(path)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def point_link(link: Path, target: Path) -> None:
    """Make the symbolic link ``link`` point to ``target``, in one step and by a relative path."""
    beside = _beside(link)
    beside.unlink(missing_ok=True)
    beside.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
    beside.replace(link)


def _beside(path: Path) -> Path:
    """Return a name in the same folder that nobody else uses now."""
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
