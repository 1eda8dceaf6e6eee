"""The manifest: what an archive holds, as one JSON document that is written last.

>>> sums = RowSums(rows=2, calls=2, unpriced_calls=0, partial_calls=0, cost=Nanos(4_500_000))
>>> part = ParquetPart("month=2026-08/part-0.parquet", "2026-08", 2, 900, "ab" * 32, sums, 0, 1, 1, 1)
>>> ledger = HeldLedger(1, "/out/job-1/cost_ledger.jsonl", 880, 880, 1, 2, "2026-09")
>>> manifest = Manifest((part,), (ledger,))
>>> Manifest.parsed(manifest.document(), "here") == manifest, manifest.sums_by_month()["2026-08"].cost
(True, 4500000)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from ..errors import CostError
from ..money import ZERO, Nanos, json_number

NAME: Final = "_manifest.json"
FORMAT: Final = "cost-ledger archive"
VERSION: Final = 1


class DamagedArchive(CostError):
    """A file of an archive was changed, or is missing."""


class ArchiveUnreachable(DamagedArchive):
    """The storage of an archive cannot be reached; the archive may be undamaged."""


class RowSums(NamedTuple):
    """Sums over rows: their number, the calls they count, and their cost in nano-dollars."""

    rows: int = 0
    calls: int = 0
    unpriced_calls: int = 0
    partial_calls: int = 0
    cost: Nanos = ZERO

    def plus(self, other: RowSums) -> RowSums:
        """Return the sums of both."""
        return RowSums(
            self.rows + other.rows,
            self.calls + other.calls,
            self.unpriced_calls + other.unpriced_calls,
            self.partial_calls + other.partial_calls,
            Nanos(self.cost + other.cost),
        )


class ParquetPart(NamedTuple):
    """One Parquet file. Its ``name`` is relative to the archive, ``size`` is in bytes.

    ``earliest`` and ``latest`` are the first and the last of its timestamps, in microseconds since 1970 UTC;
    ``first_ledger`` and ``last_ledger`` the smallest and the largest number of a ledger with rows in it.
    """

    name: str
    month: str
    rows: int
    size: int
    sha256: str
    sums: RowSums
    earliest: int
    latest: int
    first_ledger: int
    last_ledger: int

    def may_have(self, ledger: int) -> bool:
        """Tell whether a ledger, by its number, may have rows in this part."""
        return self.first_ledger <= ledger <= self.last_ledger


class HeldLedger(NamedTuple):
    """How much of a ledger was archived: its lines before the byte ``size``, of months before ``before``.

    ``rest`` is the offset of the first of those lines that is not in the archive, or ``size`` if all are.
    ``head`` and ``tail`` are the CRC-32 of the first 256 bytes and of the last 256 before ``size``.
    """

    number: int
    path: str
    size: int
    rest: int
    head: int
    tail: int
    before: str

    @property
    def is_whole(self) -> bool:
        """Whether all its lines are in the archive."""
        return self.rest == self.size


class Manifest(NamedTuple):
    """All parts of an archive, and the ledgers whose entries they hold."""

    parts: tuple[ParquetPart, ...] = ()
    ledgers: tuple[HeldLedger, ...] = ()

    @classmethod
    def parsed(cls, document: bytes, place: str) -> Manifest:
        """Return the manifest that a document contains.

        Raises:
            DamagedArchive: it is not a manifest, or was changed after it was written.

        """
        try:
            content = json.loads(document)
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise ValueError(f"it is of another format: {content['format']!r}, {content['version']!r}")
            if content.pop("digest") != _digest(content):
                raise ValueError("its own digest does not match: it was changed after it was written")
            return cls(
                tuple(_part(fields) for fields in content["parts"]),
                tuple(HeldLedger(*fields) for fields in content["ledgers"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            remedy = "put it back from a copy of the archive"
            raise DamagedArchive(
                f"{place}/{NAME}: is not the manifest of an archive: {fault}; {remedy}"
            ) from None

    def document(self) -> bytes:
        """Return the manifest as the JSON document that is stored."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "ledger_fields": HeldLedger._fields,
            "months": {month: _sums_as_json(sums) for month, sums in self.sums_by_month().items()},
            "parts": [_part_as_json(part) for part in self.parts],
            "ledgers": self.ledgers,
        }
        members = {**content, "digest": _digest(content)}
        return (
            f"{{{','.join(f'{_dumps(name)}:{_lines(value)}' for name, value in members.items())}}}\n".encode()
        )

    def sums_by_month(self) -> dict[str, RowSums]:
        """Return the sums of each month, oldest first."""
        sums: dict[str, RowSums] = {}
        for part in sorted(self.parts, key=lambda part: part.month):
            sums[part.month] = sums.get(part.month, RowSums()).plus(part.sums)
        return sums

    def with_more(self, parts: Iterable[ParquetPart], ledgers: Iterable[HeldLedger]) -> Manifest:
        """Return this manifest with further parts, and with ledgers added or replaced by their numbers."""
        by_number = {ledger.number: ledger for ledger in (*self.ledgers, *ledgers)}
        return Manifest((*self.parts, *parts), tuple(by_number[number] for number in sorted(by_number)))

    def overlapping(self, earliest: int, latest: int) -> list[ParquetPart]:
        """Return the parts that may have timestamps in a range, in microseconds since 1970."""
        return [part for part in self.parts if part.earliest <= latest and earliest <= part.latest]


_dumps: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(_dumps(content).encode()).hexdigest()


def _lines(value: object) -> str:
    """Return a value as JSON, each item of a list on a line of its own."""
    if isinstance(value, (list, tuple)):
        items = ",\n".join(map(_dumps, value))
        return f"[\n{items}\n]\n"
    return f"{_dumps(value)}\n"


def _sums_as_json(sums: RowSums) -> dict[str, object]:
    # An exact decimal: a reader that parses it as a float is exact up to some million dollars.
    return {**sums._asdict(), "cost": json_number(sums.cost)}


def _part_as_json(part: ParquetPart) -> dict[str, object]:
    return {**part._asdict(), "sums": _sums_as_json(part.sums)}


def _part(fields: Mapping[str, Any]) -> ParquetPart:
    sums = RowSums(**{**fields["sums"], "cost": _nanos(fields["sums"]["cost"])})
    return ParquetPart(**{**fields, "sums": sums})


def _nanos(text: str) -> Nanos:
    whole, _, fraction = text.partition(".")
    sign = -1 if whole.startswith("-") else 1
    return Nanos(sign * (abs(int(whole)) * 10**9 + int(fraction.ljust(9, "0"))))
