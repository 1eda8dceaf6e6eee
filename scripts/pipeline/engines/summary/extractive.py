"""A local summary: the transcript's own most telling segments, chosen by sumy's SumBasic."""

from __future__ import annotations

import re
from typing import Any, Final

from pipeline.documents import Transcript
from pipeline.engines import EngineOptions, Needs, Spent, Unavailable
from pipeline.engines.summary import Summary

# Languages that sumy has both a stemmer and stop words for, by ISO 639-1.
_LANGUAGES: Final = {
    "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french",
    "hu": "hungarian", "it": "italian", "nl": "dutch", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sv": "swedish",
}  # fmt: skip
_WORD: Final = re.compile(r"[^\W\d_][\w'-]*")


class _Words:
    """sumy's tokenizer interface for text that is cut into sentences already; needs no NLTK data."""

    def to_words(self, sentence: str) -> tuple[str, ...]:
        return tuple(_WORD.findall(sentence))


class Extractive:
    """A summary made on this machine of sentences that were spoken."""

    backend = "sumy"
    service = "local"
    model = "extractive-summary"

    def __init__(self, sentences: int) -> None:
        self._sentences = sentences

    def needs(self, transcript: Transcript) -> Needs:  # noqa: ARG002 (the interface of summary engines)
        """Return nothing: no tokens are used."""
        return Needs()

    def summarize(self, transcript: Transcript) -> Summary:
        """Return the chosen segments, in the order they were spoken."""
        summarizer = _summarizer(transcript.language)
        chosen = summarizer(_document(transcript), self._sentences)
        text = "\n".join(str(sentence) for sentence in chosen)
        return Summary(text, Spent({"characters": len(transcript.text)}))


def _summarizer(language: str) -> Any:
    from sumy.nlp.stemmers import Stemmer, null_stemmer
    from sumy.summarizers.sum_basic import SumBasicSummarizer
    from sumy.utils import get_stop_words

    name = _LANGUAGES.get(language)
    summarizer = SumBasicSummarizer(Stemmer(name) if name else null_stemmer)
    if name:
        summarizer.stop_words = get_stop_words(name)
    return summarizer


def _document(transcript: Transcript) -> Any:
    from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence

    sentences = [Sentence(segment.text, _Words()) for segment in transcript.segments]
    return ObjectDocumentModel([Paragraph(sentences)])


def open_engine(options: EngineOptions) -> Extractive:
    """Return the engine.

    Raises:
        Unavailable: sumy is missing.
    """
    try:
        import sumy  # noqa: F401 (only asked whether it is there; its parts are imported when used)
    except ImportError:
        raise Unavailable("pip install '.[local]'") from None
    return Extractive(options.sentences)
