"""The present month at a glance: limits, spend, models, categories.

Without --user: the default user (COST_TRACKER_USER, else 1).
"""

from __future__ import annotations

from typing import Final

from .questions import Question
from .reader import Reader
from .report import PeriodFacts, period_facts, period_report
from .spec import USER, Spec, only


def _facts(reader: Reader, user: str | None) -> PeriodFacts:
    asked = Question("Status", filters={"user": user or reader.default_user}, show_limits=True)
    return period_facts(reader, asked)


SPEC: Final = Spec(
    "Look",
    ("status", "status --user rpatel --json"),
    only,
    _facts,
    period_report,
    options=(USER,),
    watch=True,
)
