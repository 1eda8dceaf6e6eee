"""Finds the profile in force and loads it: from memory if its file has not changed since it was read.

The memory also knows what an empty or missing file does not show: whether the last profile read from that
path had limits that block. An editor that saves in place and a full disk leave empty files, which must not
end a limit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from .. import __version__
from ..errors import FilePosition, ProfileError
from ..periods import zone
from ..platform import with_home
from ..small_file import read
from .currency import Currency
from .machines import Machine
from .plans import Plan
from .tag_rules import TagRule
from .types import Budget, Guard, Profile, RollingLimit, SharedBudget, UserSettings

if TYPE_CHECKING:
    from ..memory import Memory
    from .blocking import Blocking


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
    ``profile.yaml`` in the cost storage. A file that was given by name is returned even if it does not
    exist, so that loading it reports that: a limit that silently does not hold is worse. One of the other
    places is also returned without a file if ``is_missed`` says that there should be one.

    >>> find_profile(None, {"COST_TRACKER_PROFILE": "/etc/costs.yaml"}, Path("/tmp"), Path("/tmp"))
    PosixPath('/etc/costs.yaml')
    """
    named = argument or environ.get(PROFILE_VARIABLE)
    if named:
        return cwd / with_home(named)
    for path in (cwd / "config" / PROFILE_NAME, storage_root / PROFILE_NAME):
        # A dangling link was meant to be a profile: loading it reports that.
        if os.path.lexists(path) or is_missed(path):
            return path.absolute()
    return None


def place_for_new(environ: Mapping[str, str], cwd: Path, storage_root: Path) -> Path:
    """Return the path for a first profile, where :func:`find_profile` finds it.

    At ``COST_TRACKER_PROFILE``, else in ``config`` where the project has such a folder, else in
    the cost storage.
    """
    named = environ.get(PROFILE_VARIABLE)
    if named:
        return cwd / with_home(named)
    config = cwd / "config"
    return (config if config.is_dir() else storage_root) / PROFILE_NAME


def to_plain(profile: Profile) -> dict[str, Any]:
    """Return a profile as JSON-ready maps, lists and values, to remember it, without its path.

    >>> budget = Budget(daily_limit=5, rolling=(RollingLimit(3600, 7),), guard=Guard(9, 20))
    >>> users = {"ana": UserSettings("ana", zone("Asia/Kolkata"), budget)}
    >>> machines, currency = {"desk": Machine(45, stages=("asr",))}, Currency("EUR", (("2026-11-01", 86),))
    >>> profile = Profile(Path("profile.yaml"), users=users, extras={"x-team": ["a", "b"]},
    ...                   shared=SharedBudget("env:COSTS", 60), machines=machines, currency=currency,
    ...                   plans={"max": Plan(("*",), 100, since=date(2026, 11, 1))},
    ...                   tag_rules=(TagRule("customer:acme", (("job_id", "acme-*"),)),))
    >>> from_plain(to_plain(profile), Path("profile.yaml")) == profile
    True
    """
    return {
        "timezone": profile.timezone.key,
        "budget": _budget_to_plain(profile.budget),
        "organization": _budget_to_plain(profile.organization),
        "users": {
            user_id: [user.timezone.key, _budget_to_plain(user.budget)]
            for user_id, user in profile.users.items()
        },
        "aliases": dict(profile.aliases),
        "extras": dict(profile.extras),
        "billing_day": profile.billing_day,
        "shared": profile.shared,
        "machines": dict(profile.machines),
        "currency": profile.currency,
        "tag_rules": profile.tag_rules,
        "plans": {name: _plan_to_plain(plan) for name, plan in profile.plans.items()},
    }


