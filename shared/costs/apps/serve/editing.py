"""Editing limits: what a form may change, and what that makes of the profile.

As strict as ``set-budget``: the same parsers read the amounts, the same edit keeps comments and all else.
A form carries the digest of the profile that it was filled from; what it changes is shown before it is done.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...budgets.scopes import KINDS
from ...errors import WrongUsage
from ...money import Nanos, json_number
from ...periods import zone
from ...profile.edit import Edit, ProfileChanged, digest_of, edit_profile, preview
from ...profile.loading import place_for_new
from ...profile.reading import parse_profile
from ...profile.types import Budget, Guard, Profile, RollingLimit
from ...reports.reader import Reader
from ...reports.spec import parse_count, parse_usd

EVERYONE: Final = "defaults"
ORGANIZATION: Final = "organization"
NONE: Final = "none"
"""What stands for no limit, as in ``set-budget``."""

_BLANK: Final = 1
"""How many rows for new names each kind of limit has in a form."""

AMOUNTS: Final = {
    kind.field: kind.field.removesuffix("_limit").capitalize()
    for kind in reversed(KINDS.values())
    if kind.field.endswith("_limit")
}
"""Limits on all calls: the field of a budget, and how a form calls it."""

COUNTS: Final = {
    kind.field: kind.field.replace("_", " ").capitalize() for kind in KINDS.values() if kind.measure != "cost"
}
"""Limits on numbers of calls and tokens: the field of a budget, and how a form calls it."""

GUARDS: Final = {"usd_per_minute": "USD a minute", "same_request": "The same request in ten minutes"}
"""From where on calls are denied whatever the limits say, and how a form calls it."""

NAMED: Final = {kind.field: kind.name for kind in KINDS.values() if kind.field.endswith("_limits")}
"""Limits on calls of something with a name: the field of a budget, and what the name is of."""


class LimitRow(NamedTuple):
    """A limit on something with a name."""

    name: str
    amount: str


class Form(NamedTuple):
    """The fields of a form, as they stand in it. ``digest`` is of the profile that it was filled from.

    ``windows`` are limits on rolling hours, which stand in place of a name.
    """

    who: str
    digest: str
    amounts: Mapping[str, str]
    counts: Mapping[str, str]
    named: Mapping[str, Sequence[LimitRow]]
    windows: Sequence[LimitRow]
    guard: Mapping[str, str]
    alerts: str
    blocks: bool
    timezone: str

    @property
    def title(self) -> str:
        """Whose limits they are."""
        return {EVERYONE: "every user who has none of their own", ORGANIZATION: "the organization"}.get(
            self.who, f"user {self.who[len(_USER) :]}"
        )


_USER: Final = "user:"


def who_of(user: str) -> str:
    """Return how a form names a user."""
    return f"{_USER}{user}"


class LimitEdit(NamedTuple):
    """What a form asks to change, and the profile's lines that it changes, as a difference."""

    edit: Edit
    lines: tuple[str, ...]


def profile_place(reader: Reader) -> Path:
    """Return where the profile is, or where a first one would be."""
    return reader.profile_path or place_for_new(reader.environ, Path.cwd(), reader.storage.root)


def form_of(reader: Reader, who: str) -> Form:
    """Return the form of somebody's limits, filled with what holds now.

    Raises:
        ProfileError: the profile is refused and must be fixed by hand.
        WrongUsage: ``who`` is nobody.
    """
    profile, digest = _as_it_is(reader)
    return _filled(profile, who, digest)


def _as_it_is(reader: Reader) -> tuple[Profile, str]:
    """Return the profile and the digest of the very bytes that it was read from.

    The reader's own may be half a second older: a form with its values and a newer digest would take back
    what somebody else has just changed.
    """
    place = profile_place(reader)
    content, _ = preview(place, Edit({}))
    profile = reader.profile if content is None else parse_profile(content, place)
    return profile, digest_of(content)


