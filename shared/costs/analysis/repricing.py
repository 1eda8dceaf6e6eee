"""What pricing calls again comes to: which get a correction, and how sums change by model. Pure.

>>> from datetime import UTC, datetime
>>> from ..ledger.ids import id_for_request
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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from ..model import Entry
from ..money import ZERO, Nanos
from ..pricing.catalogue import Catalogue
from ..pricing.repricing import Identify, adjustment


class NewPrice(NamedTuple):
    """Calls to one model that get the same price: what they are called, and who prices them now."""

    name: str
    source: str
    version: str


@dataclass(slots=True)
class Sums:
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
    changes: dict[NewPrice, Sums] = field(default_factory=dict)
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
        sums = self.changes.setdefault(NewPrice(by.model, by.source, by.version), Sums())
        before = call.cost + sum(each.cost for each in made)
        sums.calls += 1
        sums.resolved += correction.resolves_unpriced
        sums.before = Nanos(sums.before + before)
        sums.after = Nanos(sums.after + before + correction.cost)
