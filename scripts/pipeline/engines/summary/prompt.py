"""How a chat model is asked for a summary; the same for every provider."""

from __future__ import annotations

from pipeline.documents import Transcript
from pipeline.engines import Needs
from pipeline.engines.chat import ChatModel, Prompt, chat_needs
from pipeline.engines.summary import Summary


class ChatSummary:
    """A summary written by a chat model."""

    def __init__(self, chat: ChatModel, sentences: int) -> None:
        self._chat = chat
        self._sentences = sentences
        self.backend = chat.backend
        self.service = chat.service
        self.model = chat.model

    def needs(self, transcript: Transcript) -> Needs:
        """Return what one request will use at most."""
        return chat_needs(self._chat, self._prompt(transcript))

    def summarize(self, transcript: Transcript) -> Summary:
        """Ask for the summary."""
        answer = self._chat.ask(self._prompt(transcript))
        return Summary(answer.text.strip(), answer.spent)

    def _prompt(self, transcript: Transcript) -> Prompt:
        return Prompt(
            f"Summarize the transcript in at most {self._sentences} sentences, in its own language "
            f"({transcript.language}). It comes from speech recognition and may have mistakes. "
            "Answer with the summary alone.",
            transcript.text,
        )
