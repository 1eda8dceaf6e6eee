"""Price calls again: corrections are new entries, and nothing here edits one. Entries in, entries out.

Of many calls: which get a correction, and how sums change by model.

>>> from datetime import UTC, datetime
>>> from ..ledger.counted import id_for_request
>>> from ..model import Usage
>>> at = datetime(2026, 11, 22, tzinfo=UTC)
>>> call = Entry(id="1", timestamp=at, job_id="j", user_id="u", service="openai", model="gpt-4o",
...              usage=Usage(tokens_input=1_000, tokens_output=200))
>>> repricing = Repricing(Catalogue.load(), at, id_for_request)
>>> [made.cost for made in repricing.corrections([(call, [])])]
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

from ..corrections import Corrected
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

    ``None`` when there is nothing to correct: the call has a whole price (unless ``wrong_too`` asks
    for wrong ones as well), the provider stated its cost, it was undone, or what has no price has none
    yet. ``corrections`` are the entries that name this one. The same call and prices always give the
    same id, so that a run that is repeated adds nothing.
    """
    call = Corrected.of(entry, corrections)
    if entry.kind != "usage" or call.reversal is not None:
        return None
    before = call.priced_by
    is_whole = not call.unpriced and not call.missing
    if is_whole and (not wrong_too or before is None or before.source == STATED):
        return None
    found = priced_again(catalogue, entry, entry.unpriced_units if call.unpriced else call.missing)
    if isinstance(found, Unpriced):
        return None
    completed = bool(call.missing) and dict(found.missing) != dict(call.missing)
    if call.missing and not completed and not wrong_too:
        return None
    change = summed(found.parts, call.parts, -1)
    if not change and not call.unpriced and not completed:
        return None
    by = found.priced_by
    was = "it had no price" if before is None else f"it was priced by {before.source} {before.version}"
    return call.adjustment(
        identify(entry.job_id, "reprice", f"{entry.id} {by.source} {by.version} {by.model} {call.count}"),
        Charge(change, by, found.missing),
        f"priced by {by.source} {by.version}; {was}",
        now,
        whole=completed,
    )


def priced_again(catalogue: Catalogue, entry: Entry, missing: Units = NO_UNITS) -> Charge | Unpriced:
    """Return what a call costs at the catalogue's price of the call's own date.

    Of the units in ``missing``, those stay so that no price list can price: the call has no count of them.
    """
    at, tier, region = entry.timestamp, entry.service_tier, entry.region
    is_free = bool(missing) and catalogue.is_free(entry.service, entry.model, at)
    if entry.states_no_usage and not is_free:
        return Unpriced(f"{UNSTATED}: {_UNSTATED_REMEDY}")
    found = catalogue.charge(entry.service, entry.model, entry.usage, at, tier, region)
    if isinstance(found, Unpriced) or is_free:
        return found
    told = {*entry.usage.counts(), *_features(entry.model)} - {"requests"}
    beyond = {unit: count for unit, count in missing.items() if unit not in told}
    return found._replace(missing={**found.missing, **beyond})


_UNSTATED_REMEDY: Final = "its line says why (metadata.incomplete); log the counts where they are known"


def _features(model: str) -> Iterator[str]:
    while (parts := last_feature(model)) is not None:
        model, feature = parts
        yield feature


class NewPrice(NamedTuple):
    """Calls to one model that get the same price: what they are called, and who prices them now."""

    name: str
    source: str
    version: str


@dataclass(slots=True)
class RepricingSums:
    """How many calls are corrected, how many of them had no price, and what they cost: nano-dollars."""

    calls: int = 0
    resolved: int = 0
    before: Nanos = ZERO
    after: Nanos = ZERO


@dataclass(slots=True)
class Repricing:
    """Prices calls again, one after the other, and adds up what that changes.

    ``wrong_too`` also corrects calls that have a price which is not the catalogue's of their day.
    ``unpriced`` counts, by model, the calls that have no price even now.
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
        """Yield an adjustment for each call that needs one; calls come with what corrects them so far."""
        for call, made in calls:
            if call.kind != "usage" or any(each.kind == "reversal" for each in made):
                continue  # no call, or one that was taken back
            self.examined += 1
            correction = adjustment(
                call, made, self.catalogue, self.now, self.identify, wrong_too=self.wrong_too
            )
            if correction is not None:
                self._count(call, made, correction)
                yield correction
            elif call.charge is None and not any(each.resolves_unpriced for each in made):
                self.unpriced[f"{call.service}/{call.model}"] += 1

    def _count(self, call: Entry, made: Sequence[Entry], correction: Entry) -> None:
        assert correction.charge is not None  # an adjustment always carries the price it was made by
        by = correction.charge.priced_by
        sums = self.changes.setdefault(NewPrice(by.model, by.source, by.version), RepricingSums())
        before = call.cost + sum(each.cost for each in made)
        sums.calls += 1
        sums.resolved += correction.resolves_unpriced
        sums.before = Nanos(sums.before + before)
        sums.after = Nanos(sums.after + before + correction.cost)
