"""What a loopback provider bills: another amount for each answer, so that no two can be mixed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

COUNTS: Final = (
    "tokens_input",
    "tokens_output",
    "tokens_cached",
    "tokens_cache_write",
    "tokens_cache_write_1h",
)
"""What is compared of each model, by the ledger's names: input includes the cache, output the thoughts."""


@dataclass(frozen=True)
class Tool:
    """A tool that the answer asks the agent to run."""

    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True)
class Answer:
    """How a request is answered.

    ``how`` is ``whole``, ``cut`` (the stream stops after a few words and waits until the agent goes away) or
    ``busy`` (refused, not billed). Of what is written to the cache, ``one_hour`` stays for an hour.
    """

    text: str = "Done, with four words."
    tools: tuple[Tool, ...] = ()
    thoughts: str = ""
    how: str = "whole"
    one_hour: bool = False
    tier: str = "standard"


@dataclass(frozen=True)
class Bill:
    """What one answer is billed; ``told`` is whether the agent was given these numbers to the end."""

    number: int
    model: str
    tokens_input: int
    tokens_output: int
    tokens_cached: int
    tokens_cache_write: int
    tokens_cache_write_1h: int
    tokens_reasoning: int
    told: bool = True
    path: str = field(default="", compare=False)

    @property
    def uncached(self) -> int:
        """Input tokens that neither come from the cache nor are written to it."""
        return self.tokens_input - self.tokens_cached - self.tokens_cache_write


def bill_for(number: int, model: str, answer: Answer, *, writes: bool, path: str = "") -> Bill:
    """Return the bill of an answer by its number; ``writes``: whether this provider bills cache writes."""
    cached, written = 4_000 + 61 * number, (700 + 13 * number if writes else 0)
    thoughts = 50 + 3 * number if answer.thoughts else 0
    return Bill(
        number,
        model,
        tokens_input=1_000 + 37 * number + cached + written,
        tokens_output=100 + 7 * number + thoughts,
        tokens_cached=cached,
        tokens_cache_write=written,
        tokens_cache_write_1h=written if answer.one_hour else 0,
        tokens_reasoning=thoughts,
        told=answer.how == "whole",
        path=path,
    )


def summed(bills: Iterable[Bill]) -> dict[str, Counter[str]]:
    """Return the sums of bills by model, with the number of calls."""
    sums: dict[str, Counter[str]] = {}
    for bill in bills:
        mine = sums.setdefault(bill.model, Counter())
        mine["calls"] += 1
        mine.update({name: getattr(bill, name) for name in COUNTS})
    return sums
