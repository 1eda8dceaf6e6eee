"""Why two stretches of time, or two jobs, cost differently: the difference split exactly.

One thing after the other is changed from the first side to the second, and what each change does to
the cost is its part (chain substitution). Each scenario is rounded once, and a part is the difference
of two neighbouring scenarios, so the parts add up to the whole difference to the nano-dollar.

Within each stage, in this order:

- *retries*: calls of a second or later attempt, taken out first on both sides;
- *credits*: refunds and credits of no one call, or of calls of another time, taken out as well;
- *volume*: as many calls as on the second side, all else as on the first (a new stage is all volume);
- *models*: divided among models as on the second side, at the first side's cost per call;
- *tiers*: divided among service tiers (standard, batch ...) as on the second side;
- *caching*: as much of the input read from or written to caches as on the second side;
- *size*: as many tokens or minutes per call as on the second side, at the first side's rates;
- *prices*: the second side's rates: what is left.

A model or tier that the first side did not use has no cost per call there; it is taken at the second
side's. The order matters to what each part is (not to their sum), as in any such split; see
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
"""The reasons that scenarios tell apart."""

_CACHE_PARTS: Final = frozenset({"cached", "cache_write", "cache_write_1h", "audio_cached"})
_INPUT_PARTS: Final = frozenset({"input", "audio_input", "image_input"})


class Effect(NamedTuple):
    """One reason and what it did, in nano-dollars, in one stage."""

    stage: str
    reason: str
    amount: Nanos


class Explanation(NamedTuple):
    """Both sides and what lies between them; ``parts`` sum to ``after - before`` exactly.

    ``unpriced`` and ``partial`` are calls of both sides; ``calls`` are those of each.
    """

    before: Nanos
    after: Nanos
    parts: tuple[Effect, ...]
    unpriced: int
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
        """What no token pays for: minutes, images, requests ..., or parts whose tokens are not known."""
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
    """What is known of one of two sides that are compared, as its entries pass by."""

    cells: dict[str, dict[tuple[str, str], _SlotSums]] = field(default_factory=dict)
    """Sums of first attempts by stage, then by model and tier."""
    retries: dict[str, int] = field(default_factory=dict)
    """What later attempts cost, by stage."""
    credits: dict[str, int] = field(default_factory=dict)
    """What is of no one call, by stage."""
    calls: int = 0
    unpriced: int = 0
    partial: int = 0
    _by_names: dict[tuple[str | None, ...], _SlotSums] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        """What all of it cost, in nano-dollars."""
        first = sum(cell.cost for cells in self.cells.values() for cell in cells.values())
        return first + sum(self.retries.values()) + sum(self.credits.values())

    def passing(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Pass entries on, each counted on this side before."""
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

    def parted(self, stage: str) -> tuple[int, _Cells]:
        """Return the credits of a stage, those for calls of another time too, and the sums of its calls."""
        cells = self.cells.get(stage, {})
        loose = {key: cell for key, cell in cells.items() if cell.calls <= 0 and cell.cost < 0}
        credited = self.credits.get(stage, 0) + sum(cell.cost for cell in loose.values())
        return credited, {key: cell for key, cell in cells.items() if key not in loose}

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
    stages = dict.fromkeys(name for s in sides for name in (*s.cells, *s.retries, *s.credits))
    parts = [part for stage in stages for part in _stage(stage, first, second) if part.amount]
    ordered = sorted(parts, key=lambda part: (-abs(part.amount), part.stage, part.reason))
    return Explanation(
        Nanos(first.cost),
        Nanos(second.cost),
        tuple(ordered),
        first.unpriced + second.unpriced,
        first.partial + second.partial,
        (first.calls, second.calls),
    )


def _stage(stage: str, first: ComparedSide, second: ComparedSide) -> Iterable[Effect]:
    yield Effect(stage, "retries", Nanos(second.retries.get(stage, 0) - first.retries.get(stage, 0)))
    (credits_before, old), (credits_after, new) = (side.parted(stage) for side in (first, second))
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
    """As many calls as on the second side, at the first side's average."""
    was, now = _merged(old.values()), _merged(new.values())
    return now.calls * was.per_call if was.calls > 0 else Fraction(now.cost)


def _models(old: _Cells, new: _Cells) -> Fraction:
    """Divided among models as on the second side."""
    was, now = _by_model(old), _by_model(new)
    return sum((cell.calls * _known(was.get(m), cell).per_call for m, cell in now.items()), Fraction(0))


def _by_model(cells: _Cells) -> dict[str, _SlotSums]:
    models = dict.fromkeys(model for model, _ in cells)
    return {model: _merged(cell for (name, _), cell in cells.items() if name == model) for model in models}


def _tiers(old: _Cells, new: _Cells) -> Fraction:
    """Divided among tiers as on the second side."""
    return sum((cell.calls * _known(old.get(key), cell).per_call for key, cell in new.items()), Fraction(0))


def _caching(old: _Cells, new: _Cells) -> Fraction:
    """As much of the input cached as on the second side, at the first side's rates and sizes."""
    return sum((_with_caching(_known(old.get(key), cell), cell) for key, cell in new.items()), Fraction(0))


def _with_caching(was: _SlotSums, now: _SlotSums) -> Fraction:
    rates = _Rates.of(was, now)
    share = _ratio(now.cached, now.input)
    tokens = _ratio(was.input * now.calls, was.calls)
    output = was.cost_output if was.output > 0 else 0
    others = _ratio((output + was.cost_other) * now.calls, was.calls)
    return tokens * ((1 - share) * rates.input + share * rates.cached) + others


def _size(old: _Cells, new: _Cells) -> Fraction:
    """The second side's quantities at the first side's rates."""
    return sum((_with_size(_known(old.get(key), cell), cell) for key, cell in new.items()), Fraction(0))


def _with_size(was: _SlotSums, now: _SlotSums) -> Fraction:
    rates = _Rates.of(was, now)
    tokens = (now.input - now.cached) * rates.input + now.cached * rates.cached + now.output * rates.output
    if was.seconds > 0:
        return tokens + _ratio(was.cost_other * now.seconds, was.seconds)
    return tokens + _ratio(was.cost_other * now.calls, was.calls)


class _Rates(NamedTuple):
    """Cost of a token of each kind; from the second side where the first had none of it."""

    input: Fraction
    cached: Fraction
    output: Fraction

    @classmethod
    def of(cls, was: _SlotSums, now: _SlotSums) -> _Rates:
        def rate(cost: Callable[[_SlotSums], int], tokens: Callable[[_SlotSums], int]) -> Fraction:
            side = was if tokens(was) > 0 else now
            return _ratio(cost(side), tokens(side))

        return cls(
            rate(lambda c: c.cost_input, lambda c: c.input - c.cached),
            rate(lambda c: c.cost_cached, lambda c: c.cached),
            rate(lambda c: c.cost_output, lambda c: c.output),
        )


def _known(was: _SlotSums | None, now: _SlotSums) -> _SlotSums:
    """Return the first side's cell, or the second's where the first has no calls to learn from."""
    return was if was is not None and was.calls > 0 else now


def _ratio(part: int, whole: int) -> Fraction:
    return Fraction(part, whole) if whole > 0 else Fraction(0)


def round_half_even(amount: Fraction) -> int:
    """Return the nearest integer, half to even, as all money is rounded."""
    return divide(amount.numerator, amount.denominator) if amount else ZERO


_SCENARIOS: Final = (_volume, _models, _tiers, _caching, _size)
