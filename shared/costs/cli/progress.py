"""Progress of long work, on stderr: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, Protocol, TypeVar

import click

T = TypeVar("T")

_TELL_EVERY: Final = 500


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how much of ``total`` is done.

    >>> with progress_bar("Exporting", 10) as done:
    ...     done(10)
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    with click.progressbar(length=max(total, 1), label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)


class Told(Protocol):
    """Is told how much is done, and of how much."""

    def __call__(self, done: int, total: int) -> None:
        """Take it in."""
        ...


@contextmanager
def share_bar(label: str) -> Iterator[Told]:
    """Give a function that is told how much is done, and of how much.

    >>> with share_bar("Rebuilding") as told:
    ...     told(5, 10)
    """
    with progress_bar(label, 1_000) as bar:

        def told(done: int, total: int) -> None:
            bar(done * 1_000 // max(total, 1))

        yield told


def telling(items: Iterable[T], told: Callable[[int], None]) -> Iterator[T]:
    """Pass items on, and tell now and then how many there were.

    >>> numbers: list[int] = []
    >>> len(list(telling(range(1_234), numbers.append))), numbers
    (1234, [500, 1000])
    """
    for done, item in enumerate(items, 1):
        yield item
        if not done % _TELL_EVERY:
            told(done)


def in_turn(readings: Iterable[tuple[Iterable[T], int]], told: Told) -> Iterator[Iterator[T]]:
    """Pass on items that are read one after the other, each with how many there are; tell of all together.

    >>> told: list[tuple[int, int]] = []
    >>> both = in_turn([(range(600), 600), (range(600), 600)], lambda *done: told.append(done))
    >>> [len(list(items)) for items in both], told
    ([600, 600], [(500, 1200), (1100, 1200)])
    """
    readings = list(readings)
    before, whole = 0, sum(size for _, size in readings)
    for items, size in readings:
        yield telling(items, partial(_tell, told, before, whole))
        before += size


def _tell(told: Told, before: int, whole: int, done: int) -> None:
    told(before + done, whole)
