"""What one process has of a shared database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from ..profile.types import SharedBudget
from . import schema
from .address import read_address
from .database import Db, SharedDatabase

COMMAND_S: Final = 30.0
"""How long a command waits for the database, in seconds."""


class Seen(NamedTuple):
    """How the database looks from here. ``clock_s`` is by how many seconds its clock is ahead of ours."""

    uid: str
    server: str
    encryption: str
    clock_s: float


class Fleet:
    """The hosts that share a budget, as one process sees them. Opens nothing before it is used.

    Args:
        settings: what the profile says.
        environ: the environment variables.
        beside: the folder of the profile, from which a relative ``file:`` is meant.
        clock: gives the present, in UTC.

    """

    def __init__(
        self,
        settings: SharedBudget,
        environ: Mapping[str, str],
        beside: Path | None,
        clock: Callable[[], datetime],
    ) -> None:
        self.settings = settings
        self._environ = environ
        self._beside = beside
        self._clock = clock

    @property
    def source(self) -> str:
        """Where the address is, as the profile says it."""
        return self.settings.url

    @cached_property
    def database(self) -> SharedDatabase:
        """The database; raises ``AddressRefused`` where it has no address that may be used."""
        return SharedDatabase(read_address(self.settings, self._environ, self._beside))

    def init(self) -> int:
        """Make the tables, or bring them to this version; return the version before, 0 for none."""
        return self.database.run(schema.init, COMMAND_S)

    def check(self) -> Seen:
        """Return how the database looks from here.

        Raises:
            StorageUnavailable: it cannot be used, and why.

        """

        def look(db: Db) -> Seen:
            uid = schema.check(db)
            row = db.execute("SELECT current_setting('server_version'), clock_timestamp()").fetchone()
            assert row is not None  # one row always
            encrypted = db.connection.pgconn.ssl_in_use
            ahead = (row[1] - self._clock()).total_seconds()
            return Seen(uid, str(row[0]), "with TLS" if encrypted else "on this machine, without TLS", ahead)

        return self.database.run(look, COMMAND_S)

    def close(self) -> None:
        """Close the connection."""
        if "database" in self.__dict__:
            self.database.close()
