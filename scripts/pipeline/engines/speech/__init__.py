"""Speech recognition: from a WAV file to timed segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeline.audio import Audio
from pipeline.documents import Segment
from pipeline.engines import Needs, Spent


@dataclass(frozen=True)
class Heard:
    """What was said, in which language (ISO 639-1), and what hearing it has used."""

    language: str
    segments: tuple[Segment, ...]
    spent: Spent


class SpeechEngine(Protocol):
    """Turns speech into text. ``service`` and ``model`` are its names in the ledger."""

    backend: str
    service: str
    model: str

    def needs(self, audio: Audio) -> Needs:
        """Return what transcribing ``audio`` will use at most."""

    def transcribe(self, audio: Audio) -> Heard:
        """Transcribe ``audio``."""
