"""Translation by OpenAI, or by any server that speaks its wire format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from pipeline.engines import EngineOptions, Needs
from pipeline.engines.chat import ChatModel, Prompt, chat_needs
from pipeline.engines.chat.openai import open_chat
from pipeline.engines.translation import Translated


class ChatTranslation:
    """Segments translated by a chat model, as a JSON list in and a JSON list out."""

    # Few enough for a model to keep count of, and for an answer to fit into its maximum.
    segments_per_call = 25

    def __init__(self, chat: ChatModel, options: EngineOptions) -> None:
        self._chat = chat
        self._options = options
        self.backend = chat.backend
        self.service = chat.service
        self.model = chat.model

    def needs(self, texts: Sequence[str]) -> Needs:
        """Return what one request will use at most."""
        return chat_needs(self._chat, self._prompt(texts))

    def translate(self, texts: Sequence[str]) -> Translated:
        """Ask for the translations.

        An answer that is not a list of the right length has been paid for: it is reported as a fault.
        """
        answer = self._chat.ask(self._prompt(texts))
        translated = _texts(answer.text, len(texts))
        if answer.spent.fault or len(translated) == len(texts):
            return Translated(translated, answer.spent)
        fault = f"{self.model} answered with no JSON list of {len(texts)} texts"
        return Translated((), replace(answer.spent, fault=fault))

    def _prompt(self, texts: Sequence[str]) -> Prompt:
        return Prompt(
            f"Translate each text of the JSON list from {self._options.language} to {self._options.target} "
            "(ISO 639-1). Answer with a JSON list of exactly as many texts, in the same order, alone.",
            json.dumps(list(texts), ensure_ascii=False),
        )


def _texts(answer: str, count: int) -> tuple[str, ...]:
    try:
        texts = json.loads(answer)
    except ValueError:
        return ()
    right = isinstance(texts, list) and len(texts) == count and all(isinstance(text, str) for text in texts)
    return tuple(texts) if right else ()


def open_engine(options: EngineOptions) -> ChatTranslation:
    """Return the engine.

    Raises:
        Unavailable: the SDK or the key is missing.
    """
    return ChatTranslation(open_chat(options), options)
