"""Adds entries of one ledger up, before the sums go into the index. Pure: no I/O.

>>> from datetime import UTC, datetime
>>> from ..model import Entry
>>> entry = Entry(id="1", timestamp=datetime(1970, 1, 2, tzinfo=UTC), job_id="j", user_id="u",
...               service="local", model="m")
>>> fold = Fold()
>>> fold.add(entry)
>>> [(bucket, dim[0], sums[0]) for (bucket, dim), sums in fold.sums.items()]
[(96, 'u', 1)]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..money import ZERO
from ..rollup import BUCKET_SECONDS, bucket_of, output_part
from .tables import SUM_COLUMNS, Dim

if TYPE_CHECKING:
    from ..model import Entry

Sums = tuple[int, ...]
"""One integer for each of ``tables.SUM_COLUMNS``."""

NO_SUMS: Sums = (0,) * len(SUM_COLUMNS)


@dataclass(slots=True)
class Fold:
    """Sums by bucket and dimensions, and calls and cost by reservation."""

    sums: dict[tuple[int, Dim], Sums] = field(default_factory=dict)
    reserved: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        self.put((bucket_of(entry.counted_at) // BUCKET_SECONDS, dim_of(entry)), sums_of(entry))
        if entry.reservation:
            self.put_reserved(entry.reservation, entry.sign, entry.cost)

    def put(self, key: tuple[int, Dim], sums: Sums) -> None:
        """Add sums of a bucket and its dimensions."""
        before = self.sums.get(key)
        self.sums[key] = sums if before is None else plus(before, sums)

    def put_reserved(self, reservation: str, calls: int, cost: int) -> None:
        """Add calls under a reservation."""
        before = self.reserved.get(reservation, (0, 0))
        self.reserved[reservation] = (before[0] + calls, before[1] + cost)


def plus(one: Sums, other: Sums) -> Sums:
    """Add two sums field by field."""
    return tuple(map(int.__add__, one, other))


def minus(sums: Sums) -> Sums:
    """Return the sums with every sign turned: added, they take out what they were."""
    return tuple(-value for value in sums)


def sums_of(entry: Entry) -> Sums:
    """Return what one entry adds to each of ``tables.SUM_COLUMNS``, as ``rollup.Totals.add`` does."""
    sign, usage = entry.sign, entry.usage
    charge = entry.charge
    cost = charge.total if charge else ZERO
    retried = entry.attempt > 1
    return (
        sign,
        entry.unpriced_delta,
        sign * entry.estimated,
        sign * retried,
        sign * usage.tokens_input,
        sign * usage.tokens_output,
        sign * usage.tokens_cached,
        sign * usage.tokens_reasoning,
        sign * usage.audio_microseconds if usage.audio_seconds else 0,
        cost,
        output_part(charge),
        cost if retried else 0,
    )


def dim_of(entry: Entry) -> Dim:
    """Return the dimensions of an entry; an empty text where it has none."""
    dim = (
        entry.user_id,
        entry.stage or "",
        entry.service,
        entry.model,
        entry.operation or "",
        entry.workflow or "",
        entry.project or "",
        ",".join(sorted(entry.tags)),
        entry.service_tier or "",
    )
    return dim if "".join(dim).isascii() else _mended(dim)


def _mended(dim: Dim) -> Dim:
    """Return texts that SQLite can keep: half a surrogate pair becomes U+FFFD, as in the ledger's lines."""
    user, *others = (text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in dim)
    return (user, *others)  # type: ignore[return-value]  # as many as there were
