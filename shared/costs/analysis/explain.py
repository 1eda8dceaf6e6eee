"""Explains why two periods, or two jobs, cost differently: the difference is split exactly.

One factor after the other is changed from the first side to the second, and the effect of each change on
the cost is its part (chain substitution). Each scenario is rounded once, and a part is the difference
of two neighbouring scenarios, so the parts add up to the whole difference to the nano-dollar.

Within each stage, in this order:

- *retries*: calls of a second or later attempt, removed first on both sides;
- *credits*: refunds and credits without a call, or of calls of another time, removed as well;
- *volume*: as many calls as on the second side, all else as on the first (a new stage is all volume);
- *models*: divided among models as on the second side, at the first side's cost per call;
- *tiers*: divided among service tiers (standard, batch ...) as on the second side;
- *caching*: as much of the input read from or written to caches as on the second side;
- *size*: as many tokens or minutes per call as on the second side, at the first side's rates;
- *prices*: the second side's rates: the rest.

A model or tier that the first side did not use has no cost per call there; the second side's is used.
The order affects each part (but not their sum), as in any such split; see
https://en.wikipedia.org/wiki/Price%E2%80%93volume%E2%80%93mix_analysis
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple

from ..model import Charge, Entry, Usage
from ..money import ZERO, Nanos, divide
from ..rollup import OUTPUT_PARTS
from ..units import SIGNS
from .sums import UNNAMED

PARTS: Final = ("retries", "credits", "volume", "models", "tiers", "caching", "size", "prices")
_SPLIT: Final = PARTS[2:]
"""The reasons that are separated by scenarios."""

_CACHE_PARTS: Final = frozenset({"cached", "cache_write", "cache_write_1h", "audio_cached"})
_INPUT_PARTS: Final = frozenset({"input", "audio_input", "image_input"})


class Effect(NamedTuple):
    """The effect of one reason in one stage, in nano-dollars."""

    stage: str
    reason: str
    amount: Nanos


class Explanation(NamedTuple):
    """The costs of both sides and the parts of their difference, which sum to ``after - before`` exactly.

    ``unpriced`` and ``calls`` count calls of each side, ``partial`` those of both.
    """

    before: Nanos
    after: Nanos
    parts: tuple[Effect, ...]
    unpriced: tuple[int, int]
    partial: int = 0
    calls: tuple[int, int] = (0, 0)

    def by_reason(self) -> dict[str, Nanos]:
        """Return the sum of each reason over all stages, in the order of :data:`PARTS`."""
        return {
            reason: Nanos(sum(part.amount for part in self.parts if part.reason == reason))
            for reason in PARTS
        }


@dataclass(slots=True)
class _SlotSums:
    """Sums of the calls of one stage, model and tier. Amounts in nano-dollars."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    seconds: int = 0
    cost: int = 0
    cost_input: int = 0
    cost_cached: int = 0
    cost_output: int = 0

    @property
    def cost_other(self) -> int:
        """The cost of units other than tokens (minutes, images, ...) or of parts without known tokens."""
        by_token = self.cost_input if self.input > self.cached else 0
        by_token += self.cost_cached if self.cached > 0 else 0
        return self.cost - by_token - (self.cost_output if self.output > 0 else 0)

    def add(self, sign: int, usage: Usage, charge: Charge) -> None:
        self.calls += sign
        self.input += sign * usage.tokens_input
        self.cached += sign * (usage.tokens_cached + usage.tokens_cache_write)
        self.output += sign * usage.tokens_output
        if usage.audio_seconds:
            self.seconds += sign * usage.audio_microseconds
        for part, amount in charge.parts.items():
            self.cost += amount
            if part in _INPUT_PARTS:
                self.cost_input += amount
            elif part in OUTPUT_PARTS:
                self.cost_output += amount
            elif part in _CACHE_PARTS:
                self.cost_cached += amount

    def merge(self, other: _SlotSums) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def per_call(self) -> Fraction:
        return _ratio(self.cost, self.calls)


