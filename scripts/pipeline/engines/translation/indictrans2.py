"""IndicTrans2 on this machine: from English to the languages of India.

Its texts have to be prepared and finished by IndicTransToolkit; see
https://github.com/VarunGumma/IndicTransToolkit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pipeline.engines import EngineOptions, Needs, Spent, Unavailable
from pipeline.engines.speech.weights import require
from pipeline.engines.translation import Translated
from pipeline.engines.translation.neural import FLORES, Weights

DEFAULT_MODEL: Final = "ai4bharat/indictrans2-en-indic-dist-200M"
TARGETS: Final = frozenset({"as", "bn", "gu", "hi", "kn", "ml", "mr", "ne", "or", "pa", "ta", "te", "ur"})


class IndicTrans2:
    """Translation on this machine from English to an Indic language."""

    backend = "indictrans2"
    service = "local"
    model = "indictrans2-local"
    segments_per_call = None

    def __init__(self, processor: Any, weights: Weights, options: EngineOptions) -> None:
        self._processor = processor
        self._weights = weights
        self._name = options.model or DEFAULT_MODEL
        self._options = options

    def needs(self, texts: Sequence[str]) -> Needs:  # noqa: ARG002 (the interface of translation engines)
        """Return nothing: no tokens are paid for."""
        return Needs()

    def translate(self, texts: Sequence[str]) -> Translated:
        """Translate in batches."""
        source, target = FLORES[self._options.language], FLORES[self._options.target]
        prepared = self._processor.preprocess_batch(list(texts), src_lang=source, tgt_lang=target)
        made = self._weights.generate(prepared, num_beams=5)
        finished = self._processor.postprocess_batch(made, lang=target)
        spent = Spent({"characters": sum(map(len, texts))}, details={"weights": self._name})
        return Translated(tuple(finished), spent)


def open_engine(options: EngineOptions) -> IndicTrans2:
    """Return the engine. Its weights bring their own code, which ``transformers`` runs from the cache.

    Raises:
        Unavailable: a package or the weights are missing.
    """
    if options.language != "en" or options.target not in TARGETS:
        raise Unavailable(f"it translates from en to {', '.join(sorted(TARGETS))}")
    toolkit = require("IndicTransToolkit", "IndicTransToolkit")
    name = options.model or DEFAULT_MODEL
    weights = Weights(name, download=options.download, remote_code=True)
    return IndicTrans2(toolkit.IndicProcessor(inference=True), weights, options)
