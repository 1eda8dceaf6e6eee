"""What the same calls would have cost otherwise: each call repriced with its own tokens, on its own day.

Corrections count with the call that they correct. Calls are grouped by what one setting
decides: the stage, provider and model (a *slot*). For each slot there are *options*: another model of
the same class, the batch tier, both at once, the standard tier where calls have priority, a call in
pieces where a token costs more in a long context, or a local engine. An option's saving is the sum,
over the calls that the option has a price for, of what was charged less what would have been. Options
of one slot exclude each other and slots share no call, so the best combination is the best option of
every slot, and savings are never counted twice.

Repeated calls (a second or later attempt) are counted separately, at what they would still cost after the
best combination: they are saved by fixing their cause, not by a setting.

Sources: the same quantities at other prices are compared as in a price index after Laspeyres,
https://en.wikipedia.org/wiki/List_of_price_index_formulas; what a batch is and what it costs,
https://platform.openai.com/docs/guides/batch. The largest sum over slots that share nothing is the sum
of the largest values of each.

Whether the result would be as good is not known: nothing is said about quality.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from ..model import Charge, Entry, Unpriced, Usage
from ..money import NANOS_PER_USD, ZERO, Nanos, percent
from .caching import Cacheable, CachingFinder
from .calls import NetCall, net_calls, net_jobs
from .like_calls import LikeCalls, PricedCall, RepricedTotals
from .options import (
    BATCH,
    PRIORITY,
    STANDARD,
    ModelChange,
    OptionKind,
    Prices,
    Slot,
    changes,
    in_pieces,
    is_interactive,
    slot_of,
)
from .outcomes import Waste, WasteFinder, Worth, WorthFinder


@dataclass(slots=True)
class Proposal:
    """A change to one slot and its effect, in nano-dollars, over the ``calls`` that it has a price for.

    ``before_retried`` and ``after_retried`` are what second and later attempts of the slot cost and would
    cost; ``audio_microseconds`` and ``tokens`` are the audio and the tokens of these calls.
    """

    slot: Slot
    change: ModelChange
    calls: int = 0
    before: Nanos = ZERO
    after: Nanos = ZERO
    before_retried: Nanos = ZERO
    after_retried: Nanos = ZERO
    audio_microseconds: int = 0
    tokens: int = 0

    @property
    def audio_minutes_per_dollar(self) -> float | None:
        """The minutes of audio that a dollar bought before: what the user's own machine must beat."""
        if not self.audio_microseconds or self.before <= 0:
            return None
        return self.audio_microseconds / 60_000_000 * NANOS_PER_USD / self.before

    @property
    def tokens_per_dollar(self) -> int | None:
        """The tokens that a dollar bought before; ``None`` where minutes of audio were bought."""
        if not self.tokens or self.audio_microseconds or self.before <= 0:
            return None
        return self.tokens * NANOS_PER_USD // self.before

    @property
    def saving(self) -> Nanos:
        """What the change would have saved; negative where it costs more."""
        return Nanos(self.before - self.after)

    @property
    def lasting(self) -> Nanos:
        """The saving without that on second and later attempts, which may not recur."""
        return Nanos(self.saving - (self.before_retried - self.after_retried))

    @property
    def percent(self) -> float:
        """The saving in percent of what these calls cost."""
        return percent(self.saving, self.before) if self.before else 0.0


@dataclass(frozen=True, slots=True)
class Savings:
    """The result of repricing. ``spent`` and ``calls`` are those of all examined calls.

    ``unpriced_calls`` have no price, and ``partial_calls`` none for some of their units or a cost without a
    usage: neither could be compared.

    ``options`` holds for every slot the best option of each kind, largest saving first; ``best`` is
    the best combination, one option for each slot that has any; ``best_hosted`` is the best one that
    leaves every stage with a provider. ``retried`` is what calls of a second or later attempt cost,
    ``retried_after`` what they would still cost after the best hosted combination.
    """

    spent: Nanos
    calls: int
    unpriced_calls: int
    options: tuple[Proposal, ...]
    best: tuple[Proposal, ...]
    best_hosted: tuple[Proposal, ...]
    retried: Nanos = ZERO
    retried_after: Nanos = ZERO
    partial_calls: int = 0

    @property
    def saving(self) -> Nanos:
        """What the best combination would have saved."""
        return _sum(self.best)

    @property
    def after(self) -> Nanos:
        """What all calls would have cost with the best combination."""
        return Nanos(self.spent - self.saving)

    @property
    def saving_hosted(self) -> Nanos:
        """What the best combination without local engines would have saved."""
        return _sum(self.best_hosted)


