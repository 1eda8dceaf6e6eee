"""What the two neural translators share: FLORES language codes, weights, generation in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pipeline.engines.speech.weights import hub_weights, require

BATCH: Final = 16
MAX_LENGTH: Final = 256

# Language and script as FLORES-200 writes them, by ISO 639-1:
# https://github.com/facebookresearch/flores/blob/main/flores200/README.md
FLORES: Final = {
    "ar": "arb_Arab", "as": "asm_Beng", "bn": "ben_Beng", "de": "deu_Latn", "en": "eng_Latn",
    "es": "spa_Latn", "fr": "fra_Latn", "gu": "guj_Gujr", "hi": "hin_Deva", "it": "ita_Latn",
    "ja": "jpn_Jpan", "kn": "kan_Knda", "ml": "mal_Mlym", "mr": "mar_Deva", "ne": "npi_Deva",
    "nl": "nld_Latn", "or": "ory_Orya", "pa": "pan_Guru", "pl": "pol_Latn", "pt": "por_Latn",
    "ru": "rus_Cyrl", "ta": "tam_Taml", "te": "tel_Telu", "tr": "tur_Latn", "uk": "ukr_Cyrl",
    "ur": "urd_Arab", "zh": "zho_Hans",
}  # fmt: skip


class Weights:
    """A sequence-to-sequence model of the ``transformers`` package, loaded from this machine.

    Raises:
        Unavailable: a package or the weights are missing.
    """

    def __init__(self, repository: str, *, download: bool, remote_code: bool = False) -> None:
        transformers = require("transformers", "transformers torch sentencepiece")
        require("torch", "torch")
        folder = hub_weights(repository, download=download)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=remote_code)
        self._model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
            folder, trust_remote_code=remote_code
        )

    def generate(self, texts: Sequence[str], **options: Any) -> list[str]:
        """Return the model's text for each of ``texts``."""
        made: list[str] = []
        for start in range(0, len(texts), BATCH):
            batch = list(texts[start : start + BATCH])
            tokens = self.tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
            output = self._model.generate(**tokens, max_length=MAX_LENGTH, **options)
            made += self.tokenizer.batch_decode(output, skip_special_tokens=True)
        return made

    def token_id(self, token: str) -> int:
        """Return the id of a special token."""
        return int(self.tokenizer.convert_tokens_to_ids(token))
