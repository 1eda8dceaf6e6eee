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

from .model import NO_UNITS, Charge, Entry, PricedBy, Units
from .money import Nanos
from .units import Kind


@dataclass(frozen=True, slots=True)
class Corrected:
    """A call with all its corrections so far.

    ``parts`` is what it costs now, in nano-dollars, without parts that come to nothing. ``unpriced`` tells
    that it still has no price, ``missing`` which units of it have none beside those that do. ``priced_by``
    is the latest of what priced it, ``count`` how many corrections there are.
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
            reversal=next((each for each in unique if each.kind == "reversal"), None),
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
        """Return the reversal of the call: it takes its counts back, and all that it costs now."""
        by = self.priced_by or PricedBy("reversal", "1", self.call.model)
        negative = Charge({part: Nanos(-amount) for part, amount in self.parts.items()}, by)
        return replace(
            self._entry("reversal", entry_id, negative, why, at),
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
