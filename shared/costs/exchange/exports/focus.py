"""FOCUS, the rows of cloud financial management: 1.2, which most tools read, to 1.4, the newest (June 2026).

They differ in what they call who sells a service: 1.3 (December 2025) has both the names of before and
those that 1.4 keeps. Services have a provider, and a host that the ledger does not know.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from ..focus import FocusColumn, guarded_service, write_focus
from . import Export

_HOST: Final[FocusColumn] = ("HostProviderName", lambda _row: None)
_OF_BEFORE: Final[tuple[FocusColumn, ...]] = (
    ("ProviderName", guarded_service),
    ("PublisherName", guarded_service),
)
_SERVICE: Final[FocusColumn] = ("ServiceProviderName", guarded_service)


def _export(version: str, *named: FocusColumn) -> Export:
    summary = f"FOCUS {version} rows, one per kind of unit charged."
    return Export(f"focus-{version}", ".csv", summary, partial(write_focus, named))


FOCUS_1_2: Final = _export("1.2", *_OF_BEFORE)
FOCUS_1_3: Final = _export("1.3", _HOST, *_OF_BEFORE, _SERVICE)
FOCUS_1_4: Final = _export("1.4", _SERVICE, _HOST)
