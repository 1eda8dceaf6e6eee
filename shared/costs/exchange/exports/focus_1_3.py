"""FOCUS 1.3 (December 2025): both the names of before for who sells a service and those that 1.4 keeps."""

from __future__ import annotations

from functools import partial
from typing import Final

from ..focus import FocusColumn, guarded_service, write_focus
from . import Export

_NAMED: Final[tuple[FocusColumn, ...]] = (
    ("HostProviderName", lambda _row: None),
    ("ProviderName", guarded_service),
    ("PublisherName", guarded_service),
    ("ServiceProviderName", guarded_service),
)

EXPORT: Final = Export(
    "focus-1.3", ".csv", "FOCUS 1.3 rows, one per kind of unit charged.", partial(write_focus, _NAMED)
)
