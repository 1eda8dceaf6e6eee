"""Under which names the pages are served.

>>> hosts = Hosts.of("127.0.0.1", 8765, ())
>>> hosts.origin(["localhost:8765"], "http"), hosts.origin(["evil.example"], "http")
('http://localhost:8765', None)
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

from ...errors import WrongUsage

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_NAME: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*|\[[0-9a-f:.]+\])"
    r"(?::[0-9]{1,5})?",
    re.ASCII,
)


class Hosts(NamedTuple):
    """The hosts, each with its port, as a ``Host`` header names them."""

    names: frozenset[str]

    @classmethod
    def of(cls, host: str, port: int, allowed: Sequence[str]) -> Self:
        """Return the names of this machine's own address, and those that are allowed beside them.

        A name without a port is allowed with ours, and as it stands, for a server in front of this one.

        Raises:
            WrongUsage: an allowed name is not a host, or pages are served to others without any.
        """
        if not allowed and not is_loopback(host):
            raise WrongUsage(
                f"--host {host} serves other machines: name the address that they will open, "
                f"such as --allow-host costs.example:{port}"
            )
        own = {f"{name}:{port}" for name in _LOOPBACK}
        for name in map(str.lower, allowed):
            if not _NAME.fullmatch(name):
                raise WrongUsage(f"--allow-host {name!r} is not a host; write it as costs.example:{port}")
            own |= {name, name if _has_port(name) else f"{name}:{port}"}
        if port == _HTTP:
            own |= set(_LOOPBACK)
        return cls(frozenset(own))

    def origin(self, given: Sequence[str], scheme: str) -> str | None:
        """Return the origin that a request names by its one ``Host`` header; ``None`` for another's."""
        if len(given) != 1 or given[0].lower() not in self.names:
            return None
        return f"{scheme}://{given[0].lower()}"

    def matches(self, origin: str, own: str) -> bool:
        """Tell whether an ``Origin`` header is that of the page itself, perhaps by ``https`` to a proxy."""
        try:
            there = urlsplit(origin)
        except ValueError:
            return False
        return there.scheme in ("http", "https") and there.netloc.lower() == own.partition("://")[2]


_HTTP: Final = 80


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a host.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _has_port(name: str) -> bool:
    return re.search(r":\d+$", name) is not None and not name.endswith("]")
