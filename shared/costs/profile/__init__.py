"""The profile: users, limits, time zones, from strict YAML. Editing is in :mod:`.edit`."""

from .finding import PROFILE_VARIABLE, find_profile
from .loading import blocked_before, load_profile, load_remembered
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
