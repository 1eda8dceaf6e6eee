"""Entries by hand, for the tests of this room and the programs that they start."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.costs.corrections import CorrectedCall
from shared.costs.exchange.ledger_access import RecordedCall
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos

AT = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)


def charge(**parts: int) -> Charge:
    return Charge(
        {part: Nanos(amount) for part, amount in parts.items()}, PricedBy("catalogue", "7", "openai/gpt-4o")
    )


def entry(number: int = 1, **fields: Any) -> Entry:
    stated: dict[str, Any] = {
        "id": f"{number:028x}",
        "timestamp": AT,
        "job_id": "job-1",
        "user_id": "rpatel",
        "service": "openai",
        "model": "gpt-4o",
        "stage": "13_ai_summarization",
        "usage": Usage(tokens_input=1_000, tokens_cached=200, tokens_output=200),
        "charge": charge(input=2_000_000, cached=250_000, output=2_000_000),
    }
    return Entry(**stated | fields)


class Kept:
    """Entries in memory, in place of ledgers: what is known is what was written."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.ledgers: set[Path] = set()

    def known(self, entry_ids: Sequence[str]) -> set[str]:
        return self.entries.keys() & set(entry_ids)

    def write(self, ledger: Path, entry: Entry) -> None:
        self.ledgers.add(ledger)
        self.entries[entry.id] = entry

    def ids_recorded_elsewhere(self, _calls: object, _source: str) -> set[str]:
        return set()

    def recorded_call(self, entry_id: str) -> RecordedCall | None:
        found = self.entries.get(entry_id)
        corrections = [each for each in self.entries.values() if each.corrects == entry_id]
        return RecordedCall(Path(), CorrectedCall.of(found, corrections)) if found else None

    def import_lock(self) -> AbstractContextManager[object]:
        return nullcontext()

    def flush(self) -> None:
        """Nothing waits."""
