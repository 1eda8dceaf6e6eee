"""Folds whole ledgers fast: what a rebuild does to all of them, in processes of its own.

A line in the usual form is checked (its CRC-32 included) and taken apart by msgspec; everything else,
and whatever raises the least doubt, goes through the ledger's own ``decode``. Both ways give the same
sums, which a test holds against each other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final
from zlib import crc32

import msgspec

from ..ledger.line import SEAL_LENGTH, DamagedLine, decode
from ..model import MAX_AUDIO_SECONDS, MAX_COUNT, Entry
from ..money import MAX_ENTRY_NANOS, NANOS_PER_USD
from ..rollup import BUCKET_SECONDS, bucket_of
from .catchup import GONE
from .fold import Sums, dim_of, plus, sums_of
from .intake import NEVER, Problem, new_row
from .keys import key_of
from .ledgerfile import LedgerFile, Line, opened
from .registry import Registered
from .store import LedgerRow
from .tables import SUM_COLUMNS, Dim

Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_AUDIO_SECONDS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Text = str | None
Amount = int | float


class _Parts(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The usual parts of a charge, in USD."""

    input: Amount = 0
    output: Amount = 0
    cached: Amount = 0


class _Call(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A call as it usually stands in a ledger. A line with any other field is no usual one."""

    v: int
    kind: str
    id: str
    timestamp: str
    job_id: str
    user_id: str
    service: str
    model: str
    cost_usd: Amount | None
    crc: str
    tokens_input: Count = 0
    tokens_output: Count = 0
    tokens_cached: Count = 0
    tokens_reasoning: Count = 0
    audio_seconds: Seconds = 0
    stage: Text = None
    attempt: Count = 1
    cost_parts: _Parts | None = None
    priced_by: Text = None
    estimated: bool = False
    request_id: Text = None
    service_tier: Text = None
    operation: Text = None
    description: Text = None
    workflow: Text = None
    project: Text = None
    host: Text = None
    pid: Count = 0
    metadata: dict[str, msgspec.Raw] = {}  # msgspec copies it


_USUAL: Final = b'{"v":1,"kind":"usage","id":"'
_decode: Final = msgspec.json.Decoder(_Call).decode

Key = tuple[int, int]
"""Bucket, and the position of the dimensions in ``Scanned.dims``."""


@dataclass(slots=True)
class Scanned:
    """Some ledgers, folded. The arrays hold one row after the other."""

    dims: list[Dim] = field(default_factory=list)
    sums: array[int] = field(default_factory=lambda: array("q"))
    """Bucket, ledger, position in ``dims``, and the sums."""
    seen: array[int] = field(default_factory=lambda: array("q"))
    """Key (two integers), ledger and offset."""
    reserved: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Reservation, ledger, calls and cost."""
    ledgers: list[LedgerRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unread: list[tuple[Registered, str]] = field(default_factory=list)
    """Ledgers that could not be read, and why."""
    read_bytes: int = 0


def scan(ledgers: Iterable[Registered]) -> Scanned:
    """Fold ledgers from their first byte to their last complete line.

    Ids are not compared: whoever puts the result into an index finds the duplicates.
    """
    scanner = _Scanner()
    for ledger in ledgers:
        try:
            with opened(ledger.path) as file:
                scanner.fold(ledger, file)
        except (FileNotFoundError, NotADirectoryError):
            scanner.found.unread.append((ledger, GONE))
        except OSError as fault:
            scanner.found.unread.append((ledger, f"cannot be read: {fault}"))
    return scanner.found


class _Scanner:
    def __init__(self) -> None:
        self.found = Scanned()
        self._dims: dict[Dim, int] = {}
        self._hours: dict[str, int] = {}

    def fold(self, ledger: Registered, file: LedgerFile) -> None:
        """Fold one ledger."""
        found, sums = self.found, dict[Key, list[int]]()
        reserved: dict[str, Sums] = {}
        end = 0
        seen, number = found.seen, ledger.id
        for line in file.lines(0):
            offset, length, raw = line
            end = offset + length
            entry_id = self._usual(raw, sums)
            if entry_id is None:
                entry = self._other(ledger, line, sums)
                if entry is None:
                    continue
                entry_id = entry.id
                if entry.reservation:
                    calls = reserved.get(entry.reservation, (0, 0))
                    reserved[entry.reservation] = plus(calls, (entry.sign, entry.cost))
            seen.extend((*key_of(entry_id), number, offset))
        found.read_bytes += end
        self._finish(ledger, file, end, sums)
        found.reserved.extend((name, ledger.id, calls, cost) for name, (calls, cost) in reserved.items())

    def _finish(self, ledger: Registered, file: LedgerFile, end: int, sums: dict[Key, list[int]]) -> None:
        for (bucket, dim), values in sums.items():
            self.found.sums.extend((bucket, ledger.id, dim, *values))
        print_ = file.fingerprint(end)
        self.found.ledgers.append(
            new_row(ledger)._replace(
                device=file.device,
                inode=file.inode,
                offset=end,
                head_length=print_.length,
                head=print_.head,
                tail=print_.tail,
                first_bucket=min((bucket for bucket, _ in sums), default=NEVER),
                last_bucket=max((bucket for bucket, _ in sums), default=-NEVER),
            )
        )

    def _usual(self, raw: bytes, sums: dict[Key, list[int]]) -> str | None:
        """Add a line in the usual form up and return its id; ``None``, with nothing done, for any other."""
        if not raw.startswith(_USUAL) or raw[-SEAL_LENGTH:] != _SEAL % crc32(raw[:-SEAL_LENGTH]):
            return None
        try:
            call = _decode(raw)
        except (msgspec.MsgspecError, ValueError):
            return None
        bucket, charge = self._bucket(call.timestamp), _charge(call)
        if bucket is None or charge is None or not raw.isascii():
            return None
        if call.tokens_cached > call.tokens_input or call.tokens_reasoning > call.tokens_output:
            return None
        key = (bucket, self._number(_dim(call)))
        values = sums.get(key)
        if values is None:
            values = sums[key] = [0] * len(SUM_COLUMNS)
        _add(values, call, *charge)
        return call.id

    def _other(self, ledger: Registered, line: Line, sums: dict[Key, list[int]]) -> Entry | None:
        """Add any other line up; ``None`` when it is damaged."""
        try:
            entry = decode(line.raw)
        except DamagedLine as fault:
            self.found.problems.append(Problem(ledger.id, line.offset, line.length, "damaged", str(fault)))
            return None
        key = (bucket_of(entry.counted_at) // BUCKET_SECONDS, self._number(dim_of(entry)))
        values = sums.setdefault(key, [0] * len(SUM_COLUMNS))
        values[:] = plus(tuple(values), sums_of(entry))
        return entry

    def _number(self, dim: Dim) -> int:
        known = self._dims.get(dim)
        if known is None:
            known = self._dims[dim] = len(self._dims)
            self.found.dims.append(dim)
        return known

    def _bucket(self, stamp: str) -> int | None:
        """Return the bucket of a time as the ledger writes it; ``None`` when it is written otherwise."""
        quarter = _QUARTERS.get(stamp[13:17])
        if quarter is None or len(stamp) != _STAMP_LENGTH or stamp[26] != "Z":
            return None
        hour = self._hours.get(stamp[:13])
        if hour is None:
            try:
                at = datetime.fromisoformat(f"{stamp[:13]}:00:00Z")
            except ValueError:
                return None
            hour = self._hours[stamp[:13]] = bucket_of(at) // BUCKET_SECONDS
        return hour + quarter


_QUARTERS: Final = {f":{minute:02d}:": minute * 60 // BUCKET_SECONDS for minute in range(60)}
_STAMP_LENGTH: Final = len("2026-11-22T09:30:00.000000Z")


_SEAL: Final = b',"crc":"%08x"}\n'


def _dim(call: _Call) -> Dim:
    return (
        call.user_id,
        call.stage or "",
        call.service,
        call.model,
        call.operation or "",
        call.workflow or "",
        call.project or "",
        "",
        call.service_tier or "",
    )


def _add(values: list[int], call: _Call, cost: int, cost_output: int) -> None:
    """Add a call up in place: the same as ``fold.sums_of``, in the order of ``tables.SUM_COLUMNS``."""
    values[0] += 1
    values[4] += call.tokens_input
    values[5] += call.tokens_output
    values[9] += cost
    values[10] += cost_output
    if call.cost_usd is None:
        values[1] += 1
    if call.estimated:
        values[2] += 1
    if call.attempt > 1:
        values[3] += 1
        values[11] += cost
    if call.tokens_cached or call.tokens_reasoning or call.audio_seconds:
        values[6] += call.tokens_cached
        values[7] += call.tokens_reasoning
        values[8] += round(round(call.audio_seconds, 6) * 1_000_000)


def _charge(call: _Call) -> tuple[int, int] | None:
    """Return the cost and what of it pays for output; ``None`` where it takes a closer look."""
    if call.cost_usd is None:
        return 0, 0
    parts = call.cost_parts
    if call.priced_by is None or parts is None:
        return None
    cost, output = round(call.cost_usd * NANOS_PER_USD), round(parts.output * NANOS_PER_USD)
    whole = round(parts.input * NANOS_PER_USD) + output
    if parts.cached:
        whole += round(parts.cached * NANOS_PER_USD)
    if whole != cost or not -MAX_ENTRY_NANOS <= cost <= MAX_ENTRY_NANOS:
        return None
    return cost, output
