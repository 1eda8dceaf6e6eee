"""Comparing what is printed with what was looked at and found good.

``UPDATE_GOLDEN=1 pytest ...`` writes the files anew; look at the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

from shared.costs.formats import load
from shared.costs.formats.canvas import Canvas
from shared.costs.formats.layout import width_of
from shared.costs.formats.text import render
from shared.costs.reports.document import Report

FOLDER = Path(__file__).parents[1] / "golden"
WIDTHS = (60, 80, 120)


def check(name: str, text: str) -> None:
    """Compare ``text`` with the golden file ``name``."""
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path} differs; UPDATE_GOLDEN=1 writes it anew"


def check_report(name: str, report: Report) -> None:
    """Compare a report as text in every width, and as JSON; no line may be wider than its page."""
    for width in WIDTHS:
        text = render(report, Canvas(width))
        assert [line for line in text.splitlines() if width_of(line) > width] == []
        check(f"{name}-{width}.txt", text)
    check(f"{name}.json", load("json").render(report))
