"""What an exit code means, the same for every command."""

from __future__ import annotations

from typing import Final

FINE: Final = 0
BAD_NEWS: Final = 1
"""The answer is bad news: a limit is crossed, damage was found, something was refused or not sent."""

WRONG_USAGE: Final = 2
FAILED: Final = 3
"""It could not be done, or cannot be told: entries are missing."""

INTERRUPTED: Final = 130
"""As a shell reports a process that Ctrl-C ended (128 + SIGINT)."""
