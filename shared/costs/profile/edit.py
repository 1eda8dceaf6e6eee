r"""Changes values in a profile and keeps everything else in it, character by character.

The result is parsed strictly before it replaces the file. Two processes that edit at the same time take
turns, so that neither loses the other's change.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> path = Path(folder.name) / "profile.yaml"
>>> _ = path.write_text("budget:\n  daily_limit_usd: 3  # as agreed\n")
>>> profile = edit_profile(path, Edit({"daily_limit": Nanos(5_000_000_000)}))
>>> print(path.read_text(), end="")
budget:
  daily_limit_usd: 5.00  # as agreed
>>> folder.cleanup()
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from ..errors import CostError, FilePosition, ProfileError, StorageUnavailable
from ..money import Nanos, json_number
from ..platform import create_file, sync, sync_directory
from ..shipped import DATA
from ..small_file import note_edit
from ..yaml_splice import put, scalar
from ..yaml_strict import Node, Scalar, load, parse
from .reading import BUDGET_KEYS, parse_profile
from .types import COUNT_FIELDS, BudgetChanges, Guard, Profile, RollingLimit

LOCK_WAIT_S: Final = 5.0

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to a profile. ``budget`` has fields of :class:`Budget` with their new values.

    In maps of limits only the given keys change; ``None`` writes ``null``. Without ``user_id`` the
    defaults of all users change, or with ``organization`` the limits over all users.
    """

    budget: BudgetChanges
    user_id: str | None = None
    organization: bool = False
    timezone: str | None = None

    @property
    def section(self) -> tuple[str, ...]:
        """The keys that lead to the budget that changes."""
        if self.organization:
            return ("organization",)
        return ("budget",) if self.user_id is None else ("users", self.user_id, "budget")

    def values(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield each new value, written in YAML, with the keys that lead to it."""
        if self.timezone is not None:
            yield (*self.section[:-1], "timezone"), scalar(self.timezone)
        for field, value in self.budget.items():
            place = (*self.section, BUDGET_KEYS[field])
            if isinstance(value, Guard):
                yield (*place, "usd_per_minute"), _yaml_value(value.usd_per_minute)
                yield (*place, "same_request"), _yaml_value(value.same_request, "daily_calls")
            elif field == "rolling":
                yield place, _windows(value)
            elif isinstance(value, Mapping):
                for name, amount in value.items():
                    yield (*place, name), _yaml_value(amount)
            else:
                yield place, _percentages(value) if field == "thresholds" else _yaml_value(value, field)


class ProfileChanged(CostError):
    """The profile changed after the edit was prepared: somebody else changed it meanwhile."""

    @classmethod
    def of(cls, path: Path) -> ProfileChanged:
        """Return the error that names the profile."""
        return cls(f"{path}: somebody else changed it meanwhile; look at what holds now, and edit again")


def digest_of(data: bytes | None) -> str:
    """Return a digest of a profile's content; ``None`` stands for a missing file."""
    return "none" if data is None else sha256(data).hexdigest()


def edit_profile(path: Path, edit: Edit, expected: str | None = None) -> Profile:
    """Change the profile at ``path`` and return it.

    Where there is no file, the commented example is written first. A link is followed, and the
    file that it points to is replaced as a whole, with mode 0600. ``expected`` is the digest of the content
    that the edit was prepared for, if it matters.

    Raises:
        ProfileChanged: the file's digest differs from ``expected``; the file is unchanged.
        ProfileError: the file does not follow the contract, or the edited one would not; it is unchanged.
        StorageUnavailable: the file cannot be written, or another process is editing it for too long.
    """
    path = Path(os.path.realpath(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _edit_lock(path):
            before = _bytes(path)
            if expected is not None and digest_of(before) != expected:
                raise ProfileChanged.of(path)
            after = template() if before is None else before
            after = edited(after, path, edit)
            if after != before:
                _replace(path, after)
                note_edit()
            return parse_profile(after, path)
    except OSError as error:
        raise StorageUnavailable(f"{path}: cannot be written ({error.strerror or error})") from error


def preview(path: Path, edit: Edit) -> tuple[bytes | None, bytes]:
    """Return the content of a profile before and after an edit; nothing is written.

    Raises:
        ProfileError: as :func:`edit_profile`.
        StorageUnavailable: the file cannot be read.
    """
    path = Path(os.path.realpath(path))
    try:
        before = _bytes(path)
    except OSError as error:
        raise StorageUnavailable(f"{path}: cannot be read ({error.strerror or error})") from error
    return before, edited(template() if before is None else before, path, edit)


def edited(data: bytes, path: Path, edit: Edit) -> bytes:
    """Return the YAML in ``data`` with the edit applied; ``path`` is for messages.

    Raises:
        ProfileError: ``data`` is not a profile, the edit does not follow the contract, or the file is
            written in a way in which the value cannot be set without changing something else.
    """
    parse_profile(data, path)
    values = dict(edit.values())
    text = data.decode("utf-8-sig")
    for place, value in values.items():
        text = put(text, place, value)
    after = (_BOM if data.startswith(_BOM) else b"") + text.encode()
    _require_rest_unchanged(data, after, path, list(values))
    parse_profile(after, path)
    return after


# --- values written in YAML


def _yaml_value(value: object, field: str = "") -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value}" if field in COUNT_FIELDS else _amount(Nanos(value))
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(scalar(str(item)) for item in value)}]"
    return scalar(str(value))


