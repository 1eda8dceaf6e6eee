"""The command that installs a missing package, and base classes for hooks whose library is missing."""

from __future__ import annotations

import shlex
import sys
from typing import Any


def needs(package: str) -> Any:
    """Return a base class for a hook whose library is missing; creating the hook says what to install.

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


DISTRIBUTION = "cost-ledger"


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra, from any folder.

    It names the packages and this interpreter. Where this package is not installed, it is
    ``pip install '.[pdf]'``, which works from a checkout.

    >>> print(install_command("s3").replace(shlex.quote(sys.executable), "python"))
    python -m pip install 'boto3>=1.36'
    """
    from importlib.metadata import PackageNotFoundError, requires  # 20 ms, for a message

    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        lines = []
    requirements = (line.partition(";") for line in lines)
    markers = (f'extra == "{extra}"', f"extra == '{extra}'")
    packages = [shlex.quote(name.strip()) for name, _, marker in requirements if marker.strip() in markers]
    return f"{shlex.quote(sys.executable)} -m pip install {' '.join(packages) or shlex.quote(f'.[{extra}]')}"
