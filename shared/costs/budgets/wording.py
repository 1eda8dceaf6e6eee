"""The messages when a limit is crossed, or will be.

>>> from shared.costs.budgets.limits import Limit, Scope
>>> from shared.costs.rollup import Query
>>> limit = Limit(Scope("rpatel", "month"), 50 * 10**9, None, Query())
>>> print(message(Crossing(limit, 40_250_000_000, 80.0)))
⚠️  WARNING: Budget threshold reached! $40.25 / $50.00 (80.5%) | Remaining: $9.75
"""

from __future__ import annotations

from .limits import Crossing, Limit
from .scopes import amount_text, places_beside


def message(crossed: Crossing) -> str:
    """Return the alert as a stage's log shows it."""
    if crossed.projected is not None:
        return _foreseen(crossed, crossed.projected)
    limit, title = crossed.limit, crossed.limit.scope.title
    figures = (
        f"{_first_amount(crossed.spent, limit)} / {shown(limit.amount, limit)} "
        f"({percent_text(crossed.spent, limit.amount)})"
    )
    if crossed.critical:
        return f"🚨 CRITICAL: {title} limit reached! {figures}"
    remaining = shown(limit.amount - crossed.spent, limit)
    return f"⚠️  WARNING: {title} threshold reached! {figures} | Remaining: {remaining}"


def _foreseen(crossed: Crossing, projected: int) -> str:
    limit = crossed.limit
    end = f"by {limit.period.kind} end" if limit.period else "in the end"
    return (
        f"⚠️  WARNING: {limit.scope.title} on course for {shown(projected, limit)} {end}! "
        f"Limit: {shown(limit.amount, limit)} | Over by: {shown(projected - limit.amount, limit)}"
    )


def shown(amount: int, limit: Limit) -> str:
    """Return an amount in the unit of a limit, with the decimals that figures beside it need."""
    return amount_text(amount, limit.measure, places_beside(limit.amount))


def _first_amount(amount: int, limit: Limit) -> str:
    """Return the first of two amounts with the same unit, a count without it."""
    return shown(amount, limit) if limit.measure == "cost" else f"{amount:,}"


def percent_text(spent: int, limit: int) -> str:
    """Return ``spent`` in percent of ``limit`` with one decimal; ``100.0%`` only when it is reached.

    >>> percent_text(40_250, 50_000), percent_text(49_999, 50_000)
    ('80.5%', '99.9%')
    """
    if limit <= 0:
        return "100.0%" if spent > 0 else "0.0%"
    text = f"{spent * 100 / limit:.1f}%"
    return "99.9%" if text == "100.0%" and spent < limit else text