def _filled(profile: Profile, who: str, digest: str) -> Form:
    budget, timezone = _budget(profile, who)
    return Form(
        who=who,
        digest=digest,
        amounts={field: _text(getattr(budget, field)) for field in AMOUNTS},
        named={
            field: [LimitRow(name, _text(amount)) for name, amount in getattr(budget, field).items()]
            + [LimitRow("", "")] * _BLANK
            for field in NAMED
        },
        counts={field: _count_text(getattr(budget, field)) for field in COUNTS},
        windows=[LimitRow(f"{each.seconds / 3600:.9g}", _text(each.limit)) for each in budget.rolling]
        + [LimitRow("", "")] * _BLANK,
        guard={
            "usd_per_minute": _text(budget.guard.usd_per_minute),
            "same_request": _count_text(budget.guard.same_request),
        },
        alerts=", ".join(f"{threshold:g}" for threshold in budget.thresholds),
        blocks=budget.block_at_limit,
        timezone=timezone,
    )


def _budget(profile: Profile, who: str) -> tuple[Budget, str]:
    if who == ORGANIZATION:
        return profile.organization, ""
    if who == EVERYONE:
        return profile.budget, profile.timezone.key
    if not who.startswith(_USER) or not who[len(_USER) :].strip():
        raise WrongUsage(f"{who!r} is nobody who has limits")
    user = profile.for_user(who[len(_USER) :])
    return user.budget, user.timezone.key


def _text(amount: Nanos | None) -> str:
    if amount is None:
        return NONE
    dollars, _, decimals = json_number(amount).partition(".")
    return f"{dollars}.{decimals:0<2}"


def _count_text(count: int | None) -> str:
    return NONE if count is None else str(count)


