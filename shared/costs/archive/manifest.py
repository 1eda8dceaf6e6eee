"""What an archive holds, as one JSON document that is written last.

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
    """A file of an archive is not what it was, or is not there."""


class ArchiveUnreachable(DamagedArchive):
    """What an archive lies on cannot be asked: it may be whole."""


class RowSums(NamedTuple):
    """Sums over rows: how many there are, what calls they come to, and their cost in nano-dollars."""

    rows: int = 0
    calls: int = 0
    unpriced_calls: int = 0
    partial_calls: int = 0
    cost: Nanos = ZERO

    def plus(self, other: RowSums) -> RowSums:
        """Return both together."""
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
        """Tell whether a ledger may have rows here."""
        return self.first_ledger <= ledger <= self.last_ledger


class HeldLedger(NamedTuple):
    """A ledger as far as it was archived: its lines before the byte ``size``, of months before ``before``.

    ``rest`` is where the first of those lines begins that is not in the archive; ``size`` where all are.
    ``head`` and ``tail`` are the CRC-32 of the first 256 bytes and of the last before ``size``.
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
        """Return the manifest of a document.

        Raises:
            DamagedArchive: it is none, or was changed after it was written.

        """
        try:
            content = json.loads(document)
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise ValueError(f"it is of another format: {content['format']!r}, {content['version']!r}")
            if content.pop("digest") != _digest(content):
                raise ValueError("its own digest does not match: it was changed after it was written")
            return cls(
                tuple(_part(each) for each in content["parts"]),
                tuple(HeldLedger(*each) for each in content["ledgers"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            remedy = "put it back from a copy of the archive"
            raise DamagedArchive(f"{place}/{NAME}: is no manifest of an archive: {fault}; {remedy}") from None

    def document(self) -> bytes:
        """Return the document that is written."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "ledger_fields": HeldLedger._fields,
            "months": {month: _stated(sums) for month, sums in self.sums_by_month().items()},
            "parts": [_plain(part) for part in self.parts],
            "ledgers": self.ledgers,
        }
        members = {**content, "digest": _digest(content)}
        return (
            f"{{{','.join(f'{_dumps(name)}:{_lines(value)}' for name, value in members.items())}}}\n".encode()
        )

    def sums_by_month(self) -> dict[str, RowSums]:
        """Return the sums of each month, in the order of months."""
        found: dict[str, RowSums] = {}
        for part in sorted(self.parts, key=lambda part: part.month):
            found[part.month] = found.get(part.month, RowSums()).plus(part.sums)
        return found

    def with_more(self, parts: Iterable[ParquetPart], ledgers: Iterable[HeldLedger]) -> Manifest:
        """Return this with further parts, and with ledgers of which more is known, by their numbers."""
        by_number = {each.number: each for each in (*self.ledgers, *ledgers)}
        return Manifest((*self.parts, *parts), tuple(by_number[number] for number in sorted(by_number)))

    def overlapping(self, earliest: int, latest: int) -> list[ParquetPart]:
        """Return the parts with timestamps in a stretch of time, in microseconds since 1970."""
        return [part for part in self.parts if part.earliest <= latest and earliest <= part.latest]


_dumps: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(_dumps(content).encode()).hexdigest()


def _lines(value: object) -> str:
    """Return a value as JSON, of a long list each item on a line of its own."""
    if isinstance(value, (list, tuple)):
        items = ",\n".join(map(_dumps, value))
        return f"[\n{items}\n]\n"
    return f"{_dumps(value)}\n"


def _stated(sums: RowSums) -> dict[str, object]:
    # An exact decimal: a reader that takes it as a float is right up to some million dollars.
    return {**sums._asdict(), "cost": json_number(sums.cost)}


def _plain(part: ParquetPart) -> dict[str, object]:
    return {**part._asdict(), "sums": _stated(part.sums)}


def _part(plain: Mapping[str, Any]) -> ParquetPart:
    sums = RowSums(**{**plain["sums"], "cost": _nanos(plain["sums"]["cost"])})
    return ParquetPart(**{**plain, "sums": sums})


def _nanos(text: str) -> Nanos:
    whole, _, fraction = text.partition(".")
    sign = -1 if whole.startswith("-") else 1
    return Nanos(sign * (abs(int(whole)) * 10**9 + int(fraction.ljust(9, "0"))))
