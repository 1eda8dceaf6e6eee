"""FOCUS 1.2, the version that most tools of cloud financial management read today."""

from __future__ import annotations

from functools import partial
from typing import Final

from ..focus import FocusColumn, guarded_service, write_focus
from . import Export

_NAMED: Final[tuple[FocusColumn, ...]] = (
    ("ProviderName", guarded_service),
    ("PublisherName", guarded_service),
)

EXPORT: Final = Export(
    "focus-1.2", ".csv", "FOCUS 1.2 rows, one per kind of unit charged.", partial(write_focus, _NAMED)
)
