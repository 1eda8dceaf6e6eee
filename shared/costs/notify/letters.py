"""Reports on their way: each is kept as a file of the cost storage until it was sent or given up.

The queue has a notice of it, whose key names the file; a notice's own text says what it is about.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ..platform import secure_directory
from ..replacing import replacing
from ..storage import CostStorage
from .message import Message, packed, unpacked

KEY: Final = "report "
"""What the key of a notice begins with that stands for a kept message; its file's name follows."""

_SUFFIX: Final = ".json"
_FRESH: Final = timedelta(days=1)
"""A younger file may be of a notice that is about to be queued."""


def is_letter(key: str) -> bool:
    """Tell whether a notice with this key stands for a kept message."""
    return key.startswith(KEY)


class Letters:
    """The messages that are kept in one cost storage, readable by its owner alone."""

    def __init__(self, storage: CostStorage) -> None:
        self._folder = storage.root / "letters"

    def keep(self, name: str, message: Message) -> str:
        """Keep a message under a name; return the key that its notice is to have.

        Raises:
            CannotWrite: it cannot be kept.
        """
        secure_directory(self._folder)
        with replacing(self._path(name)) as draft:
            draft.write_bytes(packed(message))
        return f"{KEY}{name}"

    def read(self, key: str) -> Message | str:
        """Return the message of a notice, or why there is none."""
        try:
            return unpacked(self._path(key.removeprefix(KEY)).read_bytes())
        except FileNotFoundError:
            return "its text is not in the cost storage any more; send it with notify report --again"
        except (OSError, ValueError) as fault:
            return f"its text cannot be read: {fault}"

    def drop(self, key: str) -> None:
        """Forget the message of a notice that is not to be sent."""
        with suppress(OSError):
            self._path(key.removeprefix(KEY)).unlink()

    def tidy(self, waiting: Collection[str], now: datetime) -> None:
        """Forget the messages of which no notice waits, by their keys."""
        with suppress(OSError):
            for path in self._folder.glob(f"*{_SUFFIX}"):
                age = now.timestamp() - path.stat().st_mtime
                if f"{KEY}{path.stem}" not in waiting and age > _FRESH.total_seconds():
                    path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"
