"""A summary by Google's Gemini."""

from __future__ import annotations

from pipeline.engines import EngineOptions
from pipeline.engines.chat.gemini import open_chat
from pipeline.engines.summary.prompt import ChatSummary


def open_engine(options: EngineOptions) -> ChatSummary:
    """Return the engine.

    Raises:
        Unavailable: the SDK or the key is missing.
    """
    return ChatSummary(open_chat(options), options.sentences)
