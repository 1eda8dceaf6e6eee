"""Telling how far long work is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

_TELL_EVERY: Final = 500


class ProgressCallback(Protocol):
    """Called with how much is done, and of how much."""

    def __call__(self, done: int, total: int) -> None:
        """Show it."""
        ...


def telling(items: Iterable[T], advance: Callable[[int], None]) -> Iterator[T]:
    """Pass items on, and tell now and then how many there were.

    >>> numbers: list[int] = []
    >>> len(list(telling(range(1_234), numbers.append))), numbers
    (1234, [500, 1000])
    """
    for done, item in enumerate(items, 1):
        yield item
        if not done % _TELL_EVERY:
            advance(done)


def in_turn(readings: Iterable[tuple[Iterable[T], int]], advance: ProgressCallback) -> Iterator[Iterator[T]]:
    """Pass on items that are read one after the other, each with how many there are; tell of all together.

    >>> calls: list[tuple[int, int]] = []
    >>> both = in_turn([(range(600), 600), (range(600), 600)], lambda *done: calls.append(done))
    >>> [len(list(items)) for items in both], calls
    ([600, 600], [(500, 1200), (1100, 1200)])
    """
    readings = list(readings)
    before, whole = 0, sum(size for _, size in readings)
    for items, size in readings:
        yield telling(items, partial(_tell, advance, before, whole))
        before += size


def _tell(advance: ProgressCallback, before: int, whole: int, done: int) -> None:
    advance(before + done, whole)
