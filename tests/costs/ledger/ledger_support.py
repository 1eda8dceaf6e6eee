"""Entries for the tests of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.costs.ledger.counted import new_id
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos

AT = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)
PRICED_BY = PricedBy("catalogue", "f7623856", "openai/gpt-4o")


def entry(**changes: Any) -> Entry:
    """A call as stage 13 logs it, with what a test wants different."""
    usual: dict[str, Any] = {
        "id": new_id(),
        "timestamp": AT,
        "job_id": "job-20261122-rpatel-0001",
        "user_id": "rpatel",
        "stage": "13_ai_summarization",
        "service": "openai",
        "model": "gpt-4o",
        "usage": Usage(tokens_input=1500, tokens_output=300),
        "charge": Charge({"input": Nanos(3_750_000), "output": Nanos(3_000_000)}, PRICED_BY),
        "operation": "summarization",
        "request_id": "chatcmpl-CzE0pDlY1yb3fKrbuXJH8T6vqFk5r",
        "host": "worker-01",
        "pid": 12345,
        "metadata": {"backend": "openai"},
    }
    return Entry(**{**usual, **changes})
