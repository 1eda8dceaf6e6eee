"""What a call counts for after its corrections, and the one builder of further ones. Pure.

A ledger is never edited: a call's charge is changed by an *adjustment*, and taken back by a *reversal*. Both
are entries of the same job, user and dimensions, in the period where the call counted, under the call's
own reservation: so that each sum that has the call has its correction too, and a hold that was kept
because the call had no price is freed.
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

_UNDONE_BY: Final[Mapping[Kind, Kind]] = {
    "usage": "reversal",
    "reversal": "usage",
    "adjustment": "adjustment",
}
"""Which kind of line takes the counts of another back."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A call with all its corrections so far.

    ``parts`` is what it costs now, in nano-dollars, without parts that come to nothing. ``unpriced`` tells
    that it still has no price, ``missing`` which units of it have none beside those that do. ``priced_by``
    is the latest of what priced it, ``reversal`` what took it back, ``count`` how many corrections there are.

    An imported refund or credit that is taken back itself stands in the place of the call.
    """

    call: Entry
    parts: Mapping[str, Nanos]
    unpriced: bool
    missing: Units
    priced_by: PricedBy | None
    reversal: Entry | None
    count: int

    @classmethod
    def of(cls, call: Entry, corrections: Iterable[Entry]) -> Corrected:
        """Return what ``call`` counts for after ``corrections``, in the order in which they were written."""
        unique = list({each.id: each for each in corrections}.values())
        parts: Counter[str] = Counter()
        missing = call.unpriced_units if call.charge is not None else NO_UNITS
        for each in (call, *unique):
            parts.update(each.charge.parts if each.charge else {})
            if each.resolves_partial or each.resolves_unpriced:
                missing = each.unpriced_units
        return cls(
            call=call,
            parts={part: Nanos(amount) for part, amount in parts.items() if amount},
            unpriced=call.charge is None and not any(each.resolves_unpriced for each in unique),
            missing=missing,
            priced_by=next((e.charge.priced_by for e in (*unique[::-1], call) if e.charge is not None), None),
            reversal=next((each for each in unique if each.kind == _UNDONE_BY[call.kind]), None),
            count=len(unique),
        )

    def adjustment(
        self, entry_id: str, change: Charge, why: str, at: datetime, *, whole: bool = True
    ) -> Entry:
        """Return the entry that changes the call's charge by ``change``.

        The call is then priced but for ``change.missing``. Where it had a price for a part of its units and
        the others are not meant by ``change``, ``whole`` is false: they stay without one.
        """
        completes = whole and bool(self.missing) and not self.unpriced
        return replace(
            self._entry("adjustment", entry_id, change, why, at),
            unpriced_units=change.missing if self.unpriced or completes else NO_UNITS,
            resolves_unpriced=self.unpriced,
            resolves_partial=completes,
        )

    def taken_back(self, entry_id: str, why: str, at: datetime) -> Entry:
        """Return what takes the call back, its counts and all that it costs now: of a call its reversal."""
        by = self.priced_by or PricedBy("reversal", "1", self.call.model)
        negative = Charge({part: Nanos(-amount) for part, amount in self.parts.items()}, by)
        return replace(
            self._entry(_UNDONE_BY[self.call.kind], entry_id, negative, why, at),
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
