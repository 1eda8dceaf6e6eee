"""Compares lines that are single calls: by the response's id, else by model, tokens and time.

Lines and calls without a match are explained: billed twice, recorded twice, or too recent. Memory does not
grow with the number of rows (``partitions.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Final, NamedTuple

from ...money import NANOS_PER_USD, Nanos
from ..bills import BillFormat, BillLine, CallColumns
from .adjusting import Adjuster, MissingCall
from .calls import OurCall
from .differences import Comparison, Difference, Kind, Reason
from .names import folded
from .partitions import PARTS, Partitions, Row

MINUTES: Final = 60
NEAR_S: Final = 2 * MINUTES
"""How far apart two records of one call may be without a common id, in seconds."""

RETRY_S: Final = 15 * MINUTES
"""Within how many seconds a client retries a call."""

_ROUNDING: Final = 2
"""How much rounding may change an amount, in nano-dollars, besides the rounding to the bill's unit."""

_SAME_FACTOR: Final = 0.005

_AMOUNT_INDEX: Final = 8
"""The index of the amount in a line, and of the cost in a call."""

_NO_COUNTS: Final = (-1, -1, -1, -1)
_MAX_KEYS: Final = 100_000
_EXAMPLES: Final = 5


class StagedBillLine(NamedTuple):
    """A line in a partition: ``amount`` in nano-dollars, ``at`` in seconds since 1970; -1: not stated.

    ``where`` is the index of its file in ``CallJoin.files``, and its position or line number there.
    """

    id: str
    where: tuple[int, str | int]
    service: str
    model: str
    at: float
    tokens_input: int
    tokens_output: int
    tokens_cached: int
    amount: int | None


class StagedCall(NamedTuple):
    """A call in a partition: ``cost`` in nano-dollars with fees of tools, ``at`` in seconds since 1970."""

    id: str
    entry_id: str
    service: str
    model: str
    at: float
    tokens_input: int
    tokens_output: int
    tokens_cached: int
    cost: int | None
    cached_cost: int


@dataclass(slots=True)
class _DifferenceSum:
    """A difference that is being summed: calls of one reason, model and service."""

    calls: int = 0
    theirs: int = 0
    ours: int = 0
    theirs_tokens: int = 0
    ours_tokens: int = 0
    lines: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    first: float = float("inf")
    billed: bool = False


