"""Why sums differ: each difference of a model, tier and day gets its likely reason.

Reasons are tried from the most to the least certain: days in another time zone, usage that moved to the next
day or another tier, single calls that explain a difference exactly, kinds of tokens, factors between amounts,
and what only one side has. Tokens decide before amounts.
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
from .sums import BilledSums, ComparedSums, ComparisonKey, RecordedSums, day_after, day_of, end_of

CallsOf = Callable[[frozenset[tuple[str | None, str]], tzinfo], Iterable[OurCall]]
"""Returns the single calls of these models (``None``: of all) on these days of a zone."""

Vector = tuple[int | None, int | None, int | None, int | None]

OUR_ROUNDING: Final = 2
"""How much rounding may change a call's own cost, in nano-dollars: by half of one for each of its parts."""

_SAME_FACTOR: Final = 0.005
"""How much equal factors may differ; daily exchange rates are within it."""

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
    """The difference of one key, theirs less ours. ``counts`` are ``None`` for kinds not stated."""

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
        """Positive if they have more, negative if we have; in tokens if they are stated, else in cost."""
        tokens = sum(count for count in self.counts[:2] if count)
        return tokens or next((count for count in self.counts if count), 0) or self.cost or 0

    def tolerance(self) -> int:
        """Return how much amounts may differ only by rounding, in nano-dollars."""
        return int(self.theirs.half_units * 1_000_000_000) + OUR_ROUNDING * max(self.ours.calls, 1)

    def opposes(self, other: Gap) -> bool:
        """Tell whether another gap has the same size in the other direction."""
        if self.says_tokens or other.says_tokens:
            return self.has_usage and _sum(self.counts, other.counts) == _zeros(self.counts)
        slack = self.tolerance() + other.tolerance()
        return self.cost is not None and other.cost is not None and abs(self.cost + other.cost) <= slack


def _sum(counts: Vector, other: Vector) -> tuple[int | None, ...]:
    return tuple(None if a is None or b is None else a + b for a, b in zip(counts, other, strict=True))


def _lacks_all(gap: Gap) -> bool:
    """Tell whether the bill has more of something and less of nothing."""
    counts = [count for count in gap.counts if count is not None] or [gap.cost or 0]
    return min(counts) >= 0 < max(counts)


def _negated(counts: Vector) -> list[int | None]:
    return [None if count is None else -count for count in counts]


def _subtract(sums: ComparedSums, part: ComparedSums) -> ComparedSums:
    """Return sums of one side less a part of them."""
    rest = ComparedSums(sums.rows, max(sums.calls - part.calls, 0), half_units=sums.half_units)
    rest.note(sums.lines, sums.invoices)
    rest.counts = [None if a is None else a - (b or 0) for a, b in zip(sums.counts, part.counts, strict=True)]
    rest.cost = None if sums.cost is None else sums.cost - (part.cost or 0)
    rest.kinds = [
        None if a is None or b is None else a - b for a, b in zip(sums.kinds, part.kinds, strict=True)
    ]
    return rest


def _sums_of(calls: Sequence[OurCall]) -> ComparedSums:
    """Return the sums of calls."""
    counts = [sum(column) for column in zip(*(call.counts for call in calls), strict=True)]
    kinds = [sum(column) for column in zip(*(kinds_of(call.parts) for call in calls), strict=True)]
    return ComparedSums(1, len(calls), [*counts], sum(call.cost or 0 for call in calls), kinds=[*kinds])


def _differs_in_kind(gap: Gap) -> bool:
    """Tell whether only kinds of input tokens differ."""
    if not gap.says_tokens:
        return _by_costs(gap) == "cache"
    return gap.counts[:2] == (0, 0) and any(gap.counts[2:])


def _zeros(counts: Vector) -> tuple[int | None, ...]:
    return tuple(None if count is None else 0 for count in counts)


