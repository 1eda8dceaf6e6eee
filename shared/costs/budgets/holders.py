"""Who holds reservations, and who of them is dead: files that the kernel unlocks when a process ends."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..index.registry import Presence

_OLD_S: Final = 3600.0
"""Only files this old are tidied: a younger one may belong to a process that is just locking it."""


class Holders:
    """The holder files of one cost storage."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._presence = Presence(folder)
        self._tidied_by = 0

    def name(self) -> str:
        """Return this process's name, after making sure that its file is there and locked."""
        name = self._presence.name()
        if self._tidied_by != os.getpid():
            self._tidied_by = os.getpid()
            self._tidy()
        return name

    def dead(self, names: Collection[str]) -> set[str]:
        """Return those of ``names`` whose process is no more."""
        return {name for name in names if not self._presence.alive(name)}

    def leave(self) -> None:
        """Let go of this process's lock."""
        self._presence.leave()

    def _tidy(self) -> None:
        """Delete the files of dead processes. A holder without a file counts as dead all the same."""
        for name in os.listdir(self._folder):
            if self._is_old(name) and not self._presence.alive(name):
                self._presence.remove(name)

    def _is_old(self, name: str) -> bool:
        with suppress(FileNotFoundError):  # another process was faster
            return time.time() - (self._folder / name).stat().st_mtime > _OLD_S
        return False
