"""Telling a request that was refused, and so cost nothing, from one that may have been served.

Money that was reserved for a request may be given back only when it is certain that the provider
did not serve it. That is so when the first and only attempt was answered with one of these statuses.
After a lost connection or a server's fault it is not: the reservation is then left to count.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from pipeline.faults import StageFailed

# Bad request, no or wrong key, no permission, no such model, too large, cannot be processed.
REFUSALS: Final = frozenset({400, 401, 403, 404, 413, 422})


class Refused(StageFailed):
    """The provider refused the request; nothing was used."""


class Voidable(Protocol):
    """A reservation that can be given back."""

    def void(self) -> None:
        """Give the reserved money back."""


@contextmanager
def void_if_refused(hold: Voidable) -> Iterator[None]:
    """Give ``hold`` back when the block ends with :class:`Refused`, which goes on."""
    try:
        yield
    except Refused:
        hold.void()
        raise


@contextmanager
def refusals(kind: type[Exception]) -> Iterator[None]:
    """Turn errors of an SDK (``kind``) that are refusals into :class:`Refused`."""
    try:
        yield
    except kind as fault:
        if _status(fault) in REFUSALS and _attempt(fault) == "0":
            raise Refused(f"the provider refused the request: {fault}") from fault
        raise


def _status(fault: Any) -> int | None:
    """Return the HTTP status; the SDKs of OpenAI and Anthropic call it ``status_code``, Google's ``code``."""
    status = getattr(fault, "status_code", None) or getattr(fault, "code", None)
    return status if isinstance(status, int) else None


def _attempt(fault: Any) -> str:
    """Return which try this was, from 0: the SDKs of OpenAI and Anthropic say so in a header.

    Google's repeats a request only after an error status, which is not billed: no header, no doubt.
    """
    request = getattr(getattr(fault, "response", None), "request", None)
    return str(getattr(request, "headers", {}).get("x-stainless-retry-count", "0"))
