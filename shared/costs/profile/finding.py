"""Where the profile is looked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ..platform import with_home

PROFILE_VARIABLE: Final = "COST_TRACKER_PROFILE"
PROFILE_NAME: Final = "profile.yaml"


def _never(path: Path) -> bool:
    return path is None


def find_profile(
    argument: str | Path | None,
    environ: Mapping[str, str],
    cwd: Path,
    storage_root: Path,
    is_missed: Callable[[Path], bool] = _never,
) -> Path | None:
    """Return the absolute path of the profile in force, or ``None`` for the defaults.

    In this order: the argument, ``COST_TRACKER_PROFILE``, ``config/profile.yaml`` in ``cwd``,
    ``profile.yaml`` in the cost storage. A file that was asked for by name is returned even when
    it is not there, so that loading it says so: a limit that silently does not hold is worse. So is
    one of the other places that is empty and for which ``is_missed`` says that a file should be there.

    >>> find_profile(None, {"COST_TRACKER_PROFILE": "/etc/costs.yaml"}, Path("/tmp"), Path("/tmp"))
    PosixPath('/etc/costs.yaml')
    """
    named = argument or environ.get(PROFILE_VARIABLE)
    if named:
        return cwd / with_home(named)
    for path in (cwd / "config" / PROFILE_NAME, storage_root / PROFILE_NAME):
        # A dangling link was meant to be a profile: loading it says so.
        if os.path.lexists(path) or is_missed(path):
            return path.absolute()
    return None


def place_for_new(environ: Mapping[str, str], cwd: Path, storage_root: Path) -> Path:
    """Return where a first profile should lie, so that :func:`find_profile` finds it again.

    At ``COST_TRACKER_PROFILE``, else in ``config`` where the project has such a folder, else in
    the cost storage.
    """
    named = environ.get(PROFILE_VARIABLE)
    if named:
        return cwd / with_home(named)
    config = cwd / "config"
    return (config if config.is_dir() else storage_root) / PROFILE_NAME
