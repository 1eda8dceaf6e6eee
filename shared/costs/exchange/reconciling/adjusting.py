"""Appending what a bill says: adjustments of calls that were billed otherwise, and calls that no ledger has.

Every line that is written carries the bill's line. Ids follow from what is corrected and by how much, so
that a second run, which finds nothing left to correct, could not write anything twice either. Credits, taxes
and what may still change are never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from ...corrections import Corrected
from ...ledger.reader import read_at
from ...ledger.redact import clean_text
from ...model import Charge, Entry, PricedBy, Usage
from ...money import MAX_ENTRY_NANOS, Nanos, divide, json_number
from ...platform import host_name
from ...storage import LEDGER_NAME, CostStorage
from ...store.store import Store
from ...tracking.corrections import corrected_entry, reversal
from ..shelf import BatchWriter
from .calls import OurCall
from .differences import Comparison, Difference

BILL: Final = "bill"
"""What prices a line that a bill decides, as ``stated`` by it."""


class MissingCall(NamedTuple):
    """A call, or a sum of calls, that was billed and is in no ledger. ``amount`` in nano-dollars."""

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
    """Writes what follows from a comparison. ``written`` counts entries, ``cost`` their nano-dollars."""

    index: Store
    shelf: BatchWriter
    storage: CostStorage
    now: datetime
    user_id: str
    written: int = 0
    cost: Nanos = field(default=Nanos(0))

    def correct(
        self, entry_id: str, change: int, where: str, *, invoice: str | None = None, whole: bool = False
    ) -> None:
        """Append an adjustment of a call's cost by ``change`` nano-dollars, which a line of a bill states.

        A call without a price has one after it, also where it was billed at nothing. ``whole`` says that
        the bill states all that the call costs, so that no unit of it is left without a price.
        """
        location = self.index.find(entry_id)
        entry = read_at(location) if location else None
        if location is None or entry is None:
            return
        if entry.cost_state == "whole":  # what corrects it so far is not asked for: that takes a whole ledger
            call = Corrected.of(entry, ())
        else:
            call = corrected_entry(entry_id, self.index, location.ledger)
        if not (change or call.unpriced or (whole and call.missing)):
            return
        stated = PricedBy("stated", BILL, f"{entry.service}/{entry.model}")
        adjustment = call.adjustment(
            _id("adjust", entry_id, str(change), where),
            Charge({"stated": Nanos(change)}, stated),
            f"billed otherwise: {where}"[:_LONGEST],
            self.now,
            whole=whole,
        )
        self._write(
            location.ledger,
            replace(adjustment, host=host_name()[:64], metadata=_bill_line(where, invoice)),
        )

    def undo(self, entry_id: str, where: str) -> None:
        """Take back a call that was recorded twice."""
        location = self.index.find(entry_id)
        if location is None:
            return
        corrected = corrected_entry(entry_id, self.index, location.ledger)
        if corrected.reversal is None:
            self._write(location.ledger, reversal(corrected, f"billed once: {where}"[:_LONGEST], self.now))

    def add(self, missing: MissingCall) -> None:
        """Append a call that no ledger has, in a job of its own."""
        if not missing.amount or abs(missing.amount) > MAX_ENTRY_NANOS:
            return
        job = f"billed-{missing.service}"
        model = missing.model or "unknown"
        part = "web_searches" if missing.is_tool else "stated"
        told = _bill_line(missing.where, missing.invoice)
        if missing.sum_of:
            told["sum_of"] = missing.sum_of
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
            metadata=told,
        )
        self._write(self.storage.root / "imported" / "bills" / job / LEDGER_NAME, entry)

    def settle(self, comparison: Comparison, calls_of: Callable[[Difference], Iterable[OurCall]]) -> None:
        """Take what follows from differing sums; it is on the disk when the shelf was flushed."""
        told = [one for one in comparison.settled if one.reason in ("recorded_twice", "tier")]
        apart = {entry_id for one in told for entry_id in one.entries}
        for one in comparison.settled:
            if one.theirs is None or one.day is None or not one.lines or one.is_of_calls:
                continue
            if one.reason == "recorded_twice":
                for entry_id in one.entries:
                    self.undo(entry_id, _where(one))
            elif one.kind in ("priced_differently", "usage_differs"):
                calls = calls_of(one)
                if one.entries:
                    self._spread(one, [call for call in calls if call.entry_id in one.entries])
                else:
                    self._spread(one, [call for call in calls if call.entry_id not in apart])
            elif one.kind == "only_theirs" and one.amount > 0:
                self.add(_missing(one))

    def _spread(self, one: Difference, calls: Sequence[OurCall]) -> None:
        """Correct calls by their shares of a difference; the shares sum to it exactly."""
        weights = [call.cost or sum(call.counts[:2]) or 1 for call in calls]
        left, whole = int(one.amount), sum(weights)
        for call, weight in zip(calls, weights, strict=True):
            share = divide(left * weight, whole)
            self.correct(call.entry_id, share, _where(one), invoice=one.invoice)
            left, whole = left - share, whole - weight

    def _write(self, ledger: Path, entry: Entry) -> None:
        if self.shelf.knows(entry.id):
            return
        self.shelf.write(ledger, entry)
        self.written += 1
        self.cost = Nanos(self.cost + entry.cost)


_LONGEST: Final = 300


def _bill_line(where: str, invoice: str | None) -> dict[str, object]:
    """Return what an entry keeps of the bill that it follows from."""
    told: dict[str, object] = {"bill_line": where[:_LONGEST]}
    return told | {"invoice_id": clean_text(invoice)[:_LONGEST]} if invoice else told


def _where(one: Difference) -> str:
    return one.lines[0] if one.lines else f"{one.service} {one.day}"


def _missing(one: Difference) -> MissingCall:
    at = datetime.combine(date.fromisoformat(one.day or ""), time(12), UTC)
    return MissingCall(
        one.service,
        one.model,
        at,
        one.lacking[0],
        one.lacking[1],
        one.amount,
        _where(one),
        tier=one.tier,
        is_tool=one.reason == "tools",
        sum_of="day",
        invoice=one.invoice,
    )


def _id(*parts: str) -> str:
    return blake2b(
        "\0".join(parts).encode("utf-8", "replace"), digest_size=14, person=b"cost-bill"
    ).hexdigest()
