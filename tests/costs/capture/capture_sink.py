"""A place for captured calls to go to, for tests that do not need a ledger."""

from __future__ import annotations

from shared.costs.capture.captured import Captured


class Calls(list[Captured]):
    """Keeps what it is told to record."""

    def record_captured(self, captured: Captured) -> float:
        self.append(captured)
        return 0.0


class Broken:
    """Cannot record anything."""

    def record_captured(self, captured: Captured) -> float:
        raise OSError("disk full")
