"""What ``run`` says at its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.costs.apps.cli.commands.run import run_report
from shared.costs.formats import text
from shared.costs.formats.canvas import Canvas
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos

PRICED = Charge(
    {"input": Nanos(2_500_000), "output": Nanos(2_000_000)}, PricedBy("catalogue", "1", "openai/gpt-4o")
)


def entry(number: int, **more: Any) -> Entry:
    facts: dict[str, Any] = {
        "id": str(number),
        "timestamp": datetime(2026, 11, 22, tzinfo=UTC),
        "job_id": "job-1",
        "user_id": "1",
        "service": "openai",
        "model": "gpt-4o",
        "usage": Usage(1000, 200),
        "charge": PRICED,
    }
    return Entry(**(facts | more))


def test_all_that_is_to_be_known() -> None:
    entries = [
        entry(1),
        entry(2, attempt=2),
        entry(3, charge=None, model="unheard-of-1"),
        entry(4, estimated=True, metadata={"incomplete": "the stream was closed early"}),
    ]
    report = run_report(["python", "x" * 200], entries, 3)
    assert report.data == {
        "command": ["python", "x" * 200],
        "exit_code": 3,
        "total_cost": 0.0135,
        "calls": 4,
        "unpriced_calls": 1,
        "partial_calls": 0,
        "estimated_calls": 1,
        "retried_calls": 1,
        "budget_usd": None,
        "denied_calls": 0,
        "by_model": {"openai/gpt-4o": 0.0135, "openai/unheard-of-1": 0.0},
    }
    assert len(report.subtitle) == 100
    assert [note.text for note in report.notes] == [
        "1 call has no price and is not in the cost.",
        "Estimated: the stream was closed early.",
        "1 call was repeated by a later attempt of the stage.",
    ]
    page = text.render(report, Canvas(width=80))
    assert "Cost of this run" in page
    assert "gpt-4o" in page


def test_nothing_was_captured() -> None:
    report = run_report(["true"], [], 0)
    assert [note.text for note in report.notes] == ["No AI call was captured."]
    assert report.tables == ()
    assert (report.figures[0].value, report.data["total_cost"]) == ("unknown", None)
    assert "$0.00" not in text.render(report, Canvas(width=80))
