"""Find the provider of a response object or dict, and return the calls in it, normalised."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from ..model import UNKNOWN, Usage
from . import adapters as _folder
from .adapter import Adapter
from .captured import Captured
from .fields import Fields

_SECOND_LEVEL: Final = frozenset({"google"})
"""Namespace packages: the second part of the name says which SDK it is (``google.genai``)."""


class UnknownResponse(TypeError):
    """An object that no adapter can read. The text lists what can be read."""


def read_response(
    response: object, *, service: str | None = None, model: str | None = None
) -> tuple[Captured, ...]:
    """Return the calls in one response, usually one.

    Several if several models worked on it (an Anthropic advisor, a Claude Agent SDK result), none
    if nothing is billed (a batch request that failed). The provider is recognised from the
    object. The arguments supply what the response does not state: ``service`` for servers that use
    another provider's format, ``model`` for responses that name none (OpenAI transcription,
    Bedrock, Cohere), whose model is ``unknown`` otherwise. An argument wins over what is read.

    An object that no adapter can read is a call of unknown usage if both arguments are given: the call was
    made. This does not hold for a stream, an awaitable or ``None``.

    Raises:
        UnknownResponse: no adapter can read the object, and the arguments do not say whose it is.
        ValueError: a count is not a number.

    >>> [call] = read_response({"object": "chat.completion", "id": "c1", "model": "gpt-4o",
    ...                         "usage": {"prompt_tokens": 1000, "completion_tokens": 200}})
    >>> call.service, call.model, call.usage.tokens_input, call.usage.tokens_output
    ('openai', 'gpt-4o', 1000, 200)
    """
    response, retries = _unwrapped(response)
    fields = Fields(response)
    adapter = _adapter_for(response, fields)
    if adapter is None and service and model and not _is_pending(response):
        return (_unread(response, service, model),)
    if adapter is None:
        raise UnknownResponse(
            f"{_described(response)} is not a response that log_response can read. It reads {readable()}. "
            f"Pass streams to log_stream, and the counts of anything else to log_usage."
        )
    calls = tuple(adapter.read(fields))
    return tuple(
        with_names(replace(call, retries=call.retries or retries), service, model if is_main else None)
        for is_main, call in zip([True] + [False] * len(calls), calls, strict=False)
    )


def _is_pending(response: object) -> bool:
    return response is None or isinstance(response, Iterator | AsyncIterator | Awaitable)


def with_names(call: Captured, service: str | None, model: str | None) -> Captured:
    """Return the call with the caller's names; a model that nobody names is ``unknown``."""
    result = replace(call, service=service or call.service, model=model or call.model or UNKNOWN)
    missing = [name for name in result.features if name not in result.model.split("+")[1:]]
    return replace(result, model="+".join((result.model, *missing)), features=()) if missing else result


@functools.cache
def all_adapters() -> tuple[Adapter, ...]:
    """Return every adapter of the folder; those of formats that other services use too come last."""
    names = (module.name for module in pkgutil.iter_modules(_folder.__path__))
    modules = (
        importlib.import_module(f"{_folder.__name__}.{name}")
        for name in sorted(names)
        if not name.startswith("_")
    )
    adapters = [value for module in modules for value in vars(module).values() if isinstance(value, Adapter)]
    if not adapters:
        raise ImportError(f"no adapter can be loaded from {list(_folder.__path__)}")
    return tuple(sorted(adapters, key=lambda adapter: adapter.generic))


def adapter_of_package(value: object) -> Adapter | None:
    """Return the adapter of the SDK that defines this object's class or one of its base classes."""
    packages = [_package(cls) for cls in type(value).__mro__]
    for package in packages:
        for adapter in all_adapters():
            if package in adapter.packages:
                return adapter
    return None


def adapter_of_chunk(chunk: object) -> Adapter | None:
    """Return the adapter that can follow a stream with this chunk in it."""
    fields = Fields(chunk)
    own = adapter_of_package(chunk)
    if own and own.recognises_chunk(fields):
        return own
    return next((adapter for adapter in all_adapters() if adapter.recognises_chunk(fields)), None)


def readable() -> str:
    """Return what can be read, as a list for messages."""
    return "; ".join(adapter.knows for adapter in all_adapters())


def _adapter_for(response: object, fields: Fields) -> Adapter | None:
    own = adapter_of_package(response)
    if own and own.recognises(fields):
        return own
    return next((adapter for adapter in all_adapters() if adapter.recognises(fields)), None)


def _unread(response: object, service: str, model: str) -> Captured:
    """Return the call behind an answer in which no usage can be read, such as a bare text."""
    why = f"{_described(response)} states no usage that can be read: give its counts to log_usage"
    return Captured(service=service, model=model, usage=Usage(), usage_known=False, incomplete=why)


def _unwrapped(response: object) -> tuple[object, int]:
    """Return the response inside a ``with_raw_response`` result, and how often the SDK retried.

    Some SDKs hold the response as ``data`` beside its ``headers``. The raw response is returned if an adapter
    reads what is billed from a header.
    """
    parse = getattr(response, "parse", None)
    retries = getattr(response, "retries_taken", None)
    if isinstance(retries, int) and callable(parse):
        return parse(), retries
    if type(response).__name__ in _RAW_TYPES and not any(
        adapter.recognises(Fields(response)) for adapter in all_adapters()
    ):
        return getattr(response, "data", response), 0
    return response, 0


_RAW_TYPES: Final = frozenset({"HttpResponse", "AsyncHttpResponse", "BinaryHttpResponse"})
"""Raw responses of the SDKs that Fern generates: Cohere's, Deepgram's, ElevenLabs's."""


def _package(cls: type) -> str:
    parts = cls.__module__.split(".")
    return ".".join(parts[:2]) if parts[0] in _SECOND_LEVEL else parts[0]


def _described(response: object) -> str:
    if isinstance(response, Mapping):
        return f"a dict with the keys {', '.join(sorted(map(str, response)))[:200] or '(none)'}"
    cls = type(response)
    return f"an object of {cls.__module__}.{cls.__qualname__}"
