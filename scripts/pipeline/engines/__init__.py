"""The engines that do a stage's work: one file each, in a folder per kind of work.

A module ``engines/<kind>/<name>.py`` offers ``open_engine(options)``. It returns the engine, or
raises :class:`Unavailable` with what to install. Engines know nothing about costs: each says what
it will need and what a call has used, in the words of ``log_usage``, and the stage does the rest.

To add one: write the file, and add its name to the kind's ``LOCAL`` or ``REMOTE``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from pipeline.faults import StageFailed, StageSkipped

AUTO: Final = "auto"


class Unavailable(Exception):
    """The engine cannot be used here. The text says what is missing and how to get it."""


@dataclass(frozen=True)
class EngineOptions:
    """The settings of an engine. ``None`` means the engine's own default.

    ``language`` is what is spoken, ``target`` what to translate to (both ISO 639-1). ``download``
    lets an engine fetch model weights; ``service`` is what the provider is called in the ledger
    and the price list; ``max_output_tokens`` caps each answer of a chat model.
    """

    model: str | None = None
    language: str = "en"
    target: str = "es"
    download: bool = False
    base_url: str | None = None
    service: str | None = None
    stream: bool = False
    max_output_tokens: int = 400
    sentences: int = 2


@dataclass(frozen=True)
class Needs:
    """What a call will use at most, as ``reserve`` and ``estimate_cost`` take it.

    ``input_digest`` is a hash of what is sent, where it is at hand: the guard counts what repeats by it.
    """

    tokens_input: int = 0
    max_tokens_output: int = 0
    tokens_audio_input: int = 0
    audio_seconds: float = 0.0
    input_digest: str | None = None


class Used(TypedDict, total=False):
    """What a call has used, as keyword arguments of ``log_usage``.

    ``tokens_total`` stands alone where a server tells no more; ``estimated`` says it did not tell.
    ``service_tier`` is what the server really served, where that has a price of its own.
    """

    tokens_input: int
    tokens_output: int
    tokens_total: int
    tokens_cached: int
    tokens_cache_write: int
    tokens_cache_write_1h: int
    tokens_reasoning: int
    tokens_audio_input: int
    audio_seconds: float
    characters: int
    service_tier: str
    estimated: bool


@dataclass(frozen=True)
class Spent:
    """What a call did use, as the provider said.

    ``fault`` says why what came back cannot be used, although it was paid for: the stage records
    the call first and fails then.

    ``request_id`` is the provider's own id of the call; ``details`` goes into the entry's metadata.
    """

    usage: Used = field(default_factory=Used)
    request_id: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    fault: str | None = None

    def refuse_faulty(self) -> None:
        """Raise the fault, if there is one.

        Raises:
            StageFailed: what came back cannot be used.
        """
        if self.fault:
            raise StageFailed(f"{self.fault}; the call is in the ledger")


@dataclass(frozen=True)
class EngineKind:
    """One kind of work: its folder, and its engines, local ones in order of preference.

    Remote engines send data away or cost money, so they are only ever used when named.
    """

    folder: str
    local: Sequence[str]
    remote: Sequence[str]

    @property
    def names(self) -> list[str]:
        """Every name that ``--engine`` takes."""
        return [AUTO, *self.local, *self.remote]

    def open(self, name: str, options: EngineOptions) -> Any:
        """Return the engine ``name``, or for ``auto`` the first local one that is at hand.

        Raises:
            StageFailed: the named engine cannot be used here.
            StageSkipped: no local engine is installed.
        """
        if name != AUTO:
            try:
                return self._module(name).open_engine(options)
            except Unavailable as fault:
                raise StageFailed(f"engine {name} cannot be used: {fault}") from fault
        return self._first_at_hand(options)

    def _first_at_hand(self, options: EngineOptions) -> Any:
        missing = []
        for name in self.local:
            try:
                return self._module(name).open_engine(options)
            except Unavailable as fault:
                missing.append(f"  {name}: {fault}")
        raise StageSkipped("no engine is at hand; any one of these would do:\n" + "\n".join(missing))

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"pipeline.engines.{self.folder}.{name.replace('-', '_')}")


SPEECH: Final = EngineKind(
    "speech", ("whisperx", "faster-whisper", "mlx-whisper", "pocketsphinx"), ("openai",)
)
TRANSLATION: Final = EngineKind("translation", ("indictrans2", "nllb", "apertium"), ("openai",))
SUMMARY: Final = EngineKind("summary", ("extractive",), ("openai", "anthropic", "gemini"))
