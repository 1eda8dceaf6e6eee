"""FOCUS 1.4 (June 2026), the newest: services have a provider, and a host that the ledger does not know."""

from __future__ import annotations

from functools import partial
from typing import Final

from ..focus import FocusColumn, guarded_service, write_focus
from . import Export

_NAMED: Final[tuple[FocusColumn, ...]] = (
    ("ServiceProviderName", guarded_service),
    ("HostProviderName", lambda _row: None),
)

EXPORT: Final = Export(
    "focus-1.4", ".csv", "FOCUS 1.4 rows, one per kind of unit charged.", partial(write_focus, _NAMED)
)
