"""Where the cost storage lies and what is in it.

The cost storage belongs to one account of one machine. Ledgers lie in the job directories, not
here; the storage holds what is derived from them, what waits to get into them, and the ledger of
calls that belong to no job.
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
    """The directory of one account's cost storage. Making one touches no file.

    >>> storage = CostStorage(Path("/data/costs"))
    >>> storage.unassigned_ledger.as_posix()
    '/data/costs/unassigned/cost_ledger.jsonl'
    """

    root: Path

    @classmethod
    def locate(cls, argument: str | Path | None, environ: Mapping[str, str]) -> CostStorage:
        """Return the storage named by the argument, else by ``COST_TRACKER_HOME``, else the platform's.

        ``~`` stands for the home directory, and links in the path are followed now, once.

        Raises:
            OSError: the path leads through links in a circle.

        >>> CostStorage.locate("/data/a/../costs", {}).root.as_posix()
        '/data/costs'
        """
        named = argument or environ.get(HOME_VARIABLE)
        path = with_home(named) if named else _user_data_folder(environ)
        return cls(Path(os.path.realpath(path)))

    @property
    def sums_path(self) -> Path:
        """The sums: derived from the ledgers, may be deleted."""
        return self.root / "sums.db"

    @property
    def index_path(self) -> Path:
        """The index: derived from the ledgers, may be deleted."""
        return self.root / "index.db"

    @property
    def state_path(self) -> Path:
        """What cannot be derived: registered ledgers, reservations, fired alerts."""
        return self.root / "state.db"

    @property
    def spool_dir(self) -> Path:
        """Lines that could not be written to their ledgers yet."""
        return self.root / "spool"

    @property
    def writers_dir(self) -> Path:
        """One locked file for each process that writes to ledgers or holds reservations."""
        return self.root / "writers"

    @property
    def archives_dir(self) -> Path:
        """What is known of the archives of closed months: the last manifest of each."""
        return self.root / "archives"

    @property
    def bills_dir(self) -> Path:
        """Where bills may be put that ``reconcile`` compares when it is asked for none by name."""
        return self.root / "bills"

    @property
    def unassigned_ledger(self) -> Path:
        """The ledger of calls that belong to no job."""
        return self.root / "unassigned" / LEDGER_NAME

    @property
    def profile_memory(self) -> Path:
        """The folder of remembered profiles: one file for each place where one lies."""
        return self.root / "profiles"

    @property
    def prices_memory(self) -> Path:
        """The folder of remembered prices: one file for each source and version."""
        return self.root / "prices"

    def prepare(self) -> None:
        """Make the storage's directories, mode 0700, where they are missing.

        Raises:
            UnsafePath: one of them is a link or belongs to another account.
            OSError: one cannot be made.

        """
        for path in (self.root, self.spool_dir, self.writers_dir, self.unassigned_ledger.parent):
            secure_directory(path)

    def require(self) -> None:
        """As :meth:`prepare`, for who shows what went wrong to people.

        Raises:
            StorageUnavailable: it cannot be used; the message says why, and how to name another place.

        """
        try:
            self.prepare()
        except UnsafePath as fault:
            raise self._unusable("used", str(fault), ", or run this as its owner") from fault
        except OSError as fault:
            what = "used" if os.path.lexists(self.root) else "made"
            raise self._unusable(what, f"{fault.strerror or fault} at {fault.filename}") from fault

    def _unusable(self, what: str, why: str, remedy: str = "") -> StorageUnavailable:
        return StorageUnavailable(
            f"the cost storage {self.root} cannot be {what} ({why}); name another folder with --cost-storage "
            f"or {HOME_VARIABLE}{remedy}"
        )


def job_id_of(directory: Path) -> str:
    """Return the id of the job in a resolved directory: its name, with unprintable characters as ``_``.

    Raises:
        ValueError: the directory has no name, as ``/`` has none.

    >>> job_id_of(Path("/data/out/2026-11-22/job-20261122-rpatel-0001"))
    'job-20261122-rpatel-0001'
    """
    if not directory.name:
        raise ValueError(f"{directory} cannot be a job directory: a job's id is the directory's name")
    return printable(directory.name)


def printable(name: str) -> str:
    r"""Return a name as ledgers have it: what cannot be printed or is no UTF-8 is an underscore.

    >>> printable("a\udcff")
    'a_'
    """
    return "".join(c if c.isprintable() else "_" for c in name)


def _user_data_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder that ``platformdirs`` names, without paying for its import where it is known."""
    home = Path(environ.get("HOME") or with_home("~"))
    if sys.platform == "darwin":  # pragma: no cover - macOS
        return home / "Library" / "Application Support" / APP_NAME
    if sys.platform == "win32":  # pragma: no cover - Windows
        from platformdirs import user_data_path

        return user_data_path(APP_NAME, appauthor=False)
    stated = environ.get("XDG_DATA_HOME", "").strip()
    # The XDG base directory specification has relative values ignored.
    return (Path(stated) if os.path.isabs(stated) else home / ".local" / "share") / APP_NAME
