"""What stages hand to each other: a transcript of timed segments, as JSON, text and subtitles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .faults import WrongUsage


def plural(number: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "segment"), plural(4, "segment")
    ('1 segment', '4 segments')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class Segment:
    """A stretch of speech: ``start`` and ``end`` in seconds from the beginning of the recording."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Transcript:
    """The segments of one recording in one language (ISO 639-1, as ``en``); ``backend`` made them."""

    language: str
    backend: str
    model: str
    audio_seconds: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The spoken text, one segment a line."""
        return "\n".join(segment.text for segment in self.segments)

    def translated(self, language: str, backend: str, model: str, texts: Sequence[str]) -> Transcript:
        """Return this transcript with the ``texts`` of another language at the same times.

        Raises:
            ValueError: the number of texts is not the number of segments.
        """
        pairs = zip(self.segments, texts, strict=True)
        segments = tuple(replace(segment, text=text) for segment, text in pairs)
        return replace(self, language=language, backend=backend, model=model, segments=segments)

    def as_json(self) -> str:
        """Return the transcript as JSON text; :func:`read_transcript` reads it back."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    def as_srt(self) -> str:
        """Return the transcript as SubRip subtitles.

        >>> one = Transcript("en", "pocketsphinx", "en-us", 4.0, (Segment(0.6, 4.11, "good morning"),))
        >>> print(one.as_srt())
        1
        00:00:00,600 --> 00:00:04,110
        good morning
        <BLANKLINE>
        """
        cues = (
            f"{number}\n{_clock(segment.start)} --> {_clock(segment.end)}\n{segment.text}\n"
            for number, segment in enumerate(self.segments, start=1)
        )
        return "\n".join(cues)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def read_transcript(path: Path) -> Transcript:
    """Read what :meth:`Transcript.as_json` wrote.

    Raises:
        WrongUsage: the file is missing or is not a transcript.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        segments = tuple(Segment(**segment) for segment in data.pop("segments"))
        return Transcript(segments=segments, **data)
    except FileNotFoundError:
        raise WrongUsage(f"{path} is missing: run 06_whisperx_asr.py on this job first") from None
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        raise WrongUsage(f"{path} is not a transcript ({fault}): run 06_whisperx_asr.py again") from fault