def from_plain(plain: Mapping[str, Any], path: Path) -> Profile:
    """Return the profile of :func:`to_plain`, whose file is at ``path``.

    Raises:
        ValueError: it names a time zone that this machine does not have.
    """
    return Profile(
        path=path,
        timezone=zone(plain["timezone"]),
        budget=_budget_from_plain(plain["budget"]),
        organization=_budget_from_plain(plain["organization"]),
        users={
            user_id: UserSettings(user_id, zone(name), _budget_from_plain(budget))
            for user_id, (name, budget) in plain["users"].items()
        },
        aliases=plain["aliases"],
        extras=plain["extras"],
        billing_day=plain.get("billing_day", 1),  # absent in profiles of earlier versions
        shared=SharedBudget(*plain["shared"]) if plain.get("shared") else None,
        machines=_typed(plain, "machines", dict[str, Machine], {}),
        tag_rules=_typed(plain, "tag_rules", tuple[TagRule, ...], ()),
        currency=_typed(plain, "currency", Currency, None),
        plans=_typed(plain, "plans", dict[str, Plan], {}),
    )


def _typed(plain: Mapping[str, Any], name: str, kind: Any, default: object) -> Any:
    """Return the values under ``name`` as ``kind``, or ``default`` where there are none."""
    values = plain.get(name)
    if not values:
        return default
    import msgspec  # imported only for profiles that have such values

    return msgspec.convert(values, kind)


def _plan_to_plain(plan: Plan) -> list[Any]:
    return [value.isoformat() if isinstance(value, date) else value for value in plan]


def _budget_to_plain(budget: Budget) -> dict[str, Any]:
    values = budget._asdict()
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def _budget_from_plain(plain: Mapping[str, Any]) -> Budget:
    # JSON has no tuples, and a budget no lists.
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()
    }
    if "rolling" in values:  # absent in profiles of earlier versions
        values["rolling"] = tuple(RollingLimit(*window) for window in plain["rolling"])
        values["guard"] = Guard(*plain["guard"])
    return Budget(**values)


REPORT_LOOSENED_S: Final = 86_400.0
"""How long after limits were loosened each new process reports it, in seconds."""


class RememberedProfile(NamedTuple):
    """A profile, and sentences on the blocking limits that were loosened lately."""

    profile: Profile
    loosened: tuple[str, ...] = ()


def load_profile(path: Path | None) -> Profile:
    """Return the profile in the file at ``path``, or the defaults for ``None``.

    Raises:
        ProfileError: the file cannot be read or does not follow the contract. Its text names the
            file, line, key and value, and what would be right.
    """
    return Profile() if path is None else _parse(read(path, ProfileError), path)


def load_remembered(path: Path | None, memory: Memory) -> RememberedProfile:
    """Return the profile as :func:`load_profile` does, from memory where the file has not changed.

    Raises:
        ProfileError: as there; or the file is empty or gone, and the last profile read from
            this path had a limit that blocks.
    """
    if path is None:
        return RememberedProfile(Profile())
    remembered = _remembered(path, memory)
    try:
        data = read(path, ProfileError)
    except ProfileError:
        if os.path.lexists(path) or not (blocking := _blocking(remembered)):
            raise
        raise _lost_limits(path, "is gone", blocking) from None
    profile = _unchanged(remembered, data, path)
    if profile is not None:
        assert remembered is not None
        return RememberedProfile(profile, _recently_loosened(remembered))
    blocking = _blocking(remembered)
    if blocking and _is_blank(data):
        raise _lost_limits(path, "is empty", blocking)
    profile = _parse(data, path)
    return RememberedProfile(profile, _remember(path, memory, data, profile, blocking))


def blocked_before(path: Path, memory: Memory) -> bool:
    """Return whether the last profile read from ``path`` had a limit that blocks."""
    return bool(_blocking(_remembered(path, memory)))


# The profiles that this process has read, in case the memory cannot be written.
_read_here: dict[Path, dict[str, Any]] = {}


def _remembered(path: Path, memory: Memory) -> dict[str, Any] | None:
    return memory.read(_name(path)) or _read_here.get(path)


