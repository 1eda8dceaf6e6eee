"""The profile: users, limits, time zones, from strict YAML. Editing is in :mod:`.edit`."""

from .loading import PROFILE_VARIABLE, blocked_before, find_profile, load_profile, load_remembered
from .types import Budget, Profile, UserSettings

__all__ = [
    "PROFILE_VARIABLE",
    "Budget",
    "Profile",
    "UserSettings",
    "blocked_before",
    "find_profile",
    "load_profile",
    "load_remembered",
]