class CallJoin:
    """Joins the calls on the bills of one format with ours."""

    def __init__(
        self,
        bill_format: BillFormat,
        folder: Path,
        as_of: datetime,
        comparison: Comparison,
        adjuster: Adjuster | None = None,
    ) -> None:
        self._format = bill_format
        self._comparison = comparison
        self._adjuster = adjuster
        self._settled_until = (as_of - bill_format.lateness).timestamp()
        self._theirs = Partitions(folder, f"{bill_format.name}-theirs")
        self._ours = Partitions(folder, f"{bill_format.name}-ours")
        self._unmatched_theirs = Partitions(folder, f"{bill_format.name}-left-theirs")
        self._unmatched_ours = Partitions(folder, f"{bill_format.name}-left-ours")
        self._sums = defaultdict[tuple[Kind, Reason, str, str, bool, str], _DifferenceSum](_DifferenceSum)
        self._tolerance = _ROUNDING + round(bill_format.unit * NANOS_PER_USD / 2)
        self._duplicate_lines = 0
        self.files: list[str] = []
        """The names of the bills whose lines were added."""

    def add_line(self, line: BillLine, rate: Decimal | None) -> None:
        """Add a line of the last of ``files``; without a rate for its currency only tokens are compared."""
        amount = line.amount
        nanos = None if amount is None or rate is None else round(amount * rate * NANOS_PER_USD)
        fresh, output, cached, _ = line.counts or _NO_COUNTS
        model = folded(line.model) if line.model else ""
        key = line.response_id or ""
        where = len(self.files) - 1, line.where
        at = line.at.timestamp()
        self._theirs.add(key, (key, where, line.service, model, at, fresh, output, cached, nanos))

    def add_lines(self, calls: CallColumns, rate: Decimal | None) -> None:
        """Add many lines of the last of ``files``."""
        scale, where = (rate or Decimal(0)) * NANOS_PER_USD, len(self.files) - 1
        nanos: Iterable[int | None] = map(round, map(scale.__mul__, calls.amounts))
        rows = zip(
            calls.ids,
            zip(repeat(where), calls.lines, strict=False),
            calls.services,
            map(folded, calls.models),
            map(datetime.timestamp, calls.ats),
            calls.tokens_input,
            calls.tokens_output,
            calls.tokens_cached,
            nanos if rate is not None else repeat(None),
            strict=False,
        )
        self._theirs.add_all(calls.ids, rows)

    def add_calls(self, calls: Sequence[OurCall]) -> None:
        """Add many calls of ours."""
        entry_ids, texts, services, models, _, request_ids, counts, costs, tools, parts = zip(
            *calls, strict=True
        )
        keys = [request_id or "" for request_id in request_ids]
        fresh, output, cached, _ = zip(*counts, strict=True)
        rows = zip(
            keys,
            entry_ids,
            services,
            models,
            map(datetime.timestamp, map(datetime.fromisoformat, texts)),
            fresh,
            output,
            cached,
            [None if cost is None else cost + fees for cost, fees in zip(costs, tools, strict=True)],
            [round(by_unit["cached"] * NANOS_PER_USD) if "cached" in by_unit else 0 for by_unit in parts],
            strict=True,
        )
        self._ours.add_all(keys, rows)

    def run(self) -> None:
        """Compare, and add the result to the comparison."""
        for number in range(PARTS):
            self._match_by_id(number)
        unmatched: dict[tuple[str, int, int], list[StagedBillLine]] = {}
        for number in range(PARTS):
            for line in self._match_by_content(number):
                if len(unmatched) < _MAX_KEYS:
                    unmatched.setdefault(_match_key(line), []).append(line)
                else:
                    self._add_unmatched_line(line, "not_recorded")
        self._explain_unmatched(unmatched)
        self._add_differences()
        for side in (self._theirs, self._ours, self._unmatched_theirs, self._unmatched_ours):
            side.__exit__(None, None, None)

    def _match_by_id(self, number: int) -> None:
        ours: dict[str, Row] = {}
        for row in self._ours.part(number):
            if not row[0]:
                self._unmatched_ours.add(_match_key(row), row)
            elif row[0] in ours:
                self._add_duplicate_call(StagedCall._make(row))
            else:
                ours[row[0]] = row
        seen_ids, agreed = set[str](), self._comparison.agreed
        for row in self._theirs.part(number):
            key = row[0]
            if key in seen_ids and key:
                self._duplicate_lines += 1
                continue
            seen_ids.add(key)
            match = ours.get(key)
            if match is None:
                self._unmatched_theirs.add(_match_key(row), row)
            elif self._agrees(row, match):
                cost = match[_AMOUNT_INDEX] or 0
                agreed.count += 1
                agreed.calls += 1
                agreed.theirs += cost if row[_AMOUNT_INDEX] is None else row[_AMOUNT_INDEX]
                agreed.ours += cost
            else:
                self._compare_pair(StagedBillLine._make(row), StagedCall._make(match))
        for key, row in ours.items():
            if key not in seen_ids:
                self._unmatched_ours.add(_match_key(row), row)

    def _agrees(self, line: Row, call: Row) -> bool:
        """Tell whether a line and a call agree; works on raw rows, because most pairs agree."""
        if line[5] != call[5] or line[6] != call[6] or (line[7] != call[7] and line[7] >= 0):
            return False
        amount, cost = line[_AMOUNT_INDEX], call[_AMOUNT_INDEX]
        if amount is None:
            return True
        return cost is not None and -self._tolerance <= amount - cost <= self._tolerance

    def _add_duplicate_call(self, call: StagedCall) -> None:
        self._add_to_difference("only_ours", "recorded_twice", ours=call)
        if self._adjuster is not None and self._is_settled(call.at):
            self._adjuster.undo(call.entry_id, f"response {call.id}")

    def _match_by_content(self, number: int) -> Iterator[StagedBillLine]:
        """Match the rest by model, tokens and time; yield the lines that still have no match."""
        ours = defaultdict[tuple[str, int, int], list[StagedCall]](list)
        for row in self._unmatched_ours.part(number):
            call = StagedCall._make(row)
            ours[_match_key(call)].append(call)
        for row in self._unmatched_theirs.part(number):
            line = StagedBillLine._make(row)
            near = [call for call in ours[_match_key(line)] if self._may_match(line, call)]
            if not near:
                yield line
                continue
            call = min(near, key=lambda call: abs(call.at - line.at))
            ours[_match_key(line)].remove(call)
            self._compare_pair(line, call)
        for calls in ours.values():
            for call in calls:
                self._add_unmatched_call(call)

    def _may_match(self, line: StagedBillLine, call: StagedCall) -> bool:
        if line.id and call.id and not self._format.loose_ids:
            return False
        return abs(line.at - call.at) <= NEAR_S and line.tokens_input >= 0

    def _explain_unmatched(self, unmatched: dict[tuple[str, int, int], list[StagedBillLine]]) -> None:
        """Add a difference for each unmatched line: a retry if it repeats a recorded call."""
        times_by_key = defaultdict[tuple[str, int, int], list[float]](list)
        for number in range(PARTS) if unmatched else ():
            for row in self._ours.part(number):
                key = _match_key(row)
                if key in unmatched and len(times_by_key[key]) < _MAX_KEYS:
                    times_by_key[key].append(row[4])
        for key, lines in unmatched.items():
            for line in lines:
                is_retry = any(abs(time - line.at) <= RETRY_S for time in times_by_key.get(key, ()))
                self._add_unmatched_line(line, "retry" if is_retry else "not_recorded")

    # --- pairs

    def _compare_pair(self, line: StagedBillLine, call: StagedCall) -> None:
        same_tokens = line.tokens_input < 0 or (line.tokens_input, line.tokens_output) == call[5:7]
        if not same_tokens:
            reason: Reason = "counts"
            if line.tokens_input == call.tokens_input and line.tokens_output > call.tokens_output:
                reason = "reasoning"
            self._add_to_difference("usage_differs", reason, line, call)
        elif line.tokens_cached not in (-1, call.tokens_cached):
            self._add_to_difference("usage_differs", "cache", line, call)
        elif line.amount is not None and call.cost is None:
            self._add_to_difference("priced_differently", "unpriced", line, call)
        elif (
            line.amount is not None
            and call.cost is not None
            and abs(line.amount - call.cost) > self._tolerance
        ):
            reason, note = self._price_reason(line.amount, call.cost, call.cached_cost)
            self._add_to_difference("priced_differently", reason, line, call, note)
        else:
            agreed = self._comparison.agreed
            agreed.count += 1
            agreed.calls += 1
            agreed.theirs += line.amount if line.amount is not None else call.cost or 0
            agreed.ours += call.cost or 0
            return
        if self._adjuster is not None and line.amount is not None and self._is_settled(line.at):
            self._adjuster.correct(
                call.entry_id, line.amount - (call.cost or 0), self._position_of(line), whole=True
            )

    def _price_reason(self, theirs: int, ours: int, cached: int) -> tuple[Reason, str]:
        if not ours:
            return "price", ""
        factor = theirs / ours
        for known, reason, note in _FACTORS:
            # The price of cached tokens may be unchanged.
            at_rate = abs(theirs - cached - (ours - cached) * known) <= self._tolerance
            if at_rate or abs(factor / known - 1) <= _SAME_FACTOR:
                return reason, note
        return ("margin" if self._format.estimates else "price"), ""

    def _add_unmatched_line(self, line: StagedBillLine, reason: Reason) -> None:
        self._add_to_difference("only_theirs", reason, line)
        if self._adjuster is not None and line.amount is not None and self._is_settled(line.at):
            at = datetime.fromtimestamp(line.at, UTC)
            tokens = line.tokens_input, line.tokens_output
            missing = MissingCall(
                line.service,
                line.model or None,
                at,
                *tokens,
                line.amount,
                self._position_of(line),
                line.id or None,
            )
            self._adjuster.add(missing)

    def _is_settled(self, at: float) -> bool:
        """Tell whether a line is final: not an estimate, and too old to change."""
        return not self._format.estimates and at <= self._settled_until

    def _add_unmatched_call(self, call: StagedCall) -> None:
        if self._format.in_part:
            return
        reason: Reason = "late" if call.at > self._settled_until else "not_billed"
        self._add_to_difference("only_ours", reason, ours=call)

    def _position_of(self, line: StagedBillLine) -> str:
        """Return the position of a line in words: its file, and its position there."""
        number, where = line.where
        return f"{self.files[number]}: {where if isinstance(where, str) else f'line {where}'}"

    def _add_to_difference(
        self,
        kind: Kind,
        reason: Reason,
        theirs: StagedBillLine | None = None,
        ours: StagedCall | None = None,
        note: str = "",
    ) -> None:
        either = ours or theirs
        assert either is not None
        at = theirs.at if theirs and theirs.at > 0 else either.at
        total = self._sums[kind, reason, either.service, either.model, at > self._settled_until, note]
        total.calls += 1
        total.first = min(total.first, at)
        if theirs is not None:
            total.theirs += theirs.amount or 0
            total.billed |= theirs.amount is not None
            total.theirs_tokens += max(theirs.tokens_input, 0) + max(theirs.tokens_output, 0)
            if len(total.lines) < _EXAMPLES:
                total.lines.append(self._position_of(theirs))
        if ours is not None:
            total.ours += ours.cost or 0
            total.ours_tokens += ours.tokens_input + ours.tokens_output
            if len(total.entries) < _EXAMPLES:
                total.entries.append(ours.entry_id)

    def _add_differences(self) -> None:
        for (kind, reason, service, model, is_young, note), total in self._sums.items():
            theirs = Nanos(total.theirs) if total.billed or kind == "only_ours" else None
            amount = Nanos(0) if theirs is None else Nanos(theirs - total.ours)
            day = f"{datetime.fromtimestamp(total.first, UTC):%Y-%m-%d}" if total.first > 0 else None
            factor = total.theirs / total.ours if total.billed and total.ours else None
            self._comparison.differences.append(
                Difference(
                    kind,
                    reason,
                    service,
                    model or None,
                    None,
                    day,
                    theirs,
                    Nanos(total.ours),
                    amount,
                    total.theirs_tokens,
                    total.ours_tokens,
                    total.calls,
                    factor,
                    not is_young,
                    note,
                    tuple(total.lines),
                    tuple(total.entries),
                    is_of_calls=True,
                )
            )
        if self._duplicate_lines:
            self._comparison.notes.append(
                f"{self._duplicate_lines:,} lines of {self._format.name} are there twice: each counts once"
            )


_FACTORS: Final[tuple[tuple[float, Reason, str], ...]] = (
    (0.5, "tier", "half: the batch or flex tier"),
    (2.0, "tier", "twice: the priority tier, or recorded as batch"),
    (100.0, "unit", "cents read as dollars"),
    (1_000.0, "unit", "a thousand times as much"),
)


def _match_key(row: Row) -> tuple[str, int, int]:
    """Return the key by which a line and a call match without a common id: model and tokens."""
    return row[3], row[5], row[6]
