"""Groq: OpenAI's shapes. A transcription tells its duration where it is verbose, and its id in ``x_groq``.

Source: the types of ``groq`` 1.7, 2026-11-28.
"""

from __future__ import annotations

from ._openai_sdk import sdk_adapter

ADAPTER = sdk_adapter("Groq", "Groq (chat, transcription)", "groq", "groq")
