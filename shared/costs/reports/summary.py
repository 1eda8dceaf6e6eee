"""The last days, today included, by day, model and category."""

from __future__ import annotations

from typing import Any, Final

from .questions import Question, TimeSpan
from .report import period_facts, period_report
from .spec import FILTERS, Option, Spec

MOST_DAYS: Final = 31
"""Up to this many days, each has a row; beyond, each week has one."""


def _question(days: int, **given: Any) -> Question:
    step: Any = "daily" if days <= MOST_DAYS else "weekly"
    return Question("Summary", TimeSpan(days=days), step=step, **given)


SPEC: Final = Spec(
    "Look",
    ("summary", "summary --days 30 --user rpatel"),
    _question,
    period_facts,
    period_report,
    options=(
        Option("--days", "How many days back.", least=1, most=36_500, default=7, shows_default=True),
        FILTERS,
    ),
    shared=True,
)