def _amount(amount: Nanos) -> str:
    """Return an amount in dollars with at least two decimals."""
    dollars, _, decimals = json_number(amount).partition(".")
    return f"{dollars}.{decimals:0<2}"


def _windows(value: object) -> str:
    """Return windows as YAML; hours may have a fraction."""
    windows: Sequence[RollingLimit] = value  # type: ignore[assignment]  # the type of the field
    written = [
        f"{{hours: {window.seconds / 3600:.9g}, limit_usd: {_amount(window.limit)}}}" for window in windows
    ]
    return f"[{', '.join(written)}]"


def _percentages(value: object) -> str:
    listed = value if isinstance(value, (tuple, list)) else (value,)
    numbers = [f"{threshold:g}" for threshold in listed]
    return numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"


# --- the safeguard


def _require_rest_unchanged(before: bytes, after: bytes, path: Path, places: list[tuple[str, ...]]) -> None:
    """Refuse an edit that would change any other value."""
    old, new = (dict(_leaves(parse(data, path, ProfileError))) for data in (before, after))
    for place in old.keys() | new.keys():
        if old.get(place) != new.get(place) and not any(_on_one_path(place, edited) for edited in places):
            fault = f"editing would change {'.'.join(place)}, which nobody asked for"
            raise ProfileError(FilePosition(path), fault, "edit the file by hand")


def _on_one_path(place: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(place), len(other))
    return place[:shorter] == other[:shorter]


def _leaves(node: Node, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(node.content, Scalar):
        yield place, "" if node.is_null else node.content.text
    elif isinstance(node.content, Mapping):
        for key, value in node.content.items():
            yield from _leaves(value, (*place, key))
    else:
        for number, value in enumerate(node.content):
            yield from _leaves(value, (*place, str(number)))


# --- the file


def _bytes(path: Path) -> bytes | None:
    if not os.path.lexists(path):
        return None
    load(path, ProfileError)  # refuses pipes, devices and files that are too large
    return path.read_bytes()


@contextmanager
def _edit_lock(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout  # 50 ms that only editing needs

    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_WAIT_S, mode=0o600)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout:
        raise StorageUnavailable(f"{path}: another process has been editing it; try again") from None
    try:
        yield
    finally:
        lock.release()


def _replace(path: Path, data: bytes) -> None:
    """Replace the file by ``data`` atomically: a reader sees the old file or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with create_file(draft) as file:
            _write(file.fileno(), data)
            sync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def template() -> bytes:
    """Return a profile with every default and an explanation of each key.

    >>> template().splitlines()[0]
    b'# Who may spend how much. Amounts are in US dollars; null means no limit.'
    """
    return (DATA / "templates" / "profile.yaml").read_bytes()