@dataclass(slots=True)
class ComparedSide:
    """The sums of one of two compared sides, added up entry by entry."""

    cells: dict[str, dict[tuple[str, str], _SlotSums]] = field(default_factory=dict)
    """Sums of first attempts by stage, then by model and tier."""
    retries: dict[str, int] = field(default_factory=dict)
    """The cost of later attempts, by stage."""
    credits: dict[str, int] = field(default_factory=dict)
    """The sum of refunds and credits without a call, by stage."""
    calls: int = 0
    unpriced: int = 0
    partial: int = 0
    _by_names: dict[tuple[str | None, ...], _SlotSums] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        """The cost of this side, in nano-dollars."""
        first = sum(cell.cost for cells in self.cells.values() for cell in cells.values())
        return first + sum(self.retries.values()) + sum(self.credits.values())

    def counting(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield entries unchanged, each after it was counted on this side."""
        for entry in entries:
            self.add(entry)
            yield entry

    def add_all(self, entries: Iterable[Entry]) -> None:
        """Count entries."""
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        charge = entry.charge
        self.calls += SIGNS[entry.kind]
        if charge is None or entry.unpriced_units or entry.corrects is not None:
            self.unpriced += entry.unpriced_delta
            self.partial += entry.partial_delta
        if entry.attempt > 1:
            self._add_to(self.retries, entry)
        elif entry.kind == "adjustment" and entry.corrects is None:
            self._add_to(self.credits, entry)
        elif charge is not None:
            names = entry.stage, entry.service, entry.model, entry.service_tier
            cell = self._by_names.get(names) or self._cell(names)
            cell.add(SIGNS[entry.kind], entry.usage, charge)

    def credits_and_calls(self, stage: str) -> tuple[int, _Cells]:
        """Return the credits of a stage, also those for calls of another time, and the sums of its calls."""
        cells = self.cells.get(stage, {})
        refunds = {key: cell for key, cell in cells.items() if cell.calls <= 0 and cell.cost < 0}
        credited = self.credits.get(stage, 0) + sum(cell.cost for cell in refunds.values())
        return credited, {key: cell for key, cell in cells.items() if key not in refunds}

    @staticmethod
    def _add_to(by_stage: dict[str, int], entry: Entry) -> None:
        stage = entry.stage or UNNAMED
        by_stage[stage] = by_stage.get(stage, 0) + entry.cost

    def _cell(self, names: tuple[str | None, ...]) -> _SlotSums:
        stage, service, model, tier = names
        cells = self.cells.setdefault(stage or UNNAMED, {})
        cell = self._by_names[names] = cells.setdefault(
            (f"{service}/{model}", tier or "standard"), _SlotSums()
        )
        return cell


def explain(before: Iterable[Entry], after: Iterable[Entry]) -> Explanation:
    """Return why ``after`` cost more or less than ``before``. Entries are read once and not kept.

    >>> explain([], []).parts
    ()
    """
    first, second = ComparedSide(), ComparedSide()
    first.add_all(before)
    second.add_all(after)
    return difference(first, second)


def difference(first: ComparedSide, second: ComparedSide) -> Explanation:
    """Return why the second side cost more or less than the first."""
    sides = (first, second)
    stages = dict.fromkeys(name for side in sides for name in (*side.cells, *side.retries, *side.credits))
    parts = [part for stage in stages for part in _stage_effects(stage, first, second) if part.amount]
    ordered = sorted(parts, key=lambda part: (-abs(part.amount), part.stage, part.reason))
    return Explanation(
        Nanos(first.cost),
        Nanos(second.cost),
        tuple(ordered),
        (first.unpriced, second.unpriced),
        first.partial + second.partial,
        (first.calls, second.calls),
    )


def _stage_effects(stage: str, first: ComparedSide, second: ComparedSide) -> Iterable[Effect]:
    yield Effect(stage, "retries", Nanos(second.retries.get(stage, 0) - first.retries.get(stage, 0)))
    (credits_before, old), (credits_after, new) = (side.credits_and_calls(stage) for side in (first, second))
    yield Effect(stage, "credits", Nanos(credits_after - credits_before))
    scenarios = [_total(old), *(round_half_even(scenario(old, new)) for scenario in _SCENARIOS), _total(new)]
    for reason, (start, end) in zip(_SPLIT, pairwise(scenarios), strict=True):
        yield Effect(stage, reason, Nanos(end - start))


_Cells = Mapping[tuple[str, str], _SlotSums]


def _total(cells: _Cells) -> int:
    return sum(cell.cost for cell in cells.values())


def _merged(cells: Iterable[_SlotSums]) -> _SlotSums:
    whole = _SlotSums()
    for cell in cells:
        whole.merge(cell)
    return whole


def _volume(old: _Cells, new: _Cells) -> Fraction:
    """Return the cost of as many calls as on the second side, at the first side's average."""
    before, after = _merged(old.values()), _merged(new.values())
    return after.calls * before.per_call if before.calls > 0 else Fraction(after.cost)


def _models(old: _Cells, new: _Cells) -> Fraction:
    """Return the cost with calls divided among models as on the second side."""
    before, after = _by_model(old), _by_model(new)
    return sum(
        (cell.calls * _before_or_after(before.get(model), cell).per_call for model, cell in after.items()),
        Fraction(0),
    )


def _by_model(cells: _Cells) -> dict[str, _SlotSums]:
    models = dict.fromkeys(model for model, _ in cells)
    return {model: _merged(cell for (name, _), cell in cells.items() if name == model) for model in models}


def _tiers(old: _Cells, new: _Cells) -> Fraction:
    """Return the cost with calls divided among tiers as on the second side."""
    return sum(
        (cell.calls * _before_or_after(old.get(key), cell).per_call for key, cell in new.items()), Fraction(0)
    )


def _caching(old: _Cells, new: _Cells) -> Fraction:
    """Return the cost with as much of the input cached as on the second side, at the first side's rates."""
    return sum(
        (_with_caching(_before_or_after(old.get(key), cell), cell) for key, cell in new.items()), Fraction(0)
    )


def _with_caching(before: _SlotSums, after: _SlotSums) -> Fraction:
    rates = _Rates.per_token(before, after)
    share = _ratio(after.cached, after.input)
    tokens = _ratio(before.input * after.calls, before.calls)
    output = before.cost_output if before.output > 0 else 0
    others = _ratio((output + before.cost_other) * after.calls, before.calls)
    return tokens * ((1 - share) * rates.input + share * rates.cached) + others


def _size(old: _Cells, new: _Cells) -> Fraction:
    """Return the cost of the second side's quantities at the first side's rates."""
    return sum(
        (_with_size(_before_or_after(old.get(key), cell), cell) for key, cell in new.items()), Fraction(0)
    )


def _with_size(before: _SlotSums, after: _SlotSums) -> Fraction:
    rates = _Rates.per_token(before, after)
    tokens = (
        (after.input - after.cached) * rates.input + after.cached * rates.cached + after.output * rates.output
    )
    if before.seconds > 0:
        return tokens + _ratio(before.cost_other * after.seconds, before.seconds)
    return tokens + _ratio(before.cost_other * after.calls, before.calls)


class _Rates(NamedTuple):
    """The cost of a token of each kind; the second side's where the first had no such tokens."""

    input: Fraction
    cached: Fraction
    output: Fraction

    @classmethod
    def per_token(cls, before: _SlotSums, after: _SlotSums) -> _Rates:
        def rate(cost: Callable[[_SlotSums], int], tokens: Callable[[_SlotSums], int]) -> Fraction:
            side = before if tokens(before) > 0 else after
            return _ratio(cost(side), tokens(side))

        return cls(
            rate(lambda c: c.cost_input, lambda c: c.input - c.cached),
            rate(lambda c: c.cost_cached, lambda c: c.cached),
            rate(lambda c: c.cost_output, lambda c: c.output),
        )


def _before_or_after(before: _SlotSums | None, after: _SlotSums) -> _SlotSums:
    """Return the first side's sums, or the second's where the first has no such calls."""
    return before if before is not None and before.calls > 0 else after


def _ratio(part: int, whole: int) -> Fraction:
    return Fraction(part, whole) if whole > 0 else Fraction(0)


def round_half_even(amount: Fraction) -> int:
    """Return the nearest integer, half to even, as all money is rounded."""
    return divide(amount.numerator, amount.denominator) if amount else ZERO


_SCENARIOS: Final = (_volume, _models, _tiers, _caching, _size)
