"""A user's limits and time zone, for stage scripts.

>>> profile = UserProfile.load("rpatel")
>>> profile.user_id, profile.timezone.key
('rpatel', 'UTC')
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from shared.costs.budgets.scopes import KINDS
from shared.costs.errors import ProfileError
from shared.costs.money import from_usd
from shared.costs.profile import Budget, find_profile, load_profile
from shared.costs.profile.loading import place_for_new
from shared.costs.profile.types import BUDGET_FIELDS, COUNT_FIELDS, Profile
from shared.costs.storage import CostStorage

__all__ = ["Budget", "ProfileError", "UserProfile"]


@dataclass(slots=True)
class UserProfile:
    """One user's limits and time zone, and how to change them. Made by :meth:`load`.

    ``budget`` is typed, with amounts in nano-dollars and ``None`` for no limit; ``path`` is the
    file it was read from, or ``None`` for the defaults without a file.
    """

    user_id: str | None
    timezone: ZoneInfo
    budget: Budget
    path: Path | None
    _loaded: Profile = field(repr=False, compare=False)

    @classmethod
    def load(cls, user_id: int | str | None, path: str | Path | None = None) -> UserProfile:
        """Return a user's profile; one who is not in the file has its defaults.

        Args:
            user_id: a number or a name; ``None`` for the defaults that hold for every user.
            path: the file; ``None`` looks at ``COST_TRACKER_PROFILE``, ``config/profile.yaml`` and
                the cost storage.

        Raises:
            ProfileError: the file does not follow the contract.

        """
        loaded = load_profile(find_profile(path, os.environ, Path.cwd(), _storage_root()))
        return cls._of(loaded, None if user_id is None else str(user_id))

    def set_limits(self, **usd: float | str | Mapping[str, float | str | None] | None) -> None:
        """Set limits in US dollars, ``None`` for no limit: ``set_limits(daily_limit=5, monthly_limit=50)``.

        Names are those of :class:`Budget`: ``monthly_limit``, ``daily_limit``, ``weekly_limit``,
        ``yearly_limit``, ``job_limit``, ``reserve_cap``, and with a map of names to amounts ``stage_limits``,
        ``model_limits``, ``project_limits``, ``tag_limits``, ``workflow_limits``, ``operation_limits`` and
        ``service_limits``. ``daily_calls``, ``monthly_calls``, ``daily_tokens`` and ``monthly_tokens`` are
        numbers. Nothing is written before :meth:`save`.

        Raises:
            TypeError: a name or a value is of the wrong kind.
            ValueError: a value is not an amount.

        >>> profile = UserProfile.load(1)
        >>> profile.set_limits(daily_limit=5)
        >>> profile.budget.daily_limit
        5000000000
        """
        for name in usd.keys() - _AMOUNTS:
            raise TypeError(f"{name!r} is not a limit; known are {', '.join(sorted(_AMOUNTS))}")
        self.budget = self.budget.merged({name: _limit(name, value) for name, value in usd.items()})

    def save(self) -> Path:
        """Write the changes since :meth:`load` into the profile and return its path.

        Comments, order and the user's own keys stay as they are. Without a profile, one is created
        where it will be read from: at ``COST_TRACKER_PROFILE``, in ``config``, or in the cost storage.

        Raises:
            ProfileError: the file, before or after the change, does not follow the contract.
            StorageUnavailable: it cannot be written.

        """
        from shared.costs.profile.edit import Edit, edit_profile  # needed only to save

        path = self.path or place_for_new(os.environ, Path.cwd(), _storage_root())
        before = UserProfile._of(self._loaded, self.user_id)
        zone = self.timezone.key if self.timezone != before.timezone else None
        self._loaded = edit_profile(path, Edit(self._changes(before.budget), self.user_id, timezone=zone))
        self.path = path
        return path

    @classmethod
    def _of(cls, loaded: Profile, user_id: str | None) -> UserProfile:
        if user_id is None:
            return cls(None, loaded.timezone, loaded.budget, loaded.path, loaded)
        user = loaded.for_user(user_id)
        return cls(user.user_id, user.timezone, user.budget, loaded.path, loaded)

    def _changes(self, before: Budget) -> dict[str, object]:
        changes = {}
        for name in BUDGET_FIELDS:
            old, new = getattr(before, name), getattr(self.budget, name)
            if old != new:
                changes[name] = _map_changes(old, new) if isinstance(new, Mapping) else new
        return changes


_AMOUNTS = frozenset({kind.field for kind in KINDS.values() if kind.period != "rolling"} | {"reserve_cap"})


def _limit(name: str, value: float | str | Mapping[str, float | str | None] | None) -> object:
    if name not in COUNT_FIELDS or value is None:
        return _nanos(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is a whole number from 0, not {value!r}")
    return value


def _nanos(value: float | str | Mapping[str, float | str | None] | None) -> object:
    if isinstance(value, Mapping):
        return {name: _nanos(amount) for name, amount in value.items()}
    return None if value is None else from_usd(value)


def _map_changes(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    removed = dict.fromkeys(old.keys() - new.keys())
    return removed | {name: value for name, value in new.items() if old.get(name) != value}


def _storage_root() -> Path:
    return CostStorage.locate(None, os.environ).root
