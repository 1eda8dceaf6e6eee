"""Appends what follows from a bill: adjustments of calls, and calls that were billed and are in no ledger.

Every entry names the bill's line. Its id is a hash of what is corrected and by how much, so that a second run
cannot write it again. Credits, taxes and lines that may still change are never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from ...corrections import CorrectedCall
from ...ledger.reader import read_at
from ...ledger.redact import clean_text
from ...model import Charge, Entry, PricedBy, Usage
from ...money import MAX_ENTRY_NANOS, Nanos, divide, json_number
from ...platform import host_name
from ...storage import LEDGER_NAME, CostStorage
from ...store.store import Store
from ...tracking.corrections import corrected_entry, reversal
from ..ledger_access import BatchWriter
from .calls import OurCall
from .differences import Comparison, Difference

BILL: Final = "bill"
"""The version in ``priced_by`` of a charge that a bill states."""


class MissingCall(NamedTuple):
    """A call, or a sum of calls, that was billed and is in no ledger. ``amount`` is in nano-dollars."""

    service: str
    model: str | None
    at: datetime
    tokens_input: int
    tokens_output: int
    amount: int
    where: str
    response_id: str | None = None
    tier: str | None = None
    is_tool: bool = False
    sum_of: str | None = None
    invoice: str | None = None


@dataclass(slots=True)
class Adjuster:
    """Writes the adjustments of a comparison. ``written`` counts entries, ``cost`` is their nano-dollars."""

    index: Store
    writer: BatchWriter
    storage: CostStorage
    now: datetime
    user_id: str
    written: int = 0
    cost: Nanos = field(default=Nanos(0))

    def correct(
        self, entry_id: str, change: int, where: str, *, invoice: str | None = None, whole: bool = False
    ) -> None:
        """Append an adjustment of a call's cost by ``change`` nano-dollars, because of a bill's line.

        A call without a price then has one, even if it was billed at nothing. ``whole`` says that the bill
        states the whole cost of the call, so that no unit of it is without a price any more.
        """
        location = self.index.find(entry_id)
        entry = read_at(location) if location else None
        if location is None or entry is None:
            return
        # Corrections of a whole cost do not matter here, and finding them reads the whole ledger.
        if entry.cost_state == "whole":
            call = CorrectedCall.of(entry, ())
        else:
            call = corrected_entry(entry_id, self.index, location.ledger)
        if not (change or call.unpriced or (whole and call.missing)):
            return
        priced_by = PricedBy("stated", BILL, f"{entry.service}/{entry.model}")
        adjustment = call.adjustment(
            _id("adjust", entry_id, str(change), where),
            Charge({"stated": Nanos(change)}, priced_by),
            f"billed otherwise: {where}"[:_MAX_TEXT],
            self.now,
            whole=whole,
        )
        self._write(
            location.ledger,
            replace(adjustment, host=host_name()[:64], metadata=_bill_line(where, invoice)),
        )

    def undo(self, entry_id: str, where: str) -> None:
        """Append a reversal of a call that was recorded twice."""
        location = self.index.find(entry_id)
        if location is None:
            return
        corrected = corrected_entry(entry_id, self.index, location.ledger)
        if corrected.reversal is None:
            self._write(location.ledger, reversal(corrected, f"billed once: {where}"[:_MAX_TEXT], self.now))

    def add(self, missing: MissingCall) -> None:
        """Append a call that no ledger has, in a job of its own."""
        if not missing.amount or abs(missing.amount) > MAX_ENTRY_NANOS:
            return
        job = f"billed-{missing.service}"
        model = missing.model or "unknown"
        part = "web_searches" if missing.is_tool else "stated"
        metadata = _bill_line(missing.where, missing.invoice)
        if missing.sum_of:
            metadata["sum_of"] = missing.sum_of
        entry = Entry(
            id=_id("add", missing.response_id or missing.where, str(missing.amount), f"{missing.at}{model}"),
            timestamp=missing.at,
            job_id=job,
            user_id=self.user_id,
            service=missing.service,
            model=model,
            usage=Usage(
                tokens_input=max(missing.tokens_input, 0), tokens_output=max(missing.tokens_output, 0)
            ),
            charge=Charge(
                {part: Nanos(missing.amount)}, PricedBy("stated", BILL, f"{missing.service}/{model}")
            ),
            request_id=missing.response_id,
            service_tier=missing.tier,
            operation="billed",
            description=f"on the bill and in no ledger, ${json_number(Nanos(missing.amount))}",
            host=host_name()[:64],
            metadata=metadata,
        )
        self._write(self.storage.root / "imported" / "bills" / job / LEDGER_NAME, entry)

    def settle(self, comparison: Comparison, calls_of: Callable[[Difference], Iterable[OurCall]]) -> None:
        """Queue the adjustments for differing sums; they are on disk after the writer's next flush."""
        exact = [difference for difference in comparison.settled if difference.reason in _OF_ENTRIES]
        handled = {entry_id for difference in exact for entry_id in difference.entries}
        for difference in comparison.settled:
            if (
                difference.theirs is None
                or difference.day is None
                or not difference.lines
                or difference.is_of_calls
            ):
                continue
            if difference.reason == "recorded_twice":
                for entry_id in difference.entries:
                    self.undo(entry_id, _position(difference))
            elif difference.kind in ("priced_differently", "usage_differs"):
                calls = calls_of(difference)
                if difference.entries:
                    self._spread(difference, [call for call in calls if call.entry_id in difference.entries])
                else:
                    self._spread(difference, [call for call in calls if call.entry_id not in handled])
            elif difference.kind == "only_theirs" and difference.amount > 0:
                self.add(_missing_call(difference))

    def _spread(self, difference: Difference, calls: Sequence[OurCall]) -> None:
        """Correct calls by their shares of a difference; the shares sum to it exactly."""
        weights = [call.cost or sum(call.counts[:2]) or 1 for call in calls]
        remaining, remaining_weight = int(difference.amount), sum(weights)
        for call, weight in zip(calls, weights, strict=True):
            share = divide(remaining * weight, remaining_weight)
            self.correct(call.entry_id, share, _position(difference), invoice=difference.invoice)
            remaining, remaining_weight = remaining - share, remaining_weight - weight

    def _write(self, ledger: Path, entry: Entry) -> None:
        if self.writer.knows(entry.id):
            return
        self.writer.write(ledger, entry)
        self.written += 1
        self.cost = Nanos(self.cost + entry.cost)


_MAX_TEXT: Final = 300

_OF_ENTRIES: Final = ("recorded_twice", "tier")
"""The reasons of differences that name their entries."""


def _bill_line(where: str, invoice: str | None) -> dict[str, object]:
    """Return the metadata that names the bill's line and invoice."""
    metadata: dict[str, object] = {"bill_line": where[:_MAX_TEXT]}
    return metadata | {"invoice_id": clean_text(invoice)[:_MAX_TEXT]} if invoice else metadata


def _position(difference: Difference) -> str:
    return difference.lines[0] if difference.lines else f"{difference.service} {difference.day}"


def _missing_call(difference: Difference) -> MissingCall:
    at = datetime.combine(date.fromisoformat(difference.day or ""), time(12), UTC)
    return MissingCall(
        difference.service,
        difference.model,
        at,
        difference.lacking[0],
        difference.lacking[1],
        difference.amount,
        _position(difference),
        tier=difference.tier,
        is_tool=difference.reason == "tools",
        sum_of="day",
        invoice=difference.invoice,
    )


def _id(*parts: str) -> str:
    return blake2b(
        "\0".join(parts).encode("utf-8", "replace"), digest_size=14, person=b"cost-bill"
    ).hexdigest()
