"""JSON: the report's ``data``, with stable names, as ASCII (any terminal and any locale can take it)."""

from __future__ import annotations

import json

from ..reports.document import Report


def render(report: Report) -> str:
    """Return the report's data as one JSON object, indented.

    >>> print(render(Report("Budget", data={"spent_usd": 40.25})), end="")
    {
      "spent_usd": 40.25
    }
    """
    return json.dumps(dict(report.data), indent=2, allow_nan=False) + "\n"
