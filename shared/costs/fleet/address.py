"""Where the shared database is: read from the environment or a file of mode 0600, and never shown.

>>> address = read_address(SharedBudget("env:COSTS"), {"COSTS": "postgresql://ana:secret@db.example.org/costs"})
>>> address.source, address.parameters["sslmode"]
('env:COSTS', 'require')
>>> address.without_secrets("connection to db.example.org failed for user ana")
'connection to ... failed for user ...'
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

from .. import platform
from ..errors import CostError, StorageUnavailable
from ..extras import install_command
from ..profile.types import SharedBudget


def missing_driver() -> str:
    """Return the message that PostgreSQL's driver is missing, with the command that installs it."""
    return f"the shared budget needs psycopg: {install_command('shared')}"


_NO_TLS: Final = frozenset({"disable", "allow", "prefer"})
_SECRET: Final = ("password", "user", "host", "hostaddr", "dbname", "service")
_MAX_BYTES: Final = 4096


class AddressRefused(StorageUnavailable):
    """The shared database has no usable address."""


class DatabaseAddress(NamedTuple):
    """How to reach the database. Only ``source`` may be shown: ``env:NAME`` or ``file:PATH``."""

    source: str
    parameters: Mapping[str, Any]

    def without_secrets(self, text: str) -> str:
        """Return a text with every part of the address replaced by ``...``."""
        hidden = {str(self.parameters[name]) for name in _SECRET if self.parameters.get(name)}
        for value in sorted(hidden, key=len, reverse=True):
            text = re.sub(rf'"?(?<!\w){re.escape(value)}(?!\w)"?', "...", text)
        return text


def read_address(
    settings: SharedBudget, environ: Mapping[str, str], folder: Path | None = None
) -> DatabaseAddress:
    """Return the address that a profile points to; ``folder`` is the profile's, for a relative file.

    An address without ``sslmode`` gets ``sslmode=require`` if its connection may leave this machine.

    Raises:
        AddressRefused: there is none, it cannot be parsed, its file is readable by others, or it would leave
            this machine without TLS. The message never contains the address.

    """
    kind, _, name = settings.url.partition(":")
    text = _from_environment(name, environ) if kind == "env" else _from_file(name, folder)
    return DatabaseAddress(settings.url, _with_tls(_parse(text, settings.url), settings.url, environ))


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    text = environ.get(name, "").strip()
    if not text:
        raise AddressRefused(
            f"the address of the shared database is to be in {name}, which is not set: "
            f"export {name}=postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    return text


def _from_file(name: str, folder: Path | None) -> str:
    path = platform.with_home(name)
    if folder is not None:
        path = folder / path
    try:
        with platform.open_file(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise AddressRefused(f"{path} is open to others ({mode:o}): chmod 600 {path}")
            text = (file.read(_MAX_BYTES) or b"").decode()
    except (OSError, CostError, UnicodeDecodeError) as fault:
        if isinstance(fault, AddressRefused):
            raise
        raise AddressRefused(
            f"the address of the shared database cannot be read from {path}: {fault}"
        ) from None
    if not text.strip():
        raise AddressRefused(f"{path} is to hold the address of the shared database, and is empty")
    return text.strip()


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        from psycopg import ProgrammingError  # an extra: only shared budgets need it
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise AddressRefused(missing_driver()) from None
    try:
        return dict(conninfo_to_dict(text))
    except ProgrammingError:
        raise AddressRefused(
            f"{source} does not contain a PostgreSQL address: write postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None


def _with_tls(parameters: dict[str, Any], source: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters, with TLS required if the connection could leave this machine."""
    if _is_local(parameters, environ):
        return parameters
    mode = parameters.get("sslmode")
    if mode in _NO_TLS:
        raise AddressRefused(
            f"the address in {source} leaves this machine with sslmode={mode}: use sslmode=verify-full, "
            f"or at least require"
        )
    return {**parameters, "sslmode": mode or "require"}


def _is_local(parameters: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    if parameters.get("service") or environ.get("PGSERVICE"):
        return False  # the service file is not read here
    host = parameters.get("hostaddr") or parameters.get("host")
    hosts = host or environ.get("PGHOSTADDR") or environ.get("PGHOST") or ""
    return all(_is_local_host(name.strip()) for name in str(hosts).split(","))


def _is_local_host(host: str) -> bool:
    if host[:1] in {"", "/", "@"} or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name: another machine may answer to it
