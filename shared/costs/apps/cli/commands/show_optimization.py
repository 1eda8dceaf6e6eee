"""``cost-dashboard show-optimization``."""

from __future__ import annotations

from ....reports.show_optimization import optimization_facts, optimization_report
from ....reports.span import Span
from ..app import App, dashboard_command
from ..options import span_options, user_option


@dashboard_command(
    "Save", "show-optimization", "show-optimization --user rpatel --days 90", "show-optimization --json"
)
@user_option
@span_options
def command(app: App, user: str | None, span: Span) -> None:
    """What your own calls would have cost on other models, in batches, or locally.

    Every call is repriced with its own tokens, on its own day. Savings that exclude each other are
    not added up. Without --user: everyone. Without dates: the present month.

    Calls with the tag "interactive" are not proposed for batches. Where calls carry an outcome or a
    quality in their metadata, it also shows what a result and a point of quality cost.
    """
    app.show(optimization_report(optimization_facts(app.reader, user, span)))