def _name(path: Path) -> str:
    return f"{crc32(os.fsencode(os.path.abspath(path))):08x}"


def _unchanged(remembered: Mapping[str, Any] | None, data: bytes, path: Path) -> Profile | None:
    """Return the remembered profile if it was read from the same ``data``; ``None`` if it must be parsed."""
    # Another version may read the same file by other rules, or have other defaults.
    if remembered is None or remembered.get("by") != __version__ or remembered["text"].encode() != data:
        return None
    if "blocking" not in remembered:
        return None
    try:
        return from_plain(remembered["profile"], path)
    except ValueError:  # a time zone that is not known any more: parsing the file names its place
        return None


def _blocking(remembered: Mapping[str, Any] | None) -> Blocking:
    if remembered is None:
        return {}
    if "blocking" in remembered:
        limits: Blocking = remembered["blocking"]
        return limits
    return _blocking_of_earlier(remembered)


def _blocking_of_earlier(remembered: Mapping[str, Any]) -> Blocking:
    """Return the limits that block in a profile that an earlier version remembered."""
    from .blocking import blocking_limits

    profile = _profile_before(remembered)
    return {} if profile is None else blocking_limits(profile)


def _remember(path: Path, memory: Memory, data: bytes, profile: Profile, before: Blocking) -> tuple[str, ...]:
    """Remember a profile, and return sentences on the limits that it loosened."""
    from ..trail import TRAIL, change_of  # imported only when a profile has changed
    from .blocking import (
        blocking_limits,
        changed_aliases,
        changed_tags,
        exempted_calls,
        loosened_limits,
        restarted_limits,
    )

    old = _profile_before(_remembered(path, memory)) if before else None
    changes = loosened_limits(before if old is None else blocking_limits(old, profile.users), profile)
    if old is not None:
        changes += [*exempted_calls(old.plans, profile), *restarted_limits(old, profile)]
        changes += [*changed_tags(old, profile), *changed_aliases(old, profile)]
    memory.log(
        TRAIL, change_of(os.path.abspath(path), _text_before(path, memory), data.decode(), time.time())
    )
    record = {
        "by": __version__,
        "text": data.decode(),
        "profile": to_plain(profile),
        "blocking": blocking_limits(profile),
        "loosened": changes,
        "loosened_at": time.time(),
    }
    _read_here[path] = record
    memory.write(_name(path), record)
    return tuple(changes)


def _profile_before(remembered: Mapping[str, Any] | None) -> Profile | None:
    try:
        return None if remembered is None else from_plain(remembered["profile"], Path())
    except (ValueError, TypeError, KeyError):  # remembered by a version with another form of profiles
        return None


def _text_before(path: Path, memory: Memory) -> str | None:
    remembered = _remembered(path, memory)
    return None if remembered is None else str(remembered["text"])


def _recently_loosened(remembered: Mapping[str, Any]) -> tuple[str, ...]:
    age = time.time() - remembered["loosened_at"]
    return tuple(remembered["loosened"]) if age < REPORT_LOOSENED_S else ()


def _is_blank(data: bytes) -> bool:
    """Return whether a document has no content: only blanks, comments and document markers.

    >>> _is_blank(b"# budget"), _is_blank(b"budget: {}")
    (True, False)
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return all(line[:1] in (b"", b"#") or line in (b"---", b"...") for line in map(bytes.strip, lines))


def _lost_limits(path: Path, fault: str, before: Blocking) -> ProfileError:
    from .blocking import in_words

    return ProfileError(
        FilePosition(path),
        f"the profile {fault}, and the last one read there had limits that block: {in_words(before)}",
        "put it back, or write `budget: {}` into it if no limit is to block",
    )


def _parse(data: bytes, path: Path) -> Profile:
    from .reading import parse_profile  # 40 ms with the YAML parser, which a remembered file does not need

    return parse_profile(data, path)
