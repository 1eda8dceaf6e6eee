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

    ``service`` and ``model`` are its names in the ledger.
    """

    backend: str
    service: str
    model: str

    def needs(self, texts: Sequence[str]) -> Needs:
        """Return what translating ``texts`` will use at most."""

    def translate(self, texts: Sequence[str]) -> Translated:
        """Translate ``texts``."""
