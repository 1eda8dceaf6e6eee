"""What a call counts for after its corrections, and the only builder of further ones. Pure.

A ledger is never edited: a call's charge is changed by an *adjustment*, and undone by a *reversal*. Both
are entries of the same job, user and dimensions, in the period where the call counted, under the call's
own reservation, so that each sum with the call also has its correction, and a hold that was kept
because the call had no price is released.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from .model import NO_UNITS, Charge, Entry, PricedBy, Units
from .money import Nanos
from .units import Kind

_UNDOING_KIND: Final[Mapping[Kind, Kind]] = {
    "usage": "reversal",
    "reversal": "usage",
    "adjustment": "adjustment",
}
"""The kind of line that undoes the counts of each kind."""


@dataclass(frozen=True, slots=True)
class CorrectedCall:
    """A call with all its corrections so far.

    ``parts`` is its current cost, in nano-dollars, without parts that are zero. ``unpriced`` says
    that it still has no price; ``missing`` are the units without a price beside those that have one.
    ``priced_by`` is its latest price's source, ``reversal`` the entry that undid it, ``count`` the number of
    corrections.

    An imported refund or credit that is undone itself takes the place of the call.
    """

    call: Entry
    parts: Mapping[str, Nanos]
    unpriced: bool
    missing: Units
    priced_by: PricedBy | None
    reversal: Entry | None
    count: int

    @classmethod
    def of(cls, call: Entry, corrections: Iterable[Entry]) -> CorrectedCall:
        """Return what ``call`` counts for after ``corrections``, in the order in which they were written."""
        unique = list({correction.id: correction for correction in corrections}.values())
        parts: Counter[str] = Counter()
        missing = call.unpriced_units if call.charge is not None else NO_UNITS
        for entry in (call, *unique):
            parts.update(entry.charge.parts if entry.charge else {})
            if entry.resolves_partial or entry.resolves_unpriced:
                missing = entry.unpriced_units
        return cls(
            call=call,
            parts={part: Nanos(amount) for part, amount in parts.items() if amount},
            unpriced=call.charge is None and not any(entry.resolves_unpriced for entry in unique),
            missing=missing,
            priced_by=next(
                (entry.charge.priced_by for entry in (*unique[::-1], call) if entry.charge is not None), None
            ),
            reversal=next((entry for entry in unique if entry.kind == _UNDOING_KIND[call.kind]), None),
            count=len(unique),
        )

    def adjustment(
        self, entry_id: str, change: Charge, why: str, at: datetime, *, whole: bool = True
    ) -> Entry:
        """Return the entry that changes the call's charge by ``change``.

        The call then has a price except for ``change.missing``. ``whole`` is false where ``change`` does not
        concern the units that have no price so far: they stay without one.
        """
        completes = whole and bool(self.missing) and not self.unpriced
        return replace(
            self._entry("adjustment", entry_id, change, why, at),
            unpriced_units=change.missing if self.unpriced or completes else NO_UNITS,
            resolves_unpriced=self.unpriced,
            resolves_partial=completes,
        )

    def undo(self, entry_id: str, why: str, at: datetime) -> Entry:
        """Return the entry that undoes the call, with its counts and its current cost: a call's reversal."""
        priced_by = self.priced_by or PricedBy("reversal", "1", self.call.model)
        negative = Charge({part: Nanos(-amount) for part, amount in self.parts.items()}, priced_by)
        return replace(
            self._entry(_UNDOING_KIND[self.call.kind], entry_id, negative, why, at),
            usage=self.call.usage,
            estimated=self.call.estimated,
            description=self.call.description,
            resolves_unpriced=self.unpriced,
            resolves_partial=bool(self.missing),
        )

    def _entry(self, kind: Kind, entry_id: str, charge: Charge, why: str, at: datetime) -> Entry:
        call = self.call
        return Entry(
            id=entry_id,
            kind=kind,
            timestamp=at,
            job_id=call.job_id,
            user_id=call.user_id,
            service=call.service,
            model=call.model,
            charge=charge,
            stage=call.stage,
            attempt=call.attempt,
            operation=call.operation,
            workflow=call.workflow,
            project=call.project,
            tags=call.tags,
            service_tier=call.service_tier,
            region=call.region,
            reservation=call.reservation,
            period_at=call.counted_at,
            corrects=call.id,
            why=why,
        )
