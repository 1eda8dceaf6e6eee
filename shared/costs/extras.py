"""How a missing package is installed, for the interpreter that misses it, and hooks without their library."""

from __future__ import annotations

import shlex
import sys
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


DISTRIBUTION = "cost-ledger"


def install_command(extra: str) -> str:
    """Return the command that installs what an extra needs, as it works in any folder.

    It names the packages and this interpreter; ``pip install '.[pdf]'`` is for who stands in a checkout with
    the right environment active, and the answer where this package lies in another project, not installed.

    >>> print(install_command("s3").replace(shlex.quote(sys.executable), "python"))
    python -m pip install 'boto3>=1.36'
    """
    from importlib.metadata import PackageNotFoundError, requires  # 20 ms, for a message

    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        lines = []
    named = (line.partition(";") for line in lines)
    wanted = (f'extra == "{extra}"', f"extra == '{extra}'")
    packages = [shlex.quote(name.strip()) for name, _, marker in named if marker.strip() in wanted]
    return f"{shlex.quote(sys.executable)} -m pip install {' '.join(packages) or shlex.quote(f'.[{extra}]')}"
