"""Comparing lines that are single calls: by the response's id, else by model, tokens and time.

What is left of both sides is looked at again: a call that was billed twice, one that was recorded twice, one
that is too young. Memory does not grow with the rows (``partitions.py``).
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
"""How far apart two records of one call may be, in seconds, where no id tells."""

AGAIN_S: Final = 15 * MINUTES
"""Within which time a client tries again."""

_SLACK: Final = 2
"""By how much an amount may be off through rounding, in nano-dollars, besides the bill's own unit."""

_SAME_FACTOR: Final = 0.005

_AMOUNT: Final = 8
"""The place of the amount in a line, and of the cost in a call."""

_NO_COUNTS: Final = (-1, -1, -1, -1)
_MOST_KEYS: Final = 100_000
_EXAMPLES: Final = 5


class StagedBillLine(NamedTuple):
    """A line as it is kept: ``amount`` in nano-dollars, ``at`` in seconds; -1 for counts not stated.

    ``where`` is the place of its file among ``Joined.files``, and its own place there or its line's number.
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
    """A call as it is kept: ``cost`` with the fees of tools, in nano-dollars, ``at`` in seconds."""

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
    """A difference that grows: calls of one reason, model and service."""

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
    """Joins the calls of one bill's lines with ours."""

    def __init__(
        self,
        of: BillFormat,
        folder: Path,
        as_of: datetime,
        into: Comparison,
        adjuster: Adjuster | None = None,
    ) -> None:
        self._of = of
        self._into = into
        self._adjuster = adjuster
        self._young_from = (as_of - of.lateness).timestamp()
        self._theirs = Partitions(folder, f"{of.name}-theirs")
        self._ours = Partitions(folder, f"{of.name}-ours")
        self._left_theirs = Partitions(folder, f"{of.name}-left-theirs")
        self._left_ours = Partitions(folder, f"{of.name}-left-ours")
        self._sums = defaultdict[tuple[Kind, Reason, str, str, bool, str], _DifferenceSum](_DifferenceSum)
        self._tolerance = _SLACK + round(of.unit * NANOS_PER_USD / 2)
        self._twice = 0
        self.files: list[str] = []
        """The names of the bills that lines were taken from."""

    def bill(self, line: BillLine, rate: Decimal | None) -> None:
        """Take a line of the last of ``files``; without a rate for its currency only tokens are compared."""
        amount = line.amount
        nanos = None if amount is None or rate is None else round(amount * rate * NANOS_PER_USD)
        fresh, output, cached, _ = line.counts or _NO_COUNTS
        model = folded(line.model) if line.model else ""
        key = line.response_id or ""
        where = len(self.files) - 1, line.where
        at = line.at.timestamp()
        self._theirs.add(key, (key, where, line.service, model, at, fresh, output, cached, nanos))

    def bill_all(self, calls: CallColumns, rate: Decimal | None) -> None:
        """Take many lines as :meth:`bill` takes one."""
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

    def record(self, calls: Sequence[OurCall]) -> None:
        """Take calls of ours, many at a time."""
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
            [round(each["cached"] * NANOS_PER_USD) if "cached" in each else 0 for each in parts],
            strict=True,
        )
        self._ours.add_all(keys, rows)

    def run(self) -> None:
        """Compare, and put what was found into the comparison."""
        for number in range(PARTS):
            self._by_id(number)
        again: dict[tuple[str, int, int], list[StagedBillLine]] = {}
        for number in range(PARTS):
            for line in self._by_likeness(number):
                if len(again) < _MOST_KEYS:
                    again.setdefault(_likeness(line), []).append(line)
                else:
                    self._only_theirs(line, "not_recorded")
        self._retried(again)
        self._tell()
        for side in (self._theirs, self._ours, self._left_theirs, self._left_ours):
            side.__exit__(None, None, None)

    def _by_id(self, number: int) -> None:
        ours: dict[str, Row] = {}
        for row in self._ours.part(number):
            if not row[0]:
                self._left_ours.add(_likeness(row), row)
            elif row[0] in ours:
                self._recorded_twice(StagedCall._make(row))
            else:
                ours[row[0]] = row
        seen, agreed = set[str](), self._into.agreed
        for row in self._theirs.part(number):
            key = row[0]
            if key in seen and key:
                self._twice += 1
                continue
            seen.add(key)
            match = ours.get(key)
            if match is None:
                self._left_theirs.add(_likeness(row), row)
            elif self._agree(row, match):
                cost = match[_AMOUNT] or 0
                agreed.count += 1
                agreed.calls += 1
                agreed.theirs += cost if row[_AMOUNT] is None else row[_AMOUNT]
                agreed.ours += cost
            else:
                self._pair(StagedBillLine._make(row), StagedCall._make(match))
        for key, row in ours.items():
            if key not in seen:
                self._left_ours.add(_likeness(row), row)

    def _agree(self, line: Row, call: Row) -> bool:
        """Tell whether a line and a call say the same, which most do: without making records of them."""
        if line[5] != call[5] or line[6] != call[6] or (line[7] != call[7] and line[7] >= 0):
            return False
        amount, cost = line[_AMOUNT], call[_AMOUNT]
        if amount is None:
            return True
        return cost is not None and -self._tolerance <= amount - cost <= self._tolerance

    def _recorded_twice(self, call: StagedCall) -> None:
        self._count("only_ours", "recorded_twice", ours=call)
        if self._adjuster is not None and self._is_settled(call.at):
            self._adjuster.undo(call.entry_id, f"response {call.id}")

    def _by_likeness(self, number: int) -> Iterator[StagedBillLine]:
        """Match what has no common id by model, tokens and time; yield the lines that are left."""
        ours = defaultdict[tuple[str, int, int], list[StagedCall]](list)
        for row in self._left_ours.part(number):
            call = StagedCall._make(row)
            ours[_likeness(call)].append(call)
        for row in self._left_theirs.part(number):
            line = StagedBillLine._make(row)
            near = [call for call in ours[_likeness(line)] if self._may_be(line, call)]
            if not near:
                yield line
                continue
            call = min(near, key=lambda call: abs(call.at - line.at))
            ours[_likeness(line)].remove(call)
            self._pair(line, call)
        for calls in ours.values():
            for call in calls:
                self._only_ours(call)

    def _may_be(self, line: StagedBillLine, call: StagedCall) -> bool:
        if line.id and call.id and not self._of.loose_ids:
            return False
        return abs(line.at - call.at) <= NEAR_S and line.tokens_input >= 0

    def _retried(self, again: dict[tuple[str, int, int], list[StagedBillLine]]) -> None:
        """Say of each line that is left whether it repeats a call that was recorded."""
        like = defaultdict[tuple[str, int, int], list[float]](list)
        for number in range(PARTS) if again else ():
            for row in self._ours.part(number):
                key = _likeness(row)
                if key in again and len(like[key]) < _MOST_KEYS:
                    like[key].append(row[4])
        for key, lines in again.items():
            for line in lines:
                is_retry = any(abs(at - line.at) <= AGAIN_S for at in like.get(key, ()))
                self._only_theirs(line, "retry" if is_retry else "not_recorded")

    # --- pairs

    def _pair(self, line: StagedBillLine, call: StagedCall) -> None:
        same_tokens = line.tokens_input < 0 or (line.tokens_input, line.tokens_output) == call[5:7]
        if not same_tokens:
            reason: Reason = "counts"
            if line.tokens_input == call.tokens_input and line.tokens_output > call.tokens_output:
                reason = "reasoning"
            self._count("usage_differs", reason, line, call)
        elif line.tokens_cached not in (-1, call.tokens_cached):
            self._count("usage_differs", "cache", line, call)
        elif line.amount is not None and call.cost is None:
            self._count("priced_differently", "unpriced", line, call)
        elif (
            line.amount is not None
            and call.cost is not None
            and abs(line.amount - call.cost) > self._tolerance
        ):
            reason, note = self._why_priced(line.amount, call.cost, call.cached_cost)
            self._count("priced_differently", reason, line, call, note)
        else:
            agreed = self._into.agreed
            agreed.count += 1
            agreed.calls += 1
            agreed.theirs += line.amount if line.amount is not None else call.cost or 0
            agreed.ours += call.cost or 0
            return
        if self._adjuster is not None and line.amount is not None and self._is_settled(line.at):
            self._adjuster.correct(
                call.entry_id, line.amount - (call.cost or 0), self._place(line), whole=True
            )

    def _why_priced(self, theirs: int, ours: int, cached: int) -> tuple[Reason, str]:
        if not ours:
            return "price", ""
        factor = theirs / ours
        for known, reason, note in _FACTORS:
            at_rate = abs(theirs - cached - (ours - cached) * known) <= self._tolerance
            if at_rate or abs(factor / known - 1) <= _SAME_FACTOR:  # cached tokens may stay at their price
                return reason, note
        return ("margin" if self._of.estimates else "price"), ""

    def _only_theirs(self, line: StagedBillLine, reason: Reason) -> None:
        self._count("only_theirs", reason, line)
        if self._adjuster is not None and line.amount is not None and self._is_settled(line.at):
            at = datetime.fromtimestamp(line.at, UTC)
            tokens = line.tokens_input, line.tokens_output
            missing = MissingCall(
                line.service, line.model or None, at, *tokens, line.amount, self._place(line), line.id or None
            )
            self._adjuster.add(missing)

    def _is_settled(self, at: float) -> bool:
        """Tell whether a line is a bill's last word: no estimate, and too old to change."""
        return not self._of.estimates and at <= self._young_from

    def _only_ours(self, call: StagedCall) -> None:
        if self._of.in_part:
            return
        reason: Reason = "late" if call.at > self._young_from else "not_billed"
        self._count("only_ours", reason, ours=call)

    def _place(self, line: StagedBillLine) -> str:
        """Return where a line stands, for people: its file and its place in it."""
        number, where = line.where
        return f"{self.files[number]}: {where if isinstance(where, str) else f'line {where}'}"

    def _count(
        self,
        kind: Kind,
        reason: Reason,
        theirs: StagedBillLine | None = None,
        ours: StagedCall | None = None,
        note: str = "",
    ) -> None:
        of = ours or theirs
        assert of is not None
        at = theirs.at if theirs and theirs.at > 0 else of.at
        found = self._sums[kind, reason, of.service, of.model, at > self._young_from, note]
        found.calls += 1
        found.first = min(found.first, at)
        if theirs is not None:
            found.theirs += theirs.amount or 0
            found.billed |= theirs.amount is not None
            found.theirs_tokens += max(theirs.tokens_input, 0) + max(theirs.tokens_output, 0)
            if len(found.lines) < _EXAMPLES:
                found.lines.append(self._place(theirs))
        if ours is not None:
            found.ours += ours.cost or 0
            found.ours_tokens += ours.tokens_input + ours.tokens_output
            if len(found.entries) < _EXAMPLES:
                found.entries.append(ours.entry_id)

    def _tell(self) -> None:
        for (kind, reason, service, model, young, note), found in self._sums.items():
            theirs = Nanos(found.theirs) if found.billed or kind == "only_ours" else None
            amount = Nanos(0) if theirs is None else Nanos(theirs - found.ours)
            day = f"{datetime.fromtimestamp(found.first, UTC):%Y-%m-%d}" if found.first > 0 else None
            factor = found.theirs / found.ours if found.billed and found.ours else None
            self._into.differences.append(
                Difference(
                    kind,
                    reason,
                    service,
                    model or None,
                    None,
                    day,
                    theirs,
                    Nanos(found.ours),
                    amount,
                    found.theirs_tokens,
                    found.ours_tokens,
                    found.calls,
                    factor,
                    not young,
                    note,
                    tuple(found.lines),
                    tuple(found.entries),
                    is_of_calls=True,
                )
            )
        if self._twice:
            self._into.notes.append(
                f"{self._twice:,} lines of {self._of.name} are there twice: each counts once"
            )


_FACTORS: Final[tuple[tuple[float, Reason, str], ...]] = (
    (0.5, "tier", "half: the batch or flex tier"),
    (2.0, "tier", "twice: the priority tier, or recorded as batch"),
    (100.0, "unit", "cents read as dollars"),
    (1_000.0, "unit", "a thousand times as much"),
)


def _likeness(row: Row) -> tuple[str, int, int]:
    """Return by what a line and a call are taken for the same where no id tells."""
    return row[3], row[5], row[6]