def form_sent(pairs: Sequence[tuple[str, str]]) -> Form:
    """Return a form as it was sent.

    Raises:
        WrongUsage: it is none of ours.
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value.strip())
    named = {field: _rows(given, field) for field in NAMED}
    amounts = {field: _only(given, field) for field in AMOUNTS}
    blocks = _only(given, "block_at_limit", otherwise="no") == "yes"
    return Form(
        _only(given, "who"),
        _only(given, "digest"),
        amounts,
        {field: _only(given, field) for field in COUNTS},
        named,
        _rows(given, "rolling"),
        {name: _only(given, f"guard.{name}") for name in GUARDS},
        _only(given, "alerts"),
        blocks,
        _only(given, "timezone", otherwise=""),
    )


def _rows(given: Mapping[str, Sequence[str]], field: str) -> list[LimitRow]:
    names, amounts = given.get(f"{field}.name", []), given.get(f"{field}.amount", [])
    if len(names) != len(amounts):
        raise WrongUsage(f"{field}: {len(names)} names for {len(amounts)} amounts")
    return [LimitRow(*pair) for pair in zip(names, amounts, strict=True)]


def _only(given: Mapping[str, Sequence[str]], name: str, otherwise: str | None = None) -> str:
    values = given.get(name, [] if otherwise is None else [otherwise])
    if len(values) != 1:
        raise WrongUsage(f"the form has {len(values)} values of {name}; open it again")
    return values[0]


def change_of(reader: Reader, form: Form) -> LimitEdit:
    """Return what a form changes.

    Raises:
        ProfileChanged: the profile is another one than the form was filled from.
        WrongUsage: an amount, a threshold or a zone cannot be read, or nothing would change.
        ProfileError: the profile would no longer follow the contract.
    """
    place = profile_place(reader)
    profile, digest = _as_it_is(reader)
    if digest != form.digest:
        raise ProfileChanged.of(place)
    now = _filled(profile, form.who, form.digest)
    changes = dict(_changes(form, now))
    timezone = form.timezone if form.timezone != now.timezone else None
    if timezone is not None:
        _require_zone(timezone)
    if not changes and timezone is None:
        raise WrongUsage("nothing was changed in the form")
    user = form.who[len(_USER) :] if form.who.startswith(_USER) else None
    edit = Edit(changes, user, form.who == ORGANIZATION, timezone)
    before, after = preview(place, edit)
    return LimitEdit(edit, tuple(_difference(before or b"", after)))


def _changes(form: Form, now: Form) -> Iterator[tuple[str, Any]]:
    yield from _changed_limits(form, now)
    if form.alerts != now.alerts:
        yield "thresholds", _thresholds(form.alerts)
    if form.blocks != now.blocks:
        yield "block_at_limit", form.blocks


def _changed_limits(form: Form, now: Form) -> Iterator[tuple[str, Any]]:
    for field, text in form.amounts.items():
        if text != now.amounts[field]:
            yield field, _amount(text, AMOUNTS[field])
    for field, text in form.counts.items():
        if text != now.counts[field]:
            yield field, _count(text, COUNTS[field])
    if (windows := [row for row in form.windows if any(row)]) != [row for row in now.windows if any(row)]:
        yield "rolling", _windows(windows)
    if form.guard != now.guard:
        yield (
            "guard",
            Guard(
                _amount(form.guard["usd_per_minute"], GUARDS["usd_per_minute"]),
                _count(form.guard["same_request"], GUARDS["same_request"]),
            ),
        )
    for field, rows in form.named.items():
        known = {row.name: row.amount for row in now.named[field] if row.name}
        if changed := dict(_named(rows, known, NAMED[field])):
            yield field, changed


def _named(
    rows: Sequence[LimitRow], known: Mapping[str, str], what: str
) -> Iterator[tuple[str, Nanos | None]]:
    seen: set[str] = set()
    for name, amount in rows:
        if not name and not amount:
            continue
        if not name:
            raise WrongUsage(f"{what}: {amount} is for nobody: name the {what}")
        if name in seen:
            raise WrongUsage(f"{what}: {name!r} comes twice")
        seen.add(name)
        if amount != known.get(name):
            yield name, _amount(amount, f"{what} {name}")


def _amount(text: str, what: str) -> Nanos | None:
    if text in ("", NONE):
        return None
    try:
        return parse_usd(text, f", or {NONE}")
    except ValueError as fault:
        raise WrongUsage(f"{what}: {fault}") from fault


def _count(text: str, what: str) -> int | None:
    if text in ("", NONE):
        return None
    try:
        return parse_count(text, f", or {NONE}")
    except ValueError as fault:
        raise WrongUsage(f"{what}: {fault}") from fault


def _windows(rows: Sequence[LimitRow]) -> tuple[RollingLimit, ...]:
    """Return the windows of a form; one without a limit is taken away."""
    limits: list[RollingLimit] = []
    for hours, amount in rows:
        limit = _amount(amount, f"{hours} hours")
        try:
            seconds = Decimal(hours) * 3600
        except InvalidOperation:
            seconds = Decimal(0)
        if not seconds.is_finite() or seconds < 1 or seconds != int(seconds):
            raise WrongUsage(f"a window of {hours!r} hours: write hours such as 5 or 0.5, in whole seconds")
        if limit is not None:
            limits.append(RollingLimit(int(seconds), limit))
    return tuple(limits)


def _thresholds(text: str) -> tuple[float, ...]:
    percentages = []
    for part in filter(None, (part.strip().removesuffix("%") for part in text.split(","))):
        try:
            percent = float(part)
        except ValueError:
            percent = 0.0
        if not 0 < percent <= 100:
            raise WrongUsage(f"alerts: {part!r} is not a percentage above 0 and up to 100; write 50, 80")
        percentages.append(percent)
    if not percentages:
        raise WrongUsage("alerts: give at least one percentage, such as 80")
    return tuple(sorted(set(percentages)))


def _require_zone(name: str) -> None:
    try:
        zone(name)
    except ValueError as fault:
        raise WrongUsage(f"time zone: {fault}") from fault


def _difference(before: bytes, after: bytes) -> Iterator[str]:
    """Return the lines that change, with some around them."""
    old, new = (data.decode("utf-8-sig").splitlines() for data in (before, after))
    lines = difflib.unified_diff(old, new, lineterm="", n=2)
    return (line for number, line in enumerate(lines) if number >= _HEADER)


_HEADER: Final = 2
"""How many lines a difference begins with that name files."""


def make(reader: Reader, form: Form) -> None:
    """Change the profile as a form asks.

    Raises:
        ProfileChanged: it is another one than the form was filled from.
        WrongUsage, ProfileError, StorageUnavailable: as set-budget would refuse it.
    """
    edit_profile(profile_place(reader), change_of(reader, form).edit, expected=form.digest)
