"""Spend by day, week or month, then by model and category."""

from __future__ import annotations

from typing import Any, Final

from ..analysis.sums import Step
from .questions import Question, TimeSpan
from .report import period_facts, period_report
from .spec import FILTERS, STEPS, Option, Spec

ROWS: Final[dict[Step, int]] = {"daily": 14, "weekly": 12, "monthly": 12}


def _question(step: Step, **given: Any) -> Question:
    return Question("Statistics", TimeSpan(last=(step, ROWS[step])), step=step, shows_present=True, **given)


SPEC: Final = Spec(
    "Look",
    ("stats --period weekly", "stats --period monthly --service openai"),
    _question,
    period_facts,
    period_report,
    options=(
        Option(
            "--period",
            "Today, this week or this month, after 13 days, 11 weeks or 11 months before.",
            called="step",
            choices=STEPS,
            default="daily",
            shows_default=True,
        ),
        FILTERS,
    ),
    shared=True,
)
