"""What a hook says when the library that it hooks into is not installed."""

from __future__ import annotations

from typing import Any


def needs(package: str) -> Any:
    """Return a base class for a hook whose library is missing: making one says what to install.

    >>> class Hook(needs("acme-sdk")):
    ...     pass
    >>> Hook()
    Traceback (most recent call last):
    ImportError: this hook needs acme-sdk, which is not installed: pip install acme-sdk
    """

    class Missing:
        def __new__(cls, *_: object, **__: object) -> Any:
            raise ImportError(
                f"this hook needs {package}, which is not installed: pip install {package}", name=package
            )

    return Missing