class ServiceExplanation:
    """Compares one service's sums and adds the differences with their reasons to a comparison."""

    def __init__(
        self,
        billed: BilledSums,
        recorded: RecordedSums,
        calls_of: CallsOf,
        as_of: datetime,
        comparison: Comparison,
    ) -> None:
        self._billed = billed
        self._recorded = recorded
        self._calls_of = calls_of
        self._as_of = as_of
        self._comparison = comparison
        self._theirs = billed.cells()
        billed.rate = self._rate = self._foreign_rate()
        if self._rate is not None:
            self._theirs = billed.cells()
        self.zone = self._zone_of_days()
        self._calls: dict[tuple[str | None, str], list[OurCall]] = {}

    def run(self) -> None:
        """Compare the sums, and explain what differs."""
        gaps = self._gaps(self.zone)
        self._count_agreeing(gaps)
        unexplained = [gap for gap in gaps if self._differs(gap)]
        self._read_calls(unexplained)
        for explain in (
            self._by_next_day,
            self._by_tier,
            self._by_calls,
            self._by_kind,
            self._by_two_reasons,
            self._by_price,
            self._by_side,
        ):
            unexplained = explain(unexplained)
        self._compare_tools()
        self._comparison.uncompared += self._billed.uncompared()

    # --- both sides

    def _gaps(self, zone: tzinfo) -> list[Gap]:
        ours = self._recorded.cells(self._billed, zone)
        known = self._theirs if self._billed.in_part else {*self._theirs, *ours}
        keys = sorted(known, key=lambda key: tuple(map(str, key)))
        return [self._gap(key, self._theirs.get(key, ComparedSums()), ours.get(key)) for key in keys]

    def _gap(self, key: ComparisonKey, theirs: ComparedSums, ours: ComparedSums | None) -> Gap:
        our_sums = ours or ComparedSums(counts=[0, 0, 0, 0], cost=0)
        counts = [self._lacking_count(index, theirs, our_sums) for index in range(4)]
        cost = theirs.cost
        if cost is None and theirs.rows == 0 and self._states_costs():
            cost = 0
        gap = None if cost is None or our_sums.cost is None else cost - our_sums.cost
        theirs.cost = cost
        return Gap(key, theirs, our_sums, (counts[0], counts[1], counts[2], counts[3]), gap)

    def _lacking_count(self, index: int, theirs: ComparedSums, ours: ComparedSums) -> int | None:
        their_count = theirs.counts[index]
        if their_count is None and (theirs.rows or not self._states_counts(index)):
            return None
        return (their_count or 0) - (ours.counts[index] or 0)

    def _states_counts(self, index: int) -> bool:
        return any(cell.counts[index] is not None for cell in self._theirs.values())

    def _states_costs(self) -> bool:
        return any(cell.cost is not None or cell.foreign for cell in self._theirs.values())

    def _differs(self, gap: Gap) -> bool:
        if gap.has_usage or (gap.ours.unpriced and gap.theirs.cost):
            return True
        slack = gap.tolerance()
        if self._rate and gap.theirs.foreign:
            slack += round(abs(gap.theirs.cost or 0) * _SAME_FACTOR)
        return gap.cost is not None and abs(gap.cost) > slack

    def _count_agreeing(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            if not self._differs(gap):
                agreed = self._comparison.agreed
                agreed.count += 1
                agreed.calls += gap.ours.calls
                agreed.theirs += gap.theirs.cost if gap.theirs.cost is not None else gap.ours.cost or 0
                agreed.ours += gap.ours.cost or 0

    # --- currency and time zone

    def _foreign_rate(self) -> Decimal | None:
        """Return the exchange rate by which most foreign amounts equal ours; ``None`` if there is none."""
        if not self._billed.currencies:
            return None
        ours = self._recorded.cells(self._billed, UTC)
        ratios = [
            Decimal(our_sums.cost) / 1_000_000_000 / cell.foreign
            for key, cell in self._theirs.items()
            if cell.foreign and (our_sums := ours.get(key)) and our_sums.cost
        ]
        names = ", ".join(sorted(self._billed.currencies))
        rate = median(ratios) if ratios else None
        fitting = [ratio for ratio in ratios if rate and abs(ratio / rate - 1) <= _SAME_FACTOR]
        if rate is None or len(fitting) * 2 <= len(ratios):
            self._comparison.currencies[names] = None
            return None
        self._comparison.currencies[names] = float(rate)
        note = (
            f"{names}: one is {rate_text(float(rate))} USD throughout; give the rate of the bill with --rate"
        )
        self._report_overall("currency", factor=float(1 / rate), note=note)
        return rate

    def _zone_of_days(self) -> tzinfo:
        """Return the zone whose days agree best: the bill's own, unless another one is clearly better."""
        bill_zone: tzinfo = UTC if self._billed.zone == "UTC" else ZoneInfo(self._billed.zone)
        wrong = self._wrong_days(bill_zone)
        best, fewest = bill_zone, len(wrong)
        for zone in _ZONES if fewest >= _SEVERAL else ():
            if (count := len(self._wrong_days(zone))) < fewest:
                best, fewest = zone, count
        if best is not bill_zone and fewest * 2 <= len(wrong):
            name = getattr(best, "key", None) or best.tzname(None) or str(best)
            self._comparison.zones[self._billed.service] = name
            self._report_overall("time_zone", calls=len(wrong) - fewest, note=f"in {name}")
            return best
        return bill_zone

    def _wrong_days(self, zone: tzinfo) -> list[Gap]:
        return [gap for gap in self._gaps(zone) if self._differs(gap)]

    # --- single calls

    def _read_calls(self, gaps: Sequence[Gap]) -> None:
        wanted = frozenset((gap.key.model, gap.key.day) for gap in gaps[:_MAX_GAPS])
        if not wanted:
            return
        by_key = defaultdict[tuple[str | None, str], list[OurCall]](list)
        for call in self._calls_of(wanted, self.zone):
            day = day_of(call.at[:15], self.zone)
            for key in ((call.model, day), (None, day)):
                if key in wanted and len(by_key[key]) < _MAX_CALLS:
                    by_key[key].append(call)
        self._calls = dict(by_key)

    def _calls_of_gap(self, gap: Gap) -> list[OurCall]:
        return self._calls.get((gap.key.model, gap.key.day), [])

    def _fits(self, gap: Gap, calls: Sequence[OurCall], sign: int) -> bool:
        """Tell whether calls are exactly a gap; ``sign`` is 1 if the bill has more, -1 if we have."""
        if gap.says_tokens:
            sums = [sum(call.counts[index] for call in calls) for index in range(4)]
            return all(
                lacking is None or lacking == sign * total
                for lacking, total in zip(gap.counts, sums, strict=True)
            )
        cost = sum(call.cost or 0 for call in calls)
        return gap.cost is not None and abs(gap.cost - sign * cost) <= gap.tolerance()

    # --- reasons, the most certain first; each returns the gaps that it does not explain

    def _by_tier(self, gaps: list[Gap]) -> list[Gap]:
        unexplained = self._pair_up(gaps, lambda gap: (gap.key.model, gap.key.day), self._report_tier)
        return self._tier_beside_others(unexplained)

    def _tier_beside_others(self, gaps: list[Gap]) -> list[Gap]:
        """Explain calls billed in another tier even if something else differs in their own tier."""
        unexplained = {gap.key: gap for gap in gaps}
        gaps_of_day = Counter((gap.key.model, gap.key.day) for gap in gaps)
        for more in gaps:
            is_paired = more.says_tokens and gaps_of_day[more.key.model, more.key.day] > 1
            for call in self._calls_of_gap(more) if is_paired else ():
                key = more.key._replace(tier=call.tier)
                if (
                    key == more.key
                    or not {key, more.key} <= unexplained.keys()
                    or not self._fits(more, [call], 1)
                ):
                    continue
                rest = self._without(unexplained[key], [call], -1)
                sign = 1 if rest.surplus > 0 else -1
                if _differs_in_kind(rest) or any(
                    self._fits(rest, [other], sign) for other in self._calls_of_gap(rest)
                ):
                    self._report_tier(more, self._part(unexplained[key], [call], -1), (call.entry_id,))
                    unexplained[key] = rest
                    del unexplained[more.key]
        return list(unexplained.values())

    def _is_other_tier(self, gap: Gap, other: Gap) -> bool:
        """Tell whether what one tier lacks is under another tier, at that tier's price."""
        if gap.says_tokens or other.says_tokens:
            return gap.opposes(other)
        if gap.cost is None or other.cost is None or gap.cost * other.cost >= 0:
            return False
        less, more = (gap.cost, other.cost) if gap.cost < 0 else (other.cost, gap.cost)
        slack = gap.tolerance() + other.tolerance()
        is_known = any(abs(-less - (call.cost or 0)) <= slack for call in self._calls_of_gap(gap))
        # Not exactly half or twice: some batches do not discount cached tokens.
        is_at_rate = 0.4 <= more / -less <= 0.75 or 1.5 <= more / -less <= 2.5
        return (is_known and is_at_rate) or abs(less + more) <= slack

    def _report_tier(self, more: Gap, less: Gap, entries: tuple[str, ...] = ()) -> None:
        tiers = f"recorded as {less.key.tier or 'standard'}, billed as {more.key.tier or 'standard'}"
        costs = (more.cost or 0) + (less.cost or 0)
        costs_less = abs(costs) <= more.tolerance() + less.tolerance() and more.theirs.cost is not None
        self._report_pair("moved" if costs_less else "priced_differently", "tier", more, less, tiers, entries)

    def _by_next_day(self, gaps: list[Gap]) -> list[Gap]:
        unexplained = {gap.key: gap for gap in gaps}
        for gap in gaps:
            after = unexplained.get(gap.key._replace(day=day_after(gap.key.day)))
            if after is None or unexplained.get(gap.key) is not gap:
                continue
            source: Gap = gap
            moved, rest = (
                (after, None) if gap.opposes(after) else self._split(gap, after, unexplained.values())
            )
            if moved is None and (call := self._moved_beside(gap, after, unexplained.values())) is not None:
                moved, source, rest = after, self._part(gap, [call], -1), self._without(gap, [call], -1)
            if moved is None:
                continue
            reason: Reason = "batch_day" if gap.key.tier == "batch" else "day_boundary"
            self._report_pair("moved", reason, moved, source, note=f"{gap.key.day} and the next day")
            del unexplained[gap.key], unexplained[after.key]
            if rest is not None:
                unexplained[rest.key] = rest
        return list(unexplained.values())

    def _moved_beside(self, gap: Gap, after: Gap, among: Iterable[Gap]) -> OurCall | None:
        """Return the call that is the next day's whole surplus, if this day's rest is of another tier."""
        calls = self._calls_of_gap(gap) if after.says_tokens else ()
        call = next((c for c in calls if c.tier == gap.key.tier and self._fits(after, [c], 1)), None)
        if call is None:
            return None
        rest = self._without(gap, [call], -1)
        others = [
            other for other in among if other.key._replace(tier=gap.key.tier) == gap.key and other is not gap
        ]
        return call if any(self._is_other_tier(rest, other) for other in others) else None

    def _split(self, gap: Gap, after: Gap, among: Iterable[Gap]) -> tuple[Gap | None, Gap | None]:
        """Split the next day's surplus into what this day lacks and a rest, if the rest can be explained."""
        if not gap.surplus < 0 < after.surplus or (gap.says_tokens and not gap.has_usage):
            return None, None
        moved = ComparedSums(1, gap.ours.calls - gap.theirs.calls, _negated(gap.counts))
        moved.cost = None if gap.cost is None else -gap.cost
        moved.note(after.theirs.lines, after.theirs.invoices)
        counts = _sum(after.counts, gap.counts)
        rest = Gap(
            after.key,
            _subtract(after.theirs, moved),
            after.ours,
            (counts[0], counts[1], counts[2], counts[3]),
            None if gap.cost is None or after.cost is None else after.cost + gap.cost,
        )
        model_and_day = rest.key.model, rest.key.day
        others = [
            other
            for other in among
            if other is not after and (other.key.model, other.key.day) == model_and_day
        ]
        sign = 1 if rest.surplus > 0 else -1
        if any(self._is_other_tier(rest, other) for other in others) or any(
            self._fits(rest, [call], sign) for call in self._calls_of_gap(rest)
        ):
            zeros = ComparedSums(counts=[0, 0, 0, 0], cost=0)
            negated = _negated(gap.counts)
            return Gap(
                after.key, moved, zeros, (negated[0], negated[1], negated[2], negated[3]), moved.cost
            ), rest
        return None, None

    def _pair_up(
        self, gaps: list[Gap], group: Callable[[Gap], object], report: Callable[[Gap, Gap], None]
    ) -> list[Gap]:
        groups = defaultdict[object, list[Gap]](list)
        for gap in gaps:
            groups[group(gap)].append(gap)
        unexplained = []
        for group_gaps in groups.values():
            while group_gaps:
                gap = group_gaps.pop()
                other = next(
                    (candidate for candidate in group_gaps if self._is_other_tier(gap, candidate)), None
                )
                if other is None:
                    unexplained.append(gap)
                    continue
                group_gaps.remove(other)
                report(*((gap, other) if gap.surplus > 0 else (other, gap)))
        return sorted(unexplained, key=lambda gap: tuple(map(str, gap.key)))

    def _by_calls(self, gaps: list[Gap]) -> list[Gap]:
        unexplained = []
        for gap in gaps:
            calls = self._calls_of_gap(gap)
            if gap.surplus > 0:
                retried = next((call for call in calls if self._fits(gap, [call], 1)), None)
                if retried is not None and (gap.ours.calls or gap.key.tier):
                    self._report_difference("only_theirs", "retry", gap, calls=1, entries=(retried.entry_id,))
                    continue
            else:
                repeated = _repeated(
                    [call for call in calls if not self._billed.has_tiers or call.tier == gap.key.tier]
                )
                if repeated and self._fits(gap, repeated, -1):
                    ids = tuple(call.entry_id for call in repeated)
                    self._report_difference(
                        "only_ours", "recorded_twice", gap, calls=len(repeated), entries=ids
                    )
                    continue
                only_ours = next((call for call in calls if self._fits(gap, [call], -1)), None)
                if only_ours is not None:
                    reason: Reason = "late" if self._is_young(gap.key.day) else "not_billed"
                    self._report_difference("only_ours", reason, gap, calls=1, entries=(only_ours.entry_id,))
                    continue
            unexplained.append(gap)
        return unexplained

    def _by_kind(self, gaps: list[Gap]) -> list[Gap]:
        unexplained = []
        for gap in gaps:
            lacking_in, lacking_out, *cached = gap.counts
            both_sides = gap.theirs.rows and gap.ours.calls
            if both_sides and not gap.says_tokens and (reason := _by_costs(gap)):
                self._report_difference("usage_differs", reason, gap)
            elif both_sides and not lacking_in and not lacking_out and any(cached):
                self._report_difference("usage_differs", "cache", gap)
            elif both_sides and lacking_in == 0 and lacking_out and lacking_out > 0:
                self._report_difference("usage_differs", "reasoning", gap)
            else:
                unexplained.append(gap)
        return unexplained

    def _by_two_reasons(self, gaps: list[Gap]) -> list[Gap]:
        """Explain gaps with two reasons, one of which is single calls of the day."""
        unexplained = {gap.key: gap for gap in gaps}
        for gap in gaps:
            if unexplained.get(gap.key) is not gap or not gap.ours.calls:
                continue
            calls = self._calls_of_gap(gap)
            repeated = _repeated(
                [call for call in calls if not self._billed.has_tiers or call.tier == gap.key.tier]
            )
            rest = self._without(gap, repeated, -1) if repeated else gap
            are_certain = all(call.request_id for call in repeated)
            if repeated and (_differs_in_kind(rest) or (are_certain and _lacks_all(rest))):
                ids = tuple(call.entry_id for call in repeated)
                self._report_difference(
                    "only_ours",
                    "recorded_twice",
                    self._part(gap, repeated, -1),
                    calls=len(repeated),
                    entries=ids,
                )
            elif (retried := self._retried_beside(gap, calls)) is not None:
                rest = self._without(gap, [retried], 1)
                part = self._part(gap, [retried], 1)
                self._report_difference("only_theirs", "retry", part, calls=1, entries=(retried.entry_id,))
            else:
                continue
            del unexplained[gap.key]
            unexplained |= {other.key: other for other in self._by_kind(self._by_calls([rest]))}
        return list(unexplained.values())

    def _retried_beside(self, gap: Gap, calls: Sequence[OurCall]) -> OurCall | None:
        """Return the call that was billed twice, if without it only kinds of tokens differ."""
        if gap.says_tokens:
            calls = [call for call in calls if call.counts[:2] == gap.counts[:2]]
        candidates = (call for call in calls[:_MAX_TRIED] if _differs_in_kind(self._without(gap, [call], 1)))
        return next(candidates, None)

    def _without(self, gap: Gap, calls: Sequence[OurCall], sign: int) -> Gap:
        """Return a gap without calls: with ``sign`` 1 without calls billed twice, with -1 without ours."""
        part = _sums_of(calls)
        counts = [
            None if a is None else a - sign * (b or 0) for a, b in zip(gap.counts, part.counts, strict=True)
        ]
        theirs, ours = (
            (_subtract(gap.theirs, part), gap.ours) if sign > 0 else (gap.theirs, _subtract(gap.ours, part))
        )
        cost = None if gap.cost is None else gap.cost - sign * (part.cost or 0)
        return Gap(gap.key, theirs, ours, (counts[0], counts[1], counts[2], counts[3]), cost)

    def _part(self, gap: Gap, calls: Sequence[OurCall], sign: int) -> Gap:
        """Return the part of a gap that calls make up: billed twice with ``sign`` 1, only ours with -1."""
        part, zeros = _sums_of(calls), ComparedSums(counts=[0, 0, 0, 0], cost=0)
        counts = [
            None if a is None else sign * (b or 0) for a, b in zip(gap.counts, part.counts, strict=True)
        ]
        theirs, ours = (part, zeros) if sign > 0 else (zeros, part)
        theirs.cost = None if gap.cost is None else theirs.cost
        theirs.note(gap.theirs.lines, gap.theirs.invoices)
        cost = None if gap.cost is None else sign * (part.cost or 0)
        return Gap(gap.key, theirs, ours, (counts[0], counts[1], counts[2], counts[3]), cost)

    def _by_price(self, gaps: list[Gap]) -> list[Gap]:
        unexplained = []
        is_same_everywhere = self._is_one_factor(gaps)
        for gap in gaps:
            if gap.has_usage or not gap.theirs.rows or not gap.ours.calls:
                unexplained.append(gap)
            elif gap.ours.unpriced:
                self._report_difference(
                    "priced_differently", "unpriced", gap, note=f"{gap.ours.unpriced:,} calls"
                )
            elif gap.theirs.cost is None or not gap.ours.cost:
                unexplained.append(gap)
            else:
                self._report_factor(gap, gap.theirs.cost / gap.ours.cost, throughout=is_same_everywhere)
        return unexplained

    @staticmethod
    def _is_one_factor(gaps: Sequence[Gap]) -> bool:
        """Tell whether several sums differ by the same factor."""
        factors = [
            gap.theirs.cost / gap.ours.cost
            for gap in gaps
            if gap.theirs.cost and gap.ours.cost and not gap.has_usage
        ]
        return len(factors) >= _SEVERAL and max(factors) / min(factors) <= 1 + _SAME_FACTOR

    def _report_factor(self, gap: Gap, factor: float, *, throughout: bool) -> None:
        if factor < 1 and not gap.says_tokens and self._is_young(gap.key.day):
            self._report_difference("only_ours", "late", gap, factor=factor)
            return
        for reason, table in (("unit", _UNITS), ("tier", _TIERS)):
            for known, text in table:
                if abs(factor / known - 1) <= _SAME_FACTOR:
                    self._report_difference("priced_differently", reason, gap, factor=factor, note=text)  # type: ignore[arg-type]  # both are reasons
                    return
        fresh = gap.ours.kinds[0] or 0
        if gap.says_tokens and gap.counts[2] is None and not throughout and -fresh < (gap.cost or 0) < 0:
            self._report_difference(
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
        self._report_difference(kind, reason_, gap, factor=factor, note="or another price" if missing else "")

    def _by_side(self, gaps: list[Gap]) -> list[Gap]:
        for gap in gaps:
            if gap.surplus > 0 or not gap.ours.calls:
                self._report_difference(
                    "only_theirs", "not_recorded", gap, calls=max(gap.theirs.calls - gap.ours.calls, 0)
                )
            elif self._is_young(gap.key.day):
                self._report_difference("only_ours", "late", gap, calls=gap.ours.calls)
            else:
                calls = gap.ours.calls - gap.theirs.calls if gap.theirs.calls else 0
                self._report_difference("only_ours", "not_billed", gap, calls=calls)
        return []

    def _compare_tools(self) -> None:
        theirs, ours = self._billed.tools(), self._recorded.tools(self._billed, self.zone)
        if not theirs and not self._states_costs():
            return
        for day in sorted({*theirs, *ours}):
            cell = theirs.get(day) or ComparedSums(cost=0)
            if cell.cost is None:
                continue  # in a currency without a rate, which the report says elsewhere
            billed = Nanos(cell.cost)
            slack = OUR_ROUNDING if self._rate is None else OUR_ROUNDING + round(billed * _SAME_FACTOR)
            if abs(billed - ours[day]) <= slack:
                self._comparison.agreed.theirs += billed
                self._comparison.agreed.ours += ours[day]
                continue
            self._report_overall(
                "tools",
                kind="only_theirs" if billed > ours[day] else "only_ours",
                day=day,
                theirs=billed,
                ours=Nanos(ours[day]),
                amount=Nanos(billed - ours[day]),
                lines=cell.lines,
                invoice=_single(cell.invoices),
                settled=not self._is_young(day),
            )

    # --- reporting

    def _is_young(self, day: str) -> bool:
        return end_of(day, self.zone) + self._billed.lateness > self._as_of

    def _report_difference(self, kind: Kind, reason: Reason, gap: Gap, **fields: Any) -> None:
        """Add a difference to the comparison; ``fields`` are further fields of it."""
        if kind == "only_ours" and self._billed.in_part:
            return
        theirs, ours = _side(gap.theirs), _side(gap.ours)
        key = gap.key
        amount = 0 if theirs is None or gap.cost is None or abs(gap.cost) <= gap.tolerance() else gap.cost
        difference = Difference(
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
            invoice=_single(gap.theirs.invoices),
            lacking=(gap.counts[0] or 0, gap.counts[1] or 0),
            tiers=(key.tier,),
        )
        self._comparison.differences.append(difference._replace(**fields))

    def _report_pair(
        self, kind: Kind, reason: Reason, more: Gap, less: Gap, note: str, entries: tuple[str, ...] = ()
    ) -> None:
        """Report two gaps as one difference."""
        both = Gap(
            more.key,
            _added(more.theirs, less.theirs),
            _added(more.ours, less.ours),
            more.counts,
            None if more.cost is None or less.cost is None else more.cost + less.cost,
        )
        calls = max(more.theirs.calls, less.ours.calls)
        self._report_difference(
            kind, reason, both, calls=calls, note=note, tiers=(less.key.tier,), entries=entries
        )

    def _report_overall(self, reason: Reason, **fields: Any) -> None:
        """Add a difference about all sums at once; its amounts are already in those sums."""
        difference = Difference("moved", reason, self._billed.service, None, None, None, None, None, Nanos(0))
        self._comparison.differences.append(difference._replace(**fields))


_SEVERAL: Final = 3
"""With this many differing sums, other time zones are tried."""

_MAX_GAPS: Final = 10_000
_MAX_CALLS: Final = 50_000
_MAX_TRIED: Final = 1_000
_REPEAT_WITHIN: Final = timedelta(minutes=10)

_ZONES: Final[tuple[tzinfo, ...]] = (
    UTC,
    ZoneInfo("America/Los_Angeles"),
    ZoneInfo("America/New_York"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Asia/Kolkata"),
    *(timezone(timedelta(hours=hours), f"UTC{hours:+03d}:00") for hours in range(-12, 15) if hours),
)


def _single(invoices: frozenset[str]) -> str | None:
    return next(iter(invoices)) if len(invoices) == 1 else None


def _side(sums: ComparedSums) -> Nanos | None:
    return None if sums.cost is None else Nanos(sums.cost)


def _factor(theirs: int | None, ours: int | None) -> float | None:
    return theirs / ours if theirs is not None and ours else None


def _by_costs(gap: Gap) -> Reason | None:
    """Return the reason that costs by kind of token show, for a bill that states no tokens."""
    if None in gap.theirs.kinds[:2]:
        return None
    slack = gap.tolerance()
    fresh, output, cache_read, cache_write = (
        (theirs or 0) - (ours or 0) for theirs, ours in zip(gap.theirs.kinds, gap.ours.kinds, strict=True)
    )
    if (
        abs(output) <= slack
        and (abs(cache_read) > slack or abs(cache_write) > slack)
        and fresh * (cache_read + cache_write) < 0
    ):
        return "cache"
    return "reasoning" if abs(fresh) <= slack and abs(cache_read) <= slack and output > slack else None


def _added(sums: ComparedSums, other: ComparedSums) -> ComparedSums:
    total = ComparedSums(sums.rows + other.rows, sums.calls + other.calls)
    total.counts = [
        None if a is None and b is None else (a or 0) + (b or 0)
        for a, b in zip(sums.counts, other.counts, strict=True)
    ]
    total.cost = None if sums.cost is None and other.cost is None else (sums.cost or 0) + (other.cost or 0)
    total.unpriced, total.half_units = sums.unpriced + other.unpriced, sums.half_units + other.half_units
    for side in (sums, other):
        total.note(side.lines, side.invoices)
    return total


def _repeated(calls: Sequence[OurCall]) -> list[OurCall]:
    """Return the calls that repeat another: the same request id, or the same counts within minutes."""
    repeats, last = [], dict[object, OurCall]()
    for call in sorted(calls, key=lambda call: (call.at, call.entry_id)):
        by_id = ("id", call.request_id) if call.request_id else None
        by_counts = ("counts", call.model, call.tier, call.counts, call.cost)
        earlier = (by_id and last.get(by_id)) or last.get(by_counts)
        if earlier is not None and (earlier.request_id == call.request_id or _are_near(earlier, call)):
            repeats.append(call)
            continue
        last[by_counts] = call
        if by_id:
            last[by_id] = call
    return repeats


def _are_near(call: OurCall, other: OurCall) -> bool:
    if call.request_id and other.request_id and call.request_id != other.request_id:
        return False
    return abs(datetime.fromisoformat(call.at) - datetime.fromisoformat(other.at)) <= _REPEAT_WITHIN
