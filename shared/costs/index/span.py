"""Stretches of time as the index's tables have them: whole UTC days, and pieces of days at their ends.

So an answer is exact in every time zone, and a month costs the same whatever the history.

>>> span = Span(95, 3 * DAY_BUCKETS)
>>> span.days(), span.edges()
((1, 3), [Span(start=95, end=96)])
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from ..rollup import BUCKET_SECONDS, bucket_of
from .store import DAY_BUCKETS


class Span(NamedTuple):
    """Buckets from ``start`` to before ``end``; ``None`` where it has no edge."""

    start: int | None
    end: int | None

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, start: datetime | None, end: datetime | None) -> Span:
        """Return the span between two instants, which should be edges of buckets."""
        return cls(_bucket(start), _bucket(end))

    def has(self, bucket: int) -> bool:
        """Tell whether a bucket lies in the span."""
        return (self.start is None or self.start <= bucket) and (self.end is None or bucket < self.end)

    def days(self) -> tuple[int | None, int | None]:
        """Return the whole days in the span, as first and one after the last."""
        first = None if self.start is None else -(-self.start // DAY_BUCKETS)
        after = None if self.end is None else self.end // DAY_BUCKETS
        return first, after

    def edges(self) -> list[Span]:
        """Return the pieces of the span that are no whole day."""
        first, after = self.days()
        if first is not None and after is not None and first >= after:
            return [self]
        edges = []
        if self.start is not None and first is not None and self.start < first * DAY_BUCKETS:
            edges.append(Span(self.start, first * DAY_BUCKETS))
        if self.end is not None and after is not None and after * DAY_BUCKETS < self.end:
            edges.append(Span(after * DAY_BUCKETS, self.end))
        return edges


def _bucket(at: datetime | None) -> int | None:
    return None if at is None else bucket_of(at) // BUCKET_SECONDS


class Sql(NamedTuple):
    """A piece of a statement, and the values it binds."""

    text: str
    values: tuple[object, ...] = ()


def between(column: str, first: int | None, after: int | None) -> tuple[str, list[int]]:
    """Return the condition that a column lies from ``first`` to before ``after``, and its values."""
    text, values = "", []
    if first is not None:
        text, values = f" AND {column} >= ?", [first]
    if after is not None:
        text, values = f"{text} AND {column} < ?", [*values, after]
    return text, values
