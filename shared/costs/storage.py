"""The place of the cost storage and the files in it.

The cost storage belongs to one account of one machine. Ledgers are in the job directories, not
here; the storage has what is derived from them, lines that wait to be written to them, and the ledger of
calls without a job.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from .errors import StorageUnavailable, UnsafePath
from .platform import secure_directory, with_home

LEDGER_NAME: Final = "cost_ledger.jsonl"
"""The name of a job's ledger in its job directory."""

HOME_VARIABLE: Final = "COST_TRACKER_HOME"
APP_NAME: Final = "cost-ledger"


class CostStorage(NamedTuple):
    """The directory of one account's cost storage. Creating the object touches no file.

    >>> storage = CostStorage(Path("/data/costs"))
    >>> storage.unassigned_ledger.as_posix()
    '/data/costs/unassigned/cost_ledger.jsonl'
    """

    root: Path

    @classmethod
    def locate(cls, argument: str | Path | None, environ: Mapping[str, str]) -> CostStorage:
        """Return the storage named by the argument, else by ``COST_TRACKER_HOME``, else the platform's.

        ``~`` stands for the home directory, and links in the path are resolved once, here.

        Raises:
            OSError: the path has a circle of links.

        >>> CostStorage.locate("/data/a/../costs", {}).root.as_posix()
        '/data/costs'
        """
        named = argument or environ.get(HOME_VARIABLE)
        path = with_home(named) if named else _user_data_folder(environ)
        return cls(Path(os.path.realpath(path)))

    @property
    def sums_path(self) -> Path:
        """The sums, which are derived from the ledgers and may be deleted."""
        return self.root / "sums.db"

    @property
    def index_path(self) -> Path:
        """The index, which is derived from the ledgers and may be deleted."""
        return self.root / "index.db"

    @property
    def state_path(self) -> Path:
        """The state that cannot be derived: registered ledgers, reservations, sent alerts."""
        return self.root / "state.db"

    @property
    def spool_dir(self) -> Path:
        """The folder of lines that could not be written to their ledgers yet."""
        return self.root / "spool"

    @property
    def writers_dir(self) -> Path:
        """The folder with one locked file for each process that writes to ledgers or has reservations."""
        return self.root / "writers"

    @property
    def archives_dir(self) -> Path:
        """The folder of the last known manifest of each archive of closed months."""
        return self.root / "archives"

    @property
    def bills_dir(self) -> Path:
        """The folder of the bills that ``reconcile`` compares if none is named."""
        return self.root / "bills"

    @property
    def unassigned_ledger(self) -> Path:
        """The ledger of calls without a job."""
        return self.root / "unassigned" / LEDGER_NAME

    @property
    def profile_memory(self) -> Path:
        """The folder of remembered profiles: one file for each profile's path."""
        return self.root / "profiles"

    @property
    def prices_memory(self) -> Path:
        """The folder of remembered prices: one file for each source and version."""
        return self.root / "prices"

    def prepare(self) -> None:
        """Create the storage's missing directories, with mode 0700.

        Raises:
            UnsafePath: one of them is a link or belongs to another account.
            OSError: one cannot be created.

        """
        for path in (self.root, self.spool_dir, self.writers_dir, self.unassigned_ledger.parent):
            secure_directory(path)

    def require(self) -> None:
        """Create the storage's directories as :meth:`prepare` does, with an error for people.

        Raises:
            StorageUnavailable: it cannot be used; the message says why, and how to name another folder.

        """
        try:
            self.prepare()
        except UnsafePath as fault:
            raise self._unusable("used", str(fault), ", or run this as its owner") from fault
        except OSError as fault:
            action = "used" if os.path.lexists(self.root) else "created"
            raise self._unusable(action, f"{fault.strerror or fault} at {fault.filename}") from fault

    def _unusable(self, action: str, reason: str, remedy: str = "") -> StorageUnavailable:
        return StorageUnavailable(
            f"the cost storage {self.root} cannot be {action} ({reason}); name another folder with "
            f"--cost-storage or {HOME_VARIABLE}{remedy}"
        )


def job_id_of(directory: Path) -> str:
    """Return the id of the job in a resolved directory: its name, with unprintable characters as ``_``.

    Raises:
        ValueError: the directory has no name, such as ``/``.

    >>> job_id_of(Path("/data/out/2026-11-22/job-20261122-rpatel-0001"))
    'job-20261122-rpatel-0001'
    """
    if not directory.name:
        raise ValueError(f"{directory} cannot be a job directory: a job's id is the directory's name")
    return printable(directory.name)


def printable(name: str) -> str:
    r"""Return a name as ledgers have it: characters that cannot be printed or encoded become underscores.

    >>> printable("a\udcff")
    'a_'
    """
    return "".join(char if char.isprintable() else "_" for char in name)


def _user_data_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder that ``platformdirs`` would return, which is imported only on Windows."""
    home = Path(environ.get("HOME") or with_home("~"))
    if sys.platform == "darwin":  # pragma: no cover - macOS
        return home / "Library" / "Application Support" / APP_NAME
    if sys.platform == "win32":  # pragma: no cover - Windows
        from platformdirs import user_data_path

        return user_data_path(APP_NAME, appauthor=False)
    data_home = environ.get("XDG_DATA_HOME", "").strip()
    # By the XDG base directory specification, relative values are ignored.
    return (Path(data_home) if os.path.isabs(data_home) else home / ".local" / "share") / APP_NAME