def _sum(options: Iterable[Proposal]) -> Nanos:
    return Nanos(sum(option.saving for option in options))


def find_savings(entries: Iterable[Entry], prices: Prices) -> Savings:
    """Return what other models, the batch tier or local engines would have saved."""
    finder = SavingsFinder(prices)
    finder.add(net_calls(entries))
    return finder.result()


_KindValues = tuple[str | None, str, str, str | None, str | None, bool, bool]


class _ChangeKey(NamedTuple):
    """The properties of a call that decide how it may be changed."""

    stage: str | None
    service: str
    model: str
    tier: str | None
    region: str | None
    is_interactive: bool
    is_retry: bool

    @property
    def slot(self) -> Slot:
        """The slot of such calls."""
        return Slot(self.stage, self.service, self.model)


_PRICED_TOGETHER: Final = 1_024
"""How many calls of one kind are kept before they are priced together."""


class SavingsFinder:
    """Reprices calls job by job, many of one kind together."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._options: dict[Slot, list[Proposal]] = {}
        self._pending: dict[_KindValues, list[PricedCall]] = {}
        self._retried: dict[Slot, int] = {}
        self._spent = self._calls = self._unpriced = self._partial = 0

    def add(self, job: Iterable[NetCall]) -> None:
        """Add the calls of one job."""
        for call in job:
            self._calls += call.entry.sign
            self._spent += call.cost or 0
            if call.cost is None:
                self._unpriced += 1
            elif not call.is_comparable:
                self._partial += 1
            elif call.entry.kind == "usage":
                self._keep(call.entry, call.cost)

    def _keep(self, entry: Entry, cost: Nanos) -> None:
        kind = _kind_of(entry)
        pending = self._pending.get(kind)
        if pending is None:
            pending = self._pending[kind] = []
            self._consider(slot_of(entry), entry)
        pending.append(PricedCall(entry.timestamp, entry.usage, cost))
        if len(pending) == _PRICED_TOGETHER:
            self._reprice(_ChangeKey(*kind), self._pending.pop(kind))

    def _consider(self, slot: Slot, first: Entry) -> None:
        if slot not in self._options:
            self._options[slot] = [Proposal(slot, change) for change in changes(first, self._prices)]

    def _reprice(self, kind: _ChangeKey, calls: Sequence[PricedCall]) -> None:
        like_calls, slot = LikeCalls(calls), kind.slot
        if kind.is_retry:
            self._retried[slot] = self._retried.get(slot, 0) + like_calls.cost
        for option in self._options[slot]:
            repriced = self._reprice_with(option.change, kind, like_calls, calls)
            option.calls += repriced.calls
            option.before = Nanos(option.before + repriced.before)
            option.after = Nanos(option.after + repriced.after)
            option.audio_microseconds += repriced.audio_microseconds
            option.tokens += repriced.tokens
            if kind.is_retry:
                untouched = like_calls.cost - repriced.before
                option.before_retried = Nanos(option.before_retried + like_calls.cost)
                option.after_retried = Nanos(option.after_retried + repriced.after + untouched)

    def _reprice_with(
        self, change: ModelChange, kind: _ChangeKey, like_calls: LikeCalls, calls: Iterable[PricedCall]
    ) -> RepricedTotals:
        """Return what calls of one kind would cost with a change, without those that it does not affect."""
        if change.kind == "split":
            return _split(kind, calls, self._prices)
        if (change.kind == STANDARD and kind.tier not in PRIORITY) or (
            change.kind == BATCH and kind.is_interactive
        ):
            return RepricedTotals()
        tier = kind.tier if change.tier is None or kind.is_interactive else change.tier
        region = kind.region if change.service == kind.service else None
        return like_calls.repriced(self._prices, change.service, change.model, tier, region)

    def result(self) -> Savings:
        """Return the savings in all calls that were added."""
        for kind, calls in self._pending.items():
            self._reprice(_ChangeKey(*kind), calls)
        self._pending.clear()
        by_slot = [_best_by_kind(options) for options in self._options.values()]
        hosted = [[option for option in options if option.change.kind != "local"] for options in by_slot]
        best_hosted = _best(hosted)
        return Savings(
            spent=Nanos(self._spent),
            calls=self._calls,
            unpriced_calls=self._unpriced,
            options=tuple(
                sorted((option for options in by_slot for option in options), key=_rank, reverse=True)
            ),
            best=_best(by_slot),
            best_hosted=best_hosted,
            retried=Nanos(sum(self._retried.values())),
            retried_after=_retried_after(self._retried, best_hosted),
            partial_calls=self._partial,
        )


def _kind_of(entry: Entry) -> _KindValues:
    """Return the values of a :class:`_ChangeKey`, which itself would take too long to make for every call."""
    return (
        entry.stage,
        entry.service,
        entry.model,
        entry.service_tier,
        entry.region,
        is_interactive(entry),
        entry.attempt > 1,
    )


def _split(kind: _ChangeKey, calls: Iterable[PricedCall], prices: Prices) -> RepricedTotals:
    """Return what calls cost in pieces, where that is less; other calls are left out."""
    result = RepricedTotals()
    for at, usage, cost in calls:
        cheaper = in_pieces(usage, partial(_charged, kind, prices, at))
        if cheaper is not None:
            result.calls += 1
            result.before += cost
            result.after += cheaper
            result.tokens += usage.tokens_total
    return result


def _charged(kind: _ChangeKey, prices: Prices, at: datetime, usage: Usage) -> Charge | Unpriced:
    return prices.charge(kind.service, kind.model, usage, at, kind.tier, kind.region)


def _retried_after(retried: Mapping[Slot, int], best: Iterable[Proposal]) -> Nanos:
    """Return what second and later attempts still cost with the best options in place."""
    changed = {option.slot: option.after_retried for option in best}
    return Nanos(sum(changed.get(slot, cost) for slot, cost in retried.items()))


def _best(by_slot: Iterable[Sequence[Proposal]]) -> tuple[Proposal, ...]:
    """Return the best option of every slot that has any, largest saving first."""
    best = [max(options, key=_rank) for options in by_slot if options]
    return tuple(sorted(best, key=_rank, reverse=True))


def _rank(option: Proposal) -> tuple[int, str, str]:
    return option.saving, option.slot.stage or "", option.change.name


def _best_by_kind(options: Iterable[Proposal]) -> list[Proposal]:
    best: dict[OptionKind, Proposal] = {}
    for option in options:
        current = best.get(option.change.kind)
        if option.saving > 0 and (current is None or _rank(option) > _rank(current)):
            best[option.change.kind] = option
    return list(best.values())


@dataclass(frozen=True, slots=True)
class Improvements:
    """Settings to change, what could be cached, failed or repeated work, and what results cost."""

    savings: Savings
    cacheable: tuple[Cacheable, ...] = ()
    waste: tuple[Waste, ...] = ()
    worths: tuple[Worth, ...] = ()


def find_improvements(entries: Iterable[Entry], prices: Prices) -> Improvements:
    """Return all improvements. ``entries`` come job by job and are read once.

    >>> from shared.costs.pricing.catalogue import Catalogue
    >>> find_improvements([], Catalogue.load()).savings.calls
    0
    """
    finders = SavingsFinder(prices), CachingFinder(prices), WasteFinder(), WorthFinder()
    savings, caching, waste, worths = finders
    for job in net_jobs(entries):
        for finder in finders:
            finder.add(job)
    return Improvements(
        savings.result(), tuple(caching.result()), tuple(waste.result()), tuple(worths.result())
    )
