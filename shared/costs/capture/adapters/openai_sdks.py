"""SDKs of other services whose objects have OpenAI's shapes and do not name the service.

Groq: a verbose transcription states its duration, and its id in ``x_groq``. Together: lists of
pictures name their model, and videos state what they cost. Sources: the types of ``groq`` 1.7 and of
``together`` 3.1, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..adapter import Adapter, Follower
from ..captured import Captured
from ..fields import Fields
from . import openai
from ._openai_stream import OpenAIFollower, recognises_chunk


def _adapter(name: str, knows: str, package: str, service: str) -> Adapter:
    """Return OpenAI's adapter, limited to objects of ``package`` and recording under ``service``."""

    def is_from_package(fields: Fields) -> bool:
        return any(cls.__module__.partition(".")[0] == package for cls in type(fields.raw).__mro__)

    def read(fields: Fields) -> Iterable[Captured]:
        return [replace(call, service=service) for call in openai.ADAPTER.read(fields)]

    def follow() -> Follower:
        return _ServiceFollower(service)

    return Adapter(
        name=name,
        knows=knows,
        packages=frozenset({package}),
        recognises=lambda fields: is_from_package(fields) and openai.ADAPTER.recognises(fields),
        read=read,
        recognises_chunk=lambda chunk: is_from_package(chunk) and recognises_chunk(chunk),
        follow=follow,
    )


class _ServiceFollower(OpenAIFollower):
    """Follows a stream in OpenAI's format, and reports it under the SDK's service."""

    def __init__(self, service: str) -> None:
        super().__init__(openai.ADAPTER.read)
        self._service = service

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, under its service."""
        return [replace(call, service=self._service) for call in super().result(ending)]


GROQ: Final = _adapter("Groq", "Groq (chat, transcription)", "groq", "groq")
TOGETHER: Final = _adapter(
    "Together",
    "Together (chat, embeddings, reranking, transcription, images, videos)",
    "together",
    "together",
)
