"""Everything that could be better about a stretch of calls, found in one reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..model import Entry
from .caching import Cacheable, CachingFinder
from .calls import net_jobs
from .optimise import Savings, SavingsFinder
from .options import Prices
from .outcomes import Worth, WorthFinder
from .waste import Waste, WasteFinder


@dataclass(frozen=True, slots=True)
class Improvements:
    """Settings to change, what could be cached, what was paid in vain, and what results cost."""

    savings: Savings
    cacheable: tuple[Cacheable, ...] = ()
    waste: tuple[Waste, ...] = ()
    worths: tuple[Worth, ...] = ()


def find_improvements(entries: Iterable[Entry], prices: Prices) -> Improvements:
    """Return what could be better. ``entries`` come job by job and are read once.

    >>> from shared.costs.pricing.catalogue import Catalogue
    >>> find_improvements([], Catalogue.load()).savings.calls
    0
    """
    finders = SavingsFinder(prices), CachingFinder(prices), WasteFinder(), WorthFinder()
    savings, caching, waste, worths = finders
    for job in net_jobs(entries):
        for finder in finders:
            finder.add(job)
    return Improvements(savings.found(), tuple(caching.found()), tuple(waste.found()), tuple(worths.found()))
