"""Hosts of a fleet, each a cost storage of its own in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.cost_tracker import CostTracker
from shared.costs.errors import BudgetExceeded
from shared.costs.fleet.fleet import Fleet
from shared.costs.money import Nanos
from shared.costs.workspace import Workspace

CALL = ("openai", "gpt-4o", 4000, 4000)
"""A call of $0.05."""

COST = Nanos(50_000_000)

BLOCKING = """
shared: {url: env:COST_TRACKER_SHARED, lease_s: LEASE}
budget: {monthly_limit_usd: 1.00, block_at_limit: true}
organization: {monthly_limit_usd: 1.50, block_at_limit: true}
"""


class Host:
    """One host: its storage, its profile, and trackers of its users."""

    def __init__(self, folder: Path, profile: str = BLOCKING, lease_s: int = 60) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.profile = folder / "profile.yaml"
        self.profile.write_text(profile.replace("LEASE", str(lease_s)))
        self.storage = folder / "storage"
        self.workspace = Workspace(self.storage, self.profile)
        self._trackers: dict[str, CostTracker] = {}

    @property
    def fleet(self) -> Fleet:
        fleet = self.workspace.fleet
        assert fleet is not None
        return fleet

    def tracker(self, user: str = "ana") -> CostTracker:
        if user not in self._trackers:
            self._trackers[user] = CostTracker(
                self.folder / f"job-{user}", user, self.storage, profile_path=self.profile
            )
        return self._trackers[user]

    def call(self, user: str = "ana") -> None:
        """Reserve, log; raise what the gate raises."""
        tracker = self.tracker(user)
        with tracker.reserve(*CALL[:2], tokens_input=CALL[2], max_tokens_output=CALL[3]) as hold:
            tracker.log_usage(*CALL, reservation=hold)

    def spend(self, most: int, user: str = "ana") -> int:
        """Make calls until one is refused; return how many were made."""
        for made in range(most):
            try:
                self.call(user)
            except BudgetExceeded:
                return made
        return most

    def log(self, count: int = 1, user: str = "ana") -> None:
        """Log calls that nobody reserved."""
        for _ in range(count):
            self.tracker(user).log_usage(*CALL)

    def close(self) -> None:
        for tracker in self._trackers.values():
            tracker.close()
        self.workspace.close()


@contextmanager
def hosts(folder: Path, *names: str, profile: str = BLOCKING, lease_s: int = 60) -> Iterator[list[Host]]:
    """Hosts of one fleet, whose database is made ready."""
    made = [Host(folder / name, profile, lease_s) for name in names]
    try:
        made[0].fleet.init()
        yield made
    finally:
        for host in made:
            host.close()
