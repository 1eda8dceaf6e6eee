"""Finds the profile in force and loads it: from memory, where its file has not changed since it was read.

The memory also tells what an empty or missing file cannot: whether the last profile read from that path
had limits that block. An editor that saves in place and a full disk leave empty files, and no limit
must end with one.
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
from ..errors import Place, ProfileError
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


def to_plain(profile: Profile) -> dict[str, Any]:
    """Return a profile as maps, lists and plain values, to remember it by; its path alone is left out.

    >>> budget = Budget(daily_limit=5, rolling=(Rolling(3600, 7),), guard=Guard(9, 20))
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
        ValueError: it names a time zone that this machine does not have (any more).
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
        billing_day=plain.get("billing_day", 1),  # an earlier version knew of none
        shared=SharedBudget(*plain["shared"]) if plain.get("shared") else None,
        machines=_typed(plain, "machines", dict[str, Machine], {}),
        tag_rules=_typed(plain, "tag_rules", tuple[TagRule, ...], ()),
        currency=_typed(plain, "currency", Currency, None),
        plans=_typed(plain, "plans", dict[str, Plan], {}),
    )


def _typed(plain: Mapping[str, Any], name: str, kind: Any, nothing: object) -> Any:
    """Return what the profile has under ``name`` as it was before; ``nothing`` where it has none."""
    values = plain.get(name)
    if not values:
        return nothing
    import msgspec  # only for who has any: the others do not pay for it

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
    if "rolling" in values:  # an earlier version knew of none
        values["rolling"] = tuple(RollingLimit(*window) for window in plain["rolling"])
        values["guard"] = Guard(*plain["guard"])
    return Budget(**values)


TOLD_FOR_S: Final = 86_400.0
"""How long after limits were loosened each new process says so, in seconds."""


class RememberedProfile(NamedTuple):
    """A profile, and which limits that blocked before it has loosened lately, in words."""

    profile: Profile
    loosened: tuple[str, ...] = ()


def load_profile(path: Path | None) -> Profile:
    """Return the profile in the file at ``path``; for ``None`` the defaults.

    Raises:
        ProfileError: the file cannot be read or does not follow the contract. Its text names the
            file, line, key and value, and what would be right.
    """
    return Profile() if path is None else _parsed(read(path, ProfileError), path)


def load_remembered(path: Path | None, memory: Memory) -> RememberedProfile:
    """As :func:`load_profile`; a file that was read before and has the same bytes is not parsed again.

    Raises:
        ProfileError: as there; or the file says nothing, or is gone, and the last profile read from
            this path had a limit that blocks.
    """
    if path is None:
        return RememberedProfile(Profile())
    known = _known(path, memory)
    try:
        data = read(path, ProfileError)
    except ProfileError:
        if os.path.lexists(path) or not (lost := _blocking(known)):
            raise
        raise _lost(path, "is gone", lost) from None
    profile = _same(known, data, path)
    if profile is not None:
        assert known is not None
        return RememberedProfile(profile, _still_told(known))
    before = _blocking(known)
    if before and _says_nothing(data):
        raise _lost(path, "is empty", before)
    profile = _parsed(data, path)
    return RememberedProfile(profile, _remember(path, memory, data, profile, before))


def blocked_before(path: Path, memory: Memory) -> bool:
    """Tell whether the last profile read from ``path`` had a limit that blocks."""
    return bool(_blocking(_known(path, memory)))


# What this process read, for where the memory cannot be written.
_here: dict[Path, dict[str, Any]] = {}


def _known(path: Path, memory: Memory) -> dict[str, Any] | None:
    return memory.read(_name(path)) or _here.get(path)


def _name(path: Path) -> str:
    return f"{crc32(os.fsencode(os.path.abspath(path))):08x}"


def _same(known: Mapping[str, Any] | None, data: bytes, path: Path) -> Profile | None:
    """Return the profile that ``data`` was read as before; ``None`` where it has to be read."""
    # Another version may read the same file by other rules, or have other defaults.
    if known is None or known.get("by") != __version__ or known["text"].encode() != data:
        return None
    if "blocking" not in known:
        return None
    try:
        return from_plain(known["profile"], path)
    except ValueError:  # a time zone that is not known any more: reading the file says where it stands
        return None


def _blocking(known: Mapping[str, Any] | None) -> Blocking:
    if known is None:
        return {}
    if "blocking" in known:
        found: Blocking = known["blocking"]
        return found
    return _blocking_of_earlier(known)


def _blocking_of_earlier(known: Mapping[str, Any]) -> Blocking:
    """Return the limits that block of a profile as earlier versions remembered it."""
    from .blocking import blocking_limits

    before = _profile_before(known)
    return {} if before is None else blocking_limits(before)


def _remember(path: Path, memory: Memory, data: bytes, profile: Profile, before: Blocking) -> tuple[str, ...]:
    """Remember what was read; return what it loosened."""
    from ..trail import TRAIL, change_of  # only a profile that changed pays for these
    from .blocking import blocking_limits, loosened, moved, renamed, retagged, spared

    was = _profile_before(_known(path, memory)) if before else None
    changes = loosened(before if was is None else blocking_limits(was, profile.users), profile)
    if was is not None:
        changes += [*spared(was.plans, profile), *moved(was, profile)]
        changes += [*retagged(was, profile), *renamed(was, profile)]
    memory.log(
        TRAIL, change_of(os.path.abspath(path), _text_before(path, memory), data.decode(), time.time())
    )
    known = {
        "by": __version__,
        "text": data.decode(),
        "profile": to_plain(profile),
        "blocking": blocking_limits(profile),
        "loosened": changes,
        "loosened_at": time.time(),
    }
    _here[path] = known
    memory.write(_name(path), known)
    return tuple(changes)


def _profile_before(known: Mapping[str, Any] | None) -> Profile | None:
    try:
        return None if known is None else from_plain(known["profile"], Path())
    except (ValueError, TypeError, KeyError):  # by a version whose profile is another
        return None


def _text_before(path: Path, memory: Memory) -> str | None:
    known = _known(path, memory)
    return None if known is None else str(known["text"])


def _still_told(known: Mapping[str, Any]) -> tuple[str, ...]:
    age = time.time() - known["loosened_at"]
    return tuple(known["loosened"]) if age < TOLD_FOR_S else ()


def _says_nothing(data: bytes) -> bool:
    """Tell whether a document has no content: nothing but blanks, comments and marks of its ends.

    >>> _says_nothing(b"# budget"), _says_nothing(b"budget: {}")
    (True, False)
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return all(line[:1] in (b"", b"#") or line in (b"---", b"...") for line in map(bytes.strip, lines))


def _lost(path: Path, fault: str, before: Blocking) -> ProfileError:
    from .blocking import described

    return ProfileError(
        Place(path),
        f"the profile {fault}, and the last one read there had limits that block: {described(before)}",
        "put it back, or write `budget: {}` into it if no limit is to block",
    )


def _parsed(data: bytes, path: Path) -> Profile:
    from .reading import (
        parse_profile,  # with the YAML it reads, 40 ms that a known file need not pay
    )

    return parse_profile(data, path)
