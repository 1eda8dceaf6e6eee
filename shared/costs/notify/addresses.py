"""Where notices go: the addresses of a profile, with secrets kept out of every text.

An address is an Apprise URL (https://appriseit.com/services), ``env:NAME`` for one in an environment
variable, or the ``notification_email``, which is sent through the mail server that
``COST_TRACKER_SMTP`` names (``mailtos://user:password@smtp.example.org``), by default the one of this
machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from ..profile.types import Budget, Profile

SMTP_VARIABLE: Final = "COST_TRACKER_SMTP"
LOCAL_SMTP: Final = "mailto://localhost:25"


@dataclass(frozen=True, slots=True)
class Address:
    """A recipient. ``name`` may be shown, ``url`` never: it can hold a token or a password.

    ``fault`` says why there is no URL.
    """

    name: str
    url: str = field(default="", repr=False)
    fault: str = ""

    @property
    def fingerprint(self) -> str:
        """A stable digest that identifies the address in the queue without revealing it."""
        import hashlib  # loads OpenSSL, which a stage that only queues need not pay for

        return hashlib.blake2b(self.name.encode() + b"\0" + self.url.encode(), digest_size=12).hexdigest()


def budget_for(profile: Profile, audience: str) -> Budget:
    """Return the budget whose addresses a notice goes to; an empty audience is the organisation.

    The organisation's alerts go to its own addresses, or to the default ones if it has none.
    """
    if audience:
        return profile.for_user(audience).budget
    return profile.organization if has_address(profile.organization) else profile.budget


def has_address(budget: Budget) -> bool:
    """Tell whether a budget names an address for its notices."""
    return bool(budget.notify or budget.notification_email)


def addresses_of(budget: Budget, environ: Mapping[str, str]) -> list[Address]:
    """Return the addresses that notices about this budget go to, each once.

    >>> [address.name for address in addresses_of(Budget(notify=("env:SLACK", "discord://1/2")), {})]
    ['env:SLACK', 'discord://...']
    """
    addresses = [_address(configured, environ) for configured in budget.notify]
    if budget.notification_email:
        addresses.append(_email(budget.notification_email, environ))
    return list({address.fingerprint: address for address in addresses}.values())


def _address(configured: str, environ: Mapping[str, str]) -> Address:
    if not configured.startswith("env:"):
        return Address(f"{configured.partition('://')[0]}://...", configured)
    variable = configured.removeprefix("env:")
    url = environ.get(variable, "").strip()
    if not url:
        return Address(configured, fault=f"the environment variable {variable} is not set")
    return Address(configured, url)


def _email(recipient: str, environ: Mapping[str, str]) -> Address:
    server = environ.get(SMTP_VARIABLE, "").strip() or LOCAL_SMTP
    if not server.startswith(("mailto://", "mailtos://")):
        return Address(recipient, fault=f"{SMTP_VARIABLE} is not a mailto:// or mailtos:// address")
    joint = "&" if "?" in server else "?"
    sender = "" if "from=" in server else f"&from={quote(recipient)}"
    return Address(recipient, f"{server}{joint}to={quote(recipient)}{sender}")
