"""Chat models behind an API: one request, one answer, and what the provider says it used."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Final, Protocol, TypeVar

from pipeline.engines import EngineOptions, Needs, Spent, Unavailable, Used
from pipeline.engines.chat.refusals import refusals
from pipeline.faults import StageFailed

Chunk = TypeVar("Chunk")

RETRIES: Final = 2
"""How often an SDK tries again by itself after 429, 5xx or a lost connection."""

TIMEOUT_SECONDS: Final = 120.0

_STANDARD_TIERS: Final = frozenset({"auto", "default", "standard"})

_ENVELOPE_TOKENS: Final = 64
"""Room for what a provider puts around the messages: roles and separators."""


@dataclass(frozen=True)
class Prompt:
    """The request: instructions, and the text they are about."""

    instructions: str
    text: str

    def most_tokens(self) -> int:
        """Return a number of tokens this prompt cannot exceed.

        A token of the byte-level vocabularies in use stands for at least one byte of UTF-8, so the
        number of bytes is a bound that holds without a tokenizer, though the usual count is a
        quarter of it. A reservation needs the bound, not the usual.
        """
        return len((self.instructions + self.text).encode()) + _ENVELOPE_TOKENS

    def roughly(self, answer: str) -> Used:
        """Return what asking this and getting ``answer`` may have used, where no provider tells.

        Four characters a token is the usual figure for English, flagged as an estimate:
        https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
        """
        asked = len(self.instructions + self.text)
        return {"tokens_input": -(-asked // 4), "tokens_output": -(-len(answer) // 4), "estimated": True}


@dataclass(frozen=True)
class Answer:
    """What came back, and what it has used."""

    text: str
    spent: Spent


class ChatModel(Protocol):
    """A chat model. ``service`` and ``model`` are its names in the ledger."""

    backend: str
    service: str
    model: str
    max_output_tokens: int

    def ask(self, prompt: Prompt) -> Answer:
        """Send one request and return its answer."""


class SdkChat(ABC):
    """A chat model behind a provider's own SDK. A subclass knows the SDK's words.

    ``provider`` is what the service is called in the ledger where the options do not say.
    """

    backend: str
    provider: ClassVar[str]
    _client: Any

    def __init__(self, client: Any, options: EngineOptions) -> None:
        self._client = client
        self._stream = options.stream
        self.service = options.service or self.provider
        self.model = required_model(options)
        self.max_output_tokens = options.max_output_tokens

    def ask(self, prompt: Prompt) -> Answer:
        """Send one request, streamed or not.

        Raises:
            Refused: the provider did not serve it.
        """
        with refusals(self._status_error()):
            return self._streamed(prompt) if self._stream else self._whole(prompt)

    @abstractmethod
    def _status_error(self) -> type[Exception]:
        """Return what the SDK raises for an answer with an error's status."""

    @abstractmethod
    def _whole(self, prompt: Prompt) -> Answer:
        """Send one request and wait for its whole answer."""

    @abstractmethod
    def _streamed(self, prompt: Prompt) -> Answer:
        """Send one request and gather its streamed answer, as far as it comes."""


def drain(chunks: Iterable[Chunk], take: Callable[[Chunk], None]) -> str | None:
    """Hand every chunk of a stream to ``take``; return why it broke off, or ``None``.

    What came before a break has been paid for, so the break is reported and not raised. A stream that
    fails before its first chunk raises what the SDK raises.
    """
    begun = False
    try:
        for chunk in chunks:
            begun = True
            take(chunk)
    except Exception as fault:
        if not begun:
            raise
        return f"the answer broke off ({type(fault).__name__}: {fault})"
    return None


def served_as(tier: str | None) -> Used:
    """Return the service tier of an answer where it is not the standard one, which accounts may have set."""
    return {"service_tier": tier} if tier and tier not in _STANDARD_TIERS else {}


def chat_needs(chat: ChatModel, prompt: Prompt) -> Needs:
    """Return what asking ``prompt`` will use at most."""
    digest = sha256(f"{prompt.instructions}\0{prompt.text}".encode()).hexdigest()
    return Needs(prompt.most_tokens(), chat.max_output_tokens, input_digest=digest)


def required_model(options: EngineOptions) -> str:
    """Return the model that was named; which one to pay for is never guessed.

    Raises:
        StageFailed: none was named.
    """
    if options.model is None:
        raise StageFailed("name the model to use: --model, or stages.<stage>.model in config/pipeline.yaml")
    return options.model


def key_in(variable: str) -> str:
    """Return the API key in an environment variable.

    Raises:
        Unavailable: it is not set.
    """
    key = os.environ.get(variable)
    if not key:
        raise Unavailable(f"set {variable}")
    return key
