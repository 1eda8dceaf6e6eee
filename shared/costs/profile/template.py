"""The commented profile that comes with the package: what ``cost-dashboard init`` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_TEMPLATE: Final = Path(__file__).parents[1] / "data" / "templates" / "profile.yaml"


def template() -> bytes:
    """Return a profile that says every default and explains each key.

    >>> template().splitlines()[0]
    b'# Who may spend how much. Amounts are in US dollars; null means no limit.'
    """
    return _TEMPLATE.read_bytes()
