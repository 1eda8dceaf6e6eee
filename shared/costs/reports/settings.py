"""``set-budget``: what the profile says now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..budgets.scopes import KINDS
from ..money import Nanos, to_usd
from ..profile.types import Budget, Guard, Profile
from ..rollup import Measure
from .common import UNITS, cell_of, in_unit
from .document import Column, Note, Report, Row, Table


def settings_report(
    profile: Profile, path: Path, user_id: str | None, *, organization: bool = False
) -> Report:
    """Return the limits of a user, of everyone (``user_id`` is ``None``), or of the organisation."""
    budget, who = _chosen(profile, user_id, organization)
    rows: tuple[Row, ...] = tuple((x.name, x.per, cell_of(x.amount, x.measure)) for x in _limits(budget))
    columns = (Column("limit", "Limit"), Column("per", "Per"), Column("amount", "Amount", "money"))
    alerts = ", ".join(f"{threshold:g}%" for threshold in budget.thresholds)
    blocking = "refuses reserved calls" if budget.block_at_limit else "warns, and blocks nothing"
    return Report(
        title=f"Limits of {who}",
        tables=(Table("Limit", columns, rows, empty="No limit is set."),),
        notes=(
            Note(f"Alerts at {alerts} and 100%. A reached limit {blocking}."),
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
    return profile.budget, "every user, unless theirs differ"


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
