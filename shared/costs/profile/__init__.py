"""The profile: users, limits, time zones, from strict YAML. Editing is in :mod:`.edit`."""

from .finding import PROFILE_VARIABLE, find_profile
from .loading import load_profile
from .types import Budget, Profile, UserSettings

__all__ = [
    "PROFILE_VARIABLE",
    "Budget",
    "Profile",
    "UserSettings",
    "find_profile",
    "load_profile",
]
