"""Why sums differ: each difference of a model, tier and day gets its likely reason.

From the surest to the least sure: days that begin elsewhere, usage that moved to the next day or another
tier, single calls that explain a difference exactly, kinds of tokens, factors between amounts, and what only
one side has. Tokens decide before amounts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

from ...money import Nanos
from .calls import OurCall, kinds_of
from .differences import Comparison, Difference, Kind, Reason, rate_text
from .sums import Billed, ComparedSums, ComparisonKey, RecordedSums, day_after, day_of, end_of

CallsOf = Callable[[frozenset[tuple[str | None, str]], tzinfo], Iterable[OurCall]]
"""Gives the single calls of these models (``None``: of all) on these days of a zone."""

Vector = tuple[int | None, int | None, int | None, int | None]

OUR_ROUNDING: Final = 2
"""By how much a call's own cost may be rounded, in nano-dollars: half of one for each of its parts."""

_SAME_FACTOR: Final = 0.005
"""How much factors may differ and still be the same: exchange rates of days are within it."""

_UNITS: Final[tuple[tuple[float, str], ...]] = (
    (100.0, "cents read as dollars"),
    (0.01, "dollars read as cents"),
    (1_000.0, "a thousand times as much"),
    (0.001, "a thousandth"),
    (1_000_000.0, "a million times as much"),
    (0.000001, "a millionth"),
)
_TIERS: Final[tuple[tuple[float, str], ...]] = (
    (0.5, "half: the batch or flex tier"),
    (2.0, "twice: the priority tier, or recorded as batch"),
    (1.1, "1.1 times: data residency"),
)


@dataclass(slots=True)
class Gap:
    """What a key lacks on our side: theirs less ours. ``counts`` are ``None`` for kinds not stated."""

    key: ComparisonKey
    theirs: ComparedSums
    ours: ComparedSums
    counts: Vector
    cost: int | None

    @property
    def has_usage(self) -> bool:
        """Whether tokens differ."""
        return any(self.counts)

    @property
    def says_tokens(self) -> bool:
        """Whether the bill states tokens at all."""
        return any(count is not None for count in self.counts)

    @property
    def surplus(self) -> int:
        """Above 0 where they have more, below where we have; tokens decide where they are stated."""
        tokens = sum(count for count in self.counts[:2] if count)
        return tokens or next((count for count in self.counts if count), 0) or self.cost or 0

    def tolerance(self) -> int:
        """By how much amounts may differ through rounding alone, in nano-dollars."""
        return int(self.theirs.half_units * 1_000_000_000) + OUR_ROUNDING * max(self.ours.calls, 1)

    def opposes(self, other: Gap) -> bool:
        """Tell whether what one side lacks here, the other lacks there."""
        if self.says_tokens or other.says_tokens:
            return self.has_usage and _sum(self.counts, other.counts) == _nothing(self.counts)
        slack = self.tolerance() + other.tolerance()
        return self.cost is not None and other.cost is not None and abs(self.cost + other.cost) <= slack


def _sum(one: Vector, other: Vector) -> tuple[int | None, ...]:
    return tuple(None if a is None or b is None else a + b for a, b in zip(one, other, strict=True))


def _lacks_all(gap: Gap) -> bool:
    """Tell whether nothing is less on the bill than here, and something more."""
    counts = [count for count in gap.counts if count is not None] or [gap.cost or 0]
    return min(counts) >= 0 < max(counts)


def _negated(counts: Vector) -> list[int | None]:
    return [None if count is None else -count for count in counts]


def _less(cell: ComparedSums, part: ComparedSums) -> ComparedSums:
    """Return a side's sums without a part of them."""
    rest = ComparedSums(cell.rows, max(cell.calls - part.calls, 0), half_units=cell.half_units)
    rest.note(cell.lines, cell.invoices)
    rest.counts = [None if a is None else a - (b or 0) for a, b in zip(cell.counts, part.counts, strict=True)]
    rest.cost = None if cell.cost is None else cell.cost - (part.cost or 0)
    rest.kinds = [
        None if a is None or b is None else a - b for a, b in zip(cell.kinds, part.kinds, strict=True)
    ]
    return rest


