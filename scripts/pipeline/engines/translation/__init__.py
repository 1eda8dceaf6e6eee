"""Translation: from segments in one language to the same segments in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.engines import Needs, Spent


@dataclass(frozen=True)
class Translated:
    """One text for each text given, in the same order, and what it has used."""

    texts: tuple[str, ...]
    spent: Spent


class TranslationEngine(Protocol):
    """Translates segments from ``options.language`` to ``options.target``, for which it was opened.

    ``service`` and ``model`` are its names in the ledger. ``segments_per_call`` is how many it takes
    at once, ``None`` for any number.
    """

    backend: str
    service: str
    model: str
    segments_per_call: int | None

    def needs(self, texts: Sequence[str]) -> Needs:
        """Return what translating ``texts`` will use at most."""

    def translate(self, texts: Sequence[str]) -> Translated:
        """Translate ``texts``."""


def parts(texts: Sequence[str], size: int | None) -> list[Sequence[str]]:
    """Cut ``texts`` into parts of at most ``size``.

    >>> parts(["a", "b", "c"], 2), parts(["a", "b", "c"], None)
    ([['a', 'b'], ['c']], [['a', 'b', 'c']])
    """
    size = size or max(len(texts), 1)
    return [texts[start : start + size] for start in range(0, len(texts), size)]
