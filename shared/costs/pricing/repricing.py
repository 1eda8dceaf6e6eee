"""Prices calls again: corrections are new entries, no entry is edited. Entries in, entries out.

For many calls: which of them get a correction, and how the sums change by model.

>>> from datetime import UTC, datetime
>>> from ..ledger.counted import id_for_request
>>> from ..model import Usage
>>> at = datetime(2026, 11, 22, tzinfo=UTC)
>>> call = Entry(id="1", timestamp=at, job_id="j", user_id="u", service="openai", model="gpt-4o",
...              usage=Usage(tokens_input=1_000, tokens_output=200))
>>> repricing = Repricing(Catalogue.load(), at, id_for_request)
>>> [correction.cost for correction in repricing.corrections([(call, [])])]
[4500000]
>>> repricing.repriced, repricing.difference, list(repricing.changes)[0].name
(1, 4500000, 'openai/gpt-4o')
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from ..corrections import CorrectedCall
from ..model import NO_UNITS, UNSTATED, Charge, Entry, Units, Unpriced
from ..money import ZERO, Nanos
from ..units import last_feature
from .catalogue import Catalogue
from .history import STATED, summed

Identify = Callable[[str, str, str], str]
"""Makes an entry's id from job, service and request; the same ones give the same id."""


def adjustment(
    entry: Entry,
    corrections: Iterable[Entry],
    catalogue: Catalogue,
    now: datetime,
    identify: Identify,
    *,
    wrong_too: bool = False,
) -> Entry | None:
    """Return the entry that corrects a call's charge to the catalogue's price of the call's own date.

    ``None`` when there is nothing to correct: the call has a complete price (and is not a wrong one under
    ``wrong_too``), the provider stated its cost, it was reversed, or there is still no price for it.
    ``corrections`` are the earlier ones of this entry. The same call and prices always give the same id, so
    that repeating a run adds nothing.
    """
    call = CorrectedCall.of(entry, corrections)
    if entry.kind != "usage" or call.reversal is not None:
        return None
    before = call.priced_by
    is_whole = not call.unpriced and not call.missing
    if is_whole and (not wrong_too or before is None or before.source == STATED):
        return None
    charge = priced_again(catalogue, entry, entry.unpriced_units if call.unpriced else call.missing)
    if isinstance(charge, Unpriced):
        return None
    completed = bool(call.missing) and dict(charge.missing) != dict(call.missing)
    if call.missing and not completed and not wrong_too:
        return None
    change = summed(charge.parts, call.parts, -1)
    if not change and not call.unpriced and not completed:
        return None
    priced_by = charge.priced_by
    earlier = "it had no price" if before is None else f"it was priced by {before.source} {before.version}"
    return call.adjustment(
        identify(
            entry.job_id,
            "reprice",
            f"{entry.id} {priced_by.source} {priced_by.version} {priced_by.model} {call.count}",
        ),
        Charge(change, priced_by, charge.missing),
        f"priced by {priced_by.source} {priced_by.version}; {earlier}",
        now,
        whole=completed,
    )


def priced_again(catalogue: Catalogue, entry: Entry, missing: Units = NO_UNITS) -> Charge | Unpriced:
    """Return what a call costs at the catalogue's price of the call's own date.

    Units in ``missing`` that the call has no count of stay missing: no price list can price them.
    """
    at, tier, region = entry.timestamp, entry.service_tier, entry.region
    is_free = bool(missing) and catalogue.is_free(entry.service, entry.model, at)
    if entry.states_no_usage and not is_free:
        return Unpriced(f"{UNSTATED}: {_UNSTATED_REMEDY}")
    charge = catalogue.charge(entry.service, entry.model, entry.usage, at, tier, region)
    if isinstance(charge, Unpriced) or is_free:
        return charge
    stated_units = {*entry.usage.counts(), *_features(entry.model)} - {"requests"}
    uncounted = {unit: count for unit, count in missing.items() if unit not in stated_units}
    return charge._replace(missing={**charge.missing, **uncounted})


_UNSTATED_REMEDY: Final = "its line says why (metadata.incomplete); log the counts where they are known"


def _features(model: str) -> Iterator[str]:
    while (parts := last_feature(model)) is not None:
        model, feature = parts
        yield feature


class NewPrice(NamedTuple):
    """The new price that calls of one model get: the model's name, the source and its version."""

    name: str
    source: str
    version: str


@dataclass(slots=True)
class RepricingSums:
    """How many calls are corrected, how many of them had no price, and their cost before and after.

    Costs are in nano-dollars.
    """

    calls: int = 0
    resolved: int = 0
    before: Nanos = ZERO
    after: Nanos = ZERO


@dataclass(slots=True)
class Repricing:
    """Prices calls again, one after the other, and adds up the changes.

    ``wrong_too`` also corrects calls whose price is not the catalogue's of their day.
    ``unpriced`` counts, by model, the calls that still have no price.
    """

    catalogue: Catalogue
    now: datetime
    identify: Identify
    wrong_too: bool = False
    examined: int = 0
    changes: dict[NewPrice, RepricingSums] = field(default_factory=dict)
    unpriced: Counter[str] = field(default_factory=Counter)

    @property
    def repriced(self) -> int:
        """How many calls get a correction."""
        return sum(sums.calls for sums in self.changes.values())

    @property
    def resolved(self) -> int:
        """How many of them had no price before."""
        return sum(sums.resolved for sums in self.changes.values())

    @property
    def difference(self) -> Nanos:
        """By how much the sum of all calls changes."""
        return Nanos(sum(sums.after - sums.before for sums in self.changes.values()))

    def corrections(self, calls: Iterable[tuple[Entry, Sequence[Entry]]]) -> Iterator[Entry]:
        """Yield an adjustment for each call that needs one; ``calls`` have their corrections so far."""
        for call, earlier in calls:
            if call.kind != "usage" or any(correction.kind == "reversal" for correction in earlier):
                continue  # not a call, or one that was reversed
            self.examined += 1
            correction = adjustment(
                call, earlier, self.catalogue, self.now, self.identify, wrong_too=self.wrong_too
            )
            if correction is not None:
                self._count(call, earlier, correction)
                yield correction
            elif call.charge is None and not any(made.resolves_unpriced for made in earlier):
                self.unpriced[f"{call.service}/{call.model}"] += 1

    def _count(self, call: Entry, earlier: Sequence[Entry], correction: Entry) -> None:
        assert correction.charge is not None  # an adjustment always has the price that it was made with
        priced_by = correction.charge.priced_by
        new_price = NewPrice(priced_by.model, priced_by.source, priced_by.version)
        sums = self.changes.setdefault(new_price, RepricingSums())
        before = call.cost + sum(made.cost for made in earlier)
        sums.calls += 1
        sums.resolved += correction.resolves_unpriced
        sums.before = Nanos(sums.before + before)
        sums.after = Nanos(sums.after + before + correction.cost)