def _cell_of(calls: Sequence[OurCall]) -> ComparedSums:
    """Return what calls come to."""
    counts = [sum(of) for of in zip(*(call.counts for call in calls), strict=True)]
    kinds = [sum(of) for of in zip(*(kinds_of(call.parts) for call in calls), strict=True)]
    return ComparedSums(1, len(calls), [*counts], sum(call.cost or 0 for call in calls), kinds=[*kinds])


def _is_of_kind(gap: Gap) -> bool:
    """Tell whether only kinds of input tokens differ."""
    if not gap.says_tokens:
        return _by_costs(gap) == "cache"
    return gap.counts[:2] == (0, 0) and any(gap.counts[2:])


def _nothing(like: Vector) -> tuple[int | None, ...]:
    return tuple(None if count is None else 0 for count in like)


class ServiceExplanation:
    """Compares one service's sums and puts what it finds into a comparison."""

    def __init__(
        self, billed: Billed, recorded: RecordedSums, calls_of: CallsOf, as_of: datetime, into: Comparison
    ) -> None:
        self._billed = billed
        self._recorded = recorded
        self._calls_of = calls_of
        self._as_of = as_of
        self._into = into
        self._theirs = billed.cells()
        billed.rate = self._rate = self._foreign_rate()
        if self._rate is not None:
            self._theirs = billed.cells()
        self.zone = self._zone_of_days()
        self._calls: dict[tuple[str | None, str], list[OurCall]] = {}

    def run(self) -> None:
        """Compare, and explain what differs."""
        gaps = self._gaps(self.zone)
        self._agree(gaps)
        left = [gap for gap in gaps if self._differs(gap)]
        self._read_calls(left)
        for explain in (
            self._by_next_day,
            self._by_tier,
            self._by_calls,
            self._by_kind,
            self._in_two,
            self._by_price,
            self._by_side,
        ):
            left = explain(left)
        self._tools()
        self._into.apart += self._billed.apart()

    # --- both sides

    def _gaps(self, zone: tzinfo) -> list[Gap]:
        ours = self._recorded.cells(self._billed, zone)
        known = self._theirs if self._billed.in_part else {*self._theirs, *ours}
        keys = sorted(known, key=lambda key: tuple(map(str, key)))
        return [self._gap(key, self._theirs.get(key, ComparedSums()), ours.get(key)) for key in keys]

    def _gap(self, key: ComparisonKey, theirs: ComparedSums, ours: ComparedSums | None) -> Gap:
        mine = ours or ComparedSums(counts=[0, 0, 0, 0], cost=0)
        counts = [self._lacking(place, theirs, mine) for place in range(4)]
        cost = theirs.cost
        if cost is None and theirs.rows == 0 and self._states_costs():
            cost = 0
        gap = None if cost is None or mine.cost is None else cost - mine.cost
        theirs.cost = cost
        return Gap(key, theirs, mine, (counts[0], counts[1], counts[2], counts[3]), gap)

    def _lacking(self, place: int, theirs: ComparedSums, mine: ComparedSums) -> int | None:
        stated = theirs.counts[place]
        if stated is None and (theirs.rows or not self._states_counts(place)):
            return None
        return (stated or 0) - (mine.counts[place] or 0)

    def _states_counts(self, place: int) -> bool:
        return any(cell.counts[place] is not None for cell in self._theirs.values())

    def _states_costs(self) -> bool:
        return any(cell.cost is not None or cell.foreign for cell in self._theirs.values())

    def _differs(self, gap: Gap) -> bool:
        if gap.has_usage or (gap.ours.unpriced and gap.theirs.cost):
            return True
        slack = gap.tolerance()
        if self._rate and gap.theirs.foreign:
            slack += round(abs(gap.theirs.cost or 0) * _SAME_FACTOR)
        return gap.cost is not None and abs(gap.cost) > slack

    def _agree(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            if not self._differs(gap):
                agreed = self._into.agreed
                agreed.count += 1
                agreed.calls += gap.ours.calls
                agreed.theirs += gap.theirs.cost if gap.theirs.cost is not None else gap.ours.cost or 0
                agreed.ours += gap.ours.cost or 0

    # --- currency and time zone

    def _foreign_rate(self) -> Decimal | None:
        """Return the rate that makes amounts in another currency ours, where one fits most of them."""
        if not self._billed.currencies:
            return None
        ours = self._recorded.cells(self._billed, UTC)
        ratios = [
            Decimal(mine.cost) / 1_000_000_000 / cell.foreign
            for key, cell in self._theirs.items()
            if cell.foreign and (mine := ours.get(key)) and mine.cost
        ]
        names = ", ".join(sorted(self._billed.currencies))
        rate = median(ratios) if ratios else None
        fitting = [each for each in ratios if rate and abs(each / rate - 1) <= _SAME_FACTOR]
        if rate is None or len(fitting) * 2 <= len(ratios):
            self._into.currencies[names] = None
            return None
        self._into.currencies[names] = float(rate)
        note = (
            f"{names}: one is {rate_text(float(rate))} USD throughout; give the rate of the bill with --rate"
        )
        self._report("currency", factor=float(1 / rate), note=note)
        return rate

    def _zone_of_days(self) -> tzinfo:
        """Return the time zone whose days agree best: the bill's own, unless another is clearly better."""
        stated: tzinfo = UTC if self._billed.zone == "UTC" else ZoneInfo(self._billed.zone)
        wrong = self._wrong_days(stated)
        best, fewest = stated, len(wrong)
        for zone in _ZONES if fewest >= _MANY else ():
            if (count := len(self._wrong_days(zone))) < fewest:
                best, fewest = zone, count
        if best is not stated and fewest * 2 <= len(wrong):
            name = getattr(best, "key", None) or best.tzname(None) or str(best)
            self._into.zones[self._billed.service] = name
            self._report("time_zone", calls=len(wrong) - fewest, note=f"in {name}")
            return best
        return stated

    def _wrong_days(self, zone: tzinfo) -> list[Gap]:
        return [gap for gap in self._gaps(zone) if self._differs(gap)]

    # --- single calls

    def _read_calls(self, gaps: Sequence[Gap]) -> None:
        wanted = frozenset((gap.key.model, gap.key.day) for gap in gaps[:_MOST_GAPS])
        if not wanted:
            return
        by_place = defaultdict[tuple[str | None, str], list[OurCall]](list)
        for call in self._calls_of(wanted, self.zone):
            day = day_of(call.at[:15], self.zone)
            for place in ((call.model, day), (None, day)):
                if place in wanted and len(by_place[place]) < _MOST_CALLS:
                    by_place[place].append(call)
        self._calls = dict(by_place)

    def _of(self, gap: Gap) -> list[OurCall]:
        return self._calls.get((gap.key.model, gap.key.day), [])

    def _fits(self, gap: Gap, calls: Sequence[OurCall], sign: int) -> bool:
        """Tell whether calls are exactly what a side has more."""
        if gap.says_tokens:
            sums = [sum(call.counts[place] for call in calls) for place in range(4)]
            return all(
                lacking is None or lacking == sign * total
                for lacking, total in zip(gap.counts, sums, strict=True)
            )
        cost = sum(call.cost or 0 for call in calls)
        return gap.cost is not None and abs(gap.cost - sign * cost) <= gap.tolerance()

    # --- reasons, the surest first; each returns the gaps that it does not explain

    def _by_tier(self, gaps: list[Gap]) -> list[Gap]:
        left = self._pairs(gaps, lambda gap: (gap.key.model, gap.key.day), self._told_tier)
        return self._tier_beside_others(left)

    def _tier_beside_others(self, gaps: list[Gap]) -> list[Gap]:
        """Explain calls of another tier where in their own tier another call or other kinds differ, too."""
        left = {gap.key: gap for gap in gaps}
        places = Counter((gap.key.model, gap.key.day) for gap in gaps)
        for more in gaps:
            is_paired = more.says_tokens and places[more.key.model, more.key.day] > 1
            for call in self._of(more) if is_paired else ():
                key = more.key._replace(tier=call.tier)
                if key == more.key or not {key, more.key} <= left.keys() or not self._fits(more, [call], 1):
                    continue
                rest = self._without(left[key], [call], -1)
                sign = 1 if rest.surplus > 0 else -1
                if _is_of_kind(rest) or any(self._fits(rest, [other], sign) for other in self._of(rest)):
                    self._told_tier(more, self._part(left[key], [call], -1), (call.entry_id,))
                    left[key] = rest
                    del left[more.key]
        return list(left.values())

    def _is_other_tier(self, gap: Gap, other: Gap) -> bool:
        """Tell whether what lacks under one tier is there under another, at that one's price."""
        if gap.says_tokens or other.says_tokens:
            return gap.opposes(other)
        if gap.cost is None or other.cost is None or gap.cost * other.cost >= 0:
            return False
        less, more = (gap.cost, other.cost) if gap.cost < 0 else (other.cost, gap.cost)
        slack = gap.tolerance() + other.tolerance()
        is_known = any(abs(-less - (call.cost or 0)) <= slack for call in self._of(gap))
        # Not exactly half or twice: batches do not make cached tokens cheaper everywhere.
        is_at_rate = 0.4 <= more / -less <= 0.75 or 1.5 <= more / -less <= 2.5
        return (is_known and is_at_rate) or abs(less + more) <= slack

    def _told_tier(self, more: Gap, less: Gap, entries: tuple[str, ...] = ()) -> None:
        tiers = f"recorded as {less.key.tier or 'standard'}, billed as {more.key.tier or 'standard'}"
        costs = (more.cost or 0) + (less.cost or 0)
        costs_less = abs(costs) <= more.tolerance() + less.tolerance() and more.theirs.cost is not None
        self._told("moved" if costs_less else "priced_differently", "tier", more, less, tiers, entries)

    def _by_next_day(self, gaps: list[Gap]) -> list[Gap]:
        left = {gap.key: gap for gap in gaps}
        for gap in gaps:
            after = left.get(gap.key._replace(day=day_after(gap.key.day)))
            if after is None or left.get(gap.key) is not gap:
                continue
            came: Gap = gap
            moved, rest = (after, None) if gap.opposes(after) else self._split(gap, after, left.values())
            if moved is None and (call := self._moved_beside(gap, after, left.values())) is not None:
                moved, came, rest = after, self._part(gap, [call], -1), self._without(gap, [call], -1)
            if moved is None:
                continue
            reason: Reason = "batch_day" if gap.key.tier == "batch" else "day_boundary"
            self._told("moved", reason, moved, came, note=f"{gap.key.day} and the next day")
            del left[gap.key], left[after.key]
            if rest is not None:
                left[rest.key] = rest
        return list(left.values())

    def _moved_beside(self, gap: Gap, after: Gap, among: Iterable[Gap]) -> OurCall | None:
        """Return the call of a day that is all that the next day has more, beside one of another tier."""
        calls = self._of(gap) if after.says_tokens else ()
        call = next((c for c in calls if c.tier == gap.key.tier and self._fits(after, [c], 1)), None)
        if call is None:
            return None
        rest = self._without(gap, [call], -1)
        others = [
            each for each in among if each.key._replace(tier=gap.key.tier) == gap.key and each is not gap
        ]
        return call if any(self._is_other_tier(rest, other) for other in others) else None

    def _split(self, gap: Gap, after: Gap, among: Iterable[Gap]) -> tuple[Gap | None, Gap | None]:
        """Divide what the next day has more into what a day has less and a rest, where that is explained."""
        if not gap.surplus < 0 < after.surplus or (gap.says_tokens and not gap.has_usage):
            return None, None
        came = ComparedSums(1, gap.ours.calls - gap.theirs.calls, _negated(gap.counts))
        came.cost = None if gap.cost is None else -gap.cost
        came.note(after.theirs.lines, after.theirs.invoices)
        counts = _sum(after.counts, gap.counts)
        rest = Gap(
            after.key,
            _less(after.theirs, came),
            after.ours,
            (counts[0], counts[1], counts[2], counts[3]),
            None if gap.cost is None or after.cost is None else after.cost + gap.cost,
        )
        place = rest.key.model, rest.key.day
        others = [
            other for other in among if other is not after and (other.key.model, other.key.day) == place
        ]
        sign = 1 if rest.surplus > 0 else -1
        if any(self._is_other_tier(rest, other) for other in others) or any(
            self._fits(rest, [call], sign) for call in self._of(rest)
        ):
            nothing = ComparedSums(counts=[0, 0, 0, 0], cost=0)
            negated = _negated(gap.counts)
            return Gap(
                after.key, came, nothing, (negated[0], negated[1], negated[2], negated[3]), came.cost
            ), rest
        return None, None

    def _pairs(
        self, gaps: list[Gap], group: Callable[[Gap], object], tell: Callable[[Gap, Gap], None]
    ) -> list[Gap]:
        groups = defaultdict[object, list[Gap]](list)
        for gap in gaps:
            groups[group(gap)].append(gap)
        left = []
        for found in groups.values():
            while found:
                gap = found.pop()
                other = next((each for each in found if self._is_other_tier(gap, each)), None)
                if other is None:
                    left.append(gap)
                    continue
                found.remove(other)
                tell(*((gap, other) if gap.surplus > 0 else (other, gap)))
        return sorted(left, key=lambda gap: tuple(map(str, gap.key)))

    def _by_calls(self, gaps: list[Gap]) -> list[Gap]:
        left = []
        for gap in gaps:
            calls = self._of(gap)
            if gap.surplus > 0:
                again = next((call for call in calls if self._fits(gap, [call], 1)), None)
                if again is not None and (gap.ours.calls or gap.key.tier):
                    self._tell("only_theirs", "retry", gap, calls=1, entries=(again.entry_id,))
                    continue
            else:
                extra = _repeated(
                    [call for call in calls if not self._billed.has_tiers or call.tier == gap.key.tier]
                )
                if extra and self._fits(gap, extra, -1):
                    ids = tuple(call.entry_id for call in extra)
                    self._tell("only_ours", "recorded_twice", gap, calls=len(extra), entries=ids)
                    continue
                alone = next((call for call in calls if self._fits(gap, [call], -1)), None)
                if alone is not None:
                    reason: Reason = "late" if self._is_young(gap.key.day) else "not_billed"
                    self._tell("only_ours", reason, gap, calls=1, entries=(alone.entry_id,))
                    continue
            left.append(gap)
        return left

    def _by_kind(self, gaps: list[Gap]) -> list[Gap]:
        left = []
        for gap in gaps:
            lacking_in, lacking_out, *cached = gap.counts
            both = gap.theirs.rows and gap.ours.calls
            if both and not gap.says_tokens and (reason := _by_costs(gap)):
                self._tell("usage_differs", reason, gap)
            elif both and not lacking_in and not lacking_out and any(cached):
                self._tell("usage_differs", "cache", gap)
            elif both and lacking_in == 0 and lacking_out and lacking_out > 0:
                self._tell("usage_differs", "reasoning", gap)
            else:
                left.append(gap)
        return left

    def _in_two(self, gaps: list[Gap]) -> list[Gap]:
        """Explain what two reasons make together, of which single calls of the day are one."""
        left = {gap.key: gap for gap in gaps}
        for gap in gaps:
            if left.get(gap.key) is not gap or not gap.ours.calls:
                continue
            calls = self._of(gap)
            again = _repeated(
                [call for call in calls if not self._billed.has_tiers or call.tier == gap.key.tier]
            )
            rest = self._without(gap, again, -1) if again else gap
            are_certain = all(call.request_id for call in again)
            if again and (_is_of_kind(rest) or (are_certain and _lacks_all(rest))):
                ids = tuple(call.entry_id for call in again)
                self._tell(
                    "only_ours", "recorded_twice", self._part(gap, again, -1), calls=len(again), entries=ids
                )
            elif (retried := self._retried_beside(gap, calls)) is not None:
                rest = self._without(gap, [retried], 1)
                part = self._part(gap, [retried], 1)
                self._tell("only_theirs", "retry", part, calls=1, entries=(retried.entry_id,))
            else:
                continue
            del left[gap.key]
            left |= {each.key: each for each in self._by_kind(self._by_calls([rest]))}
        return list(left.values())

    def _retried_beside(self, gap: Gap, calls: Sequence[OurCall]) -> OurCall | None:
        """Return the call that was billed again, where of the others only kinds of tokens differ."""
        if gap.says_tokens:
            calls = [call for call in calls if call.counts[:2] == gap.counts[:2]]
        found = (call for call in calls[:_MOST_TRIED] if _is_of_kind(self._without(gap, [call], 1)))
        return next(found, None)

    def _without(self, gap: Gap, calls: Sequence[OurCall], sign: int) -> Gap:
        """Return what is left of a gap without calls: of those on the bill again with 1, of ours with -1."""
        part = _cell_of(calls)
        counts = [
            None if a is None else a - sign * (b or 0) for a, b in zip(gap.counts, part.counts, strict=True)
        ]
        theirs, ours = (
            (_less(gap.theirs, part), gap.ours) if sign > 0 else (gap.theirs, _less(gap.ours, part))
        )
        cost = None if gap.cost is None else gap.cost - sign * (part.cost or 0)
        return Gap(gap.key, theirs, ours, (counts[0], counts[1], counts[2], counts[3]), cost)

    def _part(self, gap: Gap, calls: Sequence[OurCall], sign: int) -> Gap:
        """Return the part of a gap that calls are: on the bill again with 1, of ours alone with -1."""
        part, nothing = _cell_of(calls), ComparedSums(counts=[0, 0, 0, 0], cost=0)
        counts = [
            None if a is None else sign * (b or 0) for a, b in zip(gap.counts, part.counts, strict=True)
        ]
        theirs, ours = (part, nothing) if sign > 0 else (nothing, part)
        theirs.cost = None if gap.cost is None else theirs.cost
        theirs.note(gap.theirs.lines, gap.theirs.invoices)
        cost = None if gap.cost is None else sign * (part.cost or 0)
        return Gap(gap.key, theirs, ours, (counts[0], counts[1], counts[2], counts[3]), cost)

    def _by_price(self, gaps: list[Gap]) -> list[Gap]:
        left = []
        throughout = self._is_one_factor(gaps)
        for gap in gaps:
            if gap.has_usage or not gap.theirs.rows or not gap.ours.calls:
                left.append(gap)
            elif gap.ours.unpriced:
                self._tell("priced_differently", "unpriced", gap, note=f"{gap.ours.unpriced:,} calls")
            elif gap.theirs.cost is None or not gap.ours.cost:
                left.append(gap)
            else:
                self._told_factor(gap, gap.theirs.cost / gap.ours.cost, throughout=throughout)
        return left

    @staticmethod
    def _is_one_factor(gaps: Sequence[Gap]) -> bool:
        """Tell whether several sums differ, all by the same factor."""
        factors = [
            gap.theirs.cost / gap.ours.cost
            for gap in gaps
            if gap.theirs.cost and gap.ours.cost and not gap.has_usage
        ]
        return len(factors) >= _MANY and max(factors) / min(factors) <= 1 + _SAME_FACTOR

    def _told_factor(self, gap: Gap, factor: float, *, throughout: bool) -> None:
        if factor < 1 and not gap.says_tokens and self._is_young(gap.key.day):
            self._tell("only_ours", "late", gap, factor=factor)
            return
        for reason, table in (("unit", _UNITS), ("tier", _TIERS)):
            for known, what in table:
                if abs(factor / known - 1) <= _SAME_FACTOR:
                    self._tell("priced_differently", reason, gap, factor=factor, note=what)  # type: ignore[arg-type]  # both are reasons
                    return
        fresh = gap.ours.kinds[0] or 0
        if gap.says_tokens and gap.counts[2] is None and not throughout and -fresh < (gap.cost or 0) < 0:
            self._tell(
                "priced_differently",
                "cache",
                gap,
                factor=factor,
                note="the bill does not state cached tokens",
            )
            return
        missing = not gap.says_tokens and gap.cost is not None and gap.cost > 0
        reason_: Reason = "not_recorded" if missing else "price"
        kind: Kind = "only_theirs" if missing else "priced_differently"
        self._tell(kind, reason_, gap, factor=factor, note="or another price" if missing else "")

    def _by_side(self, gaps: list[Gap]) -> list[Gap]:
        for gap in gaps:
            if gap.surplus > 0 or not gap.ours.calls:
                self._tell(
                    "only_theirs", "not_recorded", gap, calls=max(gap.theirs.calls - gap.ours.calls, 0)
                )
            elif self._is_young(gap.key.day):
                self._tell("only_ours", "late", gap, calls=gap.ours.calls)
            else:
                calls = gap.ours.calls - gap.theirs.calls if gap.theirs.calls else 0
                self._tell("only_ours", "not_billed", gap, calls=calls)
        return []

    def _tools(self) -> None:
        theirs, ours = self._billed.tools(), self._recorded.tools(self._billed, self.zone)
        if not theirs and not self._states_costs():
            return
        for day in sorted({*theirs, *ours}):
            cell = theirs.get(day) or ComparedSums(cost=0)
            if cell.cost is None:
                continue  # in a currency without a rate, which is said
            billed = Nanos(cell.cost)
            slack = OUR_ROUNDING if self._rate is None else OUR_ROUNDING + round(billed * _SAME_FACTOR)
            if abs(billed - ours[day]) <= slack:
                self._into.agreed.theirs += billed
                self._into.agreed.ours += ours[day]
                continue
            self._report(
                "tools",
                kind="only_theirs" if billed > ours[day] else "only_ours",
                day=day,
                theirs=billed,
                ours=Nanos(ours[day]),
                amount=Nanos(billed - ours[day]),
                lines=cell.lines,
                invoice=_only(cell.invoices),
                settled=not self._is_young(day),
            )

    # --- telling

    def _is_young(self, day: str) -> bool:
        return end_of(day, self.zone) + self._billed.lateness > self._as_of

    def _tell(self, kind: Kind, reason: Reason, gap: Gap, **more: Any) -> None:
        """Put a difference into the comparison; ``more`` are fields of it."""
        if kind == "only_ours" and self._billed.in_part:
            return
        theirs, ours = _side(gap.theirs), _side(gap.ours)
        key = gap.key
        amount = 0 if theirs is None or gap.cost is None or abs(gap.cost) <= gap.tolerance() else gap.cost
        one = Difference(
            kind,
            reason,
            self._billed.service,
            key.model,
            key.tier,
            key.day,
            theirs,
            ours,
            Nanos(amount),
            gap.theirs.tokens,
            gap.ours.tokens if gap.says_tokens else None,
            factor=_factor(theirs, ours),
            settled=not self._is_young(key.day),
            lines=gap.theirs.lines,
            invoice=_only(gap.theirs.invoices),
            lacking=(gap.counts[0] or 0, gap.counts[1] or 0),
            tiers=(key.tier,),
        )
        self._into.differences.append(one._replace(**more))

    def _told(
        self, kind: Kind, reason: Reason, more: Gap, less: Gap, note: str, entries: tuple[str, ...] = ()
    ) -> None:
        """Tell of two gaps that are one."""
        both = Gap(
            more.key,
            _added(more.theirs, less.theirs),
            _added(more.ours, less.ours),
            more.counts,
            None if more.cost is None or less.cost is None else more.cost + less.cost,
        )
        calls = max(more.theirs.calls, less.ours.calls)
        self._tell(kind, reason, both, calls=calls, note=note, tiers=(less.key.tier,), entries=entries)

    def _report(self, reason: Reason, **more: Any) -> None:
        """Put what is told of all sums at once into the comparison: it is in those sums already."""
        one = Difference("moved", reason, self._billed.service, None, None, None, None, None, Nanos(0))
        self._into.differences.append(one._replace(**more))


_MANY: Final = 3
"""From how many differing sums on other time zones are tried."""

_MOST_GAPS: Final = 10_000
_MOST_CALLS: Final = 50_000
_MOST_TRIED: Final = 1_000
_TWIN: Final = timedelta(minutes=10)

_ZONES: Final[tuple[tzinfo, ...]] = (
    UTC,
    ZoneInfo("America/Los_Angeles"),
    ZoneInfo("America/New_York"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Asia/Kolkata"),
    *(timezone(timedelta(hours=hours), f"UTC{hours:+03d}:00") for hours in range(-12, 15) if hours),
)


def _only(invoices: frozenset[str]) -> str | None:
    return next(iter(invoices)) if len(invoices) == 1 else None


def _side(cell: ComparedSums) -> Nanos | None:
    return None if cell.cost is None else Nanos(cell.cost)


def _factor(theirs: int | None, ours: int | None) -> float | None:
    return theirs / ours if theirs is not None and ours else None


def _by_costs(gap: Gap) -> Reason | None:
    """Return the reason that the costs of the kinds of tokens tell, where the bill states no tokens."""
    if None in gap.theirs.kinds[:2]:
        return None
    slack = gap.tolerance()
    fresh, output, read, written = (
        (theirs or 0) - (ours or 0) for theirs, ours in zip(gap.theirs.kinds, gap.ours.kinds, strict=True)
    )
    if abs(output) <= slack and (abs(read) > slack or abs(written) > slack) and fresh * (read + written) < 0:
        return "cache"
    return "reasoning" if abs(fresh) <= slack and abs(read) <= slack and output > slack else None


def _added(one: ComparedSums, other: ComparedSums) -> ComparedSums:
    cell = ComparedSums(one.rows + other.rows, one.calls + other.calls)
    cell.counts = [
        None if a is None and b is None else (a or 0) + (b or 0)
        for a, b in zip(one.counts, other.counts, strict=True)
    ]
    cell.cost = None if one.cost is None and other.cost is None else (one.cost or 0) + (other.cost or 0)
    cell.unpriced, cell.half_units = one.unpriced + other.unpriced, one.half_units + other.half_units
    for side in (one, other):
        cell.note(side.lines, side.invoices)
    return cell


def _repeated(calls: Sequence[OurCall]) -> list[OurCall]:
    """Return the calls that repeat another: its request again, or the same counts within minutes."""
    extra, last = [], dict[object, OurCall]()
    for call in sorted(calls, key=lambda call: (call.at, call.entry_id)):
        by_id = ("id", call.request_id) if call.request_id else None
        by_counts = ("counts", call.model, call.tier, call.counts, call.cost)
        before = (by_id and last.get(by_id)) or last.get(by_counts)
        if before is not None and (before.request_id == call.request_id or _are_near(before, call)):
            extra.append(call)
            continue
        last[by_counts] = call
        if by_id:
            last[by_id] = call
    return extra


def _are_near(one: OurCall, other: OurCall) -> bool:
    if one.request_id and other.request_id and one.request_id != other.request_id:
        return False
    return abs(datetime.fromisoformat(one.at) - datetime.fromisoformat(other.at)) <= _TWIN
