"""Comparing what is printed with what was looked at and found good.

``UPDATE_GOLDEN=1 pytest ...`` writes the files anew; look at the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from shared.costs.formats import load
from shared.costs.formats.canvas import Canvas
from shared.costs.formats.layout import width_of
from shared.costs.formats.text import render
from shared.costs.reports.document import Report

FOLDER: Final = Path(__file__).parents[1] / "golden"
WIDTH: Final = 80
OTHER_WIDTHS: Final = (60, 120)
PAGES: Final = (60, 66, 80, 100, 120, 160)
"""Widths in which a report must fit its page."""

IN_EVERY_WIDTH: Final = frozenset(
    {
        "anomalies-25",
        "check-over",
        "cli-explain",
        "cli-show-optimization",
        "cli-trend",
        "forecast-busy",
        "report-busy",
        "show-budget-near",
        "show-job-busy",
        "show-monthly-busy",
        "statement-busy",
    }
)
"""Reports that are looked at in the other widths, too: gauges, charts, shares, long names, wrapped notes."""


def check(name: str, text: str) -> None:
    """Compare ``text`` with the golden file ``name``."""
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path} differs; UPDATE_GOLDEN=1 writes it anew"


def check_report(name: str, report: Report) -> None:
    """Compare a report as text and as JSON; no line is wider than its page, but a path or a command."""
    for width in PAGES:
        text = render(report, Canvas(width))
        wide = [line.strip() for line in text.splitlines() if width_of(line) > width]
        assert [line for line in wide if not line.startswith(("cost-dashboard ", "/"))] == []
        if width == WIDTH or (name in IN_EVERY_WIDTH and width in OTHER_WIDTHS):
            check(f"{name}-{width}.txt", text)
    check(f"{name}.json", load("json").render(report))
