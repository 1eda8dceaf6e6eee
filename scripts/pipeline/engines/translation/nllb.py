"""NLLB-200 on this machine, by the ``transformers`` package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.engines import EngineOptions, Needs, Spent, Unavailable
from pipeline.engines.translation import Translated
from pipeline.engines.translation.neural import FLORES, Weights

DEFAULT_MODEL: Final = "facebook/nllb-200-distilled-600M"


class Nllb:
    """Translation on this machine between the languages of NLLB-200."""

    backend = "nllb"
    service = "local"
    model = "nllb"
    segments_per_call = None

    def __init__(self, weights: Weights, options: EngineOptions) -> None:
        self._weights = weights
        self._name = options.model or DEFAULT_MODEL
        self._options = options

    def needs(self, texts: Sequence[str]) -> Needs:  # noqa: ARG002 (the interface of translation engines)
        """Return nothing: no tokens are paid for."""
        return Needs()

    def translate(self, texts: Sequence[str]) -> Translated:
        """Translate in batches."""
        self._weights.tokenizer.src_lang = FLORES[self._options.language]
        begin = self._weights.token_id(FLORES[self._options.target])
        translated = self._weights.generate(texts, forced_bos_token_id=begin)
        spent = Spent({"characters": sum(map(len, texts))}, details={"weights": self._name})
        return Translated(tuple(translated), spent)


def open_engine(options: EngineOptions) -> Nllb:
    """Return the engine.

    Raises:
        Unavailable: a package or the weights are missing.
    """
    unknown = [code for code in (options.language, options.target) if code not in FLORES]
    if unknown:
        raise Unavailable(f"no FLORES-200 code is known for {', '.join(unknown)}")
    name = options.model or DEFAULT_MODEL
    return Nllb(Weights(name, download=options.download), options)
