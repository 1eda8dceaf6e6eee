"""``cost-dashboard set-budget``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from ....budgets.scopes import KINDS, LimitKind
from ....errors import WrongUsage
from ....money import Nanos, to_usd
from ....profile.types import Budget, Guard, Profile
from ....reports.common import UNITS, cell_of, in_unit
from ....reports.document import Column, Note, Report, Row, Table
from ....reports.spec import Option
from ....rollup import Measure
from ..app import App, dashboard_command
from ..options import asked_with, count_limit, limit, named_limit

_NAMED: Final = [kind for kind in KINDS.values() if kind.names is not None]
"""The kinds of limits that are on something with a name."""

_COUNTS: Final = [kind for kind in KINDS.values() if kind.measure != "cost"]
"""The kinds of limits that are on a number of calls or tokens."""


def _named_limit(kind: LimitKind) -> Option:
    """Return the option of a kind of limits on something with a name."""
    where = f"a {kind.name}, a {kind.period}" if kind.period else f"a {kind.name} in each job"
    return Option(f"--{kind.name}", f"Limit {where}.", "NAME=USD", named_limit, called=kind.field, many=True)


def _count_limit(kind: LimitKind) -> Option:
    """Return the option of a kind of limits on a count."""
    words = f"--{kind.field.replace('_', '-')}"
    what = f"Limit the {kind.measure} of a {kind.period}; those of local models do not count."
    return Option(words, what, "NUMBER", count_limit)


@dashboard_command(
    "Budgets",
    "set-budget --monthly 50 --daily 5",
    "set-budget --user rpatel --monthly 100 --block",
    "set-budget --model openai/gpt-4=10 --stage 13_ai_summarization=0.50 --alert-at 50 --alert-at 80",
    "set-budget --project subtitles=20 --tag customer:acme=15",
    "set-budget --yearly 400 --daily-calls 500 --service openai=30",
    "set-budget --user rpatel --weekly none",
)
@asked_with(
    Option("--user --user-id", "Only this user. Without it: everyone's default.", "ID"),
    Option("--organization", "The limits over all users together.", flag=True),
    Option("--yearly", "Limit a calendar year.", "USD", limit),
    Option("--monthly", "Limit a month; none removes the limit.", "USD", limit),
    Option("--weekly", "Limit a week, Monday to Sunday.", "USD", limit),
    Option("--daily", "Limit a day.", "USD", limit),
    Option("--job", "Limit a job, over its whole life.", "USD", limit),
    *map(_count_limit, _COUNTS),
    *map(_named_limit, _NAMED),
    Option(
        "--alert-at",
        "Warn at this percentage of a limit; may be repeated.",
        "PERCENT",
        click.FloatRange(0, 100, min_open=True),
        called="thresholds",
        many=True,
    ),
)
@click.option(
    "--block/--no-block", "block", default=None, help="Refuse reserved calls that could pass a limit."
)
@asked_with(Option("--timezone", "Where days and months begin, such as Europe/Berlin.", "ZONE"))
def command(app: App, user: str | None, organization: bool, timezone: str | None, **limits: Any) -> None:
    """Change the limits in your profile; its comments and everything else stay.

    Without a profile, a commented one is written first, where every command finds it.
    """
    from ....profile.edit import Edit, edit_profile  # locks and checks that only this command needs

    if user is not None and organization:
        raise WrongUsage("--user and --organization exclude each other")
    changes = _changes(limits)
    if not changes and timezone is None:
        raise WrongUsage("nothing to change: give --monthly, --daily or another limit; see --help")
    path = app.workspace.profile_path or _new_profile(app)
    profile = edit_profile(path, Edit(changes, user, organization, timezone))
    app.show(settings_report(profile, path, user, organization=organization))


def _changes(limits: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as fields of a budget."""
    changes: dict[str, Any] = {
        f"{option}_limit": _value(limits[option])
        for option in ("yearly", "monthly", "weekly", "daily", "job")
        if limits[option] is not None
    }
    changes |= {kind.field: _value(limits[kind.field]) for kind in _COUNTS if limits[kind.field] is not None}
    for kind in _NAMED:
        if limits[kind.field]:
            changes[kind.field] = {name: _value(amount) for name, amount in limits[kind.field]}
    if limits["thresholds"]:
        changes["thresholds"] = tuple(sorted(set(limits["thresholds"])))
    if limits["block"] is not None:
        changes["block_at_limit"] = limits["block"]
    return changes


def _value(amount: int | str) -> int | None:
    return None if isinstance(amount, str) else amount


def _new_profile(app: App) -> Path:
    from ....profile.loading import place_for_new

    return place_for_new(app.workspace.environ, Path.cwd(), app.workspace.storage.root)


def settings_report(
    profile: Profile, path: Path, user_id: str | None, *, organization: bool = False
) -> Report:
    """Return the limits of a user, of everyone (``user_id`` is ``None``), or of the organisation."""
    budget, who = _chosen(profile, user_id, organization)
    rows: tuple[Row, ...] = tuple((x.name, x.per, cell_of(x.amount, x.measure)) for x in _limits(budget))
    columns = (Column("limit", "Limit"), Column("per", "Per"), Column("amount", "Amount", "money"))
    alerts = ", ".join(f"{threshold:g}%" for threshold in budget.thresholds)
    blocking = "reserved calls are refused" if budget.block_at_limit else "nothing is blocked"
    return Report(
        title=f"Limits of {who}",
        tables=(Table("Limit", columns, rows, empty="No limit is set."),),
        notes=(
            Note(f"Alerts at {alerts} and 100%. When a limit is reached, {blocking}."),
            Note(f"Profile: {path}", places=(str(path),)),
        ),
        data={
            "user_id": user_id,
            "organization": organization,
            "limits": [
                {
                    "limit": one.name,
                    "per": one.per,
                    "amount_usd": to_usd(Nanos(one.amount)) if one.measure == "cost" else None,
                    "unit": UNITS[one.measure],
                    "amount": in_unit(one.amount, one.measure),
                }
                for one in _limits(budget)
            ],
            "alert_threshold_percent": list(budget.thresholds),
            "block_at_limit": budget.block_at_limit,
            "profile": str(path),
        },
    )


def _chosen(profile: Profile, user_id: str | None, organization: bool) -> tuple[Budget, str]:
    if organization:
        return profile.organization, "the organization"
    if user_id is not None:
        return profile.for_user(user_id).budget, f"user {user_id}"
    return profile.budget, "every user who has none of their own"


class _Set(NamedTuple):
    """A limit that is set."""

    name: str
    per: str
    amount: int
    measure: Measure = "cost"


def _limits(budget: Budget) -> Iterator[_Set]:
    """Return each limit that is set: those on all calls first."""
    kinds = [(getattr(budget, kind.field), kind) for kind in KINDS.values()]
    for amount, kind in reversed(kinds):
        if kind.period == "rolling":
            windows = amount.windows if isinstance(amount, Guard) else amount
            yield from (_Set("all calls", f"any {each.name}", each.limit) for each in windows)
        elif kind.names is None and amount is not None:
            yield _Set("all calls", kind.period or "job", amount, kind.measure)
    for amounts, kind in kinds:
        if kind.names is not None:
            per = kind.period or "job"
            yield from (_Set(f"{kind.name} {name}", per, each) for name, each in amounts.items())
