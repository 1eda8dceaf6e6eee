"""Summaries: from a transcript to a few sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeline.documents import Transcript
from pipeline.engines import Needs, Spent


@dataclass(frozen=True)
class Summary:
    """The summary, and what making it has used."""

    text: str
    spent: Spent


class SummaryEngine(Protocol):
    """Summarises. ``service`` and ``model`` are its names in the ledger."""

    backend: str
    service: str
    model: str

    def needs(self, transcript: Transcript) -> Needs:
        """Return what summarising ``transcript`` will use at most."""

    def summarize(self, transcript: Transcript) -> Summary:
        """Summarise ``transcript``."""
